//! What `check` and `--dry-run` tell: which column goes where, by which SQL, and how much there is. Changes nothing.

use db::Transactions;

use super::batch;
use super::capture;
use super::facts::{Course, Facts, number};
use super::increment::Increment;
use super::look;
use super::mapping::{Mapping, Origin};
use super::params::{Mode, Params, Table};
use super::pass::Pair;
use super::refresh;
use crate::context::Context;
use crate::error::Error;
use crate::job::{Count, Report};

/// What is there, and what is wrong with it.
pub(super) fn check(
    cx: &Context,
    params: &Params,
    pair: &mut Pair,
    report: &mut Report,
) -> Result<(), Error> {
    for (at, table) in params.tables.iter().enumerate() {
        if look::unmade(table, pair, report)? {
            continue;
        }
        let Some(facts) = learn(at, table, pair, report)? else {
            continue;
        };
        look::tell(table, &facts, pair, report);
        describe(table, &facts, report);
        ask_servers(at, table, &facts, pair, report);
        let course = Course {
            table,
            facts: &facts,
        };
        if table.mode == Mode::Capture {
            capture::check(cx, &course, at, pair, report)?;
        }
        if table.mode == Mode::Increment {
            check_late(&course, at, pair, report)?;
            let increment = Increment::new(cx, &course)?;
            if let Some(why) = increment.misfit(&mut *pair.source)? {
                report.problem(format!("table[{}].start", at + 1), why);
                continue;
            }
            let (_, _, outside) = increment.outlook(pair)?;
            if outside > 0 {
                report.note(format!(
                    "{} of {} without a key that is finite: never copied",
                    Count(outside, "row"),
                    table.from
                ));
            }
        }
    }
    Ok(())
}

/// What is known of a table; what the dictionaries have against it goes into the report.
fn learn(
    at: usize,
    table: &Table,
    pair: &mut Pair,
    report: &mut Report,
) -> Result<Option<Facts>, Error> {
    match Facts::learn(table, at, &mut *pair.source, &mut *pair.target, pair.linked) {
        Ok(facts) => Ok(Some(facts)),
        Err(Error::Invalid(message)) => {
            let (place, why) = message.split_once(": ").unwrap_or(("", &message));
            report.problem(place, why);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Has the servers look at the SQL that a run would use; nothing is executed.
fn ask_servers(at: usize, table: &Table, facts: &Facts, pair: &mut Pair, report: &mut Report) {
    let reading = facts.reading.all();
    let source = match facts.linked {
        true => &mut *pair.target,
        false => &mut *pair.source,
    };
    if let Err(error) = source.describe(&reading.sql, reading.cells().len()) {
        report.problem(
            format!("table[{}]", at + 1),
            format!("{}: {}", table.from, Error::from(error).chain()),
        );
    }
    for numbered in &facts.mapping.numbered {
        let Some(number) = pair.target.dialect().next_number(&numbered.sequence) else {
            continue;
        };
        if let Err(error) = pair.target.describe(&format!("SELECT {number}"), 0) {
            report.problem(
                format!("table[{}]", at + 1),
                format!("{}: {}", numbered.to.name, Error::from(error).chain()),
            );
        }
    }
}

/// The way of each column.
fn describe(table: &Table, facts: &Facts, report: &mut Report) {
    report.note(format!(
        "{} -> {}, mode {}",
        table.from,
        table.to(),
        word(table.mode)
    ));
    let mapping = &facts.mapping;
    for lane in &mapping.lanes {
        let (from, declared) = match &lane.from {
            Origin::Column(column) => (column.name.as_str(), column.declared.as_str()),
            Origin::Expression(sql) => (sql.as_str(), "expression"),
        };
        report.note(format!(
            "column {from} ({declared}) -> {} ({})",
            lane.to.name, lane.to.declared
        ));
    }
    for given in &mapping.given {
        let value = given.text.as_deref().unwrap_or("the time of the run");
        report.note(format!("column {} = {value}", given.to.name));
    }
    for numbered in &mapping.numbered {
        report.note(format!(
            "column {} = the next number of {}",
            numbered.to.name, numbered.sequence
        ));
    }
    report.note(keys(mapping));
    let filled = |name: &str| {
        mapping.carried().iter().any(|column| column.name == name)
            || mapping
                .numbered
                .iter()
                .any(|numbered| numbered.to.name == name)
    };
    let left = facts
        .target
        .columns
        .iter()
        .filter(|column| !column.generated && !filled(&column.name));
    for column in left {
        report.note(format!("column {} takes its default", column.name));
    }
}

fn keys(mapping: &Mapping) -> String {
    match (&mapping.cursor, mapping.key_names().as_slice()) {
        (Some(cursor), _) => format!("new rows are known by {}", cursor.name),
        (None, []) => "no key tells rows apart: all of them are written anew".to_owned(),
        (None, names) => format!("rows are told apart by {}", names.join(", ")),
    }
}

fn word(mode: Mode) -> &'static str {
    match mode {
        Mode::Refresh => "refresh",
        Mode::Batch => "batch",
        Mode::Increment => "increment",
        Mode::Capture => "capture",
    }
}

/// What is known of rows that are committed late.
fn check_late(
    course: &Course<'_>,
    at: usize,
    pair: &mut Pair,
    report: &mut Report,
) -> Result<(), Error> {
    let source = &mut pair.source;
    if !source.dialect().commits_late() {
        return Ok(());
    }
    source.begin_snapshot()?;
    let told = source.transactions()?;
    source.rollback()?;
    match told {
        Transactions::Listed(open) => report.note(format!(
            "late rows: the server tells its open transactions ({} now)",
            open.len()
        )),
        Transactions::Hidden(why) if !course.table.settle.0.is_zero() => {
            report.note(format!("late rows: {why}; only settle is waited for"));
        }
        Transactions::Hidden(why) => report.problem(
            format!("table[{}].settle", at + 1),
            format!("{why}, so rows that are committed late can be found only by waiting: say how late they may come, such as settle=\"10s\""),
        ),
    }
    Ok(())
}

/// What a run would do.
pub(super) fn dry_run(
    cx: &Context,
    params: &Params,
    pair: &mut Pair,
    report: &mut Report,
) -> Result<(), Error> {
    check(cx, params, pair, report)?;
    if !report.problems.is_empty() {
        return Ok(());
    }
    for (at, table) in params.tables.iter().enumerate() {
        if look::unmade(table, pair, &mut Report::default())? {
            continue;
        }
        let facts = Facts::learn(table, at, &mut *pair.source, &mut *pair.target, pair.linked)?;
        let course = Course {
            table,
            facts: &facts,
        };
        report.note(format!(
            "would read: {}",
            facts.reading.all().sql.replace('\n', " ")
        ));
        if table.mode == Mode::Increment {
            let (cursor, highest, _) = Increment::new(cx, &course)?.outlook(pair)?;
            let from = cursor.last.as_deref().unwrap_or("the first");
            report.note(match highest {
                Some(highest) => format!(
                    "would insert into {}: rows after {from} up to {highest}",
                    facts.to
                ),
                None => format!("nothing is new in {} after {from}", table.from),
            });
            continue;
        }
        let there = number(cx, &mut *pair.source, &facts.reading.count())?;
        let here = number(cx, &mut *pair.target, &facts.writing.count())?;
        report.note(format!(
            "{} of {} would stand against {} of {}",
            Count(there, "row"),
            table.from,
            Count(here, "row"),
            facts.to
        ));
        if facts
            .writing
            .any()
            .first_row(cx, &mut *pair.target)?
            .is_empty()
        {
            report.note(format!("{} is empty: all would be inserted", facts.to));
        } else if let Some((wanted, gone)) = compare(cx, &course, pair)? {
            report.note(format!(
                "would write {} that are new or differ, and delete {}",
                Count(wanted, "row"),
                Count(gone, "row")
            ));
            if let Err(error) = refresh::guard(&course, gone, here) {
                report.problem(format!("table[{}].max-delete", at + 1), error);
            }
        }
    }
    Ok(())
}

/// How many rows a pass would write, and how many delete; nothing where rows cannot be held against each other by a key.
fn compare(
    cx: &Context,
    course: &Course<'_>,
    pair: &mut Pair,
) -> Result<Option<(u64, u64)>, Error> {
    let keyed = !course.facts.mapping.key.is_empty();
    let compares = match course.table.mode {
        Mode::Batch => true,
        Mode::Refresh => keyed && !course.facts.linked && batch::is_comparable(course),
        Mode::Increment | Mode::Capture => false,
    };
    if !compares {
        return Ok(None);
    }
    batch::rehearse(cx, course, &mut *pair.source, &mut *pair.target).map(Some)
}
