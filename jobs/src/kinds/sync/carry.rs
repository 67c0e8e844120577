//! Rows of one statement of the source into one loader of the target, from the first to the last. A row that the target refuses ends it: a copy
//! that lacks a row is none.

use std::thread;

use db::{Connection, Load, Loader, Reject, TableInfo};

use super::facts::Course;
use super::flow::Stream;
use crate::context::Context;
use crate::error::Error;
use crate::job::Tally;
use crate::statement::{STATEMENT, Statement};

/// Carries all rows of a statement over, followed by the cells that are the same for all. Belongs into a transaction of the target.
pub(super) fn carry(
    cx: &Context,
    course: &Course<'_>,
    statement: Statement,
    source: &mut dyn Connection,
    target: &mut dyn Connection,
    (into, info): (&Load<'_>, &TableInfo),
) -> Result<Tally, Error> {
    let given = course.facts.mapping.given_texts(cx.now());
    let same: Vec<db::Cell<'_>> = given.iter().map(|text| Some(text.as_bytes())).collect();
    let mut tally = Tally::default();
    let mut loader = target.load_known(into, info)?;
    thread::scope(|scope| {
        let mut stream = Stream::start(scope, cx, source, statement)?;
        while let Some(lot) = stream.lot(cx)? {
            lot.each(&same, |row| Ok(loader.push(row)?))?;
            refuse(course, into, loader.rejects())?;
            let rows = lot.len() as u64;
            cx.progress(rows, lot.size());
            tally += Tally {
                read: rows,
                bytes: lot.size(),
                ..Tally::default()
            };
            stream.give_back(lot);
        }
        Ok::<(), Error>(())
    })?;
    finish(cx, course, into, loader)?;
    Ok(tally)
}

/// Ends a load whose every row has to be taken.
pub(super) fn finish(
    cx: &Context,
    course: &Course<'_>,
    into: &Load<'_>,
    loader: Box<dyn Loader + '_>,
) -> Result<(), Error> {
    let _step = cx.step("loading", STATEMENT);
    let loaded = loader.finish()?;
    refuse(course, into, loaded.rejects)
}

/// What the target says against a row, with the row's key.
pub(super) fn refuse(
    course: &Course<'_>,
    into: &Load<'_>,
    rejects: Vec<Reject>,
) -> Result<(), Error> {
    let Some(reject) = rejects.into_iter().next() else {
        return Ok(());
    };
    let names = course.facts.mapping.key_names();
    let value = |name: &String| {
        let at = into.columns.iter().position(|column| column == name)?;
        let text = reject
            .cells
            .get(at)?
            .as_deref()
            .map(String::from_utf8_lossy);
        Some(format!("{name}={}", text.as_deref().unwrap_or("NULL")))
    };
    let key: Vec<String> = names.iter().filter_map(value).collect();
    let which = match key.is_empty() {
        true => format!("row {}", reject.ordinal + 1),
        false => format!("the row with {}", key.join(", ")),
    };
    Err(Error::Data(format!(
        "{} refuses {which}: {}; nothing of this was kept",
        course.facts.to,
        Error::Database(reject.error).chain()
    )))
}
