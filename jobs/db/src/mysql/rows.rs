//! A result set. A future reads rows for as long as the query lasts and lays them down in their written forms, as many as lie
//! ready: so a row costs neither a turn of the runtime nor room of its own. They are lent from where they lie.

use super::block::Block;
use super::fault::Trouble;
use super::kind::Shape;
use super::link::{Link, bind, lost, prepare};
use super::stop::Stopper;
use crate::{Cell, Cells, Column, Error, Result, Row, Rows, Sheaf};
use mysql_async::prelude::{Protocol, Queryable};
use mysql_async::{Conn, Params, QueryResult, Value};
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::runtime::Runtime;

/// How many blocks are read of a result that nobody wants before its statement is stopped instead.
const LEFT_OVER: u32 = 4;

/// Reads a result to its end, whenever it is polled as far as rows lie ready and the block has room.
type Reader<'c> = Pin<Box<dyn Future<Output = Result<(), Trouble>> + 'c>>;

pub(super) struct MysqlRows<'c> {
    runtime: &'c Runtime,
    stopper: Arc<Stopper>,
    reader: Option<Reader<'c>>,
    action: String,
    columns: Vec<Column>,
    /// Where the reader lays rows down.
    fresh: Rc<RefCell<Block>>,
    /// The rows that are lent, one after the other.
    block: Block,
    /// How many of them have been.
    lent: usize,
    /// What came after the last row of the block.
    failed: Option<Trouble>,
}

/// A result, opened.
struct Opened<'c> {
    reader: Option<Reader<'c>>,
    columns: Vec<Column>,
}

/// Starts a query; prepared, as binary results keep every digit of a FLOAT.
async fn open<'c>(
    conn: &'c mut Conn,
    sql: &str,
    params: Params,
    count: usize,
    fresh: &Rc<RefCell<Block>>,
) -> Result<Opened<'c>, Trouble> {
    let statement = prepare(conn, sql, count).await?;
    Ok(match statement {
        Some(statement) => Opened::of(conn.exec_iter(&statement, params).await?, fresh),
        None => Opened::of(conn.query_iter(sql.to_owned()).await?, fresh),
    })
}

impl<'c> Opened<'c> {
    fn of<P: Protocol>(result: QueryResult<'c, 'static, P>, fresh: &Rc<RefCell<Block>>) -> Self {
        let Some(found) = result.columns() else {
            return Opened {
                reader: None,
                columns: Vec::new(),
            };
        };
        let (columns, shapes): (Vec<_>, Vec<_>) = found.iter().map(described).unzip();
        *fresh.borrow_mut() = Block::new(shapes, &columns);
        Opened {
            reader: Some(Box::pin(read(result, Rc::clone(fresh)))),
            columns,
        }
    }
}

async fn read<P: Protocol>(
    mut result: QueryResult<'_, 'static, P>,
    fresh: Rc<RefCell<Block>>,
) -> Result<(), Trouble> {
    while let Some(row) = result.next().await? {
        let mut full = {
            let mut block = fresh.borrow_mut();
            block.add((0..row.len()).map(|at| row.as_ref(at).unwrap_or(&Value::NULL)));
            block.is_full()
        };
        if full {
            // until somebody asks for more
            poll_fn(|_| match std::mem::take(&mut full) {
                true => Poll::Pending,
                false => Poll::Ready(()),
            })
            .await;
        }
    }
    Ok(())
}

/// Waits until there are rows (`false`), or there is nothing more to come.
async fn wait_for_rows(reader: &mut Reader<'_>, fresh: &RefCell<Block>) -> Result<bool, Trouble> {
    poll_fn(|context| match reader.as_mut().poll(context) {
        Poll::Ready(ended) => Poll::Ready(ended.map(|()| true)),
        Poll::Pending if fresh.borrow().rows() > 0 => Poll::Ready(Ok(false)),
        Poll::Pending => Poll::Pending,
    })
    .await
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
        let fresh = Rc::default();
        let opening = open(conn, sql, bind(params), params.len(), &fresh);
        let opened = link
            .runtime
            .block_on(stopper.within(Duration::ZERO, opening));
        let opened = opened.map_err(|trouble| {
            stopper.rest();
            super::fault::fault(&action, stopper.verdict(), trouble)
        })?;
        let block = fresh.borrow().another();
        let mut rows = MysqlRows {
            runtime: &link.runtime,
            stopper,
            reader: opened.reader,
            action,
            columns: opened.columns,
            block,
            fresh,
            lent: 0,
            failed: None,
        };
        rows.fill();
        match rows.failed.take_if(|_| rows.block.rows() == 0) {
            Some(trouble) => Err(rows.fault(trouble)),
            None => Ok(rows),
        }
    }

    /// Waits for the next rows.
    fn fill(&mut self) {
        self.lent = 0;
        self.block.clear();
        let Some(reader) = &mut self.reader else {
            return;
        };
        let waiting = wait_for_rows(reader, &self.fresh);
        let waited = self
            .runtime
            .block_on(self.stopper.within(Duration::ZERO, waiting));
        std::mem::swap(&mut self.block, &mut self.fresh.borrow_mut());
        if !matches!(waited, Ok(false)) {
            self.failed = waited.err();
            self.reader = None;
            self.stopper.rest();
        }
    }

    /// Sees to it that there is a row to lend; `false` at the end.
    fn ready(&mut self) -> Result<bool> {
        if self.lent < self.block.rows() {
            return Ok(true);
        }
        if self.failed.is_none() {
            self.fill();
        }
        match self.failed.take_if(|_| self.block.rows() == self.lent) {
            Some(trouble) => Err(self.fault(trouble)),
            None => Ok(self.lent < self.block.rows()),
        }
    }

    fn fault(&self, trouble: Trouble) -> Error {
        super::fault::fault(&self.action, self.stopper.verdict(), trouble)
    }
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
        if !self.ready()? {
            return Ok(None);
        }
        self.lent += 1;
        Ok(Some(Row::new(self)))
    }

    fn gather(&mut self, most: usize, into: &mut Sheaf) -> Result<usize> {
        if most == 0 || !self.ready()? {
            return Ok(0);
        }
        let count = most.min(self.block.rows() - self.lent);
        self.block.pass_on(self.lent, count, into);
        // none is left to lend of a block that has changed places
        self.lent = (self.lent + count).min(self.block.rows());
        Ok(count)
    }
}

impl Cells for MysqlRows<'_> {
    fn len(&self) -> usize {
        self.columns.len()
    }

    fn cell(&self, index: usize) -> Cell<'_> {
        self.block.cell(self.lent - 1, index)
    }

    fn copy(&self, count: usize, into: &mut Sheaf) {
        self.block.copy(self.lent - 1, count, into);
    }
}

impl Drop for MysqlRows<'_> {
    /// Makes the connection ready for the next statement.
    fn drop(&mut self) {
        let Some(mut reader) = self.reader.take() else {
            return;
        };
        let (stopper, fresh) = (&self.stopper, &self.fresh);
        self.runtime.block_on(async {
            for _ in 0..LEFT_OVER {
                fresh.borrow_mut().clear();
                let waiting = wait_for_rows(&mut reader, fresh);
                if !matches!(stopper.within(Duration::ZERO, waiting).await, Ok(false)) {
                    return;
                }
            }
            let rest = async {
                fresh.borrow_mut().clear();
                while let Ok(false) = wait_for_rows(&mut reader, fresh).await {
                    fresh.borrow_mut().clear();
                }
            };
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
