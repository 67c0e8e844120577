//! What `check` and `--dry-run` tell: columns with what becomes of them, the SQL with its values, the files. Changes nothing.

use db::{Connection, Kind, Transactions};

use super::course::Course;
use super::facts::{self, Facts, not_one, unwalkable};
use super::increment::needs_settle;
use super::memory::{self, Plan};
use super::notices::outside;
use super::params::{Increment, Params};
use super::parts::Shelf;
use super::query::{self, Along};
use super::split::{self, Way};
use crate::context::Context;
use crate::data::{Form, Format};
use crate::error::Error;
use crate::job::{Count, Report};
use crate::statement::Statement;

/// What is there, and what is wrong with it.
pub(super) fn check(
    cx: &Context,
    params: &Params,
    facts: &Facts,
    db: &mut dyn Connection,
    report: &mut Report,
) -> Result<(), Error> {
    let names: Vec<&str> = facts
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    report.note(format!(
        "{}: {}",
        Count(names.len() as u64, "column"),
        names.join(", ")
    ));
    for line in query::unused(params) {
        report.tell(line);
    }
    if params.source.parts > 1 {
        check_parts(cx, params, facts, db, report);
    }
    let Some(increment) = &params.increment else {
        return Ok(());
    };
    let Ok(kind) = facts.kind(db, params, &increment.column) else {
        let wrong = format!("the query has no column {}", increment.column);
        report.problem("increment.column", wrong);
        return Ok(());
    };
    let along = Along {
        params,
        column: &increment.column,
        kind,
        dialect: db.dialect(),
    };
    if let Some(why) = unwalkable(cx, db, along)? {
        report.problem("increment.column", why);
        return Ok(());
    }
    if let Some(start) = &increment.start
        && let Some(what) = facts::misfit(cx, db, along, start)?
    {
        report.problem("increment.start", not_one(start, what, &increment.column));
    }
    for line in outside(cx, db, along, facts)? {
        report.note(line);
    }
    check_late(increment, kind, db, report)
}

/// What is known of rows that are committed late.
fn check_late(
    increment: &Increment,
    kind: Kind,
    db: &mut dyn Connection,
    report: &mut Report,
) -> Result<(), Error> {
    let settled = !increment.settle.0.is_zero();
    if db.dialect().commits_late() {
        db.begin_snapshot()?;
        let told = db.transactions()?;
        db.rollback()?;
        match told {
            Transactions::Listed(open) => report.note(format!(
                "late rows: the server tells its open transactions ({} now); what drew a number before them is covered by settle",
                open.len()
            )),
            Transactions::Hidden(why) if settled => {
                report.note(format!("late rows: {why}; only settle is waited for"));
            }
            Transactions::Hidden(why) => report.problem("increment.settle", needs_settle(&why)),
        }
    }
    if kind != Kind::Integer && !settled {
        report.note(format!(
            "{} is not a whole number: if clients set it, a row that comes later with a lower value is not seen unless settle says how late",
            increment.column
        ));
    }
    Ok(())
}

fn check_parts(
    cx: &Context,
    params: &Params,
    facts: &Facts,
    db: &mut dyn Connection,
    report: &mut Report,
) {
    match split::way(cx, params, facts, db) {
        Ok(Way::Divided(along)) => {
            report.note(format!(
                "{} parts, divided by {}; {}",
                params.source.parts,
                along.column,
                split::undivided()
            ));
            match db.lacks_for_sharing() {
                Ok(None) => {}
                Ok(Some(right)) => report.problem(
                    "source.parts",
                    format!(
                        "the account lacks {right}, which one moment for several connections takes"
                    ),
                ),
                Err(error) => report.problem("source.parts", Error::from(error).chain()),
            }
        }
        Ok(Way::Alone(why)) => report.note(format!("parts: read over one connection: {why}")),
        Err(error) => report.problem("source.key", error.chain().replace("source.key: ", "")),
    }
}

/// What a run would do.
pub(super) fn dry_run(
    cx: &mut Context,
    params: &Params,
    facts: &Facts,
    shelf: &Shelf,
    db: &mut dyn Connection,
    report: &mut Report,
) -> Result<(), Error> {
    for column in &facts.columns {
        report.note(format!(
            "column {}: {} -> {}",
            column.name,
            facts.type_of(column),
            written_as(column.kind.into(), shelf.format)
        ));
    }
    let (statement, range) = match &params.increment {
        None => (query::full(params, db.dialect())?, None),
        Some(increment) => match next_range(cx, params, increment, facts, shelf, db)? {
            Some((statement, range)) => (statement, Some(range)),
            None => {
                report.note(format!("nothing is new in {}", increment.column));
                return Ok(());
            }
        },
    };
    report.note(format!("would run: {}", statement.sql.replace('\n', " ")));
    for (number, value) in statement.values.iter().enumerate() {
        report.note(format!("with value {}: {value}", number + 1));
    }
    report.note(files(shelf, params, range.as_deref()));
    Ok(())
}

/// The statement that reads what is new, and the range that names its files.
fn next_range(
    cx: &mut Context,
    params: &Params,
    increment: &Increment,
    facts: &Facts,
    shelf: &Shelf,
    db: &mut dyn Connection,
) -> Result<Option<(Statement, String)>, Error> {
    let course = Course {
        params,
        increment,
        shelf,
        facts,
        kind: facts.kind(db, params, &increment.column)?,
    };
    let cursor = course.remembered(cx, db)?;
    let asked: Option<serde_json::Value> = cx.state()?.get(memory::LAST)?;
    let begun: Option<Plan> = match asked {
        Some(_) => None,
        None => cx.state()?.get(memory::PLAN)?,
    };
    let upto = match begun {
        Some(plan) => Some(plan.upto),
        None => course.highest(cx, db, &cursor, None)?,
    };
    let Some(upto) = upto else { return Ok(None) };
    let statement = course.range(&cursor, &upto, db.dialect())?;
    Ok(Some((statement, cursor.range(&upto))))
}

fn written_as(form: Form, format: Format) -> &'static str {
    match (form, format) {
        (Form::Text, _) => "text",
        (Form::Number, Format::Jsonl) => "number",
        (Form::Number, _) => "text of a number",
        (Form::Boolean, Format::Jsonl) => "true or false",
        (Form::Boolean, _) => "1 or 0",
        (Form::Binary, Format::Xml) => "base64",
        (Form::Binary, _) => "hex digits",
    }
}

fn files(shelf: &Shelf, params: &Params, range: Option<&str>) -> String {
    let folder = shelf.folder.display();
    let Some(range) = range else {
        let name = shelf.name("TIME", 1, 1, true);
        let name = name.replace("_1of1", "_1ofN");
        return format!("would write: {folder}/{name} and so on, TIME being that of the run");
    };
    let one = shelf.name(range, 1, 1, false);
    if params.output.rows == 0 {
        return format!("would write: {folder}/{one}");
    }
    let many = shelf.name(range, 1, 1, true).replace("_1of1", "_1ofN");
    format!(
        "would write: {folder}/{one}, or {many} and so on if there are more than {} rows",
        params.output.rows
    )
}
