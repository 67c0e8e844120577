//! Rows on their way from one connection to another: a thread reads them, the job's own takes them. They go in batches of 256 kB that go
//! round and round between the two, so that neither waits for the other, memory does not grow, and no cell is a string of its own.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

use db::{Canceller, Cell, Cells, Connection};

use crate::context::{Context, Crew};
use crate::error::Error;
use crate::statement::{STATEMENT, Statement};

/// A batch is handed on when it has so many bytes.
const BYTES: usize = 256 << 10;

/// Batches between the two threads.
const BETWEEN: usize = 2;

/// A batch that has grown beyond this is not used again.
const LARGE: usize = 4 << 20;

/// How long the taker waits before it looks whether it has to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Marks the end of a cell that is NULL.
const NULL: usize = 1 << (usize::BITS - 1);

/// Rows that go together: their cells' bytes, and where each ends.
#[derive(Debug, Default)]
pub(super) struct Lot {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    width: usize,
}

impl Lot {
    fn add(&mut self, row: db::Row<'_>) {
        self.width = row.len();
        for cell in row.cells() {
            match cell {
                Some(text) => {
                    self.bytes.extend_from_slice(text);
                    self.ends.push(self.bytes.len());
                }
                None => self.ends.push(self.bytes.len() | NULL),
            }
        }
    }

    fn is_full(&self) -> bool {
        // a row of NULLs has no bytes, but takes room too
        self.bytes.len() + 8 * self.ends.len() >= BYTES
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len().checked_div(self.width).unwrap_or(0)
    }

    /// How many bytes they have.
    pub(super) fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// The row at this place.
    pub(super) fn row(&self, at: usize) -> OneRow<'_> {
        OneRow {
            lot: self,
            first: at * self.width,
        }
    }

    /// Shows each row's cells, followed by those that are the same for all.
    pub(super) fn each(
        &self,
        same: &[Cell<'_>],
        mut take: impl FnMut(&[Cell<'_>]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut cells: Vec<Cell<'_>> = Vec::with_capacity(self.width + same.len());
        let mut from = 0;
        for row in self.ends.chunks_exact(self.width.max(1)) {
            cells.clear();
            for &end in row {
                let to = end & !NULL;
                cells.push((end & NULL == 0).then(|| &self.bytes[from..to]));
                from = to;
            }
            cells.extend_from_slice(same);
            take(&cells)?;
        }
        Ok(())
    }
}

/// A row of a lot.
#[derive(Debug, Clone, Copy)]
pub(super) struct OneRow<'l> {
    lot: &'l Lot,
    first: usize,
}

impl<'l> OneRow<'l> {
    /// The cell at this place.
    pub(super) fn get(self, at: usize) -> Cell<'l> {
        let place = self.first + at;
        let from = place
            .checked_sub(1)
            .map_or(0, |before| self.lot.ends[before] & !NULL);
        let end = self.lot.ends[place];
        (end & NULL == 0).then(|| &self.lot.bytes[from..end])
    }
}

impl Cells for OneRow<'_> {
    fn len(&self) -> usize {
        self.lot.width
    }

    fn cell(&self, index: usize) -> Cell<'_> {
        self.get(index)
    }
}

/// What the reader tells.
enum News {
    /// The columns, first of all.
    Columns(Vec<db::Column>),
    Rows(Lot),
    /// All is well and there is no more.
    End,
}

/// The rows of a statement, read by a thread.
pub(super) struct Stream<'scope> {
    /// The columns, once [`Stream::prepare`] has waited for them.
    pub(super) columns: Vec<db::Column>,
    /// `None` once nobody wants more.
    full: Option<Receiver<Result<News, Error>>>,
    spare: SyncSender<Lot>,
    reader: Option<ScopedJoinHandle<'scope, ()>>,
    canceller: Canceller,
    crew: Crew,
    /// The reader has told its end by itself.
    over: bool,
}

impl<'scope> Stream<'scope> {
    /// Starts a statement, and does not wait for it: several can begin at the same time.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(super) fn start(
        scope: &'scope Scope<'scope, '_>,
        cx: &Context,
        db: &'scope mut dyn Connection,
        statement: Statement,
    ) -> Result<Stream<'scope>, Error> {
        let mut crew = Crew::default();
        let worker = cx.worker(&mut crew);
        let canceller = db.canceller();
        let (full, taken) = sync_channel(BETWEEN);
        let (empty, spare) = sync_channel(BETWEEN + 2);
        let body = move || {
            let cx = worker.context();
            let ended = read(&cx, db, &statement, &full, &spare);
            // whoever asked may have gone
            let _gone = full.send(ended.map(|()| News::End));
        };
        let reader = thread::Builder::new()
            .name("reader".to_owned())
            .spawn_scoped(scope, body)
            .map_err(|error| Error::Internal(format!("start a thread: {error}")))?;
        Ok(Stream {
            columns: Vec::new(),
            full: Some(taken),
            spare: empty,
            reader: Some(reader),
            canceller,
            crew,
            over: false,
        })
    }

    /// Waits until the columns are known.
    ///
    /// # Errors
    /// What the database has against the statement.
    pub(super) fn prepare(&mut self, cx: &Context) -> Result<(), Error> {
        if let Some(News::Columns(columns)) = self.next(cx)? {
            self.columns = columns;
        }
        Ok(())
    }

    fn next(&mut self, cx: &Context) -> Result<Option<News>, Error> {
        loop {
            let Some(full) = self.full.as_ref().filter(|_| !self.over) else {
                return Ok(None);
            };
            let told = full.recv_timeout(LOOK);
            cx.answer_for(&mut self.crew);
            match told {
                Ok(Ok(News::End)) => self.over = true,
                Ok(Ok(news)) => {
                    cx.checkpoint_unbeaten()?;
                    return Ok(Some(news));
                }
                Ok(Err(error)) => {
                    self.over = true;
                    return Err(error);
                }
                Err(RecvTimeoutError::Timeout) => cx.checkpoint_unbeaten()?,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::Internal("the reader's thread has failed".to_owned()));
                }
            }
        }
    }

    /// The next rows; nothing at the end. Beats.
    pub(super) fn lot(&mut self, cx: &Context) -> Result<Option<Lot>, Error> {
        loop {
            match self.next(cx)? {
                Some(News::Rows(lot)) => return Ok(Some(lot)),
                Some(News::Columns(columns)) => self.columns = columns,
                Some(News::End) | None => return Ok(None),
            }
        }
    }

    /// Gives a lot back for further rows.
    pub(super) fn give_back(&self, mut lot: Lot) {
        if lot.bytes.capacity() <= LARGE {
            lot.clear();
            // nobody needs it any more at the end
            let _gone = self.spare.try_send(lot);
        }
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        self.full = None;
        let Some(reader) = self.reader.take() else {
            return;
        };
        while !self.over && !reader.is_finished() {
            self.canceller.cancel();
            thread::park_timeout(LOOK);
        }
    }
}

/// The thread: reads until the end, or until nobody wants the rows any more.
fn read(
    cx: &Context,
    db: &mut dyn Connection,
    statement: &Statement,
    full: &SyncSender<Result<News, Error>>,
    spare: &Receiver<Lot>,
) -> Result<(), Error> {
    let step = cx.step("query", STATEMENT);
    let mut rows = db.query(&statement.sql, &statement.cells())?;
    drop(step);
    if full
        .send(Ok(News::Columns(rows.columns().to_vec())))
        .is_err()
    {
        return Ok(());
    }
    let mut lot = Lot::default();
    while let Some(row) = rows.fetch()? {
        lot.add(row);
        if lot.is_full() {
            cx.beat();
            if full.send(Ok(News::Rows(lot))).is_err() {
                return Ok(());
            }
            lot = spare.try_recv().unwrap_or_default();
        }
    }
    if lot.len() > 0 {
        // whoever asked may have gone
        let _gone = full.send(Ok(News::Rows(lot)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_out_as_they_went_in() {
        let mut one = Lot::default();
        struct Row<'a>(&'a [Cell<'a>]);
        impl Cells for Row<'_> {
            fn len(&self) -> usize {
                self.0.len()
            }
            fn cell(&self, index: usize) -> Cell<'_> {
                self.0[index]
            }
        }
        let rows: [[Cell<'_>; 3]; 3] = [
            [Some(b"a"), None, Some(b"")],
            [None, None, Some(b"xyz")],
            [Some(b""), Some(b"b"), None],
        ];
        rows.iter().for_each(|row| one.add(db::Row::new(&Row(row))));
        assert_eq!(one.len(), 3);
        for (at, row) in rows.iter().enumerate() {
            let cells: Vec<Cell<'_>> = (0..3).map(|cell| one.row(at).get(cell)).collect();
            assert_eq!(cells, row);
        }
        let mut seen = Vec::new();
        one.each(&[Some(b"now")], |cells| {
            seen.push(
                cells
                    .iter()
                    .map(|cell| cell.map(<[u8]>::to_vec))
                    .collect::<Vec<_>>(),
            );
            Ok(())
        })
        .unwrap();
        assert_eq!(
            seen[1],
            [None, None, Some(b"xyz".to_vec()), Some(b"now".to_vec())]
        );
    }
}
