//! One pass over what is new, and over what has come late.
//!
//! The order of steps is what makes it exact. In a first snapshot the highest value is found; then the server tells which transactions are
//! open; then a second snapshot is taken, in which rows are read up to that value. Whoever drew a lower number had begun before the highest was
//! visible: he is in the list, or has ended and is in the second snapshot. Gaps wait for those in the list (`latecomers/holes.rs`).
//! The plan is durable before the first row is read; cursor and names of the parts are one commit; only then are the parts renamed.

use db::{Connection, Dialect, Kind};
use serde_json::Value;

use super::facts::Facts;
use super::memory::{self, Plan};
use super::notices::Notices;
use super::params::{Increment, Params};
use super::parts::Shelf;
use super::query::{Along, Begin};
use super::reading::{Reading, Task};
use crate::context::Context;
use crate::error::Error;
use crate::job::Tally;
use crate::latecomers::{Cursor, Look, Tracker};
use crate::state::Changes;
use crate::statement::Statement;

/// What an incremental pass goes by.
pub(super) struct Course<'a> {
    pub(super) params: &'a Params,
    pub(super) increment: &'a Increment,
    pub(super) shelf: &'a Shelf,
    pub(super) facts: &'a Facts,
    pub(super) kind: Kind,
}

/// What the first snapshot and the look after it have shown.
struct Sight {
    /// The highest new value.
    highest: Option<String>,
    look: Look,
}

impl Course<'_> {
    /// `settle` in milliseconds.
    pub(super) fn settle(&self) -> i64 {
        i64::try_from(self.increment.settle.0.as_millis()).unwrap_or(i64::MAX)
    }

    /// The query along the cursor.
    pub(super) fn along(&self, dialect: &'static dyn Dialect) -> Along<'_> {
        Along {
            params: self.params,
            column: &self.increment.column,
            kind: self.kind,
            dialect,
        }
    }

    /// How far earlier runs have come.
    pub(super) fn remembered(&self, cx: &mut Context) -> Result<Cursor, Error> {
        let zero = || (self.kind == Kind::Integer).then(|| "0".to_owned());
        let start = || self.increment.start.clone().or_else(zero);
        if let Some(value) = cx.state()?.get::<Value>(memory::LAST)? {
            return self.moved(cx, value);
        }
        let kept = cx.state()?.get::<Value>(memory::CURSOR)?;
        let kept = kept.filter(|value| !value.is_null());
        let Some(value) = kept else {
            return Ok(Cursor::at(start().as_deref()));
        };
        serde_json::from_value(value).map_err(|error| {
            Error::Data(format!(
                "the state {} is not what this job writes: {error}; {}",
                memory::CURSOR,
                way_out(cx)
            ))
        })
    }

    /// The cursor that an operator has asked for: nothing that was waited for counts any more, but names of late files do.
    fn moved(&self, cx: &mut Context, value: Value) -> Result<Cursor, Error> {
        let last = match &value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let whole = |text: &String| text.trim().parse::<i128>().is_ok();
        let fits = |text: &String| self.kind != Kind::Integer || whole(text);
        let Some(last) = last.filter(fits) else {
            return Err(Error::Invalid(format!(
                "the state {} is {value}, which is no value of {}; {}",
                memory::LAST,
                self.increment.column,
                way_out(cx)
            )));
        };
        let before = cx.state()?.get::<Cursor>(memory::CURSOR).ok().flatten();
        let mut cursor = Cursor::at(Some(&last));
        cursor.late = before.map_or(0, |cursor| cursor.late);
        Ok(cursor)
    }

    /// Takes up what an operator has asked for; a range that was begun before is given up.
    fn take_up(&self, cx: &mut Context) -> Result<(), Error> {
        let Some(value) = cx.state()?.get::<Value>(memory::LAST)? else {
            return Ok(());
        };
        let cursor = self.moved(cx, value)?;
        let changes = Changes::new().set(memory::CURSOR, &cursor)?;
        let changes = changes.delete(memory::PLAN).delete(memory::LAST);
        cx.state()?.commit(changes)?;
        log::info!(
            "{}: goes on after {}, as `jobs state` has set it",
            self.increment.column,
            cursor.last.unwrap_or_default()
        );
        Ok(())
    }

    /// Whether the gaps between values are known.
    fn is_numbered(&self, cursor: &Cursor) -> bool {
        let whole = |last: &String| last.parse::<i128>().is_ok();
        self.kind == Kind::Integer && cursor.last.as_ref().is_some_and(whole)
    }

    /// One pass: first a range that an earlier run has begun, then what has come since.
    pub(super) fn pass(
        &self,
        cx: &mut Context,
        db: &mut dyn Connection,
        notices: &mut Notices,
    ) -> Result<Tally, Error> {
        let mut tally = Tally::default();
        self.take_up(cx)?;
        let begun: Option<Plan> = cx.state()?.get(memory::PLAN)?;
        if begun.is_some() {
            tally += self.round(cx, db, begun, notices)?;
        }
        tally += self.round(cx, db, None, notices)?;
        Ok(tally)
    }

    fn round(
        &self,
        cx: &mut Context,
        db: &mut dyn Connection,
        begun: Option<Plan>,
        notices: &mut Notices,
    ) -> Result<Tally, Error> {
        let mut cursor = self.remembered(cx)?;
        let numbered = self.is_numbered(&cursor);
        let Some(sight) = self.look_around(cx, db, &cursor, begun.as_ref())? else {
            let along = self.along(db.dialect());
            notices.falling(cx, db, along, cursor.last.as_deref())?;
            return Ok(Tally::default());
        };
        let look = &sight.look;
        let before = cursor.clone();
        let due = cursor.due(look, self.settle());
        let upto = match begun {
            Some(plan) => Some(plan.upto),
            None => cursor.upto(sight.highest, numbered, look, self.settle()),
        };
        notices.waiting(&cursor, look, &self.increment.column);
        notices.held_back(cx, &cursor, &self.increment.column);
        if upto.is_none() && due.spans.is_empty() {
            cursor.holes.close(&due, look.now, self.settle());
            if cursor != before {
                cx.state()?.set(memory::CURSOR, &cursor)?;
            }
            return Ok(Tally::default());
        }
        if let Some(upto) = &upto {
            let plan = Plan { upto: upto.clone() };
            // the guards of gaps stay as they were until the gaps have been read
            let mut planned = cursor.clone();
            planned.holes = before.holes;
            let changes = Changes::new().set(memory::CURSOR, &planned)?;
            cx.state()?.commit(changes.set(memory::PLAN, &plan)?)?;
        }
        db.begin_snapshot()?;
        let tracked = numbered.then(|| Tracker::new(&cursor, look, self.settle()));
        let reading = Reading {
            course: self,
            cursor,
            tracker: tracked.flatten(),
        };
        let due = &due;
        reading.run(cx, db, Task { look, due, upto }, notices)
    }

    /// The first snapshot, and what the server tells after it; nothing if there is neither news nor anything to wait for.
    fn look_around(
        &self,
        cx: &Context,
        db: &mut dyn Connection,
        cursor: &Cursor,
        begun: Option<&Plan>,
    ) -> Result<Option<Sight>, Error> {
        db.begin_snapshot()?;
        let highest = match begun {
            Some(plan) => Some(plan.upto.clone()),
            None => self.highest(cx, db, cursor)?,
        };
        let late = db.dialect().commits_late();
        let look = if (highest.is_some() || cursor.is_waiting()) && late {
            let _step = cx.step("open transactions", std::time::Duration::from_secs(60));
            let told = db.transactions()?;
            Look::of(cx.now().timestamp_millis(), told, self.settle(), |why| {
                Error::Invalid(format!("increment.settle: {}", needs_settle(why)))
            })?
        } else {
            Look::quiet(cx.now().timestamp_millis())
        };
        // a refused look may have ended the snapshot
        db.rollback()?;
        let news = highest.is_some() || cursor.is_waiting();
        Ok(news.then_some(Sight { highest, look }))
    }

    /// The highest value that is new, or that more rows have than were read.
    pub(super) fn highest(
        &self,
        cx: &Context,
        db: &mut dyn Connection,
        cursor: &Cursor,
    ) -> Result<Option<String>, Error> {
        let along = self.along(db.dialect());
        let statement = along.highest(begin(cursor))?;
        let mut row = statement.first_row(cx, db)?.into_iter();
        let highest = row.next().flatten();
        let ties = row.next().flatten().and_then(|count| count.parse().ok());
        let known = cursor.edge.as_ref().map(|edge| edge.len());
        let nothing = highest == cursor.last && known.is_some() && ties <= known;
        Ok(highest.filter(|_| !nothing))
    }

    /// The statement that reads up to a value.
    pub(super) fn range(
        &self,
        cursor: &Cursor,
        upto: &str,
        dialect: &'static dyn Dialect,
    ) -> Result<Statement, Error> {
        let order = self.facts.order(&self.increment.column);
        let edge = !self.is_numbered(cursor);
        let along = self.along(dialect);
        along
            .range(begin(cursor), upto, &order, edge)
            .map_err(Error::from)
    }
}

/// How an operator mends the state.
fn way_out(cx: &Context) -> String {
    let job = cx.job();
    format!(
        "`jobs state {job} set last VALUE` lets it go on after VALUE, `jobs state {job} reset` begins anew"
    )
}

/// Why `settle` has to be given, in words for the user.
pub(super) fn needs_settle(why: &str) -> String {
    format!(
        "{why}, so rows that are committed late can be found only by waiting: say how late they may come, such as settle=\"10s\""
    )
}

/// Where a reading begins: at the cursor, and with its rows where they are known.
fn begin(cursor: &Cursor) -> Begin<'_> {
    match (&cursor.last, &cursor.edge) {
        (None, _) => Begin::Lowest,
        (Some(last), None) => Begin::Above(last),
        (Some(last), Some(_)) => Begin::With(last),
    }
}
