//! The gaps in a numbered key: numbers below the highest one seen whose rows have not shown up. Pure.
//!
//! A number is drawn at INSERT and becomes visible at COMMIT, so a gap is either nothing (a rollback) or a row about to appear.
//! Gaps are therefore read again whenever something has ended that was open when they were seen, and forgotten after the reading
//! that follows the last end (see [`Guard`]). Nothing here knows of databases or files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::guard::{Guard, Look};

/// So many gaps are remembered; a range that would add more is cut short and goes on when some have closed.
pub(crate) const MOST: usize = 100_000;
/// Gaps are read again as so many spans at most; what lies between gaps of one span is known and costs only its reading.
const SPANS: usize = 64;

/// A run of missing numbers, both ends included, and the guard that it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(i128, i128, u32)", into = "(i128, i128, u32)")]
struct Hole {
    from: i128,
    to: i128,
    guard: u32,
}

impl From<(i128, i128, u32)> for Hole {
    fn from((from, to, guard): (i128, i128, u32)) -> Hole {
        Hole { from, to, guard }
    }
}

impl From<Hole> for (i128, i128, u32) {
    fn from(hole: Hole) -> Self {
        (hole.from, hole.to, hole.guard)
    }
}

/// All open gaps, in order and apart from each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holes {
    open: Vec<Hole>,
    /// By the number that gaps name them with.
    guards: BTreeMap<u32, Guard>,
}

/// What a look means for the gaps.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// Spans to be read, both ends included, in order.
    pub(crate) spans: Vec<(i128, i128)>,
    /// Guards that are over: what is not filled by this reading never will be.
    over: Vec<u32>,
}

impl Holes {
    /// Takes in what a look tells: which gaps are to be read in a snapshot of after it.
    pub(crate) fn renew(&mut self, look: &Look, settle_ms: i64) -> Due {
        let mut due = Due::default();
        let mut read = Vec::new();
        for (name, guard) in &mut self.guards {
            let fewer = guard.renew(look);
            let over = guard.is_over(look.now, settle_ms);
            if over {
                due.over.push(*name);
            }
            if fewer || over || guard.is_fresh(look.now, settle_ms) {
                read.push(*name);
            }
        }
        due.spans = self.spans(&read);
        due
    }

    /// The gaps of these guards as few spans: those that lie nearest to each other are read in one go.
    fn spans(&self, guards: &[u32]) -> Vec<(i128, i128)> {
        let gaps: Vec<&Hole> = self
            .open
            .iter()
            .filter(|hole| guards.binary_search(&hole.guard).is_ok())
            .collect();
        let mut cuts: Vec<usize> = (1..gaps.len()).collect();
        cuts.sort_by_key(|at| gaps[at - 1].to.saturating_sub(gaps[*at].from));
        cuts.truncate(SPANS - 1);
        cuts.sort_unstable();
        let starts = std::iter::once(0).chain(cuts.iter().copied());
        let ends = cuts.iter().copied().chain([gaps.len()]);
        starts
            .zip(ends)
            .filter(|(start, end)| start < end)
            .map(|(start, end)| (gaps[start].from, gaps[end - 1].to))
            .collect()
    }

    /// Forgets the gaps that a reading has shown to be nothing, and guards that nobody needs; tells how many gaps.
    pub(crate) fn close(&mut self, due: &Due, now: i64, settle_ms: i64) -> usize {
        let before = self.open.len();
        self.open
            .retain(|hole| due.over.binary_search(&hole.guard).is_err());
        self.join_guards(now, settle_ms);
        before - self.open.len()
    }

    /// Guards that end together become one, so that a transaction that lasts for hours does not gather one a pass.
    fn join_guards(&mut self, now: i64, settle_ms: i64) {
        let mut kept: BTreeMap<u32, Guard> = BTreeMap::new();
        let mut names: BTreeMap<u32, u32> = BTreeMap::new();
        for hole in &mut self.open {
            if let Some(name) = names.get(&hole.guard) {
                hole.guard = *name;
                continue;
            }
            let Some(guard) = self.guards.get(&hole.guard) else {
                continue;
            };
            let same = kept
                .iter()
                .find(|(_, known)| known.ends_with(guard, now, settle_ms))
                .map(|(name, _)| *name);
            if same.is_none() {
                kept.insert(hole.guard, guard.clone());
            }
            names.insert(hole.guard, same.unwrap_or(hole.guard));
            hole.guard = same.unwrap_or(hole.guard);
        }
        self.guards = kept;
    }

    /// How many gaps are open.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether `key` lies in an open gap.
    pub(crate) fn contains(&self, key: i128) -> bool {
        self.position(key).is_some()
    }

    /// What is waited for longest, if the server tells anything.
    pub(crate) fn waits(&self) -> impl Iterator<Item = &String> {
        self.guards.values().flat_map(Guard::waits)
    }

    /// Takes in a guard for gaps that will be noted; its name.
    pub(crate) fn guard(&mut self, guard: Guard) -> u32 {
        let name = self
            .guards
            .last_key_value()
            .map_or(0, |(name, _)| name.wrapping_add(1));
        self.guards.insert(name, guard);
        name
    }

    /// Remembers that `from..=to` is missing above everything known so far; an empty range is none.
    pub(crate) fn note(&mut self, from: i128, to: i128, guard: u32) {
        if from <= to {
            self.open.push(Hole { from, to, guard });
        }
    }

    /// Closes the gap at `key`: its row has appeared. The rest of the gap stays open under its guard.
    pub(crate) fn fill(&mut self, key: i128) {
        let Some(at) = self.position(key) else { return };
        let Hole { from, to, guard } = self.open[at];
        let rest = [(from, key - 1), (key + 1, to)]
            .into_iter()
            .filter(|(from, to)| from <= to)
            .map(|(from, to)| Hole { from, to, guard });
        self.open.splice(at..=at, rest);
    }

    fn position(&self, key: i128) -> Option<usize> {
        let at = self.open.partition_point(|hole| hole.to < key);
        self.open
            .get(at)
            .is_some_and(|hole| hole.from <= key)
            .then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::super::guard::look;
    use super::*;
    use proptest::prelude::*;

    fn holes(now: i64, open: &[&str], gaps: &[(i128, i128)]) -> Holes {
        let mut holes = Holes::default();
        let guard = holes.guard(Guard::of(&look(now, open)));
        for (from, to) in gaps {
            holes.note(*from, *to, guard);
        }
        holes
    }

    #[test]
    fn gaps_are_read_when_something_ended_and_forgotten_after_the_last() {
        let mut holes = holes(0, &["a", "b"], &[(5, 9)]);
        assert_eq!(holes.renew(&look(1, &["a", "b"]), 0), Due::default());
        let due = holes.renew(&look(2, &["b"]), 0);
        assert_eq!(due.spans, [(5, 9)]);
        holes.fill(7);
        assert_eq!(holes.close(&due, 2, 0), 0);
        assert!(holes.contains(6) && !holes.contains(7) && holes.contains(8));
        let due = holes.renew(&look(3, &["c"]), 0);
        assert_eq!(due.spans, [(5, 6), (8, 9)]);
        assert_eq!(holes.close(&due, 3, 0), 2);
        assert_eq!(holes, Holes::default());
    }

    #[test]
    fn what_the_server_does_not_tell_is_waited_for_by_time() {
        let mut holes = holes(1_000, &[], &[(5, 5)]);
        let due = holes.renew(&look(5_999, &[]), 5_000);
        assert_eq!((due.spans.len(), due.over.len()), (1, 0));
        let due = holes.renew(&look(6_000, &[]), 5_000);
        assert_eq!((due.spans.len(), due.over.len()), (1, 1));
    }

    #[test]
    fn many_gaps_are_few_spans_and_guards_that_end_together_are_one() {
        let mut many = holes(0, &["a"], &[]);
        for number in 0..1_000 {
            let guard = many.guard(Guard::of(&look(number, &["a"])));
            let at = i128::from(number) * 10;
            many.note(at, at, guard);
        }
        many.close(&Due::default(), 1_000, 0);
        assert_eq!((many.guards.len(), many.len()), (1, 1_000));
        let due = many.renew(&look(2_000, &[]), 0);
        assert_eq!(due.spans.len(), SPANS);
        assert_eq!((due.spans[0].0, due.spans[SPANS - 1].1), (0, 9_990));
    }

    #[test]
    fn the_ends_of_the_number_line_do_not_overflow() {
        let (low, high) = (i128::from(i64::MIN), i128::from(u64::MAX));
        let mut holes = holes(0, &["a"], &[(low, high)]);
        holes.fill(low);
        holes.fill(high);
        assert!(!holes.contains(low) && !holes.contains(high) && holes.contains(0));
        let text = serde_json::to_string(&holes).unwrap();
        assert_eq!(serde_json::from_str::<Holes>(&text).unwrap(), holes);
    }

    proptest! {
        #[test]
        fn agrees_with_a_set_of_numbers(keys in proptest::collection::vec(0_i128..200, 0..200)) {
            let mut holes = holes(0, &["a"], &[(0, 199)]);
            let mut missing: std::collections::BTreeSet<i128> = (0..200).collect();
            for key in keys {
                holes.fill(key);
                missing.remove(&key);
            }
            for key in 0..200 {
                prop_assert_eq!(holes.contains(key), missing.contains(&key));
            }
        }
    }
}
