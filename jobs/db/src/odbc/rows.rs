//! A result on the caller's side: blocks come over a channel, rows are lent from them.

use super::engine::Engine;
use super::fault::{Trouble, fault};
use super::fetch::{self, Piece};
use super::session::Owned;
use super::worker::Worker;
use crate::block::Block;
use crate::{Cell, Cells, Column, Error, Result, Row, Rows};
use std::sync::mpsc::{Receiver, channel, sync_channel};

/// How many pieces may wait for the caller.
const AHEAD: usize = 2;

/// One row of a block.
#[derive(Debug)]
struct Lent {
    block: Block,
    row: usize,
}

impl Cells for Lent {
    fn len(&self) -> usize {
        self.block.width()
    }

    fn cell(&self, index: usize) -> Cell<'_> {
        self.block.cell(self.row, index)
    }
}

pub(super) struct OdbcRows<'c> {
    worker: &'c mut Worker,
    engine: Engine,
    action: String,
    columns: Vec<Column>,
    pieces: Option<Receiver<Result<Piece, Trouble>>>,
    /// Tells when the thread is done with the result.
    ended: Receiver<()>,
    lent: Lent,
    /// The next row is the block's first.
    fresh: bool,
    over: bool,
}

impl<'c> OdbcRows<'c> {
    /// Runs a query up to its first rows, so that it fails where it is made.
    pub(super) fn start(
        worker: &'c mut Worker,
        engine: Engine,
        sql: &str,
        params: &[Cell<'_>],
        action: String,
    ) -> Result<Self> {
        let failed =
            |worker: &Worker, trouble| fault(&action, engine, worker.stop.verdict(), trouble);
        worker.begin().map_err(|trouble| failed(worker, trouble))?;
        let (sender, pieces) = sync_channel(AHEAD);
        let (end, ended) = channel();
        let (sql, params) = (sql.to_owned(), owned(params));
        let handed = worker.hand_over(move |session| {
            let done = session.minded(|session| {
                fetch::run(session, &sql, &params, &mut |piece| {
                    sender.send(Ok(piece)).is_ok()
                })
            });
            if let Err(trouble) = done {
                // nobody may be there any more
                sender.send(Err(trouble)).ok();
            }
            drop(sender);
            end.send(()).ok();
            Ok(())
        });
        handed.map_err(|trouble| failed(worker, trouble))?;
        let mut rows = OdbcRows {
            worker,
            engine,
            action,
            columns: Vec::new(),
            pieces: Some(pieces),
            ended,
            lent: Lent {
                block: Block::default(),
                row: 0,
            },
            fresh: true,
            over: false,
        };
        if let Some(Piece::Columns(columns)) = rows.next()? {
            rows.columns = columns;
        }
        rows.refill()?;
        Ok(rows)
    }

    fn next(&mut self) -> Result<Option<Piece>> {
        let Some(pieces) = &self.pieces else {
            return Ok(None);
        };
        match self.worker.stop.wait(pieces) {
            Some(Ok(piece)) => Ok(Some(piece)),
            Some(Err(trouble)) => Err(self.failed(trouble)),
            None => Err(self.failed(Trouble::Silent)),
        }
    }

    fn refill(&mut self) -> Result<()> {
        match self.next()? {
            Some(Piece::Rows(block)) => {
                self.lent = Lent { block, row: 0 };
                self.fresh = true;
            }
            _ => self.over = true,
        }
        Ok(())
    }

    fn failed(&mut self, trouble: Trouble) -> Error {
        self.over = true;
        let damaged = match &trouble {
            Trouble::Damaged(index, _) => {
                self.columns.get(*index).map(|column| column.name.clone())
            }
            _ => None,
        };
        let error = fault(
            &self.action,
            self.engine,
            self.worker.stop.verdict(),
            trouble,
        );
        match damaged {
            Some(column) => error.at_column(column),
            None => error,
        }
    }
}

/// Cells that can go to the thread.
pub(super) fn owned(params: &[Cell<'_>]) -> Vec<Owned> {
    params.iter().map(|cell| cell.map(<[u8]>::to_vec)).collect()
}

impl Rows for OdbcRows<'_> {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn fetch(&mut self) -> Result<Option<Row<'_>>> {
        if self.over {
            return Ok(None);
        }
        if !std::mem::take(&mut self.fresh) {
            self.lent.row += 1;
        }
        if self.lent.row >= self.lent.block.rows() {
            self.refill()?;
            self.fresh = false;
            if self.over {
                return Ok(None);
            }
        }
        Ok(Some(Row::new(&self.lent)))
    }
}

impl Drop for OdbcRows<'_> {
    /// Makes the connection ready for the next statement.
    fn drop(&mut self) {
        // the thread sees at its next piece that nobody is there
        self.pieces = None;
        if self.worker.stop.gone() {
            return;
        }
        self.worker.stop.leave(&self.ended);
    }
}
