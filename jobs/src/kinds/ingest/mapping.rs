//! Which column of a file goes into which column of the table, and what a cell must look like there. Pure.

use std::borrow::Cow;

use db::{Kind, TableInfo};

use crate::data::Record;
use crate::job::Count;

/// The way of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lane {
    /// Its place among the file's columns.
    source: usize,
    /// The table's column.
    name: String,
    kind: Kind,
}

/// The columns of a file that the table has, and the names of those that it has not.
#[derive(Debug, Default)]
pub(super) struct Mapping {
    lanes: Vec<Lane>,
    unknown: Vec<Unknown>,
    seen: usize,
}

/// A column of the file that the table lacks, or computes itself.
#[derive(Debug)]
struct Unknown {
    /// Its place among the file's columns.
    source: usize,
    name: String,
    /// How many values were left out with it.
    values: u64,
}

/// What a row brought that the mapping did not know.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// Nothing that matters.
    None,
    /// A column of the table that no row before had.
    Column,
}

impl Mapping {
    /// Takes in the file's columns as far as they are known by now; call it again when there are more.
    pub(super) fn learn(&mut self, columns: &[String], table: &TableInfo) -> Growth {
        let mut growth = Growth::None;
        for (source, name) in columns.iter().enumerate().skip(self.seen) {
            match table.column(name) {
                Some(column)
                    if !column.generated
                        && !self.lanes.iter().any(|lane| lane.name == column.name) =>
                {
                    self.lanes.push(Lane {
                        source,
                        name: column.name.clone(),
                        kind: column.kind,
                    });
                    growth = Growth::Column;
                }
                _ => self.unknown.push(Unknown {
                    source,
                    name: name.clone(),
                    values: 0,
                }),
            }
        }
        self.seen = columns.len();
        growth
    }

    /// Whether the reader has met names that [`Mapping::learn`] has not been told.
    pub(super) fn is_behind(&self, columns: &[String]) -> bool {
        columns.len() > self.seen
    }

    /// The table's columns that the file brings.
    fn columns(&self) -> Vec<String> {
        self.lanes.iter().map(|lane| lane.name.clone()).collect()
    }

    /// As [`Mapping::columns`], and where a file brings none of them, any one that takes the NULLs of its rows.
    pub(super) fn columns_or_any(&self, table: &TableInfo) -> Vec<String> {
        if !self.lanes.is_empty() {
            return self.columns();
        }
        let any = table.columns.iter().find(|column| !column.generated);
        any.map(|column| column.name.clone()).into_iter().collect()
    }

    /// Counts the row's values that have no way into the table.
    pub(super) fn count_left_out(&mut self, record: &Record) {
        for unknown in &mut self.unknown {
            unknown.values += u64::from(record.cell(unknown.source).is_some());
        }
    }

    /// Names in the file that the table lacks, or computes itself, and how many values were left out with each.
    pub(super) fn left_out(&self) -> Option<String> {
        let told =
            |unknown: &Unknown| format!("{} ({})", unknown.name, Count(unknown.values, "value"));
        let told: Vec<String> = self.unknown.iter().map(told).collect();
        (!told.is_empty()).then(|| told.join(", "))
    }

    /// Makes the record's cells what the table's columns expect: bytes that came as base64 become hex for binary columns.
    /// Gives the first column whose bytes are not text though they have to be.
    pub(super) fn prepare(&self, record: &mut Record) -> Option<&str> {
        for lane in &self.lanes {
            if !record.is_raw(lane.source) {
                continue;
            }
            if lane.kind == Kind::Blob {
                record.spell_hex(lane.source);
            } else if record
                .cell(lane.source)
                .is_some_and(|bytes| std::str::from_utf8(bytes).is_err())
            {
                return Some(&lane.name);
            }
        }
        None
    }

    /// The cells of a row in the order of [`Mapping::columns_or_any`].
    pub(super) fn cells<'r>(&self, record: &'r Record) -> Vec<db::Cell<'r>> {
        if self.lanes.is_empty() {
            return vec![None];
        }
        self.lanes
            .iter()
            .map(|lane| spelled(record.cell(lane.source), lane.kind))
            .collect()
    }
}

/// A boolean as numbers write it: JSON says `true`, databases without a boolean type say 1.
fn spelled(cell: db::Cell<'_>, kind: Kind) -> db::Cell<'_> {
    match cell {
        Some(b"true") if kind.is_number() => Some(b"1"),
        Some(b"false") if kind.is_number() => Some(b"0"),
        other => other,
    }
}

/// What types the cells of a column have been so far, for a table that is yet to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guess {
    /// Only NULLs.
    Nothing,
    Integer,
    Real,
    Text,
}

impl Guess {
    /// The guess after one more cell. Leading zeros and signs of telephone numbers make text, for nothing must be lost.
    pub(super) fn and(self, cell: db::Cell<'_>) -> Guess {
        let Some(cell) = cell else { return self };
        let text: Cow<'_, str> = String::from_utf8_lossy(cell);
        let digits = text.strip_prefix('-').unwrap_or(&text);
        let padded = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
        let this =
            if padded || digits.is_empty() || !digits.starts_with(|c: char| c.is_ascii_digit()) {
                Guess::Text
            } else if text.parse::<i64>().is_ok() {
                Guess::Integer
            } else if text.parse::<f64>().is_ok_and(f64::is_finite) {
                Guess::Real
            } else {
                Guess::Text
            };
        match (self, this) {
            (Guess::Nothing, this) => this,
            (Guess::Text, _) | (_, Guess::Text) => Guess::Text,
            (Guess::Real, _) | (_, Guess::Real) => Guess::Real,
            _ => Guess::Integer,
        }
    }

    /// The kind of column that holds all that was seen.
    pub(super) fn kind(self) -> Kind {
        match self {
            Guess::Integer => Kind::Integer,
            Guess::Real => Kind::Real,
            Guess::Nothing | Guess::Text => Kind::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use db::ColumnInfo;

    fn table(columns: &[(&str, Kind)]) -> TableInfo {
        TableInfo {
            columns: columns
                .iter()
                .map(|(name, kind)| ColumnInfo::new(*name, *kind))
                .collect(),
            ..TableInfo::default()
        }
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn columns_are_found_by_name_without_regard_to_case_and_the_rest_is_told() {
        let mut mapping = Mapping::default();
        let table = table(&[("id", Kind::Integer), ("Name", Kind::Text)]);
        assert_eq!(
            mapping.learn(&names(&["NAME", "extra"]), &table),
            Growth::Column
        );
        assert_eq!(
            mapping.learn(&names(&["NAME", "extra", "more"]), &table),
            Growth::None
        );
        assert_eq!(
            mapping.learn(&names(&["NAME", "extra", "more", "id", "name"]), &table),
            Growth::Column
        );
        assert_eq!(mapping.columns(), ["Name", "id"]);
        let cells = [None, Some(&b"x"[..]), Some(b"y"), Some(b"1")];
        mapping.count_left_out(&Record::of(crate::data::Place::START, cells));
        assert_eq!(
            mapping.left_out().unwrap(),
            "extra (1 value), more (1 value), name (0 values)"
        );
    }

    #[test]
    fn rows_without_any_column_are_nulls() {
        let mapping = Mapping::default();
        assert_eq!(
            mapping.columns_or_any(&table(&[("id", Kind::Integer)])),
            ["id"]
        );
        assert_eq!(mapping.cells(&Record::new()), [None]);
        assert_eq!(mapping.left_out(), None);
    }

    #[test]
    fn guesses_never_lose_anything() {
        let guess = |cells: &[&str]| {
            cells.iter().fold(Guess::Nothing, |guess, cell| {
                guess.and(Some(cell.as_bytes()))
            })
        };
        assert_eq!(guess(&["1", "-20"]), Guess::Integer);
        assert_eq!(guess(&["1", "1e3"]), Guess::Real);
        for text in [
            "007",
            "+4930",
            "1 ",
            "",
            "-",
            "nan",
            "inf",
            "0x10",
            "2013-01-01",
        ] {
            assert_eq!(guess(&["1", text]), Guess::Text, "{text}");
        }
        assert_eq!(guess(&["0", "0.5"]), Guess::Real);
        assert_eq!(guess(&["9223372036854775808"]), Guess::Real);
        assert_eq!(Guess::Nothing.and(None).kind(), Kind::Text);
    }
}
