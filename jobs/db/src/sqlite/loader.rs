//! The bulk path: one prepared INSERT within a savepoint, text bound as what its column holds.

use super::dialect::Sqlite;
use super::fault::{fault, refused};
use super::parents::Parents;
use super::value::{bind, describe};
use super::watch::Watch;
use crate::gathering::{check_width, log_left_behind};
use crate::{
    Cell, Constraint, Dialect, Error, ErrorKind, Kind, Load, Loaded, Loader, Reject, Result,
    TableInfo,
};
use rusqlite::{CachedStatement, Connection};

/// So many rows wait for their parents at most.
const WAITING: usize = 10_000;

pub(super) struct SqliteLoader<'c> {
    connection: &'c Connection,
    statement: CachedStatement<'c>,
    watch: &'c Watch,
    action: String,
    columns: Vec<Target>,
    keys: Keys,
    /// Bytes of a blob, between hex and SQLite.
    scratch: Vec<u8>,
    pushed: u64,
    rows: u64,
    skipped: u64,
    rejects: Vec<Reject>,
    parents: Parents,
    /// Rows whose parent is not there yet: tried again after all others.
    orphans: Vec<Reject>,
    /// The transaction is the loader's own, not its caller's.
    own: bool,
    open: bool,
}

/// A column that rows are loaded into.
struct Target {
    name: String,
    kind: Kind,
    required: bool,
}

/// What is needed to name the column of a key error without reading messages.
struct Keys {
    primary: String,
    /// Set when there is just one, so that there is no doubt which.
    unique: Option<String>,
}

impl<'c> SqliteLoader<'c> {
    pub(super) fn start(
        connection: &'c Connection,
        watch: &'c Watch,
        into: &Load<'_>,
        info: &TableInfo,
        parents: Parents,
        action: String,
    ) -> Result<Self> {
        let columns = targets(into, info, &action)?;
        let statement = connection
            .prepare_cached(&Sqlite.insert(into))
            .map_err(|error| refused(&action, watch, error))?;
        let own = connection.is_autocommit();
        connection
            .execute_batch(if own {
                "BEGIN IMMEDIATE; SAVEPOINT loader"
            } else {
                "SAVEPOINT loader"
            })
            .map_err(|error| fault(&action, watch, error))?;
        let keys = Keys {
            primary: info.primary_key.join(", "),
            unique: match info.uniques.as_slice() {
                [only] => Some(only.join(", ")),
                _ => None,
            },
        };
        Ok(SqliteLoader {
            connection,
            statement,
            watch,
            action,
            columns,
            keys,
            scratch: Vec::new(),
            pushed: 0,
            rows: 0,
            skipped: 0,
            rejects: Vec::new(),
            parents,
            orphans: Vec::new(),
            own,
            open: true,
        })
    }

    fn insert(&mut self, row: &[Cell<'_>]) -> Result<()> {
        for (index, (target, cell)) in self.columns.iter().zip(row).enumerate() {
            let bound = bind(
                &mut self.statement,
                index + 1,
                target.kind,
                *cell,
                &mut self.scratch,
            );
            match bound {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(fault(&self.action, self.watch, error)),
                Err(misfit) => {
                    return Err(Error::new(ErrorKind::Type, &self.action)
                        .at_column(&target.name)
                        .because(describe(misfit, *cell)));
                }
            }
        }
        let changed = self.statement.raw_execute();
        match changed {
            Ok(0) => self.skipped += 1,
            Ok(_) => self.rows += 1,
            Err(error) => return Err(self.locate(row, fault(&self.action, self.watch, error))),
        }
        Ok(())
    }

    /// Inserts a row, and takes it back if it lacks a parent: an error that tells the columns.
    fn insert_checked(&mut self, row: &[Cell<'_>]) -> Result<()> {
        if self.parents.is_empty() {
            return self.insert(row);
        }
        let before = (self.rows, self.skipped);
        self.end("SAVEPOINT loaded_row")?;
        let mut inserted = self.insert(row);
        if inserted.is_ok() && self.rows > before.0 {
            let lacking = self.parents.lacking(self.connection, self.columns_of(row));
            inserted = match lacking.map_err(|error| fault(&self.action, self.watch, error))? {
                None => Ok(()),
                Some((columns, table)) => Err(Error::new(
                    ErrorKind::Constraint(Constraint::ForeignKey),
                    &self.action,
                )
                .at_column(columns)
                .because(format!("{table} has no such row"))),
            };
        }
        if inserted.is_ok() {
            self.end("RELEASE loaded_row")?;
        } else if !self.connection.is_autocommit() {
            (self.rows, self.skipped) = before;
            self.end("ROLLBACK TO loaded_row; RELEASE loaded_row")?;
        }
        inserted
    }

    /// The row's cells with what their columns hold.
    fn columns_of<'s, 'r>(
        &'s self,
        row: &'s [Cell<'r>],
    ) -> impl Fn(usize) -> (Kind, Cell<'r>) + use<'s, 'r, 'c> {
        move |place| (self.columns[place].kind, row[place])
    }

    /// Tries rows without a parent for as long as others of them bring parents along; those that are left are bad.
    fn settle_orphans(&mut self) -> Result<()> {
        loop {
            let orphans = std::mem::take(&mut self.orphans);
            let before = orphans.len();
            for orphan in orphans {
                let row: Vec<Cell<'_>> = orphan.cells.iter().map(Option::as_deref).collect();
                self.take(orphan.ordinal, &row)?;
            }
            if self.orphans.len() == before {
                self.rejects.append(&mut self.orphans);
                return Ok(());
            }
        }
    }

    /// Loads a row, or keeps it as one that is refused or has to wait.
    fn take(&mut self, ordinal: u64, row: &[Cell<'_>]) -> Result<()> {
        match self.insert_checked(row) {
            Err(error) if !error.is_row_error() => Err(error),
            // a trigger's RAISE(ROLLBACK) takes the rows before it, too
            Err(error) if self.connection.is_autocommit() => Err(error.with_kind(ErrorKind::Other)),
            Err(error) => {
                let waits = !self.parents.is_empty()
                    && error.kind() == ErrorKind::Constraint(Constraint::ForeignKey);
                let reject = Reject::new(ordinal, row, error);
                if waits {
                    self.orphans.push(reject);
                } else {
                    self.rejects.push(reject);
                }
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Adds the column, from the row and the dictionary.
    fn locate(&self, row: &[Cell<'_>], error: Error) -> Error {
        let column = match error.kind() {
            ErrorKind::Constraint(Constraint::NotNull) => self
                .columns
                .iter()
                .zip(row)
                .find(|(target, cell)| target.required && cell.is_none())
                .map(|(target, _)| target.name.clone()),
            ErrorKind::Constraint(Constraint::Unique) => {
                let primary = error.native().is_some_and(is_primary);
                if primary {
                    Some(self.keys.primary.clone())
                } else {
                    self.keys.unique.clone()
                }
            }
            _ => None,
        };
        match column.filter(|column| !column.is_empty()) {
            Some(column) => error.at_column(column),
            None => error,
        }
    }

    fn end(&self, how: &str) -> Result<()> {
        self.connection
            .execute_batch(how)
            .map_err(|error| fault(&self.action, self.watch, error))
    }
}

fn is_primary(native: &str) -> bool {
    use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_ROWID};
    [SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_ROWID]
        .iter()
        .any(|code| native == format!("sqlite {code}"))
}

fn targets(into: &Load<'_>, info: &TableInfo, action: &str) -> Result<Vec<Target>> {
    let missing = |name: &String| {
        Error::new(ErrorKind::Missing, action)
            .at_column(name)
            .because("the table has no such column")
    };
    into.columns
        .iter()
        .map(|name| {
            let column = info.column(name).ok_or_else(|| missing(name))?;
            Ok(Target {
                name: column.name.clone(),
                kind: column.kind,
                required: !column.nullable && !column.auto,
            })
        })
        .collect()
}

impl Loader for SqliteLoader<'_> {
    fn push(&mut self, row: &[Cell<'_>]) -> Result<()> {
        self.watch.again();
        check_width(row, self.columns.len(), &self.action)?;
        let ordinal = self.pushed;
        self.pushed += 1;
        self.take(ordinal, row)?;
        if self.orphans.len() >= WAITING {
            self.settle_orphans()?;
        }
        Ok(())
    }

    fn rejects(&mut self) -> Vec<Reject> {
        std::mem::take(&mut self.rejects)
    }

    fn finish(mut self: Box<Self>) -> Result<Loaded> {
        self.watch.start();
        self.settle_orphans()?;
        self.end(if self.own {
            "RELEASE loader; COMMIT"
        } else {
            "RELEASE loader"
        })?;
        self.open = false;
        Ok(Loaded {
            rows: self.rows,
            skipped: self.skipped,
            rejects: std::mem::take(&mut self.rejects),
        })
    }
}

impl Drop for SqliteLoader<'_> {
    fn drop(&mut self) {
        // after some errors SQLite has rolled back by itself
        if !self.open || self.connection.is_autocommit() {
            return;
        }
        self.watch.start();
        let undo = if self.own {
            "ROLLBACK"
        } else {
            "ROLLBACK TO loader; RELEASE loader"
        };
        if let Err(error) = self.end(undo) {
            log_left_behind(&error);
        }
    }
}
