//! What a deliver has done and has before it, in numbers, written by its threads and read by the main loop.

use std::sync::atomic::{AtomicU64, Ordering};

/// The numbers of one deliver.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    records: AtomicU64,
    bytes: AtomicU64,
    failed: AtomicU64,
    dead: AtomicU64,
    next: AtomicU64,
    /// When the first unconfirmed record was taken in, microseconds since 1970; 0 = there is none.
    oldest: AtomicU64,
}

/// The numbers at a moment.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Records confirmed, and their bytes.
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    /// Attempts that failed.
    pub(crate) failed: u64,
    /// Records among the dead letters.
    pub(crate) dead: u64,
    /// The first number that is not confirmed.
    pub(crate) next: u64,
    pub(crate) oldest: u64,
}

impl Figures {
    pub(super) fn confirm(&self, records: u64, bytes: u64) {
        self.records.fetch_add(records, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn fail(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn bury(&self, records: u64) {
        self.dead.fetch_add(records, Ordering::Relaxed);
    }

    pub(super) fn place(&self, next: u64, oldest: u64) {
        self.next.store(next, Ordering::Relaxed);
        self.oldest.store(oldest, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Reading {
        let get = |word: &AtomicU64| word.load(Ordering::Relaxed);
        Reading {
            records: get(&self.records),
            bytes: get(&self.bytes),
            failed: get(&self.failed),
            dead: get(&self.dead),
            next: get(&self.next),
            oldest: get(&self.oldest),
        }
    }
}
