//! How long a job waits before it is started again.

use std::time::Duration;

use super::chance::Chance;
use super::spec::Policy;

/// The delay after the `streak`-th failure in a row (from 1): `backoff`'s first value, doubled each
/// time up to its second, and up to a quarter more, so that jobs that failed together do not return together.
pub(super) fn delay(policy: &Policy, streak: u32, chance: &mut Chance) -> Duration {
    let doublings = streak.saturating_sub(1).min(31);
    let plain = policy
        .backoff_min
        .saturating_mul(1 << doublings)
        .min(policy.backoff_max);
    plain.saturating_add(chance.up_to(plain / 4))
}

/// The streak after one more end: a run longer than the longest delay ends the old one.
pub(super) fn lengthen(policy: &Policy, streak: u32, lasted: Duration) -> u32 {
    let old = if lasted > policy.backoff_max {
        0
    } else {
        streak
    };
    old.saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_the_longest() {
        let policy = Policy::default();
        let mut chance = Chance::new(1);
        for (streak, plain) in [
            (1, 1),
            (2, 2),
            (3, 4),
            (6, 32),
            (7, 60),
            (40, 60),
            (u32::MAX, 60),
        ] {
            let plain = Duration::from_secs(plain);
            for _ in 0..50 {
                let delay = delay(&policy, streak, &mut chance);
                assert!(
                    delay >= plain && delay <= plain + plain / 4,
                    "{streak}: {delay:?}"
                );
            }
        }
    }

    #[test]
    fn zero_means_at_once_and_long_runs_begin_anew() {
        let policy = Policy {
            backoff_min: Duration::ZERO,
            backoff_max: Duration::ZERO,
            ..Policy::default()
        };
        assert_eq!(delay(&policy, 9, &mut Chance::new(1)), Duration::ZERO);
        let policy = Policy::default();
        assert_eq!(lengthen(&policy, 4, Duration::from_secs(60)), 5);
        assert_eq!(lengthen(&policy, 4, Duration::from_secs(61)), 1);
        assert_eq!(lengthen(&policy, u32::MAX, Duration::ZERO), u32::MAX);
    }
}
