//! How things stand, for `procctl status`: plain rows that go over the control socket.
//!
//! Fields marked "slot" are left empty by the plan and filled by the loop from the heartbeat table.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::event::RunId;
use super::outcome::Outcome;

/// The supervisor and its jobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Wall time of the answer.
    pub at: DateTime<Utc>,
    /// Process id of the supervisor (filled by the loop).
    #[serde(default)]
    pub pid: u32,
    /// Wall time since when this supervisor supervises; a re-exec does not change it.
    pub since: DateTime<Utc>,
    /// It is shutting down.
    pub stopping: bool,
    /// What an operator should mend, such as a full disk under the logs (filled by the loop).
    #[serde(default)]
    pub trouble: Option<String>,
    /// One row a job, by name; files that are no job have one, too.
    pub jobs: Vec<Row>,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub job: Arc<str>,
    /// Its kind; empty for a file that is no job.
    pub kind: Arc<str>,
    /// Its file.
    pub file: Arc<PathBuf>,
    /// In a word.
    pub state: Word,
    /// The live run.
    pub run: Option<RunId>,
    /// Main process of the live run.
    pub pid: Option<u32>,
    /// Since when it is in this state.
    pub since: DateTime<Utc>,
    /// When it runs: `every 30s`, `cron 0 */5 * * *`, `after x`, `kept`, `trigger`.
    pub schedule: String,
    /// How the last finished run ended.
    pub last: Option<Last>,
    /// Next start, where one is known.
    pub next: Option<DateTime<Utc>>,
    /// Starts since the supervisor began.
    pub starts: u32,
    /// Failures in a row, 0 as long as it is well.
    pub failures: u32,
    /// Starts left out (overlap, window, missed) since the supervisor began.
    pub skipped: u32,
    /// What is wrong or what it waits for: one line.
    pub problem: Option<String>,
    /// What the daemon last said by `STATUS=`.
    pub says: Option<String>,
    /// Slot: seconds since the last beat.
    #[serde(default)]
    pub beat_age: Option<f64>,
    /// Slot: beats so far.
    #[serde(default)]
    pub beats: Option<u64>,
    /// Slot: rows so far.
    #[serde(default)]
    pub rows: Option<u64>,
    /// Slot: bytes so far.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// Slot: what it is doing.
    #[serde(default)]
    pub phase: Option<String>,
    /// How surely its whole tree can be killed (filled by the loop).
    #[serde(default)]
    pub guarantee: Option<String>,
}

impl Row {
    /// What is known of any job: where its file is, and its state in a word.
    pub fn bare(job: &str, file: PathBuf, state: Word, since: DateTime<Utc>) -> Row {
        Row {
            job: job.into(),
            kind: "".into(),
            file: Arc::new(file),
            state,
            run: None,
            pid: None,
            since,
            schedule: String::new(),
            last: None,
            next: None,
            starts: 0,
            failures: 0,
            skipped: 0,
            problem: None,
            says: None,
            beat_age: None,
            beats: None,
            rows: None,
            bytes: None,
            phase: None,
            guarantee: None,
        }
    }
}

/// The end of the last run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Last {
    /// The run.
    pub run: RunId,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// When, by the wall clock.
    pub ended: DateTime<Utc>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Why it ended: one line.
    pub why: String,
}

/// A job's state in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// The order to start is out.
    Starting,
    /// A run goes on.
    Running,
    /// checkproc has found the run hung (said by the loop, which sees the slot).
    Hung,
    /// A run is being stopped, or the rest of its tree is.
    Stopping,
    /// Processes of the last run survived SIGKILL (state D): no new start until they are gone.
    Stuck,
    /// Waits for its time, its predecessor or a trigger.
    Waiting,
    /// Waits for the window to open.
    OutsideWindow,
    /// Waits for a seat in its pool.
    Queued,
    /// Waits after a failure.
    Backoff,
    /// An operator stopped it.
    Stopped,
    /// Disabled by its file or an operator.
    Disabled,
    /// Its file is no valid job, and nothing of an earlier version runs.
    Broken,
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Word::Starting => "starting",
            Word::Running => "running",
            Word::Hung => "hung",
            Word::Stopping => "stopping",
            Word::Stuck => "stuck",
            Word::Waiting => "waiting",
            Word::OutsideWindow => "outside-window",
            Word::Queued => "queued",
            Word::Backoff => "backoff",
            Word::Stopped => "stopped",
            Word::Disabled => "disabled",
            Word::Broken => "broken",
        })
    }
}
