//! A connection as a job holds it: it knows how to end its own long statement when the job has to stop.
//! A statement that blocks the work loop cannot see the wish to stop; a thread that sleeps until there is one cancels it.

use std::{
    collections::BTreeMap,
    io,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use db::{Canceller, Connection};

use crate::stop::{Stop, readable};

/// How long a job has to come to a safe point by itself, and how long between attempts after that.
const PATIENCE: Duration = Duration::from_millis(500);

/// A connection of a job; a [`db::Connection`] in all it does.
pub struct Link {
    connection: Box<dyn Connection>,
    cancels: Cancels,
    number: u64,
}

impl Deref for Link {
    type Target = dyn Connection;
    fn deref(&self) -> &Self::Target {
        &*self.connection
    }
}

impl DerefMut for Link {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut *self.connection
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.cancels.open().links.remove(&self.number);
    }
}

/// How to cancel what runs on each open connection of a job.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancels(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    links: BTreeMap<u64, Canceller>,
    last: u64,
    watched: bool,
}

impl Cancels {
    /// Makes a link of a connection; the first one starts the thread that waits for a stop.
    pub(crate) fn link(&self, connection: Box<dyn Connection>, stop: &Stop) -> io::Result<Link> {
        let mut open = self.open();
        if !open.watched {
            self.watch(stop)?;
            open.watched = true;
        }
        open.last += 1;
        let number = open.last;
        open.links.insert(number, connection.canceller());
        Ok(Link {
            connection,
            cancels: self.clone(),
            number,
        })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self, stop: &Stop) -> io::Result<()> {
        let (open, stop) = (Arc::downgrade(&self.0), stop.clone());
        thread::Builder::new()
            .name("stop".to_owned())
            .spawn(move || {
                loop {
                    if stop.asked().is_none() {
                        let _woken = readable(&[stop.asked_fd()], Duration::from_secs(3600));
                    } else {
                        thread::park_timeout(PATIENCE);
                        let Some(open) = open.upgrade() else { return };
                        let open = open.lock().unwrap_or_else(PoisonError::into_inner);
                        open.links.values().for_each(Canceller::cancel);
                    }
                }
            })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_ends_a_statement_that_would_take_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let stop = Stop::new().unwrap();
        let options = db::Options {
            base: dir.path().to_owned(),
            ..db::Options::default()
        };
        let connection = db::connect("sqlite:a.db", &options).unwrap();
        let cancels = Cancels::default();
        let mut link = cancels.link(connection, &stop).unwrap();
        stop.ask(15);
        let endless =
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
        let error = link.execute(endless, &[]).unwrap_err();
        assert_eq!(error.kind(), db::ErrorKind::Cancelled);
        drop(link);
        assert!(cancels.open().links.is_empty());
    }
}
