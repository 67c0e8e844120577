//! The slip of an exported file: the key and a hash of each row that is in it. By it rows leave the table, each only if it is still
//! what was written.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use super::batch::Batch;
use super::facts::Facts;
use super::key::KeyText;
use super::passage::{self, Passage, Passed};
use super::stays::Stays;
use crate::context::Context;
use crate::data::{Behind, Column, Compression, Format, Reading, Record, Rows, Step, Writer};
use crate::error::Error;
use crate::link::Link;
use crate::publish::Draft;

/// Begins a slip for keys of so many columns.
pub(super) fn create(cx: &Context, path: &Path, width: usize) -> Result<Behind<Draft>, Error> {
    let draft = Draft::create(&cx.disk(), path, &cx.author())?;
    let mut columns: Vec<Column> = (1..=width)
        .map(|n| Column::text(format!("key{n}")))
        .collect();
    columns.push(Column::text("row"));
    let writer = Writer::new(draft, Format::Csv, Compression::None, &columns)
        .map_err(Error::io("write", path))?;
    Ok(Behind::new(writer, columns.len()))
}

/// Notes a row.
pub(super) fn write(slip: &mut Behind<Draft>, key: &KeyText, hash: &str) -> io::Result<()> {
    let mut cells: Vec<db::Cell<'_>> = key.iter().map(|value| Some(value.as_bytes())).collect();
    cells.push(Some(hash.as_bytes()));
    slip.row(cells.into_iter())
}

/// The first half of the BLAKE3 of a row's cells, NULL told from text.
pub(super) fn hash(cells: &[db::Cell<'_>]) -> String {
    let mut hasher = blake3::Hasher::new();
    for cell in cells {
        let length = cell.map_or(u64::MAX, |text| text.len() as u64);
        hasher.update(&length.to_le_bytes());
        hasher.update(cell.unwrap_or_default());
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

/// A slip that is read.
pub(super) struct Slip<'a> {
    rows: Box<dyn Rows>,
    name: String,
    leaving: Leaving<'a>,
}

impl<'a> Slip<'a> {
    pub(super) fn open(cx: &Context, path: &Path, facts: &'a Facts) -> Result<Slip<'a>, Error> {
        let name = path.display().to_string();
        let input = cx.disk().open(path)?;
        let rows = Reading::of(Format::Csv, "slip.csv")
            .open(input)
            .map_err(|error| Error::Data(format!("{name}: {error}")))?;
        if rows.columns().len() != facts.key.width() + 1 {
            return Err(Error::Data(format!(
                "{name} was written for another key than {}: finish that export with the key that it began with",
                facts.key.names().join(",")
            )));
        }
        let columns = facts.columns();
        Ok(Slip {
            rows,
            name,
            leaving: Leaving {
                places: facts.key_places(&columns),
                columns,
                facts,
            },
        })
    }

    /// The next rows; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Batch>, Error> {
        let width = self.leaving.facts.key.width();
        let mut batch = Batch::default();
        let mut record = Record::new();
        while batch.keys.len() < self.leaving.facts.batch {
            let step = self.rows.read(&mut record);
            match step.map_err(|error| Error::Data(format!("{}: {error}", self.name)))? {
                Step::Row => {}
                Step::Bad(bad) => return Err(Error::Data(format!("{}: {bad}", self.name))),
                Step::End => break,
            }
            let text =
                |at| String::from_utf8_lossy(record.cell(at).unwrap_or_default()).into_owned();
            batch.keys.push((0..width).map(text).collect());
            batch.copies.push(text(width));
        }
        Ok((!batch.keys.is_empty()).then_some(batch))
    }

    /// Lets the rows of a batch leave that are still what was written; tells how many.
    pub(super) fn pass(
        &mut self,
        cx: &Context,
        db: &mut Link,
        batch: &Batch,
        stays: &mut Stays,
    ) -> Result<u64, Error> {
        passage::pass(cx, db, &mut self.leaving, batch, stays)
    }
}

/// Deletes rows that are in a file.
struct Leaving<'a> {
    facts: &'a Facts,
    columns: Vec<String>,
    places: Vec<usize>,
}

impl Passage for Leaving<'_> {
    fn pass(
        &mut self,
        _: &Context,
        db: &mut Link,
        batch: &Batch,
        _: &mut Stays,
    ) -> Result<Passed, Error> {
        let facts = self.facts;
        let copies: HashMap<&KeyText, &String> = batch.keys.iter().zip(&batch.copies).collect();
        db.begin()?;
        let query = facts.locked(&self.columns, facts.among(&batch.keys));
        let mut leaving: Vec<KeyText> = Vec::with_capacity(batch.keys.len());
        let mut rows = db.query(&query.sql, &query.values)?;
        while let Some(row) = rows.fetch()? {
            let cells: Vec<db::Cell<'_>> = row.cells().collect();
            let key = facts.key_of(row, &self.places);
            if copies.get(&key).is_some_and(|copy| **copy == hash(&cells)) {
                leaving.push(key);
            }
        }
        drop(rows);
        let left = if leaving.is_empty() {
            0
        } else {
            let delete = facts.delete(facts.among(&leaving));
            db.execute(&delete.sql, &delete.values)?
        };
        db.commit()?;
        Ok(Passed { left })
    }
}
