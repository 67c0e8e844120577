//! What the plan wants done. The loop carries actions out in their order and never blocks on one;
//! what comes of them arrives as events.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::entry::{Entry, Reason};
use super::event::{RunId, Token};
use super::request::Answer;
use super::spec::JobSpec;

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Claim a slot, fork, execute. Answered by `Started` or `StartFailed`.
    Start {
        /// The new run's id.
        run: RunId,
        /// What to run.
        job: Arc<JobSpec>,
        /// Why.
        reason: Reason,
    },
    /// Send a signal. Unknown runs and dead processes are no error.
    Signal {
        /// Which run.
        run: RunId,
        /// What to send, and to whom.
        signal: Signal,
    },
    /// Say by [`Event::Examined`](super::Event::Examined) whether the run's slot is overdue.
    Examine {
        /// Which run.
        run: RunId,
    },
    /// The watch attributes changed under a running job: set them in its slot.
    Adjust {
        /// Which run.
        run: RunId,
        /// `None` = unwatched.
        heartbeat: Option<Duration>,
        /// From SIGTERM to SIGKILL when hung.
        hang_grace: Duration,
    },
    /// The run is over and accounted for: release its slot, close its descriptors, tell the recorder.
    Release {
        /// Which run.
        run: RunId,
    },
    /// Write a line of history.
    Record(Box<Entry>),
    /// Tell those whom `<notify>` names.
    Alarm(Box<Alarm>),
    /// Append the line to the memory file (see [`Memory`](super::memory::Memory)) before anything after this is done.
    Remember {
        /// JSON without a line end.
        line: String,
    },
    /// Answer a client.
    Reply {
        /// Whom.
        token: Token,
        /// What. A status answer still lacks what only the slots know: the loop fills it in.
        answer: Box<Answer>,
    },
    /// Read job files (and the settings) again and deliver `Configured` and `Loaded` with this token.
    Reread {
        /// Goes back in [`Loaded::answer`](super::event::Loaded::answer).
        token: Token,
        /// Only these files; empty = the settings and all job files.
        files: Vec<PathBuf>,
    },
    /// Replace this process by a new procctl with the same state, and answer the client from there or before.
    Reexec {
        /// Whom to answer.
        token: Token,
    },
    /// Every job is down (or given up): end the supervisor.
    Exit,
}

/// What to send, and to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// SIGTERM to the whole tree.
    Term,
    /// SIGKILL to the whole tree, again and again until it is stable.
    Kill,
    /// SIGUSR1 to the main process: a resident runner does a pass now.
    Pass,
}

/// Something an operator wants to know at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// What kind of news.
    pub kind: AlarmKind,
    /// The job.
    pub job: Arc<str>,
    /// The run, if it is about one.
    pub run: Option<RunId>,
    /// When.
    pub at: DateTime<Utc>,
    /// One line.
    pub text: String,
    /// Evidence file of a hang.
    pub evidence: Option<PathBuf>,
}

/// `<notify on="…">`
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlarmKind {
    /// A run failed, timed out, could not begin, cannot be killed, or says itself that something is wrong.
    Failed,
    /// A run hung.
    Hung,
    /// Cron times passed while procctl was down, asleep or the clock jumped.
    Missed,
    /// A job that had failed or hung is well again.
    Recovered,
}
