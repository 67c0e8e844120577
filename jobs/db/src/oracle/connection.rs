//! Statements and transactions. The server begins a transaction by itself with the first change: outside one of ours each statement
//! is committed at once.

use super::dialect::{Oracle, SKIP};
use super::dictionary;
use super::fault::{Trouble, kind_of};
use super::gate::Gate;
use super::link::{Link, Open, sendable};
use super::loader::OracleLoader;
use super::rows::{OracleRows, describe};
use super::script::statements;
use super::{login, transactions};
use crate::{
    Canceller, Cell, Column, Connection, Dialect, Error, ErrorKind, Load, Loader, Options, Result,
    Rows, TableInfo, TableName, Transactions, Url, statement,
};
use std::sync::Arc;
use std::time::Duration;

/// What lets several sessions look back to one moment.
const FLASHBACK: &str = "SELECT COUNT(*) FROM all_procedures WHERE owner = 'SYS' AND object_name = 'DBMS_FLASHBACK' \
    AND procedure_name = 'ENABLE_AT_SYSTEM_CHANGE_NUMBER'";

#[derive(Debug)]
pub(super) struct OracleConnection {
    link: Link,
    /// The URL, for messages.
    name: String,
}

pub(super) fn connect(url: &Url, options: &Options) -> Result<Box<dyn Connection>> {
    url.only(&["ca", "busy-timeout"])?;
    let busy = url
        .duration("busy-timeout")?
        .unwrap_or(options.busy_timeout);
    let link = login::open(url, options, busy)?;
    Ok(Box::new(OracleConnection {
        link,
        name: url.redacted(),
    }))
}

impl OracleConnection {
    fn action(&self, doing: &str) -> String {
        format!("{doing} on {}", self.name)
    }

    fn fault(&self, doing: &str, trouble: Trouble) -> Error {
        self.link.fault(self.action(doing), trouble)
    }

    fn say(&self, doing: &str, sql: &str) -> Result<()> {
        let said = self.link.say(sql);
        said.map(drop).map_err(|trouble| self.fault(doing, trouble))
    }

    /// Runs a statement, and commits what stands alone.
    fn run(&mut self, sql: &str, params: &[Cell<'_>]) -> Result<u64, Trouble> {
        let heads = statement::heads(sql, Oracle.lexis());
        let words: Vec<&str> = heads
            .first()
            .map(|head| head.words.iter().map(String::as_str).collect())
            .unwrap_or_default();
        let done = self.link.run(sql, params);
        let skipped = done.as_ref().is_err_and(Trouble::is_double) && sql.starts_with(SKIP);
        let done = if skipped { Ok(0) } else { done };
        if Oracle.ends_transaction(&words) {
            self.link.open = Open::Nothing;
        } else if self.link.open == Open::Nothing && words.first() != Some(&"SELECT") {
            let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
            let ended = self.link.say(end);
            return done.and_then(|changed| ended.map(|_| changed));
        }
        done
    }

    fn begin_as(&mut self, open: Open, doing: &str) -> Result<()> {
        if self.link.open != Open::Nothing {
            return Err(Error::new(ErrorKind::Invalid, self.action(doing))
                .because("a transaction is open already"));
        }
        if open == Open::Snapshot(false) {
            self.say(doing, "SET TRANSACTION READ ONLY")?;
        }
        self.link.open = open;
        Ok(())
    }

    /// Ends what is open, by COMMIT or ROLLBACK.
    fn end(&mut self, doing: &str, sql: &str) -> Result<()> {
        let open = std::mem::replace(&mut self.link.open, Open::Nothing);
        if open == Open::Flashback {
            self.say(doing, "BEGIN DBMS_FLASHBACK.DISABLE; END;")?;
        }
        self.say(doing, sql)
    }

    /// Looks back to a moment from here on.
    fn look_back(&mut self, number: &str, doing: &str) -> Result<()> {
        let sql = format!("BEGIN DBMS_FLASHBACK.ENABLE_AT_SYSTEM_CHANGE_NUMBER({number}); END;");
        self.say(doing, &sql)?;
        self.link.open = Open::Flashback;
        Ok(())
    }

    fn one(&mut self, sql: &str) -> Result<String> {
        let rows = crate::dictionary::read(self, sql, &[])?;
        Ok(rows
            .into_iter()
            .flatten()
            .flatten()
            .next()
            .unwrap_or_default())
    }
}

/// Whether an error of preparing a statement speaks of the statement, or of the connection.
fn is_of_the_statement(error: &oracledb::Error) -> bool {
    match error.kind() {
        oracledb::ErrorKind::DbError(told) => {
            kind_of(told.code(), ErrorKind::Cancelled) != ErrorKind::Other
        }
        _ => true,
    }
}

impl Connection for OracleConnection {
    fn dialect(&self) -> &'static dyn Dialect {
        &Oracle
    }

    fn execute(&mut self, sql: &str, params: &[Cell<'_>]) -> Result<u64> {
        let done = self.run(sql, params);
        done.map_err(|trouble| self.fault("running a statement", trouble))
    }

    fn batch(&mut self, sql: &str) -> Result<()> {
        for sql in statements(sql) {
            let done = self.run(sql, &[]);
            done.map_err(|trouble| self.fault("running statements", trouble))?;
        }
        Ok(())
    }

    fn query<'c>(&'c mut self, sql: &str, params: &[Cell<'_>]) -> Result<Box<dyn Rows + 'c>> {
        let action = self.action("querying");
        Ok(Box::new(OracleRows::start(
            &mut self.link,
            sql,
            params,
            action,
        )?))
    }

    fn describe(&mut self, sql: &str, params: usize) -> Result<Vec<Column>> {
        let doing = "preparing a statement";
        let sql = sendable(sql).map_err(|trouble| self.fault(doing, trouble))?;
        let described = self.link.call(|driver| {
            let mut statement = driver.statement(sql)?.exclude_from_cache().build()?;
            // the server would run DDL, and knows a block's faults only when it runs
            if statement.is_query() || statement.is_dml() {
                match statement.ensure_fully_parsed() {
                    // how long values are to be fetched may not be settled before the statement runs
                    Err(error) if !is_of_the_statement(&error) => log::debug!("{error}"),
                    parsed => parsed?,
                }
            }
            let columns = describe(statement.out_metadata()).0;
            Ok((columns, statement.bind_names().len()))
        });
        let (columns, names) = described.map_err(|trouble| self.fault(doing, trouble))?;
        if names != params {
            let why = format!("{params} values for {names} placeholders");
            return Err(self.fault(doing, Trouble::Senseless(why)));
        }
        Ok(columns)
    }

    fn load<'c>(&'c mut self, into: &Load<'_>) -> Result<Box<dyn Loader + 'c>> {
        let action = format!("loading into {} on {}", into.table, self.name);
        let Some(info) = self.dictionary(into.table)? else {
            return Err(Error::new(ErrorKind::Missing, action).because("there is no such table"));
        };
        Ok(Box::new(OracleLoader::start(
            &mut self.link,
            into,
            &info,
            action,
        )?))
    }

    fn load_known<'c>(
        &'c mut self,
        into: &Load<'_>,
        info: &TableInfo,
    ) -> Result<Box<dyn Loader + 'c>> {
        let action = format!("loading into {} on {}", into.table, self.name);
        Ok(Box::new(OracleLoader::start(
            &mut self.link,
            into,
            info,
            action,
        )?))
    }

    fn begin(&mut self) -> Result<()> {
        self.begin_as(Open::Work, "beginning a transaction")
    }

    fn begin_snapshot(&mut self) -> Result<()> {
        self.begin_as(Open::Snapshot(false), "beginning a snapshot")
    }

    /// The moment's system change number. A read-only transaction cannot tell its own: as long as nothing was read in it, the
    /// session looks back to the number instead, as all others will.
    fn export_snapshot(&mut self) -> Result<Option<String>> {
        if self.link.open != Open::Snapshot(false) {
            return Ok(None);
        }
        let doing = "sharing a snapshot";
        let number = self.one("SELECT DBMS_FLASHBACK.GET_SYSTEM_CHANGE_NUMBER FROM DUAL")?;
        self.end(doing, "COMMIT")?;
        self.look_back(&number, doing)?;
        Ok(Some(number))
    }

    fn join_snapshot(&mut self, name: &str) -> Result<()> {
        let doing = "joining a snapshot";
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Error::new(ErrorKind::Invalid, self.action(doing))
                .because("its name is no system change number"));
        }
        self.begin_as(Open::Nothing, doing)?;
        self.look_back(name, doing)
    }

    fn shares_snapshots(&self) -> bool {
        true
    }

    fn lacks_for_sharing(&mut self) -> Result<Option<&'static str>> {
        let may = self.one(FLASHBACK)? != "0";
        Ok((!may).then_some("the right EXECUTE on DBMS_FLASHBACK"))
    }

    fn transactions(&mut self) -> Result<Transactions> {
        transactions::open(self)
    }

    fn check_at_once(&mut self) -> Result<bool> {
        self.say("checking constraints", "SET CONSTRAINTS ALL IMMEDIATE")?;
        Ok(true)
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
        self.link.open != Open::Nothing && self.link.gate.end().is_none()
    }

    fn tables(&mut self) -> Result<Vec<TableName>> {
        dictionary::tables(self)
    }

    fn dictionary(&mut self, table: &TableName) -> Result<Option<TableInfo>> {
        dictionary::table(self, table)
    }

    fn canceller(&self) -> Canceller {
        let gate: Arc<Gate> = Arc::clone(&self.link.gate);
        Canceller::new(move || gate.cancel())
    }

    fn limit_statements(&mut self, timeout: Duration) -> Result<()> {
        self.link.gate.limit(timeout);
        Ok(())
    }
}
