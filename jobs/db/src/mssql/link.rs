//! One session: the driver's client, the private runtime that drives it, and the limits on every wait. Blocking towards the
//! rest of this folder; nothing of the driver's async face leaves it.

use super::fault::{Trouble, fault};
use super::stop::{GRACE, Stopper};
use super::value::{Spelled, spell};
use crate::{Cell, Error, ErrorKind, Kind};
use futures_util::TryStreamExt;
use std::sync::Arc;
use tiberius::{Client, ColumnData, Query, Row, TokenRow};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_util::compat::Compat;

/// The driver's client on a socket.
pub(super) type Wire = Client<Compat<TcpStream>>;

/// Cells as text.
pub(super) type Texts = Vec<Option<String>>;

pub(super) struct Link {
    pub(super) runtime: Runtime,
    /// `None` once the connection was given up.
    pub(super) client: Option<Wire>,
    pub(super) stopper: Arc<Stopper>,
}

impl Link {
    pub(super) fn fault(&self, action: &str, trouble: Trouble) -> Error {
        fault(action, self.stopper.verdict(), trouble)
    }

    /// A statement starts now: what is left of an earlier result is stopped first.
    pub(super) fn start(&mut self) -> Result<(), Trouble> {
        if !self.stopper.start() {
            return Ok(());
        }
        let ended = self.attention();
        self.stopper.start();
        ended
    }

    /// Has the server end what it does.
    fn attention(&mut self) -> Result<(), Trouble> {
        let client = self.client.as_mut().ok_or_else(lost)?;
        let ended = self
            .runtime
            .block_on(async { timeout(GRACE, client.cancel_query()).await });
        match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                self.client = None;
                Err(error.into())
            }
            Err(_) => {
                self.client = None;
                Err(Trouble::Silent)
            }
        }
    }

    /// One exchange with the server, within the time limit.
    pub(super) fn exchange<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Wire) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        self.start()?;
        let client = self.client.as_mut().ok_or_else(lost)?;
        let done = self.runtime.block_on(self.stopper.within(work(client)));
        self.stopper.rest();
        let done = match done {
            Some(done) => done,
            None => {
                self.attention()?;
                Err(Trouble::Stopped)
            }
        };
        if matches!(&done, Err(trouble) if trouble.is_end()) {
            self.client = None;
        }
        done
    }

    /// Runs statements of our own, as one batch: what they set and make outlives them.
    pub(super) fn say(&mut self, sql: &str) -> Result<(), Trouble> {
        self.ask(sql).map(drop)
    }

    /// As [`Link::say`]; all rows of all results as text.
    pub(super) fn ask(&mut self, sql: &str) -> Result<Vec<Texts>, Trouble> {
        self.exchange(async |client| {
            let mut rows = client.simple_query(sql.to_owned()).await?.into_row_stream();
            let mut found = Vec::new();
            while let Some(row) = rows.try_next().await? {
                found.push(texts(&row)?);
            }
            Ok(found)
        })
    }

    /// Runs one statement with its parameters bound as text; how many rows it changed.
    pub(super) fn run(&mut self, sql: &str, params: &[Cell<'_>]) -> Result<u64, Trouble> {
        let query = bound(sql, params)?;
        self.exchange(async |client| {
            let done = query.execute(client).await?;
            // triggers count before the statement itself, what only sets something counts nothing
            let counts = done.rows_affected().iter().rev().copied();
            Ok(counts.into_iter().find(|count| *count > 0).unwrap_or(0))
        })
    }

    /// Sends rows into a table by bulk insert; each is a number and texts.
    pub(super) fn bulk<'r>(
        &mut self,
        table: &str,
        rows: impl Iterator<Item = (i64, Vec<Cell<'r>>)>,
    ) -> Result<(), Trouble> {
        self.exchange(async |client| {
            let mut request = client.bulk_insert(table).await?;
            for (number, cells) in rows {
                let mut row = TokenRow::with_capacity(cells.len() + 1);
                row.push(ColumnData::I64(Some(number)));
                for cell in cells {
                    row.push(ColumnData::String(
                        text(cell)?.map(|text| text.to_owned().into()),
                    ));
                }
                request.send(row).await?;
            }
            request.finalize().await?;
            Ok(())
        })
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link({:?})", self.stopper)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else {
            return;
        };
        let said = self
            .runtime
            .block_on(async { timeout(std::time::Duration::from_secs(1), client.close()).await });
        log::trace!("saying good-bye: {:?}", said.is_ok());
    }
}

/// A statement with its parameters bound; as many as it has marks.
pub(super) fn bound<'q>(sql: &'q str, params: &[Cell<'q>]) -> Result<Query<'q>, Trouble> {
    let (_, marks) = crate::marks::translate(sql, &super::dialect::Mssql);
    let mut named = marks.unwrap_or_default();
    named.sort_unstable();
    named.dedup();
    let count = params.len();
    if named.len() != count || named.last().is_some_and(|last| *last != count - 1) {
        let why = format!("{count} parameters for other placeholders");
        return Err(Trouble::Senseless(why));
    }
    let mut query = Query::new(sql);
    for param in params {
        query.bind(text(*param)?);
    }
    Ok(query)
}

fn text(cell: Cell<'_>) -> Result<Option<&str>, Trouble> {
    let text = cell.map(std::str::from_utf8).transpose();
    text.map_err(|_| Trouble::Senseless("a parameter is not UTF-8".to_owned()))
}

fn texts(row: &Row) -> Result<Texts, Trouble> {
    let each = row.cells().map(|(column, value)| {
        let mut out = Vec::new();
        match spell(Kind::Other, value, &mut out) {
            Ok(Spelled::Null) => Ok(None),
            Ok(Spelled::Written) => Ok(Some(String::from_utf8_lossy(&out).into_owned())),
            Err(why) => Err(Trouble::Damaged(column.name().to_owned(), why)),
        }
    });
    each.collect()
}

pub(super) fn lost() -> Trouble {
    Trouble::Broken(ErrorKind::Connect, "the connection was lost before".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_must_fit() {
        let fits = |sql: &str, count: usize| bound(sql, &vec![None; count]).is_ok();
        assert!(fits("SELECT @P1, @P2, @P1", 2) && fits("SELECT '@P1', @x", 0));
        assert!(!fits("SELECT @P1", 0) && !fits("SELECT @P1", 2) && !fits("SELECT @P2", 1));
        assert!(bound("SELECT @P1", &[Some(b"\xff")]).is_err());
    }
}
