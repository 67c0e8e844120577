//! Rows that leave within one database: deleted, or moved to another table, each batch in one transaction.

use super::batch::Batch;
use super::facts::{Facts, Statement};
use super::key::KeyText;
use super::passage::{Passage, Passed, is_clash};
use super::stays::Stays;
use super::target::{Target, Targets, copy_of, first};
use crate::context::Context;
use crate::error::Error;
use crate::link::Link;

/// Deletes rows that are still to leave: one statement, a transaction of its own.
pub(super) struct Deletion<'a> {
    pub(super) facts: &'a Facts,
}

impl Passage for Deletion<'_> {
    fn pass(
        &mut self,
        _: &Context,
        db: &mut Link,
        batch: &Batch,
        _: &mut Stays,
    ) -> Result<Passed, Error> {
        let delete = self.facts.delete(self.facts.still(batch));
        Ok(Passed {
            left: db.execute(&delete.sql, &delete.values)?,
        })
    }
}

/// Moves rows to another table of the same database.
pub(super) struct Move<'a> {
    pub(super) facts: &'a Facts,
    pub(super) targets: Targets<'a>,
}

impl Passage for Move<'_> {
    fn pass(
        &mut self,
        cx: &Context,
        db: &mut Link,
        batch: &Batch,
        stays: &mut Stays,
    ) -> Result<Passed, Error> {
        let target = self.targets.here(cx, db, &batch.to)?;
        db.begin()?;
        let moved = self.carry(db, &target, batch);
        if let (Err(Error::Database(error)), [only]) = (&moved, batch.keys.as_slice())
            && is_clash(error)
        {
            return self.settle(db, &target, batch, only, stays);
        }
        let left = moved?;
        db.commit()?;
        Ok(Passed { left })
    }
}

impl Move<'_> {
    /// Copies and deletes the rows that are still to leave. They are locked from the copy on; what is deleted is what was copied.
    fn carry(&self, db: &mut Link, target: &Target, batch: &Batch) -> Result<u64, Error> {
        let (facts, dialect) = (self.facts, self.facts.dialect);
        let all = batch.keys.len() as u64;
        if dialect.inserts_locked() {
            let copied = self.copy(db, target, facts.still(batch))?;
            if copied == all {
                self.doubt(db, target, &batch.keys)?;
                self.delete(db, &batch.keys)?;
                return Ok(copied);
            }
            // which rows those were, only a look under lock tells
            db.rollback()?;
            db.begin()?;
            if copied == 0 {
                return Ok(0);
            }
        }
        let names = facts.key.names();
        let places = facts.key_places(&names);
        let query = facts.locked(&names, facts.still(batch));
        let mut keys: Vec<KeyText> = Vec::with_capacity(batch.keys.len());
        let mut rows = db.query(&query.sql, &query.values)?;
        while let Some(row) = rows.fetch()? {
            keys.push(facts.key_of(row, &places));
        }
        drop(rows);
        if keys.is_empty() {
            return Ok(0);
        }
        let copied = self.copy(db, target, facts.among(&keys))?;
        if copied != keys.len() as u64 {
            return Err(Error::TryAgain(format!(
                "{} rows of {} were locked, {copied} copied: the transaction is taken back",
                keys.len(),
                facts.name
            )));
        }
        self.doubt(db, target, &keys)?;
        self.delete(db, &keys)?;
        Ok(copied)
    }

    /// Looks at copies that may not be what was copied; the first such one is an error of its row.
    fn doubt(&self, db: &mut Link, target: &Target, keys: &[KeyText]) -> Result<(), Error> {
        let doubts = &target.doubts;
        if doubts.is_empty() {
            return Ok(());
        }
        let originals = doubts.originals(&mut **db, self.facts, keys)?;
        let copies = doubts.copies(&mut **db, target, keys)?;
        match doubts.altered(&originals, &copies).pop() {
            None => Ok(()),
            Some((_, why)) => {
                let action = format!("copying into {}: {why}", target.name);
                Err(db::Error::new(db::ErrorKind::Type, action).into())
            }
        }
    }

    fn copy(&self, db: &mut Link, target: &Target, of: Statement<'_>) -> Result<u64, Error> {
        let copy = self.facts.copy(&target.sql, &target.from, &target.into, of);
        Ok(db.execute(&copy.sql, &copy.values)?)
    }

    fn delete(&self, db: &mut Link, keys: &[KeyText]) -> Result<(), Error> {
        let delete = self.facts.delete(self.facts.among(keys));
        let deleted = db.execute(&delete.sql, &delete.values)?;
        if deleted == keys.len() as u64 {
            return Ok(());
        }
        // a trigger or a rule of the database keeps rows
        Err(Error::Data(format!(
            "{} rows of {} were to be deleted, the database deleted {deleted}: the transaction is taken back",
            keys.len(),
            self.facts.name
        )))
    }

    /// The target has a row of this key already: if it is the same row, the source's may leave.
    fn settle(
        &self,
        db: &mut Link,
        target: &Target,
        batch: &Batch,
        key: &KeyText,
        stays: &mut Stays,
    ) -> Result<Passed, Error> {
        db.rollback()?;
        db.begin()?;
        let query = self.facts.locked(&target.from, self.facts.still(batch));
        let row = first(&mut **db, &query)?;
        let copy = copy_of(&mut **db, target, key)?;
        let left = match (row, copy) {
            (None, _) => 0,
            (Some(row), Some(copy)) if target.same(self.facts, &row, &copy) => {
                self.delete(db, &batch.keys)?;
                if copy_of(&mut **db, target, key)?.is_none() {
                    let why = format!("{} is {} itself", target.name, self.facts.name);
                    return Err(Error::Invalid(why));
                }
                1
            }
            (Some(_), _) => {
                stays.stay(key, &format!("{} has another row of this key", target.name));
                0
            }
        };
        db.commit()?;
        Ok(Passed { left })
    }
}
