//! A result set. Rows are taken from the driver as many as lie ready, so that a row costs no turn of the runtime; text is lent
//! where the driver left it, all else is written into one buffer a row.

use super::fault::Trouble;
use super::kind::Shape;
use super::link::{Link, bind, lost, prepare};
use super::stop::Stopper;
use super::value::{Spelled, spell};
use crate::{Cell, Cells, Column, Error, Result, Row, Rows};
use futures_util::{FutureExt, Stream, StreamExt};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Value};
use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// How many rows, and how many bytes of text, are taken at once.
const READY: usize = 256;
const READY_BYTES: usize = 256 << 10;
/// What is read of a result that nobody wants before its statement is stopped instead.
const LEFT_OVER: u32 = 2000;

type Stored<'c> = Pin<Box<dyn Stream<Item = mysql_async::Result<mysql_async::Row>> + Send + 'c>>;

#[derive(Debug)]
enum Place {
    Null,
    /// The driver's own bytes.
    Lent,
    Written(Range<usize>),
}

pub(super) struct MysqlRows<'c> {
    runtime: &'c Runtime,
    stopper: Arc<Stopper>,
    stream: Option<Stored<'c>>,
    action: String,
    columns: Vec<Column>,
    shapes: Vec<Shape>,
    ready: VecDeque<mysql_async::Row>,
    /// What came after the last row that is ready.
    failed: Option<Trouble>,
    row: Option<mysql_async::Row>,
    places: Vec<Place>,
    buffer: Vec<u8>,
}

/// A result, opened.
struct Opened<'c> {
    stream: Option<Stored<'c>>,
    columns: Arc<[mysql_async::Column]>,
}

/// Starts a query; prepared, as binary results keep every digit of a FLOAT.
async fn open<'c>(
    conn: &'c mut Conn,
    sql: &str,
    params: Params,
    count: usize,
) -> Result<Opened<'c>, Trouble> {
    let none = || Opened {
        stream: None,
        columns: Arc::default(),
    };
    let statement = prepare(conn, sql, count).await?;
    Ok(match statement {
        Some(statement) => {
            let result = conn.exec_iter(&statement, params).await?;
            result
                .stream_and_drop()
                .await?
                .map_or_else(none, |stream| Opened {
                    columns: stream.columns(),
                    stream: Some(stream.boxed()),
                })
        }
        None => {
            let result = conn.query_iter(sql.to_owned()).await?;
            result
                .stream_and_drop()
                .await?
                .map_or_else(none, |stream| Opened {
                    columns: stream.columns(),
                    stream: Some(stream.boxed()),
                })
        }
    })
}

impl<'c> MysqlRows<'c> {
    /// Runs a query up to its first rows, so that it fails where it is made.
    pub(super) fn start(
        link: &'c mut Link,
        sql: &str,
        params: &[Cell<'_>],
        action: String,
    ) -> Result<Self> {
        let begun = link.keep_limit(false).and_then(|()| link.start());
        if let Err(trouble) = begun {
            return Err(link.fault(&action, trouble));
        }
        let stopper = Arc::clone(&link.stopper);
        let Some(conn) = link.conn.as_mut() else {
            return Err(super::fault::fault(action, stopper.verdict(), lost()));
        };
        let opening = open(conn, sql, bind(params), params.len());
        let opened = link
            .runtime
            .block_on(stopper.within(Duration::ZERO, opening));
        let opened = opened.map_err(|trouble| {
            stopper.rest();
            super::fault::fault(&action, stopper.verdict(), trouble)
        })?;
        let (columns, shapes) = opened.columns.iter().map(described).unzip();
        let mut rows = MysqlRows {
            runtime: &link.runtime,
            stopper,
            stream: opened.stream,
            action,
            columns,
            shapes,
            ready: VecDeque::new(),
            failed: None,
            row: None,
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
        let (ready, failed) = (&mut self.ready, &mut self.failed);
        let over = self.runtime.block_on(async {
            let first = async { Ok(stream.next().await.transpose()?) };
            let mut next = self.stopper.within(Duration::ZERO, first).await;
            let mut bytes = 0;
            loop {
                match next {
                    Ok(Some(row)) => {
                        bytes += weight(&row);
                        ready.push_back(row);
                    }
                    Ok(None) => return true,
                    Err(trouble) => {
                        *failed = Some(trouble);
                        return true;
                    }
                }
                if ready.len() >= READY || bytes >= READY_BYTES {
                    return false;
                }
                next = match stream.next().now_or_never() {
                    Some(next) => next.transpose().map_err(Trouble::from),
                    None => return false,
                };
            }
        });
        if over {
            self.stream = None;
            self.stopper.rest();
        }
    }

    fn fault(&self, trouble: Trouble) -> Error {
        super::fault::fault(&self.action, self.stopper.verdict(), trouble)
    }

    fn place_cells(&mut self) {
        self.places.clear();
        self.buffer.clear();
        let Some(row) = &self.row else { return };
        for (index, (shape, column)) in self.shapes.iter().zip(&self.columns).enumerate() {
            let from = self.buffer.len();
            let value = row.as_ref(index).unwrap_or(&Value::NULL);
            let spelled = spell(*shape, column.kind, value, &mut self.buffer);
            self.places.push(match spelled {
                Spelled::Null => Place::Null,
                Spelled::Lent => Place::Lent,
                Spelled::Written => Place::Written(from..self.buffer.len()),
            });
        }
    }
}

/// The bytes that a row holds outside itself.
fn weight(row: &mysql_async::Row) -> usize {
    let bytes = |index| match row.as_ref(index) {
        Some(Value::Bytes(bytes)) => bytes.len(),
        _ => 0,
    };
    (0..row.len()).map(bytes).sum()
}

pub(super) fn described(column: &mysql_async::Column) -> (Column, Shape) {
    let shape = Shape::new(
        column.column_type() as u8,
        column.flags().bits(),
        column.character_set(),
        column.column_length(),
        column.decimals(),
    );
    let described = Column {
        name: column.name_str().into_owned(),
        kind: shape.kind(),
        declared: shape.declared(),
    };
    (described, shape)
}

impl Rows for MysqlRows<'_> {
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
        self.row = self.ready.pop_front();
        if self.row.is_none() {
            return Ok(None);
        }
        self.place_cells();
        Ok(Some(Row::new(self)))
    }
}

impl Cells for MysqlRows<'_> {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn cell(&self, index: usize) -> Cell<'_> {
        match &self.places[index] {
            Place::Null => None,
            Place::Written(range) => Some(&self.buffer[range.clone()]),
            Place::Lent => match self.row.as_ref().and_then(|row| row.as_ref(index)) {
                Some(Value::Bytes(text)) => Some(text),
                _ => None,
            },
        }
    }
}

impl Drop for MysqlRows<'_> {
    /// Makes the connection ready for the next statement.
    fn drop(&mut self) {
        let Some(mut stream) = self.stream.take() else {
            return;
        };
        let stopper = &self.stopper;
        self.runtime.block_on(async {
            for _ in 0..LEFT_OVER {
                match stopper
                    .within(Duration::ZERO, async { Ok(stream.next().await) })
                    .await
                {
                    Ok(Some(Ok(_))) => {}
                    _ => return,
                }
            }
            let rest = async { while let Some(Ok(_)) = stream.next().await {} };
            if stopper.leave(rest).await.is_none() {
                log::debug!(
                    "{}: the server goes on with a query that was stopped",
                    self.action
                );
            }
        });
        self.stopper.rest();
    }
}
