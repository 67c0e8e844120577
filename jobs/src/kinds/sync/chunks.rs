//! Which spans of a numbered key hold rows that differ, found without moving any: both servers compute a fingerprint of each span, at the same time.
//!
//! Spans begin so small that one scattered change makes only a few dozen rows suspect; a span that differs and turned out to hold many rows, as
//! keys lie unevenly, is divided again.
//!
//! A span's fingerprint is the sum of its rows' ([`db::Dialect::fingerprint`] says what these are worth: about 60 bits on MySQL and MariaDB, 64 on
//! PostgreSQL). That is far beyond accidents, and no proof against rows made to deceive: `verify="true"` reads all of them.

use std::thread;

use db::{ColumnInfo, Connection, Kind};

use super::facts::Course;
use super::flow::Stream;
use super::mapping::{Lane, Origin};
use super::query::Side;
use crate::context::Context;
use crate::error::Error;
use crate::statement::Statement;

/// So many rows a span shall have.
const ROWS: i128 = 64;
/// A span with more rows than this is divided again.
const MANY: u64 = 4_096;
/// So many spans are asked for at once: what a server sums up for them fits into its memory for one statement.
const MOST: i128 = 32_768;
/// So many spans are divided at most: where more differ, there is nothing to be saved.
const DIVIDED: usize = 256;

/// A span of the key, both ends included.
pub(super) type Span = (i128, i128);

/// What a server tells of a span: which one, how many rows, their fingerprint.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sum {
    number: i128,
    rows: u64,
    print: String,
}

impl Sum {
    fn of(row: Answer) -> Result<Sum, Error> {
        let [number, rows, print] = row.map(Option::unwrap_or_default);
        let broken = |_| Error::Internal(format!("a span without a number: {number}"));
        Ok(Sum {
            number: number.parse().map_err(broken)?,
            rows: rows.parse().map_err(broken)?,
            print,
        })
    }
}

/// The lowest and the highest key of a side, and its rows. Of no rows the lowest is above the highest.
struct Extent {
    low: i128,
    high: i128,
    rows: i128,
}

impl Extent {
    fn of(rows: Vec<Answer>) -> Extent {
        let row = rows.into_iter().next().unwrap_or_default();
        let [low, high, rows] = row.map(|cell| cell.and_then(|text| text.parse::<i128>().ok()));
        Extent {
            low: low.unwrap_or(i128::MAX),
            high: high.unwrap_or(i128::MIN),
            rows: rows.unwrap_or(0),
        }
    }
}

/// A row of what a server answers here.
type Answer = [Option<String>; 3];

/// How both servers fingerprint the rows of a table.
pub(super) struct Chunks<'a> {
    cx: &'a Context,
    course: &'a Course<'a>,
    lane: usize,
    there: String,
    here: String,
}

impl<'a> Chunks<'a> {
    /// None where servers cannot be compared: of different sorts, or columns of different types, or without numbers in the key.
    pub(super) fn new(cx: &'a Context, course: &'a Course<'a>) -> Option<Chunks<'a>> {
        let facts = course.facts;
        let lane = *facts.mapping.key.first()?;
        let constant = facts.mapping.given.iter().any(|given| given.text.is_some());
        let lanes = &facts.mapping.lanes;
        // both sides have to compute the same
        let either = |lane: &Lane, column: &ColumnInfo| ColumnInfo {
            nullable: lane.to.nullable
                || column_of(&lane.from).is_none_or(|column| column.nullable),
            ..column.clone()
        };
        let there = lanes
            .iter()
            .filter_map(|lane| Some(either(lane, column_of(&lane.from)?)));
        let there: Vec<ColumnInfo> = there.collect();
        let here: Vec<ColumnInfo> = lanes.iter().map(|lane| either(lane, &lane.to)).collect();
        if !facts.equal_types || constant || lanes[lane].to.kind != Kind::Integer {
            return None;
        }
        Some(Chunks {
            there: facts
                .reading
                .dialect
                .fingerprint(&there.iter().collect::<Vec<_>>())?,
            here: facts
                .writing
                .dialect
                .fingerprint(&here.iter().collect::<Vec<_>>())?,
            cx,
            course,
            lane,
        })
    }

    /// The spans that differ, in order, and how many rows the source has.
    pub(super) fn differing(
        &self,
        source: &mut dyn Connection,
        target: &mut dyn Connection,
    ) -> Result<(Vec<Span>, u64), Error> {
        let facts = self.course.facts;
        let ask = |side: &Side| side.extent(self.lane);
        let (there, here) = self.both(source, target, ask(&facts.reading), ask(&facts.writing))?;
        let (there, here) = (Extent::of(there), Extent::of(here));
        let read = u64::try_from(there.rows).unwrap_or(0);
        let (low, high) = (there.low.min(here.low), there.high.max(here.high));
        let most = there.rows.max(here.rows);
        if low > high {
            return Ok((Vec::new(), read));
        }
        if high - low > i128::from(i64::MAX) {
            // more than servers count to
            return Ok((vec![(low, high)], read));
        }
        let mut found = Vec::new();
        // a large table by several statements, so that none takes too long
        let pieces = most / (ROWS * MOST) + 1;
        let (piece, spans) = ((high - low) / pieces + 1, most / pieces / ROWS + 1);
        let (mut differing, mut from) = (Vec::new(), low);
        while from <= high {
            let to = (from + piece - 1).min(high);
            differing.extend(self.compare(source, target, (from, to), spans.min(MOST))?);
            from = to + 1;
        }
        let large = differing.iter().filter(|(_, rows)| *rows > MANY).count();
        for ((from, to), rows) in differing {
            if rows > MANY && from < to && large <= DIVIDED {
                let spans = (i128::from(rows) / ROWS + 1).min(MOST);
                let finer = self.compare(source, target, (from, to), spans)?;
                found.extend(finer.into_iter().map(|(span, _)| span));
            } else {
                found.push((from, to));
            }
        }
        Ok((joined(found), read))
    }

    /// Asks both servers at the same time. What one has against it is told once the other is through, so that both can be asked further.
    fn both(
        &self,
        source: &mut dyn Connection,
        target: &mut dyn Connection,
        there: Statement,
        here: Statement,
    ) -> Result<(Vec<Answer>, Vec<Answer>), Error> {
        let cx = self.cx;
        thread::scope(|scope| {
            let mut there = Stream::start(scope, cx, source, there)?;
            let mut here = Stream::start(scope, cx, target, here)?;
            let (there, here) = (collect(cx, &mut there), collect(cx, &mut here));
            Ok((there?, here?))
        })
    }

    /// Divides a span, and gives the parts that differ, each with the number of its rows.
    fn compare(
        &self,
        source: &mut dyn Connection,
        target: &mut dyn Connection,
        (low, high): Span,
        spans: i128,
    ) -> Result<Vec<(Span, u64)>, Error> {
        let width = (high - low) / spans + 1;
        let facts = self.course.facts;
        let ask = |side: &Side, print: &str| -> Statement {
            side.fingerprints(self.lane, (low, high), width, print)
        };
        let (there, here) = (
            ask(&facts.reading, &self.there),
            ask(&facts.writing, &self.here),
        );
        let (there, here) = self.both(source, target, there, here)?;
        let sums = |rows: Vec<Answer>| rows.into_iter().map(Sum::of).collect();
        let (there, here): (Result<Vec<Sum>, Error>, Result<Vec<Sum>, Error>) =
            (sums(there), sums(here));
        let span = |number: i128| {
            let from = low + number * width;
            (from, (from + width - 1).min(high))
        };
        let unequal = unequal(&there?, &here?).into_iter();
        Ok(unequal.map(|(number, rows)| (span(number), rows)).collect())
    }
}

fn column_of(origin: &Origin) -> Option<&ColumnInfo> {
    match origin {
        Origin::Column(column) => Some(column),
        Origin::Expression(_) => None,
    }
}

fn collect(cx: &Context, stream: &mut Stream<'_>) -> Result<Vec<Answer>, Error> {
    let mut rows = Vec::new();
    while let Some(lot) = stream.lot(cx)? {
        for at in 0..lot.len() {
            let row = lot.row(at);
            let text = |cell: &[u8]| String::from_utf8_lossy(cell).into_owned();
            rows.push([0, 1, 2].map(|cell| row.get(cell).map(text)));
        }
        stream.give_back(lot);
    }
    Ok(rows)
}

/// The numbers of the spans that are not alike, in order, with the rows of the side that has more. Both lists are in order.
fn unequal(there: &[Sum], here: &[Sum]) -> Vec<(i128, u64)> {
    let (mut there, mut here) = (there.iter().peekable(), here.iter().peekable());
    let mut found = Vec::new();
    loop {
        let number = match (there.peek(), here.peek()) {
            (None, None) => return found,
            (Some(one), None) | (None, Some(one)) => one.number,
            (Some(one), Some(other)) => one.number.min(other.number),
        };
        let one = there.next_if(|sum| sum.number == number);
        let other = here.next_if(|sum| sum.number == number);
        if one != other {
            let rows = [one, other].into_iter().flatten().map(|sum| sum.rows).max();
            found.push((number, rows.unwrap_or(0)));
        }
    }
}

/// Spans that touch become one.
fn joined(spans: Vec<Span>) -> Vec<Span> {
    let mut joined: Vec<Span> = Vec::with_capacity(spans.len());
    for (from, to) in spans {
        match joined.last_mut() {
            Some(last) if last.1 + 1 >= from => last.1 = to,
            _ => joined.push((from, to)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(list: &[(i128, u64, &str)]) -> Vec<Sum> {
        let sum = |(number, rows, print): &(i128, u64, &str)| Sum {
            number: *number,
            rows: *rows,
            print: (*print).to_owned(),
        };
        list.iter().map(sum).collect()
    }

    #[test]
    fn spans_that_one_side_lacks_or_has_otherwise_differ() {
        let there = sums(&[(0, 5, "a"), (1, 5, "b"), (3, 1, "c"), (9, 2, "x")]);
        let here = sums(&[(0, 5, "a"), (1, 7, "b"), (2, 1, "c"), (9, 2, "y")]);
        assert_eq!(unequal(&there, &here), [(1, 7), (2, 1), (3, 1), (9, 2)]);
        assert_eq!(unequal(&there, &there), []);
    }

    #[test]
    fn spans_that_touch_are_read_in_one_go() {
        assert_eq!(joined(vec![(0, 4), (5, 9), (20, 29)]), [(0, 9), (20, 29)]);
    }
}
