//! Opening a file, statements and transactions.

use super::dialect::Sqlite;
use super::dictionary;
use super::fault::{fault, refused};
use super::loader::SqliteLoader;
use super::parents::Parents;
use super::rows::{SqliteRows, columns};
use super::watch::{STEPS, Watch};
use crate::{
    Canceller, Cell, Column, Connection, Dialect, Error, ErrorKind, Load, Loader, Options, Result,
    Rows, TableInfo, TableName, Url,
};
use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{OpenFlags, Statement};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(super) struct SqliteConnection {
    inner: rusqlite::Connection,
    watch: Arc<Watch>,
    /// The URL, for messages.
    name: String,
    /// Whether loads of this transaction check at once what SQLite would check at its end.
    at_once: bool,
}

pub(super) fn connect(url: &Url, options: &Options) -> Result<Box<dyn Connection>> {
    url.only(&["mode", "journal", "busy-timeout"])?;
    let action = format!("connecting to {url}");
    let busy = url
        .duration("busy-timeout")?
        .unwrap_or(options.busy_timeout);
    let watch = Arc::new(Watch::new(options.statement_timeout, busy));
    let path = place(url, options);
    let fresh = path.as_deref().is_some_and(is_fresh);
    let flags = flags(url, options)?;
    let opened = match &path {
        Some(path) => rusqlite::Connection::open_with_flags(path, flags),
        None => rusqlite::Connection::open_in_memory_with_flags(flags),
    };
    let inner = opened.map_err(|error| unopened(&action, &watch, path.as_deref(), error))?;
    let mut connection = SqliteConnection {
        inner,
        watch,
        name: url.redacted(),
        at_once: false,
    };
    connection
        .settle(url, fresh)
        .map_err(|error| fault(action, &connection.watch, error))?;
    Ok(Box::new(connection))
}

/// Whether the file is still to be made, or was made empty.
fn is_fresh(path: &Path) -> bool {
    std::fs::metadata(path).map_or(true, |meta| meta.len() == 0)
}

/// The file; `None` for a database in memory.
fn place(url: &Url, options: &Options) -> Option<PathBuf> {
    match url.database.as_str() {
        ":memory:" | "" => None,
        path => Some(options.base.join(path)),
    }
}

fn flags(url: &Url, options: &Options) -> Result<OpenFlags> {
    let access = match url.param("mode") {
        Some("ro") => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Some("rw") => OpenFlags::SQLITE_OPEN_READ_WRITE,
        None if !options.create => OpenFlags::SQLITE_OPEN_READ_WRITE,
        None | Some("rwc") => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        Some(_) => {
            return Err(Error::new(ErrorKind::Invalid, format!("reading {url}"))
                .because("mode is ro, rw or rwc"));
        }
    };
    if !matches!(url.param("journal"), None | Some("wal" | "delete")) {
        return Err(Error::new(ErrorKind::Invalid, format!("reading {url}"))
            .because("journal is wal or delete"));
    }
    // one user at a time by &mut, so SQLite's own mutex would only cost
    Ok(access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE)
}

/// SQLite says "cannot open" of everything; the file system knows more.
fn unopened(action: &str, watch: &Watch, path: Option<&Path>, error: rusqlite::Error) -> Error {
    let fault = fault(action, watch, error);
    let Some(path) = path else { return fault };
    let looked = std::fs::File::open(path).map(drop);
    if looked.is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied) {
        return fault.with_kind(ErrorKind::Permission);
    }
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            fault.because(format!("there is no folder {}", folder.display()))
        }
        _ => fault,
    }
}

impl SqliteConnection {
    fn settle(&mut self, url: &Url, fresh: bool) -> rusqlite::Result<()> {
        let busy = Arc::clone(&self.watch);
        self.inner
            .busy_handler(Some(move |attempt| busy.waits(attempt)))?;
        let watch = Arc::clone(&self.watch);
        self.inner
            .progress_handler(STEPS, Some(move || watch.stops()))?;
        // a misspelt "column" must be an error, not a string
        self.inner
            .set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
        self.inner.execute_batch(
            "PRAGMA foreign_keys=ON; PRAGMA synchronous=FULL; PRAGMA cache_size=-16000;",
        )?;
        let journal = url.param("journal").or(fresh.then_some("wal"));
        if let Some(journal) = journal.filter(|_| url.param("mode") != Some("ro")) {
            let set = format!("PRAGMA journal_mode={journal}");
            self.inner.query_row(&set, [], |_| Ok(()))?;
        }
        // the first look at the file: tells now whether it is a database at all
        self.inner
            .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
    }

    fn action(&self, doing: &str) -> String {
        format!("{doing} on {}", self.name)
    }

    fn run(&mut self, doing: &str, sql: &str) -> Result<()> {
        self.watch.start();
        self.inner
            .execute_batch(sql)
            .map_err(|error| fault(self.action(doing), &self.watch, error))
    }
}

/// Binds text to a statement's parameters in order.
fn bind(statement: &mut Statement<'_>, params: &[Cell<'_>]) -> rusqlite::Result<()> {
    let expected = statement.parameter_count();
    if expected != params.len() {
        return Err(rusqlite::Error::InvalidParameterCount(
            params.len(),
            expected,
        ));
    }
    for (index, param) in params.iter().enumerate() {
        let value = param.map_or(ValueRef::Null, ValueRef::Text);
        statement.raw_bind_parameter(index + 1, ToSqlOutput::Borrowed(value))?;
    }
    Ok(())
}

impl Connection for SqliteConnection {
    fn dialect(&self) -> &'static dyn Dialect {
        &Sqlite
    }

    fn execute(&mut self, sql: &str, params: &[Cell<'_>]) -> Result<u64> {
        self.watch.start();
        let action = || self.action("running a statement");
        let mut statement = self
            .inner
            .prepare_cached(sql)
            .map_err(|error| refused(action(), &self.watch, error))?;
        bind(&mut statement, params).map_err(|error| fault(action(), &self.watch, error))?;
        // changes() speaks of the last INSERT, UPDATE or DELETE, which need not be this statement
        let before = self.inner.total_changes();
        let mut rows = statement.raw_query();
        while rows
            .next()
            .map_err(|error| fault(action(), &self.watch, error))?
            .is_some()
        {}
        let changed = self.inner.total_changes() != before;
        Ok(if changed { self.inner.changes() } else { 0 })
    }

    fn batch(&mut self, sql: &str) -> Result<()> {
        self.watch.start();
        self.inner
            .execute_batch(sql)
            .map_err(|error| refused(self.action("running statements"), &self.watch, error))
    }

    fn query<'c>(&'c mut self, sql: &str, params: &[Cell<'_>]) -> Result<Box<dyn Rows + 'c>> {
        self.watch.start();
        let action = self.action("querying");
        let mut statement = self
            .inner
            .prepare_cached(sql)
            .map_err(|error| refused(&action, &self.watch, error))?;
        bind(&mut statement, params).map_err(|error| fault(&action, &self.watch, error))?;
        Ok(Box::new(SqliteRows::start(statement, &self.watch, action)?))
    }

    fn describe(&mut self, sql: &str, params: usize) -> Result<Vec<Column>> {
        self.watch.start();
        let action = self.action("preparing a statement");
        let statement = self
            .inner
            .prepare(sql)
            .map_err(|error| refused(&action, &self.watch, error))?;
        let expected = statement.parameter_count();
        if expected != params {
            let error = rusqlite::Error::InvalidParameterCount(params, expected);
            return Err(fault(action, &self.watch, error));
        }
        Ok(columns(&statement))
    }

    fn load<'c>(&'c mut self, into: &Load<'_>) -> Result<Box<dyn Loader + 'c>> {
        self.watch.start();
        let action = format!("loading into {} on {}", into.table, self.name);
        let info = dictionary::table(&self.inner, into.table)
            .map_err(|error| fault(&action, &self.watch, error))?
            .ok_or_else(|| {
                Error::new(ErrorKind::Missing, &action).because("there is no such table")
            })?;
        self.load_known(into, &info)
    }

    fn load_known<'c>(
        &'c mut self,
        into: &Load<'_>,
        info: &TableInfo,
    ) -> Result<Box<dyn Loader + 'c>> {
        self.watch.start();
        let action = format!("loading into {} on {}", into.table, self.name);
        let parents = if self.at_once && !self.inner.is_autocommit() {
            Parents::learn(&self.inner, into).map_err(|error| fault(&action, &self.watch, error))?
        } else {
            Parents::default()
        };
        let loader = SqliteLoader::start(&self.inner, &self.watch, into, info, parents, action)?;
        Ok(Box::new(loader))
    }

    fn begin(&mut self) -> Result<()> {
        self.at_once = false;
        // IMMEDIATE: a transaction that takes the write lock later could be refused without a wait
        self.run("beginning a transaction", "BEGIN IMMEDIATE")
    }

    fn begin_snapshot(&mut self) -> Result<()> {
        // the snapshot is that of the first read
        self.run(
            "beginning a snapshot",
            "BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1",
        )
    }

    fn check_at_once(&mut self) -> Result<bool> {
        self.at_once = true;
        Ok(true)
    }

    fn commit(&mut self) -> Result<()> {
        self.run("committing", "COMMIT")
    }

    fn rollback(&mut self) -> Result<()> {
        if self.inner.is_autocommit() {
            return Ok(());
        }
        self.run("rolling back", "ROLLBACK")
    }

    fn in_transaction(&self) -> bool {
        !self.inner.is_autocommit()
    }

    fn tables(&mut self) -> Result<Vec<TableName>> {
        self.watch.start();
        dictionary::tables(&self.inner)
            .map_err(|error| fault(self.action("listing tables"), &self.watch, error))
    }

    fn dictionary(&mut self, table: &TableName) -> Result<Option<TableInfo>> {
        self.watch.start();
        dictionary::table(&self.inner, table).map_err(|error| {
            fault(
                self.action(&format!("reading the columns of {table}")),
                &self.watch,
                error,
            )
        })
    }

    fn canceller(&self) -> Canceller {
        let watch = Arc::clone(&self.watch);
        let handle = self.inner.get_interrupt_handle();
        Canceller::new(move || {
            watch.cancel();
            handle.interrupt();
        })
    }

    fn limit_statements(&mut self, timeout: Duration) -> Result<()> {
        self.watch.limit(timeout);
        Ok(())
    }
}
