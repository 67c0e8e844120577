//! Unique keys as a load meets them: by the places of their columns in a row. Pure.

use crate::{Error, ErrorKind, Result, TableInfo};

impl TableInfo {
    /// Its keys over plain columns and all rows, the primary key first.
    pub fn keys(&self) -> impl Iterator<Item = &Vec<String>> {
        let all = std::iter::once(&self.primary_key).chain(&self.uniques);
        all.filter(|key| !key.is_empty())
    }

    /// Whether these columns, in any order and ASCII case, are one of its keys.
    pub(crate) fn is_key(&self, columns: &[String]) -> bool {
        let among = |name: &String| columns.iter().any(|column| same(column, name));
        self.keys()
            .any(|key| key.len() == columns.len() && key.iter().all(among))
    }

    /// Each key of which rows of these columns bring all: its name for messages, and its places in a row.
    pub(crate) fn keys_among(&self, brought: &[&str]) -> Vec<(String, Vec<usize>)> {
        let place = |name: &String| brought.iter().position(|column| column == name);
        self.keys()
            .filter_map(|key| {
                let places = key.iter().map(place).collect::<Option<_>>()?;
                Some((key.join(", "), places))
            })
            .collect()
    }
}

/// The places of an upsert's key in rows of these columns. A key that they do not bring is an error of `action`.
pub(crate) fn places(key: &[String], brought: &[&str], action: &str) -> Result<Vec<usize>> {
    let invalid = || Error::new(ErrorKind::Invalid, action);
    if key.is_empty() {
        return Err(invalid().because("the key has no columns"));
    }
    let place = |name: &String| {
        let found = brought.iter().position(|column| same(column, name));
        found.ok_or_else(|| {
            let error = invalid().at_column(name);
            error.because("the rows do not bring this column of the key")
        })
    };
    key.iter().map(place).collect()
}

/// The error of an upsert by columns that two rows may share.
pub(crate) fn no_key(columns: &[String], action: &str) -> Error {
    Error::new(ErrorKind::Invalid, action)
        .at_column(columns.join(", "))
        .because("these columns are no unique key of the table")
}

fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_by_their_places_in_a_row() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let info = TableInfo {
            uniques: vec![names(&["a", "b"]), names(&["c"])],
            ..TableInfo::default()
        };
        let brought = ["b", "x", "a"];
        assert_eq!(info.keys().count(), 2);
        assert_eq!(info.keys_among(&brought), [("a, b".to_owned(), vec![2, 0])]);
        let key: Vec<String> = names(&["B", "A"]);
        assert!(info.is_key(&key) && !info.is_key(&key[..1]) && !info.is_key(&[]));
        assert_eq!(places(&key, &brought, "loading").unwrap(), [0, 2]);
        let error = places(&names(&["a", "c"]), &brought, "loading").unwrap_err();
        assert_eq!(error.column(), Some("c"));
        assert!(places(&[], &brought, "loading").is_err());
    }
}
