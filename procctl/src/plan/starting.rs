//! A start that fell due: now, later or never.
//!
//! `window` holds for what the schedule starts: a cron time outside is left out, everything else
//! waits for the opening. What an operator orders and what a changed file restarts does not ask it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::action::Action;
use super::calendar::opens;
use super::entry::Reason;
use super::event::RunId;
use super::job::{Health, Next, Run};
use super::spec::{Policy, Start};
use super::turn::Turn;

/// The shortest time after which a kept job that had failed counts as well again.
const PROOF: Duration = Duration::from_secs(1);

/// What became of a start that fell due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The order is out.
    Started,
    /// It happens when the live run has ended.
    Follows(&'static str),
    /// It depends on whether the live run is overdue.
    Examining,
    /// It waits for something.
    Waits(String),
    /// The live run does a pass for it.
    Passed,
    /// It does not happen.
    Refused(String),
}

/// When the window opens for such a start; `None` = it may happen now.
fn closed_for(reason: Reason, policy: &Policy, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match reason {
        Reason::Trigger | Reason::Operator | Reason::Changed => None,
        Reason::Every
        | Reason::Cron
        | Reason::Missed
        | Reason::After
        | Reason::Kept
        | Reason::Retry
        | Reason::Adopted => opens(policy, now),
    }
}

impl Turn<'_> {
    /// A start falls due now.
    pub(super) fn fall_due(&mut self, name: &Arc<str>, reason: Reason) -> Verdict {
        let Some(job) = self.job(name) else {
            return Verdict::Refused("no such job".into());
        };
        if !self.state.booted || self.state.leaving.is_some() {
            return Verdict::Refused("procctl is starting or stopping".into());
        }
        if job.is_blocked() || job.spec.start == Start::Lost {
            return self.skip(name, reason, 1, "its file is broken");
        }
        if let Next::Seat { pool, ticket, .. } = &job.next {
            return Verdict::Waits(self.state.pools.describe(pool, *ticket));
        }
        if let Some(open) = closed_for(reason, &job.spec.policy, self.now.wall) {
            return self.wait_for_window(name, reason, open);
        }
        if job.run.is_some() {
            return self.overlap(name, reason);
        }
        self.admit(name, reason, false)
    }

    fn wait_for_window(&mut self, name: &Arc<str>, reason: Reason, open: DateTime<Utc>) -> Verdict {
        if reason == Reason::Cron {
            // by design, not worth a line of history
            self.account_due(name);
            return Verdict::Refused("outside its window".into());
        }
        if let Some(job) = self.job_mut(name) {
            job.next = Next::Window { open, reason };
        }
        Verdict::Waits("waits for its window to open".into())
    }

    /// Starts it if its pool has a seat. `called` = it was its turn in the pool's queue.
    fn admit(&mut self, name: &Arc<str>, reason: Reason, called: bool) -> Verdict {
        let pool = self.policy(name).and_then(|policy| policy.pool.clone());
        if let Some(pool) = &pool
            && !self.state.pools.take(pool, called)
        {
            let ticket = self.state.pools.wait(pool, name);
            let text = self.state.pools.describe(pool, ticket);
            if let Some(job) = self.job_mut(name) {
                let pool = pool.clone();
                job.next = Next::Seat {
                    pool,
                    ticket,
                    reason,
                };
            }
            return Verdict::Waits(text);
        }
        self.launch(name, reason, pool);
        Verdict::Started
    }

    /// Calls who waits for a seat, as long as there are seats.
    pub(super) fn serve(&mut self, pool: &Arc<str>) {
        while let Some(name) = self.state.pools.call(pool) {
            let Some(job) = self.job_mut(&name) else {
                continue;
            };
            let Next::Seat { reason, .. } = std::mem::replace(&mut job.next, Next::Idle) else {
                continue;
            };
            // a window may have closed, a file broken meanwhile
            let (spec, blocked) = (job.spec.clone(), job.is_blocked());
            let fit = !blocked && closed_for(reason, &spec.policy, self.now.wall).is_none();
            if fit && self.state.leaving.is_none() {
                self.admit(&name, reason, true);
            } else {
                let verdict = self.fall_due(&name, reason);
                self.answer_verdict(&name, &verdict);
            }
        }
    }

    fn launch(&mut self, name: &Arc<str>, reason: Reason, seat: Option<Arc<str>>) {
        let now = self.now;
        let id = self.new_run();
        let Some(job) = self.job_mut(name) else {
            return;
        };
        // an operator's extra run does not use up a scheduled start that is under way
        let under_way = matches!(
            job.next,
            Next::At {
                reason: Reason::Cron | Reason::Missed | Reason::After,
                ..
            }
        );
        let extra = reason == Reason::Trigger && under_way;
        if !extra {
            job.next = Next::Idle;
        }
        let spec = job.spec.clone();
        let policy = &spec.policy;
        let unwell = policy.kept && job.health != Health::Good;
        let proof = policy
            .backoff_max
            .max(policy.heartbeat.unwrap_or_default().saturating_mul(2))
            .max(PROOF);
        job.run = Some(Box::new(Run {
            id,
            spec: spec.clone(),
            reason,
            pid: None,
            started: now.wall,
            started_mono: now.mono,
            seat,
            stop: None,
            result: None,
            steady: unwell.then(|| now.mono.saturating_add(proof)),
            examined: None,
            says: None,
            trouble: None,
        }));
        job.starts = job.starts.saturating_add(1);
        job.since = now.wall;
        job.note = None;
        self.state.runs.insert(id, name.clone());
        if !extra {
            self.account_due(name);
        }
        self.order(Action::Start {
            run: id,
            job: spec,
            reason,
        });
    }

    /// An id for a run: the wall time in microseconds, later than any other.
    pub(super) fn new_run(&mut self) -> RunId {
        let wall = u64::try_from(self.now.wall.timestamp_micros()).unwrap_or(0);
        self.state.last_run = wall.max(self.state.last_run + 1);
        self.state.last_run
    }

    /// Cancels every start that is still to come, the cron rule included.
    pub(super) fn disarm(&mut self, name: &Arc<str>, why: &str) {
        self.cancel_next(name);
        let Some(job) = self.job_mut(name) else {
            return;
        };
        job.queued = None;
        job.cron = None;
        if let Some(run) = &mut job.run {
            run.examined = None;
        }
        self.answer_cancelled(name, why);
    }

    /// Cancels the start that the job waits for; gives its reason.
    pub(super) fn cancel_next(&mut self, name: &Arc<str>) -> Option<Reason> {
        let job = self.job_mut(name)?;
        match std::mem::replace(&mut job.next, Next::Idle) {
            Next::Idle => None,
            Next::At { reason, .. } | Next::Window { reason, .. } => Some(reason),
            Next::Seat {
                pool,
                ticket,
                reason,
            } => {
                self.state.pools.cancel(&pool, ticket);
                Some(reason)
            }
        }
    }
}
