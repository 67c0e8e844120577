//! The bad rows of a file: counted against what the job tolerates, and kept in a reject file that can be loaded again.
//!
//! They stand there in the file's order. The reader finds bad rows at once, the database judges rows in batches, later: what the reader
//! finds waits for the database's word on the rows before it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use db::Reject;

use super::fault::Fault;
use super::source::Source;
use crate::context::Context;
use crate::data::{BadRow, Place, Record, Rejects, lay_out};
use crate::error::Error;
use crate::job::Count;
use crate::publish::Draft;
use crate::rejects;

/// So many bytes of rows wait at most; what comes beyond is written where it comes.
const HELD: usize = 8 << 20;

/// The bad rows of a file, on their way into its reject file.
pub(super) struct Bad<'a> {
    pub(super) cx: &'a Context,
    pub(super) source: &'a Source,
    pub(super) folder: &'a Path,
    pub(super) most: u64,
    pub(super) total: u64,
    /// The first row of this transaction, where a file takes several: each has a part of the reject file.
    pub(super) batch: Option<u64>,
    pub(super) out: Option<Rejects<Draft>>,
    pub(super) names: &'a [String],
    pub(super) held: Held,
    /// Whether the database tells of rows in no order: all wait for the last one then.
    pub(super) unordered: bool,
}

/// Rows that wait for those before them, as they will stand in the reject file.
#[derive(Default)]
pub(super) struct Held {
    rows: VecDeque<(u64, Vec<u8>)>,
    bytes: usize,
}

impl Held {
    fn push(&mut self, row: u64, text: Vec<u8>) {
        self.bytes += text.len();
        self.rows.push_back((row, text));
    }

    /// The first one, if it stands before this row.
    fn before(&mut self, row: u64) -> Option<Vec<u8>> {
        let (_, text) = self.rows.pop_front_if(|(first, _)| *first < row)?;
        self.bytes -= text.len();
        Some(text)
    }
}

impl Bad<'_> {
    /// Keeps a row that the reader found; refuses the file once there are too many.
    pub(super) fn keep(
        &mut self,
        bad: &BadRow,
        columns: &[String],
        record: &Record,
    ) -> Result<(), Fault> {
        let mut text = Vec::new();
        lay_out(&mut text, bad, columns, record).map_err(Error::io("write into", self.folder))?;
        self.held.push(bad.place.row, text);
        if self.held.bytes > HELD {
            self.release(u64::MAX)?;
        }
        self.count(bad)
    }

    /// Keeps a row that the database refused, as [`Bad::keep`].
    pub(super) fn keep_refused(
        &mut self,
        bad: &BadRow,
        columns: &[String],
        record: &Record,
    ) -> Result<(), Fault> {
        if self.unordered {
            return self.keep(bad, columns, record);
        }
        self.release(bad.place.row)?;
        let folder = self.folder;
        self.out()?
            .push(bad, columns, record)
            .map_err(Error::io("write into", folder))?;
        self.count(bad)
    }

    /// Writes what waits and stands before this row.
    fn release(&mut self, row: u64) -> Result<(), Error> {
        let folder = self.folder;
        while let Some(text) = self.held.before(row) {
            self.out()?
                .push_laid_out(&text)
                .map_err(Error::io("write into", folder))?;
        }
        Ok(())
    }

    fn out(&mut self) -> Result<&mut Rejects<Draft>, Error> {
        Ok(match &mut self.out {
            Some(out) => out,
            none => {
                let target = match self.batch {
                    Some(row) => self.source.parts(self.folder).path(row),
                    None => self.folder.join(rejects::name_of(&self.source.input.name)),
                };
                none.insert(Rejects::new(Draft::create(
                    &self.cx.disk(),
                    &target,
                    &self.cx.author(),
                )?))
            }
        })
    }

    fn count(&mut self, bad: &BadRow) -> Result<(), Fault> {
        self.total += 1;
        if self.total > self.most {
            self.publish()?;
            let count = Count(self.total, "bad row");
            let reason = format!("{count}, and max-bad is {}; the last: {bad}", self.most);
            return Err(Fault::Refused(reason));
        }
        Ok(())
    }

    /// What is wrong with a row that the database refused.
    pub(super) fn word_on(&self, row: u64, reject: &Reject) -> BadRow {
        let at = reject
            .error
            .column()
            .and_then(|column| self.names.iter().position(|name| name == column));
        let mut reason = reject.error.kind().to_string();
        let mut source = std::error::Error::source(&reject.error);
        while let Some(inner) = source {
            reason.push_str(&format!(": {inner}"));
            source = inner.source();
        }
        let bad = BadRow::new(Place::of_row(row), reason);
        match reject.error.column() {
            Some(column) => bad.at(column, at.and_then(|at| reject.cells[at].as_deref())),
            None => bad,
        }
    }

    /// Publishes what was kept, durably; before the transaction that speaks of it. Tells where it is, if it is whole.
    pub(super) fn publish(&mut self) -> Result<Option<PathBuf>, Fault> {
        self.held
            .rows
            .make_contiguous()
            .sort_by_key(|(row, _)| *row);
        self.release(u64::MAX)?;
        if let Some(out) = self.out.take()
            && let Some(draft) = out.finish().map_err(Error::io("write into", self.folder))?
        {
            match self.batch {
                Some(_) => draft.publish().map(|_| ())?,
                None => return Ok(Some(rejects::publish(self.cx, draft.seal()?)?)),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_wait_for_those_before_them() {
        let mut held = Held::default();
        held.push(2, b"two".to_vec());
        held.push(5, b"five".to_vec());
        assert_eq!(held.before(2), None);
        assert_eq!(held.before(4).as_deref(), Some(&b"two"[..]));
        assert_eq!((held.before(4), held.bytes), (None, 4));
        assert_eq!(held.before(u64::MAX).as_deref(), Some(&b"five"[..]));
        assert_eq!(held.bytes, 0);
    }
}
