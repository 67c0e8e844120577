//! Mode `increment`: only rows that are new, each exactly once, those too that are committed late.
//!
//! The order of steps: in a first snapshot of the source the highest key is found; then the server tells which transactions are open; then rows are
//! read in a second snapshot up to that key (see `latecomers`). They go into the target in one transaction with the cursor. The cursor's row is
//! locked first, so that a COMMIT of a killed run that is still on its way is waited for, and its rows are not read again.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use db::{Connection, Kind};

use super::copying::Copy;
use super::cursor::{self, Owner};
use super::facts::{Course, number};
use super::pass::Pair;
use super::query::{Along, Begin};
use super::refresh::commit;
use crate::context::Context;
use crate::error::Error;
use crate::job::{Count, Tally};
use crate::latecomers::{Cursor, Look, is_ahead, misfit};

/// How long between two notices that rows are waited for.
const PAUSE: Duration = Duration::from_secs(60);

/// How far the clocks of a server and of this machine may differ, in milliseconds.
const SKEW: i64 = 60_000;

/// What the first snapshot and the look after it have shown.
struct Sight {
    /// The highest new key.
    highest: Option<String>,
    look: Look,
}

/// One pass over one table.
pub(super) struct Increment<'a> {
    pub(super) cx: &'a Context,
    pub(super) course: &'a Course<'a>,
    /// The source's column.
    column: &'a str,
    kind: Kind,
}

impl<'a> Increment<'a> {
    pub(super) fn new(cx: &'a Context, course: &'a Course<'a>) -> Result<Increment<'a>, Error> {
        let column = course.facts.mapping.cursor.as_ref();
        let column =
            column.ok_or_else(|| Error::Internal("an increment without a cursor".to_owned()))?;
        Ok(Increment {
            cx,
            course,
            column: &column.name,
            kind: column.kind,
        })
    }

    fn owner(&self) -> Owner {
        let table = self.course.table;
        Owner::new(self.cx.job(), &table.from, table.to())
    }

    pub(super) fn along(&self) -> Along<'_> {
        Along {
            side: &self.course.facts.reading,
            column: self.column,
            kind: self.kind,
        }
    }

    /// `settle` in milliseconds.
    pub(super) fn settle(&self) -> i64 {
        i64::try_from(self.course.table.settle.0.as_millis()).unwrap_or(i64::MAX)
    }

    /// Whether the gaps between values are known.
    fn is_numbered(&self, cursor: &Cursor) -> bool {
        let whole = |last: &String| last.parse::<i128>().is_ok();
        self.kind == Kind::Integer && cursor.last.as_ref().is_some_and(whole)
    }

    /// One pass. The phase tells of rows that are held back, in a line for people, if any are.
    pub(super) fn pass(&self, pair: &mut Pair) -> Result<(Tally, Option<String>), Error> {
        let owner = self.owner();
        let (source, target) = (&mut *pair.source, &mut *pair.target);
        let known = cursor::look(target, &owner)?;
        let seeded = known.is_none();
        let mut cursor = match known.clone() {
            Some(cursor) => cursor,
            None => self.seed(source, target)?,
        };
        self.note(&cursor);
        let Some(sight) = self.look_around(source, &cursor)? else {
            return Ok((Tally::default(), None));
        };
        target.begin()?;
        // whoever changed it since then was a run that has been killed: what was seen goes for another cursor
        let same = match &known {
            Some(known) => cursor::lock(target, &owner)?.as_ref() == Some(known),
            None => cursor::enter(target, &owner, &cursor, self.cx.now())?,
        };
        if !same {
            target.rollback()?;
            return Ok((Tally::default(), None));
        }
        let before = cursor.clone();
        let (look, numbered) = (&sight.look, self.is_numbered(&cursor));
        let due = cursor.due(look, self.settle());
        let upto = cursor.upto(sight.highest, numbered, look, self.settle());
        let held = self.held_back(&cursor, look);
        let mut tally = Tally::default();
        if upto.is_some() || !due.spans.is_empty() {
            let copy = Copy {
                increment: self,
                cursor: &mut cursor,
                look,
                due: &due,
                upto,
            };
            tally = copy.run(pair, numbered)?;
        } else {
            cursor.holes.close(&due, look.now, self.settle());
        }
        let target = &mut *pair.target;
        if seeded || cursor != before {
            cursor::save(target, &owner, &cursor, self.cx.now())?;
            commit(self.cx, target)?;
            self.note(&cursor);
        } else {
            target.rollback()?;
        }
        if tally.read > 0 {
            let (from, to) = (&self.course.table.from, &self.course.facts.to);
            let last = cursor.last.as_deref().unwrap_or_default();
            log::info!(
                "{from} -> {to}: {}, up to {}={last}",
                Count(tally.read, "new row"),
                self.column
            );
        }
        Ok((tally, held))
    }

    /// Keeps how far the table has come, for those who ask.
    fn note(&self, cursor: &Cursor) {
        let mut upto = self.course.facts.upto.lock();
        if let Ok(upto) = &mut upto {
            upto.clone_from(&cursor.last);
        }
    }

    /// Where the first run begins: at the target's highest key, or else where the job says, or with the first row.
    fn seed(
        &self,
        source: &mut dyn Connection,
        target: &mut dyn Connection,
    ) -> Result<Cursor, Error> {
        let (facts, table) = (self.course.facts, self.course.table);
        let none = |row: Vec<Option<String>>| row.into_iter().next().flatten();
        match facts.mapping.key.first() {
            Some(lane) => {
                let column = &facts.mapping.lanes[*lane].to;
                let here = Along {
                    side: &facts.writing,
                    column: &column.name,
                    kind: column.kind,
                };
                let highest = here
                    .highest(Begin::Lowest, None)
                    .first_row(self.cx, target)?;
                if let Some(highest) = none(highest) {
                    log::info!(
                        "{}: goes on after {}={highest}, the target's highest",
                        facts.to,
                        column.name
                    );
                    return Ok(Cursor::at(Some(&highest)));
                }
            }
            None if facts.writing.any().first_row(self.cx, target)?.is_empty() => {}
            None if table.start.is_some() => {}
            None => {
                return Err(Error::Invalid(format!(
                    "{} has rows but no column for {column}, so nobody can tell how far it is: start=\"…\" has to say above which {column} rows are new",
                    facts.to,
                    column = self.column
                )));
            }
        }
        if let Some(start) = &table.start {
            return match self.misfit(source)? {
                None => Ok(Cursor::at(Some(start))),
                Some(why) => Err(Error::Invalid(format!("{}: start: {why}", table.from))),
            };
        }
        if self.kind != Kind::Integer {
            return Ok(Cursor::at(None));
        }
        // numbers below the lowest may be about to appear; below zero hardly anybody counts
        let lowest = none(self.along().lowest().first_row(self.cx, source)?);
        let lowest = lowest
            .and_then(|text| text.parse::<i128>().ok())
            .unwrap_or(1);
        Ok(Cursor::at(Some(&(lowest - 1).min(0).to_string())))
    }

    /// What is wrong with `start`, if it is given.
    pub(super) fn misfit(&self, source: &mut dyn Connection) -> Result<Option<String>, Error> {
        let Some(start) = &self.course.table.start else {
            return Ok(None);
        };
        let example = match self.kind.is_number() {
            true => None,
            false => self.along().sample().first_row(self.cx, source)?.pop(),
        };
        let what = misfit(start, self.kind, example.flatten().as_deref());
        Ok(what.map(|what| {
            format!(
                "`{start}` is no value of {}: a {what} is meant",
                self.column
            )
        }))
    }

    /// The highest new key; told of if it is a time that has not come yet. Where the job gives `settle`, such times with a zone wait: servers
    /// compare them exactly.
    fn highest_come(
        &self,
        source: &mut dyn Connection,
        cursor: &Cursor,
    ) -> Result<Option<String>, Error> {
        let highest = self.highest(source, cursor, None)?;
        let now = self.cx.now();
        let margin = self.settle().max(SKEW);
        let ahead = |value: &String| is_ahead(value, self.kind, now.timestamp_millis(), margin);
        let Some(value) = highest.as_ref().filter(|value| ahead(value)) else {
            return Ok(highest);
        };
        let told = format!(
            "{}: the highest {} is {value}, ahead of the clock",
            self.course.table.from, self.column
        );
        let waits = self.kind == Kind::Instant && self.settle() > 0;
        let ceiling = now.checked_add_signed(TimeDelta::milliseconds(margin));
        let ceiling = ceiling.filter(|_| waits && source.dialect().commits_late());
        let Some(ceiling) = ceiling else {
            self.warn(&format!(
                "{told}: rows that come later with lower values will not be copied"
            ));
            return Ok(highest);
        };
        let ceiling = ceiling.format("%Y-%m-%d %H:%M:%S%.3f+00:00").to_string();
        self.warn(&format!(
            "{told}: rows above {ceiling} wait until their time has come"
        ));
        self.highest(source, cursor, Some(&ceiling))
    }

    /// Tells, once a minute at most, of times that have not come yet.
    fn warn(&self, line: &str) {
        if let Ok(mut told) = self.course.facts.ahead.lock()
            && is_due(&mut told)
        {
            log::warn!("{line}");
        }
    }

    /// The first snapshot, and what the server tells after it; nothing if there is neither news nor anything to wait for.
    fn look_around(
        &self,
        source: &mut dyn Connection,
        cursor: &Cursor,
    ) -> Result<Option<Sight>, Error> {
        source.begin_snapshot()?;
        let highest = self.highest_come(source, cursor)?;
        let news = highest.is_some() || cursor.is_waiting();
        let now = self.cx.now().timestamp_millis();
        let look = if news && source.dialect().commits_late() {
            let _step = self.cx.step("open transactions", Duration::from_secs(60));
            Look::of(now, source.transactions()?, self.settle(), |why| {
                Error::Invalid(format!(
                    "{}: {why}, so rows that are committed late can be found only by waiting: settle=\"10s\" or the like has to say how late they may come",
                    self.course.table.from
                ))
            })?
        } else {
            Look::quiet(now)
        };
        // a refused look may have ended the snapshot
        source.rollback()?;
        Ok(news.then_some(Sight { highest, look }))
    }

    /// The highest key that is new and not above `ceiling`, or that more rows have than were copied.
    pub(super) fn highest(
        &self,
        source: &mut dyn Connection,
        cursor: &Cursor,
        ceiling: Option<&str>,
    ) -> Result<Option<String>, Error> {
        let row = self
            .along()
            .highest(begin(cursor), ceiling)
            .first_row(self.cx, source)?;
        let mut row = row.into_iter();
        let highest = row.next().flatten();
        let ties = row.next().flatten().and_then(|count| count.parse().ok());
        let known = cursor.edge.as_ref().map(|edge| edge.len());
        let nothing = highest == cursor.last && known.is_some() && ties <= known;
        Ok(highest.filter(|_| !nothing))
    }

    /// Why rows that are there are not copied yet, or gaps are waited for.
    fn held_back(&self, cursor: &Cursor, look: &Look) -> Option<String> {
        if let Some((open, _)) = cursor.held_back() {
            let (from, open) = (&self.course.table.from, Count(open, "open transaction"));
            return Some(format!("{from}: new rows wait for {open} and settle"));
        }
        let id = cursor.waits().next()?;
        let who = look.open.iter().find(|one| one.id == *id);
        let (gaps, who) = (
            cursor.holes.len() as u64,
            who.map_or(id.as_str(), |one| &one.about),
        );
        Some(format!(
            "{}: {} may still be filled by {who}",
            self.course.table.from,
            Count(gaps, "gap")
        ))
    }

    /// What a first run would find, for those who only look: where it begins, and how many rows have no place on the line.
    pub(super) fn outlook(&self, pair: &mut Pair) -> Result<(Cursor, Option<String>, u64), Error> {
        let there = pair
            .target
            .dictionary(&db::TableName::new(cursor::TABLE))?
            .is_some();
        let known = match there {
            true => cursor::look(&mut *pair.target, &self.owner())?,
            false => None,
        };
        let cursor = match known {
            Some(cursor) => cursor,
            None => self.seed(&mut *pair.source, &mut *pair.target)?,
        };
        let highest = self.highest(&mut *pair.source, &cursor, None)?;
        let outside = number(self.cx, &mut *pair.source, &self.along().outside())?;
        Ok((cursor, highest, outside))
    }
}

/// Whether it is time to tell again that rows are waited for.
pub(super) fn is_due(told: &mut Option<Instant>) -> bool {
    let due = told.is_none_or(|at| at.elapsed() >= PAUSE);
    if due {
        *told = Some(Instant::now());
    }
    due
}

/// Where a reading begins: at the cursor, and with its rows where they are known.
pub(super) fn begin(cursor: &Cursor) -> Begin<'_> {
    match (&cursor.last, &cursor.edge) {
        (None, _) => Begin::Lowest,
        (Some(last), None) => Begin::Above(last),
        (Some(last), Some(_)) => Begin::With(last),
    }
}
