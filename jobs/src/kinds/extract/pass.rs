//! One pass of an extract, incremental or full: plan, read, write, commit, publish.
//!
//! The plan is durable before the first row is read; cursor and names of the parts are one commit; only then are the parts renamed.

use std::path::Path;

use db::{Connection, Kind};
use jobfile::Interval;
use serde::{Deserialize, Serialize};

use super::params::{Increment, Params};
use super::parts::{self, Parts, Publication, Shelf, Written};
use super::query::{self, Statement};
use super::range::{Cursor, Plan, Row, Tracker};
use crate::context::Context;
use crate::data::{Column, Form};
use crate::error::Error;
use crate::job::{Invalid, Tally};
use crate::state::Changes;

/// Rows between two looks at stop requests and progress.
const STRIDE: u64 = 256;

/// Names in the job's state.
mod memory {
    pub(super) const CURSOR: &str = "cursor";
    pub(super) const PLAN: &str = "plan";
    pub(super) const PUBLISHING: &str = "publishing";
}

/// The plan of a full extract: its files are named by this time, also when it is repeated after a crash.
#[derive(Debug, Serialize, Deserialize)]
struct FullPlan {
    time: String,
}

pub(super) fn invalid(invalid: Invalid) -> Error {
    Error::Invalid(format!("{}: {}", invalid.at, invalid.message))
}

/// Finishes the renames that an earlier run has committed to.
pub(super) fn finish_publication(cx: &mut Context, folder: &Path) -> Result<(), Error> {
    let begun: Option<Publication> = cx.state()?.get(memory::PUBLISHING)?;
    if let Some(publication) = begun {
        parts::publish(&*cx.disk(), folder, &publication)?;
        cx.state()?.delete(memory::PUBLISHING)?;
    }
    Ok(())
}

pub(super) fn remembered(cx: &mut Context, increment: &Increment) -> Result<Cursor, Error> {
    Ok(cx
        .state()?
        .get(memory::CURSOR)?
        .unwrap_or_else(|| Cursor::at(&increment.start)))
}

fn millis(interval: Interval) -> i64 {
    i64::try_from(interval.0.as_millis()).unwrap_or(i64::MAX)
}

/// One pass over what is new: first a range that an earlier run has begun, then what has come since.
pub(super) fn increment_pass(
    cx: &mut Context,
    params: &Params,
    increment: &Increment,
    shelf: &Shelf,
    db: &mut dyn Connection,
) -> Result<Tally, Error> {
    let mut tally = Tally::default();
    let kind = kind_of(db, params, increment)?;
    let begun: Option<Plan> = cx.state()?.get(memory::PLAN)?;
    let rounds = if begun.is_some() {
        vec![begun, None]
    } else {
        vec![None]
    };
    for begun in rounds {
        let now = cx.now().timestamp_millis();
        let mut round = Round {
            params,
            increment,
            shelf,
            kind,
            now,
            cursor: remembered(cx, increment)?,
        };
        db.begin_snapshot()?;
        let plan = match begun {
            Some(plan) => Some(plan),
            None => round.plan(cx, db)?,
        };
        match plan {
            Some(plan) => tally += round.run(cx, db, &plan)?,
            None => db.commit()?,
        }
    }
    Ok(tally)
}

/// One range of an incremental extract, from its plan to its publication.
struct Round<'a> {
    params: &'a Params,
    increment: &'a Increment,
    shelf: &'a Shelf,
    kind: Kind,
    /// Milliseconds since 1970.
    now: i64,
    cursor: Cursor,
}

impl Round<'_> {
    /// Whether gaps between values are known.
    fn is_numbered(&self) -> bool {
        self.kind == Kind::Integer && self.cursor.last.parse::<i64>().is_ok()
    }

    fn settle(&self) -> i64 {
        millis(self.increment.settle)
    }

    /// Plans the next range, durably; none if nothing is new.
    fn plan(&mut self, cx: &mut Context, db: &mut dyn Connection) -> Result<Option<Plan>, Error> {
        let seen = highest(
            db,
            self.params,
            self.increment,
            &self.cursor.last,
            self.kind,
        )?;
        let before = self.cursor.clone();
        let plan = self
            .cursor
            .plan(seen, self.is_numbered(), self.now, self.settle());
        if let Some(plan) = &plan {
            let changes = Changes::new()
                .set(memory::CURSOR, &self.cursor)?
                .set(memory::PLAN, plan)?;
            cx.state()?.commit(changes)?;
        } else if before != self.cursor {
            cx.state()?.set(memory::CURSOR, &self.cursor)?;
        }
        Ok(plan)
    }

    /// Reads the planned range and publishes it.
    fn run(
        mut self,
        cx: &mut Context,
        db: &mut dyn Connection,
        plan: &Plan,
    ) -> Result<Tally, Error> {
        let (params, increment) = (self.params, self.increment);
        let statement = query::range(
            params,
            increment,
            &plan.from,
            &plan.upto,
            self.kind,
            db.dialect(),
        );
        let statement = statement.map_err(invalid)?;
        let remember = self.settle() > 0;
        let mut tracker = if self.is_numbered() {
            Tracker::new(&self.cursor, self.now, remember)
        } else {
            None
        };
        let (parts, upto) = read_range(
            cx,
            increment,
            self.shelf,
            db,
            &statement,
            plan,
            tracker.as_mut(),
        )?;
        db.commit()?;
        let range = if upto == self.cursor.last {
            format!("{}-{upto}_late{}", plan.from, self.now)
        } else {
            format!("{}-{upto}", self.cursor.last)
        };
        let written = parts.finish(&range, false)?;
        if let Some(tracker) = tracker {
            self.cursor.holes = tracker.end();
        }
        self.cursor.advance(&upto);
        commit_publication(
            cx,
            self.shelf,
            &written,
            Changes::new().set(memory::CURSOR, &self.cursor)?,
        )?;
        let tally = tally_of(&written);
        if tally.written > 0 {
            log::info!("{} {range}: {tally}", increment.column);
        }
        Ok(tally)
    }
}

fn tally_of(written: &Written) -> Tally {
    Tally {
        read: written.rows,
        written: written.rows,
        bytes: written.bytes,
        files: written.publication.0.len() as u64,
        ..Tally::default()
    }
}

/// Reads a range into parts; tells how far it came, which is less than planned only if there was no room for more gaps.
fn read_range<'s>(
    cx: &'s Context,
    increment: &Increment,
    shelf: &'s Shelf,
    db: &mut dyn Connection,
    statement: &Statement,
    plan: &Plan,
    mut tracker: Option<&mut Tracker>,
) -> Result<(Parts<'s>, String), Error> {
    let mut rows = db.query(&statement.sql, &statement.cells())?;
    let key = rows
        .columns()
        .iter()
        .position(|column| column.name == increment.column);
    let key =
        key.ok_or_else(|| Error::Invalid(format!("the query has no column {}", increment.column)))?;
    let mut parts = Parts::new(cx, shelf, file_columns(rows.columns()));
    let mut upto = plan.upto.clone();
    while let Some(row) = rows.fetch()? {
        if let Some(tracker) = tracker.as_deref_mut() {
            let number = row
                .cell(key)
                .and_then(|text| std::str::from_utf8(text).ok()?.parse::<i64>().ok());
            let number = number.ok_or_else(|| {
                Error::Data(format!(
                    "{} is not a whole number: {row:?}",
                    increment.column
                ))
            })?;
            match tracker.see(number) {
                Row::New => {}
                Row::Known => continue,
                Row::Full => {
                    log::warn!(
                        "{} has more gaps than can be remembered: going on from {} when some have settled",
                        increment.column,
                        tracker.reached()
                    );
                    upto = tracker.reached().to_string();
                    break;
                }
            }
        }
        take(cx, &mut parts, row)?;
    }
    Ok((parts, upto))
}

/// Writes a row, beating.
fn take(cx: &Context, parts: &mut Parts<'_>, row: db::Row<'_>) -> Result<(), Error> {
    let cells: Vec<db::Cell<'_>> = row.cells().collect();
    parts.row(&cells)?;
    if parts.rows.is_multiple_of(STRIDE) {
        parts.pace();
        cx.checkpoint()?;
    }
    Ok(())
}

/// One pass over everything.
pub(super) fn full_pass(
    cx: &mut Context,
    params: &Params,
    shelf: &Shelf,
    db: &mut dyn Connection,
) -> Result<Tally, Error> {
    let plan = match cx.state()?.get::<FullPlan>(memory::PLAN)? {
        Some(plan) => plan,
        None => {
            let plan = FullPlan {
                time: cx.now().format("%Y%m%dT%H%M%S%3fZ").to_string(),
            };
            cx.state()?.set(memory::PLAN, &plan)?;
            plan
        }
    };
    let statement = query::full(params, db.dialect()).map_err(invalid)?;
    db.begin_snapshot()?;
    let mut rows = db.query(&statement.sql, &statement.cells())?;
    let mut parts = Parts::new(cx, shelf, file_columns(rows.columns()));
    while let Some(row) = rows.fetch()? {
        take(cx, &mut parts, row)?;
    }
    drop(rows);
    db.commit()?;
    if parts.rows == 0 {
        parts.none()?;
    }
    let written = parts.finish(&plan.time, true)?;
    commit_publication(cx, shelf, &written, Changes::new())?;
    log::info!("{}", tally_of(&written));
    Ok(tally_of(&written))
}

/// The one commit between writing and renaming, then the renames.
fn commit_publication(
    cx: &mut Context,
    shelf: &Shelf,
    written: &Written,
    changes: Changes,
) -> Result<(), Error> {
    let changes = changes
        .delete(memory::PLAN)
        .set(memory::PUBLISHING, &written.publication)?;
    cx.state()?.commit(changes)?;
    finish_publication(cx, &shelf.folder)
}

pub(super) fn highest(
    db: &mut dyn Connection,
    params: &Params,
    increment: &Increment,
    last: &str,
    kind: Kind,
) -> Result<Option<String>, Error> {
    let statement = query::highest(params, increment, last, kind, db.dialect()).map_err(invalid)?;
    let mut rows = db.query(&statement.sql, &statement.cells())?;
    let Some(row) = rows.fetch()? else {
        return Ok(None);
    };
    Ok(row
        .cell(0)
        .map(|text| String::from_utf8_lossy(text).into_owned()))
}

pub(super) fn columns_of(
    db: &mut dyn Connection,
    shape: &Statement,
) -> Result<Vec<db::Column>, Error> {
    let rows = db.query(&shape.sql, &shape.cells())?;
    Ok(rows.columns().to_vec())
}

/// What the cursor column holds. An expression has no declared type; a row of it tells.
pub(super) fn kind_of(
    db: &mut dyn Connection,
    params: &Params,
    increment: &Increment,
) -> Result<Kind, Error> {
    let shape = query::shape(params, db.dialect()).map_err(invalid)?;
    let columns = columns_of(db, &shape)?;
    let column = columns
        .iter()
        .find(|column| column.name == increment.column);
    let column = column
        .ok_or_else(|| Error::Invalid(format!("the query has no column {}", increment.column)))?;
    if column.kind != Kind::Other {
        return Ok(column.kind);
    }
    let sample = query::sample(params, increment, db.dialect()).map_err(invalid)?;
    let mut rows = db.query(&sample.sql, &sample.cells())?;
    rows.fetch()?;
    Ok(rows.columns()[0].kind)
}

/// A result's columns as a file's.
fn file_columns(columns: &[db::Column]) -> Vec<Column> {
    let form = |kind| match kind {
        Kind::Integer | Kind::Decimal | Kind::Real => Form::Number,
        Kind::Bool => Form::Boolean,
        Kind::Blob => Form::Binary,
        _ => Form::Text,
    };
    columns
        .iter()
        .map(|column| Column {
            name: column.name.clone(),
            form: form(column.kind),
        })
        .collect()
}
