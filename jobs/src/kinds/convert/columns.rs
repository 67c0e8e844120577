//! Which column of the input becomes which of the output, and the checks on the way. Pure: rows in, cells out.

use db::Cell;

use super::value::Type;
use crate::data::{BadRow, Column, Form, Record};

/// One column of the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) name: String,
    /// Its name in the input.
    pub(super) from: String,
    pub(super) kind: Type,
    /// How dates and times look in the input (strftime).
    pub(super) pattern: Option<String>,
    /// Whether NULL makes the row a bad one.
    pub(super) required: bool,
}

impl Target {
    /// A column that is taken over as it stands.
    pub(super) fn same(name: &str) -> Target {
        Target {
            name: name.to_owned(),
            from: name.to_owned(),
            kind: Type::Text,
            pattern: None,
            required: false,
        }
    }
}

/// Where the value of a target is after a row was taken.
#[derive(Clone, Copy)]
enum Value {
    Null,
    Record(usize),
    Written { start: usize, end: usize },
}

/// The way from a file's rows to the output's.
pub(super) struct Mapping {
    targets: Vec<Target>,
    /// The input's column of each target; `None` until a row brings it.
    sources: Vec<Option<usize>>,
    /// Input columns looked at so far.
    known: usize,
    /// Texts that mean NULL.
    na: Vec<String>,
    values: Vec<Value>,
    written: Vec<u8>,
}

impl Mapping {
    pub(super) fn new(targets: Vec<Target>, na: Vec<String>) -> Mapping {
        let sources = vec![None; targets.len()];
        Mapping {
            targets,
            sources,
            known: 0,
            na,
            values: Vec::new(),
            written: Vec::new(),
        }
    }

    /// The columns of the file to be written.
    pub(super) fn columns(&self) -> Vec<Column> {
        let form = |kind| match kind {
            Type::Integer | Type::Decimal | Type::Real => Form::Number,
            Type::Boolean => Form::Boolean,
            Type::Text | Type::Date | Type::Time | Type::Timestamp => Form::Text,
        };
        self.targets
            .iter()
            .map(|target| Column {
                name: target.name.clone(),
                form: form(target.kind),
            })
            .collect()
    }

    /// Learns the input's columns; the list only grows.
    pub(super) fn learn(&mut self, columns: &[String]) {
        for (at, name) in columns.iter().enumerate().skip(self.known) {
            for (source, target) in self.sources.iter_mut().zip(&self.targets) {
                if target.from == *name {
                    *source = Some(at);
                }
            }
        }
        self.known = columns.len();
    }

    /// Names that the input ought to have and has not brought.
    pub(super) fn missing(&self) -> Vec<&str> {
        let absent = self
            .sources
            .iter()
            .zip(&self.targets)
            .filter(|(source, _)| source.is_none());
        absent.map(|(_, target)| target.from.as_str()).collect()
    }

    /// Takes a row: checks and writes its values. What is wrong with it comes back.
    pub(super) fn take(&mut self, record: &Record) -> Result<(), BadRow> {
        self.values.clear();
        self.written.clear();
        for (source, target) in self.sources.iter().zip(&self.targets) {
            let found = source.and_then(|at| record.cell(at).map(|cell| (at, cell)));
            let value = match found {
                Some((at, cell)) if !self.is_na(cell) => check(target, at, cell, &mut self.written)
                    .map_err(|reason| {
                        BadRow::new(record.place(), reason).at(&target.from, Some(cell))
                    })?,
                _ => Value::Null,
            };
            if target.required && matches!(value, Value::Null) {
                return Err(
                    BadRow::new(record.place(), "no value where there must be one")
                        .at(&target.from, None),
                );
            }
            self.values.push(value);
        }
        Ok(())
    }

    /// Whether the text means NULL.
    fn is_na(&self, cell: &[u8]) -> bool {
        let text = cell.trim_ascii();
        self.na.iter().any(|na| na.as_bytes() == text)
    }

    /// The cells of the row that [`Mapping::take`] took.
    pub(super) fn cells<'a>(&'a self, record: &'a Record) -> Vec<Cell<'a>> {
        let cell = |value: &Value| match *value {
            Value::Null => None,
            Value::Record(at) => record.cell(at),
            Value::Written { start, end } => Some(&self.written[start..end]),
        };
        self.values.iter().map(cell).collect()
    }
}

fn check(
    target: &Target,
    at: usize,
    cell: &[u8],
    written: &mut Vec<u8>,
) -> Result<Value, &'static str> {
    if target.kind == Type::Text {
        return Ok(Value::Record(at));
    }
    let text = std::str::from_utf8(cell).map_err(|_| "bytes where there should be text")?;
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    let start = written.len();
    target
        .kind
        .write(text, target.pattern.as_deref(), written)?;
    Ok(Value::Written {
        start,
        end: written.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Format, Reading, Step};

    #[test]
    fn maps_checks_and_nulls() {
        let typed = Target {
            kind: Type::Decimal,
            ..Target::same("纬度")
        };
        let targets = vec![
            Target {
                name: "lat".into(),
                ..typed
            },
            Target {
                required: true,
                ..Target::same("id")
            },
        ];
        let mut mapping = Mapping::new(targets, vec!["NA".into(), "-".into()]);
        let input = "id,纬度\n1, +1.50 \n2,NA\n3,north\nNA,2\n4,\"\"\n";
        let mut rows = Reading::of(Format::Csv, "")
            .open(Box::new(input.as_bytes()))
            .unwrap();
        mapping.learn(rows.columns());
        assert!(mapping.missing().is_empty());
        let mut record = Record::new();
        let mut seen = Vec::new();
        while let Step::Row = rows.read(&mut record).unwrap() {
            seen.push(match mapping.take(&record) {
                Ok(()) => mapping
                    .cells(&record)
                    .iter()
                    .map(|c| c.map_or("NULL".into(), String::from_utf8_lossy))
                    .collect::<Vec<_>>()
                    .join("|"),
                Err(bad) => bad.to_string(),
            });
        }
        assert_eq!(seen[..2], ["1.50|1", "NULL|2"]);
        assert_eq!(
            seen[2],
            "row 3, line 4, byte 25, column 纬度: not a decimal number"
        );
        assert!(seen[3].ends_with("no value where there must be one"));
        assert_eq!(seen[4], "NULL|4");
    }
}
