//! What waits to be written, between the loop that must never wait for a disk and the thread
//! that may. Bounded: lines that find no room are refused and counted by whoever brought them.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::logfile::Rotation;

/// Most bytes of lines that wait.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Most entries of the history that wait.
const MOST_ENTRIES: usize = 20_000;

/// How long work is gathered after the first of it: one transaction and one write then serve what ends or talks at once,
/// and a storm of restarts does not have to share the processor with it.
const GATHER: Duration = Duration::from_millis(200);

/// Something to be written.
#[derive(Debug, PartialEq)]
pub(super) enum Work {
    /// Whole lines for the log of a job.
    Lines {
        /// The job's name.
        job: String,
        /// One or more lines, each with its end.
        text: Vec<u8>,
    },
    /// An entry of the history, as text: a tree of values would be many times as large.
    Entry(String),
    /// Other limits for logs from now on.
    Rotate(Rotation),
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Work>,
    bytes: usize,
    entries: usize,
    closed: bool,
}

/// The queue; shared by reference.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    drained: Condvar,
}

/// What the writer gets when it asks for work.
#[derive(Debug, PartialEq)]
pub(super) enum Taken {
    /// Everything that waited, in order.
    Work(VecDeque<Work>),
    /// Nothing came in the given time.
    Nothing,
    /// The queue is closed and empty.
    Closed,
}

impl Queue {
    /// Adds `work`, or gives it back where there is no room for it.
    pub(super) fn push(&self, work: Work) -> Result<(), Work> {
        let mut state = self.lock();
        match &work {
            Work::Lines { text, .. } => {
                if state.bytes > 0 && state.bytes + text.len() > MOST_BYTES {
                    return Err(work);
                }
                state.bytes += text.len();
            }
            Work::Entry(_) => {
                if state.entries >= MOST_ENTRIES {
                    return Err(work);
                }
                state.entries += 1;
            }
            Work::Rotate(_) => {}
        }
        // whoever gathers is woken only when there is much
        let wake = state.waiting.is_empty()
            || state.bytes >= MOST_BYTES / 4
            || state.entries >= MOST_ENTRIES / 4;
        state.waiting.push_back(work);
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Adds `work`, waiting up to `patience` for room: for the end, when no pipe is read any more.
    pub(super) fn push_patiently(&self, work: Work, patience: Duration) -> Result<(), Work> {
        let Err(work) = self.push(work) else {
            return Ok(());
        };
        let full = |state: &mut State| !state.waiting.is_empty();
        let state = self.lock();
        let waited = self.drained.wait_timeout_while(state, patience, full);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.push(work)
    }

    /// Takes all that waits; waits itself where nothing does, at most for `patience` if one is given.
    pub(super) fn take(&self, patience: Option<Duration>) -> Taken {
        let idle = |state: &mut State| state.waiting.is_empty() && !state.closed;
        let state = self.lock();
        let mut state = match patience {
            None => self
                .arrived
                .wait_while(state, idle)
                .unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                self.arrived
                    .wait_timeout_while(state, patience, idle)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
        if !state.waiting.is_empty() && !state.closed {
            let room = |state: &mut State| {
                !state.closed && state.bytes < MOST_BYTES / 4 && state.entries < MOST_ENTRIES / 4
            };
            let waited = self.arrived.wait_timeout_while(state, GATHER, room);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.bytes = 0;
        state.entries = 0;
        // the queue's own memory goes with what was in it
        let work = std::mem::take(&mut state.waiting);
        self.drained.notify_one();
        match (work.is_empty(), state.closed) {
            (false, _) => Taken::Work(work),
            (true, true) => Taken::Closed,
            (true, false) => Taken::Nothing,
        }
    }

    /// Nothing more comes: the writer ends when it has written what waits.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    /// Each step under the lock leaves the state whole, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(length: usize) -> Work {
        Work::Lines {
            job: "a".into(),
            text: vec![b'x'; length],
        }
    }

    #[test]
    fn lines_beyond_the_bound_are_refused_and_entries_are_not() {
        let queue = Queue::default();
        queue.push(lines(MOST_BYTES)).unwrap();
        assert!(queue.push(lines(1)).is_err());
        queue.push(Work::Entry("{}".to_owned())).unwrap();
        let Taken::Work(work) = queue.take(None) else {
            panic!("work waits");
        };
        assert_eq!(work.len(), 2);
        queue.push(lines(1)).unwrap();
    }

    #[test]
    fn closing_lets_the_rest_through() {
        let queue = Queue::default();
        assert_eq!(queue.take(Some(Duration::ZERO)), Taken::Nothing);
        queue.push(lines(1)).unwrap();
        queue.close();
        assert!(matches!(queue.take(None), Taken::Work(_)));
        assert_eq!(queue.take(None), Taken::Closed);
    }
}
