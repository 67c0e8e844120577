//! Reads the history while the recorder writes it, or long after; changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::tables;
use crate::plan::Entry;

/// Why the history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// SQLite says so.
    #[error("read the history {path}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: rusqlite::Error,
    },
    /// A later version of this program made it.
    #[error("{path} has tables of version {version}, this program knows {known}", known = tables::VERSION)]
    Later {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: i64,
    },
}

/// The history, open for reading.
#[derive(Debug)]
pub struct History {
    database: Connection,
    version: i64,
    path: PathBuf,
}

impl History {
    /// Opens the file at `path`; `None` where there is none yet.
    ///
    /// # Errors
    /// The file is there and is no history, is damaged, or may not be read.
    pub fn open(path: &Path) -> Result<Option<History>, Unreadable> {
        // a file of no bytes is one that the recorder is just making
        if fs::metadata(path).map_or(true, |meta| meta.len() == 0) {
            return Ok(None);
        }
        let fail = |source| Unreadable::Sqlite {
            path: path.to_owned(),
            source,
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut database = Connection::open_with_flags(path, flags).map_err(fail)?;
        if version(&database).is_err() {
            // where the folder may not be written, SQLite reads a file in WAL mode only on our word that nobody writes
            let uri = format!("file:{}?immutable=1", escape(path));
            let flags = flags | OpenFlags::SQLITE_OPEN_URI;
            database = Connection::open_with_flags(uri, flags).map_err(fail)?;
        }
        let version = version(&database).map_err(fail)?;
        let history = History {
            database,
            version,
            path: path.to_owned(),
        };
        match version {
            0 => Ok(None),
            tables::FIRST | tables::VERSION => Ok(Some(history)),
            version => Err(Unreadable::Later {
                path: path.to_owned(),
                version,
            }),
        }
    }

    /// The last `limit` runs, of one job or of all, newest first.
    ///
    /// # Errors
    /// The file is damaged or cannot be read.
    pub fn runs(&self, job: Option<&str>, limit: u32) -> Result<Vec<Entry>, Unreadable> {
        let columns = tables::columns(self.version);
        let read = || -> rusqlite::Result<Vec<Entry>> {
            match job {
                Some(job) => {
                    let sql = format!(
                        "SELECT {columns} FROM run WHERE job = ? ORDER BY started DESC, id DESC LIMIT ?"
                    );
                    let mut statement = self.database.prepare(&sql)?;
                    statement
                        .query_map(params![job, limit], tables::entry)?
                        .collect()
                }
                None => {
                    let sql = format!("SELECT {columns} FROM run ORDER BY id DESC LIMIT ?");
                    let mut statement = self.database.prepare(&sql)?;
                    statement
                        .query_map(params![limit], tables::entry)?
                        .collect()
                }
            }
        };
        read().map_err(|source| self.unreadable(source))
    }

    /// The last run of every job.
    ///
    /// # Errors
    /// The file is damaged or cannot be read.
    pub fn last_of_each(&self) -> Result<BTreeMap<Arc<str>, Entry>, Unreadable> {
        let columns = tables::columns(self.version);
        let sql = format!(
            "SELECT {columns}, max(started) FROM run WHERE result <> 'skipped' GROUP BY job"
        );
        let read = || -> rusqlite::Result<BTreeMap<Arc<str>, Entry>> {
            let mut statement = self.database.prepare(&sql)?;
            let entries = statement.query_map([], tables::entry)?;
            entries
                .map(|entry| entry.map(|entry| (Arc::clone(&entry.job), entry)))
                .collect()
        };
        read().map_err(|source| self.unreadable(source))
    }

    /// The last run of a job that left evidence of a hang.
    ///
    /// # Errors
    /// The file is damaged or cannot be read.
    pub fn last_evidence(&self, job: &str) -> Result<Option<Entry>, Unreadable> {
        let columns = tables::columns(self.version);
        let sql = format!(
            "SELECT {columns} FROM run WHERE job = ? AND evidence IS NOT NULL ORDER BY started DESC LIMIT 1"
        );
        let found = self.database.query_row(&sql, params![job], tables::entry);
        found.optional().map_err(|source| self.unreadable(source))
    }

    fn unreadable(&self, source: rusqlite::Error) -> Unreadable {
        Unreadable::Sqlite {
            path: self.path.clone(),
            source,
        }
    }
}

fn version(database: &Connection) -> rusqlite::Result<i64> {
    database.busy_timeout(Duration::from_secs(5))?;
    database.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// `path` as it must stand in a URI file name of SQLite.
fn escape(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23")
}
