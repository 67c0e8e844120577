//! A job as the plan knows it: when it runs, how it is watched, what the loop needs to start it.
//! Plain data, made from a job file, that can be
//! written out and read back for the re-exec.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use jobfile::{Beat, Missed, Overlap};
use jobfile::{Cron, Exec, Interval, JobFile, Node, Problems, Windows, Zone};
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
    pub cron: Option<Box<Cron>>,
    /// Runs when this job has ended with success.
    pub after: Option<Arc<str>>,
    /// A random delay up to this before each scheduled start.
    pub splay: Duration,
    /// Scheduled starts happen only inside; `None` = always.
    pub window: Option<Box<Windows>>,
    /// The zone of `cron` and `window`.
    pub zone: Zone,
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

impl Default for Policy {
    fn default() -> Self {
        Policy {
            kept: false,
            every: None,
            cron: None,
            after: None,
            splay: Duration::ZERO,
            window: None,
            zone: Zone::Local,
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

impl JobSpec {
    /// What the plan takes from a job file. Only an `exec` can still be wrong here: its command is
    /// read now, since procctl runs it itself.
    pub fn from_file(file: &JobFile) -> Result<JobSpec, Problems> {
        let root = &file.root;
        let start = if file.kind == "exec" {
            let exec: Exec = file.params()?;
            Start::Exec {
                words: exec.command.0,
                beat: exec.beat,
            }
        } else {
            Start::Jobs {
                resident: root.resident && root.every.is_some(),
            }
        };
        let resident = start == Start::Jobs { resident: true };
        let surroundings = Surroundings {
            user: root.user.clone(),
            group: root.group.clone(),
            umask: root.umask.map(|mask| mask.0),
            dir: root.dir.clone().map(PathBuf::from),
            nice: root.nice.map(i32::from),
            memory: root.memory.map(|size| size.0),
            nofile: root.nofile,
            env: root.env.0.clone(),
        };
        let version = version(file, &surroundings, resident);
        let bare = surroundings == Surroundings::default();
        Ok(JobSpec {
            name: file.name.as_str().into(),
            kind: file.kind.as_str().into(),
            file: Arc::new(file.path.clone()),
            start,
            surroundings: (!bare).then(|| Box::new(surroundings)),
            policy: Policy::from_file(file, resident),
            version,
        })
    }

    /// What a run is known by when nobody has its file any more.
    pub(super) fn lost(name: &str) -> JobSpec {
        JobSpec {
            name: name.into(),
            kind: "".into(),
            file: Arc::new(PathBuf::new()),
            start: Start::Lost,
            surroundings: None,
            policy: Policy::default(),
            version: 0,
        }
    }

    /// Whether a start reads the file again, so that it needs a valid one.
    pub(super) fn needs_file(&self) -> bool {
        !matches!(self.start, Start::Exec { .. })
    }

    /// Whether the runner does the passes itself.
    pub(super) fn is_resident(&self) -> bool {
        matches!(self.start, Start::Jobs { resident: true })
    }
}

impl Policy {
    /// When it runs, as its file says it: `every 30s`, `cron 0 */5 * * * *`, `after x`, `kept`, `trigger`.
    pub fn in_words(&self) -> String {
        let mut parts = Vec::new();
        if let Some(every) = self.every {
            parts.push(format!("every {}", Interval(every)));
        }
        if let Some(cron) = &self.cron {
            parts.push(format!("cron {cron}"));
        }
        if let Some(after) = &self.after {
            parts.push(format!("after {after}"));
        }
        match (parts.is_empty(), self.kept) {
            (false, _) => parts.join(", "),
            (true, true) => "kept".into(),
            (true, false) => "trigger".into(),
        }
    }

    fn from_file(file: &JobFile, resident: bool) -> Policy {
        let root = &file.root;
        let always = root.windows == Windows::default();
        Policy {
            kept: resident || file.is_service(),
            every: root.every.filter(|_| !resident).map(|every| every.0),
            cron: root.cron.clone().map(Box::new),
            after: root.after.as_deref().map(Arc::from),
            splay: root.splay.0,
            window: (!always).then(|| Box::new(root.windows.clone())),
            zone: root.tz,
            missed: root.missed,
            overlap: root.overlap,
            pool: root.pool.as_deref().map(Arc::from),
            heartbeat: file.heartbeat(),
            hang_grace: root.hang_grace.0,
            max_run: root.max_run.map(|longest| longest.0),
            backoff_min: root.backoff.min,
            backoff_max: root.backoff.max,
            stop_grace: root.stop_grace.0,
            enabled: root.enabled,
        }
    }
}

/// Hash of what a run takes with it. It is compared across programs of different builds (re-exec),
/// therefore FNV-1a 64 with the constants of its authors (<http://www.isthe.com/chongo/tech/comp/fnv/>)
/// instead of the standard library's, which may change.
fn version(file: &JobFile, surroundings: &Surroundings, resident: bool) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut feed = |text: &str| {
        // the closing byte cannot be part of UTF-8: "ab" + "c" differs from "a" + "bc"
        for byte in text.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    feed_node(&file.lasting(), &mut feed);
    feed(&format!("{surroundings:?}"));
    if resident {
        feed(&format!("{:?}", file.root.every));
    }
    hash
}

fn feed_node(node: &Node, feed: &mut impl FnMut(&str)) {
    feed(&node.name);
    for attribute in &node.attributes {
        feed(&attribute.name);
        feed(&attribute.value);
    }
    feed(node.text.trim());
    feed("(");
    for child in &node.children {
        feed_node(child, feed);
    }
    feed(")");
}
