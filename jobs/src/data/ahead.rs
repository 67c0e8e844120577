//! Reads a file ahead in a thread of its own, so that parsing and what is done with the rows go on at the same time.
//!
//! The file has the same rows in the same order as without. So few of them are ahead that memory does not grow with the file, and a
//! record's buffer goes round and round between the two threads.

use std::io::Read;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::{BadFile, BadRow, Place, Reading, Record, Rows, Step};

/// A batch is handed on when it has so many rows, or so many bytes.
const ROWS: usize = 256;
const BYTES: usize = 256 << 10;

/// Batches between the two threads, besides the one that is read and the one that is made.
const BETWEEN: usize = 1;

/// A record that has grown beyond this is not used again: one large cell shall not stay in memory for ever.
const LARGE: usize = 64 << 10;

/// Rows that were read together.
#[derive(Default)]
struct Batch {
    /// Each row, with what is wrong with it.
    rows: Vec<(Record, Option<Box<BadRow>>)>,
    /// How many of them count: the others wait for their next use.
    filled: usize,
    /// All columns, where there are more than before.
    columns: Option<Vec<String>>,
    /// How far the reader has come.
    place: Place,
    /// How the file ended, in the last batch.
    end: Option<Result<(), BadFile>>,
    /// Why it could not even be begun.
    refused: Option<BadFile>,
}

/// The rows of a file that is read ahead.
struct Ahead {
    full: Receiver<Batch>,
    empty: SyncSender<Batch>,
    batch: Batch,
    at: usize,
    columns: Vec<String>,
    over: bool,
}

/// Opens `input` as [`Reading::open`] does, and reads it ahead.
///
/// # Errors
/// As [`Reading::open`]; when no thread can be started.
pub fn open(reading: Reading, input: Box<dyn Read + Send>) -> Result<Box<dyn Rows>, BadFile> {
    let (full, taken) = sync_channel(BETWEEN);
    let (empty, spare) = sync_channel::<Batch>(BETWEEN + 2);
    thread::Builder::new()
        .name("reader".to_owned())
        .spawn(move || read(&reading, input, &full, &spare))
        .map_err(|error| BadFile::reading(Place::START, error))?;
    let mut ahead = Ahead {
        full: taken,
        empty,
        batch: Batch::default(),
        at: 0,
        columns: Vec::new(),
        over: false,
    };
    // the first batch tells whether the file can be read at all, and how its columns are called
    ahead.turn();
    match ahead.batch.refused.take() {
        Some(error) => Err(error),
        None => Ok(Box::new(ahead)),
    }
}

/// The thread: reads until the end, or until nobody wants the rows any more.
fn read(
    reading: &Reading,
    input: Box<dyn Read + Send>,
    full: &SyncSender<Batch>,
    spare: &Receiver<Batch>,
) {
    let mut rows = match reading.open(input) {
        Ok(rows) => rows,
        Err(error) => {
            let batch = Batch {
                refused: Some(error),
                ..Batch::default()
            };
            // whoever asked may have gone
            let _gone = full.send(batch);
            return;
        }
    };
    let mut known = 0;
    loop {
        let mut batch = spare.try_recv().unwrap_or_default();
        batch.fill(&mut *rows);
        if rows.columns().len() > known {
            known = rows.columns().len();
            batch.columns = Some(rows.columns().to_vec());
        }
        batch.place = rows.place();
        let ended = batch.end.is_some();
        if full.send(batch).is_err() || ended {
            return;
        }
    }
}

impl Batch {
    fn fill(&mut self, rows: &mut dyn Rows) {
        self.filled = 0;
        let mut bytes = 0;
        while self.filled < ROWS && bytes < BYTES {
            if self.filled == self.rows.len() {
                self.rows.push((Record::new(), None));
            }
            let (record, bad) = &mut self.rows[self.filled];
            *bad = match rows.read(record) {
                Ok(Step::Row) => None,
                Ok(Step::Bad(bad)) => Some(bad),
                Ok(Step::End) => {
                    self.end = Some(Ok(()));
                    return;
                }
                Err(error) => {
                    self.end = Some(Err(error));
                    return;
                }
            };
            bytes += record.size();
            self.filled += 1;
        }
    }
}

impl Ahead {
    /// Gives the batch back and takes the next one.
    fn turn(&mut self) {
        let mut done = std::mem::take(&mut self.batch);
        done.columns = None;
        done.rows.retain(|(record, _)| record.size() <= LARGE);
        // the reader may have ended
        let _gone = self.empty.try_send(done);
        self.at = 0;
        self.batch = self.full.recv().unwrap_or_else(|_| Batch {
            end: Some(Err(BadFile::reading(
                self.batch.place,
                std::io::Error::other("the reader's thread has ended before the file did"),
            ))),
            ..Batch::default()
        });
        if let Some(columns) = self.batch.columns.take() {
            self.columns = columns;
        }
    }
}

impl Rows for Ahead {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn read(&mut self, record: &mut Record) -> Result<Step, BadFile> {
        loop {
            if self.at < self.batch.filled {
                let (next, bad) = &mut self.batch.rows[self.at];
                self.at += 1;
                std::mem::swap(next, record);
                return Ok(bad.take().map_or(Step::Row, Step::Bad));
            }
            if self.over {
                return Ok(Step::End);
            }
            if let Some(end) = self.batch.end.take() {
                self.over = true;
                return end.map(|()| Step::End);
            }
            self.turn();
        }
    }

    fn place(&self) -> Place {
        self.batch.place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Format;

    /// Everything that a reader tells, row by row.
    fn told(mut rows: Box<dyn Rows>) -> Vec<String> {
        let mut told = Vec::new();
        let mut record = Record::new();
        loop {
            let cells: Vec<String>;
            match rows.read(&mut record) {
                Ok(Step::End) => break,
                Ok(Step::Bad(bad)) => told.push(bad.to_string()),
                Ok(Step::Row) => {
                    cells = (0..rows.columns().len())
                        .map(|at| format!("{:?}", record.cell(at).map(String::from_utf8_lossy)))
                        .collect();
                    told.push(format!(
                        "{}: {}",
                        record.place(),
                        cells.join(" ").trim_end_matches(" None")
                    ));
                }
                Err(error) => {
                    told.push(error.to_string());
                    break;
                }
            }
        }
        told.push(rows.columns().join(" "));
        told
    }

    fn both(format: Format, text: &str) -> [Vec<String>; 2] {
        let reading = Reading::of(format, "x");
        let input = || Box::new(std::io::Cursor::new(text.to_owned().into_bytes()));
        let plain = reading
            .open(input())
            .map_or_else(|error| vec![error.to_string()], told);
        let ahead = open(reading, input()).map_or_else(|error| vec![error.to_string()], told);
        [plain, ahead]
    }

    #[test]
    fn rows_are_the_same_in_the_same_order() {
        let lines: String = (0..3_000)
            .map(|n| format!("{n},{}\n", "x".repeat(n % 700)))
            .collect();
        let texts = [
            format!("a,b\n{lines}"),
            "a,b\n1,2\n3\n4,5\n".to_owned(),
            "a,b\n1,\"2\n".to_owned(),
            "a,b\n".to_owned(),
            String::new(),
            format!("a,b\n{lines}\"open"),
        ];
        for text in texts {
            let [plain, ahead] = both(Format::Csv, &text);
            assert!(plain == ahead, "{plain:?}\n{ahead:?}");
        }
        let late: String = (0..2_000)
            .map(|n| {
                if n % 900 == 899 {
                    format!("<row><n{n}>1</n{n}></row>")
                } else {
                    "<row><a>1</a></row>".to_owned()
                }
            })
            .collect();
        for text in [
            format!("<data>{late}</data>"),
            format!("<data>{late}"),
            "<data>".to_owned(),
            "<!DOCTYPE x><data/>".to_owned(),
        ] {
            let [plain, ahead] = both(Format::Xml, &text);
            assert!(plain == ahead, "{plain:?}\n{ahead:?}");
        }
    }

    #[test]
    fn a_reader_that_nobody_wants_any_more_ends() {
        let endless = std::io::Read::chain(&b"a\n"[..], std::io::repeat(b'\n'));
        let mut rows = open(Reading::of(Format::Csv, "x"), Box::new(endless)).unwrap();
        let mut record = Record::new();
        for _ in 0..3 {
            let _row = rows.read(&mut record);
        }
        drop(rows);
    }
}
