//! Connecting to one of several hosts, statements and transactions.

use super::dialect::Mysql;
use super::dictionary;
use super::fault::{Trouble, fault};
use super::loader::MysqlLoader;
use super::login::Login;
use super::rows::MysqlRows;
use super::statement::{drain, prepare};
use super::transactions;
use super::wire::{Done, Wire};
use crate::net::{Address, Guard, Watch};
use crate::{
    Canceller, Cell, Connection, Dialect, Error, ErrorKind, Load, Loader, Options, Result, Rows,
    TableInfo, TableName, Transactions, Url,
};
use std::sync::Arc;
use std::time::Duration;

const PORT: u16 = 3306;

#[derive(Debug)]
pub(super) struct MysqlConnection {
    wire: Wire,
    /// The URL, for messages.
    name: String,
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
    let guard = Guard::new(url, options)?;
    let mut last = Error::new(ErrorKind::Invalid, format!("connecting to {url}"))
        .because("the URL names no host");
    for host in &url.hosts {
        let address = Address::of(host, PORT, |path, _| path.to_owned());
        match Login::new(url, options, &guard, &address).open(options.statement_timeout, busy) {
            Ok(wire) => {
                return Ok(Box::new(MysqlConnection {
                    wire,
                    name: url.redacted(),
                }));
            }
            Err(trouble) => {
                last = fault(
                    format!("connecting to {url} at {address}"),
                    &Watch::default(),
                    trouble,
                )
            }
        }
        // another host would say the same of a wrong password or a missing database
        if !last.is_transient() && last.kind() != ErrorKind::Other {
            break;
        }
    }
    Err(last)
}

impl MysqlConnection {
    fn action(&self, doing: &str) -> String {
        format!("{doing} on {}", self.name)
    }

    fn fault(&self, doing: &str, trouble: Trouble) -> Error {
        fault(self.action(doing), &self.wire.watch, trouble)
    }

    fn run(&mut self, doing: &str, sql: &str) -> Result<()> {
        run(&mut self.wire, sql)
            .map(drop)
            .map_err(|trouble| self.fault(doing, trouble))
    }

    fn bound(&mut self, sql: &str, params: &[Cell<'_>]) -> Result<Done, Trouble> {
        self.wire.start()?;
        let statement = prepare(&mut self.wire, sql)?;
        let done = statement
            .execute(&mut self.wire, params)
            .and_then(|()| drain(&mut self.wire));
        self.wire.watch.rest();
        statement.close(&mut self.wire)?;
        done
    }

    /// A text of several statements; the server takes such only between these two.
    fn several(&mut self, sql: &str) -> Result<(), Trouble> {
        let option = |wire: &mut Wire, off: u8| {
            wire.command(0x1b, &[&[off, 0]])?;
            wire.answer().map(drop)
        };
        self.wire.start()?;
        option(&mut self.wire, 0)?;
        let done = run(&mut self.wire, sql).map(drop);
        if !matches!(done, Err(Trouble::Broken(_))) {
            option(&mut self.wire, 1)?;
        }
        done
    }
}

/// Runs a statement without parameters.
pub(super) fn run(wire: &mut Wire, sql: &str) -> Result<Done, Trouble> {
    wire.start()?;
    let done = wire
        .command(3, &[sql.as_bytes()])
        .and_then(|()| drain(wire));
    wire.watch.rest();
    done
}

impl Connection for MysqlConnection {
    fn dialect(&self) -> &'static dyn Dialect {
        &Mysql
    }

    fn execute(&mut self, sql: &str, params: &[Cell<'_>]) -> Result<u64> {
        let done = if params.is_empty() {
            run(&mut self.wire, sql)
        } else {
            self.bound(sql, params)
        };
        Ok(done
            .map_err(|trouble| self.fault("running a statement", trouble))?
            .changed)
    }

    fn batch(&mut self, sql: &str) -> Result<()> {
        self.several(sql)
            .map_err(|trouble| self.fault("running statements", trouble))
    }

    fn query<'c>(&'c mut self, sql: &str, params: &[Cell<'_>]) -> Result<Box<dyn Rows + 'c>> {
        let action = self.action("querying");
        Ok(Box::new(MysqlRows::start(
            &mut self.wire,
            sql,
            params,
            action,
        )?))
    }

    fn load<'c>(&'c mut self, into: &Load<'_>) -> Result<Box<dyn Loader + 'c>> {
        let action = format!("loading into {} on {}", into.table, self.name);
        let Some(info) = self.dictionary(into.table)? else {
            return Err(Error::new(ErrorKind::Missing, &action).because("there is no such table"));
        };
        Ok(Box::new(MysqlLoader::start(
            &mut self.wire,
            into,
            info,
            action,
        )?))
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
        self.wire.in_transaction()
    }

    fn tables(&mut self) -> Result<Vec<TableName>> {
        dictionary::tables(self)
    }

    fn dictionary(&mut self, table: &TableName) -> Result<Option<TableInfo>> {
        dictionary::table(self, table)
    }

    fn canceller(&self) -> Canceller {
        let (watch, stopper) = (Arc::clone(&self.wire.watch), Arc::clone(&self.wire.stopper));
        Canceller::new(move || stopper.stop(&watch, Watch::cancel))
    }

    fn limit_statements(&mut self, timeout: Duration) -> Result<()> {
        self.wire.watch.limit(timeout);
        Ok(())
    }
}
