//! What is due: cron times, `every`, windows that open, starts that were put off.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::action::AlarmKind;
use super::calendar::opens;
use super::entry::Reason;
use super::job::{CronTimes, Next};
use super::memory::Until;
use super::turn::Turn;

/// A cron time noticed later than this while procctl lives was missed (suspend, a step forward), not late.
const LATE: TimeDelta = TimeDelta::seconds(60);

/// A remembered time further ahead than this is taken for the work of a wrong clock.
const AHEAD: TimeDelta = TimeDelta::days(1);

/// Missed times are counted up to here.
const COUNTED: usize = 1000;

/// Ends of runs are remembered from this `every` on: shorter ones may as well start anew.
const WORTH_REMEMBERING: Duration = Duration::from_secs(60);

impl Turn<'_> {
    /// Looks at every job that is due until none is.
    pub(super) fn run_due(&mut self) {
        self.settle();
        while let Some(name) = self.state.timers.due(self.now) {
            self.fire(&name);
            self.settle();
        }
    }

    fn fire(&mut self, name: &Arc<str>) {
        self.fire_stage(name);
        self.fire_longest(name);
        self.fire_steady(name);
        self.fire_cron(name);
        self.fire_next(name);
    }

    fn fire_next(&mut self, name: &Arc<str>) {
        let now = self.now;
        let Some(job) = self.job_mut(name) else {
            return;
        };
        let reason = match job.next {
            Next::At { at, reason } if at <= now.mono => reason,
            Next::Window { open, reason } if open <= now.wall => reason,
            Next::Idle | Next::At { .. } | Next::Window { .. } | Next::Seat { .. } => return,
        };
        job.next = Next::Idle;
        self.fall_due(name, reason);
    }

    /// Puts an active job on its schedule: at boot, when it appears, is enabled or started.
    pub(super) fn arm(&mut self, name: &Arc<str>) {
        if !self.state.booted || self.state.leaving.is_some() {
            return;
        }
        let Some(job) = self.job(name).filter(|job| job.is_active()) else {
            return;
        };
        let policy = &job.spec.policy;
        let idle = job.run.is_none() && job.next == Next::Idle;
        let (kept, every) = (policy.kept, policy.every);
        self.arm_cron(name);
        if !idle {
            return;
        }
        if kept {
            self.fall_due(name, Reason::Kept);
        } else if let Some(every) = every {
            let at = self.next_every(name, every);
            self.put_off(name, at, Reason::Every);
        }
    }

    /// When a job with `every` is to run: so long after its last end, as far as that is known.
    fn next_every(&self, name: &Arc<str>, every: Duration) -> Duration {
        let now = self.now;
        if let Some(end) = self.job(name).and_then(|job| job.last_end) {
            return end.saturating_add(every).max(now.mono);
        }
        let remembered = self.state.memory.of(name).and_then(|what| what.ended);
        let since = remembered.and_then(|ended| (now.wall - ended).to_std().ok());
        // without an end, or with one in the future, it runs at once
        let wait = since.map_or(Duration::ZERO, |since| every.saturating_sub(since));
        now.mono.saturating_add(wait)
    }

    /// Waits with a scheduled start until `at` and the splay after it.
    pub(super) fn put_off(&mut self, name: &Arc<str>, at: Duration, reason: Reason) {
        let splay = self.policy(name).map(|policy| policy.splay);
        let at = at.saturating_add(self.state.chance.up_to(splay.unwrap_or_default()));
        let Some(job) = self.job_mut(name) else {
            return;
        };
        match job.next {
            // one start at the earlier time serves both
            Next::At { at: other, .. } if other <= at => {}
            Next::Seat { .. } | Next::Window { .. } => {}
            Next::Idle | Next::At { .. } => job.next = Next::At { at, reason },
        }
    }

    /// A scheduled start has come: it happens after its splay.
    pub(super) fn schedule(&mut self, name: &Arc<str>, reason: Reason) {
        let Some(policy) = self.policy(name) else {
            return;
        };
        let closed = opens(policy, self.now.wall).is_some();
        if policy.splay.is_zero() || closed {
            self.fall_due(name, reason);
        } else {
            self.put_off(name, self.now.mono, reason);
        }
    }

    /// Follows the cron rule from where it was left off.
    fn arm_cron(&mut self, name: &Arc<str>) {
        let now = self.now;
        let Some(job) = self.job(name) else { return };
        if job.cron.is_some() {
            return;
        }
        let Some(rule) = self.cron_rule(name) else {
            return;
        };
        let until = self
            .state
            .memory
            .of(name)
            .and_then(|what| what.until.as_ref());
        let left_off = until
            .filter(|until| *until.cron == *rule && until.at <= now.wall + AHEAD)
            .map(|until| until.at);
        if left_off.is_none() {
            self.account(name, now.wall);
        }
        let since = left_off.unwrap_or(now.wall);
        let next = self
            .policy(name)
            .and_then(|policy| self.state.lived.next_cron(policy, since, now.mono));
        if let Some(job) = self.job_mut(name) {
            job.cron = Some(Box::new(CronTimes {
                next,
                due: None,
                armed: now.mono,
            }));
        }
        if let Some(first) = next.filter(|first| *first <= now.wall) {
            self.miss(name, first);
        }
    }

    /// The rule as it is remembered.
    fn cron_rule(&self, name: &str) -> Option<Box<str>> {
        let policy = self.policy(name)?;
        let cron = policy.cron.as_ref()?;
        Some(format!("{cron} {}", policy.zone).into())
    }

    /// Forgets where the cron rule was left off: times before now have nothing to be made up for.
    pub(super) fn begin_cron_anew(&mut self, name: &Arc<str>) {
        let Some(job) = self.job_mut(name) else {
            return;
        };
        job.cron = None;
        if self.cron_rule(name).is_some() {
            self.account(name, self.now.wall);
        }
    }

    /// Cron times up to this one are accounted for.
    fn account(&mut self, name: &Arc<str>, at: DateTime<Utc>) {
        if let Some(cron) = self.cron_rule(name) {
            self.remember(name, |what| what.until = Some(Box::new(Until { cron, at })));
        }
    }

    /// The cron time that came is accounted for: it led to a start, or to none.
    pub(super) fn account_due(&mut self, name: &Arc<str>) {
        let Some(job) = self.job_mut(name) else {
            return;
        };
        if let Some(due) = job.cron.as_mut().and_then(|cron| cron.due.take()) {
            self.account(name, due);
        }
    }

    fn fire_cron(&mut self, name: &Arc<str>) {
        let now = self.now;
        let Some(job) = self.job(name) else { return };
        let Some(cron) = job.cron.as_deref().copied() else {
            return;
        };
        let Some(first) = cron.next.filter(|first| *first <= now.wall) else {
            return;
        };
        if now.wall - first > LATE {
            self.miss(name, first);
            return;
        }
        // several times within a short delay are one start
        let (mut last, mut next) = (first, None);
        for _ in 0..COUNTED {
            next = self
                .state
                .lived
                .next_cron(&job.spec.policy, last, cron.armed);
            match next.filter(|next| *next <= now.wall) {
                Some(time) => last = time,
                None => break,
            }
        }
        self.set_cron(name, next, Some(last));
        self.schedule(name, Reason::Cron);
    }

    fn set_cron(
        &mut self,
        name: &Arc<str>,
        next: Option<DateTime<Utc>>,
        due: Option<DateTime<Utc>>,
    ) {
        if let Some(cron) = self.job_mut(name).and_then(|job| job.cron.as_mut()) {
            cron.next = next;
            cron.due = due.or(cron.due);
        }
    }

    /// Cron times from `first` until now passed unnoticed: down, asleep, or a step forward.
    fn miss(&mut self, name: &Arc<str>, first: DateTime<Utc>) {
        let now = self.now;
        let Some(job) = self.job(name) else { return };
        let (policy, lived) = (&job.spec.policy, &self.state.lived);
        let armed = job.cron.as_ref().map_or(now.mono, |cron| cron.armed);
        let times =
            std::iter::successors(Some(first), |time| lived.next_cron(policy, *time, armed));
        let count = times
            .take(COUNTED)
            .take_while(|time| *time <= now.wall)
            .count();
        let next = lived.next_cron(policy, now.wall, armed);
        let once = policy.missed == super::spec::Missed::Once;
        let more = if count == COUNTED { " or more" } else { "" };
        let plural = if count == 1 { "time" } else { "times" };
        let follows = if once {
            "one run makes up for it"
        } else {
            "left out"
        };
        let first = first.format("%Y-%m-%d %H:%M:%S UTC");
        let text = format!("{count}{more} cron {plural} missed since {first}: {follows}");
        self.alarm(AlarmKind::Missed, name, None, text.clone());
        self.set_cron(name, next, Some(now.wall));
        if once {
            self.schedule(name, Reason::Missed);
        } else {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            self.skip(name, Reason::Missed, count, &text);
        }
    }

    /// The wall clock was set back: wall times are looked up anew.
    pub(super) fn rewind(&mut self) {
        let wall = self.now.wall;
        let names: Vec<_> = self.state.jobs.keys().cloned().collect();
        for name in names {
            let Some(job) = self.job(&name) else { continue };
            let policy = &job.spec.policy;
            let open = opens(policy, wall).unwrap_or(wall);
            let next = job
                .cron
                .as_ref()
                .and_then(|cron| self.state.lived.next_cron(policy, wall, cron.armed));
            let Some(job) = self.job_mut(&name) else {
                continue;
            };
            if let Some(cron) = &mut job.cron {
                cron.next = next;
            }
            if let Next::Window { open: old, .. } = &mut job.next {
                *old = open;
            }
        }
    }

    /// Remembers the end of a run where `every` is long.
    pub(super) fn remember_end(&mut self, name: &Arc<str>, ended: DateTime<Utc>) {
        let every = self.policy(name).and_then(|policy| policy.every);
        if every.is_some_and(|every| every >= WORTH_REMEMBERING) {
            self.remember(name, |what| what.ended = Some(ended));
        }
    }
}
