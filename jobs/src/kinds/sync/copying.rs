//! One copy of an incremental pass, in its snapshot: rows of gaps that are due, then what is new, with the cursor in the same transaction.

use db::{Connection, Load, Mode, TableInfo};

use super::carry::finish;
use super::increment::{Increment, begin};
use super::pass::Pair;
use super::stage::Staging;
use super::taking::Taking;
use crate::error::Error;
use crate::job::Tally;
use crate::latecomers::{Cursor, Due, Look, Tracker};

/// One copy in its snapshot: gaps first, then what is new.
pub(super) struct Copy<'a> {
    pub(super) increment: &'a Increment<'a>,
    pub(super) cursor: &'a mut Cursor,
    pub(super) look: &'a Look,
    pub(super) due: &'a Due,
    /// Up to where new rows are copied; none: only gaps.
    pub(super) upto: Option<String>,
}

impl Copy<'_> {
    pub(super) fn run(self, pair: &mut Pair, numbered: bool) -> Result<Tally, Error> {
        let (source, target) = (&mut *pair.source, &mut *pair.target);
        let Increment { cx, course, .. } = *self.increment;
        let facts = course.facts;
        source.begin_snapshot()?;
        let tally = if facts.mapping.numbered.is_empty() && !pair.one_file {
            let names = facts.mapping.names();
            let into = Load {
                table: &facts.to,
                columns: &names,
                mode: Mode::Append,
            };
            self.load(source, target, (&into, &facts.target), numbered)?
        } else {
            let stage = Staging::make(course, target, false, false)?;
            let (names, info) = (stage.names(), stage.info());
            let tally = self.load(source, target, (&stage.load(&names), &info), numbered)?;
            source.rollback()?;
            stage.insert(cx, target, None)?;
            stage.drop(target)?;
            tally
        };
        source.rollback()?;
        Ok(tally)
    }

    /// Loads what is due, and moves the cursor on.
    fn load(
        self,
        source: &mut dyn Connection,
        target: &mut dyn Connection,
        (into, info): (&Load<'_>, &TableInfo),
        numbered: bool,
    ) -> Result<Tally, Error> {
        let (increment, settle) = (self.increment, self.increment.settle());
        let Increment { cx, course, .. } = *increment;
        let tracker = numbered
            .then(|| Tracker::new(self.cursor, self.look, settle))
            .flatten();
        let given = course.facts.mapping.given_texts(cx.now());
        let mut taking = Taking {
            cx,
            course,
            into,
            same: given.iter().map(|text| Some(text.as_bytes())).collect(),
            width: course.facts.mapping.lanes.len(),
            loader: target.load_known(into, info)?,
            tracker,
            tally: Tally::default(),
        };
        if !self.due.spans.is_empty() {
            taking.numbers(source, increment.along().spans(&self.due.spans))?;
        }
        let mut upto = self.upto;
        if let Some(planned) = upto.take() {
            let edge = taking.tracker.is_none();
            let statement = increment.along().range(begin(self.cursor), &planned, edge);
            upto = Some(if edge {
                taking.ties(source, statement, self.cursor)?;
                planned
            } else {
                taking
                    .numbers(source, statement)?
                    .map_or(planned, |reached| reached.to_string())
            });
        }
        if let Some(tracker) = taking.tracker.take() {
            self.cursor.holes = tracker.end();
            self.cursor.holes.close(self.due, self.look.now, settle);
        }
        if upto.is_some() {
            self.cursor.last = upto;
        }
        let tally = taking.tally;
        finish(cx, course, into, taking.loader)?;
        Ok(tally)
    }
}
