//! A bell: whoever waits for news of any sort sleeps on it; a ring between two looks is not missed.

use std::{
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

/// Counts its rings.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rings: Mutex<u64>,
    rung: Condvar,
}

impl Bell {
    /// Wakes all who wait.
    pub(crate) fn ring(&self) {
        *self.rings.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.rung.notify_all();
    }

    /// Waits so long at most for a ring that came after the one in `seen`, which it brings up to date.
    pub(crate) fn wait(&self, seen: &mut u64, long: Duration) {
        let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let (rings, _) = self
            .rung
            .wait_timeout_while(rings, long, |rings| *rings == *seen)
            .unwrap_or_else(PoisonError::into_inner);
        *seen = *rings;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_before_the_wait_is_not_missed() {
        let (bell, mut seen) = (Bell::default(), 0);
        bell.ring();
        bell.ring();
        bell.wait(&mut seen, Duration::from_secs(3600));
        assert_eq!(seen, 2);
        bell.wait(&mut seen, Duration::from_millis(1));
        assert_eq!(seen, 2);
    }
}
