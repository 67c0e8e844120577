//! A file in the middle of being loaded: rows from the reader to the database's loader, bad ones aside.

use db::{Loader, Reject, TableInfo};

use super::bad::Bad;
use super::fault::{Fault, of_rows};
use super::load::STEP;
use super::mapping::{Growth, Mapping};
use super::source::{STRIDE, broken, open_ahead};
use crate::context::Context;
use crate::data::{BadRow, Record, Rows, Step};
use crate::job::Tally;
use crate::ledger::Progress;

/// A file in the middle of being loaded.
pub(super) struct Reading<'a> {
    pub(super) rows: Box<dyn Rows>,
    pub(super) record: Record,
    pub(super) bad: Bad<'a>,
    pub(super) mapping: Mapping,
    pub(super) info: &'a TableInfo,
    pub(super) begun: Progress,
    pub(super) position: u64,
    /// Rows and bytes that progress has been told of.
    pub(super) told: (u64, u64),
    /// Rows that `skip` found there already.
    pub(super) kept: u64,
    pub(super) tally: Tally,
    /// The file read once more, for rows that the database refused.
    pub(super) again: Option<Again>,
}

/// A second reading of a file, up to a row that is wanted whole.
pub(super) struct Again {
    rows: Box<dyn Rows>,
    record: Record,
    position: u64,
}

impl Reading<'_> {
    /// Loads rows until the end of the file (`false`) or of the batch (`true`).
    pub(super) fn batch(
        &mut self,
        cx: &Context,
        mut loader: Box<dyn Loader + '_>,
        most: Option<u64>,
    ) -> Result<bool, Fault> {
        let mut places = Places::default();
        let mut pushed = 0;
        let more = loop {
            if most.is_some_and(|most| pushed >= most) {
                break true;
            }
            let step = self
                .rows
                .read(&mut self.record)
                .map_err(|error| broken(&self.bad.source.input, error))?;
            if matches!(step, Step::End) {
                break false;
            }
            self.position += 1;
            if self.position.is_multiple_of(STRIDE) {
                self.pace(cx)?;
            }
            if self.position <= self.begun.position {
                continue;
            }
            self.tally.read += 1;
            if self.mapping.is_behind(self.rows.columns()) {
                let growth = self.mapping.learn(self.rows.columns(), self.info);
                if growth.map_err(Fault::Refused)? == Growth::Column {
                    return Err(Fault::Grown);
                }
            }
            match step {
                Step::Bad(bad) => self.bad.keep(&bad, self.rows.columns(), &self.record)?,
                _ => match self.mapping.prepare(&mut self.record) {
                    Some(column) => {
                        let bad = BadRow::new(self.record.place(), "bytes that are not text")
                            .at(column, None);
                        self.bad.keep(&bad, self.rows.columns(), &self.record)?;
                    }
                    None => {
                        self.mapping.count_left_out(&self.record);
                        places.note(pushed, self.position);
                        loader.push(&self.mapping.cells(&self.record))?;
                        pushed += 1;
                        self.refuse(&places, loader.rejects())?;
                    }
                },
            }
        };
        self.pace(cx)?;
        let ending = cx.step("ending a load", STEP);
        let loaded = loader.finish().map_err(of_rows)?;
        drop(ending);
        self.refuse(&places, loaded.rejects)?;
        self.kept += loaded.skipped;
        self.tally.written += loaded.rows;
        self.tally.rejected = self.bad.total - self.begun.rejected;
        Ok(more)
    }

    /// Keeps rows that the database refused, those that it names together in the order of the file.
    fn refuse(&mut self, places: &Places, mut rejects: Vec<Reject>) -> Result<(), Fault> {
        rejects.sort_by_key(|reject| reject.ordinal);
        for reject in &rejects {
            let row = places.row(reject.ordinal);
            let bad = self.bad.word_on(row, reject);
            // the database has seen the cells that its table takes, and no others
            if self.mapping.unknown().next().is_some()
                && self.find_again(row)?
                && let Some(again) = &self.again
            {
                self.bad.keep(&bad, again.rows.columns(), &again.record)?;
            } else {
                let cells = reject.cells.iter().map(Option::as_deref);
                let names = self.bad.names;
                self.bad.keep(&bad, names, &Record::of(bad.place, cells))?;
            }
        }
        Ok(())
    }

    /// Reads the file again up to this row; tells whether it is there. Rows that are asked for in their order cost one reading
    /// together.
    fn find_again(&mut self, row: u64) -> Result<bool, Fault> {
        let (cx, input) = (self.bad.cx, &self.bad.source.input);
        let broken = |error| broken(input, error);
        let again = match self.again.take().filter(|again| again.position < row) {
            Some(again) => self.again.insert(again),
            None => self.again.insert(Again {
                rows: open_ahead(cx, input)?.map_err(broken)?,
                record: Record::new(),
                position: 0,
            }),
        };
        while again.position < row {
            let step = again.rows.read(&mut again.record).map_err(broken)?;
            if matches!(step, Step::End) {
                return Ok(false);
            }
            again.position += 1;
            if again.position.is_multiple_of(STRIDE) {
                cx.progress(0, 0);
                cx.checkpoint()?;
            }
        }
        self.mapping.prepare(&mut again.record);
        Ok(true)
    }

    /// Beats, says how far the file has been read, and stops here if that is asked for.
    fn pace(&mut self, cx: &Context) -> Result<(), Fault> {
        let byte = self.rows.place().byte;
        cx.progress(self.position - self.told.0, byte - self.told.1);
        self.told = (self.position, byte);
        Ok(cx.checkpoint()?)
    }
}

/// Which row of the file each push brought: runs of (first push, its row).
#[derive(Default)]
pub(super) struct Places(Vec<(u64, u64)>);

impl Places {
    pub(super) fn note(&mut self, push: u64, row: u64) {
        if self
            .0
            .last()
            .is_none_or(|(first, at)| row - at != push - first)
        {
            self.0.push((push, row));
        }
    }

    pub(super) fn row(&self, push: u64) -> u64 {
        let run = self.0.partition_point(|(first, _)| *first <= push);
        run.checked_sub(1)
            .map_or(0, |run| self.0[run].1 + (push - self.0[run].0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushes_are_traced_to_rows() {
        let mut places = Places::default();
        for (push, row) in [(0, 1), (1, 2), (2, 5), (3, 6), (4, 9)] {
            places.note(push, row);
        }
        assert_eq!(
            (0..5).map(|push| places.row(push)).collect::<Vec<_>>(),
            [1, 2, 5, 6, 9]
        );
        assert_eq!(places.0.len(), 3);
    }
}
