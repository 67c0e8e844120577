//! A full result over several connections that share one snapshot.
//!
//! The job's own connection walks along a key and cuts it into pieces of about as many rows each, however unevenly its values lie; free
//! readers take the pieces, each with a connection and files of its own. Readers only read and write: the work loop here hears from
//! them every few rows, and beats and stops for all.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel,
};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use db::{Canceller, Connection};

use super::facts::{self, Facts};
use super::params::Params;
use super::parts::{Desk, Lot, Parts, Shelf};
use super::query::{Along, Begin};
use crate::context::Context;
use crate::error::Error;
use crate::link::Link;

/// Rows of a piece; a result of fewer is not divided.
pub(super) const PIECE: u64 = 20_000;
/// How often the wish to stop is looked at while no reader has news.
const NAP: Duration = Duration::from_millis(100);

/// How a result that is asked for in parts is read.
pub(super) enum Way<'a> {
    /// Divided along a column.
    Divided(Along<'a>),
    /// Over one connection, for this reason.
    Alone(String),
}

/// Finds out how the result can be read. A primary key that cannot be walked along is none; a `key` that the job names is an error then.
pub(super) fn way<'a>(
    cx: &Context,
    params: &'a Params,
    facts: &'a Facts,
    db: &mut dyn Connection,
) -> Result<Way<'a>, Error> {
    if !db.shares_snapshots() {
        let name = db.dialect().name();
        let why = format!("{name} has no snapshot that several could share");
        return Ok(Way::Alone(why));
    }
    let column = key(params, facts)?;
    let along = Along {
        params,
        column,
        kind: facts.kind(db, params, column)?,
        dialect: db.dialect(),
    };
    match facts::unwalkable(cx, db, along)? {
        None => Ok(Way::Divided(along)),
        Some(why) if params.source.key.is_none() => Ok(Way::Alone(format!(
            "the primary key divides nothing: {why}; key= may name another column"
        ))),
        Some(why) => Err(Error::Invalid(format!("source.key: {why}"))),
    }
}

/// What becomes of a small result.
pub(super) fn undivided() -> String {
    format!("fewer than {PIECE} rows are not divided: one connection reads them")
}

/// The column that the result is divided by.
fn key<'a>(params: &'a Params, facts: &'a Facts) -> Result<&'a str, Error> {
    let first = facts.key.first();
    let key = params.source.key.as_ref().or(first);
    key.map(String::as_str).ok_or_else(|| {
        Error::Invalid(
            "source.key: the parts need a column to be divided by, and no primary key is known: name one".to_owned(),
        )
    })
}

/// A range of the key.
enum Piece {
    Range {
        above: Option<String>,
        upto: Option<String>,
    },
    /// Rows without a key.
    Rest,
}

/// What a reader has to tell.
enum News {
    Rows(u64, u64),
    Done(Result<Lot, Error>),
}

/// Reads the whole result.
pub(super) fn read(
    cx: &Context,
    along: Along<'_>,
    facts: &Facts,
    shelf: &Shelf,
    walker: &mut Link,
) -> Result<Lot, Error> {
    let source = &along.params.source;
    let mut links = (0..source.parts)
        .map(|_| cx.connect_source(&source.url))
        .collect::<Result<Vec<Link>, Error>>()?;
    {
        let _step = cx.step("share a snapshot", Duration::from_secs(60));
        let mut others: Vec<&mut dyn Connection> = Vec::with_capacity(links.len());
        for link in &mut links {
            others.push(&mut **link);
        }
        db::share_snapshot(&mut **walker, &mut others)?;
    }
    let cancels: Vec<Canceller> = links.iter().map(|link| link.canceller()).collect();
    let (work, pieces) = sync_channel(links.len());
    let (tell, news) = channel();
    let (pieces, broken) = (Mutex::new(pieces), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for (number, mut link) in links.into_iter().enumerate() {
            let parts = Parts::new(Desk::of(cx, number + 1), shelf);
            let (tell, pieces, broken) = (tell.clone(), &pieces, &broken);
            scope.spawn(move || {
                let lot = take_pieces(along, &mut *link, parts, pieces, &tell, broken);
                // the work loop listens until all have told their end
                let _gone = tell.send(News::Done(lot));
            });
        }
        drop(tell);
        let mut crew = Crew {
            cx,
            news,
            lot: Lot::default(),
            error: None,
        };
        let walked = crew.walk(&mut **walker, along, facts, work);
        if let Err(error) = walked {
            crew.fail(error);
        }
        crew.gather(&broken, &cancels)
    })
    .and_then(|lot| {
        walker.commit()?;
        finish(cx, along, walker, shelf, lot)
    })
}

/// A result without a row is one file without a row.
fn finish(
    cx: &Context,
    along: Along<'_>,
    db: &mut Link,
    shelf: &Shelf,
    lot: Lot,
) -> Result<Lot, Error> {
    if !lot.is_empty() {
        return Ok(lot);
    }
    let shape = super::query::shape(along.params, along.dialect)?;
    let mut parts = Parts::new(Desk::of(cx, 0), shelf);
    parts.describe(db.query(&shape.sql, &shape.cells())?.columns());
    parts.none()?;
    parts.finish()
}

/// The work loop's side.
struct Crew<'a> {
    cx: &'a Context,
    news: Receiver<News>,
    lot: Lot,
    /// The first error of all.
    error: Option<Error>,
}

impl Crew<'_> {
    /// Cuts the key into pieces and hands them out, until its end or until somebody fails.
    fn walk(
        &mut self,
        db: &mut dyn Connection,
        along: Along<'_>,
        facts: &Facts,
        work: SyncSender<Piece>,
    ) -> Result<(), Error> {
        let mut above: Option<String> = None;
        loop {
            let begin = above.as_deref().map_or(Begin::Lowest, Begin::Above);
            let statement = along.boundary(begin, PIECE)?;
            let mut row = statement.first_row(self.cx, db)?.into_iter();
            let end = row.next().flatten();
            let count: u64 = row
                .next()
                .flatten()
                .and_then(|n| n.parse().ok())
                .unwrap_or(0);
            let upto = end.filter(|_| count >= PIECE);
            if upto.is_none() && above.is_none() {
                log::info!("{}", undivided());
            }
            let next = upto.clone();
            self.hand_out(Piece::Range { above, upto }, &work)?;
            if next.is_none() || self.error.is_some() {
                break;
            }
            above = next;
        }
        if !facts.filled.iter().any(|name| name == along.column) {
            self.hand_out(Piece::Rest, &work)?;
        }
        Ok(())
    }

    fn hand_out(&mut self, mut piece: Piece, work: &SyncSender<Piece>) -> Result<(), Error> {
        while self.error.is_none() {
            piece = match work.try_send(piece) {
                Ok(()) | Err(TrySendError::Disconnected(_)) => return Ok(()),
                Err(TrySendError::Full(piece)) => piece,
            };
            self.listen()?;
        }
        Ok(())
    }

    /// Hears one piece of news, or none for a moment; `false` when all readers have ended.
    fn listen(&mut self) -> Result<bool, Error> {
        match self.news.recv_timeout(NAP) {
            Ok(News::Rows(rows, bytes)) => {
                self.cx.progress(rows, bytes);
                self.cx.checkpoint()?;
            }
            Ok(News::Done(Ok(lot))) => self.lot.join(lot),
            Ok(News::Done(Err(error))) => self.fail(error),
            // no news, no beat; but a stop is heard
            Err(RecvTimeoutError::Timeout) if self.cx.stopping() => self.cx.checkpoint()?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(false),
        }
        Ok(true)
    }

    fn fail(&mut self, error: Error) {
        // what follows the first error are cancelled statements
        self.error.get_or_insert(error);
    }

    /// Waits for all readers, and lets them go when one of them fails.
    fn gather(mut self, broken: &AtomicBool, cancels: &[Canceller]) -> Result<Lot, Error> {
        loop {
            if self.error.is_some() {
                broken.store(true, Relaxed);
                cancels.iter().for_each(Canceller::cancel);
            }
            match self.listen() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => self.fail(error),
            }
        }
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.lot),
        }
    }
}

/// A reader: takes pieces until there are none.
fn take_pieces(
    along: Along<'_>,
    db: &mut dyn Connection,
    mut parts: Parts<'_>,
    pieces: &Mutex<Receiver<Piece>>,
    tell: &Sender<News>,
    broken: &AtomicBool,
) -> Result<Lot, Error> {
    let take = || pieces.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(piece) = take() {
        let statement = match &piece {
            Piece::Range { above, upto } => {
                let begin = above.as_deref().map_or(Begin::Lowest, Begin::Above);
                along.piece(begin, upto.as_deref())
            }
            Piece::Rest => along.without(),
        };
        let statement = statement?;
        let mut rows = db.query(&statement.sql, &statement.cells())?;
        parts.describe(rows.columns());
        while parts.gather(&mut *rows)? > 0 {
            let (rows, bytes) = parts.pace();
            let _gone = tell.send(News::Rows(rows, bytes));
            if broken.load(Relaxed) {
                return Ok(Lot::default());
            }
        }
    }
    let (rows, bytes) = parts.pace();
    let _gone = tell.send(News::Rows(rows, bytes));
    db.commit()?;
    parts.finish()
}
