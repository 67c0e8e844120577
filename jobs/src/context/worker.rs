//! Contexts for threads that share one job's work: each shows signs of life of its own, and the job's thread answers for
//! all of them. A worker that hangs is seen although the others go on: the job beats only when each of them has.

use std::{
    cell::{Cell, RefCell},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::TimeDelta;

use super::{Clock, Context};
use crate::{disk::Disk, link::Cancels, publish::Author, world::World};

/// What a worker shows of itself.
#[derive(Debug, Default)]
pub(super) struct Signs {
    beats: AtomicU64,
    rows: AtomicU64,
    bytes: AtomicU64,
    /// Its context is gone: nothing more is expected of it.
    over: AtomicBool,
    /// Until when the step may last that it announced.
    step: Mutex<Option<Instant>>,
    /// What it is at, until somebody has passed it on.
    phase: Mutex<Option<String>>,
}

impl Signs {
    pub(super) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn progress(&self, rows: u64, bytes: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn step(&self, budget: Option<Duration>) {
        let until = budget.and_then(|budget| Instant::now().checked_add(budget));
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = until;
        self.beat();
    }

    pub(super) fn phase(&self, text: &str) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
    }

    fn is_in_step(&self) -> bool {
        let step = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        step.is_some_and(|until| Instant::now() < until)
    }
}

/// The signs of a context; says that it is over when that goes.
pub(super) struct Shown(pub(super) Arc<Signs>);

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

/// What a thread needs to make its context of.
pub(crate) struct Worker {
    world: World,
    author: Author,
    disk: Arc<dyn Disk>,
    cancels: Cancels,
    ahead: Option<TimeDelta>,
    signs: Arc<Signs>,
}

impl Worker {
    /// The worker's context. It has no state: that is the job's own.
    pub(crate) fn context(self) -> Context {
        Context {
            author: self.author,
            disk: self.disk,
            state: None,
            cancels: self.cancels,
            clock: self
                .ahead
                .map_or(Clock::System, |ahead| Clock::Fake(Cell::new(ahead))),
            meter: None,
            signs: Some(Shown(self.signs)),
            awaited: RefCell::default(),
            rows: Cell::default(),
            bytes: Cell::default(),
            rejected: Cell::default(),
            fuse: Cell::default(),
            world: self.world,
        }
    }
}

/// The workers of a job, as its own thread looks at them.
#[derive(Default)]
pub(crate) struct Crew(Vec<Watched>);

struct Watched {
    signs: Arc<Signs>,
    beats: u64,
    rows: u64,
    bytes: u64,
    /// It gave a sign since the job's last beat.
    alive: bool,
}

impl Watched {
    fn looks_alive(&mut self) -> bool {
        let beats = self.signs.beats.load(Ordering::Relaxed);
        let moved = beats != self.beats;
        self.beats = beats;
        moved || self.signs.over.load(Ordering::Relaxed) || self.signs.is_in_step()
    }
}

impl Context {
    /// The makings of a context for a thread of this job, which [`Context::answer_for`] its crew passes on.
    pub(crate) fn worker(&self, crew: &mut Crew) -> Worker {
        let signs = Arc::<Signs>::default();
        crew.0.push(Watched {
            signs: Arc::clone(&signs),
            beats: 0,
            rows: 0,
            bytes: 0,
            alive: true,
        });
        Worker {
            world: World {
                home: self.world.home.clone(),
                job: self.world.job.clone(),
                stop: self.world.stop.clone(),
                pulse: None,
                heartbeat: self.world.heartbeat,
                stop_grace: self.world.stop_grace,
                looking: self.world.looking,
                origin: None,
                notices: None,
                hours: self.world.hours.clone(),
            },
            author: self.author(),
            disk: self.disk(),
            cancels: self.cancels.clone(),
            ahead: match &self.clock {
                Clock::System => None,
                Clock::Fake(ahead) => Some(ahead.get()),
            },
            signs,
        }
    }

    /// Passes on what the workers show of themselves; beats when each of them has since the last beat.
    pub(crate) fn answer_for(&self, crew: &mut Crew) {
        for worker in &mut crew.0 {
            worker.alive |= worker.looks_alive();
            let signs = &worker.signs;
            let (rows, bytes) = (
                signs.rows.load(Ordering::Relaxed),
                signs.bytes.load(Ordering::Relaxed),
            );
            if (rows, bytes) != (worker.rows, worker.bytes) {
                self.progress(rows - worker.rows, bytes - worker.bytes);
                (worker.rows, worker.bytes) = (rows, bytes);
            }
            let phase = signs
                .phase
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(phase) = phase {
                self.phase(&phase);
            }
        }
        if crew.0.iter().all(|worker| worker.alive) {
            self.beat();
            for worker in &mut crew.0 {
                worker.alive = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_silent_worker_silences_the_job() {
        let dir = tempfile::tempdir().unwrap();
        let cx = Context::fake(dir.path());
        let mut crew = Crew::default();
        let (busy, silent) = (cx.worker(&mut crew), cx.worker(&mut crew));
        let (busy, silent) = (busy.context(), silent.context());
        let beats = |crew: &Crew| crew.0.iter().all(|worker| !worker.alive);
        // the first beat is for having begun
        cx.answer_for(&mut crew);
        assert!(beats(&crew));
        busy.beat();
        busy.progress(3, 40);
        cx.answer_for(&mut crew);
        assert!(!beats(&crew));
        assert_eq!(cx.moved(), (3, 40));
        let step = silent.step("a long one", Duration::from_secs(60));
        cx.answer_for(&mut crew);
        assert!(beats(&crew));
        drop(step);
        busy.beat();
        cx.answer_for(&mut crew);
        // the end of a step is a sign, too
        assert!(beats(&crew));
        busy.beat();
        cx.answer_for(&mut crew);
        assert!(!beats(&crew));
        drop(silent);
        cx.answer_for(&mut crew);
        assert!(beats(&crew));
    }
}
