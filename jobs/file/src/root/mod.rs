//! The attributes that every kind has: when a job runs, how it is watched, as whom.
//!
//! This struct is the one source: parsing, `describe`, `new` and the XSD are made from it, and its comments
//! are what users read.

mod backoff;
mod check;
mod heartbeat;
mod umask;
mod variables;

pub use backoff::Backoff;
pub(crate) use check::{check_name, check_root};
pub use heartbeat::Heartbeat;
pub use umask::Umask;
pub use variables::Variables;

use crate::interval::Interval;
use crate::node::Node;
use crate::schedule::{Cron, Zone};
use crate::size::Size;
use crate::windows::Windows;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Attributes of the root element, and `<env>`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Root {
    /// The job's name, by which it keeps its state: 1 to 63 letters, digits, `.`, `_`, `-`, the first no
    /// dot. The file's stem if left out.
    pub name: Option<String>,
    /// Starts again this long after a run's end.
    pub every: Option<Interval>,
    /// Starts at these times: 5 or 6 fields (seconds first) with Unix meaning.
    pub cron: Option<Cron>,
    /// Starts when the job of this name ends with success.
    pub after: Option<String>,
    /// A random delay up to this before each scheduled start.
    #[serde(default)]
    pub splay: Interval,
    /// Time zone of `cron` and `window`.
    #[serde(default)]
    pub tz: Zone,
    /// Runs start only inside; several, comma-separated. Always if left out.
    #[serde(default, rename = "window", skip_serializing_if = "is_always")]
    #[schemars(with = "Option<Windows>")]
    pub windows: Windows,
    /// What becomes of cron times missed while procctl was down.
    #[serde(default)]
    pub missed: Missed,
    /// What happens when a start falls due while a run goes on.
    #[serde(default)]
    pub overlap: Overlap,
    /// Shares the concurrency limit of this pool.
    pub pool: Option<String>,
    /// No heartbeat for this long means hung; `off` is unwatched. 60s if left out, for `exec` off.
    #[serde(alias = "timeout")]
    pub heartbeat: Option<Heartbeat>,
    /// A hung job gets SIGTERM, and SIGKILL this much later.
    #[serde(default = "hang_grace")]
    pub hang_grace: Interval,
    /// A run may not last longer.
    pub max_run: Option<Interval>,
    /// Delay after failures, doubling, with jitter.
    #[serde(default)]
    pub backoff: Backoff,
    /// A stop is SIGTERM, and SIGKILL to the whole tree this much later.
    #[serde(default = "stop_grace")]
    pub stop_grace: Interval,
    /// The runner stays up between runs of `every`: connections and caches stay warm.
    #[serde(default)]
    pub resident: bool,
    /// The user it runs as, by name or number.
    pub user: Option<String>,
    /// The group it runs as, by name or number.
    pub group: Option<String>,
    /// File mode creation mask, octal.
    pub umask: Option<Umask>,
    /// The working directory.
    pub dir: Option<String>,
    /// Scheduling priority, from -20 (first) to 19 (last).
    #[schemars(range(min = -20, max = 19))]
    pub nice: Option<i8>,
    /// The most memory that its tree may use.
    pub memory: Option<Size>,
    /// The most files that a process of it may have open.
    pub nofile: Option<u64>,
    /// False keeps it from running by itself.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Environment variables, each `<env name="…" value="…"/>`.
    #[serde(default, skip_serializing)]
    pub env: Variables,
}

/// What becomes of times missed while procctl was down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Missed {
    /// They are gone.
    #[default]
    Skip,
    /// One run makes up for all of them.
    Once,
}

/// What happens when a start falls due while a run goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// The start is left out.
    #[default]
    Skip,
    /// One start waits for the run's end.
    Queue,
    /// The run is stopped, then started anew.
    Replace,
    /// As `replace` if the run is hung, else as `skip`.
    ReplaceHung,
}

impl Root {
    /// The name of every attribute, aliases too.
    pub const ATTRIBUTES: [&'static str; 26] = [
        "name",
        "every",
        "cron",
        "after",
        "splay",
        "tz",
        "window",
        "missed",
        "overlap",
        "pool",
        "heartbeat",
        "timeout",
        "hang-grace",
        "max-run",
        "backoff",
        "stop-grace",
        "resident",
        "user",
        "group",
        "umask",
        "dir",
        "nice",
        "memory",
        "nofile",
        "enabled",
        "env",
    ];

    /// True if it says when the job runs.
    pub fn has_schedule(&self) -> bool {
        self.every.is_some() || self.cron.is_some() || self.after.is_some()
    }
}

impl Default for Root {
    fn default() -> Root {
        crate::de::read(&Node::default(), &[]).expect("no attribute is required")
    }
}

fn hang_grace() -> Interval {
    Interval::secs(2)
}

fn stop_grace() -> Interval {
    Interval::secs(10)
}

fn yes() -> bool {
    true
}

fn is_always(windows: &Windows) -> bool {
    *windows == Windows::default()
}
