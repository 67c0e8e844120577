//! New rows on their way into the target: each is looked at first, whether it was copied before.

use std::thread;

use db::{Connection, Load, Loader};

use super::carry::refuse;
use super::facts::Course;
use super::flow::{OneRow, Stream};
use crate::context::Context;
use crate::error::Error;
use crate::job::Tally;
use crate::latecomers::{Cursor, EdgeWatch, Row, Tracker};
use crate::statement::Statement;

/// Rows being taken over.
pub(super) struct Taking<'a, 't> {
    pub(super) cx: &'a Context,
    pub(super) course: &'a Course<'a>,
    pub(super) into: &'a Load<'a>,
    /// Cells that are the same for all rows.
    pub(super) same: Vec<db::Cell<'a>>,
    /// How many cells a row brings before the cursor's.
    pub(super) width: usize,
    pub(super) loader: Box<dyn Loader + 't>,
    /// None for a cursor without numbers.
    pub(super) tracker: Option<Tracker>,
    pub(super) tally: Tally,
}

impl Taking<'_, '_> {
    /// Takes rows by their numbers; tells how far it came if there was no room for more gaps.
    pub(super) fn numbers(
        &mut self,
        source: &mut dyn Connection,
        statement: Statement,
    ) -> Result<Option<i128>, Error> {
        let mut tracker = self.tracker.take();
        let mut reached = None;
        let column = self.width;
        self.each(source, statement, |row| {
            let Some(tracker) = tracker.as_mut().filter(|_| reached.is_none()) else {
                return Ok(false);
            };
            let number = row
                .get(column)
                .and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
            let number =
                number.ok_or_else(|| Error::Data("a key is not a whole number".to_owned()))?;
            Ok(match tracker.see(number) {
                Row::New => true,
                Row::Known => false,
                Row::Full => {
                    reached = Some(tracker.reached());
                    false
                }
            })
        })?;
        if let Some(reached) = reached {
            log::warn!(
                "{} has more gaps than can be remembered: going on from {reached} when some have closed",
                self.course.table.from
            );
        }
        self.tracker = tracker;
        Ok(reached)
    }

    /// Takes rows of which several may share a value.
    pub(super) fn ties(
        &mut self,
        source: &mut dyn Connection,
        statement: Statement,
        cursor: &mut Cursor,
    ) -> Result<(), Error> {
        let mut watch = EdgeWatch::from(cursor.edge.as_ref());
        let width = self.width + 1;
        self.each(source, statement, |row| {
            let last = row.get(width) == Some(b"1");
            Ok(watch.see((0..width).map(|at| row.get(at)), last))
        })?;
        cursor.edge = watch.end();
        if cursor.edge.is_none() {
            log::warn!(
                "{}: too many rows share the highest key to remember them: further ones will not be seen",
                self.course.table.from
            );
        }
        Ok(())
    }

    fn each(
        &mut self,
        source: &mut dyn Connection,
        statement: Statement,
        mut is_new: impl FnMut(OneRow<'_>) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let cx = self.cx;
        thread::scope(|scope| {
            let mut stream = Stream::start(scope, cx, source, statement)?;
            while let Some(lot) = stream.lot(cx)? {
                let mut cells: Vec<db::Cell<'_>> = Vec::with_capacity(self.width + self.same.len());
                let mut taken = 0;
                for at in 0..lot.len() {
                    let row = lot.row(at);
                    if is_new(row)? {
                        cells.clear();
                        cells.extend((0..self.width).map(|cell| row.get(cell)));
                        cells.extend_from_slice(&self.same);
                        self.loader.push(&cells)?;
                        taken += 1;
                    }
                }
                refuse(self.course, self.into, self.loader.rejects())?;
                cx.progress(taken, lot.size());
                let bytes = lot.size();
                self.tally += Tally {
                    read: taken,
                    written: taken,
                    bytes,
                    ..Tally::default()
                };
                stream.give_back(lot);
            }
            Ok(())
        })
    }
}
