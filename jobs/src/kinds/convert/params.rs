//! The parameters of `convert`, and the checks that need no look at the world.

use jobfile::{Interval, List, Patterns};
use schemars::JsonSchema;
use serde::Deserialize;

use super::columns::Target;
use super::value::Type;
use crate::data::{Compression, CsvLayout, Format, Layout, Span, XmlLayout, encoding_of};
use crate::input::Marker;
use crate::job::Invalid;

/// Parameters of `convert`.
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
    /// `row`; `fixed`: columns with `at` and `len`.
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    /// The encoding of the text, any WHATWG name: `gbk`, `windows-1252`, `utf-16le`. A byte order mark wins over it.
    #[serde(default)]
    pub(super) encoding: Option<String>,
    /// Whether the first line of a `csv` names the columns; else they are called `c1`, `c2`, …
    #[serde(default = "yes")]
    pub(super) header: bool,
    /// The character between the fields of a `csv`; `tab` for the tabulator.
    #[serde(default = "comma")]
    pub(super) delimiter: String,
    /// Texts that mean NULL, comma-separated.
    #[serde(default)]
    pub(super) na: List,
    /// For `xml`: the way from the root element to the rows, as `feed/list/item`. Attributes of the row are columns named
    /// `@attribute`.
    #[serde(default)]
    pub(super) row: Option<String>,
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
    /// XML rows.
    Xml,
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
    #[serde(default = "xml")]
    pub(super) format: Format,
    /// Their compression.
    #[serde(default)]
    pub(super) compress: Compression,
}

fn every_name() -> Patterns {
    "*".parse().expect("a star is a pattern")
}

fn yes() -> bool {
    true
}

fn comma() -> String {
    ",".to_owned()
}

fn xml() -> Format {
    Format::Xml
}

/// What the parameters come to.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) layout: Layout,
    pub(super) encoding: Option<&'static encoding_rs::Encoding>,
    pub(super) na: Vec<String>,
    /// `None`: all columns of the input.
    pub(super) targets: Option<Vec<Target>>,
    pub(super) marker: Option<Marker>,
}

impl Params {
    pub(super) fn settle(&self) -> Result<Settings, Invalid> {
        let encoding = match &self.format.encoding {
            None => None,
            Some(name) => Some(encoding_of(name).ok_or_else(|| {
                Invalid::new(
                    "format.encoding",
                    format!(
                        "`{name}` is no encoding; see the WHATWG list, as utf-8, gbk, windows-1252"
                    ),
                )
            })?),
        };
        let marker = match &self.input.marker {
            None => None,
            Some(text) => Some(
                text.parse()
                    .map_err(|e: String| Invalid::new("input.marker", e))?,
            ),
        };
        self.check_output()?;
        Ok(Settings {
            layout: self.layout()?,
            encoding,
            na: self.format.na.0.clone(),
            targets: self.targets()?,
            marker,
        })
    }

    fn layout(&self) -> Result<Layout, Invalid> {
        let format = &self.format;
        if format.row.is_some() && format.kind != Kind::Xml {
            return Err(Invalid::new("format.row", "is for type=\"xml\" only"));
        }
        Ok(match format.kind {
            Kind::Csv => Layout::Csv(CsvLayout {
                delimiter: self.delimiter()?,
                header: format.header,
            }),
            Kind::Json => Layout::Json,
            Kind::Jsonl => Layout::Jsonl,
            Kind::Fixed => Layout::Fixed(self.spans()?),
            Kind::Xml => {
                let way = |row: &String| {
                    row.trim_matches('/')
                        .split('/')
                        .map(str::to_owned)
                        .collect::<Vec<_>>()
                };
                let row = format.row.as_ref().map(way);
                if row
                    .as_ref()
                    .is_some_and(|way| way.len() < 2 || way.iter().any(String::is_empty))
                {
                    let message =
                        "names the elements from the root down to the row, as feed/list/item";
                    return Err(Invalid::new("format.row", message));
                }
                Layout::Xml(XmlLayout { row })
            }
        })
    }

    fn delimiter(&self) -> Result<u8, Invalid> {
        match self.format.delimiter.as_str() {
            "tab" | "\\t" => Ok(b'\t'),
            text => match text.as_bytes() {
                [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
                _ => Err(Invalid::new(
                    "format.delimiter",
                    "must be one ASCII character, or `tab`",
                )),
            },
        }
    }

    fn spans(&self) -> Result<Vec<Span>, Invalid> {
        if self.columns.is_empty() {
            return Err(Invalid::new(
                "column",
                "type=\"fixed\" needs columns with `at` and `len`",
            ));
        }
        let span = |(i, column): (usize, &Column)| match (column.at, column.len) {
            (Some(at), Some(len)) if at > 0 && len > 0 => Ok(Span {
                name: column.name.clone(),
                at,
                len,
            }),
            _ => Err(Invalid::new(
                format!("column[{}].at", i + 1),
                "a fixed column needs `at` and `len`, counted from 1",
            )),
        };
        self.columns.iter().enumerate().map(span).collect()
    }

    fn targets(&self) -> Result<Option<Vec<Target>>, Invalid> {
        for (i, column) in self.columns.iter().enumerate() {
            let wrong = |field: &str, message: &str| {
                Err(Invalid::new(format!("column[{}].{field}", i + 1), message))
            };
            let fixed = self.format.kind == Kind::Fixed;
            let timed = matches!(column.kind, Type::Date | Type::Time | Type::Timestamp);
            if column.name.is_empty()
                || self.columns[..i]
                    .iter()
                    .any(|other| other.name == column.name)
            {
                return wrong(
                    "name",
                    "must be there, and another than every other column's",
                );
            }
            if !fixed && (column.at.is_some() || column.len.is_some()) {
                return wrong("at", "is for type=\"fixed\" only");
            }
            if fixed && column.from.is_some() {
                return wrong("from", "fixed columns have a place, no name, in the input");
            }
            if column.pattern.is_some() && !timed {
                return wrong("pattern", "is for dates and times only");
            }
            if column.pattern.as_deref().is_some_and(is_no_pattern) {
                return wrong("pattern", "is not a pattern that strftime knows");
            }
        }
        let target = |column: &Column| Target {
            name: column.name.clone(),
            from: column.from.clone().unwrap_or_else(|| column.name.clone()),
            kind: column.kind,
            pattern: column.pattern.clone(),
            required: column.required,
        };
        Ok(if self.columns.is_empty() {
            None
        } else {
            Some(self.columns.iter().map(target).collect())
        })
    }

    fn check_output(&self) -> Result<(), Invalid> {
        if self
            .output
            .file
            .as_ref()
            .is_some_and(|file| file.contains('/') || file.starts_with('.'))
        {
            return Err(Invalid::new(
                "output.file",
                "is the beginning of a name, without `/` and not with a dot in front",
            ));
        }
        let own = self.output_name("x");
        if self.output.dir == self.input.dir && self.input.pattern.matches(&own) {
            return Err(Invalid::new(
                "output.dir",
                format!("the input would take its own output, as {own}"),
            ));
        }
        Ok(())
    }

    /// The name of the file that an input of this stem is converted into.
    pub(super) fn output_name(&self, stem: &str) -> String {
        let prefix = self
            .output
            .file
            .as_ref()
            .map_or(String::new(), |file| format!("{file}_"));
        format!(
            "{prefix}{stem}.{}{}",
            self.output.format.ending(),
            self.output.compress.ending()
        )
    }
}

fn is_no_pattern(pattern: &str) -> bool {
    use chrono::format::{Item, StrftimeItems};
    StrftimeItems::new(pattern).any(|item| matches!(item, Item::Error))
}
