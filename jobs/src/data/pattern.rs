//! Lines that a regular expression takes apart: its named groups are the columns.

use regex::{CaptureLocations, Regex, RegexBuilder};

use super::fault::{BadFile, BadRow, Place};
use super::lines::{Asides, Lines};
use super::record::{Columns, Record};
use super::text::Text;
use super::{Limits, Rows, Step};

/// Memory that a compiled expression may take, in bytes.
const COMPILED: usize = 4 << 20;

/// How lines are taken apart.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    /// Whether lines that do not match are passed over, and are no bad rows.
    pub skips: bool,
}

impl Pattern {
    /// Reads an expression in the syntax of the crate `regex`, as `^(?<ip>\S+) (?<path>.*)$`.
    ///
    /// # Errors
    /// What is wrong with it, a fragment for people.
    pub fn new(text: &str, skips: bool) -> Result<Pattern, String> {
        let regex = RegexBuilder::new(text)
            .size_limit(COMPILED)
            .build()
            .map_err(|e| match e {
                regex::Error::CompiledTooBig(_) => "is too large when compiled".to_owned(),
                // The last line says what is wrong; those before draw the place with a caret.
                other => {
                    let text = other.to_string();
                    let last = text.lines().last().unwrap_or_default();
                    format!(
                        "is no regular expression: {}",
                        last.trim_start_matches("error: ")
                    )
                }
            })?;
        if regex.capture_names().flatten().next().is_none() {
            return Err("has no named group: each column is one, as (?<name>…)".to_owned());
        }
        Ok(Pattern { regex, skips })
    }

    /// The columns it makes, in order.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.regex.capture_names().flatten()
    }
}

/// Rows of a file of such lines. A group that took no part in a match is NULL.
pub(super) struct Reader {
    lines: Lines,
    most: usize,
    pattern: Pattern,
    /// The number of the group that each column is.
    groups: Vec<usize>,
    columns: Columns,
    found: CaptureLocations,
}

impl Reader {
    pub(super) fn open(
        text: Text,
        pattern: &Pattern,
        asides: &Asides,
        limits: Limits,
    ) -> Result<Reader, BadFile> {
        let mut columns = Columns::default();
        let mut groups = Vec::new();
        for (group, name) in pattern.regex.capture_names().enumerate() {
            if let Some(name) = name {
                columns.add(name);
                groups.push(group);
            }
        }
        Ok(Reader {
            lines: Lines::open(text, asides)?,
            most: limits.line.min(limits.row),
            found: pattern.regex.capture_locations(),
            pattern: pattern.clone(),
            groups,
            columns,
        })
    }

    /// Fills the record from the line; `false` when it does not match.
    fn take_apart(&mut self, record: &mut Record) -> bool {
        let line = std::str::from_utf8(self.lines.line()).expect("decoded text is UTF-8");
        let regex = &self.pattern.regex;
        if regex.captures_read(&mut self.found, line).is_none() {
            return false;
        }
        for (column, &group) in self.groups.iter().enumerate() {
            record.open_cell();
            match self.found.get(group) {
                Some((start, end)) => {
                    record
                        .buffer()
                        .extend_from_slice(&line.as_bytes()[start..end]);
                    record.close_text(column);
                }
                None => record.close_null(column),
            }
        }
        true
    }
}

impl Rows for Reader {
    fn columns(&self) -> &[String] {
        self.columns.names()
    }

    fn read(&mut self, record: &mut Record) -> Result<Step, BadFile> {
        loop {
            let Some(begin) = self.lines.take(|_| self.most)? else {
                return Ok(Step::End);
            };
            record.restart(begin);
            let reason = match self.lines.undecodable(begin) {
                Some(reason) => reason,
                None if self.take_apart(record) => return Ok(Step::Row),
                None if self.pattern.skips => continue,
                None => "the line does not match the pattern".to_owned(),
            };
            let bad = BadRow::new(begin, reason).with_text(self.lines.line());
            return Ok(Step::Bad(Box::new(bad)));
        }
    }

    fn place(&self) -> Place {
        self.lines.place()
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;
    use crate::data::{Layout, Reading, Record, Step};

    const ACCESS: &str = r#"^(?<ip>\S+) \S+ (?<user>\S+) \[(?<at>[^]]+)\] "(?<line>[^"]*)" (?<status>\d{3})(?: (?<bytes>\d+))?"#;
    const LOG: &str = "1.2.3.4 - bob [21/Nov/2026:10:00:00 +0000] \"GET / HTTP/1.1\" 200 512\r\n# odd\n\
        ::1 - - [21/Nov/2026:10:00:01 +0000] \"\" 404\n";

    fn read(skips: bool) -> Vec<String> {
        let layout = Layout::Lines(Pattern::new(ACCESS, skips).unwrap());
        let mut rows = Reading::of(layout, "")
            .open(Box::new(LOG.as_bytes()))
            .unwrap();
        assert_eq!(
            rows.columns(),
            ["ip", "user", "at", "line", "status", "bytes"]
        );
        let mut record = Record::new();
        let mut seen = Vec::new();
        loop {
            seen.push(match rows.read(&mut record).unwrap() {
                Step::End => return seen,
                Step::Bad(bad) => format!(
                    "{bad}: {}",
                    String::from_utf8_lossy(&bad.text.clone().unwrap())
                ),
                Step::Row => [0, 3, 4, 5]
                    .map(|i| {
                        record
                            .cell(i)
                            .map_or("NULL".into(), String::from_utf8_lossy)
                    })
                    .join("|"),
            });
        }
    }

    #[test]
    fn groups_are_columns_and_other_lines_are_told() {
        assert_eq!(
            read(false),
            [
                "1.2.3.4|GET / HTTP/1.1|200|512",
                "row 2, line 2, byte 69: the line does not match the pattern: # odd",
                "::1||404|NULL"
            ]
        );
        assert_eq!(
            read(true),
            ["1.2.3.4|GET / HTTP/1.1|200|512", "::1||404|NULL"]
        );
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        for (text, word) in [
            ("(?<a>x", "unclosed group"),
            ("abc", "no named group"),
            (r"(?<a>\w{1000}{1000})", "too large"),
            ("(?<a>x)(?<a>y)", "duplicate"),
        ] {
            let error = Pattern::new(text, false).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
