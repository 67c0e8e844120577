//! All of the world that a job may touch: its heartbeat, its wish to stop, the clock, files, databases, its state.
//! A kind that needs more asks for a new method here, where reviewers see it. Tests give [`Context::fake`].

use std::{
    cell::Cell,
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, Utc};

use crate::{
    error::Error,
    progress::{Meter, Total},
    stop::Stop,
};

/// The world of one job in one process.
pub struct Context {
    job: String,
    root: PathBuf,
    stop: Stop,
    clock: Clock,
    meter: Option<Meter>,
    rows: Cell<u64>,
    bytes: Cell<u64>,
    /// Tests: the checkpoint at which a stop is asked for.
    fuse: Cell<Option<u64>>,
}

/// Where the time comes from.
enum Clock {
    System,
    /// Runs ahead of the system's by so much; waiting moves it on and takes no time.
    Fake(Cell<Duration>),
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
            clock: Clock::Fake(Cell::default()),
            meter: None,
            rows: Cell::default(),
            bytes: Cell::default(),
            fuse: Cell::default(),
        }
    }

    /// Tests: asks for a stop at the n-th [`checkpoint`](Context::checkpoint) from here (1 = the next).
    pub fn stop_at_checkpoint(&self, n: u64) {
        self.fuse.set(Some(n));
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
    pub fn beat(&self) {}

    /// Announces a step that cannot beat (one long statement, a rename on a slow share) and how long it may take.
    /// The step is done when the guard is dropped.
    #[must_use]
    pub fn step(&self, what: &str, budget: Duration) -> Step {
        let _ = (what, budget);
        Step {}
    }

    /// Says what the job is at, for `status` and the progress line: `reading WEATHER_1.xml`.
    pub fn phase(&self, text: &str) {
        if let Some(meter) = &self.meter {
            meter.phase(text, self.rows.get(), self.bytes.get());
        }
    }

    /// Adds to what this pass got through.
    pub fn progress(&self, rows: u64, bytes: u64) {
        self.rows.set(self.rows.get() + rows);
        self.bytes.set(self.bytes.get() + bytes);
        if let Some(meter) = &self.meter {
            meter.show(self.rows.get(), self.bytes.get());
        }
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

    /// A place where the job may stop with nothing lost: beats, and tells whether it has to.
    ///
    /// # Errors
    /// [`Error::Stopped`] when a stop was asked for: let go of what is unfinished and hand it on.
    pub fn checkpoint(&self) -> Result<(), Error> {
        self.beat();
        if let Some(n) = self.fuse.get() {
            self.fuse.set(n.checked_sub(1));
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
            ahead.set(ahead.get() + long);
            return self.checkpoint();
        }
        let start = std::time::Instant::now();
        loop {
            self.checkpoint()?;
            let left = long.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            self.stop.sleep(left.min(Duration::from_secs(1)), &[]);
        }
    }

    /// The wall clock.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match &self.clock {
            Clock::System => Utc::now(),
            Clock::Fake(ahead) => Utc::now() + ahead.get(),
        }
    }
}

/// A step in progress; done when dropped.
#[must_use]
pub struct Step {}
