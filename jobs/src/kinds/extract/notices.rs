//! What users should hear of, once or now and then: rows without a cursor, numbers that stand twice or begin anew, gaps that wait for long.

use std::time::{Duration, Instant};

use db::Connection;

use super::facts::{Facts, first_row, invalid};
use super::guard::Look;
use super::memory;
use super::query::Along;
use super::range::Cursor;
use crate::context::Context;
use crate::error::Error;
use crate::job::Count;

/// How long between two notices of the same thing, and how long a wait goes without one.
const PAUSE: Duration = Duration::from_secs(60);

/// Seconds.
const DAY: u64 = 86_400;

/// What has been told, in one process.
#[derive(Debug, Default)]
pub(super) struct Notices {
    /// When rows without a cursor were counted, in seconds since 1970.
    counted: Option<i64>,
    doubled: bool,
    falling: Option<Instant>,
    /// Since when the same transaction is waited for, and its name.
    waiting: Option<(Instant, String)>,
}

fn is_due(told: &mut Option<Instant>) -> bool {
    let due = told.is_none_or(|at| at.elapsed() >= PAUSE);
    if due {
        *told = Some(Instant::now());
    }
    due
}

/// How many rows the job will never read, since their cursor is NULL.
pub(super) fn count_nulls(
    cx: &Context,
    db: &mut dyn Connection,
    along: Along<'_>,
    facts: &Facts,
) -> Result<u64, Error> {
    if facts.filled.iter().any(|name| name == along.column) {
        return Ok(0);
    }
    let statement = along.nulls().map_err(invalid)?;
    let row = first_row(cx, db, &statement)?;
    let count = row.into_iter().next().flatten();
    Ok(count.and_then(|count| count.parse().ok()).unwrap_or(0))
}

/// The sentence that tells of them.
pub(super) fn nulls_line(count: u64, column: &str) -> String {
    format!(
        "{} without a value of {column}: not read",
        Count(count, "row")
    )
}

impl Notices {
    /// Tells once a day how many rows are never read: counting may take a look at all of them.
    pub(super) fn nulls(
        &mut self,
        cx: &mut Context,
        db: &mut dyn Connection,
        along: Along<'_>,
        facts: &Facts,
    ) -> Result<(), Error> {
        let now = cx.now().timestamp();
        if self.counted.is_none() {
            self.counted = cx.state()?.get(memory::COUNTED)?;
        }
        if self.counted.is_some_and(|then| now.abs_diff(then) < DAY) {
            return Ok(());
        }
        self.counted = Some(now);
        if facts.filled.iter().any(|name| name == along.column) {
            return Ok(());
        }
        cx.state()?.set(memory::COUNTED, &now)?;
        let count = count_nulls(cx, db, along, facts)?;
        if count > 0 {
            log::warn!("{}", nulls_line(count, along.column));
        }
        Ok(())
    }

    /// When nothing is new: looks now and then whether the numbers have begun anew.
    pub(super) fn falling(
        &mut self,
        cx: &Context,
        db: &mut dyn Connection,
        along: Along<'_>,
        last: Option<&str>,
    ) -> Result<(), Error> {
        let Some(last) = last.filter(|_| is_due(&mut self.falling)) else {
            return Ok(());
        };
        let statement = along.fallen(last).map_err(invalid)?;
        if let [Some(highest), Some(below)] = &first_row(cx, db, &statement)?[..]
            && below == "1"
        {
            log::warn!(
                "the highest {0} is {highest}, but rows were read up to {last}: rows below that are not read; \
                 `jobs state {1} reset` begins anew",
                along.column,
                cx.job()
            );
        }
        Ok(())
    }

    /// Tells once that the cursor is not unique.
    pub(super) fn doubled(&mut self, doubled: bool, column: &str) {
        if doubled && !std::mem::replace(&mut self.doubled, true) {
            log::warn!(
                "{column} is not unique: a row that comes later with a number that was read is not seen"
            );
        }
    }

    /// Tells once a minute who keeps gaps open.
    pub(super) fn waiting(&mut self, cursor: &Cursor, look: &Look, column: &str) {
        let Some(id) = cursor.waits().next() else {
            self.waiting = None;
            return;
        };
        match &mut self.waiting {
            Some((since, known)) if known == id => {
                if since.elapsed() < PAUSE {
                    return;
                }
                *since = Instant::now();
                let who = look.open.iter().find(|one| one.id == *id);
                log::warn!(
                    "{}: late rows are waited for: {} ({})",
                    column,
                    who.map_or(id.as_str(), |one| one.about.as_str()),
                    Count(cursor.holes.len() as u64, "gap")
                );
            }
            other => *other = Some((Instant::now(), id.clone())),
        }
    }
}
