//! Upserts in bulk: rows are gathered in a temporary table of the session by LOAD DATA, then merged by statements over all of
//! them. A chunk that does not go as a whole goes by halves, the last few rows one by one.
//!
//! Where the key is the table's only one, ON DUPLICATE KEY UPDATE is exact. Where there are others, it would update whichever
//! row it meets first: there the rows that have the key are updated and the rest is inserted, so that a clash with
//! another key is an error, as it should be.

use super::dialect::Mysql;
use super::fault::{Trouble, is_of_a_row};
use super::plan::{Plan, STAGE, Way};
use super::sorter::{Sorter, copy};
use crate::tabbed::Chunk;
use crate::{Dialect, Result};
use std::ops::Range;

/// So few rows are not worth a stage.
const FEW: usize = 16;

impl Sorter {
    /// Merges a chunk that did not go as a whole.
    pub(super) fn merge(&mut self, chunk: &Chunk) -> Result<()> {
        let middle = chunk.rows.len() / 2;
        let mut stack = vec![middle..chunk.rows.len(), 0..middle];
        while let Some(rows) = stack.pop() {
            if rows.len() <= FEW {
                rows.clone()
                    .try_for_each(|row| self.settle_row(chunk, row))?;
                continue;
            }
            if !self.local || !self.staged {
                self.merge_slowly(chunk, rows)?;
                continue;
            }
            if !self.merge_at_once(chunk, rows.clone())? {
                let middle = rows.start + rows.len() / 2;
                stack.extend([middle..rows.end, rows.start..middle]);
            }
        }
        Ok(())
    }

    /// Without a stage: strict statements of many rows where one key decides, else row by row.
    fn merge_slowly(&mut self, chunk: &Chunk, rows: Range<usize>) -> Result<()> {
        let mut piece = Chunk::default();
        rows.for_each(|row| copy(&mut piece, chunk, row));
        if self.plan.further_keys {
            self.settle_alone(&piece)
        } else {
            self.sort_out(&piece)
        }
    }

    /// Whether all the rows could be merged; else nothing of them was.
    fn merge_at_once(&mut self, chunk: &Chunk, rows: Range<usize>) -> Result<bool> {
        let mut piece = Chunk::default();
        rows.for_each(|row| copy(&mut piece, chunk, row));
        let merged = self.stage_and_merge(&mut piece);
        let merged = merged.map_err(|trouble| self.fault(trouble))?;
        if merged {
            self.rows += u64::try_from(piece.rows.len()).unwrap_or(u64::MAX);
        }
        Ok(merged)
    }

    fn stage_and_merge(&mut self, piece: &mut Chunk) -> Result<bool, Trouble> {
        if !self.make_stage()? {
            return Ok(false);
        }
        self.link.say("SAVEPOINT load_chunk")?;
        let rows = u64::try_from(piece.rows.len()).unwrap_or(u64::MAX);
        let merged = match self.load_data(piece, STAGE)? {
            Some(done) if done.warnings == 0 && done.changed == rows => self.merge_stage()?,
            _ => false,
        };
        if !merged && self.local {
            self.take_back()?;
        }
        Ok(merged)
    }

    /// A fresh stage; `false` where the account may not make one. Temporary tables commit nothing.
    pub(super) fn make_stage(&mut self) -> Result<bool, Trouble> {
        self.drop_stage()?;
        let sql = format!(
            "CREATE TEMPORARY TABLE {STAGE} (`procctl row` INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY) \
             ENGINE=InnoDB AS SELECT {} FROM {} WHERE FALSE",
            self.plan.names(),
            self.plan.table
        );
        match self.link.say(&sql) {
            Ok(_) => self.stage_there = true,
            Err(Trouble::Refused(error)) if matches!(error.code, 1044 | 1142 | 1227) => {
                log::info!(
                    "{}: no temporary table ({})",
                    self.plan.action,
                    error.message
                );
                self.staged = false;
            }
            Err(trouble) => return Err(trouble),
        }
        Ok(self.staged)
    }

    pub(super) fn drop_stage(&mut self) -> Result<(), Trouble> {
        if std::mem::take(&mut self.stage_there) {
            self.link.say(&format!("DROP TEMPORARY TABLE {STAGE}"))?;
        }
        Ok(())
    }

    pub(super) fn merge_stage(&mut self) -> Result<bool, Trouble> {
        let Way::Upsert(key) = self.plan.way.clone() else {
            return Ok(false);
        };
        if self.plan.further_keys {
            // two rows with one key: the later one counts, which needs them in turn
            let doubled = self.link.ask(&doubled(&self.plan, &key))?;
            if !doubled.is_empty() {
                return Ok(false);
            }
        }
        for sql in statements(&self.plan, &key) {
            match self.link.say(&sql) {
                Ok(_) => {}
                Err(Trouble::Refused(error)) if is_of_a_row(error.code) => return Ok(false),
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(true)
    }
}

fn doubled(plan: &Plan, key: &[usize]) -> String {
    let columns = plan.list(key.iter().copied(), ", ", str::to_owned);
    let given = plan.list(key.iter().copied(), " AND ", |name| {
        format!("{name} IS NOT NULL")
    });
    format!("SELECT 1 FROM {STAGE} WHERE {given} GROUP BY {columns} HAVING COUNT(*) > 1 LIMIT 1")
}

/// What merges the stage into the table.
fn statements(plan: &Plan, key: &[usize]) -> Vec<String> {
    let (table, names, brought) = (&plan.table, plan.names(), plan.brought(key));
    let row = Mysql.quote("procctl row");
    if !plan.further_keys {
        let places = if brought.is_empty() {
            key[..1].to_vec()
        } else {
            brought
        };
        let sets = plan.list(places, ", ", |name| format!("{name} = VALUES({name})"));
        return vec![format!(
            "INSERT INTO {table} ({names}) SELECT {names} FROM {STAGE} ORDER BY {row} ON DUPLICATE KEY UPDATE {sets}"
        )];
    }
    let same = plan.list(key.iter().copied(), " AND ", |name| {
        format!("t.{name} = s.{name}")
    });
    let insert = format!(
        "INSERT INTO {table} ({names}) SELECT {names} FROM {STAGE} s \
         WHERE NOT EXISTS (SELECT 1 FROM {table} t WHERE {same}) ORDER BY {row}"
    );
    if brought.is_empty() {
        return vec![insert];
    }
    let sets = plan.list(brought, ", ", |name| format!("t.{name} = s.{name}"));
    vec![
        format!("UPDATE {table} t JOIN {STAGE} s ON {same} SET {sets}"),
        insert,
    ]
}
