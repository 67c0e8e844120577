//! What the job file of an archive says, and what of it does not fit together. Opens nothing.

use jobfile::{Interval, List};
use schemars::JsonSchema;
use serde::Deserialize;

use super::period::Pattern;
use crate::data::{Compression, Format};
use crate::elements::Database;
use crate::job::Invalid;

/// More keys in one statement help nobody, and hold locks for long.
const MOST_ROWS: u32 = 10_000;

/// Takes cold rows out of tables.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(in crate::kinds) struct Params {
    /// The database that the rows leave.
    pub(super) database: Database,
    /// The tables, one after the other.
    #[serde(rename = "table", default)]
    pub(super) tables: Vec<Table>,
    /// When to let the server breathe. Left out: only `pause` and locks of others slow the job down.
    pub(super) throttle: Option<Throttle>,
}

/// Rows that leave a table.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Table {
    /// `name` or `schema.name`.
    pub(super) name: String,
    /// The columns of a unique key, comma-separated. Left out: the primary key, else a unique key without NULL. Rows whose key is
    /// NULL stay.
    pub(super) key: Option<List>,
    /// An SQL condition: which rows leave. For every row write `1=1`.
    #[serde(rename = "where")]
    pub(super) condition: Option<String>,
    /// What becomes of them.
    #[serde(default)]
    pub(super) action: Action,
    /// Of `move`: the table they go to. `{yyyy}`, `{mm}` and `{dd}` in it stand for the date in the column `by`: a table a year, a month
    /// or a day, made like the source where it is not there.
    pub(super) to: Option<String>,
    /// Of `move`: the database that `to` is in; left out: the same. Made for it there: a small table `procctl_archive`.
    pub(super) to_url: Option<String>,
    /// The column whose date chooses the table; of moments with a zone, the date in UTC. Rows where it is NULL stay.
    pub(super) by: Option<String>,
    /// Makes `to` like the source if it is not there.
    #[serde(default)]
    pub(super) create: bool,
    /// Rows a statement and transaction, from 1 to 10000.
    #[serde(default = "batch")]
    pub(super) batch: u32,
    /// A rest after each statement.
    #[serde(default)]
    pub(super) pause: Interval,
    /// Of `export`: the folder of the files; made if it is not there.
    pub(super) dir: Option<String>,
    /// Of `export`: the first word of the files' names; left out: the table's name.
    pub(super) file: Option<String>,
    /// Of `export`: how rows are laid out; left out: `csv`.
    pub(super) format: Option<Format>,
    /// Of `export`: how files are packed; left out: `gzip`.
    pub(super) compress: Option<Compression>,
    /// Of `export`: rows a file; left out: 100000.
    pub(super) rows: Option<u64>,
}

/// What becomes of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Action {
    /// They go to another table, and then leave.
    #[default]
    Move,
    /// They leave.
    Delete,
    /// They go to files, and then leave.
    Export,
}

/// When to let the server breathe: while one of these is above its limit, no row is touched.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Throttle {
    /// How often the server is looked at.
    #[serde(default = "every")]
    pub(super) every: Interval,
    /// Rows wait while a replica is farther behind than this. PostgreSQL tells of its replicas itself; those of MySQL and MariaDB are named by `<replica>`.
    pub(super) max_lag: Option<Interval>,
    /// Rows wait while more sessions of the server than this wait for locks.
    pub(super) max_lock_waits: Option<u64>,
    /// Replicas that are asked how far they are behind.
    #[serde(rename = "replica", default)]
    pub(super) replicas: Vec<Database>,
    /// Any other measure of load.
    #[serde(rename = "max-load", default)]
    pub(super) max_loads: Vec<MaxLoad>,
}

/// A measure of load: a query that gives one number.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct MaxLoad {
    /// Rows wait while the number is above this.
    pub(super) limit: f64,
    /// The query, asked of the database that the rows leave.
    #[serde(rename = "$text")]
    pub(super) sql: String,
}

fn batch() -> u32 {
    500
}

fn every() -> Interval {
    Interval::secs(1)
}

impl Params {
    /// The other database that the rows of a table go to; `None` where it is their own.
    pub(super) fn other<'p>(&'p self, table: &'p Table) -> Option<&'p str> {
        let url = table.to_url.as_deref();
        url.filter(|url| *url != self.database.url)
    }

    /// What does not fit together.
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        if self.tables.is_empty() {
            return Err(Invalid::new("", "archive needs a <table>"));
        }
        for (at, table) in self.tables.iter().enumerate() {
            let place = |attribute: &str| format!("table[{}].{attribute}", at + 1);
            table
                .validate()
                .map_err(|(attribute, why)| Invalid::new(place(attribute), why))?;
            if table.to.as_ref() == Some(&table.name) && self.other(table).is_none() {
                return Err(Invalid::new(
                    place("to"),
                    "the rows are in this table already",
                ));
            }
            let twice = self.tables[..at]
                .iter()
                .any(|other| other.name == table.name && other.to == table.to);
            if twice && table.action == Action::Export {
                let why = "a table can be exported by one <table> only; join the conditions by OR";
                return Err(Invalid::new(place("name"), why));
            }
        }
        self.throttle
            .as_ref()
            .map_or(Ok(()), |throttle| throttle.validate(&self.database.url))
    }
}

impl Throttle {
    fn validate(&self, url: &str) -> Result<(), Invalid> {
        let name = db::dialect_of(url).map_or("", db::Dialect::name);
        if name == "sqlite" && (self.max_lag.is_some() || self.max_lock_waits.is_some()) {
            let why =
                "SQLite has neither replicas nor a list of waits; <max-load> works everywhere";
            return Err(Invalid::new("throttle", why));
        }
        if name == "mysql" && self.max_lag.is_some() && self.replicas.is_empty() {
            let why = "the server does not tell how far its replicas are behind: name them, each by <replica url=\"…\"/>";
            return Err(Invalid::new("throttle.max-lag", why));
        }
        if !self.replicas.is_empty() && self.max_lag.is_none() {
            let why = "says nothing without max-lag";
            return Err(Invalid::new("throttle.replica[1]", why));
        }
        if self.every.0.is_zero() {
            return Err(Invalid::new("throttle.every", "more than 0"));
        }
        Ok(())
    }
}

type Wrong = (&'static str, String);

impl Table {
    fn validate(&self) -> Result<(), Wrong> {
        let wrong = |attribute, why: &str| Err((attribute, why.to_owned()));
        if self
            .condition
            .as_deref()
            .is_none_or(|text| text.trim().is_empty())
        {
            return wrong(
                "where",
                "which rows leave? For every row write where=\"1=1\"",
            );
        }
        if !(1..=MOST_ROWS).contains(&self.batch) {
            return wrong("batch", "from 1 to 10000");
        }
        self.only_for(
            Action::Move,
            &[
                ("to", self.to.is_some()),
                ("to-url", self.to_url.is_some()),
                ("by", self.by.is_some()),
                ("create", self.create),
            ],
        )?;
        self.only_for(
            Action::Export,
            &[
                ("dir", self.dir.is_some()),
                ("file", self.file.is_some()),
                ("format", self.format.is_some()),
                ("compress", self.compress.is_some()),
                ("rows", self.rows.is_some()),
            ],
        )?;
        match self.action {
            Action::Move => self.validate_move(),
            Action::Export => self.validate_export(),
            Action::Delete => Ok(()),
        }
    }

    fn only_for(&self, action: Action, given: &[(&'static str, bool)]) -> Result<(), Wrong> {
        let stray = given
            .iter()
            .find(|(_, given)| *given && self.action != action);
        stray.map_or(Ok(()), |(attribute, _)| {
            let word = if action == Action::Move {
                "move"
            } else {
                "export"
            };
            Err((
                *attribute,
                format!("says nothing without action=\"{word}\""),
            ))
        })
    }

    fn validate_move(&self) -> Result<(), Wrong> {
        let Some(to) = &self.to else {
            return Err(("to", "where do the rows go?".to_owned()));
        };
        let pattern = Pattern::parse(to).map_err(|why| ("to", why))?;
        match (pattern.is_dated(), &self.by) {
            (true, None) => Err(("by", "which column's date chooses the table?".to_owned())),
            (false, Some(_)) => Err(("by", format!("`{to}` has no {{yyyy}}, {{mm}} or {{dd}}"))),
            _ => Ok(()),
        }
    }

    fn validate_export(&self) -> Result<(), Wrong> {
        if self.dir.is_none() {
            return Err(("dir", "into which folder do the files go?".to_owned()));
        }
        let word = self.file.as_deref();
        if word.is_some_and(|word| word.is_empty() || word.starts_with('.') || word.contains('/')) {
            let why = "the first word of a file name: not empty, no leading dot, no slash";
            return Err(("file", why.to_owned()));
        }
        if self.rows == Some(0) {
            return Err(("rows", "1 or more".to_owned()));
        }
        Ok(())
    }

    /// The condition, as it stands in SQL: a comment at its end does not swallow what follows.
    pub(super) fn wanted(&self) -> String {
        format!(
            "({}\n)",
            self.condition.as_deref().unwrap_or_default().trim()
        )
    }
}
