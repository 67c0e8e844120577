//! Why a server ended a statement early: the server says "cancelled" either way, only this side knows who asked.

use crate::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Shared by a connection and its cancellers.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    limit_ms: AtomicU64,
    running: AtomicBool,
    cancelled: AtomicBool,
    timed_out: AtomicBool,
}

impl Watch {
    pub(crate) fn new(limit: Duration) -> Self {
        let watch = Watch::default();
        watch.limit(limit);
        watch
    }

    /// Changes the statement timeout; zero is for ever.
    pub(crate) fn limit(&self, limit: Duration) {
        let ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        self.limit_ms
            .store(if limit.is_zero() { 0 } else { ms.max(1) }, Relaxed);
    }

    /// How long to wait for the server; `None` is for ever.
    pub(crate) fn patience(&self) -> Option<Duration> {
        match self.limit_ms.load(Relaxed) {
            0 => None,
            ms => Some(Duration::from_millis(ms)),
        }
    }

    /// A statement starts: what was asked of an earlier one is over.
    pub(crate) fn start(&self) {
        self.cancelled.store(false, Relaxed);
        self.timed_out.store(false, Relaxed);
        self.running.store(true, Relaxed);
    }

    /// Nothing runs any more.
    pub(crate) fn rest(&self) {
        self.running.store(false, Relaxed);
    }

    /// Whether a statement runs, so that there is something to cancel.
    pub(crate) fn runs(&self) -> bool {
        self.running.load(Relaxed)
    }

    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Relaxed);
    }

    pub(crate) fn time_out(&self) {
        self.timed_out.store(true, Relaxed);
    }

    /// What a statement died of that the server calls cancelled.
    pub(crate) fn verdict(&self) -> ErrorKind {
        if self.timed_out.load(Relaxed) {
            ErrorKind::Timeout
        } else {
            ErrorKind::Cancelled
        }
    }

    /// Whether this side asked for the end.
    pub(crate) fn asked(&self) -> bool {
        self.timed_out.load(Relaxed) || self.cancelled.load(Relaxed)
    }
}
