//! The one table of the history and how an entry lies in it, so that people can read it with any
//! SQLite tool. Alone knows the columns.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rusqlite::{Row, Statement, params};

use crate::plan::entry::Reason;
use crate::plan::outcome::Exit;
use crate::plan::{Entry, Outcome};

/// Version of the table, kept in SQLite's `user_version`.
pub(super) const VERSION: i64 = 2;

/// The version before, whose table lacks the column `rejected`; see [`FROM_FIRST`].
pub(super) const FIRST: i64 = 1;

/// Brings a table of the version [`FIRST`] up to date.
pub(super) const FROM_FIRST: &str = "
    BEGIN;
    ALTER TABLE run ADD COLUMN rejected INTEGER NOT NULL DEFAULT 0;
    PRAGMA user_version = 2;
    COMMIT;";

/// Makes the table in an empty file.
pub(super) const CREATE: &str = "
    BEGIN;
    CREATE TABLE run (
        id          INTEGER PRIMARY KEY,
        job         TEXT    NOT NULL,
        kind        TEXT    NOT NULL,
        run         INTEGER NOT NULL,  -- the run's id
        reason      TEXT    NOT NULL,  -- what made it start
        pid         INTEGER,
        started     INTEGER NOT NULL,  -- microseconds since 1970, UTC
        ended       INTEGER NOT NULL,
        duration_ms INTEGER NOT NULL,  -- by the clock that does not step
        result      TEXT    NOT NULL,
        number      INTEGER,           -- exit code or signal that belongs to the result
        code        INTEGER,           -- the kernel's word: exit code,
        signal      INTEGER,           --   or signal, or neither: nobody could tell
        why         TEXT    NOT NULL,
        rows        INTEGER NOT NULL,
        bytes       INTEGER NOT NULL,
        peak_memory INTEGER,           -- bytes
        cpu_us      INTEGER,
        evidence    TEXT,              -- file that was written when the run hung
        rejected    INTEGER NOT NULL DEFAULT 0  -- rows put aside as bad
    ) STRICT;
    CREATE INDEX run_of_job ON run (job, started);
    PRAGMA user_version = 2;
    COMMIT;";

/// Adds an entry; see [`insert`].
pub(super) const INSERT: &str = "
    INSERT INTO run (job, kind, run, reason, pid, started, ended, duration_ms, result, number,
                     code, signal, why, rows, bytes, peak_memory, cpu_us, evidence, rejected)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// The columns in the order in which [`entry`] reads them, of a table of this version.
pub(super) fn columns(version: i64) -> &'static str {
    match version {
        FIRST => {
            "job, kind, run, reason, pid, started, ended, duration_ms, result, number, code, signal, why, \
             rows, bytes, peak_memory, cpu_us, evidence, 0"
        }
        _ => {
            "job, kind, run, reason, pid, started, ended, duration_ms, result, number, code, signal, why, \
             rows, bytes, peak_memory, cpu_us, evidence, rejected"
        }
    }
}

/// Runs [`INSERT`] for one entry.
pub(super) fn insert(statement: &mut Statement<'_>, entry: &Entry) -> rusqlite::Result<()> {
    let (result, number) = outcome_words(entry.outcome);
    let (code, signal) = match entry.exit {
        Exit::Code(code) => (Some(code), None),
        Exit::Signal(signal) => (None, Some(signal)),
        Exit::Unknown => (None, None),
    };
    statement.execute(params![
        entry.job,
        entry.kind,
        integer(entry.run),
        reason_word(entry.reason),
        entry.pid,
        entry.started.timestamp_micros(),
        entry.ended.timestamp_micros(),
        integer(entry.duration_ms),
        result,
        number,
        code,
        signal,
        entry.why,
        integer(entry.rows),
        integer(entry.bytes),
        entry.peak_memory.map(integer),
        entry.cpu_us.map(integer),
        entry.evidence.as_ref().map(|path| path.to_string_lossy()),
        integer(entry.rejected),
    ])?;
    Ok(())
}

/// Reads a row of [`columns`].
pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let text = |index: usize| row.get::<_, String>(index);
    let number: Option<i32> = row.get(9)?;
    let exit = match (row.get(10)?, row.get(11)?) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unknown,
    };
    Ok(Entry {
        job: Arc::from(text(0)?),
        kind: Arc::from(text(1)?),
        run: amount(row.get(2)?),
        reason: reason(&text(3)?),
        pid: row.get(4)?,
        started: instant(row.get(5)?),
        ended: instant(row.get(6)?),
        duration_ms: amount(row.get(7)?),
        outcome: outcome(&text(8)?, number.unwrap_or_default()),
        exit,
        why: text(12)?,
        rows: amount(row.get(13)?),
        bytes: amount(row.get(14)?),
        peak_memory: row.get::<_, Option<i64>>(15)?.map(amount),
        cpu_us: row.get::<_, Option<i64>>(16)?.map(amount),
        evidence: row.get::<_, Option<String>>(17)?.map(Into::into),
        rejected: amount(row.get(18)?),
    })
}

/// SQLite's integers have a sign; ours fit all the same.
fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn amount(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn instant(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

fn outcome_words(outcome: Outcome) -> (&'static str, Option<i32>) {
    match outcome {
        Outcome::Done => ("done", None),
        Outcome::Failed { exit } => ("failed", Some(exit)),
        Outcome::Signalled { signal } => ("signalled", Some(signal)),
        Outcome::Hung => ("hung", None),
        Outcome::TimedOut => ("timed-out", None),
        Outcome::Stopped => ("stopped", None),
        Outcome::Replaced => ("replaced", None),
        Outcome::Refused => ("refused", None),
        Outcome::Unknown => ("unknown", None),
        Outcome::Skipped => ("skipped", None),
    }
}

fn outcome(word: &str, number: i32) -> Outcome {
    match word {
        "done" => Outcome::Done,
        "failed" => Outcome::Failed { exit: number },
        "signalled" => Outcome::Signalled { signal: number },
        "hung" => Outcome::Hung,
        "timed-out" => Outcome::TimedOut,
        "stopped" => Outcome::Stopped,
        "replaced" => Outcome::Replaced,
        "refused" => Outcome::Refused,
        "skipped" => Outcome::Skipped,
        _ => Outcome::Unknown,
    }
}

const REASONS: [(Reason, &str); 10] = [
    (Reason::Every, "every"),
    (Reason::Cron, "cron"),
    (Reason::Missed, "missed"),
    (Reason::After, "after"),
    (Reason::Kept, "kept"),
    (Reason::Retry, "retry"),
    (Reason::Operator, "operator"),
    (Reason::Trigger, "trigger"),
    (Reason::Changed, "changed"),
    (Reason::Adopted, "adopted"),
];

fn reason_word(reason: Reason) -> &'static str {
    let found = REASONS.iter().find(|(known, _)| *known == reason);
    found.map_or("adopted", |(_, word)| word)
}

fn reason(word: &str) -> Reason {
    let found = REASONS.iter().find(|(_, known)| *known == word);
    found.map_or(Reason::Adopted, |(reason, _)| *reason)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use rusqlite::Connection;

    /// An entry of `job` with all fields filled; its run's id is also its start.
    pub(in crate::history) fn entry(job: &str, run: u64) -> Entry {
        let started = DateTime::from_timestamp_micros(i64::try_from(run).unwrap()).unwrap();
        Entry {
            run,
            job: job.into(),
            kind: "exec".into(),
            reason: Reason::Every,
            pid: Some(77),
            started,
            ended: started + chrono::TimeDelta::milliseconds(1500),
            duration_ms: 1500,
            outcome: Outcome::Failed { exit: 3 },
            exit: Exit::Code(3),
            why: "exit code 3".into(),
            rows: 10,
            bytes: 2000,
            peak_memory: Some(4096),
            cpu_us: None,
            evidence: Some("/x/a-1.txt".into()),
            rejected: 3,
        }
    }

    #[test]
    fn every_result_and_reason_survives() {
        let database = Connection::open_in_memory().unwrap();
        database.execute_batch(CREATE).unwrap();
        let mut insert_one = database.prepare(INSERT).unwrap();
        let outcomes = [
            Outcome::Done,
            Outcome::Failed { exit: 9 },
            Outcome::Signalled { signal: 11 },
            Outcome::Hung,
            Outcome::TimedOut,
            Outcome::Stopped,
            Outcome::Replaced,
            Outcome::Refused,
            Outcome::Unknown,
            Outcome::Skipped,
        ];
        let mut written = Vec::new();
        for (run, (outcome, (reason, _))) in (1..).zip(outcomes.into_iter().zip(REASONS)) {
            let mut one = entry("a", run);
            (one.outcome, one.reason) = (outcome, reason);
            one.exit = [Exit::Unknown, Exit::Signal(9)][usize::from(run % 2 == 0)];
            // what travels from plan to recorder means the same as what lies in the table
            let travelled = serde_json::from_str(&serde_json::to_string(&one).unwrap()).unwrap();
            insert(&mut insert_one, &travelled).unwrap();
            written.push(one);
        }
        let mut all = database
            .prepare(&format!("SELECT {} FROM run ORDER BY id", columns(VERSION)))
            .unwrap();
        let read: Vec<Entry> = all
            .query_map([], super::entry)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(read, written);
    }
}
