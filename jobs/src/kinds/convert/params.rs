//! The parameters of `convert`, as a job file says them. What they come to is the matter of `settings`.

use jobfile::{Interval, List, Patterns, Size};
use schemars::JsonSchema;
use serde::Deserialize;

use super::value::Type;
use crate::data::{Compression, Format, Limits};

/// Files that wait in a folder become files of another format; bad rows are put aside.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Params {
    /// Where files come from and go to afterwards.
    pub(super) input: Input,
    /// What those files look like.
    pub(super) format: Source,
    /// Columns of the output, in order. None: all of the input's, under their own names.
    #[serde(rename = "column", default)]
    pub(super) columns: Vec<Column>,
    /// Where the converted files go.
    pub(super) output: Output,
}

/// Where files come from and go to afterwards.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Input {
    /// The folder that is looked into; folders below it are not.
    pub(super) dir: String,
    /// Patterns of the names to take, comma-separated. `.gz` and `.zst` files are unpacked.
    #[serde(rename = "match", default = "every_name")]
    pub(super) pattern: Patterns,
    /// Where converted files are moved; `done` in the folder unless given.
    #[serde(default)]
    pub(super) done: Option<String>,
    /// Where files are moved that cannot be converted; `bad` in the folder unless given.
    #[serde(default)]
    pub(super) bad: Option<String>,
    /// Where bad rows are written as `FILE.rejects.xml`; the `bad` folder unless given.
    #[serde(default)]
    pub(super) rejects: Option<String>,
    /// How long a file must have been unchanged before it is taken. Files that are open for writing never are.
    #[serde(default)]
    pub(super) stable: Interval,
    /// The name of a file that says another one is complete, as `{stem}.ok`; then `stable` does not count.
    #[serde(default)]
    pub(super) marker: Option<String>,
    /// Bad rows that a file may have; with more of them the whole file is bad and nothing of it is converted.
    #[serde(default)]
    pub(super) max_bad: u64,
}

/// What the input files look like.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Source {
    /// `csv`; `jsonl`: a JSON object a line; `json`: one array of objects; `xml`: rows as procctl writes them, or at
    /// `row`; `fixed`: columns with `at` and `len`; `regex`: lines that `pattern` takes apart; `xlsx`: a sheet of a workbook.
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    /// The encoding of the text, any WHATWG name: `gbk`, `big5`, `windows-1252`, `utf-16le`. A byte order mark wins over
    /// it, and it wins over what an XML file declares. UTF-8 unless given or declared.
    #[serde(default)]
    pub(super) encoding: Option<String>,
    /// For `csv` and `xlsx`: whether the first row names the columns; else they are called `c1`, `c2`, … `true` unless given.
    #[serde(default)]
    pub(super) header: Option<bool>,
    /// For `csv`: the character between fields; `tab` and `space` for those. A comma unless given.
    #[serde(default)]
    pub(super) delimiter: Option<String>,
    /// For `csv`: the character around fields that hold delimiters or line ends; `none` where there is no such. `"` unless given.
    #[serde(default)]
    pub(super) quote: Option<String>,
    /// Texts that mean NULL, comma-separated.
    #[serde(default)]
    pub(super) na: List,
    /// For `csv`, `fixed`, `regex` and `xlsx`: lines (rows of the sheet) to be skipped before the first one that counts.
    #[serde(default)]
    pub(super) skip: Option<u64>,
    /// For `csv`, `fixed` and `regex`: what a line begins with that is a comment.
    #[serde(default)]
    pub(super) comment: Option<String>,
    /// For `xml`: the way from the root element to the rows, as `feed/list/item`; one name alone: such elements, wherever they
    /// stand. Elements inside are columns named by their path (`geo/lat`), attributes are `@id` and `geo/@unit`.
    #[serde(default)]
    pub(super) row: Option<String>,
    /// For `regex`: the expression (syntax of the Rust crate `regex`). Its named groups are the columns: `^(?P<ip>\S+) (?P<rest>.*)$`.
    #[serde(default)]
    pub(super) pattern: Option<String>,
    /// For `regex`: what lines are that do not match. `reject` unless given.
    #[serde(default)]
    pub(super) unmatched: Option<Unmatched>,
    /// For `xlsx`: the name of the sheet, or its number from 1. The first unless given.
    #[serde(default)]
    pub(super) sheet: Option<String>,
    /// What a single value may take at most, as it is written. A file with a longer one is bad.
    #[serde(default = "longest")]
    pub(super) max_cell: Size,
}

/// The formats that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Delimited text, RFC 4180.
    Csv,
    /// Columns at fixed places of a line.
    Fixed,
    /// One JSON array of objects.
    Json,
    /// A JSON object a line.
    Jsonl,
    /// Lines that a regular expression takes apart.
    Regex,
    /// A sheet of an Excel workbook.
    Xlsx,
    /// XML rows.
    Xml,
}

/// What becomes of lines that a regular expression does not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unmatched {
    /// They are bad rows.
    Reject,
    /// They are passed over.
    Skip,
}

/// A column of the output.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Column {
    /// Its name.
    pub(super) name: String,
    /// Its name in the input, where that is another one.
    #[serde(default)]
    pub(super) from: Option<String>,
    /// What it must hold; a row with anything else is a bad row.
    #[serde(rename = "type", default)]
    pub(super) kind: Type,
    /// How dates and times look in the input, as strftime has it: `%d/%m/%Y %H:%M`. ISO 8601 unless given.
    #[serde(default)]
    pub(super) pattern: Option<String>,
    /// Whether a row without a value is a bad row.
    #[serde(default)]
    pub(super) required: bool,
    /// For `fixed`: the first character, counted from 1.
    #[serde(default)]
    pub(super) at: Option<usize>,
    /// For `fixed`: how many characters.
    #[serde(default)]
    pub(super) len: Option<usize>,
}

/// Where the converted files go.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Output {
    /// The folder; made if it is not there.
    pub(super) dir: String,
    /// What their names begin with: `STATION` makes `STATION_<name of the input>.xml`. Nothing unless given.
    #[serde(default)]
    pub(super) file: Option<String>,
    /// Their format.
    #[serde(default)]
    pub(super) format: Format,
    /// Their compression.
    #[serde(default)]
    pub(super) compress: Compression,
}

fn every_name() -> Patterns {
    "*".parse().expect("a star is a pattern")
}

fn longest() -> Size {
    Size(Limits::default().cell as u64)
}
