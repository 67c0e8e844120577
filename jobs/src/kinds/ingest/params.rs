//! What the job file of an ingest says.

use std::path::PathBuf;

use db::TableInfo;
use jobfile::{Interval, List, Patterns};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::elements::Database;
use crate::input::Inbox;

/// Loads files into database tables.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(in crate::kinds) struct Params {
    /// The database.
    pub(super) target: Database,
    /// Where files come from and where they go.
    pub(super) input: Folder,
    /// So many files are loaded at once, each by a connection of its own: those of different tables, and in mode `insert` also
    /// those of one table. Files of a table whose mode is not `insert`, or that has SQL of its own, keep their order.
    #[serde(default = "one")]
    pub(super) workers: u32,
    /// Which file goes into which table; the first match counts.
    #[serde(rename = "table")]
    pub(super) tables: Vec<Table>,
}

fn one() -> u32 {
    1
}

/// The folder that files come from, and where they go.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Folder {
    /// Files are taken from here: those of the first `<table>` first, and of one table in the order of their names, where numbers
    /// count: `A_9.xml` comes before `A_10.xml`. Dot files and folders below are left alone.
    pub(super) dir: String,
    /// Where loaded files go; left out: `done` in the folder.
    pub(super) done: Option<String>,
    /// Where files go that cannot be loaded; left out: `bad` in the folder.
    pub(super) bad: Option<String>,
    /// Where the files of bad rows go, `FILE.rejects.xml`; left out: `rejects` in the folder.
    pub(super) rejects: Option<String>,
    /// How long a file must have been unchanged before it is taken. Files that are open for writing never are.
    #[serde(default)]
    pub(super) stable: Interval,
    /// A file is taken only when the file of this name is there too: `{stem}.ok`.
    pub(super) marker: Option<String>,
}

impl Folder {
    pub(super) fn inbox(&self, cx: &Context) -> Inbox {
        let mut inbox = Inbox::new(
            cx,
            &self.dir,
            self.done.as_deref(),
            self.bad.as_deref(),
            self.stable.0,
        );
        // checked when the job was made
        inbox.marker = self
            .marker
            .as_deref()
            .and_then(|marker| marker.parse().ok());
        inbox
    }

    pub(super) fn rejects(&self, cx: &Context) -> PathBuf {
        match &self.rejects {
            Some(path) => cx.path(path),
            None => cx.path(&self.dir).join("rejects"),
        }
    }
}

/// Files of one sort and the table that they go into.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Table {
    /// File names, comma-separated patterns: `WEATHER_*.xml,WEATHER_*.csv`.
    #[serde(rename = "match")]
    pub(super) matching: Patterns,
    /// The table, `name` or `schema.name`.
    pub(super) name: String,
    /// What becomes of a row whose key is there already.
    #[serde(default)]
    pub(super) mode: Mode,
    /// The columns that `upsert` finds a row by; left out: the primary key. With `create` also the new table's primary key.
    pub(super) key: Option<List>,
    /// Makes the table if it is not there, with types that hold every value of the first file: whole and decimal numbers,
    /// floating-point numbers, dates, times, booleans, else text (as for `007` or mixtures).
    #[serde(default)]
    pub(super) create: bool,
    /// SQL before the rows, in the same transaction. Nothing that would end it: no COMMIT, and on MySQL no DDL.
    pub(super) before_sql: Option<String>,
    /// SQL after the rows, in the same transaction, with the same limits.
    pub(super) after_sql: Option<String>,
    /// So many bad rows are put aside; one more, and the whole file is taken back and moved to `bad`. With `commit="N"` the rows
    /// of the transactions before stay; the message says which these are.
    #[serde(default)]
    pub(super) max_bad: u64,
    /// `file`: a file is one transaction. A number: so many rows are. Of a file that then turns out to be bad, what was committed
    /// before stays in the table: the message says `rows 1 to N are loaded and stay`; mend the file from the next row on, and
    /// leave those before out.
    #[serde(default)]
    pub(super) commit: Commit,
}

/// What becomes of a row whose key is there already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Mode {
    /// It is a bad row.
    #[default]
    Insert,
    /// The old row stays.
    Skip,
    /// The new row takes its place.
    Upsert,
    /// The table's content becomes the file's; the parts of a set `_NofM` count as one file.
    Replace,
}

/// How much goes into one transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^(file|[1-9][0-9]*)$"))]
pub(super) enum Commit {
    /// A file.
    #[default]
    File,
    /// So many rows.
    Rows(u64),
}

impl From<Commit> for String {
    fn from(commit: Commit) -> String {
        match commit {
            Commit::File => "file".to_owned(),
            Commit::Rows(rows) => rows.to_string(),
        }
    }
}

impl TryFrom<String> for Commit {
    type Error = String;

    fn try_from(text: String) -> Result<Commit, String> {
        match (text.as_str(), text.parse()) {
            ("file", _) => Ok(Commit::File),
            (_, Ok(rows)) if rows > 0 => Ok(Commit::Rows(rows)),
            _ => Err(format!("`{text}` is neither `file` nor a number of rows")),
        }
    }
}

impl Table {
    pub(super) fn batch(&self) -> Option<u64> {
        match self.commit {
            Commit::File => None,
            Commit::Rows(rows) => Some(rows),
        }
    }

    pub(super) fn key(&self) -> Vec<String> {
        self.key
            .as_ref()
            .map(|list| list.0.clone())
            .unwrap_or_default()
    }

    /// The key's columns as the table spells them.
    pub(super) fn key_of(&self, info: &TableInfo) -> Vec<String> {
        match &self.key {
            Some(list) => list
                .0
                .iter()
                .map(|name| {
                    info.column(name)
                        .map_or_else(|| name.clone(), |column| column.name.clone())
                })
                .collect(),
            None => info.primary_key.clone(),
        }
    }
}
