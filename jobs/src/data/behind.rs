//! Writes rows in a thread of its own, behind who brings them, so that fetching rows and laying them out go on at the same time.
//!
//! The bytes are those of a [`Writer`]. A file begins without a thread: a small one never needs it. So few rows are behind that memory
//! does not grow with the file.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use db::{Cell, Row, Sheaf};

use super::Writer;

/// A batch is handed on when it has so many bytes.
const BYTES: usize = 256 << 10;

/// Batches between the two threads.
const BETWEEN: usize = 2;

/// What a batch has grown beyond this is given back.
const LARGE: usize = 4 << 20;

/// Rows on their way into a stream, laid out behind the caller's back.
pub struct Behind<W: Write + Send + 'static> {
    work: Work<W>,
    width: usize,
    batch: Sheaf,
    rows: u64,
}

enum Work<W: Write + Send + 'static> {
    /// Rows are laid out as they come: there are few so far.
    Here(Box<Writer<W>>),
    There(Thread<W>),
    /// An error was told: there is nothing left to do.
    Over,
}

struct Thread<W: Write + Send + 'static> {
    full: SyncSender<Sheaf>,
    spare: Receiver<Sheaf>,
    writer: JoinHandle<io::Result<Writer<W>>>,
    bytes: Arc<AtomicU64>,
}

impl<W: Write + Send + 'static> Behind<W> {
    /// Takes over a file that has begun, of so many columns.
    pub fn new(writer: Writer<W>, width: usize) -> Behind<W> {
        Behind {
            work: Work::Here(Box::new(writer)),
            width,
            batch: Sheaf::default(),
            rows: 0,
        }
    }

    /// Writes a row: a cell a column.
    ///
    /// # Errors
    /// As [`Writer::row`], perhaps of a row before.
    pub fn row<'c>(&mut self, cells: impl Iterator<Item = Cell<'c>>) -> io::Result<()> {
        let before = self.batch.len();
        cells.for_each(|cell| self.batch.push(cell));
        let count = self.batch.len() - before;
        if count != self.width {
            self.batch.truncate(before);
            return Err(self.misfit(count));
        }
        self.added()
    }

    /// Writes the first cells of a row, one a column: faster than cell by cell.
    ///
    /// # Errors
    /// As [`Behind::row`].
    pub fn lent(&mut self, row: Row<'_>) -> io::Result<()> {
        if row.len() < self.width {
            return Err(self.misfit(row.len()));
        }
        row.copy(self.width, &mut self.batch);
        self.added()
    }

    /// Where further rows can be laid down, a cell a column, before [`Behind::laid_down`] is told of them.
    pub fn batch(&mut self) -> &mut Sheaf {
        &mut self.batch
    }

    /// So many rows have been laid down in the batch.
    ///
    /// # Errors
    /// As [`Behind::row`].
    pub fn laid_down(&mut self, rows: usize) -> io::Result<()> {
        let odd = self.batch.len() % self.width.max(1);
        if odd > 0 {
            return Err(self.misfit(odd));
        }
        self.rows += rows as u64;
        self.hand_on_when_full()
    }

    fn misfit(&self, count: usize) -> io::Error {
        let reason = format!("{count} cells for {} columns", self.width);
        io::Error::new(io::ErrorKind::InvalidInput, reason)
    }

    fn added(&mut self) -> io::Result<()> {
        self.rows += 1;
        self.hand_on_when_full()
    }

    fn hand_on_when_full(&mut self) -> io::Result<()> {
        if self.batch.size() >= BYTES {
            self.hand_on()?;
        }
        Ok(())
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes laid out so far, before compression.
    pub fn bytes(&self) -> u64 {
        match &self.work {
            Work::Here(writer) => writer.bytes(),
            Work::There(thread) => thread.bytes.load(Ordering::Relaxed),
            Work::Over => 0,
        }
    }

    /// Writes the end of the file; gives the output back, with the number of bytes before compression.
    ///
    /// # Errors
    /// Those of the rows that were behind, and of the output.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        let rest = std::mem::take(&mut self.batch);
        let writer = match std::mem::replace(&mut self.work, Work::Over) {
            Work::Over => return Err(io::Error::other("writing had failed before")),
            Work::Here(mut writer) => {
                writer.lay_out(&rest)?;
                *writer
            }
            Work::There(thread) => {
                // an error of the thread is told by its end
                let _gone = thread.full.send(rest);
                thread.end()?
            }
        };
        let bytes = writer.bytes();
        writer.finish().map(|output| (output, bytes))
    }

    fn hand_on(&mut self) -> io::Result<()> {
        let full = std::mem::take(&mut self.batch);
        self.work = match std::mem::replace(&mut self.work, Work::Over) {
            Work::Over => return Err(io::Error::other("writing had failed before")),
            Work::Here(mut writer) => {
                writer.lay_out(&full)?;
                Work::There(Thread::start(*writer)?)
            }
            Work::There(thread) => {
                if thread.full.send(full).is_err() {
                    return thread
                        .end()
                        .and(Err(io::Error::other("writing has ended early")));
                }
                self.batch = thread.spare.try_recv().unwrap_or_default();
                Work::There(thread)
            }
        };
        Ok(())
    }
}

impl<W: Write + Send + 'static> Thread<W> {
    fn start(mut writer: Writer<W>) -> io::Result<Thread<W>> {
        let (full, taken) = sync_channel::<Sheaf>(BETWEEN);
        let (empty, spare) = sync_channel(BETWEEN + 1);
        let bytes = Arc::new(AtomicU64::new(writer.bytes()));
        let told = Arc::clone(&bytes);
        let writer = thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || {
                for mut batch in taken {
                    writer.lay_out(&batch)?;
                    told.store(writer.bytes(), Ordering::Relaxed);
                    batch.clear(LARGE);
                    // nobody needs it any more at the end
                    let _gone = empty.try_send(batch);
                }
                Ok(writer)
            })?;
        Ok(Thread {
            full,
            spare,
            writer,
            bytes,
        })
    }

    /// Waits until all that was handed on is written.
    fn end(self) -> io::Result<Writer<W>> {
        drop(self.full);
        self.writer
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the writer's thread has failed")))
    }
}

/// Given up: the thread ends before its file is removed.
impl<W: Write + Send + 'static> Drop for Behind<W> {
    fn drop(&mut self) {
        if let Work::There(thread) = std::mem::replace(&mut self.work, Work::Over) {
            drop(thread.end());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Column, Compression, Format};

    fn columns() -> Vec<Column> {
        vec![Column::text("a"), Column::text("b"), Column::text("c")]
    }

    /// An output that is full after so many bytes.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self
                .0
                .checked_sub(bytes.len())
                .ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn bytes_are_those_of_a_writer() {
        for (format, count) in [
            (Format::Csv, 3),
            (Format::Xml, 60_000),
            (Format::Jsonl, 9_000),
            (Format::Csv, 0),
        ] {
            let mut plain = Writer::new(Vec::new(), format, Compression::None, &columns()).unwrap();
            let mut behind = Behind::new(
                Writer::new(Vec::new(), format, Compression::None, &columns()).unwrap(),
                3,
            );
            for n in 0..count {
                // many that stand for themselves in a row, then some that do not
                let text = format!("row {n} {}", if n % 5_000 < 9 { "<&>\"站" } else { "" });
                let cells: [Cell<'_>; 3] =
                    [Some(text.as_bytes()), (n % 3 > 0).then_some(&b""[..]), None];
                plain.row(&cells).unwrap();
                behind.row(cells.into_iter()).unwrap();
            }
            assert_eq!(behind.rows(), count);
            let (bytes, length) = behind.finish().unwrap();
            assert_eq!(length, plain.bytes());
            assert!(bytes == plain.finish().unwrap(), "{format:?}");
        }
    }

    #[test]
    fn of_a_lent_row_as_many_cells_as_columns_are_written() {
        struct Lent;
        impl db::Cells for Lent {
            fn len(&self) -> usize {
                4
            }
            fn cell(&self, index: usize) -> Cell<'_> {
                [Some(&b"a"[..]), None, Some(b""), Some(b"edge")][index]
            }
        }
        let written = |width: usize| {
            let columns: Vec<Column> = (0..width).map(|n| Column::text(format!("c{n}"))).collect();
            let writer = Writer::new(Vec::new(), Format::Csv, Compression::None, &columns)?;
            let mut behind = Behind::new(writer, width);
            behind.lent(Row::new(&Lent))?;
            behind.finish().map(|(text, _)| text)
        };
        assert_eq!(written(3).unwrap(), b"c0,c1,c2\na,,\"\"\n");
        let refused = written(5).unwrap_err().kind();
        assert_eq!(refused, io::ErrorKind::InvalidInput);
    }

    #[test]
    fn what_goes_wrong_behind_is_told() {
        let mut behind = Behind::new(
            Writer::new(Full(3 << 20), Format::Csv, Compression::None, &columns()).unwrap(),
            3,
        );
        let cell: Cell<'_> = Some(&[b'x'; 1000]);
        let failed = (0..10_000).find_map(|_| behind.row([cell; 3].into_iter()).err());
        assert_eq!(failed.unwrap().kind(), io::ErrorKind::StorageFull);
        let mut behind = Behind::new(
            Writer::new(Full(1 << 20), Format::Csv, Compression::None, &columns()).unwrap(),
            3,
        );
        (0..500).for_each(|_| behind.row([cell; 3].into_iter()).unwrap());
        assert!(behind.finish().is_err());
        let mut behind = Behind::new(
            Writer::new(Vec::new(), Format::Csv, Compression::None, &columns()).unwrap(),
            3,
        );
        assert!(behind.row([cell; 2].into_iter()).is_err());
        let bad: Cell<'_> = Some(b"\xFF");
        behind.row([bad; 3].into_iter()).unwrap();
        assert_eq!(
            behind.finish().map(drop).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }
}
