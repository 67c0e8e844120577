//! All of the world that a job may touch: its heartbeat, its wish to stop, the clock, files, databases, its state.
//! A kind that needs more asks for a new method here, where reviewers see it. Tests give [`Context::fake`].

use std::{
    cell::Cell,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use checkproc::Pulse;
use chrono::{DateTime, Utc};

use crate::{
    disk::{Disk, FakeDisk, RealDisk},
    error::Error,
    link::Cancels,
    progress::Meter,
    publish::Author,
    state::State,
    stop::Stop,
};
pub use crate::{link::Link, progress::Total};

/// The longest sleep between two beats of a wait.
const NAP: Duration = Duration::from_secs(5);
/// How long a connection may take to come about, all its hosts together, before the job counts as hung.
const CONNECT: Duration = Duration::from_secs(120);

/// The world of one job in one process.
pub struct Context {
    job: String,
    root: PathBuf,
    stop: Stop,
    pulse: Option<Pulse>,
    heartbeat: Option<Duration>,
    stop_grace: Duration,
    cancels: Cancels,
    clock: Clock,
    meter: Option<Meter>,
    looking: bool,
    disk: Arc<dyn Disk>,
    run: u64,
    state_file: PathBuf,
    state: Option<State>,
    rows: Cell<u64>,
    bytes: Cell<u64>,
    /// Tests: the checkpoint at which a stop is asked for.
    fuse: Cell<Option<u64>>,
}

/// Where the time comes from.
enum Clock {
    System,
    /// Runs ahead of the system's by so much; waiting moves it on and takes no time.
    Fake(Cell<chrono::TimeDelta>),
}

impl Context {
    /// A context for tests: its home is `dir`, waiting takes no time, nobody watches it.
    ///
    /// # Panics
    /// When the system gives no socket pair.
    #[must_use]
    pub fn fake(dir: &Path) -> Context {
        Context {
            job: "test".to_owned(),
            root: dir.to_owned(),
            stop: Stop::new().expect("a test may open two sockets"),
            pulse: None,
            heartbeat: None,
            stop_grace: Duration::from_secs(10),
            cancels: Cancels::default(),
            clock: Clock::Fake(Cell::default()),
            meter: None,
            looking: false,
            disk: Arc::new(RealDisk),
            run: u64::from(std::process::id()),
            state_file: dir.join("state/test.db"),
            state: None,
            rows: Cell::default(),
            bytes: Cell::default(),
            fuse: Cell::default(),
        }
    }

    /// A context for tests on a fake disk; its memory is on the same power supply.
    ///
    /// # Panics
    /// As [`Context::fake`].
    #[must_use]
    pub fn fake_on(disk: &FakeDisk, dir: &Path) -> Context {
        Context {
            disk: Arc::new(disk.clone()),
            state: Some(State::fake(disk, "test")),
            ..Context::fake(dir)
        }
    }

    /// Tests: asks for a stop at the n-th [`checkpoint`](Context::checkpoint) from here (1 = the next).
    pub fn stop_at_checkpoint(&self, n: u64) {
        self.fuse.set(Some(n));
    }

    /// Tests: sets the fake clock; it runs on from there.
    pub fn set_now(&self, now: DateTime<Utc>) {
        if let Clock::Fake(ahead) = &self.clock {
            ahead.set(now - Utc::now());
        }
    }

    /// The job's name.
    #[must_use]
    pub fn job(&self) -> &str {
        &self.job
    }

    /// A path of the job file as a path of this system: relative ones are relative to the home folder.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// A sign of life. Tens of nanoseconds: once a row is fine.
    pub fn beat(&self) {
        if let Some(pulse) = &self.pulse {
            pulse.beat();
        }
    }

    /// Announces a step that cannot beat (one long statement, a rename on a slow share) and how long it may take.
    /// The step is done when the guard is dropped. One at a time.
    pub fn step(&self, what: &str, budget: Duration) -> Step {
        if let Some(pulse) = &self.pulse {
            pulse.step(what, budget);
        }
        Step(self.pulse.clone())
    }

    /// Says what the job is at, for `status` and the progress line: `reading WEATHER_1.xml`.
    pub fn phase(&self, text: &str) {
        if let Some(pulse) = &self.pulse {
            pulse.phase(text);
        }
        if let Some(meter) = &self.meter {
            meter.phase(text, self.rows.get(), self.bytes.get());
        }
    }

    /// Adds to what this run got through.
    pub fn progress(&self, rows: u64, bytes: u64) {
        self.rows.set(self.rows.get() + rows);
        self.bytes.set(self.bytes.get() + bytes);
        self.show_progress();
    }

    fn show_progress(&self) {
        let (rows, bytes) = self.moved();
        if let Some(pulse) = &self.pulse {
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
        self.stop.asked().is_some()
    }

    /// The wish to stop itself, for those who wait for other things besides.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// How long a stop may take before the job is killed.
    #[must_use]
    pub fn stop_grace(&self) -> Duration {
        self.stop_grace
    }

    /// How long may pass between two beats; `None` = nobody minds.
    #[must_use]
    pub fn heartbeat(&self) -> Option<Duration> {
        self.heartbeat
    }

    /// The heartbeat slot, index and generation, for a child process that beats for the job.
    #[must_use]
    pub fn slot(&self) -> Option<(u32, u32)> {
        self.pulse.as_ref().map(|pulse| pulse.slot().handle())
    }

    /// A place where the job may stop with nothing lost: beats, and tells whether it has to.
    ///
    /// # Errors
    /// [`Error::Stopped`] when a stop was asked for: let go of what is unfinished and hand it on.
    pub fn checkpoint(&self) -> Result<(), Error> {
        self.beat();
        if let Some(n) = self.fuse.get() {
            self.fuse.set(Some(n.saturating_sub(1)));
            if n <= 1 {
                self.stop.ask(15);
            }
        }
        match self.stop.asked() {
            None => Ok(()),
            Some(signal) => Err(Error::Stopped(signal)),
        }
    }

    /// Waits, beating.
    ///
    /// # Errors
    /// [`Error::Stopped`] as soon as a stop is asked for.
    pub fn wait(&self, long: Duration) -> Result<(), Error> {
        if let Clock::Fake(ahead) = &self.clock {
            let long = chrono::TimeDelta::from_std(long).unwrap_or(chrono::TimeDelta::MAX);
            ahead.set(ahead.get() + long);
            return self.checkpoint();
        }
        let start = Instant::now();
        loop {
            self.checkpoint()?;
            let left = long.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            self.stop.sleep(left.min(self.nap()), &[]);
        }
    }

    /// As long as one may sleep without being taken for hung.
    fn nap(&self) -> Duration {
        self.heartbeat
            .map_or(NAP, |heartbeat| (heartbeat / 4).min(NAP))
    }

    /// The wall clock.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match &self.clock {
            Clock::System => Utc::now(),
            Clock::Fake(ahead) => Utc::now() + ahead.get(),
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
        Author {
            job: self.job.clone(),
            run: self.run,
        }
    }

    /// What the job remembers between runs; opened when first asked for.
    ///
    /// # Errors
    /// What [`State::open`] gives.
    pub fn state(&mut self) -> Result<&mut State, Error> {
        let state = match self.state.take() {
            Some(state) => state,
            None => State::open(&self.state_file, &*self.disk)?,
        };
        Ok(self.state.insert(state))
    }

    /// Whether this is only a look at the world (`check`, `--dry-run`): nothing may be changed.
    #[must_use]
    pub fn looking(&self) -> bool {
        self.looking
    }

    /// Connects to a database by its URL. A statement that still runs half a second after a stop was asked for is cancelled.
    ///
    /// # Errors
    /// What [`db::connect`] gives.
    pub fn connect(&self, url: &str) -> Result<Link, Error> {
        let options = db::Options {
            base: self.root.clone(),
            create: !self.looking,
            program: format!("jobs {}", self.job),
            ..db::Options::default()
        };
        let step = self.step("connect", CONNECT);
        let connection = db::connect(url, &options)?;
        drop(step);
        self.cancels
            .link(connection, &self.stop)
            .map_err(|error| Error::Internal(format!("start a thread: {error}")))
    }
}

/// A step in progress; done when dropped.
#[must_use = "the step is over when this is dropped"]
pub struct Step(Option<Pulse>);

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(pulse) = &self.0 {
            pulse.step_done();
        }
    }
}
