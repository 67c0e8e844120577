//! The connection to the supervisor as the recorder sees it: what waits to be said, bounded,
//! sent as the socket takes it.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::held::Held;
use super::message::{self, FromRecorder};

/// Most messages that wait for a supervisor that does not read.
const MOST_WAITING: usize = 20_000;

/// Something to say.
#[derive(Debug)]
pub(super) enum Saying {
    /// A message as it is.
    Plain(FromRecorder),
    /// A run that is held, as it is at the moment of sending.
    Kept(u64),
}

/// The supervisor, connected.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) socket: OwnedFd,
    waiting: VecDeque<Saying>,
}

impl Peer {
    /// A supervisor that has just connected.
    pub(super) fn new(socket: OwnedFd) -> Peer {
        Peer {
            socket,
            waiting: VecDeque::new(),
        }
    }

    /// Has `saying` wait for its turn. What a job said is dropped where too much waits already.
    pub(super) fn say(&mut self, saying: Saying) {
        let droppable = matches!(saying, Saying::Plain(FromRecorder::Notified { .. }));
        if !droppable || self.waiting.len() < MOST_WAITING {
            self.waiting.push_back(saying);
        }
    }

    /// Sends what the socket takes; true when nothing waits any more.
    pub(super) fn flush(&mut self, held: &HashMap<u64, Held>) -> io::Result<bool> {
        while let Some(saying) = self.waiting.front() {
            let sent = match saying {
                Saying::Plain(message) => message::send(&self.socket, message, &[]),
                Saying::Kept(run) => match held.get(run) {
                    Some(held) => send_kept(&self.socket, held),
                    None => Ok(()),
                },
            };
            match sent {
                Ok(()) => self.waiting.pop_front(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
        }
        self.waiting = VecDeque::new();
        Ok(true)
    }
}

fn send_kept(socket: &OwnedFd, held: &Held) -> io::Result<()> {
    let open = held.descriptors();
    let mut run = held.run.clone();
    run.attached = open.iter().map(|(kind, _)| *kind).collect();
    let descriptors: Vec<BorrowedFd<'_>> =
        open.into_iter().map(|(_, descriptor)| descriptor).collect();
    let kept = FromRecorder::Kept {
        run,
        status: held.status,
        ended: held.ended,
        ended_at: held.ended_at,
    };
    message::send(socket.as_fd(), &kept, &descriptors)
}
