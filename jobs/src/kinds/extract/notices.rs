//! What users should hear of, once or now and then: rows without a cursor, numbers that stand twice or begin anew, times that
//! have not come yet, gaps that wait for long.

use std::time::{Duration, Instant};

use chrono::DateTime;
use db::Connection;

use super::facts::Facts;
use super::memory;
use super::query::Along;
use crate::context::Context;
use crate::error::Error;
use crate::job::Count;
use crate::latecomers::{Cursor, Look};
use crate::statement::Statement;

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
    ahead: Option<Instant>,
    held_back: Option<Instant>,
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

/// The sentences that tell how many rows the job will never read, since their cursor is NULL, infinite or no number.
pub(super) fn outside(
    cx: &Context,
    db: &mut dyn Connection,
    along: Along<'_>,
    facts: &Facts,
) -> Result<Vec<String>, Error> {
    let mut count = |statement: Statement| -> Result<u64, Error> {
        let row = statement.first_row(cx, db)?;
        let count = row.into_iter().next().flatten();
        Ok(count.and_then(|count| count.parse().ok()).unwrap_or(0))
    };
    let (column, mut lines) = (along.column, Vec::new());
    if !is_filled(facts, column) {
        let nulls = count(along.nulls()?)?;
        if nulls > 0 {
            let rows = Count(nulls, "row");
            lines.push(format!("{rows} without a value of {column}: not read"));
        }
    }
    if let Some(statement) = along.endless()? {
        let endless = count(statement)?;
        if endless > 0 {
            lines.push(format!(
                "{} whose {column} is infinite or no number: not read",
                Count(endless, "row")
            ));
        }
    }
    Ok(lines)
}

/// Whether the column is never NULL.
fn is_filled(facts: &Facts, column: &str) -> bool {
    facts.filled.iter().any(|name| name == column)
}

/// Why rows with times that have not come yet are a matter to be told. `ceiling`: where reading ends until then.
fn ahead_line(column: &str, highest: &str, ceiling: Option<&str>) -> String {
    match ceiling {
        Some(ceiling) => format!(
            "the highest {column} is {highest}, ahead of the clock: rows above {ceiling} wait until their time has come"
        ),
        None => format!(
            "the highest {column} is {highest}, ahead of the clock: rows that come later with lower values will not be read"
        ),
    }
}

/// Why rows that are there are not read yet. `seen` in milliseconds since 1970.
fn held_back_line(open: u64, seen: i64) -> String {
    let since = DateTime::from_timestamp_millis(seen).unwrap_or_default();
    let since = since.format("%Y-%m-%dT%H:%M:%SZ");
    if open == 0 {
        return format!("new rows wait for settle, since {since}");
    }
    format!(
        "new rows wait for {}, since {since}",
        Count(open, "open transaction")
    )
}

/// What the next pass will look for again.
fn gaps_line(gaps: u64) -> String {
    format!(
        "waiting; {} may still be filled by open transactions",
        Count(gaps, "gap")
    )
}

impl Notices {
    /// Tells once a day how many rows are never read: counting may take a look at all of them.
    pub(super) fn outside(
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
        if is_filled(facts, along.column) && !along.may_be_endless() {
            return Ok(());
        }
        cx.state()?.set(memory::COUNTED, &now)?;
        for line in outside(cx, db, along, facts)? {
            log::warn!("{line}");
        }
        Ok(())
    }

    /// Tells, once a minute at most, that the highest value is a time that has not come yet.
    pub(super) fn ahead(&mut self, column: &str, highest: &str, ceiling: Option<&str>) {
        if is_due(&mut self.ahead) {
            log::warn!("{}", ahead_line(column, highest, ceiling));
        }
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
        let statement = along.fallen(last)?;
        if let [Some(highest), Some(below)] = &statement.first_row(cx, db)?[..]
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

    /// Tells, at first at once and then once a minute, that new rows are there but not read yet; status shows it meanwhile, and how
    /// many gaps are kept open.
    pub(super) fn held_back(&mut self, cx: &Context, cursor: &Cursor, column: &str) {
        let gaps = cursor.holes.len() as u64;
        let Some((open, seen)) = cursor.held_back() else {
            if self.held_back.take().is_some() {
                cx.phase("");
            }
            cx.wait_for(&if gaps > 0 {
                gaps_line(gaps)
            } else {
                String::new()
            });
            return;
        };
        let line = held_back_line(open, seen);
        cx.phase(&line);
        cx.wait_for(&line);
        if is_due(&mut self.held_back) {
            log::warn!("{column}: {line}");
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

#[cfg(test)]
mod tests {
    use super::{gaps_line, held_back_line};

    #[test]
    fn what_holds_rows_back_is_named() {
        assert_eq!(
            held_back_line(1, 1_000),
            "new rows wait for 1 open transaction, since 1970-01-01T00:00:01Z"
        );
        assert_eq!(
            held_back_line(0, 1_000),
            "new rows wait for settle, since 1970-01-01T00:00:01Z"
        );
        assert_eq!(
            gaps_line(2),
            "waiting; 2 gaps may still be filled by open transactions"
        );
    }
}
