//! The bulk path: one prepared INSERT within a savepoint, text bound as what its column holds.

use super::dialect::Sqlite;
use super::fault::{fault, refused};
use super::value::{bind, describe};
use super::watch::Watch;
use crate::{
    Cell, Constraint, Dialect, Error, ErrorKind, Kind, Load, Loaded, Loader, Reject, Result,
    TableInfo,
};
use rusqlite::{CachedStatement, Connection};

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
        if row.len() != self.columns.len() {
            return Err(
                Error::new(ErrorKind::Invalid, &self.action).because(format!(
                    "a row of {} cells for {} columns",
                    row.len(),
                    self.columns.len()
                )),
            );
        }
        let ordinal = self.pushed;
        self.pushed += 1;
        match self.insert(row) {
            Err(error) if !error.is_row_error() => Err(error),
            // a trigger's RAISE(ROLLBACK) takes the rows before it, too
            Err(error) if self.connection.is_autocommit() => Err(error.with_kind(ErrorKind::Other)),
            Err(error) => {
                self.rejects.push(Reject::new(ordinal, row, error));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn rejects(&mut self) -> Vec<Reject> {
        std::mem::take(&mut self.rejects)
    }

    fn finish(mut self: Box<Self>) -> Result<Loaded> {
        self.watch.start();
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
            log::error!(
                "{error}, taking back an unfinished load: {:?}",
                std::error::Error::source(&error)
            );
        }
    }
}
