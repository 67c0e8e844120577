//! Work on many files over several connections at once: each worker has a connection of its own, the job's thread answers for all.
//! A connection that breaks is made anew, a step that fails in passing is tried again, with growing pauses.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::fault::Result;
use super::link::Link;
use super::session::Session;
use crate::context::{self, Context};
use crate::error::Error;

/// How long the job's thread sleeps between two looks at its workers; what they did meanwhile is heard in one go.
const LOOK: Duration = Duration::from_millis(20);
/// How long a stop waits for answers of the server before connections are cut.
const PATIENCE: Duration = Duration::from_millis(400);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The connections of a job.
pub(super) struct Crew<'a> {
    pub(super) link: &'a Link,
    /// Those that nobody uses at the moment.
    idle: Mutex<Vec<Session>>,
}

/// What the workers share.
struct Board {
    /// Numbers of items that nobody has taken.
    waiting: Mutex<VecDeque<usize>>,
    /// Workers that have, or had, a connection.
    joined: AtomicUsize,
    /// Nothing more is to be begun.
    over: AtomicBool,
    /// The job's thread.
    captain: Thread,
}

/// What a worker is given next. It can be claimed before its turn, so that the server is asked for it while the item before comes to its end.
pub(super) struct Next<'a, I> {
    board: &'a Board,
    items: &'a [I],
    claimed: &'a mut Option<usize>,
}

impl<'a, I> Next<'a, I> {
    /// The item that this worker will be given next; nobody else will. `None` when there is none left.
    pub(super) fn claim(&mut self) -> Option<&'a I> {
        if self.claimed.is_none() && !self.board.over.load(Relaxed) {
            *self.claimed = self.board.waiting().pop_front();
        }
        let items = self.items;
        self.claimed.map(move |number| &items[number])
    }
}

impl<'a> Crew<'a> {
    pub(super) fn new(link: &'a Link, idle: Vec<Session>) -> Crew<'a> {
        Crew {
            link,
            idle: Mutex::new(idle),
        }
    }

    /// The connections, for the next pass.
    pub(super) fn into_idle(self) -> Vec<Session> {
        self.idle
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does one thing over one connection.
    pub(super) fn one<T: Send>(
        &self,
        cx: &Context,
        work: impl Fn(&Context, &mut Session) -> Result<T> + Sync,
    ) -> std::result::Result<T, Error> {
        let mut got = None;
        self.each(
            cx,
            1,
            &[()],
            |cx, session, ()| work(cx, session),
            |_, outcome| {
                got = Some(outcome);
                Ok(())
            },
        )?;
        got.unwrap_or_else(|| {
            Err(Error::Internal(
                "a step with the server has no outcome".to_owned(),
            ))
        })
    }

    /// Does `work` for every item, with so many connections at once, and hands each outcome to `done` in the job's own thread.
    ///
    /// # Errors
    /// The first outcome that makes the others pointless: the server cannot be reached, a stop, a full disk; or what `done` says.
    pub(super) fn each<I: Sync, T: Send>(
        &self,
        cx: &Context,
        connections: usize,
        items: &[I],
        work: impl Fn(&Context, &mut Session, &I) -> Result<T> + Sync,
        done: impl FnMut(usize, std::result::Result<T, Error>) -> std::result::Result<(), Error>,
    ) -> std::result::Result<(), Error> {
        let work = |cx: &Context, session: &mut Session, item: &I, _: &mut Next<'_, I>| {
            work(cx, session, item)
        };
        self.each_ahead(cx, connections, items, work, done)
    }

    /// As [`Crew::each`], where the work on an item may look ahead to the next.
    pub(super) fn each_ahead<I: Sync, T: Send>(
        &self,
        cx: &Context,
        connections: usize,
        items: &[I],
        work: impl Fn(&Context, &mut Session, &I, &mut Next<'_, I>) -> Result<T> + Sync,
        mut done: impl FnMut(usize, std::result::Result<T, Error>) -> std::result::Result<(), Error>,
    ) -> std::result::Result<(), Error> {
        let board = Board {
            waiting: Mutex::new((0..items.len()).collect()),
            joined: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            captain: thread::current(),
        };
        // a worker that the server has no room for hands its item back; once all others have gone home, one begins again
        while !board.over.load(Relaxed) && !board.waiting().is_empty() {
            self.shift(
                cx,
                connections.min(items.len()),
                items,
                &board,
                &work,
                &mut done,
            )?;
            board.joined.store(0, Relaxed);
        }
        Ok(())
    }

    fn shift<I: Sync, T: Send>(
        &self,
        cx: &Context,
        workers: usize,
        items: &[I],
        board: &Board,
        work: &(impl Fn(&Context, &mut Session, &I, &mut Next<'_, I>) -> Result<T> + Sync),
        done: &mut dyn FnMut(
            usize,
            std::result::Result<T, Error>,
        ) -> std::result::Result<(), Error>,
    ) -> std::result::Result<(), Error> {
        let mut crew = context::Crew::default();
        let (tell, told) = channel();
        let mut ended = Ok(());
        thread::scope(|scope| {
            let mut threads = Vec::with_capacity(workers);
            let (mut heard, mut stop) = (0, None);
            while heard < items.len() {
                // the others join once one is in: a server that lets nobody in is asked once, not many times
                if threads.is_empty() || threads.len() < workers && board.has_room() {
                    let (worker, tell) = (cx.worker(&mut crew), tell.clone());
                    let body = move || self.labour(&worker.context(), items, board, work, &tell);
                    match thread::Builder::new()
                        .name("ftp".to_owned())
                        .spawn_scoped(scope, body)
                    {
                        Ok(thread) => threads.push(thread),
                        Err(error) => {
                            board.over.store(true, Relaxed);
                            ended = Err(Error::Internal(format!("start a thread: {error}")));
                        }
                    }
                }
                // what they said before they ended is heard after this
                let gone = threads.iter().all(thread::ScopedJoinHandle::is_finished);
                match told.try_recv() {
                    Ok((number, outcome)) => {
                        heard += 1;
                        let fatal = outcome.as_ref().is_err_and(is_final);
                        let outcome = if fatal {
                            outcome.map(drop)
                        } else {
                            done(number, outcome)
                        };
                        if outcome.is_err() {
                            board.over.store(true, Relaxed);
                            ended = std::mem::replace(&mut ended, Ok(())).and(outcome);
                        }
                    }
                    Err(_) if gone => break,
                    Err(_) if board.has_room() && threads.len() < workers => {}
                    Err(_) => thread::park_timeout(LOOK),
                }
                cx.answer_for(&mut crew);
                if cx.stopping() && stop.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                    self.link.cuts.cut();
                }
            }
        });
        cx.answer_for(&mut crew);
        ended
    }

    /// A worker's whole life.
    fn labour<I, T>(
        &self,
        cx: &Context,
        items: &[I],
        board: &Board,
        work: &impl Fn(&Context, &mut Session, &I, &mut Next<'_, I>) -> Result<T>,
        tell: &Sender<(usize, std::result::Result<T, Error>)>,
    ) {
        let mut hand = Hand {
            crew: self,
            cx,
            board,
            session: self.idle().pop(),
            claimed: None,
        };
        while let Some(outcome) = hand.next(items, work) {
            // once the job's thread has heard of all items, it listens no more
            let _heard = tell.send(outcome);
        }
        self.idle()
            .extend(hand.session.take().filter(Session::is_fit));
        board.captain.unpark();
    }
}

impl Board {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<usize>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether another worker would find something to do, and a server that lets it in.
    fn has_room(&self) -> bool {
        self.joined.load(Relaxed) > 0 && !self.over.load(Relaxed) && !self.waiting().is_empty()
    }
}

/// One worker.
struct Hand<'a, 'b> {
    crew: &'a Crew<'b>,
    cx: &'a Context,
    board: &'a Board,
    session: Option<Session>,
    /// The number of the item that comes next, where it was claimed already.
    claimed: Option<usize>,
}

impl Hand<'_, '_> {
    /// Takes an item and works on it. `None` when there is nothing left for this worker.
    fn next<I, T>(
        &mut self,
        items: &[I],
        work: &impl Fn(&Context, &mut Session, &I, &mut Next<'_, I>) -> Result<T>,
    ) -> Option<(usize, std::result::Result<T, Error>)> {
        if self.board.over.load(Relaxed) {
            return None;
        }
        let claimed = self.claimed.take();
        let number = claimed.or_else(|| self.board.waiting().pop_front())?;
        if self.session.is_none() && self.board.joined.load(Relaxed) > 0 {
            match Session::open(self.cx, self.crew.link) {
                Ok(session) => self.session = Some(session),
                Err(fault) => {
                    log::debug!("one connection less: {}", fault.error.chain());
                    self.board.waiting().push_front(number);
                    return None;
                }
            }
        }
        let outcome = self.attempt(items, number, work);
        Some((number, outcome))
    }

    /// Works on an item until it is done or there is no hope.
    fn attempt<I, T>(
        &mut self,
        items: &[I],
        number: usize,
        work: &impl Fn(&Context, &mut Session, &I, &mut Next<'_, I>) -> Result<T>,
    ) -> std::result::Result<T, Error> {
        let mut tries = 0;
        loop {
            let stale = self.session.as_ref().is_some_and(Session::lay_idle);
            let fault = match self.attempt_once(items, number, work) {
                Ok(done) => return Ok(done),
                Err(fault) => fault,
            };
            // others need not wait until this one has gone better
            if let Some(next) = self.claimed.take() {
                self.board.waiting().push_front(next);
            }
            let hopeless = !fault.is_passing();
            if fault.broken {
                self.session = None;
            }
            if hopeless || self.board.over.load(Relaxed) {
                return Err(fault.error);
            }
            // a connection that lay idle is simply made anew
            let at_once = stale && fault.broken && tries == 0;
            tries += 1;
            if tries > self.crew.link.retries + u32::from(at_once) {
                return Err(fault.error);
            }
            log::info!("{}; it is tried again", fault.error.chain());
            if !at_once {
                let pause = Duration::from_secs(1_u64 << (tries - 1).min(6)).min(LONGEST_PAUSE);
                self.cx.wait(pause)?;
            }
        }
    }

    fn attempt_once<I, T>(
        &mut self,
        items: &[I],
        number: usize,
        work: &impl Fn(&Context, &mut Session, &I, &mut Next<'_, I>) -> Result<T>,
    ) -> Result<T> {
        let session = match self.session.take() {
            Some(session) => self.session.insert(session),
            None => {
                let session = Session::open(self.cx, self.crew.link)?;
                self.session.insert(session)
            }
        };
        if self.board.joined.fetch_add(1, Relaxed) == 0 {
            self.board.captain.unpark();
        }
        let mut next = Next {
            board: self.board,
            items,
            claimed: &mut self.claimed,
        };
        work(self.cx, session, &items[number], &mut next)
            .map_err(|fault| fault.on(!session.is_fit()))
    }
}

/// Whether an error means that no other file will fare better.
pub(super) fn is_final(error: &Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error {
        Error::Unreachable { .. } | Error::Stopped(_) | Error::Internal(_) => true,
        Error::Io { source, .. } => matches!(
            source.kind(),
            StorageFull | QuotaExceeded | ReadOnlyFilesystem
        ),
        _ => false,
    }
}
