//! Power that fails at a chosen operation, and the dice that choose what survives.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The power supply that a fake disk and what stands beside it (a fake state) share: counts operations that change
/// something and fails at a chosen one and ever after.
#[derive(Debug, Clone, Default)]
pub struct Power(Arc<Supply>);

#[derive(Debug, Default)]
struct Supply {
    spent: AtomicU64,
    /// The operation at which the power fails, from 1; 0 = never.
    cut: AtomicU64,
}

impl Power {
    /// Operations so far.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.0.spent.load(Ordering::Relaxed)
    }

    /// Fails the `n`th operation from the beginning (1 = the first) and all that come after it.
    pub fn cut_at(&self, n: u64) {
        self.0.cut.store(n, Ordering::Relaxed);
    }

    /// Whether the power is off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        let cut = self.0.cut.load(Ordering::Relaxed);
        cut != 0 && self.spent() >= cut
    }

    /// Counts an operation.
    ///
    /// # Errors
    /// When the power fails at it, or was off already.
    pub fn spend(&self) -> io::Result<()> {
        if !self.is_off() {
            self.0.spent.fetch_add(1, Ordering::Relaxed);
        }
        self.check()
    }

    pub(super) fn check(&self) -> io::Result<()> {
        if self.is_off() {
            Err(io::Error::other("the power is off"))
        } else {
            Ok(())
        }
    }

    pub(super) fn restore(&self) {
        self.0.cut.store(0, Ordering::Relaxed);
    }
}

/// A small generator (splitmix64), so that a seed is a whole story.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// A number below `limit`; 0 below nothing.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % u64::try_from(limit.max(1)).unwrap_or(1)).unwrap_or(0)
    }
}
