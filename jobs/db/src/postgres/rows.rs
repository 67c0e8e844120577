//! A result set: text is lent where it came in; what must be respelled goes into one buffer a row.

use super::fault::{Complaint, Trouble, fault};
use super::kind::described;
use super::line::Line;
use super::param::{Given, written};
use super::portion::{Portions, close, declare};
use super::session::{Session, Standing};
use super::spelling::{Spelling, spelling};
use super::verb;
use crate::{Cell, Cells, Column, Error, Result, Row, Rows};
use futures_util::Stream;
use futures_util::future::join;
use std::ops::Range;
use std::pin::Pin;
use std::time::Duration;
use tokio_postgres::types::Type;
use tokio_postgres::{
    CopyOutStream, RowStream, SimpleQueryMessage, SimpleQueryRow, SimpleQueryStream, Statement,
};

/// A query that is left early may end by itself for so long before it is cancelled.
const GRACE: Duration = Duration::from_millis(50);
/// How long what is under way may take after a cancel.
const LAST: Duration = Duration::from_secs(10);
/// No end in sight.
const EVER: Duration = Duration::from_secs(86_400);

const UNDO: &str = "ROLLBACK TO SAVEPOINT query; RELEASE SAVEPOINT query";

/// Where the rows come from.
enum Source {
    /// As the server makes them, each a line of COPY.
    Lines(Pin<Box<CopyOutStream>>),
    /// As the server makes them, in text: for what COPY does not take.
    Stream(Pin<Box<SimpleQueryStream>>),
    /// From a cursor, in text.
    Cursor(Portions),
    /// As the server makes them, in binary: for what takes parameters and is no SELECT.
    Binary(Pin<Box<RowStream>>),
}

/// The row that is lent.
enum Current {
    None,
    Line,
    Text(SimpleQueryRow),
    Written(Vec<Option<Vec<u8>>>),
}

pub(super) struct PostgresRows<'c> {
    session: &'c mut Session,
    action: String,
    /// Whether it changes nothing, as far as its words tell.
    reads: bool,
    /// Whether it goes through a cursor.
    cursor: bool,
    columns: Vec<Column>,
    types: Vec<Type>,
    spellings: Vec<Spelling>,
    source: Option<Source>,
    current: Current,
    line: Line,
    /// Where rewritten cells of the current row are in the buffer.
    rewritten: Vec<Option<Range<usize>>>,
    buffer: Vec<u8>,
    /// The first row is taken before anybody asks, so that a query fails where it is made.
    ahead: bool,
    over: bool,
}

impl<'c> PostgresRows<'c> {
    /// Runs a query up to its first row.
    pub(super) fn start(
        session: &'c mut Session,
        sql: &str,
        params: &[Cell<'_>],
        action: String,
    ) -> Result<Self> {
        let mut rows = PostgresRows {
            session,
            action,
            reads: verb::reads(sql),
            cursor: false,
            columns: Vec::new(),
            types: Vec::new(),
            spellings: Vec::new(),
            source: None,
            current: Current::None,
            line: Line::default(),
            rewritten: Vec::new(),
            buffer: Vec::new(),
            ahead: false,
            over: false,
        };
        rows.session.watch.start();
        let begun = rows.begin(sql, params);
        begun.map_err(|trouble| rows.fail(trouble))?;
        rows.ahead = rows.step()?;
        Ok(rows)
    }

    fn begin(&mut self, sql: &str, params: &[Cell<'_>]) -> Result<(), Trouble> {
        let writing = self.session.standing == Standing::Open;
        match (params.is_empty(), self.reads) {
            (true, reads) if !(reads && writing) => self.begin_stream(sql),
            (_, true) => self.begin_cursor(sql, params),
            (_, false) => self.begin_binary(sql, params),
        }
    }

    fn begin_stream(&mut self, sql: &str) -> Result<(), Trouble> {
        let session = &*self.session;
        let before = match session.standing {
            // the server counts from the first row to the last, and the reader may be slow
            Standing::Idle if session.watch.server_limit() > 0 => "SET statement_timeout = 0",
            Standing::Snapshot => "SAVEPOINT query",
            _ => "",
        };
        let prepared = session.wait(async {
            let before = session.also(!before.is_empty(), before);
            let (before, prepared) = join(before, session.client().prepare(sql)).await;
            before.and(prepared)
        })?;
        session.fit(&prepared, 0)?;
        self.source = Some(if verb::copies(sql) && !session.any_bytes {
            let copy = format!("COPY ({sql}\n) TO STDOUT");
            let lines = session.wait(session.client().copy_out(&copy))?;
            Source::Lines(Box::pin(lines))
        } else {
            let stream = session.wait(session.client().simple_query_raw(sql))?;
            Source::Stream(Box::pin(stream))
        });
        self.describe(&prepared);
        Ok(())
    }

    fn begin_cursor(&mut self, sql: &str, params: &[Cell<'_>]) -> Result<(), Trouble> {
        self.cursor = true;
        let session = &*self.session;
        let cursor = declare(sql);
        let (prepared, opening) = session.wait(async {
            let begin = session.also(session.standing == Standing::Idle, "BEGIN");
            let client = session.client();
            let both = join(client.prepare(sql), client.prepare(&cursor));
            let (begun, (prepared, opening)) = join(begin, both).await;
            begun?;
            Ok((prepared?, opening?))
        })?;
        session.fit(&prepared, params.len())?;
        self.source = Some(Source::Cursor(Portions::start(session, &opening, params)?));
        self.describe(&prepared);
        Ok(())
    }

    fn begin_binary(&mut self, sql: &str, params: &[Cell<'_>]) -> Result<(), Trouble> {
        let session = &*self.session;
        let prepared = session.wait(session.client().prepare(sql))?;
        session.fit(&prepared, params.len())?;
        let given = params.iter().map(|cell| Given(*cell));
        let stream = session.wait(session.client().query_raw(&prepared, given))?;
        self.source = Some(Source::Binary(Box::pin(stream)));
        self.describe(&prepared);
        Ok(())
    }

    fn describe(&mut self, statement: &Statement) {
        for column in statement.columns() {
            self.columns.push(described(column));
            self.types.push(column.type_().clone());
            self.spellings.push(spelling(column.type_().oid()));
            self.rewritten.push(None);
        }
    }

    /// Makes the next row the current one; false at the end.
    fn step(&mut self) -> Result<bool> {
        if self.over {
            return Ok(false);
        }
        match self.take().and_then(|current| self.place(current)) {
            Ok(true) => Ok(true),
            Ok(false) => self.finish().map(|()| false),
            Err(trouble) => Err(self.fail(trouble)),
        }
    }

    fn take(&mut self) -> Result<Current, Trouble> {
        let session = &*self.session;
        Ok(match self.source.as_mut() {
            None => Current::None,
            Some(Source::Lines(lines)) => match session.next(lines)? {
                Some(line) => {
                    self.line.read(line, &self.spellings)?;
                    Current::Line
                }
                None => Current::None,
            },
            Some(Source::Cursor(portions)) => {
                portions.next(session)?.map_or(Current::None, Current::Text)
            }
            Some(Source::Stream(stream)) => loop {
                match session.next(stream)? {
                    Some(SimpleQueryMessage::Row(row)) => break Current::Text(row),
                    Some(_) => {}
                    None => break Current::None,
                }
            },
            Some(Source::Binary(stream)) => match session.next(stream)? {
                Some(row) => Current::Written(written(&row, &self.types)?),
                None => Current::None,
            },
        })
    }

    /// Respells what must be; false if there is no row.
    fn place(&mut self, current: Current) -> Result<bool, Trouble> {
        self.current = current;
        let Current::Text(row) = &self.current else {
            return Ok(matches!(self.current, Current::Line | Current::Written(_)));
        };
        self.buffer.clear();
        for (index, spelling) in self.spellings.iter().enumerate() {
            if !spelling.rewrites() && !self.session.any_bytes {
                continue;
            }
            let text = row
                .try_get(index)
                .map_err(|_| not_utf8(&self.columns[index].name))?;
            let from = self.buffer.len();
            let rewritten =
                text.is_some_and(|text| spelling.rewrite(text.as_bytes(), &mut self.buffer));
            self.rewritten[index] = rewritten.then_some(from..self.buffer.len());
        }
        Ok(true)
    }

    /// After the last row: the transaction that was the query's own ends.
    fn finish(&mut self) -> Result<()> {
        self.source = None;
        self.over = true;
        let session = &mut *self.session;
        let ended = match (session.standing, self.cursor) {
            (Standing::Idle, true) => {
                let ended = session.wait(session.client().batch_execute("COMMIT"));
                if matches!(ended, Err(Trouble::Refused(_))) {
                    session.send("ROLLBACK");
                }
                ended
            }
            (_, true) => {
                session.send(&close());
                Ok(())
            }
            (standing, false) => {
                release(session, standing);
                Ok(())
            }
        };
        session.watch.rest();
        ended.map_err(|trouble| fault(&self.action, &session.watch, trouble))
    }

    /// Makes the connection ready for the next statement after an error, and tells it.
    fn fail(&mut self, trouble: Trouble) -> Error {
        self.source = None;
        self.over = true;
        let session = &mut *self.session;
        let error = fault(&self.action, &session.watch, trouble);
        session.watch.rest();
        match session.standing {
            Standing::Idle => {
                session.send("ROLLBACK");
                release(session, Standing::Idle);
            }
            Standing::Snapshot if !self.cursor => session.send(UNDO),
            Standing::Open | Standing::Snapshot => session.standing = Standing::Failed,
            Standing::Failed => {}
        }
        error
    }

    /// Leaves the query before its last row.
    fn leave(&mut self) {
        let session = &mut *self.session;
        match self.source.as_mut() {
            None | Some(Source::Cursor(_)) => {}
            // what it writes stays as it would if all rows were read
            Some(Source::Binary(stream)) => {
                session.drain(stream, EVER);
            }
            Some(Source::Lines(lines)) => leave(session, lines, GRACE),
            Some(Source::Stream(stream)) => {
                leave(session, stream, if self.reads { GRACE } else { EVER });
            }
        }
        if let Err(error) = self.finish() {
            log::debug!("{error}, leaving a query early");
        }
    }
}

/// Lets what the server streams end by itself for so long, then cancels it.
fn leave<S, T>(session: &mut Session, stream: &mut Pin<Box<S>>, patience: Duration)
where
    S: Stream<Item = Result<T, tokio_postgres::Error>>,
{
    if session.drain(stream, patience) {
        return;
    }
    session.cancel();
    if !session.drain(stream, LAST) {
        session.break_off();
    }
    if session.standing == Standing::Snapshot {
        session.send("ROLLBACK TO SAVEPOINT query");
    }
}

/// After a streamed query: what was set for it goes back.
fn release(session: &Session, standing: Standing) {
    let limit = session.watch.server_limit();
    match standing {
        Standing::Idle if limit > 0 => session.send(&format!("SET statement_timeout = {limit}")),
        Standing::Snapshot => session.send("RELEASE SAVEPOINT query"),
        _ => {}
    }
}

fn not_utf8(column: &str) -> Trouble {
    Trouble::Refused(Box::new(Complaint {
        // character_not_in_repertoire, as the server would say it
        code: "22021".to_owned(),
        message: "the text is not UTF-8".to_owned(),
        column: column.to_owned(),
        ..Default::default()
    }))
}

impl Rows for PostgresRows<'_> {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn fetch(&mut self) -> Result<Option<Row<'_>>> {
        let found = std::mem::take(&mut self.ahead) || self.step()?;
        Ok(found.then(|| Row::new(&*self)))
    }
}

impl Cells for PostgresRows<'_> {
    fn len(&self) -> usize {
        self.columns.len()
    }

    fn cell(&self, index: usize) -> Cell<'_> {
        match &self.current {
            Current::None => None,
            Current::Line => self.line.cell(index),
            Current::Written(cells) => cells[index].as_deref(),
            Current::Text(row) => match &self.rewritten[index] {
                Some(range) => Some(&self.buffer[range.clone()]),
                // what is not UTF-8 was refused before
                None => {
                    let text = row.try_get(index).ok().flatten()?;
                    Some(self.spellings[index].lend(text.as_bytes()))
                }
            },
        }
    }
}

impl Drop for PostgresRows<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.leave();
        }
    }
}
