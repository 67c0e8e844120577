//! What the history keeps for how long. Pruned in small steps, so that no run waits for it.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, params};

/// What is kept for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Most runs of one job.
    pub runs_of_a_job: u32,
    /// Most runs of all jobs together.
    pub runs: u32,
    /// Older runs go.
    pub age: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Retention {
            runs_of_a_job: 10_000,
            runs: 1_000_000,
            age: Duration::from_hours(90 * 24),
        }
    }
}

/// Most runs that one step of pruning removes.
const PRUNE_STEP: u32 = 200;

/// Removes some of what is too much; the names of evidence files that go with it.
pub(super) fn prune(
    database: &Connection,
    job: &str,
    keep: Retention,
) -> rusqlite::Result<Vec<String>> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let oldest = now.saturating_sub(keep.age).as_micros();
    let oldest = i64::try_from(oldest).unwrap_or(i64::MAX);
    let surplus = "SELECT started FROM run WHERE job = ? ORDER BY started DESC LIMIT 1 OFFSET ?";
    let last: Option<i64> = database
        .prepare_cached(surplus)?
        .query_row(params![job, keep.runs_of_a_job], |row| row.get(0))
        .optional()?;
    let before = last.map_or(oldest, |last| oldest.max(last));
    let of_job = "DELETE FROM run WHERE id IN
        (SELECT id FROM run WHERE job = ? AND started <= ? ORDER BY started LIMIT ?)
        RETURNING job, run";
    // the oldest of all jobs, also of those that never run again
    let of_all = "DELETE FROM run WHERE id IN (SELECT id FROM run ORDER BY id LIMIT ?3)
        AND (id <= (SELECT max(id) FROM run) - ?1 OR started <= ?2)
        RETURNING job, run";
    let name = |row: &rusqlite::Row<'_>| {
        let (job, run): (String, i64) = (row.get(0)?, row.get(1)?);
        Ok(format!("{job}-{run}.txt"))
    };
    let mut names = Vec::new();
    let mut statement = database.prepare_cached(of_job)?;
    for gone in statement.query_map(params![job, before, PRUNE_STEP], name)? {
        names.push(gone?);
    }
    let mut statement = database.prepare_cached(of_all)?;
    for gone in statement.query_map(params![keep.runs, oldest, PRUNE_STEP], name)? {
        names.push(gone?);
    }
    Ok(names)
}

/// Removes an evidence file, if there is one.
pub(super) fn forget_evidence(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            log::warn!("remove {}: {error}", path.display());
        }
        _ => {}
    }
}
