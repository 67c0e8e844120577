//! What happens to the supervisor, as the plan is told.
//!
//! After a start the loop delivers, in this order: [`Event::Configured`], a complete
//! [`Event::Loaded`], an [`Event::Adopted`] or [`Event::FoundEnded`] for every run that an earlier
//! procctl left, and then [`Event::Booted`]; nothing is started before that. After a re-exec the
//! restored state knows its runs: only `Configured` and `Loaded` come again (then `Ended` for what
//! ended meanwhile).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::outcome::{Exit, LastWords, Usage};
use super::request::Request;
use super::spec::JobSpec;
use crate::recorder::message::Notice;

/// A run's id: the wall time of its start in microseconds, bumped to be unique. Given by the plan.
pub type RunId = u64;

/// Names a client of the control socket that waits for an answer. Given by the loop, never reused.
pub type Token = u64;

/// The two clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// Time since boot (`CLOCK_BOOTTIME`): never steps, goes on in suspend, means the same in every process.
    pub mono: Duration,
    /// Wall clock; may step.
    pub wall: DateTime<Utc>,
}

/// Something happened. Every event also makes the plan look at what is due at `now`.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A timer of [`next_wake`](super::State::next_wake) went off.
    Due,
    /// The wall clock was stepped.
    ClockStepped,
    /// The settings were read.
    Configured(Settings),
    /// Job files were read.
    Loaded(Loaded),
    /// A run of an earlier procctl is alive.
    Adopted(Adopted),
    /// A run of an earlier procctl ended while no procctl lived.
    FoundEnded(FoundEnded),
    /// All runs that were left are told: starts may begin.
    Booted,
    /// The process of the run exists and, as far as is known, executes its program.
    Started {
        /// Which run.
        run: RunId,
        /// Its main process.
        pid: u32,
    },
    /// The run could not begin. It has no process (any more) and no `Ended` follows; may come
    /// after `Started` when the program turned out not to be executable.
    StartFailed {
        /// Which run.
        run: RunId,
        /// What was being done, and why it failed.
        why: String,
    },
    /// The main process of the run ended.
    Ended {
        /// Which run.
        run: RunId,
        /// How, by the kernel.
        exit: Exit,
        /// What its slot held.
        words: LastWords,
        /// What it used.
        usage: Usage,
        /// Other processes of its tree live on: `TreeGone` follows when the last one is gone.
        rest: bool,
    },
    /// No process of the run's tree is left; only after an `Ended` with `rest`.
    TreeGone {
        /// Which run.
        run: RunId,
    },
    /// A daemon said something on its notify socket.
    Noticed {
        /// Which run.
        run: RunId,
        /// What it said.
        notice: Notice,
    },
    /// Answer to [`Action::Examine`](super::Action::Examine).
    Examined {
        /// Which run.
        run: RunId,
        /// Its slot is past its deadline, or checkproc has marked it as hung.
        overdue: bool,
    },
    /// A client asks for something.
    Command {
        /// Whom to answer.
        token: Token,
        /// What for.
        request: Request,
    },
    /// The client has gone away: no answer is needed.
    ClientGone {
        /// Which.
        token: Token,
    },
    /// SIGTERM or SIGINT to the supervisor: as `stop` without a job, with nobody to answer.
    Terminate,
}

/// What the plan takes from `procctl.xml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Seats of each pool.
    pub pools: BTreeMap<Arc<str>, u32>,
    /// The folder of evidence files, to link them from the history.
    pub evidence: PathBuf,
}

/// Job files that were read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Loaded {
    /// The list holds every job file there is: jobs of files not in it are gone.
    pub complete: bool,
    /// The files. One that did not change does no harm.
    pub files: Vec<JobText>,
    /// The `reload` that caused this reading ([`Action::Reread`](super::Action::Reread)).
    pub answer: Option<Token>,
}

/// One job file.
#[derive(Debug, Clone, PartialEq)]
pub struct JobText {
    /// Absolute path.
    pub path: PathBuf,
    /// What was found there.
    pub content: Content,
}

/// What a job file holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A job.
    Valid(Arc<JobSpec>),
    /// Not a job. What is known of the job under this path goes on in its last valid version.
    Broken {
        /// The name it would have, where that can be told.
        name: Option<String>,
        /// All problems, one a line.
        text: String,
    },
    /// The file is not there (any more).
    Gone,
}

/// A run found alive after a procctl was killed.
#[derive(Debug, Clone, PartialEq)]
pub struct Adopted {
    /// Its id, from its slot or environment.
    pub run: RunId,
    /// The job's name.
    pub job: String,
    /// Main process.
    pub pid: u32,
    /// Wall time of its start.
    pub started: DateTime<Utc>,
    /// Time since boot of its start.
    pub started_mono: Duration,
}

/// A run found ended after a procctl was killed.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundEnded {
    /// Its id.
    pub run: RunId,
    /// The job's name.
    pub job: String,
    /// Main process.
    pub pid: u32,
    /// Wall time of its start.
    pub started: DateTime<Utc>,
    /// When it ended, where the recorder saw it.
    pub ended: Option<DateTime<Utc>>,
    /// How, where the recorder's pidfd tells.
    pub exit: Exit,
    /// What its slot held.
    pub words: LastWords,
    /// What it used, where known.
    pub usage: Usage,
}
