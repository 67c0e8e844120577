//! One pass over what is new, and over what has come late.
//!
//! The order of steps is what makes it exact. In a first snapshot the highest value is found; then the server tells which transactions are
//! open; then a second snapshot is taken, in which rows are read up to that value. Whoever drew a lower number had begun before the highest was
//! visible: he is in the list, or has ended and is in the second snapshot. Gaps wait for those in the list (`latecomers/holes.rs`).
//! The plan is durable before the first row is read; cursor and names of the parts are one commit; only then are the parts renamed.

use chrono::TimeDelta;
use db::{Connection, Kind};

use super::course::Course;
use super::memory::{self, Plan};
use super::notices::Notices;
use super::reading::{Reading, Task};
use crate::context::Context;
use crate::error::Error;
use crate::job::Tally;
use crate::latecomers::{Cursor, Look, Tracker, is_ahead};
use crate::state::Changes;

/// How far the clocks of a server and of this machine may differ, in milliseconds.
const SKEW: i64 = 60_000;

/// What the first snapshot and the look after it have shown.
struct Sight {
    /// The highest new value.
    highest: Option<String>,
    look: Look,
}

impl Course<'_> {
    /// One pass: first a range that an earlier run has begun, then what has come since.
    pub(super) fn pass(
        &self,
        cx: &mut Context,
        db: &mut dyn Connection,
        notices: &mut Notices,
    ) -> Result<Tally, Error> {
        let mut tally = Tally::default();
        self.take_up(cx, db)?;
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
        let mut cursor = self.remembered(cx, db)?;
        let numbered = self.is_numbered(&cursor);
        let Some(sight) = self.look_around(cx, db, &cursor, begun.as_ref(), notices)? else {
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

    /// The highest new value; told of if it is a time that has not come yet. Where the job gives `settle`, such times with a zone wait: servers
    /// compare them exactly.
    fn highest_come(
        &self,
        cx: &Context,
        db: &mut dyn Connection,
        cursor: &Cursor,
        notices: &mut Notices,
    ) -> Result<Option<String>, Error> {
        let highest = self.highest(cx, db, cursor, None)?;
        let (now, column) = (cx.now(), &self.increment.column);
        let margin = self.settle().max(SKEW);
        let ahead = |value: &String| is_ahead(value, self.kind, now.timestamp_millis(), margin);
        let Some(value) = highest.as_ref().filter(|value| ahead(value)) else {
            return Ok(highest);
        };
        let waits = self.kind == Kind::Instant && self.settle() > 0;
        let ceiling = now.checked_add_signed(TimeDelta::milliseconds(margin));
        let ceiling = ceiling.filter(|_| waits && db.dialect().commits_late());
        let Some(ceiling) = ceiling else {
            notices.ahead(column, value, None);
            return Ok(highest);
        };
        let ceiling = ceiling.format("%Y-%m-%d %H:%M:%S%.3f+00:00").to_string();
        notices.ahead(column, value, Some(&ceiling));
        self.highest(cx, db, cursor, Some(&ceiling))
    }

    /// The first snapshot, and what the server tells after it; nothing if there is neither news nor anything to wait for.
    fn look_around(
        &self,
        cx: &Context,
        db: &mut dyn Connection,
        cursor: &Cursor,
        begun: Option<&Plan>,
        notices: &mut Notices,
    ) -> Result<Option<Sight>, Error> {
        db.begin_snapshot()?;
        let highest = match begun {
            Some(plan) => Some(plan.upto.clone()),
            None => self.highest_come(cx, db, cursor, notices)?,
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
}

/// Why `settle` has to be given, in words for the user.
pub(super) fn needs_settle(why: &str) -> String {
    format!(
        "{why}, so rows that are committed late can be found only by waiting: say how late they may come, such as settle=\"10s\""
    )
}
