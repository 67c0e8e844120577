//! Connecting to one of several hosts, statements and transactions.

use super::dialect::Postgres;
use super::dictionary;
use super::fault::{Trouble, fault};
use super::loader::PostgresLoader;
use super::login::log_in;
use super::rows::PostgresRows;
use super::transactions;
use super::wire::Wire;
use crate::net::{Address, Guard};
use crate::{
    Canceller, Cell, Connection, Dialect, Error, ErrorKind, Load, Loader, Options, Result, Rows,
    TableInfo, TableName, Transactions, Url,
};
use std::sync::Arc;
use std::time::Duration;

const PORT: u16 = 5432;

#[derive(Debug)]
pub(super) struct PostgresConnection {
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
        let address = Address::of(host, PORT, |folder, port| {
            format!("{folder}/.s.PGSQL.{port}")
        });
        match log_in(url, options, &guard, &address, busy) {
            Ok(wire) => {
                return Ok(Box::new(PostgresConnection {
                    wire,
                    name: url.redacted(),
                }));
            }
            Err(trouble) => {
                last = fault(
                    format!("connecting to {url} at {address}"),
                    &Default::default(),
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

impl PostgresConnection {
    fn action(&self, doing: &str) -> String {
        format!("{doing} on {}", self.name)
    }

    fn fault(&self, doing: &str, trouble: Trouble) -> Error {
        fault(self.action(doing), &self.wire.watch, trouble)
    }

    fn run(&mut self, doing: &str, sql: &str) -> Result<()> {
        self.wire.put_query(sql);
        self.wire
            .run(|_, _| {})
            .map_err(|trouble| self.fault(doing, trouble))
    }

    /// Runs one statement; returns the tag that the server ends it with.
    fn tag(&mut self, sql: &str, params: &[Cell<'_>]) -> Result<String, Trouble> {
        // undone alone if it is refused, as on other databases, where a refused statement does not end the transaction
        let guarded = self.wire.status == b'T' && !controls(sql);
        if guarded {
            self.wire.put_statement("SAVEPOINT statement", &[]);
            self.wire.put_execute(0);
        }
        self.wire.put_statement(sql, params);
        self.wire.put_execute(0);
        if guarded {
            self.wire.put_statement("RELEASE SAVEPOINT statement", &[]);
            self.wire.put_execute(0);
        }
        self.wire.put_sync();
        let mut tags = Vec::new();
        let ended = self.wire.run(|letter, body| {
            if letter == b'C' {
                tags.push(
                    String::from_utf8_lossy(body)
                        .trim_end_matches('\0')
                        .to_owned(),
                );
            }
        });
        if guarded && !tags.is_empty() && matches!(ended, Err(Trouble::Refused(_))) {
            self.wire
                .put_query("ROLLBACK TO SAVEPOINT statement; RELEASE SAVEPOINT statement");
            self.wire.settle_after_refusal()?;
        }
        ended.map(|()| {
            tags.into_iter()
                .nth(usize::from(guarded))
                .unwrap_or_default()
        })
    }

    /// The only cell of a query's only row.
    fn value(&mut self, doing: &str, sql: &str) -> Result<Option<String>> {
        let mut rows = self.query(sql, &[])?;
        let row = rows.fetch()?.map(|row| {
            row.cell(0)
                .map(|text| String::from_utf8_lossy(text).into_owned())
        });
        row.ok_or_else(|| {
            Error::new(ErrorKind::Other, doing).because("the server answered without a row")
        })
    }
}

/// Whether a statement begins or ends transactions itself, or may not stand within a savepoint.
fn controls(sql: &str) -> bool {
    let word: String = sql
        .trim_start()
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .collect();
    [
        "begin",
        "start",
        "commit",
        "end",
        "rollback",
        "abort",
        "savepoint",
        "release",
        "prepare",
    ]
    .iter()
    .any(|known| word.eq_ignore_ascii_case(known))
}

/// The number of changed rows that a tag tells: `INSERT 0 3`, `UPDATE 2`, `DELETE 3`, `MERGE 4`, `COPY 5`.
fn changed(tag: &str) -> u64 {
    let mut words = tag.split(' ');
    match words.next() {
        Some("INSERT" | "UPDATE" | "DELETE" | "MERGE" | "COPY") => words
            .next_back()
            .and_then(|number| number.parse().ok())
            .unwrap_or(0),
        _ => 0,
    }
}

impl Connection for PostgresConnection {
    fn dialect(&self) -> &'static dyn Dialect {
        &Postgres
    }

    fn execute(&mut self, sql: &str, params: &[Cell<'_>]) -> Result<u64> {
        let tag = self
            .tag(sql, params)
            .map_err(|trouble| self.fault("running a statement", trouble))?;
        Ok(changed(&tag))
    }

    fn batch(&mut self, sql: &str) -> Result<()> {
        self.run("running statements", sql)
    }

    fn query<'c>(&'c mut self, sql: &str, params: &[Cell<'_>]) -> Result<Box<dyn Rows + 'c>> {
        let action = self.action("querying");
        Ok(Box::new(PostgresRows::start(
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
        let keys = dictionary::key_names(self, into.table)?;
        Ok(Box::new(PostgresLoader::start(
            &mut self.wire,
            into,
            &info,
            keys,
            action,
        )?))
    }

    fn begin(&mut self) -> Result<()> {
        if self.in_transaction() {
            return Err(
                Error::new(ErrorKind::Invalid, self.action("beginning a transaction"))
                    .because("one is open already"),
            );
        }
        self.run("beginning a transaction", "BEGIN")
    }

    fn begin_snapshot(&mut self) -> Result<()> {
        // the snapshot is that of the first statement
        self.run(
            "beginning a snapshot",
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1",
        )
    }

    fn export_snapshot(&mut self) -> Result<Option<String>> {
        self.value("exporting a snapshot", "SELECT pg_export_snapshot()")
    }

    fn join_snapshot(&mut self, name: &str) -> Result<()> {
        let plain = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !plain {
            return Err(Error::new(
                ErrorKind::Invalid,
                self.action(&format!("joining snapshot {name:?}")),
            ));
        }
        let sql = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '{name}'"
        );
        let joined = self.run(&format!("joining snapshot {name}"), &sql);
        if joined.is_err() {
            self.rollback()?;
        }
        joined
    }

    fn shares_snapshots(&self) -> bool {
        true
    }

    fn transactions(&mut self) -> Result<Transactions> {
        transactions::open(self)
    }

    fn commit(&mut self) -> Result<()> {
        let refuse =
            |why: &str| Err(Error::new(ErrorKind::Other, self.action("committing")).because(why));
        match self.wire.status {
            b'T' => self.run("committing", "COMMIT"),
            b'E' => {
                let refused = refuse("the transaction had failed and was rolled back");
                self.rollback()?;
                refused
            }
            _ => refuse("no transaction is open"),
        }
    }

    fn rollback(&mut self) -> Result<()> {
        if !self.in_transaction() {
            return Ok(());
        }
        self.run("rolling back", "ROLLBACK")
    }

    fn in_transaction(&self) -> bool {
        self.wire.status != b'I'
    }

    fn tables(&mut self) -> Result<Vec<TableName>> {
        dictionary::tables(self)
    }

    fn dictionary(&mut self, table: &TableName) -> Result<Option<TableInfo>> {
        dictionary::table(self, table)
    }

    fn canceller(&self) -> Canceller {
        let (watch, key) = (Arc::clone(&self.wire.watch), Arc::clone(&self.wire.key));
        Canceller::new(move || {
            if !watch.runs() {
                return;
            }
            watch.cancel();
            if let Err(error) = key.cancel() {
                log::warn!("could not cancel a statement: {error}");
            }
        })
    }

    fn limit_statements(&mut self, timeout: Duration) -> Result<()> {
        self.wire.watch.limit(timeout);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_tell_changes() {
        assert_eq!(
            (
                changed("INSERT 0 3"),
                changed("UPDATE 2"),
                changed("SELECT 9"),
                changed("CREATE TABLE")
            ),
            (3, 2, 0, 0)
        );
        assert!(controls(" rollback to x") && !controls("INSERT INTO begin") && !controls(""));
    }
}
