//! The statements of a load. Pure text.

use super::dialect::Postgres;
use crate::{Dialect, Load, Mode};

/// The temporary table of a load that skips or updates, and its column that keeps the rows' order.
pub(super) const STAGE: &str = "pg_temp.\"load stage\"";
pub(super) const ORDER: &str = "\"load order\"";

/// The statements of a chunk.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) copy: String,
    /// From the staging table into the table; empty where rows are copied straight.
    pub(super) insert: String,
    /// The same, when a chunk brings a key twice.
    pub(super) insert_last: String,
    pub(super) counts_inserted: bool,
}

impl Plan {
    pub(super) fn new(into: &Load<'_>, columns: &[String]) -> Self {
        let (table, list) = (Postgres.qualify(into.table), Postgres.list(columns));
        let resolved = Load {
            table: into.table,
            columns,
            mode: into.mode,
        };
        let staged = into.mode != Mode::Append;
        let target = if staged { STAGE } else { table.as_str() };
        let head = format!("INSERT INTO {table} ({list}) SELECT {list} FROM");
        let clash = Postgres.on_conflict(&resolved);
        let insert_last = match into.mode {
            Mode::Upsert { key } => {
                // the last of equal keys; a NULL is equal to nothing
                let key: Vec<String> = key.iter().map(|name| Postgres.quote(name)).collect();
                let null: Vec<String> = key.iter().map(|name| format!("{name} IS NULL")).collect();
                format!(
                    "{head} (SELECT *, row_number() OVER (PARTITION BY {} ORDER BY {ORDER} DESC) AS \"load place\" FROM {STAGE}) s \
                     WHERE \"load place\" = 1 OR {} ORDER BY {ORDER}{clash}",
                    key.join(", "),
                    null.join(" OR ")
                )
            }
            _ => String::new(),
        };
        Plan {
            copy: format!("COPY {target} ({list}) FROM STDIN"),
            insert: if staged {
                format!("{head} {STAGE} ORDER BY {ORDER}{clash}")
            } else {
                String::new()
            },
            insert_last,
            counts_inserted: into.mode == Mode::Skip,
        }
    }

    pub(super) fn sql(&self, undo: bool) -> String {
        let begin = if undo {
            "ROLLBACK TO SAVEPOINT load_chunk"
        } else {
            "SAVEPOINT load_chunk"
        };
        let insert = if self.insert.is_empty() {
            String::new()
        } else {
            format!("{}; TRUNCATE {STAGE}; ", self.insert)
        };
        format!(
            "{begin}; {}; {insert}RELEASE SAVEPOINT load_chunk",
            self.copy
        )
    }
}
