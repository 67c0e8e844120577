//! How far an incremental extract has come, and what it reads next. Pure: values and times in, ranges out.
//!
//! The cursor is the highest value of its column that has been published. With `settle`, two more things are remembered:
//! for whole numbers the gaps below the cursor, which are read again; for other types the maxima of earlier looks, of which only those
//! are trusted that were seen `settle` ago or earlier.

use serde::{Deserialize, Serialize};

use super::holes::{Holes, MOST};

/// What the job's state holds between runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// Everything up to here has been published, but for the gaps.
    pub(super) last: String,
    /// Numbers below `last` whose rows have not shown up yet.
    #[serde(default)]
    pub(super) holes: Holes,
    /// Earlier maxima with the time of their first sight in milliseconds since 1970, oldest first.
    #[serde(default)]
    marks: Vec<(i64, String)>,
}

/// A range whose publication has begun: repeated, with the same names, until it has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// Rows above this are read ...
    pub(super) from: String,
    /// ... up to and with this.
    pub(super) upto: String,
}

impl Cursor {
    /// A cursor that has published nothing above `start`.
    pub(super) fn at(start: &str) -> Cursor {
        Cursor {
            last: start.to_owned(),
            holes: Holes::default(),
            marks: Vec::new(),
        }
    }

    /// The range to read, given the highest value above `last` that is visible now.
    /// `numbered`: the column holds whole numbers, so gaps are known; else maxima have to age by `settle_ms`.
    pub(super) fn plan(
        &mut self,
        highest: Option<String>,
        numbered: bool,
        now: i64,
        settle_ms: i64,
    ) -> Option<Plan> {
        self.holes.expire(now, settle_ms);
        let upto = match highest {
            Some(value) if numbered || settle_ms == 0 => Some(value),
            seen => self.aged(seen, now, settle_ms),
        };
        let from = match self.holes.lowest() {
            Some(lowest) => lowest.saturating_sub(1).to_string(),
            None => self.last.clone(),
        };
        match upto {
            Some(upto) => Some(Plan { from, upto }),
            None if self.holes.len() > 0 => Some(Plan {
                from,
                upto: self.last.clone(),
            }),
            None => None,
        }
    }

    /// The newest maximum that is old enough; forgets the older ones.
    fn aged(&mut self, seen: Option<String>, now: i64, settle_ms: i64) -> Option<String> {
        if let Some(value) = seen
            && self.marks.last().is_none_or(|(_, newest)| *newest != value)
        {
            self.marks.push((now, value));
        }
        let old = self
            .marks
            .partition_point(|(at, _)| now.saturating_sub(*at) >= settle_ms);
        let (_, value) = self.marks.get(old.checked_sub(1)?)?.clone();
        self.marks.drain(..old);
        (value != self.last).then_some(value)
    }

    /// Moves the cursor to the end of a published range.
    pub(super) fn advance(&mut self, upto: &str) {
        upto.clone_into(&mut self.last);
    }
}

/// Decides for each number of a range whether its row is new, and finds the gaps.
#[derive(Debug)]
pub(super) struct Tracker {
    last: i64,
    next: i64,
    now: i64,
    holes: Holes,
    remember: bool,
}

/// What to do with a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Row {
    /// It has not been published yet.
    New,
    /// It has.
    Known,
    /// New, but there is no room to remember the gap before it: the range ends here for now.
    Full,
}

impl Tracker {
    /// Watches the rows of a range. `remember`: gaps are worth remembering (`settle` is set).
    pub(super) fn new(cursor: &Cursor, now: i64, remember: bool) -> Option<Tracker> {
        let last: i64 = cursor.last.parse().ok()?;
        Some(Tracker {
            last,
            next: last.saturating_add(1),
            now,
            holes: cursor.holes.clone(),
            remember,
        })
    }

    /// Looks at the next row's number; they come in ascending order.
    pub(super) fn see(&mut self, key: i64) -> Row {
        if key <= self.last {
            if !self.holes.contains(key) {
                return Row::Known;
            }
            self.holes.fill(key);
            return Row::New;
        }
        if self.remember && key > self.next {
            if self.holes.len() >= MOST {
                return Row::Full;
            }
            self.holes.note(self.next, key - 1, self.now);
        }
        self.next = key.saturating_add(1);
        Row::New
    }

    /// The highest number up to which everything is either taken or a known gap.
    pub(super) fn reached(&self) -> i64 {
        self.next.saturating_sub(1)
    }

    /// The gaps that are open now.
    pub(super) fn end(self) -> Holes {
        self.holes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn plan(from: &str, upto: &str) -> Option<Plan> {
        Some(Plan {
            from: from.to_owned(),
            upto: upto.to_owned(),
        })
    }

    #[test]
    fn without_settle_what_is_seen_is_read() {
        let mut cursor = Cursor::at("0");
        assert_eq!(cursor.plan(Some("7".into()), true, 0, 0), plan("0", "7"));
        cursor.advance("7");
        assert_eq!(cursor.plan(None, true, 0, 0), None);
    }

    #[test]
    fn a_time_is_trusted_only_after_it_has_aged() {
        let mut cursor = Cursor::at("a");
        assert_eq!(cursor.plan(Some("c".into()), false, 1_000, 5_000), None);
        assert_eq!(cursor.plan(Some("d".into()), false, 3_000, 5_000), None);
        assert_eq!(
            cursor.plan(Some("d".into()), false, 6_500, 5_000),
            plan("a", "c")
        );
        cursor.advance("c");
        assert_eq!(
            cursor.plan(Some("d".into()), false, 8_000, 5_000),
            plan("c", "d")
        );
        cursor.advance("d");
        assert_eq!(cursor.plan(None, false, 20_000, 5_000), None);
    }

    #[test]
    fn a_gap_is_read_again_until_it_has_settled() {
        let mut cursor = Cursor::at("0");
        let mut tracker = Tracker::new(&cursor, 0, true).unwrap();
        assert_eq!([tracker.see(1), tracker.see(4)], [Row::New, Row::New]);
        let last = tracker.reached();
        cursor.holes = tracker.end();
        cursor.advance(&last.to_string());
        assert_eq!(cursor.plan(None, true, 1_000, 5_000), plan("1", "4"));
        let mut tracker = Tracker::new(&cursor, 1_000, true).unwrap();
        assert_eq!([tracker.see(3), tracker.see(4)], [Row::New, Row::Known]);
        cursor.holes = tracker.end();
        assert_eq!(
            cursor.plan(Some("6".into()), true, 1_500, 5_000),
            plan("1", "6")
        );
        assert_eq!(cursor.plan(None, true, 5_000, 5_000), None);
    }

    proptest! {
        /// Rows appear in any order, each within `settle`; every one is taken exactly once.
        #[test]
        fn every_row_is_taken_once(delays in proptest::collection::vec(0_i64..5, 1..60)) {
            let settle = 6_000;
            let mut cursor = Cursor::at("0");
            let mut taken: Vec<i64> = Vec::new();
            for look in 0..20 {
                let now = look * 1_000;
                // row n + 1 is drawn at second n / 4 and becomes visible some seconds later
                let visible: BTreeSet<i64> = (1_i64..).zip(&delays).filter(|(n, delay)| (n / 4 + **delay) * 1_000 <= now).map(|(n, _)| n).collect();
                let last: i64 = cursor.last.parse().unwrap();
                let highest = visible.last().filter(|n| **n > last).map(ToString::to_string);
                let Some(plan) = cursor.plan(highest, true, now, settle) else { continue };
                let (from, upto): (i64, i64) = (plan.from.parse().unwrap(), plan.upto.parse().unwrap());
                let mut tracker = Tracker::new(&cursor, now, true).unwrap();
                taken.extend(visible.range(from + 1..=upto).filter(|key| tracker.see(**key) == Row::New));
                cursor.holes = tracker.end();
                cursor.advance(&plan.upto);
            }
            taken.sort_unstable();
            let all: Vec<i64> = (1..=i64::try_from(delays.len()).unwrap()).collect();
            prop_assert_eq!(taken, all);
        }
    }
}
