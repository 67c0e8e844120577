//! Cron times and windows under a wall clock that may be stepped.
//!
//! Steps are told by comparing the two clocks. A stretch of wall time that was lived through is
//! never lived again: after a step back, cron times in it are left out, since they had their turn.
//! Times that a step forward jumped over are in no stretch, and come when the clock is set right.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::event::Now;
use super::spec::Policy;

/// A difference between the clocks from which it counts as a step. A slewed clock may seem to step
/// after a long idle time: that does no harm.
const STEP: TimeDelta = TimeDelta::seconds(1);

/// Past stretches that are kept: more steps back than this within one stretch of time are a broken clock.
const KEPT: usize = 8;

/// A window that does not open is looked at again after this.
const RECHECK: TimeDelta = TimeDelta::minutes(1);

/// The wall time that was lived through.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Lived {
    from: DateTime<Utc>,
    /// The latest time of the present stretch: a step too small to end it may have followed.
    to: DateTime<Utc>,
    last: Now,
    past: Vec<Stretch>,
}

/// Wall time between two steps.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Stretch {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    /// Time since boot of its end.
    end: Duration,
}

/// What the wall clock did since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It went on.
    None,
    /// It was set forward.
    Forward,
    /// It was set back.
    Back,
}

impl Lived {
    /// Begins to live.
    pub(super) fn new(now: Now) -> Lived {
        Lived {
            from: now.wall,
            to: now.wall,
            last: now,
            past: Vec::new(),
        }
    }

    /// Takes the time of an event.
    pub(super) fn look(&mut self, now: Now) -> Step {
        let last = std::mem::replace(&mut self.last, now);
        let passed = TimeDelta::from_std(now.mono.saturating_sub(last.mono));
        let off = (now.wall - last.wall) - passed.unwrap_or(TimeDelta::MAX);
        if off.abs() <= STEP {
            self.to = self.to.max(now.wall);
            return Step::None;
        }
        self.past.retain(|stretch| stretch.to > now.wall);
        let ended = Stretch {
            from: self.from,
            to: self.to,
            end: last.mono,
        };
        if ended.to > now.wall {
            self.past.push(ended);
            if self.past.len() > KEPT {
                self.past.remove(0);
            }
        }
        (self.from, self.to) = (now.wall, now.wall);
        if off < TimeDelta::zero() {
            Step::Back
        } else {
            Step::Forward
        }
    }

    /// The end of a past stretch with this time in it, that a job followed since `armed` had its turn in.
    fn had(&self, time: DateTime<Utc>, armed: Duration) -> Option<DateTime<Utc>> {
        let stretch = self
            .past
            .iter()
            .find(|stretch| armed <= stretch.end && time > stretch.from && time <= stretch.to);
        stretch.map(|stretch| stretch.to)
    }

    /// The first cron time after `after` of a job whose rule is followed since `armed`.
    pub(super) fn next_cron(
        &self,
        policy: &Policy,
        after: DateTime<Utc>,
        armed: Duration,
    ) -> Option<DateTime<Utc>> {
        let cron = policy.cron.as_ref()?;
        let mut after = after;
        // every round leaves one stretch behind
        for _ in 0..=self.past.len() {
            let time = cron
                .next(after, &policy.zone)
                .filter(|time| *time > after)?;
            match self.had(time, armed) {
                Some(end) => after = end,
                None => return Some(time),
            }
        }
        None
    }
}

/// When scheduled starts may happen again; `None` = now.
pub(super) fn opens(policy: &Policy, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let window = policy.window.as_ref()?;
    if window.is_open(now, &policy.zone) {
        return None;
    }
    let open = window.next_open(now, &policy.zone);
    Some(if open > now { open } else { now + RECHECK })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono: u64, wall: &str) -> Now {
        Now {
            mono: Duration::from_secs(mono),
            wall: wall.parse().unwrap(),
        }
    }

    fn hourly() -> Policy {
        Policy {
            cron: Some(Box::new("0 * * * *".parse().unwrap())),
            zone: "UTC".parse().unwrap(),
            ..Policy::default()
        }
    }

    #[test]
    fn times_lived_through_do_not_come_again() {
        let mut lived = Lived::new(at(0, "2026-05-01T00:30:00Z"));
        assert_eq!(lived.look(at(9000, "2026-05-01T03:00:00Z")), Step::None);
        assert_eq!(lived.look(at(9001, "2026-05-01T00:45:01Z")), Step::Back);
        let now = "2026-05-01T00:45:01Z".parse().unwrap();
        let next = lived.next_cron(&hourly(), now, Duration::ZERO).unwrap();
        assert_eq!(next.to_rfc3339(), "2026-05-01T04:00:00+00:00");
        // a job that came later has not had them
        let later = Duration::from_secs(9001);
        let next = lived.next_cron(&hourly(), now, later).unwrap();
        assert_eq!(next.to_rfc3339(), "2026-05-01T01:00:00+00:00");
    }

    #[test]
    fn times_jumped_over_come_when_the_clock_is_set_right() {
        let mut lived = Lived::new(at(0, "2026-05-01T12:30:00Z"));
        assert_eq!(lived.look(at(10, "2026-05-02T12:30:10Z")), Step::Forward);
        assert_eq!(lived.look(at(3700, "2026-05-02T13:31:40Z")), Step::None);
        assert_eq!(lived.look(at(3701, "2026-05-01T13:31:41Z")), Step::Back);
        let mut time = "2026-05-01T13:31:41Z".parse().unwrap();
        let mut times = Vec::new();
        for _ in 0..25 {
            time = lived.next_cron(&hourly(), time, Duration::ZERO).unwrap();
            times.push(time.to_rfc3339());
        }
        assert_eq!(times[0], "2026-05-01T14:00:00+00:00");
        assert!(!times.contains(&"2026-05-02T13:00:00+00:00".to_string()));
        assert!(times.contains(&"2026-05-02T12:00:00+00:00".to_string()));
        assert!(times.contains(&"2026-05-02T14:00:00+00:00".to_string()));
    }

    #[test]
    fn a_clock_years_ahead_silences_nothing() {
        let mut lived = Lived::new(at(0, "2036-01-01T00:00:00Z"));
        assert_eq!(lived.look(at(60, "2026-05-01T13:30:00Z")), Step::Back);
        let now = "2026-05-01T13:30:00Z".parse().unwrap();
        let next = lived.next_cron(&hourly(), now, Duration::ZERO).unwrap();
        assert_eq!(next.to_rfc3339(), "2026-05-01T14:00:00+00:00");
    }

    #[test]
    fn windows_open_in_their_zone() {
        let policy = Policy {
            window: Some(Box::new("22:00-05:30".parse().unwrap())),
            zone: "Europe/Berlin".parse().unwrap(),
            ..Policy::default()
        };
        let noon = "2026-01-10T11:00:00Z".parse().unwrap();
        let open = opens(&policy, noon).unwrap();
        assert_eq!(open.to_rfc3339(), "2026-01-10T21:00:00+00:00");
        assert_eq!(opens(&policy, open), None);
        assert_eq!(opens(&Policy::default(), noon), None);
    }
}
