//! Copies that are not what was copied. Some columns of a target may take values otherwise than they are, rounded or cut, and no database says a
//! word about it. Targets with such columns are looked at again, each batch in the transaction that has copied it.

use std::collections::HashMap;

use db::{Connection, Dialect, TableInfo};

use super::facts::{Facts, Statement};
use super::key::{self, Key, KeyText};
use super::target::{Cells, Target};
use crate::error::Error;
use crate::likeness::{Even, Side, may_alter};

/// The columns of a target that may alter values; most targets have none.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    columns: Vec<Doubt>,
    /// How the columns of the key are held against each other.
    key: Vec<Even>,
}

#[derive(Debug)]
struct Doubt {
    from: String,
    into: String,
    even: Even,
}

/// A row: its key and the cells that are doubtful.
type Seen = (KeyText, Cells);

impl Doubts {
    /// Of the columns that are copied, by their names there and here, those that may alter values.
    pub(super) fn between(
        facts: &Facts,
        (dialect, info): (&'static dyn Dialect, &TableInfo),
        (from, into): (&[String], &[String]),
        key: &Key,
    ) -> Doubts {
        let source = Side {
            dialect: facts.dialect,
            info: &facts.info,
        };
        let target = Side { dialect, info };
        let doubt = |(from, into): (&String, &String)| {
            let (there, here) = (facts.info.column(from)?, info.column(into)?);
            may_alter(&source, &target, there, here).then(|| Doubt {
                from: from.clone(),
                into: into.clone(),
                even: Even::between(there, here),
            })
        };
        let keys = facts.key.0.iter().zip(&key.0);
        Doubts {
            columns: from.iter().zip(into).filter_map(doubt).collect(),
            key: keys
                .map(|(there, here)| Even::between(there, here))
                .collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The rows of these keys, as they are in the source.
    pub(super) fn originals(
        &self,
        db: &mut dyn Connection,
        facts: &Facts,
        keys: &[KeyText],
    ) -> Result<Vec<Seen>, Error> {
        let mut columns = facts.key.names();
        columns.extend(self.columns.iter().map(|doubt| doubt.from.clone()));
        // under the locks that the copies were made with: what was copied, not an older snapshot of it
        let query = facts.locked(&columns, facts.among(keys));
        self.read(db, &query)
    }

    /// Their copies.
    pub(super) fn copies(
        &self,
        db: &mut dyn Connection,
        target: &Target,
        keys: &[KeyText],
    ) -> Result<Vec<Seen>, Error> {
        let mut columns = target.key.names();
        columns.extend(self.columns.iter().map(|doubt| doubt.into.clone()));
        let quoted: Vec<String> = columns
            .iter()
            .map(|name| target.dialect.quote(name))
            .collect();
        let query = Statement {
            sql: format!(
                "SELECT {} FROM {} WHERE {}",
                quoted.join(", "),
                target.sql,
                target.key.among(target.dialect, keys, 1)
            ),
            values: key::cells(keys),
        };
        self.read(db, &query)
    }

    fn read(&self, db: &mut dyn Connection, query: &Statement<'_>) -> Result<Vec<Seen>, Error> {
        let mut seen = Vec::new();
        let mut rows = db.query(&query.sql, &query.values)?;
        while let Some(row) = rows.fetch()? {
            let mut cells = row.cells();
            let key = cells.by_ref().take(self.key.len());
            let key = key
                .map(|cell| String::from_utf8_lossy(cell.unwrap_or_default()).into_owned())
                .collect();
            seen.push((key, cells.map(|cell| cell.map(<[u8]>::to_vec)).collect()));
        }
        Ok(seen)
    }

    /// The rows whose copies are not what they are, and how they differ.
    pub(super) fn altered(&self, originals: &[Seen], copies: &[Seen]) -> Vec<(KeyText, String)> {
        let even_key = |key: &KeyText| -> Vec<Vec<u8>> {
            let texts = key.iter().zip(&self.key);
            texts
                .map(|(text, even)| evened(*even, text.as_bytes()))
                .collect()
        };
        let mut by_key: HashMap<Vec<Vec<u8>>, Vec<&Cells>> = HashMap::new();
        for (key, cells) in copies {
            by_key.entry(even_key(key)).or_default().push(cells);
        }
        let mut altered = Vec::new();
        for (key, cells) in originals {
            let there = by_key.get(&even_key(key)).map(Vec::as_slice);
            let differs = there
                .unwrap_or_default()
                .iter()
                .map(|copy| self.differs(cells, copy));
            // a table without a key may have older rows of the same one
            let why = match differs.reduce(Option::and) {
                Some(None) => continue,
                Some(Some(why)) => why,
                None => "its copy has another key".to_owned(),
            };
            altered.push((key.clone(), why));
        }
        altered
    }

    /// The first column in which a copy is not its row.
    fn differs(&self, row: &Cells, copy: &Cells) -> Option<String> {
        let mut cells = self.columns.iter().zip(row.iter().zip(copy));
        let even = |doubt: &Doubt, cell: &Option<Vec<u8>>| {
            cell.as_deref().map(|text| evened(doubt.even, text))
        };
        let (doubt, (one, other)) =
            cells.find(|(doubt, (one, other))| even(doubt, one) != even(doubt, other))?;
        let shown = |cell: &Option<Vec<u8>>| match cell {
            Some(text) => String::from_utf8_lossy(text).into_owned(),
            None => "NULL".to_owned(),
        };
        Some(format!(
            "{} {} becomes {}",
            doubt.into,
            shown(one),
            shown(other)
        ))
    }
}

fn evened(even: Even, text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    even.write(text, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(rows: &[(&str, &str)]) -> Vec<Seen> {
        let row = |(key, cell): &(&str, &str)| {
            (
                vec![(*key).to_owned()],
                vec![Some(cell.as_bytes().to_vec())],
            )
        };
        rows.iter().map(row).collect()
    }

    #[test]
    fn a_copy_that_was_rounded_shows_and_one_that_is_written_otherwise_does_not() {
        let doubts = Doubts {
            columns: vec![Doubt {
                from: "amount".to_owned(),
                into: "sum".to_owned(),
                even: Even::Number,
            }],
            key: vec![Even::Number],
        };
        let originals = seen(&[("1", "12.3456"), ("2", "12.50"), ("3", "7"), ("4", "8")]);
        let copies = seen(&[("1.0", "12.35"), ("2", "12.5"), ("3", "0"), ("3", "7.00")]);
        let altered = doubts.altered(&originals, &copies);
        let told: Vec<_> = altered
            .iter()
            .map(|(key, why)| (key[0].as_str(), why.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("1", "sum 12.3456 becomes 12.35"),
                ("4", "its copy has another key")
            ]
        );
    }
}
