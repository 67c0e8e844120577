//! What operators see and order by `jobs state JOB …` of the cursors of `increment`, which are in the target: how far they have come (`upto`),
//! where to go on (`last`, by `set`), and that all of them begin anew (`anew`, by `reset`). With several such tables `upto t` and `last t`, where
//! `t` is what `from` says. An order is carried out in the target first and forgotten then: repeated after a kill it does the same.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::cursor::{self, Owner};
use super::params::{Mode, Params, Table};
use super::pass::Kept;
use crate::context::Context;
use crate::error::Error;
use crate::latecomers::Cursor;
use crate::state::{AFTER_RESET, Changes};

const UPTO: &str = "upto";
const LAST: &str = "last";
const ANEW: &str = "anew";

/// A job that stays up notes no more often how far it is.
const NOTES: Duration = Duration::from_secs(10);

/// What is known of orders and notes between the passes of a job.
#[derive(Debug, Default)]
pub(super) struct Orders {
    obeyed: bool,
    noted: Option<Instant>,
}

/// The tables that have a cursor, with their places in the job file.
fn tables(params: &Params) -> Vec<(usize, &Table)> {
    let all = params.tables.iter().enumerate();
    all.filter(|(_, table)| table.mode == Mode::Increment)
        .collect()
}

/// The name of a value that belongs to a table.
fn name(word: &str, table: &Table, of: usize) -> String {
    match of {
        1 => word.to_owned(),
        _ => format!("{word} {}", table.from),
    }
}

impl Orders {
    /// Puts the cursors where an operator wants them; once, as nobody orders anything while the job runs.
    pub(super) fn obey(&mut self, cx: &mut Context, params: &Params) -> Result<(), Error> {
        let tables = tables(params);
        if self.obeyed || tables.is_empty() {
            return Ok(());
        }
        remember_reset(cx)?;
        let anew = cx.state()?.get::<bool>(ANEW)?.unwrap_or(false);
        let mut wanted = Vec::new();
        let mut done = Changes::new().delete(ANEW);
        for (_, table) in &tables {
            let name = name(LAST, table, tables.len());
            if let Some(value) = cx.state()?.get::<Value>(&name)? {
                wanted.push((*table, text(&name, value)?));
                done = done.delete(&name);
            }
        }
        if anew || !wanted.is_empty() {
            carry_out(cx, params, &tables, anew, &wanted)?;
            cx.state()?.commit(done)?;
        }
        self.obeyed = true;
        Ok(())
    }

    /// Notes how far the tables have come, for `jobs state JOB show`.
    pub(super) fn note(
        &mut self,
        cx: &mut Context,
        params: &Params,
        kept: &Kept,
    ) -> Result<(), Error> {
        let tables = tables(params);
        if tables.is_empty() || self.noted.is_some_and(|at| at.elapsed() < NOTES) {
            return Ok(());
        }
        let mut changes = None;
        for (at, table) in &tables {
            let Some(upto) = kept.upto(*at) else {
                continue;
            };
            let name = name(UPTO, table, tables.len());
            if cx.state()?.get::<String>(&name)?.as_ref() != Some(&upto) {
                let before: Changes = changes.take().unwrap_or_default();
                changes = Some(before.set(&name, &upto)?);
            }
        }
        if let Some(changes) = changes {
            cx.state()?.commit(changes)?;
        }
        self.noted = Some(Instant::now());
        Ok(())
    }
}

/// Changes the cursors in the target, all together.
fn carry_out(
    cx: &Context,
    params: &Params,
    tables: &[(usize, &Table)],
    anew: bool,
    wanted: &[(&Table, String)],
) -> Result<(), Error> {
    let mut target = cx.connect(&params.target.url)?;
    cursor::prepare(&mut *target)?;
    target.begin()?;
    let owner = |table: &Table| Owner::new(cx.job(), &table.from, table.to());
    if anew {
        for (_, table) in tables {
            cursor::forget(&mut *target, &owner(table))?;
        }
        log::info!(
            "the cursors are forgotten, as ordered: each table goes on after the target's highest key"
        );
    }
    for (table, last) in wanted {
        let place = Cursor::at(Some(last));
        cursor::save(&mut *target, &owner(table), &place, cx.now())?;
        log::info!(
            "{} -> {}: going on after {last}, as ordered",
            table.from,
            table.to()
        );
    }
    Ok(target.commit()?)
}

/// A value as a cursor has it.
fn text(name: &str, value: Value) -> Result<String, Error> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(Error::Invalid(format!(
            "the state {name} is {other}: it has to be a value of the key, such as 4711"
        ))),
    }
}

/// Sees to it that a reset of the job's state reaches the cursors in the target.
fn remember_reset(cx: &mut Context) -> Result<(), Error> {
    let orders = BTreeMap::from([(ANEW.to_owned(), true)]);
    let known = cx.state()?.get::<BTreeMap<String, bool>>(AFTER_RESET)?;
    if known.as_ref() == Some(&orders) {
        return Ok(());
    }
    cx.state()?.set(AFTER_RESET, &orders)
}
