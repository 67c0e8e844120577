//! What the parameters come to, and the checks that need no look at the world.

use std::collections::HashSet;

use super::columns::Target;
use super::params::{Column, Kind, Params, Unmatched};
use super::value::Type;
use crate::data::{
    Asides, BadFile, CsvLayout, Layout, Limits, Pattern, Place, Reading, SheetLayout, Span,
    XmlLayout, encoding_of,
};
use crate::input::Marker;
use crate::job::Invalid;

/// Bytes that a row may take beyond its longest cell.
const ROW: usize = 30 << 20;

/// What the parameters come to.
#[derive(Debug)]
pub(super) struct Settings {
    layout: Layout,
    encoding: Option<&'static encoding_rs::Encoding>,
    asides: Asides,
    limits: Limits,
    pub(super) na: Vec<String>,
    /// `None`: all columns of the input.
    pub(super) targets: Option<Vec<Target>>,
    pub(super) marker: Option<Marker>,
}

impl Settings {
    /// How a file of that name is to be read.
    pub(super) fn reading(&self, name: &str) -> Reading {
        Reading {
            encoding: self.encoding,
            asides: self.asides.clone(),
            limits: self.limits,
            ..Reading::of(self.layout.clone(), name)
        }
    }

    /// Tells a file that is too long to be looked at.
    pub(super) fn check_length(&self, length: u64) -> Result<(), BadFile> {
        let most = self.limits.workbook as u64;
        if !self.is_text() && length > most {
            let reason = format!("the workbook is larger than {most} bytes");
            return Err(BadFile::content(Place::of_row(0), reason));
        }
        Ok(())
    }

    /// Whether files name all their columns before the first row; else a whole file must be read to know them.
    pub(super) fn has_fixed_columns(&self) -> bool {
        self.layout.has_fixed_columns()
    }

    /// The encoding that the job file names.
    pub(super) fn encoding(&self) -> Option<&'static encoding_rs::Encoding> {
        self.encoding
    }

    /// Whether the files are text at all.
    pub(super) fn is_text(&self) -> bool {
        !matches!(self.layout, Layout::Sheet(_))
    }
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
        self.check_format()?;
        let layout = self.layout()?;
        self.check_columns(&layout)?;
        Ok(Settings {
            layout,
            encoding,
            asides: self.asides()?,
            limits: self.limits()?,
            na: self.format.na.0.clone(),
            targets: self.targets(),
            marker,
        })
    }

    /// Refuses what belongs to another format.
    fn check_format(&self) -> Result<(), Invalid> {
        let format = &self.format;
        let lines = &[Kind::Csv, Kind::Fixed, Kind::Regex][..];
        let texts = [Kind::Json, Kind::Jsonl, Kind::Xml];
        for (name, given, kinds) in [
            (
                "encoding",
                format.encoding.is_some(),
                &[lines, &texts].concat()[..],
            ),
            ("header", format.header.is_some(), &[Kind::Csv, Kind::Xlsx]),
            ("delimiter", format.delimiter.is_some(), &[Kind::Csv]),
            ("quote", format.quote.is_some(), &[Kind::Csv]),
            (
                "skip",
                format.skip.is_some(),
                &[lines, &[Kind::Xlsx]].concat(),
            ),
            ("comment", format.comment.is_some(), lines),
            ("row", format.row.is_some(), &[Kind::Xml]),
            ("pattern", format.pattern.is_some(), &[Kind::Regex]),
            ("unmatched", format.unmatched.is_some(), &[Kind::Regex]),
            ("sheet", format.sheet.is_some(), &[Kind::Xlsx]),
        ] {
            if given && !kinds.contains(&format.kind) {
                let kinds: Vec<String> = kinds
                    .iter()
                    .map(|kind| format!("{kind:?}").to_lowercase())
                    .collect();
                let own = format!("{:?}", format.kind).to_lowercase();
                let message = format!(
                    "is for type {} and means nothing for type=\"{own}\"",
                    kinds.join(", ")
                );
                return Err(Invalid::new(format!("format.{name}"), message));
            }
        }
        Ok(())
    }

    fn layout(&self) -> Result<Layout, Invalid> {
        let format = &self.format;
        let header = format.header.unwrap_or(true);
        Ok(match format.kind {
            Kind::Csv => Layout::Csv(self.csv(header)?),
            Kind::Json => Layout::Json,
            Kind::Jsonl => Layout::Jsonl,
            Kind::Fixed => Layout::Fixed(self.spans()?),
            Kind::Regex => Layout::Lines(self.pattern()?),
            Kind::Xlsx => Layout::Sheet(SheetLayout {
                sheet: format.sheet.clone(),
                header,
            }),
            Kind::Xml => Layout::Xml(XmlLayout {
                row: format.row.as_deref().map(way).transpose()?,
            }),
        })
    }

    fn csv(&self, header: bool) -> Result<CsvLayout, Invalid> {
        let delimiter = match self.format.delimiter.as_deref().unwrap_or(",") {
            "tab" | "\\t" | "\t" => b'\t',
            "space" => b' ',
            // A tabulator in an attribute is a blank to every XML parser.
            " " => {
                let message = "a blank is written as `space`, a tabulator as `tab`";
                return Err(Invalid::new("format.delimiter", message));
            }
            text => character(text).ok_or_else(|| {
                Invalid::new(
                    "format.delimiter",
                    "must be one ASCII character, `tab` or `space`",
                )
            })?,
        };
        let quote = match self.format.quote.as_deref().unwrap_or("\"") {
            "none" => None,
            text => Some(
                character(text)
                    .filter(|quote| *quote != delimiter)
                    .ok_or_else(|| {
                        let message =
                            "must be one ASCII character, another than the delimiter, or `none`";
                        Invalid::new("format.quote", message)
                    })?,
            ),
        };
        if Some(delimiter) == quote {
            return Err(Invalid::new(
                "format.delimiter",
                "must be another character than the quote",
            ));
        }
        Ok(CsvLayout {
            delimiter,
            header,
            quote,
        })
    }

    fn pattern(&self) -> Result<Pattern, Invalid> {
        let Some(text) = &self.format.pattern else {
            return Err(Invalid::new(
                "format.type",
                "type=\"regex\" needs a `pattern`",
            ));
        };
        let skips = self.format.unmatched == Some(Unmatched::Skip);
        Pattern::new(text, skips).map_err(|message| Invalid::new("format.pattern", message))
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

    fn asides(&self) -> Result<Asides, Invalid> {
        let comment = self.format.comment.clone();
        if comment
            .as_ref()
            .is_some_and(|mark| mark.is_empty() || mark.len() > 100)
        {
            let message = "must be a few characters that a comment begins with";
            return Err(Invalid::new("format.comment", message));
        }
        Ok(Asides {
            skip: self.format.skip.unwrap_or_default(),
            comment,
        })
    }

    fn limits(&self) -> Result<Limits, Invalid> {
        let cell = usize::try_from(self.format.max_cell.0).unwrap_or(usize::MAX);
        if !(1 << 10..=1 << 30).contains(&cell) {
            return Err(Invalid::new(
                "format.max-cell",
                "must lie between 1K and 1G",
            ));
        }
        Ok(Limits {
            cell,
            row: cell + ROW,
            line: cell.min(Limits::default().line),
            ..Limits::default()
        })
    }

    fn check_columns(&self, layout: &Layout) -> Result<(), Invalid> {
        let mut names = HashSet::new();
        for (i, column) in self.columns.iter().enumerate() {
            let wrong = |field: &str, message: &str| {
                Err(Invalid::new(format!("column[{}].{field}", i + 1), message))
            };
            let fixed = self.format.kind == Kind::Fixed;
            let timed = matches!(column.kind, Type::Date | Type::Time | Type::Timestamp);
            if column.name.is_empty() || !names.insert(&column.name) {
                return wrong(
                    "name",
                    "must be there, and another than every other column's",
                );
            }
            if !fixed && column.at.is_some() {
                return wrong("at", "is for type=\"fixed\" only");
            }
            if !fixed && column.len.is_some() {
                return wrong("len", "is for type=\"fixed\" only");
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
            if let Layout::Lines(pattern) = layout {
                let from = column.from.as_ref().unwrap_or(&column.name);
                if !pattern.columns().any(|group| group == from) {
                    let field = if column.from.is_some() {
                        "from"
                    } else {
                        "name"
                    };
                    return wrong(field, "is no named group of the pattern");
                }
            }
        }
        Ok(())
    }

    fn targets(&self) -> Option<Vec<Target>> {
        let target = |column: &Column| Target {
            name: column.name.clone(),
            from: column.from.clone().unwrap_or_else(|| column.name.clone()),
            kind: column.kind,
            pattern: column.pattern.clone(),
            required: column.required,
        };
        (!self.columns.is_empty()).then(|| self.columns.iter().map(target).collect())
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

/// One ASCII character that no line ends with.
fn character(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !byte.is_ascii_control() && *byte != b' ' => Some(*byte),
        _ => None,
    }
}

/// The names of elements on the way to the rows.
fn way(row: &str) -> Result<Vec<String>, Invalid> {
    let path = row.strip_prefix('/').unwrap_or(row);
    let way: Vec<String> = path.split('/').map(str::to_owned).collect();
    if way.iter().any(String::is_empty) {
        let message = "names the elements from the root down to the row, as feed/list/item";
        return Err(Invalid::new("format.row", message));
    }
    Ok(way)
}
