//! Contexts for tests: nobody watches, and waiting takes no time.

use std::{cell::Cell, path::Path, sync::Arc};

use chrono::{DateTime, Utc};
use jobfile::Home;

use super::{Clock, Context};
use crate::{disk::FakeDisk, state::State, world::World};

impl Context {
    /// A context for tests: its home is `dir` (which must be there), its disk and state are real, waiting takes no time,
    /// nobody watches it.
    ///
    /// # Panics
    /// When `dir` is no folder.
    #[must_use]
    pub fn fake(dir: &Path) -> Context {
        let home = Home::open(dir).expect("a test's home is there");
        let mut world = World::to_look_at(&home, "test").expect("a test may open sockets");
        world.looking = false;
        Context {
            meter: None,
            clock: Clock::Fake(Cell::default()),
            ..Context::new(world)
        }
    }

    /// As [`Context::fake`], with its files and its state on a fake disk. A second context on the same disk goes on from there.
    #[must_use]
    pub fn fake_on(disk: &FakeDisk, dir: &Path) -> Context {
        Context {
            state: Some(State::fake(disk, "test")),
            disk: Arc::new(disk.clone()),
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
}
