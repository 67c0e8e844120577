//! What clients ask over the control socket and what they are answered: one JSON object a line each way.

use serde::{Deserialize, Serialize};

use super::status::Status;

/// A client's wish. `jobs` empty means the supervisor itself where that makes sense.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Put jobs to work: kept jobs run, `every` jobs start now (whatever the window says), cron and
    /// `after` jobs wait for their time, others run once. Lifts `stop`, ends a back-off. Answered
    /// when they run, wait or failed.
    Start {
        /// At least one.
        jobs: Vec<String>,
    },
    /// Stop jobs, whole trees, until `start`; answered when their trees are gone. Without jobs: all jobs and the supervisor.
    Stop {
        /// Which.
        #[serde(default)]
        jobs: Vec<String>,
    },
    /// `stop` and `start` of a job that runs, `start` of one that does not. Without jobs: re-exec.
    Restart {
        /// Which.
        #[serde(default)]
        jobs: Vec<String>,
    },
    /// Run jobs now whatever their schedule, window, stop or disable says; `overlap` and pools hold.
    Trigger {
        /// At least one.
        jobs: Vec<String>,
        /// Answer when the runs have ended, with their results.
        #[serde(default)]
        wait: bool,
    },
    /// Let jobs run again; survives restarts.
    Enable {
        /// At least one.
        jobs: Vec<String>,
    },
    /// No more starts but by `trigger`; survives restarts. A kept job is stopped; a scheduled job's run may finish.
    Disable {
        /// At least one.
        jobs: Vec<String>,
    },
    /// Read job files again now; without jobs all of them and the settings.
    Reload {
        /// Which.
        #[serde(default)]
        jobs: Vec<String>,
    },
    /// How it goes.
    Status {
        /// One job, or all.
        #[serde(default)]
        job: Option<String>,
    },
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// What became of each job, in the order asked.
    Jobs {
        /// A line per job.
        jobs: Vec<JobAnswer>,
    },
    /// To `status`.
    Status(Status),
    /// The supervisor itself did it (stop, restart, reload).
    Done {
        /// One line.
        text: String,
    },
    /// Nothing was done.
    Refused {
        /// Why.
        text: String,
    },
}

/// What became of one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobAnswer {
    /// The job.
    pub job: String,
    /// Whether it is as was asked.
    pub ok: bool,
    /// One line: "running, pid 77", "stopped", "no such job".
    pub text: String,
}
