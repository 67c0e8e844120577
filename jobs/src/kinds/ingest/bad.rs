//! The bad rows of a file: counted against what the job tolerates, and kept in a reject file that can be loaded again.
//!
//! They stand there in the file's order. The reader finds bad rows at once, the database judges rows in batches, later, and some databases in
//! an order of their own: rows wait for the end of their transaction, and are put into order then, or before as far as they take much memory.

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

/// So many bytes of rows wait at most; with more, the half that stands first in the file is written, and a row before it that comes later still
/// stands behind it.
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
}

/// Rows that wait for those before them, as they will stand in the reject file.
#[derive(Default)]
pub(super) struct Held {
    rows: Vec<(u64, Vec<u8>)>,
    bytes: usize,
}

impl Held {
    fn push(&mut self, row: u64, text: Vec<u8>) {
        self.bytes += text.len();
        self.rows.push((row, text));
    }

    /// Takes the first rows out, in order, until the rest has at most so many bytes.
    fn first(&mut self, rest: usize) -> Vec<Vec<u8>> {
        self.rows.sort_by_key(|(row, _)| *row);
        let mut count = 0;
        while self.bytes > rest
            && let Some((_, text)) = self.rows.get(count)
        {
            self.bytes -= text.len();
            count += 1;
        }
        self.rows.drain(..count).map(|(_, text)| text).collect()
    }
}

impl Bad<'_> {
    /// Keeps a row; refuses the file once there are too many.
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
            self.release(HELD / 2)?;
        }
        self.count(bad)
    }

    /// Writes the first of what waits, until the rest has at most so many bytes.
    fn release(&mut self, rest: usize) -> Result<(), Error> {
        let folder = self.folder;
        for text in self.held.first(rest) {
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
        self.release(0)?;
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
        for (row, text) in [(2, "two"), (4, "four"), (1, "one"), (3, "three")] {
            held.push(row, text.as_bytes().to_vec());
        }
        assert_eq!(
            held.first(8),
            [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]
        );
        held.push(2, b"late".to_vec());
        assert_eq!(held.first(8), Vec::<Vec<u8>>::new());
        assert_eq!(held.first(0), [b"late".to_vec(), b"four".to_vec()]);
        assert_eq!(held.bytes, 0);
    }
}
