//! Connecting to one of several hosts, statements and transactions.

use super::dialect::Mssql;
use super::dictionary;
use super::fault::Trouble;
use super::kind::kind;
use super::link::Link;
use super::loader::MssqlLoader;
use super::login;
use super::plan::Plan;
use super::rows::MssqlRows;
use super::transactions;
use crate::{
    Canceller, Cell, Column, Connection, Dialect, Error, ErrorKind, Load, Loader, Options, Result,
    Rows, TableInfo, TableName, Transactions, Url,
};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct MssqlConnection {
    link: Link,
    /// The URL, for messages.
    name: String,
    /// A transaction or snapshot is open.
    open: bool,
}

pub(super) fn connect(url: &Url, options: &Options) -> Result<Box<dyn Connection>> {
    url.only(&["ca", "busy-timeout", "packet-size"])?;
    let busy = url
        .duration("busy-timeout")?
        .unwrap_or(options.busy_timeout);
    Ok(Box::new(MssqlConnection {
        link: login::open(url, options, busy)?,
        name: url.redacted(),
        open: false,
    }))
}

impl MssqlConnection {
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
        work(&mut self.link).map_err(|trouble| {
            let error = self.link.fault(&action, trouble);
            self.look();
            error
        })
    }

    /// Whether the transaction is still open and of use; one that an error has doomed is ended.
    fn look(&mut self) {
        if !self.open || self.link.client.is_none() {
            return;
        }
        let told = self.link.ask(
            "DECLARE @state INT = XACT_STATE(); IF @state = -1 ROLLBACK TRANSACTION; SELECT @state",
        );
        match told {
            Ok(rows) => self.open = rows.iter().flatten().flatten().any(|state| state == "1"),
            Err(trouble) => log::debug!("looking for the open transaction: {trouble:?}"),
        }
    }

    fn run(&mut self, doing: &str, sql: &str) -> Result<()> {
        self.with(doing, |link| link.say(sql))
    }

    fn refuse_second(&self, doing: &str) -> Result<()> {
        if !self.in_transaction() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Invalid, self.action(doing))
            .because("a transaction is open already"))
    }

    fn end(&mut self, doing: &str, how: &str) -> Result<()> {
        self.open = false;
        // a snapshot's level would stay
        let sql = format!("{how} TRANSACTION; SET TRANSACTION ISOLATION LEVEL READ COMMITTED");
        let ended = self.run(doing, &sql);
        if ended.is_err() && self.link.client.is_some() {
            // whatever is left of it must not be in the next one
            let cleared = self.link.say("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION");
            log::debug!("after a transaction that did not end: {cleared:?}");
        }
        ended
    }
}

impl Connection for MssqlConnection {
    fn dialect(&self) -> &'static dyn Dialect {
        &Mssql
    }

    fn execute(&mut self, sql: &str, params: &[Cell<'_>]) -> Result<u64> {
        self.with("running a statement", |link| link.run(sql, params))
    }

    fn batch(&mut self, sql: &str) -> Result<()> {
        let done = self.run("running statements", sql);
        // semicolons are optional here: a COMMIT may have hidden among its neighbours
        self.look();
        done
    }

    fn query<'c>(&'c mut self, sql: &str, params: &[Cell<'_>]) -> Result<Box<dyn Rows + 'c>> {
        let action = self.action("querying");
        Ok(Box::new(MssqlRows::start(
            &mut self.link,
            sql,
            params,
            action,
        )?))
    }

    fn describe(&mut self, sql: &str, params: usize) -> Result<Vec<Column>> {
        let action = self.action("preparing a statement");
        let marks: Vec<Cell<'_>> = vec![None; params];
        super::link::bound(sql, &marks).map_err(|trouble| self.link.fault(&action, trouble))?;
        let declared: Vec<String> = (1..=params)
            .map(|number| format!("@P{number} nvarchar(4000)"))
            .collect();
        let declared = declared.join(", ");
        let wanted = [Some(sql.as_bytes()), Some(declared.as_bytes())];
        let rows = crate::dictionary::read(
            self,
            "EXEC sys.sp_describe_first_result_set @P1, @P2",
            &wanted,
        );
        let rows = rows.map_err(|error| Error::new(error.kind(), action).because(error))?;
        Ok(rows.iter().filter_map(|row| described(row)).collect())
    }

    fn load<'c>(&'c mut self, into: &Load<'_>) -> Result<Box<dyn Loader + 'c>> {
        let action = format!("loading into {} on {}", into.table, self.name);
        let Some(info) = self.dictionary(into.table)? else {
            return Err(Error::new(ErrorKind::Missing, action).because("there is no such table"));
        };
        self.load_known(into, &info)
    }

    fn load_known<'c>(
        &'c mut self,
        into: &Load<'_>,
        info: &TableInfo,
    ) -> Result<Box<dyn Loader + 'c>> {
        let action = format!("loading into {} on {}", into.table, self.name);
        let plan = Plan::new(into, info, action)?;
        let within = self.in_transaction();
        Ok(Box::new(MssqlLoader::start(&mut self.link, plan, within)?))
    }

    fn begin(&mut self) -> Result<()> {
        let doing = "beginning a transaction";
        self.refuse_second(doing)?;
        self.run(doing, "BEGIN TRANSACTION")?;
        self.open = true;
        Ok(())
    }

    fn begin_snapshot(&mut self) -> Result<()> {
        let doing = "beginning a snapshot";
        self.refuse_second(doing)?;
        let sql = "SELECT snapshot_isolation_state FROM sys.databases WHERE database_id = DB_ID()";
        let told = self.with(doing, |link| link.ask(sql))?;
        if !told.iter().flatten().flatten().any(|state| state == "1") {
            return Err(Error::new(ErrorKind::Invalid, self.action(doing)).because(
                "the database does not allow it; ALTER DATABASE … SET ALLOW_SNAPSHOT_ISOLATION ON does",
            ));
        }
        // the snapshot is that of the first read
        self.run(
            doing,
            "SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRANSACTION; SELECT TOP (1) object_id FROM sys.objects",
        )?;
        self.open = true;
        Ok(())
    }

    fn transactions(&mut self) -> Result<Transactions> {
        transactions::open(self)
    }

    fn commit(&mut self) -> Result<()> {
        if !self.in_transaction() {
            return Err(Error::new(ErrorKind::Other, self.action("committing"))
                .because("no transaction is open"));
        }
        self.end("committing", "COMMIT")
    }

    fn rollback(&mut self) -> Result<()> {
        if !self.in_transaction() {
            return Ok(());
        }
        self.end("rolling back", "ROLLBACK")
    }

    fn in_transaction(&self) -> bool {
        self.open && self.link.client.is_some()
    }

    fn tables(&mut self) -> Result<Vec<TableName>> {
        dictionary::tables(self)
    }

    fn dictionary(&mut self, table: &TableName) -> Result<Option<TableInfo>> {
        dictionary::table(self, table)
    }

    fn canceller(&self) -> Canceller {
        let stopper = Arc::clone(&self.link.stopper);
        Canceller::new(move || stopper.cancel())
    }

    fn limit_statements(&mut self, timeout: Duration) -> Result<()> {
        self.link.stopper.limit(timeout);
        Ok(())
    }
}

/// A column by a row of sp_describe_first_result_set.
fn described(row: &[Option<String>]) -> Option<Column> {
    let hidden = row.first()?.as_deref() == Some("1");
    let declared = row.get(5)?.clone().unwrap_or_default();
    let word = declared.split('(').next().unwrap_or_default();
    (!hidden).then(|| Column {
        name: row.get(2).cloned().flatten().unwrap_or_default(),
        kind: kind(word),
        declared: declared.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn what_a_statement_would_yield_is_read() {
        let row = |hidden: &str, name: &str, declared: &str| {
            ["", "", "", "", "", ""]
                .iter()
                .enumerate()
                .map(|(place, _)| {
                    let text = match place {
                        0 => hidden,
                        2 => name,
                        5 => declared,
                        _ => "0",
                    };
                    Some(text.to_owned())
                })
                .collect::<Vec<_>>()
        };
        let column = described(&row("0", "id", "decimal(10,2)")).unwrap();
        assert_eq!((column.name.as_str(), column.kind), ("id", Kind::Decimal));
        assert_eq!(described(&row("1", "id", "int")), None);
        assert_eq!(described(&[]), None);
    }
}
