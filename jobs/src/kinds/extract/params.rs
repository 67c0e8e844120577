//! What the job file of an extract says.

use jobfile::{Interval, List};
use schemars::JsonSchema;
use serde::Deserialize;

use super::parts::Shelf;
use crate::context::Context;
use crate::data::{Compression, Format};
use crate::elements::Param;

/// Writes the rows of a query into files.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(in crate::kinds) struct Params {
    /// The database.
    pub(super) source: Source,
    /// The query; `:name` stands for the value of a `<param>`.
    pub(super) sql: Option<String>,
    /// A table, instead of a query.
    pub(super) table: Option<Table>,
    /// Values for the query, bound, never pasted.
    #[serde(rename = "param", default)]
    pub(super) params: Vec<Param>,
    /// Only rows that are new since the last run; left out: the full result each run.
    pub(super) increment: Option<Increment>,
    /// The files.
    pub(super) output: Output,
}

/// A database.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Source {
    /// Its URL, such as `sqlite:data/core.db`.
    pub(super) url: String,
    /// A full result is read over so many connections at the same time, all of one moment; each writes files of its own.
    /// Fewer than 20,000 rows are not divided, nor is what has a primary key without a highest value (uuid in PostgreSQL). On MySQL and
    /// MariaDB the account needs the right RELOAD: all writers are held for the moment in which the connections begin.
    #[serde(default = "one")]
    pub(super) parts: u32,
    /// The column by whose ranges the parts are divided, best one with an index; left out: the first of the table's primary key.
    pub(super) key: Option<String>,
}

fn one() -> u32 {
    1
}

/// A table to be extracted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Table {
    /// `name` or `schema.name`.
    pub(super) name: String,
    /// Its columns, comma-separated; left out: all.
    pub(super) columns: Option<List>,
    /// An SQL condition on its rows.
    #[serde(rename = "where")]
    pub(super) condition: Option<String>,
}

/// Which rows are new.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Increment {
    /// A column of the query's result that grows: a unique number that the database draws, or a time. `jobs state JOB set last VALUE`
    /// lets the next run go on after VALUE.
    pub(super) column: String,
    /// Rows above this value are read by the first run; left out: everything.
    pub(super) start: Option<String>,
    /// Rows may become visible so much later than rows with higher values, beyond what the server tells of its open transactions: gaps in
    /// whole numbers are read again for so long, other values are read only at that age. Needed where the server tells nothing.
    #[serde(default)]
    pub(super) settle: Interval,
}

/// The files to be written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Output {
    /// Their folder; made if it is not there.
    pub(super) dir: String,
    /// The first word of their names.
    pub(super) file: String,
    /// How rows are laid out.
    #[serde(default)]
    pub(super) format: Format,
    /// Rows a file; 0: all rows in one.
    #[serde(default)]
    pub(super) rows: u64,
    /// How files are packed.
    #[serde(default)]
    pub(super) compress: Compression,
}

impl Output {
    pub(super) fn shelf(&self, cx: &Context) -> Shelf {
        Shelf {
            folder: cx.path(&self.dir),
            word: self.file.clone(),
            format: self.format,
            compression: self.compress,
            rows: self.rows,
        }
    }
}
