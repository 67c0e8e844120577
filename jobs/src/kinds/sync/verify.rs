//! `verify="true"`: after a pass both sides are read whole, and must have the same rows: as many, and of the same checksum.
//!
//! A checksum is the sum of the hashes of all rows, so that it needs no order, and no server's own arithmetic: any two databases can be held
//! against each other. A row is hashed by the written forms of its cells, made even where the types of two columns differ
//! ([`crate::likeness::Even`]). Where writers change the source meanwhile, the pass is made again; if the two still differ while the source has
//! not changed between two looks, the copy is wrong, and the run fails.

use db::{ColumnInfo, Connection};

use super::facts::Course;
use super::mapping::Origin;
use super::pass::Pair;
use crate::context::Context;
use crate::error::Error;
use crate::job::{Count, Tally};
use crate::likeness::Even;
use crate::statement::{STATEMENT, Statement};

/// So often both sides are read before they are held to differ.
const LOOKS: u32 = 3;

/// What all rows of one side come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    rows: u64,
    checksum: u128,
}

impl Sum {
    /// Takes a row in; `row` is its hash.
    fn add(&mut self, row: &blake3::Hash) {
        let mut half = [0; 16];
        half.copy_from_slice(&row.as_bytes()[..16]);
        self.rows += 1;
        self.checksum = self.checksum.wrapping_add(u128::from_be_bytes(half));
    }
}

impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} with checksum {:032x}",
            Count(self.rows, "row"),
            self.checksum
        )
    }
}

/// Holds both sides against each other; `again` makes another pass.
///
/// # Errors
/// [`Error::Data`] when they differ.
pub(super) fn verify(
    cx: &Context,
    course: &Course<'_>,
    pair: &mut Pair,
    again: &mut dyn FnMut(&mut Pair) -> Result<Tally, Error>,
) -> Result<Tally, Error> {
    let mut further = Tally::default();
    let (from, to) = (&course.table.from, &course.facts.to);
    let evens = evens(cx, course, pair)?;
    let mut look = 1;
    loop {
        let there = sum(cx, &mut *pair.source, &course.facts.reading.all(), &evens)?;
        let here = sum(cx, &mut *pair.target, &course.facts.writing.all(), &evens)?;
        if there == here {
            log::info!("{from} -> {to}: verified, {there} on both sides");
            return Ok(further);
        }
        if look == LOOKS {
            let later = sum(cx, &mut *pair.source, &course.facts.reading.all(), &evens)?;
            if later != there {
                log::warn!(
                    "{from} -> {to}: not verified, {from} changes faster than both sides can be read ({there}, then {later}; the target has {here})"
                );
                return Ok(further);
            }
            return Err(Error::Data(format!(
                "{from} -> {to}: the two differ: the source has {there}, the target {here}"
            )));
        }
        log::info!("{from} -> {to}: {there} against {here}; once more");
        further += again(pair)?;
        look += 1;
    }
}

/// How each lane's cells are made even.
fn evens(cx: &Context, course: &Course<'_>, pair: &mut Pair) -> Result<Vec<Even>, Error> {
    let lanes = &course.facts.mapping.lanes;
    let computed = lanes
        .iter()
        .any(|lane| matches!(lane.from, Origin::Expression(_)));
    let results = if computed {
        let _step = cx.step("describe", STATEMENT);
        pair.source.describe(&course.facts.reading.all().sql, 0)?
    } else {
        Vec::new()
    };
    let even = |(at, lane): (usize, &super::mapping::Lane)| match &lane.from {
        Origin::Column(column) => Even::between(column, &lane.to),
        Origin::Expression(_) => {
            let result = results.get(at);
            let column = result.map(|result| ColumnInfo::new("", result.kind));
            Even::between(
                &column.unwrap_or_else(|| ColumnInfo::new("", lane.to.kind)),
                &lane.to,
            )
        }
    };
    Ok(lanes.iter().enumerate().map(even).collect())
}

/// Reads all rows of a statement; of each row as many cells as there are ways to make them even.
fn sum(
    cx: &Context,
    db: &mut dyn Connection,
    statement: &Statement,
    evens: &[Even],
) -> Result<Sum, Error> {
    cx.phase("verifying");
    let step = cx.step("query", STATEMENT);
    let mut rows = db.query(&statement.sql, &statement.cells())?;
    drop(step);
    let mut sum = Sum::default();
    let (mut text, mut even) = (Vec::new(), Vec::new());
    while let Some(row) = rows.fetch()? {
        text.clear();
        for (cell, how) in row.cells().zip(evens) {
            let Some(cell) = cell else {
                // no length is that great: NULL is told from any text
                text.extend_from_slice(&u64::MAX.to_le_bytes());
                continue;
            };
            even.clear();
            how.write(cell, &mut even);
            text.extend_from_slice(&(even.len() as u64).to_le_bytes());
            text.extend_from_slice(&even);
        }
        sum.add(&blake3::hash(&text));
        if sum.rows.is_multiple_of(1024) {
            cx.checkpoint()?;
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum_of(rows: &[&str]) -> Sum {
        let dir = tempfile::tempdir().unwrap();
        let options = db::Options {
            base: dir.path().to_owned(),
            ..db::Options::default()
        };
        let mut db = db::connect("sqlite:t.db", &options).unwrap();
        db.batch("CREATE TABLE t (a TEXT, b NUMERIC)").unwrap();
        for row in rows {
            db.execute(&format!("INSERT INTO t VALUES ({row})"), &[])
                .unwrap();
        }
        let cx = Context::fake(dir.path());
        let statement = Statement::plain("SELECT a, b FROM t".to_owned());
        sum(&cx, &mut *db, &statement, &[Even::Plain, Even::Number]).unwrap()
    }

    #[test]
    fn order_does_not_matter_and_everything_else_does() {
        let one = sum_of(&["'a', 1", "'b', 2", "NULL, NULL"]);
        assert_eq!(one, sum_of(&["NULL, NULL", "'b', 2.0", "'a', 1"]));
        assert_eq!(one.rows, 3);
        for other in [
            &["'a', 1", "'b', 2"][..],
            &["'a', 1", "'b', 2", "'', NULL"],
            &["'a', 1", "'b', 3", "NULL, NULL"],
            &["'a', 2", "'b', 1", "NULL, NULL"],
        ] {
            assert_ne!(one, sum_of(other), "{other:?}");
        }
        assert_ne!(sum_of(&["'a', 1", "'a', 1"]).checksum, 0);
    }
}
