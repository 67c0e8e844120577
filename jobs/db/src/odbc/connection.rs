//! Connecting, statements and transactions: the face, in front of the driver's thread.

use super::catalog;
use super::engine::Engine;
use super::fault::{Trouble, fault};
use super::loader::OdbcLoader;
use super::rows::{OdbcRows, owned};
use super::session::Session;
use super::worker::Worker;
use crate::{
    Canceller, Cell, Column, Connection, Dialect, Error, ErrorKind, Load, Loader, Options, Result,
    Rows, TableInfo, TableName, Transactions, Url,
};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct OdbcConnection {
    worker: Worker,
    engine: Engine,
    dialect: Words,
    /// A transaction or snapshot is open.
    open: bool,
}

/// A dialect that can be printed.
struct Words(&'static dyn Dialect);

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name())
    }
}

/// What stands in messages instead of the connection string.
const NAME: &str = "odbc:…";

pub(super) fn connect(url: &Url, options: &Options) -> Result<Box<dyn Connection>> {
    let action = format!("connecting to {NAME}");
    let (reach, wait) = (options.connect_timeout, options.busy_timeout);
    let string = url.database.clone();
    let opened = Worker::open(reach, options.statement_timeout, move || {
        Session::open(&string, reach, wait)
    });
    let mut worker = opened.map_err(|trouble| match trouble {
        Trouble::Silent => {
            Error::new(ErrorKind::Connect, &action).because("no answer within the connect timeout")
        }
        Trouble::Refused(mut complaint) => {
            complaint.message = without_secrets(&complaint.message, &url.database);
            // a general warning is what the driver manager calls a driver that it cannot load
            let unloaded = complaint.state == "01000";
            let refused = Trouble::Refused(complaint);
            let error = fault(&action, Engine::Other, ErrorKind::Timeout, refused);
            if unloaded {
                error.with_kind(ErrorKind::Invalid)
            } else {
                error
            }
        }
        trouble => fault(&action, Engine::Other, ErrorKind::Timeout, trouble),
    })?;
    let told = worker.call(|session| Ok((session.engine, session.dialect)));
    let (engine, dialect) =
        told.map_err(|trouble| fault(&action, Engine::Other, ErrorKind::Timeout, trouble))?;
    Ok(Box::new(OdbcConnection {
        worker,
        engine,
        dialect: Words(dialect),
        open: false,
    }))
}

/// A driver's message without the passwords of the connection string.
fn without_secrets(message: &str, string: &str) -> String {
    let mut clean = message.to_owned();
    for part in string.split(';') {
        let Some((name, value)) = part.split_once('=') else {
            continue;
        };
        let name = name.trim().to_ascii_lowercase();
        let value = value.trim().trim_start_matches('{').trim_end_matches('}');
        if ["pwd", "password", "passwd"].contains(&name.as_str()) && !value.is_empty() {
            clean = clean.replace(value, "…");
        }
    }
    clean
}

impl OdbcConnection {
    fn fault(&self, doing: &str, trouble: Trouble) -> Error {
        let action = format!("{doing} on {NAME}");
        fault(action, self.engine, self.worker.stop.verdict(), trouble)
    }

    /// Does something on the driver's thread.
    fn with<T: Send + 'static>(
        &mut self,
        doing: &str,
        work: impl FnOnce(&mut Session) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T> {
        let done = self.worker.call(work);
        if done.is_err() && self.open {
            let undone = self.worker.call(|session| Ok(session.undone));
            if undone.is_ok_and(|undone| undone) {
                self.open = false;
                if let Err(trouble) = self.worker.call(|session| session.autocommit(true)) {
                    log::debug!("after a transaction that the server undid: {trouble:?}");
                }
            }
        }
        done.map_err(|trouble| self.fault(doing, trouble))
    }

    fn end(&mut self, doing: &str, commit: bool) -> Result<()> {
        self.open = false;
        self.with(doing, move |session| {
            let ended = if commit {
                session.commit()
            } else {
                session.rollback()
            };
            if ended.is_err() && commit {
                // whatever is left of it must not be in the next one
                session.rollback()?;
            }
            session.autocommit(true)?;
            ended
        })
    }

    fn refuse_second(&self, doing: &str) -> Result<()> {
        if !self.open {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Invalid, format!("{doing} on {NAME}"))
            .because("a transaction is open already"))
    }
}

impl Connection for OdbcConnection {
    fn dialect(&self) -> &'static dyn Dialect {
        self.dialect.0
    }

    fn execute(&mut self, sql: &str, params: &[Cell<'_>]) -> Result<u64> {
        let (sql, params) = (sql.to_owned(), owned(params));
        self.with("running a statement", move |session| {
            session.execute(&sql, &params)
        })
    }

    fn batch(&mut self, sql: &str) -> Result<()> {
        let sql = sql.to_owned();
        self.with("running statements", move |session| session.several(&sql))
    }

    fn query<'c>(&'c mut self, sql: &str, params: &[Cell<'_>]) -> Result<Box<dyn Rows + 'c>> {
        let action = format!("querying on {NAME}");
        let rows = OdbcRows::start(&mut self.worker, self.engine, sql, params, action)?;
        Ok(Box::new(rows))
    }

    fn describe(&mut self, sql: &str, params: usize) -> Result<Vec<Column>> {
        const PROBE: &str = "procctl_probe";
        let (sql, open) = (sql.to_owned(), self.open);
        self.with("preparing a statement", move |session| {
            if !open {
                return session.describe(&sql, params);
            }
            session.savepoint(PROBE)?;
            let told = session.describe(&sql, params);
            session.undo_to(PROBE)?;
            session.release(PROBE)?;
            told
        })
    }

    fn load<'c>(&'c mut self, into: &Load<'_>) -> Result<Box<dyn Loader + 'c>> {
        let action = format!("loading into {} on {NAME}", into.table);
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
        let action = format!("loading into {} on {NAME}", into.table);
        self.engine.refuse(self, into.table, &action)?;
        let loader = OdbcLoader::start(
            &mut self.worker,
            self.engine,
            self.dialect.0,
            into,
            info,
            action,
            self.open,
        )?;
        Ok(Box::new(loader))
    }

    fn begin(&mut self) -> Result<()> {
        let doing = "beginning a transaction";
        self.refuse_second(doing)?;
        self.with(doing, |session| session.autocommit(false))?;
        self.open = true;
        Ok(())
    }

    fn begin_snapshot(&mut self) -> Result<()> {
        let doing = "beginning a snapshot";
        self.refuse_second(doing)?;
        self.with(doing, |session| {
            session.autocommit(false)?;
            for sql in session.engine.snapshot() {
                if let Err(trouble) = session.say(sql) {
                    session.rollback()?;
                    session.autocommit(true)?;
                    return Err(trouble);
                }
            }
            Ok(())
        })?;
        self.open = true;
        Ok(())
    }

    fn transactions(&mut self) -> Result<Transactions> {
        self.engine.transactions(self)
    }

    fn commit(&mut self) -> Result<()> {
        if !self.open {
            return Err(
                Error::new(ErrorKind::Other, format!("committing on {NAME}"))
                    .because("no transaction is open"),
            );
        }
        self.end("committing", true)
    }

    fn rollback(&mut self) -> Result<()> {
        if !self.open {
            return Ok(());
        }
        self.end("rolling back", false)
    }

    fn in_transaction(&self) -> bool {
        self.open && !self.worker.stop.gone()
    }

    fn tables(&mut self) -> Result<Vec<TableName>> {
        match self.engine.tables(self) {
            Some(told) => told,
            None => self.with("listing tables", catalog::tables),
        }
    }

    fn dictionary(&mut self, table: &TableName) -> Result<Option<TableInfo>> {
        if let Some(told) = self.engine.table(self, table) {
            return told;
        }
        let wanted = table.clone();
        let doing = format!("reading the columns of {table}");
        self.with(&doing, move |session| catalog::table(session, &wanted))
    }

    fn canceller(&self) -> Canceller {
        let stop = Arc::clone(&self.worker.stop);
        Canceller::new(move || stop.cancel())
    }

    fn limit_statements(&mut self, timeout: Duration) -> Result<()> {
        self.worker.stop.limit(timeout);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_do_not_show() {
        let string = "DRIVER=x;UID=app;Pwd={hunter2};Password=other";
        let clean = without_secrets("no login for app with hunter2 or other", string);
        assert_eq!(clean, "no login for app with … or …");
    }

    #[test]
    fn what_is_no_driver_is_told() {
        let url = Url::parse("odbc:DRIVER=/nowhere/libnone.so;PWD=hunter2").unwrap();
        let error = connect(&url, &Options::default()).err().unwrap();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            !cause.contains("hunter2") && cause.contains("libnone"),
            "{cause}"
        );
    }
}
