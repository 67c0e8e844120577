//! Rows in portions, out of a cursor: what is not fetched is not made, and may be left at any time without a cancel.
//! The next portion is always under way while one is read.

use super::fault::Trouble;
use super::param::Given;
use super::session::Session;
use crate::Cell;
use futures_util::future::join;
use std::pin::Pin;
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow, SimpleQueryStream, Statement};

/// How many bytes a portion should have.
const BYTES: usize = 512 * 1024;
const FIRST: usize = 100;
const MOST: usize = 10_000;

const CURSOR: &str = "\"job rows\"";

type Stream = Pin<Box<SimpleQueryStream>>;

/// A portion that was asked for.
struct Portion {
    stream: Stream,
    /// How many rows it may have, and how many came.
    asked: usize,
    came: usize,
}

/// A cursor's rows.
pub(super) struct Portions {
    now: Portion,
    next: Portion,
    /// How many rows the portion after the next should have.
    rows: usize,
}

/// What makes a cursor of a query.
pub(super) fn declare(sql: &str) -> String {
    format!("DECLARE {CURSOR} NO SCROLL CURSOR FOR {sql}")
}

/// What a cursor leaves behind in a transaction that goes on.
pub(super) fn close() -> String {
    format!("CLOSE {CURSOR}")
}

impl Portions {
    /// Opens the cursor and asks for its first rows.
    pub(super) fn start(
        session: &Session,
        declare: &Statement,
        params: &[Cell<'_>],
    ) -> Result<Self, Trouble> {
        let fetch = format!("FETCH {FIRST} FROM {CURSOR}");
        let client = session.client();
        let (now, next) = session.wait(async {
            let given = params.iter().map(|cell| Given(*cell));
            let open = client.execute_raw(declare, given);
            let fetches = async { (ask(session, &fetch).await, ask(session, &fetch).await) };
            let (opened, (now, next)) = join(open, fetches).await;
            opened?;
            Ok((now?, next?))
        })?;
        let portion = |stream| Portion {
            stream,
            asked: FIRST,
            came: 0,
        };
        Ok(Portions {
            now: portion(now),
            next: portion(next),
            rows: FIRST,
        })
    }

    /// The next row; `None` at the end.
    pub(super) fn next(&mut self, session: &Session) -> Result<Option<SimpleQueryRow>, Trouble> {
        loop {
            match session.next(&mut self.now.stream)? {
                Some(SimpleQueryMessage::Row(row)) => {
                    if self.now.came == 0 {
                        self.rows = size(&row);
                    }
                    self.now.came += 1;
                    return Ok(Some(row));
                }
                Some(_) => {}
                None if self.now.came < self.now.asked => return Ok(None),
                None => {
                    let fetch = format!("FETCH {} FROM {CURSOR}", self.rows);
                    let stream = session.wait(ask(session, &fetch))?;
                    let portion = Portion {
                        stream,
                        asked: self.rows,
                        came: 0,
                    };
                    self.now = std::mem::replace(&mut self.next, portion);
                }
            }
        }
    }
}

async fn ask(session: &Session, fetch: &str) -> Result<Stream, tokio_postgres::Error> {
    session.client().simple_query_raw(fetch).await.map(Box::pin)
}

/// How many rows like this one make a portion.
fn size(row: &SimpleQueryRow) -> usize {
    let lengths = (0..row.len()).map(|index| match row.try_get(index) {
        Ok(Some(text)) => text.len() + 4,
        _ => 4,
    });
    (BYTES / lengths.sum::<usize>().max(1)).clamp(1, MOST)
}
