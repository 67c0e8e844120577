//! `sync`: database -> database.
//!
//! **Guarantee.** Whatever is killed when, the servers too: `refresh` makes the target's rows those of one moment of the source, in one transaction;
//! whoever reads sees the old ones or the new ones, never none. `batch` makes
//! them so in transactions of `batch` rows, and is repeated from the beginning whenever it was cut short. `increment` copies every row whose key is new exactly once, also those that are committed late: its cursor is
//! a row of the table `procctl_cursor` of the target, committed together with the rows. A run that would delete more than `max-delete` of the target changes nothing and
//! fails, so that a source that was emptied never empties the target. `capture` follows a log of changes that triggers fill: see its own head. A row that the target refuses ends the run, and nothing of the transaction is kept.
//! **Where it ends.** `increment` sees neither changes nor deletes; rows below the target's highest key at its first run count as copied; for rows that come late it knows
//! what `extract` knows of them: numbers drawn before their transaction had touched a table, or in blocks, and times that clients set need `settle`. `refresh` cannot swap the
//! values of a second unique key between rows: such a run fails. Tables are copied one by one, each at a moment of its own; foreign keys between them have to bear that.

mod batch;
pub(crate) mod capture;
mod carry;
mod chunks;
mod compare;
mod copying;
mod cursor;
mod facts;
mod flow;
mod increment;
mod link;
mod look;
mod make;
mod mapping;
mod merge;
mod orders;
mod params;
mod pass;
mod query;
mod refresh;
mod rehearse;
mod stage;
mod taking;
mod verify;

use crate::context::Context;
use crate::error::Error;
use crate::job::{Invalid, Job, Report, Tally};
use orders::Orders;
use params::{Column, Mode, Params, Table};
use pass::{Kept, Pass};

/// More workers than that help nobody.
const MOST_WORKERS: u32 = 64;

/// The job.
pub(super) struct Sync {
    params: Params,
    kept: Kept,
    orders: Orders,
}

impl Job for Sync {
    const KIND: &'static str = "sync";
    const ABOUT: &'static str =
        "copies rows from database to database, in full, what is new, or what changes";
    const SAMPLE: &'static str = include_str!("../../../../etc/jobs/sync.xml");
    type Params = Params;

    fn new(params: Params) -> Result<Self, Invalid> {
        if params.tables.is_empty() {
            return Err(Invalid::new("", "sync needs at least one <table>"));
        }
        let captured = params
            .tables
            .iter()
            .position(|table| table.mode == Mode::Capture);
        if let (None, Some(at)) = (&params.source, captured) {
            let why = "capture needs a <source>, whose tables get triggers";
            return Err(Invalid::new(format!("table[{}].mode", at + 1), why));
        }
        if !(1..=MOST_WORKERS).contains(&params.workers) {
            let message = format!("there can be 1 to {MOST_WORKERS} workers");
            return Err(Invalid::new("workers", message));
        }
        for (at, table) in params.tables.iter().enumerate() {
            acceptable(at, table)?;
        }
        let kept = Kept::new(params.tables.len());
        let orders = Orders::default();
        Ok(Sync {
            params,
            kept,
            orders,
        })
    }

    fn run(&mut self, cx: &mut Context) -> Result<Tally, Error> {
        self.orders.obey(cx, &self.params)?;
        let tally = Pass::new(&self.params, &self.kept).run(cx)?;
        self.orders.note(cx, &self.params, &self.kept)?;
        Ok(tally)
    }

    fn check(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error> {
        let mut pair = pass::connect(cx, &self.params)?;
        rehearse::check(cx, &self.params, &mut pair, report)
    }

    fn dry_run(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error> {
        let mut pair = pass::connect(cx, &self.params)?;
        rehearse::dry_run(cx, &self.params, &mut pair, report)
    }
}

/// What is wrong with a `<table>` by itself.
fn acceptable(at: usize, table: &Table) -> Result<(), Invalid> {
    if table.key.as_ref().is_some_and(|key| key.0.is_empty()) {
        let why = "it names no column; left out, it is the target's primary key";
        return Err(Invalid::new(format!("table[{}].key", at + 1), why));
    }
    let place = |rest: &str| format!("table[{}].{rest}", at + 1);
    if table.batch == 0 {
        return Err(Invalid::new(
            place("batch"),
            "at least one row a transaction",
        ));
    }
    let conditions = [
        ("where", &table.condition),
        ("target-where", &table.target_where),
    ];
    for (name, condition) in conditions {
        if condition.as_ref().is_some_and(|sql| sql.trim().is_empty()) {
            return Err(Invalid::new(
                place(name),
                "an empty condition; for all rows leave it out",
            ));
        }
    }
    if table.mode != Mode::Increment && (table.start.is_some() || !table.settle.0.is_zero()) {
        let name = if table.start.is_some() {
            "start"
        } else {
            "settle"
        };
        return Err(Invalid::new(
            place(name),
            "only mode increment has use for it",
        ));
    }
    for (number, column) in table.columns.iter().enumerate() {
        let path = place(&format!("column[{}]", number + 1));
        let message = match column {
            Column {
                from: Some(_),
                value: Some(_),
                ..
            } => "either from or value, not both",
            Column {
                from: None,
                value: None,
                ..
            } => "from or value has to say where it comes from",
            Column {
                value: Some(_),
                to: None,
                ..
            } => "to has to say which column gets the value",
            _ => continue,
        };
        return Err(Invalid::new(path, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
