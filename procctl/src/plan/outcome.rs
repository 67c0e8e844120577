//! How a run ended: what the kernel, the job itself and procctl's own orders say, and the one
//! result that follows from the three.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The result of a run, as status and history show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum Outcome {
    /// Exit code 0. Only this counts as success for `after=`.
    Done,
    /// It ended by itself with another exit code.
    Failed {
        /// 1 to 255.
        exit: i32,
    },
    /// A signal killed it that procctl and checkproc did not order.
    Signalled {
        /// Signal number.
        signal: i32,
    },
    /// checkproc found it without heartbeats, or it asked for that treatment itself.
    Hung,
    /// It reached `max-run` and was stopped.
    TimedOut,
    /// It was stopped by order (operator, changed or removed file, shutdown), or ended by
    /// its own word at a safe point after somebody else's SIGTERM or SIGINT.
    Stopped,
    /// `overlap="replace"` or `replace-hung` put a newer run in its place.
    Replaced,
    /// It never began: no process, slot, user or program.
    Refused,
    /// It ended while no procctl lived, and nobody kept the exit code.
    Unknown,
    /// Not a run: a start that fell due and was left out (history only, with the reason).
    Skipped,
}

impl Outcome {
    /// Whether back-off and the `failed` or `hung` alarm follow.
    pub fn is_failure(self) -> bool {
        match self {
            Outcome::Failed { .. }
            | Outcome::Signalled { .. }
            | Outcome::Hung
            | Outcome::TimedOut
            | Outcome::Refused => true,
            Outcome::Done
            | Outcome::Stopped
            | Outcome::Replaced
            | Outcome::Unknown
            | Outcome::Skipped => false,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Done => f.write_str("done"),
            Outcome::Failed { exit } => write!(f, "failed (exit {exit})"),
            Outcome::Signalled { signal } => write!(f, "killed (signal {signal})"),
            Outcome::Hung => f.write_str("hung"),
            Outcome::TimedOut => f.write_str("timed out"),
            Outcome::Stopped => f.write_str("stopped"),
            Outcome::Replaced => f.write_str("replaced"),
            Outcome::Refused => f.write_str("not started"),
            Outcome::Unknown => f.write_str("unknown"),
            Outcome::Skipped => f.write_str("skipped"),
        }
    }
}

/// How the main process ended, as the kernel tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// It called exit.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
    /// It is gone and nobody can tell how.
    Unknown,
}

/// The job's own word on its end, from its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// It did what it had to do.
    Done,
    /// It failed, and is about to exit with this code.
    Failed {
        /// Exit code.
        exit: i32,
    },
    /// It was asked to stop and did so at a safe point.
    Stopped,
}

/// What the slot held when the run ended. All zero for a run without a slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastWords {
    /// The job's own word.
    pub word: Option<Word>,
    /// checkproc had found the run hung (and written evidence) before it died.
    pub hung: bool,
    /// Rows it had counted.
    pub rows: u64,
    /// Bytes it had counted.
    pub bytes: u64,
}

/// What the run used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Largest resident memory in bytes.
    pub peak_memory: Option<u64>,
    /// CPU time of user and system in microseconds.
    pub cpu_us: Option<u64>,
}
