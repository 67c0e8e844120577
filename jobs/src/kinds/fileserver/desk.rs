//! The sessions that are open, and what they share.

use std::{
    collections::HashMap,
    net::{Shutdown, TcpStream},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    thread::JoinHandle,
};

use super::{
    account::Account,
    door::{Door, Number},
    session::Working,
};
use crate::transfer::{host::Silent, link::Outgoing, tls::ServerTls};

/// What the sessions share.
pub(super) struct Desk {
    pub(super) accounts: Vec<Account>,
    pub(super) tls: Option<ServerTls>,
    pub(super) door: Mutex<Door>,
}

impl Desk {
    pub(super) fn door(&self) -> MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open session, as it is known outside its thread.
pub(super) struct Entry {
    pub(super) number: Number,
    pub(super) working: Arc<Working>,
    socket: TcpStream,
    outgoing: OnceLock<Outgoing>,
}

impl Entry {
    pub(super) fn new(number: Number, working: Arc<Working>, socket: TcpStream) -> Entry {
        Entry {
            number,
            working,
            socket,
            outgoing: OnceLock::new(),
        }
    }

    /// The session is logged in: from now on it gives signs of life to its client.
    pub(super) fn open(&self, outgoing: Outgoing) {
        // a session logs in once
        let _again = self.outgoing.set(outgoing);
    }

    /// Ends the connection.
    pub(super) fn shut(&self) {
        // one that is gone already is as good
        let _gone = self.socket.shutdown(Shutdown::Both);
    }

    /// Sends a sign of life, if one is due.
    fn keep_alive(&self) {
        if let Some(outgoing) = self.outgoing.get() {
            // a client that is gone is noticed by its own thread
            let _gone = outgoing.keep_alive(&Silent(self.working.stop.clone()));
        }
    }
}

/// The open sessions with their threads.
#[derive(Default)]
pub(super) struct Sessions {
    open: HashMap<Number, (Arc<Entry>, JoinHandle<()>)>,
}

impl Sessions {
    pub(super) fn add(&mut self, entry: Arc<Entry>, thread: JoinHandle<()>) {
        self.open.insert(entry.number, (entry, thread));
    }

    /// Ends a connection that has to go for another one.
    pub(super) fn shut(&self, number: Number) {
        if let Some((entry, _)) = self.open.get(&number) {
            entry.shut();
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// All sessions.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.open.values().map(|(entry, _)| entry)
    }

    /// Lets all clients know that the server is there.
    pub(super) fn keep_alive(&self) {
        self.entries().for_each(|entry| entry.keep_alive());
    }

    /// Forgets the sessions that have ended; gives them back for a last count.
    pub(super) fn reap(&mut self) -> Vec<Arc<Entry>> {
        let ended: Vec<Number> = self
            .open
            .iter()
            .filter(|(_, (_, thread))| thread.is_finished())
            .map(|(number, _)| *number)
            .collect();
        let taken = ended.iter().filter_map(|number| self.open.remove(number));
        taken
            .map(|(entry, thread)| {
                if thread.join().is_err() {
                    log::error!("a session ended by a fault of this program");
                }
                entry
            })
            .collect()
    }
}
