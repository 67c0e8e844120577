//! The index of due times: which job must be looked at next, by each clock.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::event::Now;
use super::job::Job;

/// Due times of all jobs, at most one a job and clock.
#[derive(Debug, Default)]
pub(super) struct Timers {
    mono: BTreeSet<(Duration, Arc<str>)>,
    wall: BTreeSet<(DateTime<Utc>, Arc<str>)>,
}

impl Timers {
    /// Brings the index up to date with a job.
    pub(super) fn index(&mut self, name: &Arc<str>, job: &mut Job) {
        let wakes = job.wakes();
        if wakes == job.indexed {
            return;
        }
        self.forget(name, job);
        if let Some(at) = wakes.0 {
            self.mono.insert((at, name.clone()));
        }
        if let Some(at) = wakes.1 {
            self.wall.insert((at, name.clone()));
        }
        job.indexed = wakes;
    }

    /// Takes a job out of the index.
    pub(super) fn forget(&mut self, name: &Arc<str>, job: &mut Job) {
        let (mono, wall) = std::mem::take(&mut job.indexed);
        if let Some(at) = mono {
            self.mono.remove(&(at, name.clone()));
        }
        if let Some(at) = wall {
            self.wall.remove(&(at, name.clone()));
        }
    }

    /// A job that is due, the longest waiting first.
    pub(super) fn due(&self, now: Now) -> Option<Arc<str>> {
        let mono = self.mono.first().filter(|(at, _)| *at <= now.mono);
        let wall = self.wall.first().filter(|(at, _)| *at <= now.wall);
        let first = mono.map(|(_, name)| name).or(wall.map(|(_, name)| name));
        first.cloned()
    }

    /// The first due time of each clock.
    pub(super) fn first(&self) -> (Option<Duration>, Option<DateTime<Utc>>) {
        let mono = self.mono.first().map(|(at, _)| *at);
        let wall = self.wall.first().map(|(at, _)| *at);
        (mono, wall)
    }
}
