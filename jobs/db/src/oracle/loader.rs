//! The bulk path: rows by array binds, many in one exchange. A batch that the server refuses is taken back to a savepoint and halved,
//! until each bad row stands alone with its own error.

use super::batch::{Batch, Bound};
use super::fault::Trouble;
use super::link::{Link, Open};
use super::plan::{Plan, Way};
use crate::gathering::{check_width, log_left_behind};
use crate::{Cell, Constraint, Error, ErrorKind, Load, Loaded, Loader, Reject, Result, TableInfo};
use oracledb::ToDbValue;
use std::borrow::Cow;
use std::ops::Range;

const ALL: &str = "procctl_load";
const BATCH: &str = "procctl_batch";

pub(super) struct OracleLoader<'c> {
    link: &'c mut Link,
    plan: Plan,
    batch: Batch,
    pushed: u64,
    rows: u64,
    skipped: u64,
    rejects: Vec<Reject>,
    /// The transaction is the loader's own, not its caller's.
    own: bool,
    over: bool,
}

impl<'c> OracleLoader<'c> {
    pub(super) fn start(
        link: &'c mut Link,
        into: &Load<'_>,
        info: &TableInfo,
        action: String,
    ) -> Result<Self> {
        let plan = Plan::new(into, info, link.charset, action)?;
        let own = link.open == Open::Nothing;
        if own {
            link.open = Open::Work;
        } else if let Err(trouble) = link.say(&format!("SAVEPOINT {ALL}")) {
            return Err(link.fault(&plan.action, trouble));
        }
        Ok(OracleLoader {
            link,
            plan,
            batch: Batch::default(),
            pushed: 0,
            rows: 0,
            skipped: 0,
            rejects: Vec::new(),
            own,
            over: false,
        })
    }

    fn fault(&self, trouble: Trouble) -> Error {
        self.link.fault(&self.plan.action, trouble)
    }

    fn flush(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        let done = self.settle(&batch);
        self.batch = batch;
        self.batch.clear();
        done.map_err(|trouble| self.fault(trouble))
    }

    /// Loads all rows of a batch that the server takes; what it refuses becomes rejects.
    fn settle(&mut self, batch: &Batch) -> Result<(), Trouble> {
        let mut stack: Vec<Range<usize>> = std::iter::once(0..batch.len()).collect();
        while let Some(rows) = stack.pop() {
            if rows.len() < 2 {
                rows.clone()
                    .try_for_each(|row| self.settle_row(batch, row))?;
                continue;
            }
            self.link.say(&format!("SAVEPOINT {BATCH}"))?;
            match self.send(batch, rows.clone()) {
                Ok(changed) => self.count(rows.len(), changed),
                Err(trouble) if trouble.is_of_a_row() => {
                    self.link.say(&format!("ROLLBACK TO SAVEPOINT {BATCH}"))?;
                    let middle = rows.start + rows.len() / 2;
                    stack.extend([middle..rows.end, rows.start..middle]);
                }
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(())
    }

    fn count(&mut self, rows: usize, changed: u64) {
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        if self.plan.way == Way::Skip {
            self.rows += changed.min(rows);
            self.skipped += rows.saturating_sub(changed);
        } else {
            self.rows += rows;
        }
    }

    /// Sends rows in one exchange; how many were changed.
    fn send(&self, batch: &Batch, rows: Range<usize>) -> Result<u64, Trouble> {
        let bound = batch.bound(rows, &self.plan.targets);
        self.exchange(&self.plan.bulk, &bound, self.plan.targets.len())
    }

    fn exchange(&self, sql: &str, bound: &[Bound<'_>], columns: usize) -> Result<u64, Trouble> {
        let values: Vec<&dyn ToDbValue> = bound.iter().map(Bound::value).collect();
        let rows: Vec<&[&dyn ToDbValue]> = values.chunks(columns.max(1)).collect();
        self.link
            .call(|driver| Ok(driver.execute_batch(sql, rows.as_slice())?.rows_affected()))
    }

    /// Loads one row, or rejects it.
    fn settle_row(&mut self, batch: &Batch, row: usize) -> Result<(), Trouble> {
        match self.load_row(batch, row) {
            Ok(changed) => self.count(1, changed),
            Err(trouble) if trouble.is_of_a_row() => {
                let told = match &trouble {
                    Trouble::Refused { words, .. } => words.clone(),
                    _ => String::new(),
                };
                let error = self.fault(trouble);
                let column = self.column(batch, row, error.kind(), &told)?;
                let error = match column {
                    Some(column) => error.at_column(column),
                    None => error,
                };
                self.rejects.push(batch.reject(row, error));
            }
            Err(trouble) => return Err(trouble),
        }
        Ok(())
    }

    /// A statement that fails undoes itself: no savepoint is needed.
    fn load_row(&self, batch: &Batch, row: usize) -> Result<u64, Trouble> {
        let bound = batch.bound(row..row + 1, &self.plan.targets);
        let long = self.plan.way != Way::Append && bound.iter().any(Bound::is_long);
        let done = match (&self.plan.way, long) {
            (Way::Upsert(key), true) => self.replace(&bound, key),
            (Way::Skip, true) => self.exchange(&self.plan.insert(), &bound, bound.len()),
            _ => self.exchange(&self.plan.bulk, &bound, bound.len()),
        };
        match done {
            // also by another key than the one that was asked about
            Err(trouble) if trouble.is_double() && self.plan.way == Way::Skip => Ok(0),
            done => done,
        }
    }

    /// Updates the row that has the key, else inserts.
    fn replace(&self, bound: &[Bound<'_>], key: &[usize]) -> Result<u64, Trouble> {
        if let Some((sql, places)) = self.plan.update(key) {
            let values: Vec<Bound<'_>> = places.iter().map(|place| bound[*place]).collect();
            if self.exchange(&sql, &values, values.len())? > 0 {
                return Ok(1);
            }
        }
        self.exchange(&self.plan.insert(), bound, bound.len())
    }

    /// The column that an error speaks of: from the row, the dictionary and the table, a type error's also from its text.
    fn column(
        &self,
        batch: &Batch,
        row: usize,
        kind: ErrorKind,
        told: &str,
    ) -> Result<Option<String>, Trouble> {
        let cells = batch.pushed(row);
        let empty = |cell: &Cell<'_>| cell.is_none_or(<[u8]>::is_empty);
        Ok(match kind {
            ErrorKind::Constraint(Constraint::NotNull) => {
                let mut both = self.plan.targets.iter().zip(&cells);
                both.find(|(target, cell)| target.required && empty(cell))
                    .map(|(target, _)| target.name.clone())
            }
            ErrorKind::Constraint(Constraint::Unique) => self.doubled_key(batch, row)?,
            ErrorKind::Type => {
                let targets = self.plan.targets.iter();
                let mut named = targets.filter(|target| {
                    let name = super::name::real(&target.name);
                    told.contains(&format!(".\"{name}\""))
                });
                let guess = || self.plan.suspicion.of(&cells).map(str::to_owned);
                named
                    .next_back()
                    .map(|target| target.name.clone())
                    .or_else(guess)
            }
            _ => None,
        })
    }

    /// The key that the table has already, found by asking for each.
    fn doubled_key(&self, batch: &Batch, row: usize) -> Result<Option<String>, Trouble> {
        let bound = batch.bound(row..row + 1, &self.plan.targets);
        for (name, places) in &self.plan.keys {
            if matches!(&self.plan.way, Way::Upsert(key) if key == places) {
                continue;
            }
            let values: Vec<Bound<'_>> = places.iter().map(|place| bound[*place]).collect();
            let values: Vec<&dyn ToDbValue> = values.iter().map(Bound::value).collect();
            let sql = self.plan.count(places);
            let found: Option<String> = self
                .link
                .call(|driver| driver.query_row(&sql, &values)?.get(0))?;
            if found.is_some_and(|count| count != "0") {
                return Ok(Some(name.clone()));
            }
        }
        Ok(None)
    }

    /// Ends the transaction, or the part of it that is the load.
    fn end(&mut self, keep: bool) -> Result<(), Trouble> {
        self.over = true;
        if self.own {
            self.link.open = Open::Nothing;
        }
        match (self.own, keep) {
            (true, true) => self.link.say("COMMIT").map(drop),
            (true, false) => self.link.say("ROLLBACK").map(drop),
            // a savepoint needs no end
            (false, true) => Ok(()),
            (false, false) => self
                .link
                .say(&format!("ROLLBACK TO SAVEPOINT {ALL}"))
                .map(drop),
        }
    }
}

impl Loader for OracleLoader<'_> {
    fn push(&mut self, row: &[Cell<'_>]) -> Result<()> {
        let columns = self.plan.targets.len();
        check_width(row, columns, &self.plan.action)?;
        let ordinal = self.pushed;
        self.pushed += 1;
        let mut read: Vec<Option<Cow<'_, [u8]>>> = Vec::with_capacity(columns);
        for (target, cell) in self.plan.targets.iter().zip(row) {
            // an empty text is NULL to Oracle
            match cell
                .filter(|text| !text.is_empty())
                .map(|text| target.readable(text))
            {
                None => read.push(None),
                Some(Ok(text)) => read.push(Some(text)),
                Some(Err(why)) => {
                    let error = Error::new(ErrorKind::Type, &self.plan.action)
                        .at_column(&target.name)
                        .because(why);
                    self.rejects.push(Reject::new(ordinal, row, error));
                    return Ok(());
                }
            }
        }
        let values = read.iter().flatten();
        let long = self.plan.way != Way::Append && values.clone().any(|value| value.len() > 2000);
        if long {
            // the rows before it first: of two rows with one key, the last one counts
            self.flush()?;
            self.batch.add(ordinal, row, &read);
            return self.flush();
        }
        self.batch.add(ordinal, row, &read);
        if self.batch.is_full() {
            return self.flush();
        }
        Ok(())
    }

    fn rejects(&mut self) -> Vec<Reject> {
        std::mem::take(&mut self.rejects)
    }

    fn finish(mut self: Box<Self>) -> Result<Loaded> {
        self.flush()?;
        if let Err(trouble) = self.end(true) {
            let error = self.fault(trouble);
            if self.own {
                let undone = self.link.say("ROLLBACK");
                log::debug!("{}: rolled back: {undone:?}", self.plan.action);
            }
            return Err(error);
        }
        self.rejects.sort_by_key(|reject| reject.ordinal);
        Ok(Loaded {
            rows: self.rows,
            skipped: self.skipped,
            rejects: std::mem::take(&mut self.rejects),
        })
    }
}

impl Drop for OracleLoader<'_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        if let Err(trouble) = self.end(false) {
            log_left_behind(&self.fault(trouble));
        }
    }
}
