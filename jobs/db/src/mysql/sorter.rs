//! The bulk path, the side that has the session: takes chunks whole where the server takes them whole, and finds out which
//! rows it does not take.
//!
//! LOAD DATA LOCAL bends bad values and leaves out doubled keys, and only counts warnings. A chunk without any is exact, and
//! costs a savepoint. Of a chunk with warnings the server tells row and code: rows left out for their key are refused, or
//! skipped, and the rest is exact as it stands; for anything else the chunk is taken back and sent again without the rows
//! that were bent, which are tried alone, strictly. Where rows cannot be told, `refused.rs` finds them by halves. Upserts go the
//! same way, into the table of `stage.rs`.

use super::fault::{Trouble, forbids_local, is_of_a_row};
use super::link::{Done, Link};
use super::loader::Batch;
use super::plan::{Plan, STAGE, Way};
use super::warnings::{self, Warning};
use crate::tabbed::Chunk;
use crate::{Error, ErrorKind, Reject, Result};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// How often a chunk is sent before its rows are tried in strict statements.
const TRIES: usize = 3;
/// How many guesses may be wrong before they count for nothing.
const FEW: usize = 64;

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
    /// How many rows that looked wrong were good, and how many were not.
    guessed: (usize, usize),
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
            guessed: (0, 0),
        }
    }

    pub(super) fn fault(&self, trouble: Trouble) -> Error {
        self.link.fault(&self.plan.action, trouble)
    }

    /// Loads a batch; what is refused becomes rejects.
    pub(super) fn take(&mut self, batch: &mut Batch) -> Result<()> {
        let first_reject = self.rejects.len();
        if batch.chunk.rows.is_empty() {
            self.settle_alone(&batch.aside)?;
        } else {
            if !batch.aside.rows.is_empty() {
                let aside: Vec<usize> = (0..batch.aside.rows.len()).collect();
                let good = self.sift(&batch.aside, &aside)?;
                if !good.is_empty() {
                    batch.chunk = woven(&batch.chunk, &batch.aside, &good);
                }
            }
            self.take_chunk(&mut batch.chunk)?;
        }
        let refused = self.rejects.len() > first_reject;
        if refused || !self.is_trusted() {
            self.wary.store(self.is_trusted(), Relaxed);
        }
        let pushed = &batch.pushed_as;
        for reject in &mut self.rejects[first_reject..] {
            let place = |(ordinal, _): &(u64, usize)| ordinal.cmp(&reject.ordinal);
            if let Ok(row) = pushed.rows.binary_search_by(place) {
                reject.cells = pushed.cells(row, &self.plan.kinds);
            }
        }
        Ok(())
    }

    fn take_chunk(&mut self, chunk: &mut Chunk) -> Result<()> {
        for _ in 0..TRIES {
            if !self.local || chunk.rows.is_empty() {
                break;
            }
            match self.send(chunk).map_err(|trouble| self.fault(trouble))? {
                Sent::Done => {
                    chunk.clear();
                    break;
                }
                Sent::Bent(mut bent) => {
                    let good = self.probe(chunk, bent.iter().copied())?;
                    bent.retain(|row| !good.contains(row));
                    *chunk = without(chunk, &bent);
                    if !good.is_empty() {
                        break;
                    }
                }
                Sent::Unknown => break,
            }
        }
        match self.plan.way {
            _ if chunk.rows.is_empty() => Ok(()),
            Way::Upsert(_) => self.merge(chunk),
            _ => self.sort_out(chunk),
        }
    }

    /// A guess that is mostly wrong costs more than it saves.
    fn is_trusted(&self) -> bool {
        self.guessed.0 <= self.guessed.1 + FEW
    }

    /// Tries rows that look wrong, for as long as most of them are; those that are good, or were not tried.
    pub(super) fn sift(&mut self, chunk: &Chunk, rows: &[usize]) -> Result<Vec<usize>> {
        let mut good = Vec::new();
        for some in rows.chunks(FEW) {
            if !self.is_trusted() {
                good.extend(some);
                continue;
            }
            let taken = self.probe(chunk, some.iter().copied())?;
            self.guessed.0 += taken.len();
            self.guessed.1 += some.len() - taken.len();
            good.extend(taken);
        }
        Ok(good)
    }

    /// Tries rows alone: what the server refuses becomes rejects. What it takes is taken back and told, since its place is
    /// among the rows around it: of two rows with one key the order decides.
    pub(super) fn probe(
        &mut self,
        chunk: &Chunk,
        rows: impl IntoIterator<Item = usize>,
    ) -> Result<Vec<usize>> {
        let mut good = Vec::new();
        let mut rows = rows.into_iter().peekable();
        if rows.peek().is_none() {
            return Ok(good);
        }
        let begun = self.link.say("SAVEPOINT load_chunk");
        begun.map_err(|trouble| self.fault(trouble))?;
        for row in rows {
            let before = (self.rows, self.skipped, self.rejects.len());
            self.settle_row(chunk, row)?;
            if self.rejects.len() == before.2 {
                (self.rows, self.skipped) = (before.0, before.1);
                self.take_back().map_err(|trouble| self.fault(trouble))?;
                good.push(row);
            }
        }
        Ok(good)
    }

    /// Sends a chunk by LOAD DATA, and sees what became of it.
    fn send(&mut self, chunk: &mut Chunk) -> Result<Sent, Trouble> {
        let staged = matches!(self.plan.way, Way::Upsert(_));
        if staged && !(self.staged && self.make_stage()?) {
            return Ok(Sent::Unknown);
        }
        self.link.say("SAVEPOINT load_chunk")?;
        let table = if staged {
            STAGE
        } else {
            &self.plan.clone().table
        };
        let done = match self.load_data(chunk, table)? {
            Some(done) => done,
            None if self.local => return self.take_back().map(|()| Sent::Unknown),
            None => return Ok(Sent::Unknown),
        };
        let rows = u64::try_from(chunk.rows.len()).unwrap_or(u64::MAX);
        if done.warnings == 0 && done.changed == rows {
            if staged && !self.merge_stage()? {
                return self.take_back().map(|()| Sent::Unknown);
            }
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

/// The chunk without some of its rows.
fn without(chunk: &Chunk, rows: &BTreeSet<usize>) -> Chunk {
    let mut kept = Chunk::default();
    for row in (0..chunk.rows.len()).filter(|row| !rows.contains(row)) {
        copy(&mut kept, chunk, row);
    }
    kept
}

/// The chunk with some rows that were set aside, back in their places.
fn woven(chunk: &Chunk, aside: &Chunk, rows: &[usize]) -> Chunk {
    let mut all = Chunk::default();
    let mut next = rows.iter().copied().peekable();
    for row in 0..chunk.rows.len() {
        while let Some(earlier) = next.next_if(|one| aside.rows[*one].0 < chunk.rows[row].0) {
            copy(&mut all, aside, earlier);
        }
        copy(&mut all, chunk, row);
    }
    next.for_each(|row| copy(&mut all, aside, row));
    all
}

pub(super) fn copy(into: &mut Chunk, from: &Chunk, row: usize) {
    into.bytes.extend_from_slice(&from.bytes[from.place(row)]);
    into.rows.push((from.rows[row].0, into.bytes.len()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn chunk(ordinals: &[u64]) -> Chunk {
        let mut chunk = Chunk::default();
        for ordinal in ordinals {
            chunk.add(
                *ordinal,
                &[Kind::Text],
                &[Some(ordinal.to_string().as_bytes())],
            );
        }
        chunk
    }

    #[test]
    fn rows_leave_a_chunk_and_come_back_to_their_places() {
        let all = chunk(&[0, 2, 3, 5, 9]);
        let kept = without(&all, &BTreeSet::from([0, 2, 4]));
        assert_eq!(kept.bytes, chunk(&[2, 5]).bytes);
        let woven = woven(&kept, &chunk(&[0, 3, 4, 9]), &[0, 1, 3]);
        assert_eq!((woven.bytes, woven.rows), (all.bytes, all.rows));
    }
}
