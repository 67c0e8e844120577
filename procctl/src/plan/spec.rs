//! A job as the plan knows it: when it runs, how it is watched, what the loop needs to start it.
//! Made from a job file elsewhere; plain data that can be written out and read back for the
//! re-exec.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One version of one job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The job's name; unique among all jobs.
    pub name: Arc<str>,
    /// The root element of its file.
    pub kind: Arc<str>,
    /// Its file, absolute.
    pub file: Arc<PathBuf>,
    /// How a run is started.
    pub start: Start,
    /// Identity and limits of its processes; absent when the file sets none.
    pub surroundings: Option<Box<Surroundings>>,
    /// When it runs and how it is watched.
    pub policy: Policy,
    /// Hash of everything in the file that a run takes with it at its start (command, parameters,
    /// surroundings, how it beats, `resident`). Versions that differ only in `policy` have the
    /// same one, and a running job goes on undisturbed.
    pub version: u64,
}

/// How a run is started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// procctl executes the words itself. `${env:…}` and `${file:…}` in them are still to be replaced.
    Exec {
        /// Program and arguments.
        words: Vec<String>,
        /// Who beats.
        beat: Beat,
    },
    /// `jobs run FILE`.
    Jobs {
        /// With `--resident`: passes are the runner's own business, SIGUSR1 asks for one at once.
        resident: bool,
    },
    /// Nobody knows any more: the run was found alive and its file is gone or broken.
    Lost,
}

/// Who beats for an `exec` job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Beat {
    /// Nobody; only meaningful without a heartbeat.
    None,
    /// The recorder, for each line of output.
    Output,
    /// The program.
    Itself,
}

/// Identity and limits of a job's processes. `None` = inherited.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Surroundings {
    /// User name or number.
    pub user: Option<String>,
    /// Group name or number.
    pub group: Option<String>,
    /// File mode creation mask.
    pub umask: Option<u32>,
    /// Working folder; relative ones are relative to the home.
    pub dir: Option<PathBuf>,
    /// Priority, -20 to 19.
    pub nice: Option<i32>,
    /// Memory limit in bytes.
    pub memory: Option<u64>,
    /// Limit on open files.
    pub nofile: Option<u64>,
    /// Additional environment, values still with `${…}`.
    pub env: Vec<(String, String)>,
}

/// When a job runs and how it is watched: all that may change under a running job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Kept running: started again after every end. True for service kinds without a schedule and
    /// for resident jobs.
    pub kept: bool,
    /// Starts again this long after a run's end. `None` for resident jobs, where the runner does it.
    pub every: Option<Duration>,
    /// Cron times.
    pub cron: Option<Box<CronText>>,
    /// Runs when this job has ended with success.
    pub after: Option<Arc<str>>,
    /// A random delay up to this before each scheduled start.
    pub splay: Duration,
    /// Starts happen only inside.
    pub window: Option<Box<CronText>>,
    /// What becomes of cron times while procctl was down.
    pub missed: Missed,
    /// What becomes of a start that falls due while a run goes on.
    pub overlap: Overlap,
    /// The pool whose seats it shares.
    pub pool: Option<Arc<str>>,
    /// No beat for this long = hung; `None` = unwatched.
    pub heartbeat: Option<Duration>,
    /// From SIGTERM to SIGKILL of a hung run.
    pub hang_grace: Duration,
    /// Longest run.
    pub max_run: Option<Duration>,
    /// Delay after the first failure.
    pub backoff_min: Duration,
    /// Longest delay after failures.
    pub backoff_max: Duration,
    /// From SIGTERM to SIGKILL of a run that is to stop.
    pub stop_grace: Duration,
    /// Whether the file lets it run.
    pub enabled: bool,
}

/// A rule of the calendar and its zone, as the file has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CronText {
    /// The attribute's text.
    pub text: String,
    /// IANA zone name; `None` = local.
    pub zone: Option<String>,
}

/// `missed=`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missed {
    /// They are left out.
    #[default]
    Skip,
    /// One run makes up for all of them.
    Once,
}

/// `overlap=`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// The start is left out.
    #[default]
    Skip,
    /// One start waits for the run's end; more are left out.
    Queue,
    /// The run is stopped, then the start happens.
    Replace,
    /// As `replace` if the run is past its heartbeat's deadline, else as `skip`.
    ReplaceHung,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            kept: false,
            every: None,
            cron: None,
            after: None,
            splay: Duration::ZERO,
            window: None,
            missed: Missed::Skip,
            overlap: Overlap::Skip,
            pool: None,
            heartbeat: None,
            hang_grace: Duration::from_secs(2),
            max_run: None,
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
            stop_grace: Duration::from_secs(10),
            enabled: true,
        }
    }
}
