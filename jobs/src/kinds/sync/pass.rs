//! One pass over all tables, by one worker in the job's own thread or by several in threads of their own. What is wrong with one table does not
//! stop the others; what would be wrong with all of them does.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use db::ErrorKind;

use super::batch::{self, Sides};
use super::capture;
use super::cursor;
use super::facts::{Course, Facts};
use super::increment::{Increment, is_due};
use super::params::{Mode, Params, Table};
use super::refresh;
use super::{make, verify};
use crate::context::{Context, Crew, Link};
use crate::error::Error;
use crate::job::Tally;

/// How often a table is tried again that met a deadlock, or another's lock.
const TRIES: u32 = 4;

/// How long the job's thread sleeps between two looks at its workers.
const LOOK: Duration = Duration::from_millis(50);

/// The connections that a table needs.
pub(super) struct Pair {
    pub(super) source: Link,
    pub(super) target: Link,
    /// The target once more, for modes that read it while they write.
    reader: Option<Link>,
    /// Both are one file, which cannot be written for good as long as it is read.
    pub(super) one_file: bool,
    /// Both are the same database, whose server reaches the source's tables by itself.
    pub(super) linked: bool,
}

/// What is kept between the passes of a resident job.
pub(super) struct Kept {
    pairs: Mutex<Vec<Pair>>,
    /// What is known of each table.
    facts: Vec<Mutex<Option<Facts>>>,
}

impl Kept {
    pub(super) fn new(tables: usize) -> Kept {
        Kept {
            pairs: Mutex::default(),
            facts: (0..tables).map(|_| Mutex::default()).collect(),
        }
    }
}

impl Kept {
    /// How far a table has come by its key; nothing if that was not looked at yet, or it goes by no key.
    pub(super) fn upto(&self, at: usize) -> Option<String> {
        let facts = open(self.facts.get(at)?);
        open(&facts.as_ref()?.upto).clone()
    }
}

fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Connects to both sides. Without a source both are the target's; a file that is both is left to itself as well.
pub(super) fn connect(cx: &Context, params: &Params) -> Result<Pair, Error> {
    let source = params.source.as_ref().unwrap_or(&params.target);
    let target = &params.target.url;
    let one_file = source.url == *target
        && db::dialect_of(target).is_some_and(|dialect| !dialect.commits_late());
    Ok(Pair {
        source: cx.connect_source(&source.url)?,
        target: cx.connect(target)?,
        reader: None,
        one_file,
        linked: params.source.is_none() || one_file,
    })
}

/// A pass.
pub(super) struct Pass<'a> {
    pub(super) params: &'a Params,
    pub(super) kept: &'a Kept,
    /// The next table that nobody works on.
    next: AtomicUsize,
    outcome: Mutex<Outcome>,
}

#[derive(Default)]
struct Outcome {
    tally: Tally,
    failed: Option<Error>,
    /// Why rows are held back.
    held: Option<String>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(params: &'a Params, kept: &'a Kept) -> Pass<'a> {
        Pass {
            params,
            kept,
            next: AtomicUsize::new(0),
            outcome: Mutex::default(),
        }
    }

    /// Does it.
    pub(super) fn run(self, cx: &Context) -> Result<Tally, Error> {
        let workers = usize::try_from(self.params.workers)
            .unwrap_or(1)
            .min(self.params.tables.len());
        if workers < 2 {
            self.work(cx);
        } else {
            self.share_out(cx, workers);
        }
        let outcome = self
            .outcome
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        cx.phase("");
        cx.wait_for(outcome.held.as_deref().unwrap_or_default());
        outcome.failed.map_or(Ok(outcome.tally), Err)
    }

    fn share_out(&self, cx: &Context, workers: usize) {
        let mut crew = Crew::default();
        thread::scope(|scope| {
            let foreman = thread::current();
            let mut threads = Vec::with_capacity(workers);
            for number in 1..=workers {
                let (worker, foreman) = (cx.worker(&mut crew), foreman.clone());
                let body = move || {
                    self.work(&worker.context());
                    foreman.unpark();
                };
                let named = thread::Builder::new().name(format!("worker {number}"));
                match named.spawn_scoped(scope, body) {
                    Ok(thread) => threads.push(thread),
                    Err(error) => {
                        self.end(Error::Internal(format!("start a thread: {error}")));
                        break;
                    }
                }
            }
            while threads.iter().any(|thread| !thread.is_finished()) {
                cx.answer_for(&mut crew);
                thread::park_timeout(LOOK);
            }
            cx.answer_for(&mut crew);
        });
    }

    /// Works until no table is left.
    fn work(&self, cx: &Context) {
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(table) = self.params.tables.get(at) else {
                return;
            };
            match self.table(cx, at, table) {
                Ok((tally, held)) => {
                    let mut outcome = open(&self.outcome);
                    outcome.tally += tally;
                    outcome.held = outcome.held.take().or(held);
                }
                Err(error) if !error.is_of_one_table() => return self.end(error),
                Err(error) => {
                    if self.params.tables.len() > 1 {
                        log::error!("{} -> {}: {}", table.from, table.to(), error.chain());
                    }
                    open(&self.outcome).failed.get_or_insert(error);
                }
            }
        }
    }

    /// Nothing more is begun.
    fn end(&self, error: Error) {
        self.next.store(self.params.tables.len(), Ordering::Relaxed);
        let mut outcome = open(&self.outcome);
        // a stop is nobody's fault: what else ended the pass tells more
        match &outcome.failed {
            Some(Error::Stopped(_)) | None => outcome.failed = Some(error),
            Some(_) => {}
        }
    }

    /// One table, again after what passes, over kept connections where there are some.
    fn table(
        &self,
        cx: &Context,
        at: usize,
        table: &Table,
    ) -> Result<(Tally, Option<String>), Error> {
        let mut tries = 0;
        loop {
            cx.checkpoint()?;
            let kept = open(&self.kept.pairs).pop();
            let was_kept = kept.is_some();
            let mut pair = match kept {
                Some(pair) => pair,
                None => connect(cx, self.params)?,
            };
            let mut known = open(&self.kept.facts[at]);
            match self.attempt(cx, at, table, &mut pair, &mut known) {
                Ok(done) => {
                    open(&self.kept.pairs).push(pair);
                    return Ok(done);
                }
                Err(error) => {
                    *known = None;
                    drop(known);
                    drop(pair);
                    // a kept connection may have been cut long ago, when nobody looked
                    let cut = was_kept && kind(&error) == Some(ErrorKind::Connect);
                    if cut {
                        log::info!("connecting anew: {}", error.chain());
                    } else if kind(&error) == Some(ErrorKind::Busy) && tries < TRIES {
                        tries += 1;
                        log::warn!(
                            "{} -> {}: {}; trying again",
                            table.from,
                            table.to(),
                            error.chain()
                        );
                        cx.wait(Duration::from_millis(100 << tries))?;
                    } else {
                        return Err(error);
                    }
                }
            }
        }
    }

    fn attempt(
        &self,
        cx: &Context,
        at: usize,
        table: &Table,
        pair: &mut Pair,
        known: &mut Option<Facts>,
    ) -> Result<(Tally, Option<String>), Error> {
        if let Some(facts) = known
            && !facts.still_true(table, &mut *pair.source, &mut *pair.target)?
        {
            let (from, to) = (&table.from, table.to());
            log::info!(
                "{from} -> {to}: the tables are not what they were; going by what they are now"
            );
            *known = None;
        }
        if known.is_none() {
            for line in make::ensure(cx.job(), table, pair)? {
                log::info!("{line}");
            }
            match table.mode {
                Mode::Increment => cursor::prepare(&mut *pair.target)?,
                Mode::Capture => capture::prepare(&mut *pair.target)?,
                Mode::Refresh | Mode::Batch => {}
            }
            *known = Some(Facts::learn(
                table,
                at,
                &mut *pair.source,
                &mut *pair.target,
                pair.linked,
            )?);
        }
        let Some(facts) = known else {
            return Err(Error::Internal("a table is not known".to_owned()));
        };
        let mut told = facts.told.take();
        let course = Course { table, facts };
        let mut done = self.by_mode(cx, &course, pair)?;
        if table.verify {
            let mut again =
                |pair: &mut Pair| self.by_mode(cx, &course, pair).map(|(tally, _)| tally);
            done.0 += verify::verify(cx, &course, pair, &mut again)?;
        }
        if let (_, Some(line)) = &done {
            if is_due(&mut told) {
                log::warn!("{line}");
            }
            facts.told = told;
        }
        Ok(done)
    }
}

impl Pass<'_> {
    /// One pass over one table; what is held back, in a line for people, if anything is.
    fn by_mode(
        &self,
        cx: &Context,
        course: &Course<'_>,
        pair: &mut Pair,
    ) -> Result<(Tally, Option<String>), Error> {
        match course.table.mode {
            Mode::Refresh => {
                refresh::pass(cx, course, pair, &|_| Ok(())).map(|tally| (tally, None))
            }
            Mode::Batch => self.batch(cx, course, pair).map(|tally| (tally, None)),
            Mode::Increment => Increment::new(cx, course)?.pass(pair),
            Mode::Capture => capture::pass(cx, course, pair).map(|tally| (tally, None)),
        }
    }

    fn batch(&self, cx: &Context, course: &Course<'_>, pair: &mut Pair) -> Result<Tally, Error> {
        let reader = match pair.reader.take() {
            Some(reader) => reader,
            None => cx.connect(&self.params.target.url)?,
        };
        let sides = Sides {
            reader: &mut **pair.reader.insert(reader),
            source: &mut *pair.source,
            target: &mut *pair.target,
        };
        batch::pass(cx, course, sides)
    }
}

/// What the database says the error is.
fn kind(error: &Error) -> Option<ErrorKind> {
    match error {
        Error::Database(error) => Some(error.kind()),
        _ => None,
    }
}
