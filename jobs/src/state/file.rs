//! A memory in an SQLite file: one table, one row a name.
//! In WAL a commit is one sync, and `jobs state` may look while the job runs.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension};

use super::{Each, Store};
use crate::error::Error;

/// Layout of the file, in `PRAGMA user_version`.
const LAYOUT: i64 = 1;

pub(super) struct File {
    connection: Connection,
    path: PathBuf,
}

impl File {
    pub(super) fn open(path: &Path) -> Result<File, Error> {
        let connection = Connection::open(path).map_err(|error| failed("open", path, error))?;
        let file = File {
            connection,
            path: path.to_owned(),
        };
        file.prepare()
            .map_err(|error| failed("open", path, error))?;
        let layout = file
            .connection
            .query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))
            .map_err(|error| failed("open", path, error))?;
        if layout == LAYOUT {
            Ok(file)
        } else {
            Err(Error::Data(format!(
                "{}: state of layout {layout}, this program knows {LAYOUT}",
                path.display()
            )))
        }
    }

    fn prepare(&self) -> rusqlite::Result<()> {
        self.connection.busy_timeout(Duration::from_secs(10))?;
        // EXTRA syncs the folder too, in the journal mode of file systems that have no WAL
        self.connection
            .query_row("PRAGMA journal_mode=WAL", [], |_| Ok(()))?;
        self.connection.execute_batch("PRAGMA synchronous=EXTRA")?;
        let empty: bool =
            self.connection
                .query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| {
                    row.get(0)
                })?;
        if empty {
            self.connection.execute_batch(&format!(
                "BEGIN IMMEDIATE;
                 CREATE TABLE IF NOT EXISTS memory (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
                 PRAGMA user_version={LAYOUT};
                 COMMIT"
            ))?;
        }
        Ok(())
    }

    fn write(&mut self, changes: &[(String, Option<String>)]) -> rusqlite::Result<()> {
        let transaction = self
            .connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for (name, value) in changes {
            match value {
                Some(value) => transaction
                    .prepare_cached("INSERT INTO memory VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value")?
                    .execute([name, value])?,
                None => transaction.prepare_cached("DELETE FROM memory WHERE name = ?1")?.execute([name])?,
            };
        }
        transaction.commit()
    }

    fn read(&self) -> rusqlite::Result<Vec<(String, String)>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT name, value FROM memory ORDER BY name")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    }
}

impl Store for File {
    fn load(&self, name: &str) -> Result<Option<String>, Error> {
        self.connection
            .prepare_cached("SELECT value FROM memory WHERE name = ?1")
            .and_then(|mut statement| statement.query_row([name], |row| row.get(0)).optional())
            .map_err(|error| failed("read", &self.path, error))
    }

    fn list(&self) -> Result<Vec<(String, String)>, Error> {
        self.read()
            .map_err(|error| failed("read", &self.path, error))
    }

    fn each(&self, prefix: &str, each: &mut Each<'_>) -> Result<(), Error> {
        let failed = |error| failed("read", &self.path, error);
        // no name goes on with the last of all characters
        let end = format!("{prefix}\u{10ffff}");
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT name, value FROM memory WHERE name >= ?1 AND name < ?2 ORDER BY name",
            )
            .map_err(failed)?;
        let mut rows = statement.query([prefix, end.as_str()]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let text = |at| row.get_ref(at).and_then(|value| Ok(value.as_str()?));
            each(text(0).map_err(failed)?, text(1).map_err(failed)?)?;
        }
        Ok(())
    }

    fn apply(&mut self, changes: &[(String, Option<String>)]) -> Result<(), Error> {
        self.write(changes)
            .map_err(|error| failed("write", &self.path, error))
    }
}

fn failed(action: &'static str, path: &Path, error: rusqlite::Error) -> Error {
    Error::io(action, path)(std::io::Error::other(error))
}
