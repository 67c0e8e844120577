//! Rows into a table, on the driver's thread: arrays of rows within a savepoint; what is refused is split until each bad row
//! stands alone with its own error. A driver may count an array's rows wrongly or leave out bad ones without a word: an array
//! whose count is not its number of rows is taken back, and its rows go one by one.

use super::engine::Engine;
use super::fault::{Trouble, fault, is_of_a_row};
use super::fetch;
use super::plan::{Plan, Way};
use super::session::{Owned, Param, Session, not_utf8};
use super::value::{readable, wide};
use crate::block::Block;
use crate::gathering::Outcome;
use crate::{Cell, Constraint, Error, ErrorKind, Kind, form};
use odbc_api::BindParamDesc;
use odbc_api::parameter::InputParameter;
use std::ops::Range;

/// A longer value takes its row out of arrays, whose buffers are as wide as their longest value.
const LONG: usize = 4000;
/// The savepoint before an array.
const ARRAY: &str = "procctl_array";

/// A row as the database reads it.
struct Row {
    place: usize,
    cells: Vec<Owned>,
}

/// Loads a block.
pub(super) fn insert(
    session: &mut Session,
    plan: &Plan,
    block: &Block,
    arrays: bool,
) -> Result<Outcome, Trouble> {
    let mut outcome = Outcome::default();
    let (mut short, mut long) = (Vec::new(), Vec::new());
    for place in 0..block.rows() {
        match read(plan, &block.row(place)) {
            Ok(cells) => {
                let alone = cells.iter().flatten().any(|text| text.len() > LONG);
                let list = if alone { &mut long } else { &mut short };
                list.push(Row { place, cells });
            }
            Err(error) => outcome.rejects.push((place, *error)),
        }
    }
    if arrays && plan.goes_in_arrays() {
        in_arrays(session, plan, &short, &mut outcome)?;
    } else {
        // the order of rows with one key matters
        long.append(&mut short);
        long.sort_by_key(|row| row.place);
    }
    for row in &long {
        alone(session, plan, row, &mut outcome)?;
    }
    outcome.rejects.sort_by_key(|(place, _)| *place);
    Ok(outcome)
}

/// The row's cells as the database reads them.
fn read(plan: &Plan, cells: &[Cell<'_>]) -> Result<Vec<Owned>, Box<Error>> {
    let each = plan.targets.iter().zip(cells).map(|(target, cell)| {
        let Some(text) = cell else { return Ok(None) };
        readable(plan.engine, target.kind, text)
            .map(|text| Some(text.into_owned()))
            .map_err(|why| {
                let error = Error::new(ErrorKind::Type, &plan.action).at_column(&target.name);
                Box::new(error.because(format!("{} is {why}", shown(text))))
            })
    });
    each.collect()
}

/// A value in a message, cut to a length that a log line bears.
fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let start: String = text.chars().take(40).collect();
    let dots = if start.len() < text.len() { "…" } else { "" };
    format!("{start:?}{dots}")
}

fn in_arrays(
    session: &mut Session,
    plan: &Plan,
    rows: &[Row],
    outcome: &mut Outcome,
) -> Result<(), Trouble> {
    let mut stack: Vec<Range<usize>> = std::iter::once(0..rows.len()).collect();
    while let Some(range) = stack.pop() {
        if range.len() <= 1 {
            rows[range]
                .iter()
                .try_for_each(|row| alone(session, plan, row, outcome))?;
            continue;
        }
        session.savepoint(ARRAY)?;
        let sent = send_array(session, plan, &rows[range.clone()]);
        let whole = u64::try_from(range.len()).unwrap_or(u64::MAX);
        match sent {
            Ok(count) if count == whole => {
                session.release(ARRAY)?;
                outcome.rows += whole;
            }
            Ok(_) => {
                session.undo(ARRAY)?;
                rows[range]
                    .iter()
                    .try_for_each(|row| alone(session, plan, row, outcome))?;
            }
            Err(Trouble::Refused(complaint)) if is_of_a_row(plan.engine, &complaint) => {
                session.undo(ARRAY)?;
                let middle = range.start + range.len() / 2;
                stack.extend([middle..range.end, range.start..middle]);
            }
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(())
}

/// Sends rows as one array; how many the driver counts.
fn send_array(session: &mut Session, plan: &Plan, rows: &[Row]) -> Result<u64, Trouble> {
    let none = vec![None; plan.targets.len()];
    let (mut prepared, _) = session.prepare(&plan.insert, &none)?;
    let longest = |column: usize| {
        let lengths = rows.iter().filter_map(|row| row.cells[column].as_ref());
        lengths.map(Vec::len).max().unwrap_or(0).max(1)
    };
    let described = plan.targets.iter().enumerate().map(|(column, target)| {
        if target.kind == Kind::Blob {
            BindParamDesc::binary(longest(column))
        } else if plan.engine.speaks_utf8() {
            BindParamDesc::text(longest(column))
        } else {
            BindParamDesc::wide_text(longest(column))
        }
    });
    let described: Vec<BindParamDesc> = described.collect();
    let mut array = prepared.column_inserter(rows.len(), described)?;
    array.set_num_rows(rows.len());
    for (column, target) in plan.targets.iter().enumerate() {
        let other = || Trouble::Senseless("the driver's buffer is of another type".to_owned());
        if target.kind == Kind::Blob {
            let mut cells = array.column_mut(column).as_binary().ok_or_else(other)?;
            for (place, row) in rows.iter().enumerate() {
                cells.set_cell(place, bytes(&row.cells[column]).as_deref());
            }
        } else if plan.engine.speaks_utf8() {
            let mut cells = array.column_mut(column).as_text().ok_or_else(other)?;
            for (place, row) in rows.iter().enumerate() {
                cells.set_cell(place, row.cells[column].as_deref());
            }
        } else {
            let mut cells = array.column_mut(column).as_wide_text().ok_or_else(other)?;
            for (place, row) in rows.iter().enumerate() {
                let text = row.cells[column]
                    .as_deref()
                    .map(|text| wide(text).ok_or_else(not_utf8));
                cells.set_cell(place, text.transpose()?.as_deref());
            }
        }
    }
    array.execute()?.map(super::session::leave);
    drop(array);
    let count = prepared.row_count()?.unwrap_or(0);
    Ok(u64::try_from(count).unwrap_or(u64::MAX))
}

fn bytes(cell: &Owned) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    form::read_hex(cell.as_ref()?, &mut bytes)?;
    Some(bytes)
}

/// Deals with one row; the database's refusal becomes its reject.
fn alone(
    session: &mut Session,
    plan: &Plan,
    row: &Row,
    outcome: &mut Outcome,
) -> Result<(), Trouble> {
    let places: Vec<usize> = (0..plan.targets.len()).collect();
    let done = match &plan.way {
        Way::Search(key) if there(session, plan, row, key)? => match plan.update(key) {
            Some((sql, order)) => run(session, plan, &sql, row, &order).map(|_| 1),
            None => Ok(1),
        },
        Way::Upsert | Way::Search(_) => run(session, plan, &plan.insert, row, &places).map(|_| 1),
        Way::Append | Way::Skip => run(session, plan, &plan.insert, row, &places),
    };
    match done {
        Ok(0) if plan.way == Way::Skip => outcome.skipped += 1,
        Ok(_) => outcome.rows += 1,
        Err(Trouble::Refused(complaint)) if is_of_a_row(plan.engine, &complaint) => {
            let refused = Trouble::Refused(complaint);
            let error = fault(&plan.action, plan.engine, ErrorKind::Cancelled, refused);
            let (kind, column) = locate(session, plan, row, error.kind())?;
            if plan.way == Way::Skip && kind == ErrorKind::Constraint(Constraint::Unique) {
                outcome.skipped += 1;
                return Ok(());
            }
            let error = error.with_kind(kind);
            let error = match column {
                Some(column) => error.at_column(column),
                None => error,
            };
            outcome.rejects.push((row.place, error));
        }
        Err(trouble) => return Err(trouble),
    }
    Ok(())
}

/// Runs a statement with the row's cells of these places; how many rows it changed.
fn run(
    session: &mut Session,
    plan: &Plan,
    sql: &str,
    row: &Row,
    places: &[usize],
) -> Result<u64, Trouble> {
    let none = vec![None; places.len()];
    let (mut prepared, _) = session.prepare(sql, &none)?;
    let bound = places.iter().map(|place| {
        let cell = &row.cells[*place];
        let param = match plan.targets[*place].kind {
            Kind::Blob => Param::bytes(bytes(cell)),
            _ => Param::text(plan.engine, cell.as_deref())?,
        };
        Ok(param.boxed())
    });
    let bound: Vec<Box<dyn InputParameter>> = bound.collect::<Result<_, Trouble>>()?;
    prepared.execute(&bound[..])?.map(super::session::leave);
    let count = prepared.row_count()?.unwrap_or(0);
    Ok(u64::try_from(count).unwrap_or(u64::MAX))
}

/// Whether a row with this key is there.
fn there(session: &mut Session, plan: &Plan, row: &Row, key: &[usize]) -> Result<bool, Trouble> {
    if key.iter().any(|place| row.cells[*place].is_none()) {
        return Ok(false);
    }
    let cells: Vec<Owned> = key.iter().map(|place| row.cells[*place].clone()).collect();
    let mut found = false;
    fetch::run(session, &plan.count(key), &cells, &mut |piece| {
        if let fetch::Piece::Rows(block) = &piece {
            found |= block.cell(0, 0).is_some_and(|count| count != b"0");
        }
        true
    })?;
    Ok(found)
}

/// What a refusal means and the column that it speaks of, from the row, the dictionary and the table: drivers tell little.
fn locate(
    session: &mut Session,
    plan: &Plan,
    row: &Row,
    kind: ErrorKind,
) -> Result<(ErrorKind, Option<String>), Trouble> {
    let unclear = kind == ErrorKind::Constraint(Constraint::Other)
        && matches!(plan.engine, Engine::Sqlite | Engine::Mssql | Engine::Other);
    if unclear || kind == ErrorKind::Constraint(Constraint::NotNull) {
        let mut both = plan.targets.iter().zip(&row.cells);
        if let Some((target, _)) = both.find(|(target, cell)| target.required && cell.is_none()) {
            let kind = ErrorKind::Constraint(Constraint::NotNull);
            return Ok((kind, Some(target.name.clone())));
        }
    }
    if unclear || kind == ErrorKind::Constraint(Constraint::Unique) {
        for (name, places) in &plan.keys {
            if plan.way != Way::Search(places.clone()) && there(session, plan, row, places)? {
                let kind = ErrorKind::Constraint(Constraint::Unique);
                return Ok((kind, Some(name.clone())));
            }
        }
    }
    if kind == ErrorKind::Type {
        let cells: Vec<Cell<'_>> = row.cells.iter().map(Option::as_deref).collect();
        return Ok((kind, plan.suspicion.of(&cells).map(str::to_owned)));
    }
    Ok((kind, None))
}
