//! Randomness that a test can repeat: splays and jitter come from one seeded generator in the state.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, good enough to spread starts.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Chance(u64);

impl Chance {
    /// A generator; the same seed gives the same sequence.
    pub(super) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// Evenly spread from zero to `longest`.
    pub(super) fn up_to(&mut self, longest: Duration) -> Duration {
        if longest.is_zero() {
            return longest;
        }
        // 32 bits are fine enough for any splay, and the product fits the Duration's own arithmetic
        let part = u32::try_from(self.draw() >> 32).expect("32 bits are left");
        longest.mul_f64(f64::from(part) / f64::from(u32::MAX))
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_evenly_within_bounds() {
        let mut chance = Chance::new(7);
        let longest = Duration::from_secs(10);
        let draws: Vec<_> = (0..1000).map(|_| chance.up_to(longest)).collect();
        assert!(draws.iter().all(|d| *d <= longest));
        let low = draws.iter().filter(|d| d.as_secs() < 5).count();
        assert!((400..600).contains(&low), "{low}");
        assert_eq!(chance.up_to(Duration::ZERO), Duration::ZERO);
        let again = Chance::new(7).up_to(longest);
        assert_eq!(again, draws[0]);
    }
}
