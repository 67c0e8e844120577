//! Why a server ended a statement early: the server says "cancelled" whoever asked, only this side knows.

use crate::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Shared by a connection and its cancellers.
#[derive(Debug)]
pub(super) struct Watch {
    born: Instant,
    /// Zero is for ever.
    limit_ms: AtomicU64,
    /// When the running statement began, in milliseconds after `born`.
    begun_ms: AtomicU64,
    running: AtomicBool,
    cancelled: AtomicBool,
    timed_out: AtomicBool,
}

impl Watch {
    pub(super) fn new(limit: Duration) -> Self {
        let watch = Watch {
            born: Instant::now(),
            limit_ms: AtomicU64::new(0),
            begun_ms: AtomicU64::new(0),
            running: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
            timed_out: AtomicBool::new(false),
        };
        watch.limit(limit);
        watch
    }

    /// Changes the statement timeout; zero is for ever.
    pub(super) fn limit(&self, limit: Duration) {
        let ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let least = u64::from(!limit.is_zero());
        self.limit_ms.store(ms.max(least), Relaxed);
    }

    /// The statement timeout in milliseconds as the server takes it; zero is for ever.
    pub(super) fn server_limit(&self) -> u64 {
        self.limit_ms.load(Relaxed).min(2_147_483_647)
    }

    /// How long to wait for the server; `None` is for ever.
    pub(super) fn patience(&self) -> Option<Duration> {
        match self.limit_ms.load(Relaxed) {
            0 => None,
            ms => Some(Duration::from_millis(ms)),
        }
    }

    /// A statement starts: what was asked of an earlier one is over.
    pub(super) fn start(&self) {
        self.cancelled.store(false, Relaxed);
        self.timed_out.store(false, Relaxed);
        self.begun_ms.store(self.age_ms(), Relaxed);
        self.running.store(true, Relaxed);
    }

    /// Nothing runs any more.
    pub(super) fn rest(&self) {
        self.running.store(false, Relaxed);
    }

    /// Whether a statement runs, so that there is something to cancel.
    pub(super) fn runs(&self) -> bool {
        self.running.load(Relaxed)
    }

    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Relaxed);
    }

    pub(super) fn time_out(&self) {
        self.timed_out.store(true, Relaxed);
    }

    /// What a statement died of that the server calls cancelled.
    pub(super) fn verdict(&self) -> ErrorKind {
        let limit = self.limit_ms.load(Relaxed);
        let took = self.age_ms().saturating_sub(self.begun_ms.load(Relaxed));
        let by_server = limit > 0 && took >= limit;
        if self.timed_out.load(Relaxed) || (by_server && !self.cancelled.load(Relaxed)) {
            ErrorKind::Timeout
        } else {
            ErrorKind::Cancelled
        }
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_zero_only_when_it_is_for_ever() {
        let watch = Watch::new(Duration::from_micros(5));
        assert_eq!(watch.patience(), Some(Duration::from_millis(1)));
        watch.limit(Duration::ZERO);
        assert_eq!((watch.patience(), watch.server_limit()), (None, 0));
    }

    #[test]
    fn who_asked_decides_the_verdict() {
        let watch = Watch::new(Duration::from_secs(600));
        watch.start();
        assert_eq!(watch.verdict(), ErrorKind::Cancelled);
        watch.time_out();
        assert_eq!(watch.verdict(), ErrorKind::Timeout);
        watch.start();
        watch.cancel();
        assert_eq!(watch.verdict(), ErrorKind::Cancelled);
    }
}
