//! Delivering: HTTP out of the spool, each deliver with its own cursor, threads and pace. It knows nothing of senders.

mod belt;
pub(super) mod dead;
mod dispatcher;
mod feed;
mod figures;
mod key;
mod lanes;
mod load;
mod retry;
mod worker;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use ureq::tls::RootCerts;

pub(super) use figures::{Figures, Reading};
pub(super) use key::Key;
pub(super) use worker::place;

use self::{belt::Belt, dispatcher::Dispatcher, worker::Shared, worker::Worker};
use super::{
    params::Deliver,
    spool::{Bell, Shelf},
    trouble::Trouble,
    vitals::Vitals,
};
use crate::error::Error;

/// How long a new thread may take to show life.
const PATIENCE: Duration = Duration::from_secs(60);

/// A deliver at work.
pub(super) struct Engine {
    shared: Arc<Shared>,
    /// Threads that have not ended.
    living: Arc<AtomicUsize>,
}

/// Counts a thread while it lives.
struct Living(Arc<AtomicUsize>);

impl Drop for Living {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Engine {
    /// Starts what the job file describes, for servers that `roots` vouch for; delivered segments are kept for `keep`.
    ///
    /// # Errors
    /// When the cursor cannot be read or written, or the system gives no threads.
    pub(super) fn start(
        deliver: &Deliver,
        roots: RootCerts,
        keep: Duration,
        shelf: &Arc<Shelf>,
        vitals: &Vitals,
        trouble: &Arc<Trouble>,
        figures: Arc<Figures>,
    ) -> Result<Engine, Error> {
        let shared = Arc::new(Shared {
            deliver: deliver.clone(),
            roots,
            shelf: Arc::clone(shelf),
            belt: Belt::default(),
            stop: AtomicBool::new(false),
            resume: Bell::default(),
            figures,
            trouble: Arc::clone(trouble),
        });
        let engine = Engine {
            shared: Arc::clone(&shared),
            living: Arc::default(),
        };
        let name = format!("deliver {}", deliver.name);
        let vital = vitals.join(&name, PATIENCE);
        let dispatcher = Dispatcher::new(Arc::clone(&shared), vital, keep)?;
        engine.spawn(&name, move || dispatcher.run())?;
        for number in 1..=deliver.workers() {
            let name = format!("{} {number}", deliver.name);
            let worker = Worker::new(Arc::clone(&shared), vitals.join(&name, PATIENCE));
            engine.spawn(&name, move || worker.run())?;
        }
        Ok(engine)
    }

    fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        self.living.fetch_add(1, Ordering::AcqRel);
        let living = Living(Arc::clone(&self.living));
        let name = name.to_owned();
        let spawned = thread::Builder::new().name(name).spawn(move || {
            let _living = living;
            work();
        });
        match spawned {
            Ok(_) => Ok(()),
            Err(error) => {
                self.stop();
                Err(Error::Internal(format!("start a thread: {error}")))
            }
        }
    }

    /// What it was made from.
    pub(super) fn deliver(&self) -> &Deliver {
        &self.shared.deliver
    }

    /// Asks it to stop; requests under way end first, within their timeout.
    pub(super) fn stop(&self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.resume.ring();
        self.shared.shelf.news.ring();
    }

    /// Whether all its threads have ended.
    pub(super) fn is_over(&self) -> bool {
        self.living.load(Ordering::Acquire) == 0
    }
}
