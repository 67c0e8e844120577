//! One value of a loaded row: from text to what its column holds, or why it does not fit.

use crate::form::{self, Number};
use crate::{Cell, Kind};
use rusqlite::CachedStatement;
use rusqlite::types::{ToSqlOutput, ValueRef};

/// Why a value does not fit its column.
pub(super) type Misfit = &'static str;

/// Binds one cell as what its column holds: the outer error is the row's, the inner one SQLite's.
pub(super) fn bind(
    statement: &mut CachedStatement<'_>,
    place: usize,
    kind: Kind,
    cell: Cell<'_>,
    scratch: &mut Vec<u8>,
) -> Result<rusqlite::Result<()>, Misfit> {
    let value = match cell {
        None => ValueRef::Null,
        Some(text) => match kind {
            Kind::Integer => number(text, false)?,
            Kind::Decimal => number(text, true)?,
            Kind::Bool => {
                let one = form::plain_bool(text).ok_or("neither 1 nor 0")? == b"1";
                ValueRef::Integer(one.into())
            }
            Kind::Real => match form::read_float(text) {
                Some(value) if !value.is_nan() => ValueRef::Real(value),
                _ => return Err("not a number that the column can hold"),
            },
            Kind::Blob => {
                form::read_hex(text, scratch).ok_or("not pairs of hex digits")?;
                ValueRef::Blob(scratch)
            }
            Kind::Text
            | Kind::Date
            | Kind::Time
            | Kind::Timestamp
            | Kind::Instant
            | Kind::Json
            | Kind::Other => {
                if std::str::from_utf8(text).is_err() {
                    return Err("not UTF-8");
                }
                ValueRef::Text(text)
            }
        },
    };
    Ok(statement.raw_bind_parameter(place, ToSqlOutput::Borrowed(value)))
}

fn number(text: &[u8], must_be_exact: bool) -> Result<ValueRef<'static>, Misfit> {
    match form::read_number(text) {
        Some(Number::Integer(value)) => Ok(ValueRef::Integer(value)),
        Some(Number::Float { exact: false, .. }) if must_be_exact => {
            Err("more digits than SQLite keeps in a NUMERIC column; declare it TEXT")
        }
        Some(Number::Float { exact: false, .. }) => Err("not a number that 64 bits hold"),
        Some(Number::Float { value, .. }) => Ok(ValueRef::Real(value)),
        None => Err("not a number"),
    }
}

/// The reason with the value, cut to a length that a log line bears.
pub(super) fn describe(misfit: Misfit, cell: Cell<'_>) -> String {
    let text = String::from_utf8_lossy(cell.unwrap_or_default());
    let shown: String = text.chars().take(40).collect();
    let dots = if shown.len() < text.len() { "…" } else { "" };
    format!("{shown:?}{dots} is {misfit}")
}
