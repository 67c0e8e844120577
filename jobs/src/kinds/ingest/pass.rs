//! One worker's share of a pass: takes what waits, loads it, sees to what became of it, moves files to where they go.
//!
//! What is wrong with one file or one table does not stop the others; what would be wrong with all does.

use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use db::{ErrorKind, TableInfo};

use super::load::{Fate, Unit};
use super::params::{Params, Table};
use super::queue::{Next, Queue, Task, keeps_order};
use super::source::Source;
use crate::context::{Context, Link};
use crate::error::Error;
use crate::input::{Inbox, Input};
use crate::job::{Count, Tally};
use crate::ledger;

/// How often a load is tried again that met a deadlock, or whose connection broke.
const TRIES: u32 = 6;

/// Loaded files are moved away together, so many at most or so long after their load: each move has to reach the disk.
const TOGETHER: usize = 256;
const SOON: Duration = Duration::from_millis(500);

/// How long a worker waits before it asks again for work that others hold up.
const NAP: Duration = Duration::from_millis(20);

/// What all workers of a pass share.
pub(super) struct Shared<'a> {
    pub(super) params: &'a Params,
    pub(super) inbox: &'a Inbox,
    /// Where reject files go.
    pub(super) rejects: &'a Path,
    pub(super) queue: Mutex<Queue>,
    /// There is just one task: the pass's own line will tell its figures.
    pub(super) single: bool,
}

impl Shared<'_> {
    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of a pass, or of a worker's share.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) tally: Tally,
    /// What could not be loaded, and why.
    pub(super) bad: Vec<String>,
    /// The first error that held up a file or a table.
    pub(super) held_up: Option<Error>,
    /// The error that ended all.
    pub(super) ended: Option<Error>,
}

impl Outcome {
    pub(super) fn add(&mut self, other: Outcome) {
        self.tally += other.tally;
        self.bad.extend(other.bad);
        self.held_up = self.held_up.take().or(other.held_up);
        // a stop is nobody's fault: what else ended the pass tells more
        self.ended = match (self.ended.take(), other.ended) {
            (Some(Error::Stopped(_)), Some(other)) => Some(other),
            (first, second) => first.or(second),
        };
    }

    /// The pass's answer.
    pub(super) fn answer(self) -> Result<Tally, Error> {
        if let Some(error) = self.ended.or(self.held_up) {
            return Err(error);
        }
        match self.bad.as_slice() {
            [] => Ok(self.tally),
            [only] => Err(Error::Data(only.clone())),
            [first, rest @ ..] => Err(Error::Data(format!("{first}; and {} more", rest.len()))),
        }
    }
}

/// One worker.
pub(super) struct Pass<'a> {
    pub(super) cx: &'a Context,
    pub(super) shared: &'a Shared<'a>,
    /// Kept from an earlier pass, or to be opened.
    pub(super) link: Option<Link>,
    pub(super) outcome: Outcome,
    /// What the dictionary said of each `<table>`'s table.
    known: Vec<Option<TableInfo>>,
    /// Loaded, and yet to be moved away.
    loaded: Vec<Input>,
    first_loaded: Instant,
}

impl<'a> Pass<'a> {
    pub(super) fn new(cx: &'a Context, shared: &'a Shared<'a>, link: Option<Link>) -> Pass<'a> {
        let tables = shared.params.tables.len();
        Pass {
            cx,
            shared,
            link,
            outcome: Outcome::default(),
            known: vec![None; tables],
            loaded: Vec::new(),
            first_loaded: Instant::now(),
        }
    }

    /// Works until nothing is left, or something ends the pass.
    pub(super) fn work(&mut self) {
        let worked = self.take_tasks();
        // also after an error: what is loaded is loaded
        let moved = self.move_loaded();
        if let Err(error) = worked.and(moved) {
            self.shared.queue().close();
            self.outcome.ended = Some(error);
        }
    }

    fn take_tasks(&mut self) -> Result<(), Error> {
        loop {
            self.cx.checkpoint()?;
            let next = self.shared.queue().take();
            match next {
                Next::Task(task) => {
                    let lane = task.lane;
                    let done = self.task(task);
                    self.shared.queue().release(lane);
                    done?;
                }
                Next::Wait => std::thread::park_timeout(NAP),
                Next::End => return Ok(()),
            }
        }
    }

    /// Loads one task; an error ends the pass.
    fn task(&mut self, task: Task) -> Result<(), Error> {
        let names: Vec<&str> = task
            .inputs
            .iter()
            .map(|input| input.name.as_str())
            .collect();
        let names = names.join(", ");
        self.cx.phase(&names);
        let table = &self.shared.params.tables[task.table];
        let loaded = match self.sources(&task.inputs) {
            Ok(Some(sources)) => self.load(task.table, table, &sources)?,
            Ok(None) => Ok(Fate::Gone),
            Err(error) => Err(error),
        };
        match loaded {
            Ok(fate) => {
                // files behind it would overtake it
                if matches!(fate, Fate::Changed) && keeps_order(table) {
                    self.shared.queue().give_up(task.lane);
                }
                self.settle(&names, table, fate, task.inputs)
            }
            Err(error) if is_of_all(&error) => Err(error),
            Err(error) => {
                log::error!("{names}: {}", error.chain());
                if keeps_order(table) || !is_of_file(&error, &task.inputs) {
                    self.shared.queue().give_up(task.lane);
                }
                self.outcome.held_up.get_or_insert(error);
                Ok(())
            }
        }
    }

    /// The files with their hashes; nothing when one is gone.
    fn sources(&self, inputs: &[Input]) -> Result<Option<Vec<Source>>, Error> {
        let mut sources = Vec::with_capacity(inputs.len());
        for input in inputs {
            match Source::of(self.cx, input.clone()) {
                Err(error) if is_gone(&error) => return Ok(None),
                source => sources.push(source?),
            }
        }
        Ok(Some(sources))
    }

    /// Loads one task, again after what passes. The outer error is that of connecting, which all others would meet, too.
    fn load(
        &mut self,
        at: usize,
        table: &Table,
        sources: &[Source],
    ) -> Result<Result<Fate, Error>, Error> {
        let mut tries = 0;
        loop {
            let mut link = match self.link.take() {
                Some(link) => link,
                None => connect(self.cx, self.shared.params)?,
            };
            let unit = Unit {
                cx: self.cx,
                db: &mut *link,
                table,
                sources,
                rejects: self.shared.rejects,
                known: &mut self.known[at],
                stays: 0,
                at_once: None,
                published: Vec::new(),
            };
            let result = unit.load();
            let broken = matches!(&result, Err(Error::Database(error)) if error.kind() == ErrorKind::Connect);
            if !broken {
                self.link = Some(link);
            }
            match result {
                Err(error) if is_gone(&error) => return Ok(Ok(Fate::Gone)),
                Err(error @ Error::Database(_)) if error.is_transient() && tries < TRIES => {
                    tries += 1;
                    log::warn!("{}: {}; trying again", sources[0].input.name, error.chain());
                    self.cx.wait(pause(tries))?;
                }
                result => return Ok(result),
            }
        }
    }

    fn settle(
        &mut self,
        names: &str,
        table: &Table,
        fate: Fate,
        inputs: Vec<Input>,
    ) -> Result<(), Error> {
        match fate {
            Fate::Loaded(tally, kept) => {
                let kept = match kept {
                    0 => String::new(),
                    kept => format!(", {} there already", Count(kept, "row")),
                };
                let told = if self.shared.single {
                    String::new()
                } else {
                    format!(": {tally}")
                };
                log::info!("{names} -> {}{told}{kept}", table.name);
                self.outcome.tally += tally;
                self.move_soon(inputs)
            }
            Fate::Known => {
                log::info!("{names}: loaded before, not again");
                self.move_soon(inputs)
            }
            Fate::Changed => {
                log::warn!("{names}: changed since it was found; left for the next run");
                Ok(())
            }
            Fate::Gone => {
                log::warn!("{names}: gone since it was found");
                Ok(())
            }
            Fate::Bad(reason) => {
                let bad = self.shared.inbox.bad.display();
                log::error!("{names}: {reason}; moved to {bad}");
                self.outcome.bad.push(format!("{names}: {reason}"));
                let inbox = self.shared.inbox;
                inputs
                    .iter()
                    .try_for_each(|input| inbox.move_to_bad(self.cx, input).map(drop))
            }
        }
    }

    /// Moves loaded files away, with others before long.
    fn move_soon(&mut self, inputs: Vec<Input>) -> Result<(), Error> {
        if self.loaded.is_empty() {
            self.first_loaded = Instant::now();
        }
        self.loaded.extend(inputs);
        if self.loaded.len() < TOGETHER && self.first_loaded.elapsed() < SOON {
            return Ok(());
        }
        self.move_loaded()
    }

    /// Moves what is loaded away, as far as it is still what was loaded.
    fn move_loaded(&mut self) -> Result<(), Error> {
        let disk = self.cx.disk();
        let mut still = Vec::with_capacity(self.loaded.len());
        for input in std::mem::take(&mut self.loaded) {
            if input.is_unchanged(&*disk)? {
                still.push(input);
            }
        }
        if still.is_empty() {
            return Ok(());
        }
        self.shared.inbox.move_all_to_done(self.cx, &still)
    }
}

/// Connects to the target, and sees that there is a ledger.
pub(super) fn connect(cx: &Context, params: &Params) -> Result<Link, Error> {
    let mut link = cx.connect(&params.target.url)?;
    ledger::prepare(&mut *link)?;
    Ok(link)
}

/// Whether every other file would meet the same.
fn is_of_all(error: &Error) -> bool {
    match error {
        Error::Database(error) => matches!(
            error.kind(),
            ErrorKind::Connect | ErrorKind::Full | ErrorKind::Cancelled
        ),
        Error::Io { source, .. } => {
            use std::io::ErrorKind::{IsADirectory, PermissionDenied};
            !matches!(source.kind(), PermissionDenied | IsADirectory)
        }
        Error::Invalid(_) | Error::Data(_) => false,
        _ => true,
    }
}

/// Whether a file is not there any more.
fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Io { action: "open", source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}

/// Whether it is about one of these files alone, and other files of the table may do.
fn is_of_file(error: &Error, inputs: &[Input]) -> bool {
    matches!(error, Error::Io { path, .. } if inputs.iter().any(|input| input.path == *path))
}

/// How long to wait before the n-th try: longer each time, and never two workers equally long.
fn pause(tries: u32) -> Duration {
    let spread = RandomState::new().hash_one(()) % 50;
    Duration::from_millis(50 << tries.min(6)) + Duration::from_millis(spread)
}
