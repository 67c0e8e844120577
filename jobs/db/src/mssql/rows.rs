//! A result set. Rows are taken from the driver as many as lie ready, so that a row costs no turn of the runtime; their text is written into
//! one buffer a row.

use super::fault::Trouble;
use super::kind::of_result;
use super::link::{Link, bound, lost};
use super::stop::Stopper;
use super::value::{Spelled, spell};
use crate::{Cell, Cells, Column, Error, Result, Row, Rows};
use futures_util::{FutureExt, StreamExt};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use tiberius::QueryStream;
use tokio::runtime::Runtime;

/// How many rows are taken at once.
const READY: usize = 256;

/// A piece of a result, as the driver gives it.
type Item = tiberius::Result<tiberius::Row>;
type Stream<'c> = futures_util::stream::BoxStream<'c, Item>;

pub(super) struct MssqlRows<'c> {
    runtime: &'c Runtime,
    stopper: Arc<Stopper>,
    stream: Option<Stream<'c>>,
    action: String,
    columns: Vec<Column>,
    ready: VecDeque<tiberius::Row>,
    /// What came after the last row that is ready.
    failed: Option<Trouble>,
    places: Vec<Option<Range<usize>>>,
    buffer: Vec<u8>,
}

impl<'c> MssqlRows<'c> {
    /// Runs a query up to its first rows, so that it fails where it is made.
    pub(super) fn start(
        link: &'c mut Link,
        sql: &str,
        params: &[Cell<'_>],
        action: String,
    ) -> Result<Self> {
        if let Err(trouble) = link.start() {
            return Err(link.fault(&action, trouble));
        }
        let stopper = Arc::clone(&link.stopper);
        let failed = |trouble| super::fault::fault(&action, stopper.verdict(), trouble);
        let query = bound(sql, params).map_err(failed)?;
        let Some(client) = link.client.as_mut() else {
            return Err(failed(lost()));
        };
        let opened = link.runtime.block_on(stopper.within(async {
            let mut stream: QueryStream<'c> = query.query(client).await?;
            let columns: Vec<Column> = stream
                .columns()
                .await?
                .unwrap_or_default()
                .iter()
                .map(described)
                .collect();
            Ok::<_, tiberius::error::Error>((columns, stream.into_row_stream()))
        }));
        let (columns, stream) = match opened {
            Some(Ok(opened)) => opened,
            Some(Err(error)) => {
                stopper.rest();
                return Err(failed(error.into()));
            }
            None => {
                stopper.leave();
                return Err(failed(Trouble::Stopped));
            }
        };
        let mut rows = MssqlRows {
            runtime: &link.runtime,
            stopper,
            stream: Some(stream),
            action,
            columns,
            ready: VecDeque::new(),
            failed: None,
            places: Vec::new(),
            buffer: Vec::new(),
        };
        rows.fill();
        match rows.failed.take_if(|_| rows.ready.is_empty()) {
            Some(trouble) => Err(rows.fault(trouble)),
            None => Ok(rows),
        }
    }

    /// Waits for the next row, and takes all that came with it.
    fn fill(&mut self) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        let (ready, failed, stopper) = (&mut self.ready, &mut self.failed, &self.stopper);
        let over = self.runtime.block_on(async {
            let Some(mut next) = stopper.within(stream.next()).await else {
                *failed = Some(Trouble::Stopped);
                return true;
            };
            loop {
                match next {
                    Some(Ok(row)) => ready.push_back(row),
                    Some(Err(error)) => {
                        *failed = Some(error.into());
                        return true;
                    }
                    None => return true,
                }
                if ready.len() >= READY {
                    return false;
                }
                match stream.next().now_or_never() {
                    Some(following) => next = following,
                    None => return false,
                }
            }
        });
        if over {
            self.stream = None;
            match self.failed {
                Some(Trouble::Stopped) => self.stopper.leave(),
                _ => self.stopper.rest(),
            }
        }
    }

    fn fault(&self, trouble: Trouble) -> Error {
        super::fault::fault(&self.action, self.stopper.verdict(), trouble)
    }

    fn place_cells(&mut self, row: &tiberius::Row) -> Result<()> {
        self.places.clear();
        self.buffer.clear();
        for ((_, value), column) in row.cells().zip(&self.columns) {
            let from = self.buffer.len();
            match spell(column.kind, value, &mut self.buffer) {
                Ok(Spelled::Null) => self.places.push(None),
                Ok(Spelled::Written) => self.places.push(Some(from..self.buffer.len())),
                Err(why) => return Err(self.fault(Trouble::Damaged(column.name.clone(), why))),
            }
        }
        Ok(())
    }
}

fn described(column: &tiberius::Column) -> Column {
    let (kind, declared) = of_result(column.column_type());
    Column {
        name: column.name().to_owned(),
        kind,
        declared: declared.to_owned(),
    }
}

impl Rows for MssqlRows<'_> {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn fetch(&mut self) -> Result<Option<Row<'_>>> {
        if self.ready.is_empty() {
            if self.failed.is_none() {
                self.fill();
            }
            if self.ready.is_empty()
                && let Some(trouble) = self.failed.take()
            {
                return Err(self.fault(trouble));
            }
        }
        let Some(row) = self.ready.pop_front() else {
            return Ok(None);
        };
        self.place_cells(&row)?;
        Ok(Some(Row::new(self)))
    }
}

impl Cells for MssqlRows<'_> {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn cell(&self, index: usize) -> Cell<'_> {
        self.places[index].clone().map(|place| &self.buffer[place])
    }
}

impl Drop for MssqlRows<'_> {
    fn drop(&mut self) {
        // the next statement stops what still flows
        if self.stream.take().is_some() {
            self.stopper.leave();
        }
    }
}
