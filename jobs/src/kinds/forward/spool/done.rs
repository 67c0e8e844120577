//! Which records are confirmed, and how far the cursor may go: past records only whose every predecessor is confirmed. Pure.
//! Runs of numbers, not single flags: a hole of millions of numbers that were never used costs one entry.

use std::collections::BTreeMap;

/// Numbers that are confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Done {
    next: u64,
    /// Confirmed runs beyond `next`, begin to end (exclusive); none touches another.
    beyond: BTreeMap<u64, u64>,
}

impl Done {
    /// Everything before `next` is confirmed.
    pub(crate) fn new(next: u64) -> Done {
        Done {
            next,
            beyond: BTreeMap::new(),
        }
    }

    /// The first number that is not confirmed.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Confirms `from` up to, not including, `to`.
    pub(crate) fn mark(&mut self, from: u64, to: u64) {
        let (mut from, mut to) = (from.max(self.next), to);
        if from >= to {
            return;
        }
        // every run that touches this one becomes part of it
        while let Some((&start, &end)) = self.beyond.range(..=to).next_back() {
            if end < from {
                break;
            }
            self.beyond.remove(&start);
            (from, to) = (from.min(start), to.max(end));
        }
        if from <= self.next {
            self.next = to;
        } else {
            self.beyond.insert(from, to);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_cursor_passes_exactly_the_contiguous_run(marks in prop::collection::vec((0_u64..60, 0_u64..9), 0..60)) {
            let (mut done, mut model) = (Done::new(3), BTreeSet::from([0, 1, 2]));
            for (from, length) in marks {
                done.mark(from, from + length);
                model.extend(from..from + length);
                let next = (0..).find(|n| !model.contains(n)).unwrap();
                prop_assert_eq!(done.next(), next);
                let runs: Vec<_> = done.beyond.iter().collect();
                prop_assert!(runs.windows(2).all(|two| two[0].1 < two[1].0));
            }
        }
    }

    #[test]
    fn a_hole_of_millions_is_one_step() {
        let mut done = Done::new(1);
        done.mark(5_000_000_000, 5_000_000_001);
        done.mark(1, 5_000_000_000);
        assert_eq!(done.next(), 5_000_000_001);
        assert!(done.beyond.is_empty());
    }
}
