//! Makes a table to fit the files that shall go into it, where the job says so. Reads the files whole; decides about types in `guess`.

use db::{Connection, Dialect, Kind, TableInfo, TableName};

use super::fault::Fault;
use super::guess::Guess;
use super::params::Table;
use super::source::{STRIDE, Source, broken, open};
use crate::context::Context;
use crate::data::{Record, Step};

/// Bytes that a row of MySQL may have in columns of bounded text; beyond it text lies apart from its row.
const ROW: u64 = 60_000;

/// Makes the table, and gives its description.
pub(super) fn make(
    cx: &Context,
    db: &mut dyn Connection,
    table: &Table,
    name: &TableName,
    sources: &[Source],
) -> Result<TableInfo, Fault> {
    let info = infer(cx, db.dialect(), table, sources)?;
    let sql = db.dialect().create_table(name, &info);
    let made = db.execute(&sql, &[]);
    let known = match made {
        Ok(_) => db.dictionary(name)?,
        // another worker may have made it in the meantime; in a transaction that is for the next try to see
        Err(error) if db.in_transaction() => return Err(error.into()),
        Err(error) => Some(db.dictionary(name)?.ok_or(error)?),
    };
    let known = known.unwrap_or_default();
    let lost = info
        .columns
        .iter()
        .find(|column| known.column(&column.name).is_none());
    match lost {
        Some(column) => Err(Fault::Refused(format!(
            "the database keeps no column of the name {}",
            column.name
        ))),
        None => Ok(known),
    }
}

/// Columns with types that hold every cell of all the files.
pub(super) fn infer(
    cx: &Context,
    dialect: &dyn Dialect,
    table: &Table,
    sources: &[Source],
) -> Result<TableInfo, Fault> {
    let mut names: Vec<String> = Vec::new();
    let mut guesses: Vec<Guess> = Vec::new();
    for source in sources {
        learn(cx, source, &mut names, &mut guesses)?;
    }
    if names.is_empty() {
        return Err(Fault::Refused(
            "no table can be made from a file without a column".to_owned(),
        ));
    }
    let key = spelled(&table.key(), &names)?;
    let columns = names.iter().zip(&guesses);
    let mut info = TableInfo {
        columns: columns
            .map(|(name, guess)| guess.column(name, key.contains(name), dialect))
            .collect(),
        primary_key: key,
        ..TableInfo::default()
    };
    loosen(&mut info);
    Ok(info)
}

/// The key's columns as the files spell them.
fn spelled(key: &[String], names: &[String]) -> Result<Vec<String>, Fault> {
    let find = |wanted: &String| {
        let exact = names.iter().find(|name| *name == wanted);
        let found = exact.or_else(|| names.iter().find(|name| name.eq_ignore_ascii_case(wanted)));
        found.cloned().ok_or_else(|| {
            Fault::Refused(format!(
                "it has no column {wanted}, which shall be the table's key"
            ))
        })
    };
    key.iter().map(find).collect()
}

/// Takes in all cells of one file.
fn learn(
    cx: &Context,
    source: &Source,
    names: &mut Vec<String>,
    guesses: &mut Vec<Guess>,
) -> Result<(), Fault> {
    let fail = |error| broken(&source.input, error);
    let mut rows = open(cx, &source.input)?.map_err(fail)?;
    let mut record = Record::new();
    // where each column of this file stands among those of all
    let mut places: Vec<usize> = Vec::new();
    let mut read: u64 = 0;
    loop {
        let step = rows.read(&mut record).map_err(fail)?;
        for name in &rows.columns()[places.len()..] {
            let known = names.iter().position(|known| known == name);
            if known.is_none()
                && let Some(other) = names.iter().find(|known| known.eq_ignore_ascii_case(name))
            {
                let reason = format!(
                    "its columns {other} and {name} differ by case alone: no table is made of that"
                );
                return Err(Fault::Refused(reason));
            }
            places.push(known.unwrap_or_else(|| {
                names.push(name.clone());
                guesses.push(Guess::default());
                names.len() - 1
            }));
        }
        read += 1;
        if read.is_multiple_of(STRIDE) {
            cx.checkpoint()?;
        }
        match step {
            Step::End => return Ok(()),
            Step::Bad(_) => {}
            Step::Row => {
                for (at, place) in places.iter().enumerate() {
                    if let Some(cell) = record.cell(at) {
                        guesses[*place].learn(cell, record.is_raw(at));
                    }
                }
            }
        }
    }
}

/// Takes the bounds from texts that would not all fit into one row.
fn loosen(info: &mut TableInfo) {
    let mut left = ROW;
    for column in &mut info.columns {
        let Some(length) = column.length.filter(|_| column.kind == Kind::Text) else {
            continue;
        };
        let bytes = length.saturating_mul(4);
        if bytes <= left {
            left -= bytes;
        } else if !info.primary_key.contains(&column.name) {
            column.length = None;
        }
    }
}
