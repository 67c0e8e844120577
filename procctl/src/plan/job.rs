//! What the plan keeps of each job and of its run. No decisions here.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::entry::Reason;
use super::event::RunId;
use super::outcome::{Outcome, Why};
use super::spec::JobSpec;
use super::status::Last;

/// A job.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    /// Its newest valid version.
    pub(super) spec: Arc<JobSpec>,
    /// Its live run; there is never a second one.
    pub(super) run: Option<Box<Run>>,
    /// The start it waits for.
    pub(super) next: Next,
    /// A start that follows the end of the live run.
    pub(super) queued: Option<Reason>,
    /// Where it is in its cron rule.
    pub(super) cron: Option<Box<CronTimes>>,
    /// What is wrong with its file now.
    pub(super) broken: Option<Box<str>>,
    /// Its file is gone: it is dropped when nothing runs any more.
    pub(super) removed: bool,
    /// An operator stopped it.
    pub(super) stopped: bool,
    /// File and operator let it run.
    pub(super) enabled: bool,
    /// Failures in a row; for a kept job ends after short runs.
    pub(super) streak: u32,
    /// Runs since the supervisor began.
    pub(super) starts: u32,
    /// Starts left out since the supervisor began.
    pub(super) skipped: u32,
    /// What the last alarm left behind.
    pub(super) health: Health,
    /// How the last run ended.
    pub(super) last: Option<Box<Last>>,
    /// When, by the clock that does not step.
    pub(super) last_end: Option<Duration>,
    /// Since when it is in its state.
    pub(super) since: DateTime<Utc>,
    /// Why the last start did not come about.
    pub(super) note: Option<Box<str>>,
    /// Its times in the index of due times.
    #[serde(skip)]
    pub(super) indexed: (Option<Duration>, Option<DateTime<Utc>>),
}

/// The start a job waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Next {
    /// None that is known.
    Idle,
    /// This one, at this time since boot.
    At {
        /// When.
        at: Duration,
        /// What for.
        reason: Reason,
    },
    /// This one, when the window opens.
    Window {
        /// When that is.
        open: DateTime<Utc>,
        /// What for.
        reason: Reason,
    },
    /// This one, when the pool has a seat.
    Seat {
        /// Which pool.
        pool: Arc<str>,
        /// Place in its queue.
        ticket: u64,
        /// What for.
        reason: Reason,
    },
}

/// Where a job is in its cron rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct CronTimes {
    /// The next time.
    pub(super) next: Option<DateTime<Utc>>,
    /// A time that came and is not yet accounted for (splay, pool, queue).
    pub(super) due: Option<DateTime<Utc>>,
    /// Since when (time since boot) the rule is followed without a break.
    pub(super) armed: Duration,
}

/// A job's health as the alarms have told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Health {
    /// Nothing bad was told, or a recovery.
    Good,
    /// A failure was told.
    Failed,
    /// A hang was told.
    Hung,
    /// Its run said itself that something is wrong, and goes on.
    Troubled,
}

/// A live run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Run {
    /// Its id.
    pub(super) id: RunId,
    /// The version of the job it was started from.
    pub(super) spec: Arc<JobSpec>,
    /// What made it start.
    pub(super) reason: Reason,
    /// Its main process, once there is one.
    pub(super) pid: Option<u32>,
    /// Wall time of its start.
    pub(super) started: DateTime<Utc>,
    /// Time since boot of its start.
    pub(super) started_mono: Duration,
    /// The pool whose seat it holds.
    pub(super) seat: Option<Arc<str>>,
    /// The order to stop, if there is one.
    pub(super) stop: Option<Stop>,
    /// Its result, once the main process has ended: what is left are other processes of its tree.
    pub(super) result: Option<Outcome>,
    /// When it will have lasted so long that the job counts as well again.
    pub(super) steady: Option<Duration>,
    /// A start that depends on whether this run is overdue.
    pub(super) examined: Option<Reason>,
    /// `STATUS=`
    pub(super) says: Option<Box<str>>,
    /// The last `X_ALARM=`, if it is not over.
    #[serde(default)]
    pub(super) trouble: Option<Box<str>>,
}

/// An order to stop under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Stop {
    /// Why; the first reason stays.
    pub(super) why: Why,
    /// How far it has come.
    pub(super) stage: Stage,
}

/// How far a stop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// SIGTERM is sent; SIGKILL follows at this time.
    Term(Duration),
    /// SIGKILL is sent; given up at this time.
    Kill(Duration),
    /// It survives SIGKILL: nothing more is done.
    GivenUp,
}

impl Job {
    /// A job that has just become known.
    pub(super) fn new(spec: Arc<JobSpec>, since: DateTime<Utc>) -> Job {
        Job {
            enabled: spec.policy.enabled,
            spec,
            run: None,
            next: Next::Idle,
            queued: None,
            cron: None,
            broken: None,
            removed: false,
            stopped: false,
            streak: 0,
            starts: 0,
            skipped: 0,
            health: Health::Good,
            last: None,
            last_end: None,
            since,
            note: None,
            indexed: (None, None),
        }
    }

    /// Whether schedule and back-off may start it.
    pub(super) fn is_active(&self) -> bool {
        self.enabled && !self.stopped && !self.removed
    }

    /// Whether it cannot be started since its file is no job now.
    pub(super) fn is_blocked(&self) -> bool {
        self.broken.is_some() && self.spec.needs_file()
    }

    /// Whether processes of its run survive SIGKILL.
    pub(super) fn is_stuck(&self) -> bool {
        let stage = self.run.as_ref().and_then(|run| run.stop.as_ref());
        stage.is_some_and(|stop| stop.stage == Stage::GivenUp)
    }

    /// The earliest times at which something about it falls due, by each clock.
    pub(super) fn wakes(&self) -> (Option<Duration>, Option<DateTime<Utc>>) {
        let mut mono = match self.next {
            Next::At { at, .. } => Some(at),
            Next::Idle | Next::Window { .. } | Next::Seat { .. } => None,
        };
        let mut sooner = |at: Option<Duration>| {
            mono = match (mono, at) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        };
        if let Some(run) = &self.run {
            sooner(run.steady);
            sooner(run.stage_end());
            sooner(self.longest(run));
        }
        let window = match self.next {
            Next::Window { open, .. } => Some(open),
            Next::Idle | Next::At { .. } | Next::Seat { .. } => None,
        };
        let cron = self.cron.as_ref().and_then(|cron| cron.next);
        let wall = match (window, cron) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        (mono, wall)
    }

    /// When the run reaches `max-run`; none once it is being stopped.
    pub(super) fn longest(&self, run: &Run) -> Option<Duration> {
        let longest = self.spec.policy.max_run?;
        (run.stop.is_none() && run.result.is_none())
            .then(|| run.started_mono.saturating_add(longest))
    }
}

impl Run {
    /// When the present stage of its stop is over.
    pub(super) fn stage_end(&self) -> Option<Duration> {
        match self.stop.as_ref()?.stage {
            Stage::Term(at) | Stage::Kill(at) => Some(at),
            Stage::GivenUp => None,
        }
    }
}
