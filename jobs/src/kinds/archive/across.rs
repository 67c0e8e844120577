//! Rows that move to another database: locked in the source, copied and committed in the target, deleted and committed in the source.
//!
//! The source's locks are held over the target's commit, so no row can change between copy and deletion. A run that is killed between the two
//! commits leaves rows in both databases; [`Flight`] tells the next run which, and that run makes their copies what the rows are by then,
//! or takes them back where a row is not to leave any more.

use db::{Load, Mode, Reject};

use super::batch::Batch;
use super::facts::{Facts, Statement};
use super::flight::Flight;
use super::key::KeyText;
use super::passage::{Passage, Passed, is_clash};
use super::stays::Stays;
use super::target::{Target, Targets, copy_of, take_back};
use crate::context::Context;
use crate::error::Error;
use crate::link::Link;
use crate::statement::STATEMENT;

/// Moves rows to another database.
pub(super) struct Across<'a> {
    facts: &'a Facts,
    targets: Targets<'a>,
    other: Link,
    flight: Flight,
    /// The target has committed a batch that the source may still have.
    unsettled: bool,
}

/// What a load took.
struct Taken {
    keys: Vec<KeyText>,
    rejects: Vec<Reject>,
}

/// Rows that the target refused.
#[derive(Default)]
struct Sorted {
    /// It has them already, as they are.
    there: Vec<KeyText>,
    /// They stay, for these reasons.
    stay: Vec<(KeyText, String)>,
}

impl Taken {
    /// The keys of rows that were loaded.
    fn loaded(&self) -> Vec<KeyText> {
        let refused: std::collections::HashSet<u64> =
            self.rejects.iter().map(|reject| reject.ordinal).collect();
        let kept = self.keys.iter().zip(0_u64..);
        kept.filter(|(_, ordinal)| !refused.contains(ordinal))
            .map(|(key, _)| key.clone())
            .collect()
    }

    fn key_of(&self, reject: &Reject) -> Option<&KeyText> {
        self.keys.get(usize::try_from(reject.ordinal).ok()?)
    }
}

impl<'a> Across<'a> {
    pub(super) fn new(
        facts: &'a Facts,
        targets: Targets<'a>,
        db: &mut Link,
        mut other: Link,
        job: &str,
    ) -> Result<Across<'a>, Error> {
        let flight = Flight::prepare(&mut *other, job, &facts.name)?;
        if flight.is_in_both(&mut **db, &mut *other)? {
            return Err(Error::Invalid(
                "to-url names the database that the rows are in: leave it out".to_owned(),
            ));
        }
        Ok(Across {
            facts,
            targets,
            other,
            flight,
            unsettled: true,
        })
    }

    /// Goes on with what a run before has begun.
    pub(super) fn recover(&mut self, cx: &Context, db: &mut Link) -> Result<u64, Error> {
        let mut left = 0;
        if let Some(batch) = self.flight.last(&mut *self.other)? {
            let _step = cx.step("go on with rows on their way", STATEMENT);
            left = self.go_on(cx, db, &batch)?;
        }
        self.unsettled = false;
        Ok(left)
    }

    fn go_on(&mut self, cx: &Context, db: &mut Link, batch: &Batch) -> Result<u64, Error> {
        let target = self.targets.there(cx, &mut self.other, &batch.to)?;
        db.begin()?;
        let there = self.still_there(db, batch)?;
        if there.is_empty() {
            db.rollback()?;
            self.flight.note(&mut *self.other, None)?;
            return Ok(0);
        }
        self.other.begin()?;
        let query = self.facts.locked(&target.from, self.facts.still(batch));
        let key = target.key.names();
        let taken = self.load(db, &target, &query, Mode::Upsert { key: &key })?;
        let mut leaving = taken.loaded();
        let altered = self.altered(db, &target, &leaving)?;
        leaving.retain(|key| !altered.iter().any(|(other, _)| other == key));
        let staying: Vec<KeyText> = there
            .into_iter()
            .filter(|key| !leaving.contains(key))
            .collect();
        if !staying.is_empty() {
            let back = take_back(&mut *self.other, &target, &staying)?;
            log::info!(
                "{back} copies were taken back from {}: their rows stay by now",
                target.name
            );
        }
        let on_their_way = Batch {
            keys: leaving.clone(),
            ..batch.clone()
        };
        self.flight.note(&mut *self.other, Some(&on_their_way))?;
        self.delete(db, &leaving)?;
        self.other.commit()?;
        db.commit()?;
        Ok(leaving.len() as u64)
    }

    /// Which rows of a batch are still in the source, locked.
    fn still_there(&self, db: &mut Link, batch: &Batch) -> Result<Vec<KeyText>, Error> {
        let names = self.facts.key.names();
        let places = self.facts.key_places(&names);
        let query = self.facts.locked(&names, self.facts.among(&batch.keys));
        let mut rows = db.query(&query.sql, &query.values)?;
        let mut keys = Vec::new();
        while let Some(row) = rows.fetch()? {
            keys.push(self.facts.key_of(row, &places));
        }
        Ok(keys)
    }

    /// Streams rows from the source into the target.
    fn load(
        &mut self,
        db: &mut Link,
        target: &Target,
        query: &Statement<'_>,
        mode: Mode<'_>,
    ) -> Result<Taken, Error> {
        let places = self.facts.key_places(&target.from);
        let mut rows = db.query(&query.sql, &query.values)?;
        let into = Load {
            table: &target.name,
            columns: &target.into,
            mode,
        };
        let mut loader = self.other.load_known(&into, &target.info)?;
        let mut taken = Taken {
            keys: Vec::new(),
            rejects: Vec::new(),
        };
        while let Some(row) = rows.fetch()? {
            let cells: Vec<db::Cell<'_>> = row.cells().collect();
            loader.push(&cells)?;
            taken.keys.push(self.facts.key_of(row, &places));
            taken.rejects.extend(loader.rejects());
        }
        drop(rows);
        taken.rejects.extend(loader.finish()?.rejects);
        Ok(taken)
    }

    /// Of the rows that the target refused: those that it has already, as they are; and why the others stay.
    fn sort_out(&mut self, target: &Target, taken: &Taken) -> Result<Sorted, Error> {
        let mut sorted = Sorted::default();
        for reject in &taken.rejects {
            let Some(key) = taken.key_of(reject) else {
                continue;
            };
            if !is_clash(&reject.error) {
                sorted.stay.push((key.clone(), said(&reject.error)));
                continue;
            }
            let copy = copy_of(&mut *self.other, target, key)?;
            match copy {
                Some(copy) if target.same(self.facts, &reject.cells, &copy) => {
                    sorted.there.push(key.clone())
                }
                _ => sorted.stay.push((
                    key.clone(),
                    format!("{} has another row of this key", target.name),
                )),
            }
        }
        Ok(sorted)
    }

    /// The rows whose copies are not what was copied, and why.
    fn altered(
        &mut self,
        db: &mut Link,
        target: &Target,
        keys: &[KeyText],
    ) -> Result<Vec<(KeyText, String)>, Error> {
        let doubts = &target.doubts;
        if doubts.is_empty() || keys.is_empty() {
            return Ok(Vec::new());
        }
        let originals = doubts.originals(&mut **db, self.facts, keys)?;
        let copies = doubts.copies(&mut *self.other, target, keys)?;
        let mut altered = doubts.altered(&originals, &copies);
        for (_, why) in &mut altered {
            *why = format!("copied into {}, {why}", target.name);
        }
        Ok(altered)
    }

    fn delete(&self, db: &mut Link, keys: &[KeyText]) -> Result<(), Error> {
        if keys.is_empty() {
            return Ok(());
        }
        let delete = self.facts.delete(self.facts.among(keys));
        let deleted = db.execute(&delete.sql, &delete.values)?;
        if deleted == keys.len() as u64 {
            return Ok(());
        }
        Err(Error::Data(format!(
            "{} rows of {} were to be deleted, the database deleted {deleted}: the transaction is taken back",
            keys.len(),
            self.facts.name
        )))
    }

    /// The end of a pass: nothing is on its way.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        self.flight.note(&mut *self.other, None)
    }
}

fn said(error: &db::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

impl Passage for Across<'_> {
    fn pass(
        &mut self,
        cx: &Context,
        db: &mut Link,
        batch: &Batch,
        stays: &mut Stays,
    ) -> Result<Passed, Error> {
        let before = if self.unsettled {
            self.recover(cx, db)?
        } else {
            0
        };
        let target = self.targets.there(cx, &mut self.other, &batch.to)?;
        db.begin()?;
        self.other.begin()?;
        let query = self.facts.locked(&target.from, self.facts.still(batch));
        let taken = self.load(db, &target, &query, Mode::Append)?;
        if taken.keys.is_empty() {
            db.rollback()?;
            self.other.rollback()?;
            return Ok(Passed { left: before });
        }
        let mut refused = self.sort_out(&target, &taken)?;
        let mut leaving = taken.loaded();
        let altered = self.altered(db, &target, &leaving)?;
        if !altered.is_empty() {
            let keys: Vec<KeyText> = altered.iter().map(|(key, _)| key.clone()).collect();
            take_back(&mut *self.other, &target, &keys)?;
            leaving.retain(|key| !keys.contains(key));
            refused.stay.extend(altered);
        }
        let on_their_way = Batch {
            keys: leaving.clone(),
            ..batch.clone()
        };
        self.flight.note(&mut *self.other, Some(&on_their_way))?;
        leaving.extend(refused.there);
        // a row that may not be deleted shows before its copy is committed
        self.delete(db, &leaving)?;
        self.unsettled = true;
        self.other.commit()?;
        db.commit()?;
        self.unsettled = false;
        for (key, why) in refused.stay {
            stays.stay(&key, &why);
        }
        Ok(Passed {
            left: before + leaving.len() as u64,
        })
    }

    fn give_up(&mut self) -> Result<(), Error> {
        Ok(self.other.rollback()?)
    }
}
