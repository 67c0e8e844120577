//! All of the world that a job may touch: its heartbeat, its wish to stop, the clock, files, databases, its state.
//! A kind that needs more asks for a new method here, where reviewers see it. Tests give [`Context::fake`].

mod connecting;
mod fake;
mod waiting;
mod worker;

use std::{
    cell::{Cell, RefCell},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use checkproc::Pulse;
use chrono::TimeDelta;
use jobfile::{Home, JobFile};

use crate::{
    disk::{Disk, FakeDisk, RealDisk},
    error::Error,
    hours::Hours,
    link::Cancels,
    progress::Meter,
    publish::Author,
    state::State,
    stop::Stop,
    tally::Tally,
    world::{World, state_file},
};
pub use crate::{link::Link, progress::Total};
pub(crate) use worker::Crew;
use worker::Shown;

/// The world of one job in one process.
pub struct Context {
    world: World,
    author: Author,
    disk: Arc<dyn Disk>,
    state: Option<State>,
    cancels: Cancels,
    clock: Clock,
    meter: Option<Meter>,
    /// Of a thread that shares a job's work: what it shows to the job's own.
    signs: Option<Shown>,
    /// What is waited for until the next pass, in words for `status`.
    awaited: RefCell<String>,
    rows: Cell<u64>,
    bytes: Cell<u64>,
    rejected: Cell<u64>,
    /// Tests: the checkpoint at which a stop is asked for.
    fuse: Cell<Option<u64>>,
}

/// Where the time comes from.
enum Clock {
    System,
    /// Runs ahead of the system's by so much; waiting moves it on and takes no time.
    Fake(Cell<TimeDelta>),
}

impl Context {
    /// The context of a job that is run.
    #[must_use]
    pub fn new(world: World) -> Context {
        let run = std::env::var("PROCCTL_RUN")
            .ok()
            .and_then(|run| run.parse().ok());
        Context {
            author: Author {
                job: world.job.clone(),
                run: run.unwrap_or_else(|| u64::from(std::process::id())),
            },
            disk: Arc::new(RealDisk),
            state: None,
            cancels: Cancels::default(),
            clock: Clock::System,
            meter: if world.looking {
                None
            } else {
                Meter::on_terminal(&world.job)
            },
            signs: None,
            awaited: RefCell::default(),
            rows: Cell::default(),
            bytes: Cell::default(),
            rejected: Cell::default(),
            fuse: Cell::default(),
            world,
        }
    }

    /// The job's name.
    #[must_use]
    pub fn job(&self) -> &str {
        &self.world.job
    }

    /// The home folder and its settings.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.world.home
    }

    /// A path of the job file as a path of this system: relative ones are relative to the home folder.
    #[must_use]
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.world.home.path(path)
    }

    /// A sign of life. Tens of nanoseconds: once a row is fine.
    pub fn beat(&self) {
        if let Some(pulse) = &self.world.pulse {
            pulse.beat();
        }
        if let Some(Shown(signs)) = &self.signs {
            signs.beat();
        }
    }

    /// Announces a step that cannot beat (one long statement, a rename on a slow share) and how long it may take.
    /// The step is done when the guard is dropped. One at a time.
    pub fn step(&self, what: &str, budget: Duration) -> Step {
        if let Some(pulse) = &self.world.pulse {
            pulse.step(what, budget);
        }
        let signs = self.signs.as_ref().map(|shown| Arc::clone(&shown.0));
        if let Some(signs) = &signs {
            signs.step(Some(budget));
        }
        Step(self.world.pulse.clone(), signs)
    }

    /// Says what the job is at, for `status` and the progress line: `reading WEATHER_1.xml`.
    pub fn phase(&self, text: &str) {
        if let Some(pulse) = &self.world.pulse {
            pulse.phase(text);
        }
        if let Some(Shown(signs)) = &self.signs {
            signs.phase(text);
        }
        if let Some(meter) = &self.meter {
            meter.phase(text, self.rows.get(), self.bytes.get());
        }
    }

    /// Tells operators, by the alarms of the supervisor, what is wrong with the job while it goes on; an empty text: it is well
    /// again. `false`: it was not heard, and should be said again later. Run by hand there is nobody to tell.
    #[must_use]
    pub fn alarm(&self, text: &str) -> bool {
        self.world
            .notices
            .as_ref()
            .is_none_or(|notices| notices.alarm(text).is_ok())
    }

    /// Adds to what this run got through.
    pub fn progress(&self, rows: u64, bytes: u64) {
        self.rows.set(self.rows.get() + rows);
        self.bytes.set(self.bytes.get() + bytes);
        if let Some(Shown(signs)) = &self.signs {
            signs.progress(rows, bytes);
        }
        self.show_progress();
    }

    /// Takes a pass's tally: what was put aside as bad, and the progress of kinds that did not tell theirs as they went.
    pub(crate) fn settle(&self, before: (u64, u64), tally: &Tally) {
        let rows = before.0 + tally.written.max(tally.read);
        self.rows.set(self.rows.get().max(rows));
        self.bytes.set(self.bytes.get().max(before.1 + tally.bytes));
        self.rejected.set(self.rejected.get() + tally.rejected);
        if let Some(pulse) = &self.world.pulse {
            pulse.rejected(self.rejected.get());
        }
        self.show_progress();
    }

    /// Takes the progress line off the screen, for good.
    pub(crate) fn clear_screen(&self) {
        if let Some(meter) = &self.meter {
            meter.clear();
        }
    }

    fn show_progress(&self) {
        let (rows, bytes) = self.moved();
        if let Some(pulse) = &self.world.pulse {
            pulse.progress(rows, bytes);
        }
        if let Some(meter) = &self.meter {
            meter.show(rows, bytes);
        }
    }

    /// Rows and bytes that [`Context::progress`] has added up.
    #[must_use]
    pub fn moved(&self) -> (u64, u64) {
        (self.rows.get(), self.bytes.get())
    }

    /// Says how much there is to get through, where that is known: the progress line becomes a bar.
    pub fn expect_total(&self, total: Total) {
        if let Some(meter) = &self.meter {
            meter.expect(total);
        }
    }

    /// Whether a stop was asked for.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.world.stop.asked().is_some()
    }

    /// The wish to stop itself, for those who wait for other things besides.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.world.stop
    }

    /// How long a stop may take before the job is killed.
    #[must_use]
    pub fn stop_grace(&self) -> Duration {
        self.world.stop_grace
    }

    /// How long may pass between two beats; `None` = nobody minds.
    #[must_use]
    pub fn heartbeat(&self) -> Option<Duration> {
        self.world.heartbeat
    }

    /// When the run should end by itself, for kinds that can end at any time with nothing lost.
    #[must_use]
    pub fn hours(&self) -> &Hours {
        &self.world.hours
    }

    /// The heartbeat slot, index and generation, for a child process that beats for the job.
    #[must_use]
    pub fn slot(&self) -> Option<(u32, u32)> {
        self.world.pulse.as_ref().map(|pulse| pulse.slot().handle())
    }

    /// A place where the job may stop with nothing lost: beats, and tells whether it has to.
    ///
    /// # Errors
    /// [`Error::Stopped`] when a stop was asked for: let go of what is unfinished and hand it on.
    pub fn checkpoint(&self) -> Result<(), Error> {
        self.beat();
        self.checkpoint_unbeaten()
    }

    /// As [`Context::checkpoint`], for jobs that do not know yet whether they may beat.
    ///
    /// # Errors
    /// [`Error::Stopped`] when a stop was asked for.
    pub fn checkpoint_unbeaten(&self) -> Result<(), Error> {
        if let Some(n) = self.fuse.get() {
            self.fuse.set(Some(n.saturating_sub(1)));
            if n <= 1 {
                self.world.stop.ask(15);
            }
        }
        match self.world.stop.asked() {
            None => Ok(()),
            Some(signal) => Err(Error::Stopped(signal)),
        }
    }

    /// The disk: every file that a job makes, moves or removes goes by this.
    #[must_use]
    pub fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }

    /// In whose name drafts are written: those of a killed run are known by it.
    #[must_use]
    pub fn author(&self) -> Author {
        self.author.clone()
    }

    /// What the job remembers. The file is made when it is first asked for; a mere look gets an empty memory instead.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn state(&mut self) -> Result<&mut State, Error> {
        let state = match self.state.take() {
            Some(state) => state,
            None => self.open_state()?,
        };
        Ok(self.state.insert(state))
    }

    /// What the job remembers, once more: for threads that commit on their own. As [`Context::state`] otherwise.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open_state(&self) -> Result<State, Error> {
        let path = state_file(&self.world.home, &self.world.job);
        if self.world.looking && self.disk.look(&path)?.is_none() {
            return Ok(State::fake(&FakeDisk::new(), &self.world.job));
        }
        State::open(&path, &*self.disk)
    }

    /// What the job's file says now, if it has changed since the job began or last asked. To be asked about once a second.
    ///
    /// # Errors
    /// When it is no valid job file any more.
    pub fn changed_file(&self) -> Result<Option<JobFile>, Error> {
        match &self.world.origin {
            Some(origin) => origin.changed(),
            None => Ok(None),
        }
    }
}

/// A step in progress; done when dropped.
#[must_use = "the step is over when this is dropped"]
pub struct Step(Option<Pulse>, Option<Arc<worker::Signs>>);

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(pulse) = &self.0 {
            pulse.step_done();
        }
        if let Some(signs) = &self.1 {
            signs.step(None);
        }
    }
}
