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
    /// Rows it had put aside as bad.
    #[serde(default)]
    pub rejected: u64,
}

/// What the run used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Largest resident memory in bytes.
    pub peak_memory: Option<u64>,
    /// CPU time of user and system in microseconds.
    pub cpu_us: Option<u64>,
}

/// Why the plan ordered a run to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Why {
    /// `stop`.
    Operator,
    /// `restart`.
    Restart,
    /// `disable`, or `enabled="false"` in its file.
    Disabled,
    /// Its file changed.
    Changed,
    /// Its file is gone.
    Removed,
    /// The supervisor ends.
    Shutdown,
    /// A newer run takes its place.
    Replaced,
    /// `max-run` is over.
    MaxRun,
    /// It said itself that it hangs.
    Hung,
    /// It ended by itself and left processes behind.
    Rest,
}

/// The one result of a run. An order to stop counts before what the run did under it; then
/// checkproc's finding; then the kernel's word; the job's own word only where the kernel's is lost.
pub(super) fn decide(stop: Option<Why>, exit: Exit, words: &LastWords) -> Outcome {
    match stop {
        Some(Why::MaxRun) => return Outcome::TimedOut,
        Some(Why::Replaced) => return Outcome::Replaced,
        Some(Why::Hung) => return Outcome::Hung,
        Some(
            Why::Operator
            | Why::Restart
            | Why::Disabled
            | Why::Changed
            | Why::Removed
            | Why::Shutdown,
        ) => return Outcome::Stopped,
        Some(Why::Rest) | None => {}
    }
    if words.hung {
        return Outcome::Hung;
    }
    match (exit, words.word) {
        (Exit::Code(0), _) => Outcome::Done,
        (Exit::Code(130 | 143), Some(Word::Stopped)) => Outcome::Stopped,
        (Exit::Code(exit), _) => Outcome::Failed { exit },
        (Exit::Signal(signal), _) => Outcome::Signalled { signal },
        (Exit::Unknown, Some(Word::Done)) => Outcome::Done,
        (Exit::Unknown, Some(Word::Failed { exit })) => Outcome::Failed { exit },
        (Exit::Unknown, Some(Word::Stopped)) => Outcome::Stopped,
        (Exit::Unknown, None) => Outcome::Unknown,
    }
}

/// The outcome in a line for people. `ours` = run by `jobs`, whose exit codes have a meaning.
pub(super) fn explain(outcome: Outcome, stop: Option<Why>, exit: Exit, ours: bool) -> String {
    match outcome {
        Outcome::Done => "done".into(),
        Outcome::Failed { exit } => match meaning(exit).filter(|_| ours) {
            Some(meaning) => format!("exit {exit}: {meaning}"),
            None => format!("exit {exit}"),
        },
        Outcome::Signalled { signal } => format!("killed by signal {signal}"),
        Outcome::Hung if stop == Some(Why::Hung) => "hung by its own word".into(),
        Outcome::Hung => "no heartbeat".into(),
        Outcome::TimedOut => "ran longer than max-run".into(),
        Outcome::Replaced => "replaced by a newer run".into(),
        Outcome::Stopped => match stop {
            Some(Why::Operator) => "stopped by an operator",
            Some(Why::Restart) => "restarted by an operator",
            Some(Why::Disabled) => "disabled",
            Some(Why::Changed) => "its file changed",
            Some(Why::Removed) => "its file was removed",
            Some(Why::Shutdown) => "procctl stopped",
            Some(Why::Replaced | Why::MaxRun | Why::Hung | Why::Rest) | None => {
                "stopped at a safe point"
            }
        }
        .into(),
        Outcome::Refused => "could not be started".into(),
        Outcome::Unknown if exit == Exit::Unknown => "ended unseen".into(),
        Outcome::Unknown | Outcome::Skipped => outcome.to_string(),
    }
}

/// What an exit code of `jobs` says (sysexits).
fn meaning(exit: i32) -> Option<&'static str> {
    Some(match exit {
        64 => "wrong usage",
        65 => "bad input data beyond what the job tolerates",
        69 => "a server is not reachable",
        70 => "internal error",
        74 => "local I/O error",
        75 => "try again later",
        77 => "no permission",
        78 => "bad job file",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_result_from_three_voices() {
        let silent = LastWords::default();
        let hung = LastWords {
            hung: true,
            ..silent
        };
        let said = |word| LastWords {
            word: Some(word),
            ..silent
        };
        let failed = Outcome::Failed { exit: 75 };
        for (stop, exit, words, result) in [
            (None, Exit::Code(0), silent, Outcome::Done),
            (
                None,
                Exit::Code(0),
                said(Word::Failed { exit: 1 }),
                Outcome::Done,
            ),
            (None, Exit::Code(75), silent, failed),
            (None, Exit::Code(143), said(Word::Stopped), Outcome::Stopped),
            (None, Exit::Code(143), silent, Outcome::Failed { exit: 143 }),
            (
                None,
                Exit::Signal(9),
                silent,
                Outcome::Signalled { signal: 9 },
            ),
            (None, Exit::Signal(9), hung, Outcome::Hung),
            (None, Exit::Code(143), hung, Outcome::Hung),
            (None, Exit::Unknown, silent, Outcome::Unknown),
            (None, Exit::Unknown, said(Word::Done), Outcome::Done),
            (None, Exit::Unknown, said(Word::Failed { exit: 75 }), failed),
            (None, Exit::Unknown, said(Word::Stopped), Outcome::Stopped),
            (Some(Why::MaxRun), Exit::Code(0), silent, Outcome::TimedOut),
            (
                Some(Why::Replaced),
                Exit::Signal(15),
                silent,
                Outcome::Replaced,
            ),
            (Some(Why::Operator), Exit::Signal(9), hung, Outcome::Stopped),
            (Some(Why::Shutdown), Exit::Code(0), silent, Outcome::Stopped),
            (Some(Why::Hung), Exit::Signal(15), silent, Outcome::Hung),
        ] {
            assert_eq!(
                decide(stop, exit, &words),
                result,
                "{stop:?} {exit:?} {words:?}"
            );
        }
    }

    #[test]
    fn reasons_are_a_line_for_people() {
        let failed = Outcome::Failed { exit: 69 };
        let text = |ours| explain(failed, None, Exit::Code(69), ours);
        assert_eq!(text(true), "exit 69: a server is not reachable");
        assert_eq!(text(false), "exit 69");
        let stopped = explain(Outcome::Stopped, Some(Why::Changed), Exit::Code(0), true);
        assert_eq!(stopped, "its file changed");
    }
}
