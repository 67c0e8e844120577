//! What an incremental pass goes by: its parameters, the cursor as it is remembered, and the queries along it.

use db::{Connection, Dialect, Kind};
use serde_json::Value;

use super::facts::{self, Facts, not_one};
use super::memory;
use super::params::{Increment, Params};
use super::parts::Shelf;
use super::query::{Along, Begin};
use crate::context::Context;
use crate::error::Error;
use crate::job::Invalid;
use crate::latecomers::Cursor;
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
    pub(super) fn remembered(
        &self,
        cx: &mut Context,
        db: &mut dyn Connection,
    ) -> Result<Cursor, Error> {
        if let Some(value) = cx.state()?.get::<Value>(memory::LAST)? {
            return self.moved(cx, db, value);
        }
        let kept = cx.state()?.get::<Value>(memory::CURSOR)?;
        let kept = kept.filter(|value| !value.is_null());
        let Some(value) = kept else {
            return self.beginning(cx, db);
        };
        serde_json::from_value(value).map_err(|error| {
            Error::Data(format!(
                "the state {} is not what this job writes: {error}; {}",
                memory::CURSOR,
                way_out(cx)
            ))
        })
    }

    /// Where the first run begins.
    fn beginning(&self, cx: &Context, db: &mut dyn Connection) -> Result<Cursor, Error> {
        let along = self.along(db.dialect());
        if let Some(start) = &self.increment.start {
            return match facts::misfit(cx, db, along, start)? {
                None => Ok(Cursor::at(Some(start))),
                Some(what) => Err(Error::Parameter(Invalid::new(
                    "increment.start",
                    not_one(start, what, along.column),
                ))),
            };
        }
        if self.kind != Kind::Integer {
            return Ok(Cursor::at(None));
        }
        // numbers below the lowest may be about to appear; below zero hardly anybody counts
        let lowest = along.lowest()?.first_row(cx, db)?.into_iter().next();
        let lowest = lowest.flatten().and_then(|text| text.parse::<i128>().ok());
        let before = lowest.map_or(0, |lowest| (lowest - 1).min(0));
        Ok(Cursor::at(Some(&before.to_string())))
    }

    /// The cursor that an operator has asked for: nothing that was waited for counts any more, but names of late files do.
    fn moved(
        &self,
        cx: &mut Context,
        db: &mut dyn Connection,
        value: Value,
    ) -> Result<Cursor, Error> {
        let last = match &value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let along = self.along(db.dialect());
        let misfit = match &last {
            Some(last) => facts::misfit(cx, db, along, last)?,
            None => Some("text or a number"),
        };
        let Some(last) = last.filter(|_| misfit.is_none()) else {
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
    pub(super) fn take_up(&self, cx: &mut Context, db: &mut dyn Connection) -> Result<(), Error> {
        let Some(value) = cx.state()?.get::<Value>(memory::LAST)? else {
            return Ok(());
        };
        let cursor = self.moved(cx, db, value)?;
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
    pub(super) fn is_numbered(&self, cursor: &Cursor) -> bool {
        let whole = |last: &String| last.parse::<i128>().is_ok();
        self.kind == Kind::Integer && cursor.last.as_ref().is_some_and(whole)
    }

    /// The highest value that is new and not above `ceiling`, or that more rows have than were read.
    pub(super) fn highest(
        &self,
        cx: &Context,
        db: &mut dyn Connection,
        cursor: &Cursor,
        ceiling: Option<&str>,
    ) -> Result<Option<String>, Error> {
        let along = self.along(db.dialect());
        let statement = along.highest(begin(cursor), ceiling)?;
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

/// Where a reading begins: at the cursor, and with its rows where they are known.
fn begin(cursor: &Cursor) -> Begin<'_> {
    match (&cursor.last, &cursor.edge) {
        (None, _) => Begin::Lowest,
        (Some(last), None) => Begin::Above(last),
        (Some(last), Some(_)) => Begin::With(last),
    }
}
