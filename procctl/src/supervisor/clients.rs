//! The clients of the control socket: who is connected, and who waits for which answer.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use super::Supervisor;
use crate::control::server::{self, Client, Said};
use crate::plan::{Answer, Event, Request, Token};
use crate::wait::{Ready, Source, since_boot};

/// Most connections at once; further ones are closed at once.
const MOST: usize = 512;

/// How long nobody is let in after the system had no descriptor left for a connection.
const PAUSE: Duration = Duration::from_secs(1);

/// The listening socket, the connections, and the answers that are due.
pub(super) struct Clients {
    listener: OwnedFd,
    connected: HashMap<u32, Client>,
    waiting: HashMap<Token, u32>,
    next_client: u32,
    next_token: Token,
    paused: Option<Duration>,
}

impl Clients {
    /// Clients that will come in through `listener`; tokens begin after `last`.
    pub(super) fn new(listener: OwnedFd, last: Token) -> Clients {
        Clients {
            listener,
            connected: HashMap::new(),
            waiting: HashMap::new(),
            next_client: 0,
            next_token: last,
            paused: None,
        }
    }

    /// When new clients are let in again.
    pub(super) fn due(&self) -> Option<Duration> {
        self.paused
    }

    /// The listening socket and the last token given, as a restart carries them over.
    pub(super) fn carry(&self) -> (&OwnedFd, Token) {
        (&self.listener, self.next_token)
    }

    /// The connection of whoever waits for an answer.
    pub(super) fn of_token(&self, token: Token) -> Option<&Client> {
        self.connected.get(self.waiting.get(&token)?)
    }

    fn new_token(&mut self, client: u32) -> Token {
        self.next_token += 1;
        self.waiting.insert(self.next_token, client);
        self.next_token
    }
}

impl Supervisor {
    /// Waits for clients.
    pub(super) fn listen(&self) -> std::io::Result<()> {
        self.wait
            .add(&self.clients.listener, Source::Control, false)
    }

    /// Lets clients in after a pause.
    pub(super) fn listen_again(&mut self) {
        self.clients.paused = None;
        if let Err(error) = self.listen() {
            log::error!("listen on the control socket: {error}");
            self.clients.paused = Some(since_boot() + PAUSE);
        }
    }

    /// Takes every client that knocks.
    pub(super) fn admit_clients(&mut self) {
        loop {
            match server::accept(self.clients.listener.as_fd()) {
                Ok(Some(client)) if self.clients.connected.len() < MOST => self.admit(client),
                Ok(Some(_)) => log::warn!("too many control connections: one is closed"),
                Ok(None) => return,
                Err(error) => {
                    // still ready, and would be again at once: look away for a while
                    log::error!("accept on the control socket: {error}");
                    self.wait.remove(&self.clients.listener);
                    self.clients.paused = Some(since_boot() + PAUSE);
                    return;
                }
            }
        }
    }

    /// Takes a connection, new or carried over a restart; gives its number.
    fn admit(&mut self, client: Client) {
        self.clients.next_client = self.clients.next_client.wrapping_add(1);
        let id = self.clients.next_client;
        match self.wait.add(&client, Source::Client(id), false) {
            Ok(()) => drop(self.clients.connected.insert(id, client)),
            Err(error) => log::error!("wait for a client: {error}"),
        }
    }

    /// The client that asked the older program in this process for the restart has its answer.
    pub(super) fn answer_restarted(&mut self, socket: OwnedFd) {
        let mut client = match Client::resume(socket) {
            Ok(client) => client,
            Err(error) => return log::warn!("the client that asked for the restart: {error}"),
        };
        let text = "restarted".to_string();
        match client.answer(&Answer::Done { text }) {
            Ok(()) => self.admit(client),
            Err(gone) => log::debug!("the client that asked for the restart: {gone}"),
        }
    }

    /// A connection is readable or writable.
    pub(super) fn serve_client(&mut self, id: u32, ready: Ready) {
        let Some(client) = self.clients.connected.get_mut(&id) else {
            return;
        };
        let mut result = Ok(Vec::new());
        if ready.writable {
            result = client.writable().map(|()| Vec::new());
        }
        if ready.readable && result.is_ok() {
            result = client.readable::<Request>();
        }
        match result {
            Ok(said) => {
                for one in said {
                    self.hear(id, one);
                }
                self.mind_writing(id);
            }
            Err(gone) => {
                log::debug!("control connection {id}: {gone}");
                self.lose_client(id);
            }
        }
    }

    fn hear(&mut self, id: u32, said: Said<Request>) {
        match said {
            Said::Ping(pid) => self.watchdog.pinged(pid, since_boot()),
            Said::Request(request) => {
                let token = self.clients.new_token(id);
                self.events.push_back(Event::Command { token, request });
            }
        }
        if self.tables.replaced() {
            self.renew_slots();
        }
    }

    /// Answers whoever waits for it, if it is still there.
    pub(super) fn answer(&mut self, token: Token, answer: &Answer) {
        let Some(id) = self.clients.waiting.remove(&token) else {
            return;
        };
        let Some(client) = self.clients.connected.get_mut(&id) else {
            return;
        };
        match client.answer(answer) {
            Ok(()) => self.mind_writing(id),
            Err(gone) => {
                log::debug!("control connection {id}: {gone}");
                self.lose_client(id);
            }
        }
    }

    fn mind_writing(&mut self, id: u32) {
        let Some(client) = self.clients.connected.get(&id) else {
            return;
        };
        let writing = client.wants_to_write();
        if let Err(error) = self.wait.change(client, Source::Client(id), writing) {
            log::warn!("wait for a client: {error}");
            self.lose_client(id);
        }
    }

    fn lose_client(&mut self, id: u32) {
        if let Some(client) = self.clients.connected.remove(&id) {
            self.wait.remove(&client);
        }
        let tokens = self.clients.waiting.iter();
        let left: Vec<Token> = tokens
            .filter(|(_, client)| **client == id)
            .map(|(token, _)| *token)
            .collect();
        for token in left {
            self.clients.waiting.remove(&token);
            self.events.push_back(Event::ClientGone { token });
        }
    }
}
