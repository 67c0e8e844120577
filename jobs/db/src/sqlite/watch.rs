//! Time limits and cancelling: SQLite asks here, every so many steps of its machine and while it waits for a
//! lock, whether to go on. Knows no SQL.

use crate::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How many steps of SQLite's machine pass between two looks at the clock: well under a millisecond.
pub(super) const STEPS: i32 = 20_000;

/// Shared by a connection, its hooks and its cancellers.
pub(super) struct Watch {
    origin: Instant,
    /// Counts calls of the face; a look that finds a new number begins a new measurement.
    call: AtomicU64,
    seen: AtomicU64,
    since_ms: AtomicU64,
    limit_ms: AtomicU64,
    busy_ms: u64,
    cancelled: AtomicBool,
    timed_out: AtomicBool,
}

impl Watch {
    pub(super) fn new(limit: Duration, busy: Duration) -> Self {
        Watch {
            origin: Instant::now(),
            call: AtomicU64::new(1),
            seen: AtomicU64::new(0),
            since_ms: AtomicU64::new(0),
            limit_ms: AtomicU64::new(millis(limit)),
            busy_ms: millis(busy),
            cancelled: AtomicBool::new(false),
            timed_out: AtomicBool::new(false),
        }
    }

    /// A statement starts: what was asked of an earlier one is over.
    pub(super) fn start(&self) {
        self.cancelled.store(false, Relaxed);
        self.timed_out.store(false, Relaxed);
        self.again();
    }

    /// The same statement is asked for its next row.
    pub(super) fn again(&self) {
        self.call.store(self.call.load(Relaxed) + 1, Relaxed);
    }

    pub(super) fn limit(&self, limit: Duration) {
        self.limit_ms.store(millis(limit), Relaxed);
    }

    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Relaxed);
    }

    /// Whether SQLite should stop where it is.
    pub(super) fn stops(&self) -> bool {
        if self.cancelled.load(Relaxed) {
            return true;
        }
        let limit = self.limit_ms.load(Relaxed);
        let over = limit > 0 && self.elapsed_ms() >= limit;
        if over {
            self.timed_out.store(true, Relaxed);
        }
        over
    }

    /// A lock is held by others, for the `attempt`th look: waits a little, or says no more.
    pub(super) fn waits(&self, attempt: i32) -> bool {
        if self.stops() || self.elapsed_ms() >= self.busy_ms {
            return false;
        }
        let pause = Duration::from_millis(1) * u32::try_from(attempt.clamp(1, 25)).unwrap_or(25);
        std::thread::sleep(pause);
        true
    }

    /// What an interrupted or unserved statement died of, given what SQLite itself calls it.
    pub(super) fn verdict(&self, otherwise: ErrorKind) -> ErrorKind {
        if self.timed_out.load(Relaxed) {
            ErrorKind::Timeout
        } else if self.cancelled.load(Relaxed) {
            ErrorKind::Cancelled
        } else {
            otherwise
        }
    }

    fn elapsed_ms(&self) -> u64 {
        let now = millis(self.origin.elapsed());
        let call = self.call.load(Relaxed);
        if self.seen.swap(call, Relaxed) != call {
            self.since_ms.store(now, Relaxed);
        }
        now.saturating_sub(self.since_ms.load(Relaxed))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancel_belongs_to_the_statement_that_runs() {
        let watch = Watch::new(Duration::ZERO, Duration::ZERO);
        watch.start();
        assert!(!watch.stops());
        watch.cancel();
        assert!(watch.stops());
        assert_eq!(watch.verdict(ErrorKind::Other), ErrorKind::Cancelled);
        watch.start();
        assert!(!watch.stops());
    }

    #[test]
    fn the_limit_runs_from_each_call() {
        let watch = Watch::new(Duration::from_millis(30), Duration::ZERO);
        watch.start();
        assert!(!watch.stops());
        let deadline = Instant::now() + Duration::from_secs(5);
        while !watch.stops() {
            assert!(Instant::now() < deadline, "never timed out");
            std::thread::yield_now();
        }
        assert_eq!(watch.verdict(ErrorKind::Other), ErrorKind::Timeout);
        watch.start();
        assert!(!watch.stops());
    }
}
