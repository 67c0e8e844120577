//! Deferred foreign keys, checked row by row: SQLite itself tells at the COMMIT that one is broken, and not by which row.

use super::value::bind;
use crate::{Cell, Kind, Load};
use rusqlite::Connection;

const MAIN: &str = "main";

/// The foreign keys of a table whose columns all come with the rows; which of them are deferred, SQLite does not tell.
#[derive(Debug, Default)]
pub(super) struct Parents(Vec<Parent>);

#[derive(Debug)]
struct Parent {
    /// Where its columns are in a row.
    places: Vec<usize>,
    /// Their names, and the table that they refer to, for messages.
    names: String,
    table: String,
    /// Asks for the row that is referred to.
    sql: String,
}

/// Columns and what they refer to, where that is named; else it is the primary key.
type Pairs = Vec<(String, Option<String>)>;

impl Parents {
    pub(super) fn learn(connection: &Connection, into: &Load<'_>) -> rusqlite::Result<Self> {
        let schema = into.table.schema.as_deref().unwrap_or(MAIN);
        let mut statement = connection.prepare_cached(
            "SELECT id, \"table\", \"from\", \"to\" FROM pragma_foreign_key_list(?1, ?2) ORDER BY id, seq",
        )?;
        let mut rows = statement.query([into.table.name.as_str(), schema])?;
        let mut keys: Vec<(i64, String, Pairs)> = Vec::new();
        while let Some(row) = rows.next()? {
            let (id, pair) = (row.get(0)?, (row.get(2)?, row.get(3)?));
            match keys.last_mut().filter(|(last, ..)| *last == id) {
                Some((_, _, pairs)) => pairs.push(pair),
                None => keys.push((id, row.get(1)?, vec![pair])),
            }
        }
        let mut parents = Vec::new();
        for (_, table, pairs) in keys {
            let own: Vec<&String> = pairs.iter().map(|(own, _)| own).collect();
            let named: Option<Vec<String>> = pairs.iter().map(|(_, other)| other.clone()).collect();
            let others = match named {
                Some(others) => others,
                None => primary_key(connection, schema, &table)?,
            };
            let place = |name: &&String| {
                let mut columns = into.columns.iter();
                columns.position(|column| column.eq_ignore_ascii_case(name))
            };
            let places: Option<Vec<usize>> = own.iter().map(place).collect();
            if let Some(places) = places.filter(|places| places.len() == others.len()) {
                let names: Vec<&str> = own.iter().map(|name| name.as_str()).collect();
                parents.push(Parent {
                    places,
                    names: names.join(", "),
                    sql: question(schema, &table, &others),
                    table,
                });
            }
        }
        Ok(Parents(parents))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The columns of a foreign key that leads nowhere, and the table where it leads; `cell` tells a place's kind and text. A NULL leads nowhere by right.
    pub(super) fn lacking<'r>(
        &self,
        connection: &Connection,
        cell: impl Fn(usize) -> (Kind, Cell<'r>),
    ) -> rusqlite::Result<Option<(&str, &str)>> {
        let mut scratch = Vec::new();
        for parent in &self.0 {
            let cells: Vec<(Kind, Cell<'r>)> = parent.places.iter().map(|at| cell(*at)).collect();
            if cells.iter().any(|(_, cell)| cell.is_none()) {
                continue;
            }
            let mut statement = connection.prepare_cached(&parent.sql)?;
            for (at, (kind, cell)) in cells.into_iter().enumerate() {
                // what fits no column was refused before
                if let Ok(bound) = bind(&mut statement, at + 1, kind, cell, &mut scratch) {
                    bound?;
                }
            }
            if statement.raw_query().next()?.is_none() {
                return Ok(Some((&parent.names, &parent.table)));
            }
        }
        Ok(None)
    }
}

fn primary_key(
    connection: &Connection,
    schema: &str,
    table: &str,
) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection
        .prepare_cached("SELECT name FROM pragma_table_info(?1, ?2) WHERE pk > 0 ORDER BY pk")?;
    let names = statement.query_map([table, schema], |row| row.get(0))?;
    names.collect()
}

fn question(schema: &str, table: &str, columns: &[String]) -> String {
    let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let equal = |(at, name): (usize, &String)| format!("{} = ?{}", quote(name), at + 1);
    let equal: Vec<String> = columns.iter().enumerate().map(equal).collect();
    format!(
        "SELECT 1 FROM {}.{} WHERE {}",
        quote(schema),
        quote(table),
        equal.join(" AND ")
    )
}
