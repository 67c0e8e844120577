//! The belt between a deliver's dispatcher and its workers.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::load::Load;

/// What became of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The centre has it; so many of its records went to the dead letters instead.
    Confirmed { dead: u64 },
    /// Nobody knows: the deliver stops.
    Dropped,
}

#[derive(Default)]
struct Line {
    loads: VecDeque<Load>,
    ended: Vec<(Load, Fate)>,
    /// Loads that workers are at.
    busy: usize,
    closed: bool,
}

/// The belt.
#[derive(Default)]
pub(super) struct Belt {
    line: Mutex<Line>,
    work: Condvar,
}

impl Belt {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loads that are not ended: waiting, and being worked at.
    pub(super) fn under_way(&self) -> (usize, usize) {
        let line = self.line();
        (line.loads.len(), line.busy)
    }

    pub(super) fn put(&self, load: Load) {
        self.line().loads.push_back(load);
        self.work.notify_one();
    }

    /// For a worker: the next load; `None` after this long, or when there will be no more.
    pub(super) fn take(&self, long: Duration) -> Option<Load> {
        let line = self.line();
        let (mut line, _) = self
            .work
            .wait_timeout_while(line, long, |line| line.loads.is_empty() && !line.closed)
            .unwrap_or_else(PoisonError::into_inner);
        let load = line.loads.pop_front()?;
        line.busy += 1;
        Some(load)
    }

    /// For a worker: a load is ended.
    pub(super) fn end(&self, load: Load, fate: Fate) {
        let mut line = self.line();
        line.busy -= 1;
        line.ended.push((load, fate));
    }

    /// What ended since the last look.
    pub(super) fn ended(&self) -> Vec<(Load, Fate)> {
        std::mem::take(&mut self.line().ended)
    }

    /// No more loads; those that nobody has begun are dropped.
    pub(super) fn close(&self) {
        let mut line = self.line();
        line.closed = true;
        line.loads.clear();
        self.work.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.line().closed
    }
}
