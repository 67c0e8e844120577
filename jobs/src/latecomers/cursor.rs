//! How far an incremental job has come, and what it reads next. Pure: values, times and looks in, ranges out.
//!
//! The cursor is the highest value of its column that has been taken. Whole numbers are read as they appear, and the gaps below the cursor
//! again; other values are read only up to a maximum that is final, so that nothing below it can come any more.

use serde::{Deserialize, Serialize};

use super::edge::Edge;
use super::guard::{Guard, Look};
use super::holes::{Due, Holes, MOST};

/// So many maxima wait for being final; newer ones are taken up when older ones are.
const MARKS: usize = 1_000;

/// What the job's state holds between runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// Everything up to here has been published, but for the gaps; none: nothing yet, whatever its value.
    pub(crate) last: Option<String>,
    /// Numbers below `last` whose rows have not shown up yet.
    #[serde(default)]
    pub(crate) holes: Holes,
    /// Maxima that are not final yet, oldest first.
    #[serde(default)]
    marks: Vec<Mark>,
    /// The published rows at `last`; none: those rows are not read again.
    #[serde(default)]
    pub(crate) edge: Option<Edge>,
    /// How many files of late rows there have been; their names tell.
    #[serde(default)]
    pub(crate) late: u64,
}

/// A maximum on its way to being final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    value: String,
    guard: Guard,
}

impl Cursor {
    /// A cursor that has published nothing above `start`.
    pub(crate) fn at(start: Option<&str>) -> Cursor {
        Cursor {
            last: start.map(str::to_owned),
            ..Cursor::default()
        }
    }

    /// The range from here to `upto` as files name it. The open beginning is `0`, so that names sort in the order of their rows.
    pub(crate) fn range(&self, upto: &str) -> String {
        format!("{}-{upto}", self.last.as_deref().unwrap_or("0"))
    }

    /// Whether anything waits for the end of transactions or for time.
    pub(crate) fn is_waiting(&self) -> bool {
        self.holes.len() > 0 || !self.marks.is_empty()
    }

    /// Why the oldest maximum is not read yet: how many transactions it waits for, and since when in milliseconds since 1970; none: no
    /// maximum waits.
    pub(crate) fn held_back(&self) -> Option<(u64, i64)> {
        let guard = &self.marks.first()?.guard;
        Some((guard.waits().len() as u64, guard.seen()))
    }

    /// What is waited for, by the names of transactions.
    pub(crate) fn waits(&self) -> impl Iterator<Item = &String> {
        let marks = self.marks.iter().flat_map(|mark| mark.guard.waits());
        self.holes.waits().chain(marks)
    }

    /// Takes in a look that was made after `seen`, the highest new value, was visible: up to where may be read now?
    /// `numbered`: the column holds whole numbers, so gaps are known and nothing needs to wait.
    pub(crate) fn upto(
        &mut self,
        seen: Option<String>,
        numbered: bool,
        look: &Look,
        settle_ms: i64,
    ) -> Option<String> {
        if numbered {
            return seen;
        }
        for mark in &mut self.marks {
            mark.guard.renew(look);
        }
        if let Some(value) = seen
            && self.marks.len() < MARKS
            && self.marks.last().is_none_or(|mark| mark.value != value)
        {
            let guard = Guard::of(look);
            self.marks.push(Mark { value, guard });
        }
        let is_final = |mark: &Mark| mark.guard.is_over(look.now, settle_ms);
        let newest = self.marks.iter().rposition(is_final)?;
        self.marks
            .drain(..=newest)
            .next_back()
            .map(|mark| mark.value)
    }

    /// What a look means for the gaps.
    pub(crate) fn due(&mut self, look: &Look, settle_ms: i64) -> Due {
        self.holes.renew(look, settle_ms)
    }
}

/// Decides for each number of a reading whether its row is new, and finds the gaps.
#[derive(Debug)]
pub(crate) struct Tracker {
    last: i128,
    next: i128,
    /// The number that was taken last.
    taken: Option<i128>,
    holes: Holes,
    /// The guard of new gaps; none: there is nothing left that could fill them.
    guard: Option<u32>,
    /// Whether a number stood twice.
    pub(crate) doubled: bool,
}

/// What to do with a row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Row {
    /// It has not been published yet.
    New,
    /// It has.
    Known,
    /// New, but there is no room to remember the gap before it: the range ends here for now.
    Full,
}

impl Tracker {
    /// Watches the rows of a reading that follows `look`; none if the cursor is no whole number.
    pub(crate) fn new(cursor: &Cursor, look: &Look, settle_ms: i64) -> Option<Tracker> {
        let last: i128 = cursor.last.as_deref()?.parse().ok()?;
        let mut holes = cursor.holes.clone();
        let guard = (!look.is_final(settle_ms)).then(|| holes.guard(Guard::of(look)));
        Some(Tracker {
            last,
            next: last + 1,
            taken: None,
            holes,
            guard,
            doubled: false,
        })
    }

    /// Looks at the next row's number; they come in ascending order.
    pub(crate) fn see(&mut self, key: i128) -> Row {
        if self.taken == Some(key) {
            self.doubled = true;
            return Row::New;
        }
        if key <= self.last {
            if !self.holes.contains(key) {
                return Row::Known;
            }
            self.holes.fill(key);
        } else {
            if let Some(guard) = self.guard
                && key > self.next
            {
                if self.holes.len() >= MOST {
                    return Row::Full;
                }
                self.holes.note(self.next, key - 1, guard);
            }
            self.next = key + 1;
        }
        self.taken = Some(key);
        Row::New
    }

    /// The highest number up to which everything is either taken or a known gap.
    pub(crate) fn reached(&self) -> i128 {
        self.next - 1
    }

    /// The gaps that are open now.
    pub(crate) fn end(self) -> Holes {
        self.holes
    }
}

#[cfg(test)]
mod tests {
    use super::super::guard::look;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn seen(value: &str) -> Option<String> {
        Some(value.to_owned())
    }

    #[test]
    fn where_nothing_comes_late_what_is_seen_is_read() {
        let mut cursor = Cursor::at(Some("0"));
        assert_eq!(cursor.upto(seen("7"), true, &look(0, &[]), 0), seen("7"));
        assert_eq!(cursor.upto(seen("c"), false, &look(0, &[]), 0), seen("c"));
        assert!(!cursor.is_waiting());
    }

    #[test]
    fn a_time_is_final_when_it_has_aged_and_all_have_ended() {
        let mut cursor = Cursor::at(None);
        assert_eq!(
            cursor.upto(seen("c"), false, &look(1_000, &["a"]), 5_000),
            None
        );
        assert_eq!(
            cursor.upto(seen("d"), false, &look(3_000, &["a", "b"]), 5_000),
            None
        );
        assert_eq!(
            cursor.upto(seen("d"), false, &look(7_000, &["a", "b"]), 5_000),
            None
        );
        assert_eq!(cursor.held_back(), Some((1, 1_000)));
        assert_eq!(
            cursor.upto(seen("d"), false, &look(7_500, &["b"]), 5_000),
            seen("c")
        );
        assert_eq!(
            cursor.upto(seen("d"), false, &look(8_000, &[]), 5_000),
            seen("d")
        );
        assert_eq!(cursor.upto(None, false, &look(20_000, &[]), 5_000), None);
    }

    #[test]
    fn a_number_that_stands_twice_is_taken_twice() {
        let mut cursor = Cursor::at(Some("4"));
        let guard = cursor.holes.guard(Guard::of(&look(0, &["a"])));
        cursor.holes.note(2, 3, guard);
        let mut tracker = Tracker::new(&cursor, &look(1, &["a"]), 0).unwrap();
        let taken: Vec<Row> = [3, 3, 4, 5, 5].map(|key| tracker.see(key)).into();
        assert_eq!(taken, [Row::New, Row::New, Row::Known, Row::New, Row::New]);
        assert!(tracker.doubled && tracker.end().contains(2));
    }

    proptest! {
        /// Transactions draw numbers in one order and end in another, some by a rollback; every row is taken exactly once, without `settle`.
        #[test]
        fn every_row_is_taken_once(writers in proptest::collection::vec((1_i64..12, any::<bool>()), 1..60)) {
            let mut cursor = Cursor::at(Some("0"));
            let mut taken: Vec<i128> = Vec::new();
            for second in 0..40 {
                // number n + 1 is drawn in second n / 3, by a transaction that ends some seconds later
                let drawn = (1_i128..).zip((0_i64..).zip(&writers)).map(|(key, (n, (long, kept)))| (key, n / 3, n / 3 + long, *kept));
                let visible: BTreeSet<i128> = drawn.clone().filter(|(_, _, end, kept)| *kept && *end <= second).map(|(key, ..)| key).collect();
                let open: Vec<String> = drawn.filter(|(_, begin, end, _)| *begin <= second && *end > second).map(|(key, ..)| key.to_string()).collect();
                let open: Vec<&str> = open.iter().map(String::as_str).collect();
                let look = look(second, &open);
                let last: i128 = cursor.last.as_deref().unwrap().parse().unwrap();
                let highest = visible.last().filter(|key| **key > last).map(ToString::to_string);
                let due = cursor.due(&look, 0);
                let upto = cursor.upto(highest, true, &look, 0);
                let mut tracker = Tracker::new(&cursor, &look, 0).unwrap();
                for (from, to) in &due.spans {
                    taken.extend(visible.range(from..=to).filter(|key| tracker.see(**key) == Row::New));
                }
                if let Some(upto) = upto {
                    let to: i128 = upto.parse().unwrap();
                    taken.extend(visible.range(last + 1..=to).filter(|key| tracker.see(**key) == Row::New));
                    cursor.last = Some(upto);
                }
                cursor.holes = tracker.end();
                cursor.holes.close(&due, second, 0);
            }
            taken.sort_unstable();
            let all: Vec<i128> = (1..).zip(&writers).filter(|(_, (_, kept))| *kept).map(|(key, _)| key).collect();
            prop_assert_eq!(taken, all);
            prop_assert_eq!(cursor.holes.len(), 0);
        }
    }
}
