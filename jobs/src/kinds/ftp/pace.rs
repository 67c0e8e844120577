//! A limit on the bytes a second of all connections together.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The limit; none when there is none.
pub(super) struct Pace {
    /// Bytes a second.
    rate: Option<u64>,
    /// When the bytes will have passed that were let through so far.
    due: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(rate: Option<u64>) -> Pace {
        Pace {
            rate,
            due: Mutex::new(Instant::now()),
        }
    }

    /// Lets so many bytes through; tells how long to wait before the next.
    pub(super) fn pass(&self, bytes: usize) -> Duration {
        let Some(rate) = self.rate else {
            return Duration::ZERO;
        };
        let now = Instant::now();
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let nanos = u128::try_from(bytes).unwrap_or(0) * 1_000_000_000 / u128::from(rate.max(1));
        *due = (*due).max(now) + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        due.duration_since(now)
    }

    /// How many bytes to ask for at once: a tenth of a second's worth, at most `most`.
    pub(super) fn portion(&self, most: usize) -> usize {
        let tenth = self
            .rate
            .map_or(most, |rate| usize::try_from(rate / 10).unwrap_or(most));
        tenth.clamp(1, most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_their_time() {
        let pace = Pace::new(Some(1000));
        let _first = pace.pass(500);
        let wait = pace.pass(500);
        assert!(
            wait > Duration::from_millis(900) && wait <= Duration::from_secs(1),
            "{wait:?}"
        );
        assert_eq!(Pace::new(None).pass(1 << 30), Duration::ZERO);
        assert_eq!(
            (pace.portion(65536), Pace::new(None).portion(65536)),
            (100, 65536)
        );
    }
}
