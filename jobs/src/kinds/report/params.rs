//! What the job file of a report says, and the checks that need no look at the world.

use jobfile::{Interval, List, Zone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::calendar::{Form, Line, Position};
use super::size::Size;
use super::sql::end_of_window;
use crate::data::Compression;
use crate::elements::{Database, Param};
use crate::job::Invalid;

/// Runs SQL over windows of time, one after the other, each exactly once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(in crate::kinds) struct Params {
    /// The database that steps and query run in.
    pub(super) database: Database,
    /// The windows.
    pub(super) period: Period,
    /// Further values for the SQL, bound, never pasted.
    #[serde(rename = "param", default)]
    pub(super) params: Vec<Param>,
    /// A statement, run in the window's transaction, in order; `:from` and `:to` are the ends of the window, the latter not part of it.
    #[serde(rename = "step", default)]
    pub(super) steps: Vec<String>,
    /// A query, run after the steps: its rows go into `<into>` or `<output>`.
    pub(super) select: Option<String>,
    /// A table for the query's rows.
    pub(super) into: Option<Into>,
    /// Files for the query's rows, one a window.
    pub(super) output: Option<Output>,
}

/// The windows of time that a report runs over.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Period {
    /// How long a window is: `hour`, `day`, `week` (from Monday), `month`, `quarter` or `year` of the calendar in `tz`, or a
    /// duration such as `15m`, counted from `start`.
    #[schemars(with = "String")]
    pub(super) size: Size,
    /// Where the first window begins: `2026-01-01T00:00:00Z`, or by the clock of `tz` `2026-01-01T00:00:00`, `2026-01-01`. In the midst
    /// of a unit of the calendar, the first window is the rest of it.
    pub(super) start: String,
    /// A window runs only when its end is so long ago: time for late rows to come in.
    #[serde(default)]
    pub(super) delay: Interval,
    /// The zone of calendar units, and of times without one.
    #[serde(default = "utc")]
    pub(super) tz: Zone,
    /// How the SQL gets the ends of a window by `:from` and `:to`. `:from_utc`, `:from_local`, `:from_iso`, `:from_date` and `:from_unix`
    /// (and the same of `to`) are there besides.
    #[serde(default)]
    pub(super) form: Form,
    /// How many windows a run may catch up with; 0: all that are due.
    #[serde(default)]
    pub(super) most: u64,
    /// Runs just the window that this time lies in, once more, and leaves the cursor alone; it has to be over. Belongs on the command line of `jobs run`, as
    /// a value set for that run: `period.only=2026-01-05`.
    pub(super) only: Option<String>,
}

fn utc() -> Zone {
    "UTC".parse().unwrap_or_default()
}

/// A table that takes a query's rows, column by column of the same name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Into {
    /// `name` or `schema.name`.
    pub(super) table: String,
    /// Its database; left out: the one that the query runs in.
    pub(super) url: Option<String>,
    /// What becomes of rows that are there already.
    #[serde(default)]
    pub(super) mode: Mode,
    /// For `upsert`: the columns that find a row, comma-separated; left out: the primary key.
    pub(super) key: Option<List>,
    /// For `replace`: the column whose value says which window a row belongs to.
    pub(super) by: Option<String>,
}

/// What becomes of rows that are there already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Mode {
    /// They stay; a key that is there already is an error.
    #[default]
    Insert,
    /// New ones take their place, key by key.
    Upsert,
    /// Those of the window go first.
    Replace,
}

/// The files to be written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Output {
    /// Their folder; made if it is not there.
    pub(super) dir: String,
    /// The first word of their names; the window follows: `SALES_2026-01-05.csv`.
    pub(super) file: String,
    /// How rows are laid out.
    #[serde(default)]
    pub(super) format: Layout,
    /// How files are packed.
    #[serde(default)]
    pub(super) compress: Compression,
    /// What an `html` page is called; left out: the job's name.
    pub(super) title: Option<String>,
}

/// How rows are laid out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Layout {
    /// RFC 4180 with a header.
    #[default]
    Csv,
    /// `<data><row><column>text</column></row></data>`
    Xml,
    /// A JSON object a line.
    Jsonl,
    /// A page with a table, for people: one file that needs no other.
    Html,
}

impl Layout {
    /// The ending of its files, without the dot.
    pub(super) fn ending(self) -> &'static str {
        match self {
            Layout::Csv => "csv",
            Layout::Xml => "xml",
            Layout::Jsonl => "jsonl",
            Layout::Html => "html",
        }
    }
}

/// Where a query's rows go.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target<'a> {
    /// Nowhere: the steps are all.
    Nothing,
    /// A table of the database that the query runs in.
    Beside(&'a Into),
    /// A table of another database, at this URL.
    Elsewhere(&'a Into, &'a str),
    /// Files.
    Files(&'a Output),
}

impl Params {
    /// Where the query's rows go.
    pub(super) fn target(&self) -> Target<'_> {
        match (&self.into, &self.output) {
            (Some(into), _) => match &into.url {
                Some(url) if *url != self.database.url => Target::Elsewhere(into, url),
                _ => Target::Beside(into),
            },
            (None, Some(output)) => Target::Files(output),
            (None, None) => Target::Nothing,
        }
    }

    /// The windows, and the time whose window alone is to be run; finds what does not fit together.
    pub(super) fn validate(&self) -> Result<(Line, Option<Position>), Invalid> {
        self.validate_target()?;
        self.validate_names()?;
        let period = &self.period;
        if period.form == Form::Date && !period.size.is_days() {
            return Err(Invalid::new(
                "period.form",
                format!("dates cannot tell windows of {} apart", period.size),
            ));
        }
        let line = Line::new(period.size, period.form, period.tz, &period.start)
            .map_err(|why| Invalid::new("period.start", why))?;
        let only = match &period.only {
            None => None,
            Some(text) => Some(
                line.read(text)
                    .map_err(|why| Invalid::new("period.only", why))?,
            ),
        };
        if only.is_some_and(|only| only < line.start()) {
            return Err(Invalid::new(
                "period.only",
                "no window is there: the time is before the start",
            ));
        }
        if only.is_some()
            && self
                .into
                .as_ref()
                .is_some_and(|into| into.mode == Mode::Insert)
        {
            return Err(Invalid::new(
                "period.only",
                "a window that is run again would double its rows: mode upsert or replace would not",
            ));
        }
        Ok((line, only))
    }

    fn validate_target(&self) -> Result<(), Invalid> {
        if self.steps.is_empty() && self.select.is_none() {
            return Err(Invalid::new(
                "",
                "report needs at least one <step>, or a <select>",
            ));
        }
        match (&self.select, &self.into, &self.output) {
            (None, None, None) | (Some(_), Some(_), None) | (Some(_), None, Some(_)) => {}
            (Some(_), None, None) => {
                return Err(Invalid::new(
                    "select",
                    "the rows of <select> need a place: <into> or <output>",
                ));
            }
            (Some(_), Some(_), Some(_)) => {
                return Err(Invalid::new(
                    "output",
                    "either <into> or <output>, not both",
                ));
            }
            (None, Some(_), _) => {
                return Err(Invalid::new(
                    "into",
                    "<into> takes the rows of a <select>, and there is none",
                ));
            }
            (None, None, Some(_)) => {
                return Err(Invalid::new(
                    "output",
                    "<output> takes the rows of a <select>, and there is none",
                ));
            }
        }
        if let Some(into) = &self.into {
            match (into.mode, &into.by) {
                (Mode::Replace, None) => {
                    return Err(Invalid::new(
                        "into.mode",
                        "replace needs by=\"…\", the column that says which window a row belongs to",
                    ));
                }
                (Mode::Insert | Mode::Upsert, Some(_)) => {
                    return Err(Invalid::new(
                        "into.by",
                        "only mode replace goes by a column",
                    ));
                }
                _ => {}
            }
            if into.key.is_some() && into.mode != Mode::Upsert {
                return Err(Invalid::new("into.key", "only mode upsert goes by a key"));
            }
        }
        if let Some(output) = &self.output {
            let file = &output.file;
            if file.is_empty() || file.starts_with('.') || file.contains('/') {
                return Err(Invalid::new(
                    "output.file",
                    "the first word of a file name: not empty, no leading dot, no slash",
                ));
            }
            if output.title.is_some() && output.format != Layout::Html {
                return Err(Invalid::new("output.title", "only html pages have a title"));
            }
        }
        Ok(())
    }

    fn validate_names(&self) -> Result<(), Invalid> {
        for (at, param) in self.params.iter().enumerate() {
            let path = format!("param[{}].name", at + 1);
            if end_of_window(&param.name, self.period.form).is_some() {
                return Err(Invalid::new(
                    path,
                    format!("the name {} is taken by the window itself", param.name),
                ));
            }
            if self.params[..at]
                .iter()
                .any(|other| other.name == param.name)
            {
                return Err(Invalid::new(
                    path,
                    format!("the parameter {} stands twice", param.name),
                ));
            }
        }
        Ok(())
    }
}
