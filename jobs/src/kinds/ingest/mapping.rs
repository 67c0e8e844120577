//! Which column of a file goes into which column of the table, and what a cell must look like there. Pure.

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
    ///
    /// # Errors
    /// Two columns of the file that mean the same one of the table: nobody can tell which is right.
    pub(super) fn learn(
        &mut self,
        columns: &[String],
        table: &TableInfo,
    ) -> Result<Growth, String> {
        let mut growth = Growth::None;
        for (source, name) in columns.iter().enumerate().skip(self.seen) {
            let target = table.column(name).filter(|column| !column.generated);
            let Some(column) = target else {
                self.unknown.push(Unknown {
                    source,
                    name: name.clone(),
                    values: 0,
                });
                continue;
            };
            if let Some(lane) = self.lanes.iter().find(|lane| lane.name == column.name) {
                let other = &columns[lane.source];
                return Err(format!(
                    "its columns {other} and {name} both mean the table's column {}",
                    lane.name
                ));
            }
            self.lanes.push(Lane {
                source,
                name: column.name.clone(),
                kind: column.kind,
            });
            growth = Growth::Column;
        }
        self.seen = columns.len();
        Ok(growth)
    }

    /// Whether the reader has met names that [`Mapping::learn`] has not been told.
    pub(super) fn is_behind(&self, columns: &[String]) -> bool {
        columns.len() > self.seen
    }

    /// The table's columns that the file brings, each with the file's name for it.
    pub(super) fn pairs<'n>(
        &'n self,
        columns: &'n [String],
    ) -> impl Iterator<Item = (&'n str, &'n str)> {
        let pair = |lane: &'n Lane| (columns[lane.source].as_str(), lane.name.as_str());
        self.lanes.iter().map(pair)
    }

    /// Names in the file that have no way into the table.
    pub(super) fn unknown(&self) -> impl Iterator<Item = &str> {
        self.unknown.iter().map(|unknown| unknown.name.as_str())
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
        let mut learn = |columns: &[&str]| mapping.learn(&names(columns), &table);
        assert_eq!(learn(&["NAME", "extra"]), Ok(Growth::Column));
        assert_eq!(learn(&["NAME", "extra", "more"]), Ok(Growth::None));
        assert_eq!(learn(&["NAME", "extra", "more", "id"]), Ok(Growth::Column));
        let twice = learn(&["NAME", "extra", "more", "id", "name"]).unwrap_err();
        assert!(twice.contains("NAME and name"), "{twice}");
        assert_eq!(mapping.columns(), ["Name", "id"]);
        let cells = [None, Some(&b"x"[..]), Some(b"y"), Some(b"1")];
        mapping.count_left_out(&Record::of(crate::data::Place::START, cells));
        assert_eq!(
            mapping.left_out().unwrap(),
            "extra (1 value), more (1 value)"
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
}
