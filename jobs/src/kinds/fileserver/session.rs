//! One client's connection: TLS, login, then one operation after the other. One thread; an operation has a helper beside it.

use std::{
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use super::{
    account::{Account, Keeping},
    desk::{Desk, Entry},
    serving,
};
use crate::{
    error::Error,
    job::{Bytes, Count},
    stop::Stop,
    transfer::{
        fields::Malformed,
        host::Host,
        link::{self, Incoming, Outgoing},
        login,
        message::{Code, Message, Refusal, Wish},
        name,
        proof::Key,
        receiver::{self, Place},
        sender::{Ends, Moved},
        tree::Tree,
        wire::{QUIET, Wire},
    },
};

/// The session as the host of its operations: what it moved, and when it last gave a sign of life.
pub(super) struct Working {
    pub(super) stop: Stop,
    pub(super) files: AtomicU64,
    pub(super) bytes: AtomicU64,
    begun: Instant,
    /// Milliseconds after `begun`.
    alive: AtomicU64,
}

impl Working {
    pub(super) fn new(stop: Stop) -> Working {
        Working {
            stop,
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            begun: Instant::now(),
            alive: AtomicU64::new(0),
        }
    }

    /// How long the session has not given a sign of life.
    pub(super) fn silence(&self) -> Duration {
        self.begun
            .elapsed()
            .saturating_sub(Duration::from_millis(self.alive.load(Ordering::Relaxed)))
    }
}

impl Host for Working {
    fn tick(&self) -> Result<(), Error> {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.alive.store(now, Ordering::Relaxed);
        match self.stop.asked() {
            None => Ok(()),
            Some(signal) => Err(Error::Stopped(signal)),
        }
    }

    fn moved(&self, files: u64, bytes: u64) {
        self.files.fetch_add(files, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Serves a connection until it ends; what went wrong is in the log.
pub(super) fn serve(desk: &Desk, entry: &Entry, socket: TcpStream, address: SocketAddr) {
    match talk(desk, entry, socket, address) {
        Ok(()) | Err(Error::Stopped(_)) => {}
        Err(error @ Error::Unreachable { .. }) => log::info!("{}", error.chain()),
        Err(error) => log::warn!("{}", error.chain()),
    }
}

fn talk(desk: &Desk, entry: &Entry, socket: TcpStream, address: SocketAddr) -> Result<(), Error> {
    let host = &*entry.working;
    let mut wire = Wire::new(socket, address.to_string(), QUIET)?;
    if let Some(tls) = &desk.tls {
        wire = wire.secure(tls.begin()?, login::LIMIT, host)?;
    }
    let (mut incoming, outgoing) = link::open(wire);
    let knock = login::greet(&mut incoming, &outgoing, host)?;
    let account = desk
        .accounts
        .iter()
        .find(|account| account.name == knock.account);
    let admitted = match account {
        Some(account) => {
            knock.admit(&account.key, account.rights, &mut incoming, &outgoing, host)?
        }
        None => {
            // as much work as for an account that exists
            let _nobody = Key::new(&knock.account);
            false
        }
    };
    let Some(account) = account.filter(|_| admitted) else {
        let pause = desk.door().failed(address.ip(), Instant::now());
        std::thread::park_timeout(pause);
        let account: String = knock.account.chars().filter(|c| !c.is_control()).collect();
        log::warn!("{address}: login as {account:?} refused");
        // said already, in fewer words
        let _refused = knock.refuse(&outgoing, host);
        return Ok(());
    };
    if !desk.door().known(entry.number) {
        let refusal = Refusal::new(Code::Busy, "too many connections; try again later");
        outgoing.give_up(refusal, host);
        log::warn!(
            "{address}: {} turned away, too many connections",
            account.name
        );
        return Ok(());
    }
    entry.open(outgoing.clone());
    log::debug!("{address}: {} logged in", account.name);
    let mut visit = Visit {
        account,
        incoming,
        outgoing,
        host,
        address,
    };
    loop {
        let message = match visit.incoming.message(host) {
            // between operations clients come and go
            Err(Error::Unreachable { .. }) => return Ok(()),
            message => message?,
        };
        visit.operation(message)?;
    }
}

struct Visit<'a> {
    account: &'a Account,
    incoming: Incoming,
    outgoing: Outgoing,
    host: &'a Working,
    address: SocketAddr,
}

impl Visit<'_> {
    fn operation(&mut self, message: Message) -> Result<(), Error> {
        let begun = Instant::now();
        let (done, what) = match message {
            Message::Put { durable, folder } => (
                self.put(durable, &folder)?,
                format!("put into /{}", folder.trim_start_matches('/')),
            ),
            Message::Get(wish) => {
                let what = format!("got from /{}", wish.folder.trim_start_matches('/'));
                (self.get(&wish)?, what)
            }
            _ => {
                let refusal = Refusal::new(Code::Protocol, "no operation was begun");
                self.outgoing.give_up(refusal, self.host);
                return Err(self.incoming.broken(Malformed("no operation was begun")));
            }
        };
        let line = |moved: Moved| {
            let (took, name) = (begun.elapsed(), &self.account.name);
            format!(
                "{name} at {}: {what}: {}, {} in {}.{} s",
                self.address,
                Count(moved.files, "file"),
                Bytes(moved.bytes),
                took.as_secs(),
                took.subsec_millis() / 100
            )
        };
        match done {
            Ok(moved) if moved.files == 0 => log::debug!("{}", line(moved)),
            Ok(moved) => log::info!("{}", line(moved)),
            Err(refusal) => log::warn!(
                "{} at {}: {what}: {}",
                self.account.name,
                self.address,
                refusal.reason
            ),
        }
        Ok(())
    }

    /// Says whether an operation may begin.
    fn ready(&self, refusal: Option<Refusal>) -> Result<Result<(), Refusal>, Error> {
        self.outgoing
            .send(&Message::Ready(refusal.clone()), self.host)?;
        Ok(refusal.map_or(Ok(()), Err))
    }

    fn put(&mut self, durable: bool, folder: &str) -> Result<Result<Moved, Refusal>, Error> {
        let folder = name::folder(folder);
        let refusal = match (&folder, self.account.rights.put) {
            (_, false) => Some(Refusal::new(
                Code::Forbidden,
                "the account has no right to put",
            )),
            (Err(why), _) => Some(Refusal::new(Code::Name, *why)),
            _ => None,
        };
        let tree = Arc::new(Tree::open(&self.account.root)?);
        if let Err(refusal) = self.ready(refusal)? {
            return Ok(Err(refusal));
        }
        let (back, again) = mpsc::channel();
        let policy = Keeping {
            account: self.account,
            tree: &tree,
            again: Mutex::new(back),
        };
        let place = Place {
            tree: &tree,
            folder: folder.unwrap_or_default(),
            durable,
            policy: &policy,
            journal: &self.account.journal,
        };
        let ends = Ends {
            incoming: &mut self.incoming,
            outgoing: &self.outgoing,
            stop: &self.host.stop,
        };
        let moved = receiver::receive(ends, place, again, self.host)?;
        self.account.tidy(&tree)?;
        Ok(Ok(moved))
    }

    fn get(&mut self, wish: &Wish) -> Result<Result<Moved, Refusal>, Error> {
        let tree = Arc::new(Tree::open(&self.account.root)?);
        let serving = serving::Serving::new(self.account, &tree, wish);
        let ready = self.ready(serving.as_ref().err().cloned())?;
        match (serving, ready) {
            (Ok(mut serving), Ok(())) => {
                let ends = Ends {
                    incoming: &mut self.incoming,
                    outgoing: &self.outgoing,
                    stop: &self.host.stop,
                };
                serving.send(ends, self.host).map(Ok)
            }
            (Err(refusal), _) | (_, Err(refusal)) => Ok(Err(refusal)),
        }
    }
}
