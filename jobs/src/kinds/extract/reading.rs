//! One reading of an incremental pass, in its snapshot: gaps first, then what is new, from the first row to the publication.

use db::Connection;

use super::course::Course;
use super::facts;
use super::memory;
use super::notices::Notices;
use super::parts::{Desk, Parts};
use crate::context::Context;
use crate::error::Error;
use crate::job::Tally;
use crate::latecomers::{Cursor, Due, EdgeWatch, Look, Row, Tracker};
use crate::state::Changes;

/// Rows between two looks at stop requests and progress.
const STRIDE: u64 = 256;

/// What a look has made due.
pub(super) struct Task<'a> {
    pub(super) look: &'a Look,
    /// The gaps.
    pub(super) due: &'a Due,
    /// Up to where new rows are read; none: only gaps.
    pub(super) upto: Option<String>,
}

/// One reading in its snapshot, from the first row to the publication.
pub(super) struct Reading<'a> {
    pub(super) course: &'a Course<'a>,
    pub(super) cursor: Cursor,
    /// None for a cursor without numbers.
    pub(super) tracker: Option<Tracker>,
}

impl Reading<'_> {
    /// Reads and publishes.
    pub(super) fn run(
        mut self,
        cx: &mut Context,
        db: &mut dyn Connection,
        task: Task<'_>,
        notices: &mut Notices,
    ) -> Result<Tally, Error> {
        let Task {
            look,
            due,
            mut upto,
        } = task;
        let mut parts = Parts::new(Desk::of(cx, 0), self.course.shelf);
        if !due.spans.is_empty() {
            self.read_late(cx, db, due, &mut parts)?;
        }
        let late_rows = parts.rows;
        if let Some(planned) = upto.take() {
            upto = Some(self.read_new(cx, db, planned, &mut parts)?);
        }
        db.commit()?;
        let range = self.name(upto.as_deref());
        let column = &self.course.increment.column;
        if let Some(tracker) = self.tracker {
            notices.doubled(tracker.doubled, column);
            self.cursor.holes = tracker.end();
            let closed = self.cursor.holes.close(due, look.now, self.course.settle());
            log::debug!("{column}: {late_rows} late rows; {closed} gaps will stay empty");
        }
        if upto.is_some() {
            self.cursor.last = upto;
        }
        let (rows, bytes) = parts.pace();
        cx.progress(rows, bytes);
        let lot = parts.finish()?;
        if lot.is_empty() {
            let changes = Changes::new().set(memory::CURSOR, &self.cursor)?;
            cx.state()?.commit(changes.delete(memory::PLAN))?;
            return Ok(Tally::default());
        }
        let range = range.unwrap_or_else(|| {
            self.cursor.late += 1;
            let last = self.cursor.last.as_deref().unwrap_or_default();
            format!("{last}_late{}", self.cursor.late)
        });
        let written = lot.name(&*cx.disk(), self.course.shelf, &range, false)?;
        let changes = Changes::new().set(memory::CURSOR, &self.cursor)?;
        let tally = memory::publish(cx, self.course.shelf, &written, changes)?;
        log::info!("{column}: {range} is published");
        Ok(tally)
    }

    /// The name of a range that goes beyond the cursor; none for rows that came late.
    fn name(&self, upto: Option<&str>) -> Option<String> {
        let upto = upto.filter(|upto| Some(*upto) != self.cursor.last.as_deref())?;
        Some(self.cursor.range(upto))
    }

    /// Reads the gaps again.
    fn read_late(
        &mut self,
        cx: &Context,
        db: &mut dyn Connection,
        due: &Due,
        parts: &mut Parts<'_>,
    ) -> Result<(), Error> {
        let order = self.course.facts.order(&self.course.increment.column);
        let along = self.course.along(db.dialect());
        let statement = along.spans(&due.spans, &order)?;
        let mut rows = facts::start(cx, db, &statement)?;
        let key = self.key(rows.columns())?;
        parts.describe(rows.columns());
        while let Some(row) = rows.fetch()? {
            // a gap that is filled needs no room
            if self.track(row, key)? == Row::New {
                take(cx, parts, row)?;
            }
        }
        Ok(())
    }

    /// Reads up to `planned`; tells how far it came, which is less only if there was no room for more gaps.
    fn read_new(
        &mut self,
        cx: &Context,
        db: &mut dyn Connection,
        planned: String,
        parts: &mut Parts<'_>,
    ) -> Result<String, Error> {
        let statement = self.course.range(&self.cursor, &planned, db.dialect())?;
        let mut rows = facts::start(cx, db, &statement)?;
        let key = self.key(rows.columns())?;
        if self.tracker.is_none() {
            // the last column tells of the edge
            let width = rows.columns().len().saturating_sub(1);
            parts.describe(&rows.columns()[..width]);
            let mut watch = EdgeWatch::from(self.cursor.edge.as_ref());
            while let Some(row) = rows.fetch()? {
                let last = row.cell(width) == Some(b"1");
                if watch.see(row.cells().take(width), last) {
                    take(cx, parts, row)?;
                }
            }
            self.cursor.edge = watch.end();
            if self.cursor.edge.is_none() {
                log::warn!(
                    "too many rows have the value {planned} to remember them: further ones will not be seen"
                );
            }
            return Ok(planned);
        }
        parts.describe(rows.columns());
        while let Some(row) = rows.fetch()? {
            match self.track(row, key)? {
                Row::New => take(cx, parts, row)?,
                Row::Known => {}
                Row::Full => {
                    let reached = self.tracker.as_ref().map_or(0, Tracker::reached);
                    log::warn!(
                        "{} has more gaps than can be remembered: going on from {reached} when some have closed",
                        self.course.increment.column
                    );
                    return Ok(reached.to_string());
                }
            }
        }
        Ok(planned)
    }

    fn key(&self, columns: &[db::Column]) -> Result<usize, Error> {
        let name = &self.course.increment.column;
        let key = columns.iter().position(|column| column.name == *name);
        key.ok_or_else(|| facts::no_column(name))
    }

    fn track(&mut self, row: db::Row<'_>, key: usize) -> Result<Row, Error> {
        let Some(tracker) = &mut self.tracker else {
            return Ok(Row::New);
        };
        let number = row
            .cell(key)
            .and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        let number = number.ok_or_else(|| {
            let name = &self.course.increment.column;
            Error::Data(format!("{name} is not a whole number: {row:?}"))
        })?;
        Ok(tracker.see(number))
    }
}

/// Writes a row, beating.
fn take(cx: &Context, parts: &mut Parts<'_>, row: db::Row<'_>) -> Result<(), Error> {
    parts.row(row)?;
    if parts.rows.is_multiple_of(STRIDE) {
        let (rows, bytes) = parts.pace();
        cx.progress(rows, bytes);
        cx.checkpoint()?;
    }
    Ok(())
}
