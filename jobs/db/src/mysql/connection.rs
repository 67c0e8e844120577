//! Connecting to one of several hosts, statements and transactions.

use super::dialect::Mysql;
use super::dictionary;
use super::fault::Trouble;
use super::link::{Link, lost};
use super::loader::MysqlLoader;
use super::login;
use super::rows::MysqlRows;
use super::transactions;
use crate::{
    Canceller, Cell, Column, Connection, Dialect, Error, ErrorKind, Load, Loader, Options, Result,
    Rows, TableInfo, TableName, Transactions, Url,
};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct MysqlConnection {
    /// `None` while a load has it, and after a load that broke down.
    link: Option<Link>,
    canceller: Arc<super::stop::Stopper>,
    /// The URL, for messages.
    name: String,
    /// The table that was loaded into last, with what it was known as.
    target: Option<(TableName, TableInfo)>,
}

pub(super) fn connect(url: &Url, options: &Options) -> Result<Box<dyn Connection>> {
    url.only(&["ca", "busy-timeout"])?;
    let busy = url
        .duration("busy-timeout")?
        .unwrap_or(options.busy_timeout);
    if url.user.is_none() {
        return Err(
            Error::new(ErrorKind::Invalid, format!("connecting to {url}"))
                .because("the URL names no account"),
        );
    }
    let link = login::open(url, options, busy)?;
    Ok(Box::new(MysqlConnection {
        canceller: Arc::clone(&link.stopper),
        link: Some(link),
        name: url.redacted(),
        target: None,
    }))
}

impl MysqlConnection {
    fn start_load<'c>(
        &'c mut self,
        into: &Load<'_>,
        info: TableInfo,
        action: String,
    ) -> Result<Box<dyn Loader + 'c>> {
        self.with("setting a time limit", |link| link.keep_limit(true))?;
        let loader = MysqlLoader::start(&mut self.link, into, info, action)?;
        Ok(Box::new(loader))
    }

    fn action(&self, doing: &str) -> String {
        format!("{doing} on {}", self.name)
    }

    /// Does something with the connection. What an error did to an open transaction, the server is asked.
    fn with<T>(
        &mut self,
        doing: &str,
        work: impl FnOnce(&mut Link) -> Result<T, Trouble>,
    ) -> Result<T> {
        let action = self.action(doing);
        let Some(link) = &mut self.link else {
            return Err(super::fault::fault(action, ErrorKind::Timeout, lost()));
        };
        work(link).map_err(|trouble| {
            let refused = matches!(trouble, Trouble::Refused(_));
            let error = link.fault(&action, trouble);
            if refused && link.in_transaction() {
                match link.say("DO 0") {
                    Ok(_) | Err(Trouble::Refused(_)) => {}
                    Err(trouble) => log::debug!("{action}: {trouble:?}"),
                }
            }
            error
        })
    }

    fn run(&mut self, doing: &str, sql: &str) -> Result<()> {
        self.with(doing, |link| link.say(sql).map(drop))
    }
}

impl Connection for MysqlConnection {
    fn dialect(&self) -> &'static dyn Dialect {
        &Mysql
    }

    fn execute(&mut self, sql: &str, params: &[Cell<'_>]) -> Result<u64> {
        self.with("running a statement", |link| {
            link.keep_limit(true)?;
            Ok(link.run(sql, params, true)?.changed)
        })
    }

    fn batch(&mut self, sql: &str) -> Result<()> {
        self.with("running statements", |link| {
            link.keep_limit(true)?;
            link.several(sql)
        })
    }

    fn query<'c>(&'c mut self, sql: &str, params: &[Cell<'_>]) -> Result<Box<dyn Rows + 'c>> {
        let action = self.action("querying");
        let link = self
            .link
            .as_mut()
            .ok_or_else(|| super::fault::fault(&action, ErrorKind::Timeout, lost()))?;
        Ok(Box::new(MysqlRows::start(link, sql, params, action)?))
    }

    fn describe(&mut self, sql: &str, params: usize) -> Result<Vec<Column>> {
        self.with("preparing a statement", |link| link.describe(sql, params))
    }

    fn load<'c>(&'c mut self, into: &Load<'_>) -> Result<Box<dyn Loader + 'c>> {
        let action = format!("loading into {} on {}", into.table, self.name);
        let Some(info) = self.dictionary(into.table)? else {
            return Err(Error::new(ErrorKind::Missing, &action).because("there is no such table"));
        };
        dictionary::refuse_without_transactions(self, into.table, &action)?;
        self.start_load(into, info, action)
    }

    fn load_known<'c>(
        &'c mut self,
        into: &Load<'_>,
        info: &TableInfo,
    ) -> Result<Box<dyn Loader + 'c>> {
        let action = format!("loading into {} on {}", into.table, self.name);
        let last = self.target.as_ref();
        if last.is_none_or(|(table, known)| table != into.table || known != info) {
            dictionary::refuse_without_transactions(self, into.table, &action)?;
            self.target = Some((into.table.clone(), info.clone()));
        }
        self.start_load(into, info.clone(), action)
    }

    fn begin(&mut self) -> Result<()> {
        // MySQL would commit the open one without a word
        if self.in_transaction() {
            return Err(
                Error::new(ErrorKind::Invalid, self.action("beginning a transaction"))
                    .because("one is open already"),
            );
        }
        self.run("beginning a transaction", "START TRANSACTION")
    }

    fn begin_snapshot(&mut self) -> Result<()> {
        let doing = "beginning a snapshot";
        self.run(doing, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")?;
        self.run(
            doing,
            "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
        )
    }

    fn shares_snapshots(&self) -> bool {
        true
    }

    fn lacks_for_sharing(&mut self) -> Result<Option<&'static str>> {
        let grants = crate::transactions::read(self, "SHOW GRANTS")?;
        let may = grants.iter().flatten().any(|grant| may_reload(grant));
        Ok((!may).then_some("the right RELOAD"))
    }

    /// A read lock on everything: the only way to keep commits apart from the snapshots of several connections. It is not waited for
    /// long, since everybody who writes waits behind it.
    fn hold_writers(&mut self) -> Result<bool> {
        let doing = "holding all writers for a moment";
        self.run(
            doing,
            "SET @wait_before = @@lock_wait_timeout, SESSION lock_wait_timeout = 5",
        )?;
        let held = self.run(doing, "FLUSH TABLES WITH READ LOCK");
        self.run(doing, "SET SESSION lock_wait_timeout = @wait_before")?;
        held.map(|()| true)
    }

    fn release_writers(&mut self) -> Result<()> {
        self.run("letting writers go on", "UNLOCK TABLES")
    }

    fn transactions(&mut self) -> Result<Transactions> {
        transactions::open(self)
    }

    fn commit(&mut self) -> Result<()> {
        if !self.in_transaction() {
            return Err(Error::new(ErrorKind::Other, self.action("committing"))
                .because("no transaction is open"));
        }
        self.run("committing", "COMMIT")
    }

    fn rollback(&mut self) -> Result<()> {
        if !self.in_transaction() {
            return Ok(());
        }
        self.run("rolling back", "ROLLBACK")
    }

    fn in_transaction(&self) -> bool {
        self.link.as_ref().is_some_and(Link::in_transaction)
    }

    fn tables(&mut self) -> Result<Vec<TableName>> {
        dictionary::tables(self)
    }

    fn dictionary(&mut self, table: &TableName) -> Result<Option<TableInfo>> {
        dictionary::table(self, table)
    }

    fn require_transactions(&mut self, table: &TableName) -> Result<()> {
        let action = format!("looking at {table} on {}", self.name);
        dictionary::refuse_without_transactions(self, table, &action)
    }

    fn canceller(&self) -> Canceller {
        let stopper = Arc::clone(&self.canceller);
        Canceller::new(move || stopper.cancel())
    }

    fn limit_statements(&mut self, timeout: Duration) -> Result<()> {
        self.canceller.limit(timeout);
        Ok(())
    }
}

/// Whether a line of `SHOW GRANTS` gives RELOAD, or may: a granted role can hold it unseen.
fn may_reload(grant: &str) -> bool {
    match grant.split_once(" ON ") {
        None => true,
        Some((rights, on)) => {
            let rights = rights.trim_start_matches("GRANT ").split(", ");
            on.starts_with("*.* ")
                && rights
                    .into_iter()
                    .any(|right| ["RELOAD", "ALL PRIVILEGES"].contains(&right))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::may_reload;

    #[test]
    fn reload_is_a_right_on_everything() {
        for grant in [
            "GRANT SELECT, RELOAD, PROCESS ON *.* TO `a`@`%`",
            "GRANT ALL PRIVILEGES ON *.* TO `a`@`%` WITH GRANT OPTION",
            "GRANT `reader` TO `a`@`%`",
        ] {
            assert!(may_reload(grant), "{grant}");
        }
        for grant in [
            "GRANT USAGE ON *.* TO `a`@`%`",
            "GRANT ALL PRIVILEGES ON `shop`.* TO `a`@`%`",
        ] {
            assert!(!may_reload(grant), "{grant}");
        }
    }
}
