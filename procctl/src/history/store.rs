//! Where the history is kept: one SQLite file, written by the recorder alone. A broken file is
//! set aside and begun anew, a full disk makes entries wait: nothing here ever stops anything.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode};

use super::retention::{self, Retention};
use super::tables;
use crate::plan::Entry;

/// Most entries that wait for a disk.
const MOST_WAITING: usize = 20_000;

/// Every so many runs the job of the last one is pruned; a prime, so that jobs that take turns all
/// have theirs.
const PRUNE_EVERY: u64 = 97;

/// The history's file, open as long as entries come.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    evidence: PathBuf,
    retention: Retention,
    database: Option<Connection>,
    waiting: VecDeque<Entry>,
    written: u64,
}

impl Store {
    /// A history at `path`; opened with the first entry. Evidence files that belong to runs
    /// which are forgotten are removed from the folder `evidence`.
    pub fn new(path: PathBuf, evidence: PathBuf, retention: Retention) -> Store {
        Store {
            path,
            evidence,
            retention,
            database: None,
            waiting: VecDeque::new(),
            written: 0,
        }
    }

    /// How many entries could not be written yet.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Writes `entries`, each as JSON, after those that still wait, in one transaction.
    ///
    /// # Errors
    /// The file cannot be written now; the entries wait for the next call.
    pub fn add(&mut self, entries: Vec<String>) -> rusqlite::Result<()> {
        for entry in entries {
            match serde_json::from_str(&entry) {
                Ok(entry) => self.waiting.push_back(entry),
                Err(error) => log::error!("an entry of the history is passed over: {error}"),
            }
        }
        if self.waiting.len() > MOST_WAITING {
            let lost = self.waiting.len() - MOST_WAITING;
            log::error!("{lost} entries of the history are lost: too many wait for the disk");
            self.waiting.drain(..lost);
        }
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut done = self.write();
        if done.as_ref().is_err_and(is_broken) {
            self.begin_anew();
            done = self.write();
        }
        if done.is_err() {
            // opened anew next time: whatever was wrong may have been put right by then
            self.database = None;
        }
        done
    }

    /// Closes the file, which folds SQLite's own log into it.
    pub fn close(&mut self) {
        if let Some(database) = self.database.take()
            && let Err((_, error)) = database.close()
        {
            log::warn!("close the history: {error}");
        }
    }

    fn write(&mut self) -> rusqlite::Result<()> {
        let database = match &mut self.database {
            Some(database) => database,
            closed => closed.insert(open(&self.path)?),
        };
        let transaction = database.transaction()?;
        let mut evidence = Vec::new();
        {
            let mut insert = transaction.prepare_cached(tables::INSERT)?;
            for entry in &self.waiting {
                tables::insert(&mut insert, entry)?;
                self.written += 1;
                if self.written.is_multiple_of(PRUNE_EVERY) {
                    evidence.extend(retention::prune(&transaction, &entry.job, self.retention)?);
                }
            }
        }
        transaction.commit()?;
        self.waiting = VecDeque::new();
        for name in evidence {
            retention::forget_evidence(&self.evidence.join(name));
        }
        Ok(())
    }

    fn begin_anew(&mut self) {
        self.database = None;
        match set_aside(&self.path) {
            Ok(aside) => log::error!(
                "{} is damaged: it was set aside as {} and a new history begun",
                self.path.display(),
                aside.display()
            ),
            Err(error) => log::error!("set {} aside: {error}", self.path.display()),
        }
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let database = Connection::open(path)?;
    database.busy_timeout(Duration::from_secs(2))?;
    let version: i64 = database.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    // small caches: the recorder's memory is counted
    database.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -64;
         PRAGMA wal_autocheckpoint = 64; PRAGMA journal_size_limit = 1048576;",
    )?;
    match version {
        0 => database.execute_batch(tables::CREATE)?,
        tables::FIRST => database.execute_batch(tables::FROM_FIRST)?,
        tables::VERSION => {}
        newer => {
            let known = tables::VERSION;
            let text = format!("its tables have version {newer}, this program knows {known}");
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
                Some(text),
            ));
        }
    }
    Ok(database)
}

/// Whether the file itself is at fault, so that writing on is hopeless.
fn is_broken(error: &rusqlite::Error) -> bool {
    let missing = |text: &str| text.contains("no such table") || text.contains("no column named");
    match error {
        rusqlite::Error::SqliteFailure(code, text) => {
            matches!(
                code.code,
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase
            ) || text.as_deref().is_some_and(missing)
        }
        _ => false,
    }
}

fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let stamp = now.map_or(0, |since| since.as_micros());
    let aside = path.with_extension(format!("broken-{stamp}"));
    fs::rename(path, &aside)?;
    for end in ["-wal", "-shm"] {
        let mut side = path.as_os_str().to_owned();
        side.push(end);
        match fs::remove_file(&side) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::super::reading::History;
    use super::super::tables::tests::entry;
    use super::*;

    fn store(folder: &Path, retention: Retention) -> Store {
        Store::new(folder.join("history.db"), folder.to_owned(), retention)
    }

    fn json(entry: &Entry) -> String {
        serde_json::to_string(entry).unwrap()
    }

    fn runs(folder: &Path, job: Option<&str>) -> Vec<u64> {
        let history = History::open(&folder.join("history.db")).unwrap().unwrap();
        let entries = history.runs(job, u32::MAX).unwrap();
        entries.iter().map(|entry| entry.run).collect()
    }

    #[test]
    fn entries_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            History::open(&folder.path().join("history.db"))
                .unwrap()
                .is_none()
        );
        let mut store = store(folder.path(), Retention::default());
        let first = entry("a", 1);
        store.add(vec![json(&first), "{}".to_owned()]).unwrap();
        store
            .add(vec![json(&entry("b", 2)), json(&entry("a", 3))])
            .unwrap();
        // the recorder still has the file open
        let history = History::open(&folder.path().join("history.db"))
            .unwrap()
            .unwrap();
        assert_eq!(history.runs(Some("a"), 10).unwrap().last(), Some(&first));
        assert_eq!(runs(folder.path(), None), [3, 2, 1]);
        assert_eq!(runs(folder.path(), Some("b")), [2]);
        store.close();
        assert_eq!(runs(folder.path(), Some("a")), [3, 1]);
    }

    #[test]
    fn a_damaged_file_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        for (run, damage) in [
            (1, b"this is no database at all, but a text".to_vec()),
            (2, vec![0x55; 20_000]),
        ] {
            fs::write(folder.path().join("history.db"), damage).unwrap();
            let mut store = store(folder.path(), Retention::default());
            store.add(vec![json(&entry("a", run))]).unwrap();
            assert_eq!(store.waiting(), 0);
            assert_eq!(runs(folder.path(), None), [run]);
        }
        let aside = fs::read_dir(folder.path()).unwrap().flatten();
        let aside = aside.filter(|found| found.file_name().to_string_lossy().contains("broken"));
        assert_eq!(aside.count(), 2);
    }

    #[test]
    fn entries_wait_for_a_disk_that_refuses() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("missing");
        let mut store = Store::new(
            place.join("history.db"),
            place.clone(),
            Retention::default(),
        );
        assert!(store.add(vec![json(&entry("a", 1))]).is_err());
        assert!(store.add(vec![json(&entry("a", 2))]).is_err());
        assert_eq!(store.waiting(), 2);
        fs::create_dir(&place).unwrap();
        store.add(Vec::new()).unwrap();
        assert_eq!(runs(&place, None), [2, 1]);
    }

    #[test]
    fn tables_of_a_later_version_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        Connection::open(&path)
            .unwrap()
            .execute_batch("PRAGMA user_version = 99; CREATE TABLE x (a);")
            .unwrap();
        let mut store = store(folder.path(), Retention::default());
        let error = store.add(vec![json(&entry("a", 1))]).unwrap_err();
        assert!(error.to_string().contains("version 99"), "{error}");
    }

    #[test]
    fn tables_of_the_first_version_are_read_and_brought_up_to_date() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        let mut old = store(folder.path(), Retention::default());
        old.add(vec![json(&entry("a", 1))]).unwrap();
        old.close();
        Connection::open(&path)
            .unwrap()
            .execute_batch("ALTER TABLE run DROP COLUMN rejected; PRAGMA user_version = 1;")
            .unwrap();
        let rejected = || -> Vec<u64> {
            let history = crate::history::History::open(&path).unwrap().unwrap();
            let runs = history.runs(None, 10).unwrap();
            runs.iter().map(|entry| entry.rejected).collect()
        };
        assert_eq!(rejected(), [0]);
        let mut new = store(folder.path(), Retention::default());
        new.add(vec![json(&entry("a", 2))]).unwrap();
        assert_eq!(rejected(), [3, 0]);
    }

    #[test]
    fn old_and_surplus_runs_go_with_their_evidence() {
        let folder = tempfile::tempdir().unwrap();
        let retention = Retention {
            runs_of_a_job: 50,
            runs: 120,
            age: Duration::from_hours(24),
        };
        let mut store = store(folder.path(), retention);
        let evidence = folder.path().join("a-1.txt");
        fs::write(&evidence, "state D").unwrap();
        let now = u64::try_from(chrono::Utc::now().timestamp_micros()).unwrap();
        let mut old = entry("gone", 7);
        old.started = chrono::DateTime::from_timestamp(1_000_000, 0).unwrap();
        store.add(vec![json(&old)]).unwrap();
        let mut first = entry("a", 1);
        first.started =
            chrono::DateTime::from_timestamp_micros(i64::try_from(now).unwrap() - 1_000_000)
                .unwrap();
        store.add(vec![json(&first)]).unwrap();
        for job in ["a", "b", "c"] {
            let entries = (0..400).map(|number| json(&entry(job, now + number)));
            store.add(entries.collect()).unwrap();
        }
        assert!(!evidence.exists());
        assert!(runs(folder.path(), Some("gone")).is_empty());
        assert!(runs(folder.path(), Some("c")).len() <= 50 + 97);
        assert!(runs(folder.path(), None).len() < 350);
    }
}
