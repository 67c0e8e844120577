//! What `check` and `--dry-run` tell: keys, mappings and mismatches, statements and counts. Changes nothing.

use chrono::NaiveDate;
use db::{Connection, TableName};

use super::batch::Batch;
use super::export::Export;
use super::facts::{Facts, Statement};
use super::gauge::Gauge;
use super::key::KeyText;
use super::params::{Action, Params, Table};
use super::period::date_of;
use super::target::{Target, first, like};
use crate::context::Context;
use crate::error::Error;
use crate::job::{Count, Report};
use crate::likeness::{Pair, Side, mismatches};
use crate::link::Link;
use crate::statement::STATEMENT;

/// What is there, and what is wrong with it.
pub(super) fn check(cx: &Context, params: &Params, report: &mut Report) -> Result<(), Error> {
    let mut db = cx.connect_source(&params.database.url)?;
    for (at, table) in params.tables.iter().enumerate() {
        let facts = match Facts::learn(&mut *db, table, at)? {
            Ok(facts) => facts,
            Err(wrong) => {
                report.problem(wrong.at, wrong.message);
                continue;
            }
        };
        report.note(format!(
            "{}: key {}, {} a statement",
            facts.name,
            facts.key.names().join(","),
            Count(facts.batch as u64, "row")
        ));
        let (count, _) = facts.counts();
        if let Err(error) = db.describe(&count, 0) {
            report.problem(place(at, "where"), Error::from(error).chain());
            continue;
        }
        if table.action == Action::Move {
            let url = params.other(table);
            check_target(cx, &mut db, (at, table), url, &facts, report)?;
        }
    }
    if let Some(throttle) = &params.throttle {
        match Gauge::open(cx, &params.database.url, throttle).and_then(|mut gauge| gauge.measure())
        {
            Ok(None) => {}
            Ok(Some(strain)) => report.note(format!("a run would wait now: {strain}")),
            Err(error) => report.problem("throttle", error.chain()),
        }
    }
    Ok(())
}

fn place(at: usize, attribute: &str) -> String {
    format!("table[{}].{attribute}", at + 1)
}

/// The target that a row would go to: of the first row that is to leave, where dates choose it.
fn example(db: &mut dyn Connection, table: &Table, facts: &Facts) -> Result<Option<String>, Error> {
    let Some(pattern) = super::pattern(table)? else {
        return Ok(None);
    };
    let Some(by) = facts.by.as_ref().filter(|_| pattern.is_dated()) else {
        return Ok(Some(pattern.name(NaiveDate::default())));
    };
    let scan = facts.scan(std::slice::from_ref(&by.name), None, 1);
    let row = first(db, &scan)?;
    let text = row.and_then(|row| row.into_iter().next().flatten());
    let date = text.and_then(|text| date_of(&String::from_utf8_lossy(&text)));
    Ok(date.map(|date| pattern.name(date)))
}

fn check_target(
    cx: &Context,
    db: &mut Link,
    (at, table): (usize, &Table),
    url: Option<&str>,
    facts: &Facts,
    report: &mut Report,
) -> Result<(), Error> {
    let Some(to) = example(&mut **db, table, facts)? else {
        report.note(format!(
            "{}: no row is to leave now, so no table was looked at",
            facts.name
        ));
        return Ok(());
    };
    let name = TableName::parse(&to);
    let mut other = match url.map(|url| cx.connect_source(url)).transpose() {
        Ok(other) => other,
        Err(Error::Database(error)) if error.kind() == db::ErrorKind::Missing && table.create => {
            report.note(format!(
                "would make the database of {name}, and {name} in it"
            ));
            return Ok(());
        }
        Err(error) => {
            report.problem(place(at, "to-url"), error.chain());
            return Ok(());
        }
    };
    let same_server = other.is_none();
    let there = other.as_mut().unwrap_or(db);
    let dialect = there.dialect();
    let Some(info) = there.dictionary(&name)? else {
        if table.create || table.by.is_some() {
            for statement in like(facts, dialect, &name, same_server) {
                report.note(format!("would make {name}: {}", flat(&statement)));
            }
        } else {
            let wrong = format!(
                "there is no table {name}; create=\"true\" makes it like {}",
                facts.name
            );
            report.problem(place(at, "to"), wrong);
        }
        return Ok(());
    };
    let target = match Target::fit(facts, dialect, name, info) {
        Ok(target) => target,
        Err(why) => {
            report.problem(place(at, "to"), why);
            return Ok(());
        }
    };
    if let Some(why) = target.unkeyed() {
        if same_server {
            report.note(format!(
                "{why}; within one database there is no such repeat"
            ));
        } else {
            report.problem(place(at, "to"), why);
        }
    }
    map(facts, &target, at, report);
    Ok(())
}

/// The columns of both tables, and what does not fit.
fn map(facts: &Facts, target: &Target, at: usize, report: &mut Report) {
    let pairs: Vec<Pair<'_>> = target
        .from
        .iter()
        .zip(&target.into)
        .map(|(from, to)| Pair {
            from: Some(from),
            to,
        })
        .collect();
    let declared = |info: &db::TableInfo, name: &str| {
        info.column(name)
            .map(|column| column.declared.clone())
            .unwrap_or_default()
    };
    for (from, to) in target.from.iter().zip(&target.into) {
        report.note(format!(
            "{}.{from} {} -> {}.{to} {}",
            facts.name,
            declared(&facts.info, from),
            target.name,
            declared(&target.info, to)
        ));
    }
    let side = |dialect, info| Side { dialect, info };
    let (source, there) = (
        side(facts.dialect, &facts.info),
        side(target.dialect, &target.info),
    );
    for wrong in mismatches(&source, &there, &pairs) {
        report.problem(place(at, "to"), wrong);
    }
}

/// What a run would do now.
pub(super) fn dry_run(cx: &Context, params: &Params, report: &mut Report) -> Result<(), Error> {
    let mut db = cx.connect_source(&params.database.url)?;
    for (at, table) in params.tables.iter().enumerate() {
        let facts = Facts::expect(&mut *db, table, at)?;
        counts(cx, &mut *db, &facts, report)?;
        let key: Vec<KeyText> = vec![facts.key.names()];
        let batch = Batch {
            keys: key,
            ..Batch::default()
        };
        let scan = facts.scan(&facts.key.names(), None, facts.batch as u64);
        report.note(format!("would run: {}", flat(&scan.sql)));
        match table.action {
            Action::Delete => show(&facts.delete(facts.still(&batch)), report),
            Action::Export => {
                let export = Export::new(cx, &facts, table);
                let file = export.folder().join(export.name("TIME"));
                report.note(format!(
                    "would write: {} and so on, TIME being that at which a file was begun",
                    file.display()
                ));
                show(
                    &facts.locked(&facts.columns(), facts.among(&batch.keys)),
                    report,
                );
                show(&facts.delete(facts.among(&batch.keys)), report);
            }
            Action::Move => {
                let to = example(&mut *db, table, &facts)?;
                let to = TableName::parse(&to.or_else(|| table.to.clone()).unwrap_or_default());
                let columns = facts.columns();
                if params.other(table).is_some() {
                    show(&facts.locked(&columns, facts.still(&batch)), report);
                    report.note(format!(
                        "would load these rows into {to} of the other database"
                    ));
                } else {
                    let to = facts.dialect.qualify(&to);
                    show(
                        &facts.copy(&to, &columns, &columns, facts.still(&batch)),
                        report,
                    );
                }
                show(&facts.delete(facts.among(&batch.keys)), report);
            }
        }
    }
    Ok(())
}

/// A statement with a key of names instead of values: so it is told that placeholders stand for keys.
fn show(statement: &Statement<'_>, report: &mut Report) {
    report.note(format!(
        "would run, with the keys of a batch: {}",
        flat(&statement.sql)
    ));
}

fn counts(
    cx: &Context,
    db: &mut dyn Connection,
    facts: &Facts,
    report: &mut Report,
) -> Result<(), Error> {
    let _step = cx.step("count rows", STATEMENT);
    let (all, keyless) = facts.counts();
    let mut count = |sql: &str| -> Result<u64, Error> {
        let mut rows = db.query(sql, &[])?;
        let row = rows.fetch()?;
        let text = row.and_then(|row| row.cell(0)).map(String::from_utf8_lossy);
        Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
    };
    report.note(format!(
        "{}: {} would leave",
        facts.name,
        Count(count(&all)?, "row")
    ));
    if let Some(keyless) = keyless {
        let without = count(&keyless)?;
        if without > 0 {
            report.note(format!(
                "{}: {} of them without a key stay",
                facts.name,
                Count(without, "row")
            ));
        }
    }
    Ok(())
}

/// A statement in one line.
fn flat(sql: &str) -> String {
    let words: Vec<&str> = sql.split_whitespace().collect();
    words.join(" ")
}
