//! The statements of a load. Pure text.
//!
//! Rows that COPY may not bring to the table itself go by way of a temporary table, from which they are inserted.

use super::dialect::Postgres;
use crate::{ColumnInfo, Dialect, Load, Mode};

/// The temporary table of a load that skips, updates or may not copy, and its column that keeps the rows' order.
pub(super) const STAGE: &str = "pg_temp.\"load stage\"";
pub(super) const ORDER: &str = "\"load order\"";

/// The statements of a chunk.
#[derive(Debug)]
pub(super) struct Plan {
    /// What makes the staging table; empty where rows are copied straight.
    pub(super) stage: String,
    pub(super) copy: String,
    /// From the staging table into the table; empty where rows are copied straight.
    pub(super) insert: String,
    /// The same, when a chunk brings a key twice.
    pub(super) insert_last: String,
    pub(super) counts_inserted: bool,
    /// `INSERT INTO table (columns)`, and what becomes of a key that is there: for rows that are tried alone.
    pub(super) head: String,
    pub(super) clash: String,
}

impl Plan {
    /// `uncopied` is whether the table is loaded by INSERT alone.
    pub(super) fn new(into: &Load<'_>, columns: &[&ColumnInfo], uncopied: bool) -> Self {
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let (table, list) = (Postgres.qualify(into.table), Postgres.list(&names));
        let resolved = Load {
            table: into.table,
            columns: &names,
            mode: into.mode,
        };
        let staged = uncopied || into.mode != Mode::Append;
        let target = if staged { STAGE } else { table.as_str() };
        // a COPY takes values for columns that are numbered by the server, an INSERT wants to be told
        let head = format!("INSERT INTO {table} ({list}) OVERRIDING SYSTEM VALUE");
        let clash = Postgres.on_conflict(&resolved);
        let insert_last = match into.mode {
            Mode::Upsert { key } => {
                // the last of equal keys; a NULL is equal to nothing
                let key: Vec<String> = key.iter().map(|name| Postgres.quote(name)).collect();
                let null: Vec<String> = key.iter().map(|name| format!("{name} IS NULL")).collect();
                format!(
                    "{head} SELECT {list} FROM (SELECT *, row_number() OVER (PARTITION BY {} ORDER BY {ORDER} DESC) AS \"load place\" FROM {STAGE}) s \
                     WHERE \"load place\" = 1 OR {} ORDER BY {ORDER}{clash}",
                    key.join(", "),
                    null.join(" OR ")
                )
            }
            _ => String::new(),
        };
        let filled = |text: String| if staged { text } else { String::new() };
        Plan {
            stage: filled(stage(columns)),
            copy: format!("COPY {target} ({list}) FROM STDIN"),
            insert: filled(format!(
                "{head} SELECT {list} FROM {STAGE} ORDER BY {ORDER}{clash}"
            )),
            insert_last,
            counts_inserted: !matches!(into.mode, Mode::Upsert { .. }),
            head,
            clash,
        }
    }
}

/// A table of the same types, without the rules.
fn stage(columns: &[&ColumnInfo]) -> String {
    let typed = columns
        .iter()
        .map(|column| format!("{} {}", Postgres.quote(&column.name), column.declared));
    let typed: Vec<String> = typed.collect();
    format!(
        "CREATE TEMPORARY TABLE \"load stage\" ({}, {ORDER} BIGINT GENERATED ALWAYS AS IDENTITY)",
        typed.join(", ")
    )
}
