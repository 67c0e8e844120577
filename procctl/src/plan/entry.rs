//! A line of the history: one run from start to end, or a start that was left out.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::event::RunId;
use super::outcome::{Exit, Outcome};

/// What made a run start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// `every` has passed since the last run's end, or the first start of such a job.
    Every,
    /// A cron time.
    Cron,
    /// One run for the cron times that were missed.
    Missed,
    /// The job it comes after ended with success.
    After,
    /// A kept job: first start, or again after an end.
    Kept,
    /// Back-off after a failure is over.
    Retry,
    /// An operator's `start` or `restart`.
    Operator,
    /// An operator's `trigger`.
    Trigger,
    /// Its file changed.
    Changed,
    /// Not known: the run was adopted.
    Adopted,
}

/// One line of the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The run; for a skipped start an id of its own.
    pub run: RunId,
    /// The job's name.
    pub job: Arc<str>,
    /// Its kind.
    pub kind: Arc<str>,
    /// What made it start.
    pub reason: Reason,
    /// Main process.
    pub pid: Option<u32>,
    /// Wall time of the start.
    pub started: DateTime<Utc>,
    /// Wall time of the end, as far as known.
    pub ended: DateTime<Utc>,
    /// Length in milliseconds by the clock that does not step.
    pub duration_ms: u64,
    /// The result.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What the kernel said; written `ended_by`, since the result may bring an `exit` of its own.
    #[serde(rename = "ended_by")]
    pub exit: Exit,
    /// Why it ended, for people: one line.
    pub why: String,
    /// Rows it counted.
    pub rows: u64,
    /// Bytes it counted.
    pub bytes: u64,
    /// Rows it put aside as bad.
    #[serde(default)]
    pub rejected: u64,
    /// Largest resident memory in bytes.
    pub peak_memory: Option<u64>,
    /// CPU time in microseconds.
    pub cpu_us: Option<u64>,
    /// Evidence file of a hang.
    pub evidence: Option<PathBuf>,
}
