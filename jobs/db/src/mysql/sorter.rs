//! The bulk path, the side that has the session: takes chunks whole where the server takes them whole, and finds out which
//! rows it does not take.
//!
//! LOAD DATA LOCAL bends bad values and leaves out doubled keys, and only counts warnings. A chunk without any is exact, and
//! costs a savepoint. Of a chunk with warnings the server tells row and code: rows left out for their key are refused, or
//! skipped, and the rest is exact as it stands; for anything else the chunk is taken back and sent again without the rows
//! that were bent, which are then inserted alone, strictly. Where rows cannot be told, `refused.rs` finds them by halves.

use super::fault::{Trouble, forbids_local, is_of_a_row};
use super::link::{Done, Link};
use super::loader::Batch;
use super::plan::{Plan, Way};
use super::warnings::{self, Warning};
use crate::tabbed::Chunk;
use crate::{Error, ErrorKind, Reject, Result};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// How often a chunk is sent before its rows are tried in strict statements.
const TRIES: usize = 3;

pub(super) struct Sorter {
    pub(super) link: Link,
    pub(super) plan: Arc<Plan>,
    wary: Arc<AtomicBool>,
    /// LOAD DATA may be tried, and a stage may be made.
    pub(super) local: bool,
    pub(super) staged: bool,
    pub(super) stage_there: bool,
    pub(super) rows: u64,
    pub(super) skipped: u64,
    pub(super) rejects: Vec<Reject>,
    /// How many rows that looked wrong were taken, and how many were not.
    taken_aside: (u64, u64),
}

/// What became of a chunk that was sent whole.
enum Sent {
    Done,
    /// Taken back: these rows, by their place in the chunk, were bent.
    Bent(BTreeSet<usize>),
    /// Taken back: which rows are at fault is not known.
    Unknown,
}

impl Sorter {
    pub(super) fn new(link: Link, plan: Arc<Plan>, wary: Arc<AtomicBool>) -> Self {
        Sorter {
            link,
            plan,
            wary,
            local: true,
            staged: true,
            stage_there: false,
            rows: 0,
            skipped: 0,
            rejects: Vec::new(),
            taken_aside: (0, 0),
        }
    }

    pub(super) fn fault(&self, trouble: Trouble) -> Error {
        self.link.fault(&self.plan.action, trouble)
    }

    /// Loads a batch; what is refused becomes rejects.
    pub(super) fn take(&mut self, batch: &mut Batch) -> Result<()> {
        let first_reject = self.rejects.len();
        if !batch.chunk.rows.is_empty() {
            self.take_chunk(&mut batch.chunk)?;
        }
        if !batch.aside.rows.is_empty() {
            let refused = self.rejects.len();
            let all = u64::try_from(batch.aside.rows.len()).unwrap_or(u64::MAX);
            self.settle_alone(&batch.aside)?;
            let bad = u64::try_from(self.rejects.len() - refused).unwrap_or(u64::MAX);
            self.taken_aside.0 += all.saturating_sub(bad);
            self.taken_aside.1 += bad;
        }
        // a guess that is mostly wrong costs more than it saves
        let trusted = self.taken_aside.0 <= self.taken_aside.1 + 64;
        if self.rejects.len() > first_reject {
            self.wary.store(trusted, Relaxed);
        }
        if !trusted {
            self.wary.store(false, Relaxed);
        }
        for reject in &mut self.rejects[first_reject..] {
            let pushed = &batch.pushed_as;
            if let Ok(row) = pushed
                .rows
                .binary_search_by_key(&reject.ordinal, |(ordinal, _)| *ordinal)
            {
                reject.cells = pushed.cells(row, &self.plan.kinds);
            }
        }
        Ok(())
    }

    fn take_chunk(&mut self, chunk: &mut Chunk) -> Result<()> {
        if let Way::Upsert(_) = self.plan.way {
            return self.merge(chunk);
        }
        let mut alone = Chunk::default();
        for _ in 0..TRIES {
            if !self.local || chunk.rows.is_empty() {
                break;
            }
            match self.send(chunk).map_err(|trouble| self.fault(trouble))? {
                Sent::Done => {
                    chunk.clear();
                    break;
                }
                Sent::Bent(rows) => {
                    let (kept, bent) = part(chunk, &rows);
                    append(&mut alone, &bent);
                    *chunk = kept;
                }
                Sent::Unknown => break,
            }
        }
        if !chunk.rows.is_empty() {
            self.sort_out(chunk)?;
        }
        self.settle_alone(&alone)
    }

    /// Sends a chunk by LOAD DATA, and sees what became of it.
    fn send(&mut self, chunk: &mut Chunk) -> Result<Sent, Trouble> {
        self.link.say("SAVEPOINT load_chunk")?;
        let table = self.plan.table.clone();
        let done = match self.load_data(chunk, &table)? {
            Some(done) => done,
            None if self.local => return self.take_back().map(|()| Sent::Unknown),
            None => return Ok(Sent::Unknown),
        };
        let rows = u64::try_from(chunk.rows.len()).unwrap_or(u64::MAX);
        if done.warnings == 0 && done.changed == rows {
            self.rows += rows;
            return Ok(Sent::Done);
        }
        let Some(told) = warnings::read(&mut self.link, done.warnings)? else {
            return self.take_back().map(|()| Sent::Unknown);
        };
        let (doubled, other): (Vec<Warning>, Vec<Warning>) =
            told.into_iter().partition(Warning::is_doubled);
        if !other.is_empty() {
            self.take_back()?;
            let bent: BTreeSet<usize> = other.into_iter().map(|warning| warning.row).collect();
            let known = bent.iter().all(|row| *row < chunk.rows.len());
            return Ok(if known {
                Sent::Bent(bent)
            } else {
                Sent::Unknown
            });
        }
        let left_out: BTreeSet<usize> = doubled.iter().map(|warning| warning.row).collect();
        let count = u64::try_from(left_out.len()).unwrap_or(u64::MAX);
        if done.changed + count != rows || left_out.len() != doubled.len() {
            return self.take_back().map(|()| Sent::Unknown);
        }
        if self.plan.way == Way::Skip {
            self.skipped += count;
        } else {
            let Some(rejects) = self.refuse_doubled(chunk, doubled) else {
                return self.take_back().map(|()| Sent::Unknown);
            };
            self.rejects.extend(rejects);
        }
        self.rows += done.changed;
        Ok(Sent::Done)
    }

    /// One LOAD DATA of the chunk into a table; `None` where the server refuses a row, or forbids LOCAL.
    pub(super) fn load_data(
        &mut self,
        chunk: &mut Chunk,
        table: &str,
    ) -> Result<Option<Done>, Trouble> {
        let plan = Arc::clone(&self.plan);
        let bytes = std::mem::take(&mut chunk.bytes);
        let (bytes, done) = self.link.load(bytes, |name| plan.load_data(table, name));
        chunk.bytes = bytes;
        match done {
            Ok(done) => Ok(Some(done)),
            Err(Trouble::Refused(error)) if is_of_a_row(error.code) => Ok(None),
            Err(Trouble::Refused(error)) if forbids_local(error.code) => {
                log::info!(
                    "{}: the server forbids LOAD DATA LOCAL ({}), inserting rows instead",
                    self.plan.action,
                    error.message
                );
                self.local = false;
                Ok(None)
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Undoes the chunk. A warning says that something could not be undone: a table without transactions, behind a view or
    /// a trigger. Once there is a stage, the server warns each time, of that.
    pub(super) fn take_back(&mut self) -> Result<(), Trouble> {
        let done = self.link.say("ROLLBACK TO SAVEPOINT load_chunk")?;
        if done.warnings == 0 || self.stage_there {
            return Ok(());
        }
        let why = "rows that were loaded could not be taken back: a table without transactions is written, too";
        Err(Trouble::Broken(ErrorKind::Invalid, why.into()))
    }

    /// The rejects of rows that were left out for their key. Each must hold a key that its warning names, else the server's
    /// numbers are not what they are taken for: `None`.
    fn refuse_doubled(&self, chunk: &Chunk, doubled: Vec<Warning>) -> Option<Vec<Reject>> {
        let keys = self.plan.keys();
        let reject = |warning: Warning| {
            let (ordinal, _) = *chunk.rows.get(warning.row)?;
            let cells = chunk.cells(warning.row, &self.plan.kinds);
            let named = |(_, places): &&(String, Vec<usize>)| {
                places.iter().all(|place| {
                    let text = cells[*place].as_deref().unwrap_or_default();
                    std::str::from_utf8(text).is_ok_and(|text| {
                        let start: String = text.trim().chars().take(20).collect();
                        warning.message.contains(&start)
                    })
                })
            };
            let primary = warning.message.contains("PRIMARY'");
            let by_name = keys
                .iter()
                .filter(|(name, _)| primary == (*name == self.plan.info.primary_key.join(", ")));
            let (key, _) = by_name
                .clone()
                .find(named)
                .or_else(|| keys.iter().find(named))?;
            let refused = mysql_async::ServerError {
                code: warning.code,
                message: warning.message.clone(),
                state: String::new(),
            };
            let error = self.fault(Trouble::Refused(refused)).at_column(key);
            Some(Reject {
                ordinal,
                cells,
                error,
            })
        };
        doubled.into_iter().map(reject).collect()
    }
}

/// The chunk without some of its rows, and these.
fn part(chunk: &Chunk, rows: &BTreeSet<usize>) -> (Chunk, Chunk) {
    let (mut kept, mut out) = (Chunk::default(), Chunk::default());
    for row in 0..chunk.rows.len() {
        let into = if rows.contains(&row) {
            &mut out
        } else {
            &mut kept
        };
        copy(into, chunk, row);
    }
    (kept, out)
}

fn append(into: &mut Chunk, from: &Chunk) {
    for row in 0..from.rows.len() {
        copy(into, from, row);
    }
}

pub(super) fn copy(into: &mut Chunk, from: &Chunk, row: usize) {
    into.bytes.extend_from_slice(&from.bytes[from.place(row)]);
    into.rows.push((from.rows[row].0, into.bytes.len()));
}
