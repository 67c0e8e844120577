//! The gaps in a numbered key: numbers below the highest one seen whose rows have not shown up. Pure.
//!
//! A number is drawn at INSERT and becomes visible at COMMIT, so a gap is either nothing (a rollback) or a row about to appear.
//! Gaps are therefore read again until they are older than what `settle` allows. Nothing here knows of databases or files.

use serde::{Deserialize, Serialize};

/// So many gaps are remembered; a range that would add more is cut short and goes on when some have closed.
pub(super) const MOST: usize = 100_000;

/// A run of missing numbers, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hole {
    from: i64,
    to: i64,
    /// When it was first seen, in milliseconds since 1970.
    seen: i64,
}

/// All open gaps, in order and apart from each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Holes(Vec<Hole>);

impl Holes {
    /// Forgets gaps that have been open for `settle_ms` or longer at `now` (milliseconds since 1970).
    pub(super) fn expire(&mut self, now: i64, settle_ms: i64) {
        self.0
            .retain(|hole| now.saturating_sub(hole.seen) < settle_ms);
    }

    /// The lowest missing number.
    pub(super) fn lowest(&self) -> Option<i64> {
        self.0.first().map(|hole| hole.from)
    }

    /// How many gaps are open.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether `key` lies in an open gap.
    pub(super) fn contains(&self, key: i64) -> bool {
        self.position(key).is_some()
    }

    /// Remembers that `from..=to` is missing above everything known so far; an empty range is none.
    pub(super) fn note(&mut self, from: i64, to: i64, now: i64) {
        if from <= to {
            self.0.push(Hole {
                from,
                to,
                seen: now,
            });
        }
    }

    /// Closes the gap at `key`: its row has appeared. The rest of the gap stays open with its age.
    pub(super) fn fill(&mut self, key: i64) {
        let Some(at) = self.position(key) else { return };
        let hole = self.0.remove(at);
        let below = key.checked_sub(1).map(|to| (hole.from, to));
        let above = key.checked_add(1).map(|from| (from, hole.to));
        let rest = [below, above]
            .into_iter()
            .flatten()
            .filter(|(from, to)| from <= to);
        for (offset, (from, to)) in rest.enumerate() {
            self.0.insert(
                at + offset,
                Hole {
                    from,
                    to,
                    seen: hole.seen,
                },
            );
        }
    }

    fn position(&self, key: i64) -> Option<usize> {
        let at = self.0.partition_point(|hole| hole.to < key);
        self.0
            .get(at)
            .is_some_and(|hole| hole.from <= key)
            .then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_row_that_appears_splits_its_gap_and_keeps_the_age() {
        let mut holes = Holes::default();
        holes.note(5, 9, 1_000);
        holes.fill(7);
        assert_eq!(holes.len(), 2);
        assert!(holes.contains(6) && !holes.contains(7) && holes.contains(8));
        holes.expire(5_999, 5_000);
        assert_eq!(holes.lowest(), Some(5));
        holes.expire(6_000, 5_000);
        assert_eq!(holes.lowest(), None);
    }

    #[test]
    fn the_ends_of_the_number_line_do_not_overflow() {
        let mut holes = Holes::default();
        holes.note(i64::MIN, i64::MAX, 0);
        holes.fill(i64::MIN);
        holes.fill(i64::MAX);
        assert!(!holes.contains(i64::MIN) && !holes.contains(i64::MAX) && holes.contains(0));
    }

    proptest! {
        #[test]
        fn agrees_with_a_set_of_numbers(keys in proptest::collection::vec(0_i64..200, 0..200)) {
            let mut holes = Holes::default();
            holes.note(0, 199, 0);
            let mut missing: std::collections::BTreeSet<i64> = (0..200).collect();
            for key in keys {
                holes.fill(key);
                missing.remove(&key);
            }
            for key in 0..200 {
                prop_assert_eq!(holes.contains(key), missing.contains(&key));
            }
            prop_assert_eq!(holes.lowest(), missing.first().copied());
        }
    }
}
