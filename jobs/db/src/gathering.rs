//! Rows on their way into a table: gathered until they go on together, and counted by what became of them. Pure.

use crate::block::Block;
use crate::{Cell, Error, ErrorKind, Loaded, Reject, Result};

/// What became of a block of rows.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) rows: u64,
    pub(crate) skipped: u64,
    /// Bad ones, by their place in the block.
    pub(crate) rejects: Vec<(usize, Error)>,
}

/// Rows that wait to go on, and the sum of what became of those before them.
#[derive(Debug)]
pub(crate) struct Gathering {
    block: Block,
    /// Which push brought the block's first row.
    first: u64,
    pushed: u64,
    loaded: Loaded,
}

impl Gathering {
    /// None yet, of rows of `width` cells.
    pub(crate) fn new(width: usize) -> Self {
        Gathering {
            block: Block::new(width),
            first: 0,
            pushed: 0,
            loaded: Loaded::default(),
        }
    }

    /// Adds a row; one of another width is an error of `action`.
    pub(crate) fn push(&mut self, row: &[Cell<'_>], action: &str) -> Result<()> {
        check_width(row, self.block.width(), action)?;
        self.block.push(row);
        self.pushed += 1;
        Ok(())
    }

    /// Whether so many rows wait, or so many bytes.
    pub(crate) fn has(&self, rows: usize, bytes: usize) -> bool {
        self.block.rows() >= rows || self.block.size() >= bytes
    }

    /// The rows that wait; `None` if there are none.
    pub(crate) fn take(&mut self) -> Option<Block> {
        let empty = Block::new(self.block.width());
        Some(std::mem::replace(&mut self.block, empty)).filter(|block| block.rows() > 0)
    }

    /// Adds up what became of the block that was taken last.
    pub(crate) fn settle(&mut self, block: &Block, outcome: Outcome) {
        self.loaded.rows += outcome.rows;
        self.loaded.skipped += outcome.skipped;
        for (place, error) in outcome.rejects {
            let ordinal = self.first + u64::try_from(place).unwrap_or(0);
            let reject = Reject::new(ordinal, &block.row(place), error);
            self.loaded.rejects.push(reject);
        }
        self.first = self.pushed;
    }

    /// The rows that were refused since this was asked last.
    pub(crate) fn rejects(&mut self) -> Vec<Reject> {
        std::mem::take(&mut self.loaded.rejects)
    }

    /// The sum in the end.
    pub(crate) fn loaded(&mut self) -> Loaded {
        std::mem::take(&mut self.loaded)
    }
}

/// A row has as many cells as the load has columns, or it is an error of `action`.
pub(crate) fn check_width(row: &[Cell<'_>], columns: usize, action: &str) -> Result<()> {
    if row.len() == columns {
        return Ok(());
    }
    let why = format!("a row of {} cells for {columns} columns", row.len());
    Err(Error::new(ErrorKind::Invalid, action).because(why))
}

/// Tells that a load which was dropped unfinished could not be taken back: there is nobody to return the error to.
pub(crate) fn log_left_behind(error: &Error) {
    error.not_taken_back();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_rows_are_numbered_over_all_blocks() {
        let mut gathering = Gathering::new(1);
        assert!(gathering.take().is_none());
        let mut bad = Vec::new();
        for _ in 0..2 {
            for text in [b"a", b"b", b"c"] {
                gathering.push(&[Some(text)], "loading").unwrap();
            }
            assert!(gathering.has(3, 100) && gathering.has(100, 3) && !gathering.has(4, 4));
            let block = gathering.take().unwrap();
            let error = Error::new(ErrorKind::Type, "loading");
            let outcome = Outcome {
                rows: 2,
                rejects: vec![(1, error)],
                ..Outcome::default()
            };
            gathering.settle(&block, outcome);
            bad.extend(gathering.rejects().iter().map(|reject| reject.ordinal));
        }
        assert_eq!(bad, [1, 4]);
        assert_eq!(gathering.loaded().rows, 4);
        let error = gathering.push(&[None, None], "loading").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}
