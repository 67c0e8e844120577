//! `fileserver`: the server of our own file transfer, as `jobs/PROTOCOL.md` specifies it. Its clients are `tcp` jobs.
//!
//! **Guarantee**: what it acknowledges is published whole under its name, with the content that its hash says, and, where
//! the client asked for it, durable. A repeated offer of a file that it has published is answered so, without a second copy, until the client has
//! drawn its consequences, across kills of either side. Nobody reaches anything outside his account's root. Content
//! that an account holds is not sent again, and comes in once at a time.
//!
//! **Its end**: without TLS, whoever listens on the way reads the files (though he cannot change them, or log in). A key
//! that can be guessed can be guessed from what was heard of a login: make it long and random.

mod account;
mod contents;
mod desk;
mod door;
mod flights;
mod params;
mod quota;
mod serving;
mod session;

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
    sync::{Arc, Mutex, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use account::Account;
use desk::{Desk, Entry, Sessions};
use door::Door;
use params::Params;
use quota::Quota;
use session::Working;

use crate::{
    context::Context,
    error::Error,
    job::{Invalid, Job, Report, Tally},
    transfer::{host::Silent, journal::Memory, tls::ServerTls},
};

/// How often the server looks round when nobody comes.
const TICK: Duration = Duration::from_millis(500);
/// How long sessions have to end after a stop.
const FAREWELL: Duration = Duration::from_secs(3);
/// The stack of a session's thread.
const STACK: usize = 512 << 10;

/// A `fileserver` job.
pub(crate) struct Fileserver {
    params: Params,
}

impl Job for Fileserver {
    const KIND: &'static str = "fileserver";
    const ABOUT: &'static str = "the server of our own file transfer; tcp is its client";
    const SAMPLE: &'static str = include_str!("../../../../etc/jobs/fileserver.xml");
    type Params = Params;

    fn new(params: Params) -> Result<Fileserver, Invalid> {
        params.check()?;
        Ok(Fileserver { params })
    }

    fn run(&mut self, cx: &mut Context) -> Result<Tally, Error> {
        let desk = Arc::new(self.desk(cx)?);
        let listener = self.listen()?;
        log::info!("{}: listening on {}", cx.job(), self.params.listen.address);
        let mut sessions = Sessions::default();
        let mut counted = (0, 0);
        let result = loop {
            if let Err(error) = watch(cx, &sessions, &mut counted) {
                break error;
            }
            // there are no passes to be triggered, and a wish for one would end every sleep
            let _no_pass = cx.stop().take_trigger();
            cx.stop().sleep(TICK, &[listener.as_fd()]);
            if let Err(error) = accept(cx, &listener, &desk, &mut sessions) {
                break error;
            }
            for ended in sessions.reap() {
                desk.door().leave(ended.number);
                // what it moved stays counted
                let moved = (&ended.working.files, &ended.working.bytes);
                let (files, bytes) = (
                    moved.0.load(Ordering::Relaxed),
                    moved.1.load(Ordering::Relaxed),
                );
                counted.0 = counted.0 - files.min(counted.0);
                counted.1 = counted.1 - bytes.min(counted.1);
            }
        };
        drop(listener);
        let begun = Instant::now();
        while sessions.len() > 0 && begun.elapsed() < FAREWELL {
            sessions.reap();
            thread::park_timeout(Duration::from_millis(10));
        }
        sessions.entries().for_each(|entry| entry.shut());
        Err(result)
    }

    fn check(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error> {
        if let Some(tls) = &self.params.tls
            && let Err(error) = ServerTls::new(&cx.path(&tls.cert), &cx.path(&tls.key))
        {
            report.problem("tls", error.chain());
        }
        for (n, account) in self.params.account.iter().enumerate() {
            let root = cx.path(&account.root);
            match cx.disk().look(&root)? {
                Some(meta) if meta.folder => {
                    report.note(format_args!("{}: {}", account.name, root.display()))
                }
                Some(_) => report.problem(
                    format!("account[{}].root", n + 1),
                    format_args!("{} is no folder", root.display()),
                ),
                None => report.note(format_args!(
                    "{}: {} will be made",
                    account.name,
                    root.display()
                )),
            }
        }
        Ok(())
    }
}

impl Fileserver {
    fn desk(&self, cx: &Context) -> Result<Desk, Error> {
        let memory: Memory = Arc::new(Mutex::new(cx.open_state()?));
        let mut accounts = Vec::new();
        for account in &self.params.account {
            let root = cx.path(&account.root);
            cx.disk().create_dirs(&root)?;
            cx.phase(&format!("opening {}", account.name));
            if account.key.trim().len() < 16 {
                log::warn!(
                    "{}: its key is short; a long random one cannot be guessed",
                    account.name
                );
            }
            let quota = account.quota.map(|size| Quota::new(size.0, account.evict));
            let rights = account.rights().map_err(Error::Invalid)?;
            let host = Silent(cx.stop().clone());
            cx.checkpoint()?;
            accounts.push(Account::open(
                &account.name,
                &account.key,
                rights,
                root,
                quota,
                &memory,
                &host,
            )?);
        }
        let tls = match &self.params.tls {
            Some(tls) => Some(ServerTls::new(&cx.path(&tls.cert), &cx.path(&tls.key))?),
            None => None,
        };
        let door = Door::new(
            self.params.listen.connections,
            self.params.listen.per_address,
        );
        Ok(Desk {
            accounts,
            tls,
            door: Mutex::new(door),
        })
    }

    fn listen(&self) -> Result<TcpListener, Error> {
        let address = &self.params.listen.address;
        let failed = |source: std::io::Error| match source.kind() {
            ErrorKind::AddrInUse => Error::TryAgain(format!("listen on {address}: {source}")),
            ErrorKind::PermissionDenied => {
                Error::Permission(format!("listen on {address}: {source}"))
            }
            _ => Error::Unreachable {
                what: format!("listen on {address}"),
                source: Some(source.into()),
            },
        };
        let listener = TcpListener::bind(address.as_str()).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(listener)
    }
}

/// Looks after the sessions: beats while all of them give signs of life, and tells what they moved.
fn watch(cx: &Context, sessions: &Sessions, counted: &mut (u64, u64)) -> Result<(), Error> {
    let patience = cx.heartbeat().unwrap_or(Duration::MAX);
    let stuck = sessions
        .entries()
        .find(|entry| entry.working.silence() > patience);
    match stuck {
        // a session that hangs in a system call takes the beats away, so that somebody sees to it
        Some(entry) => log::warn!("connection {} hangs", entry.number),
        None => cx.beat(),
    }
    if let Some(signal) = cx.stop().asked() {
        return Err(Error::Stopped(signal));
    }
    sessions.keep_alive();
    let sum = |value: fn(&Working) -> u64| {
        sessions
            .entries()
            .map(|entry| value(&entry.working))
            .sum::<u64>()
    };
    let files = sum(|working| working.files.load(Ordering::Relaxed));
    let bytes = sum(|working| working.bytes.load(Ordering::Relaxed));
    cx.progress(
        files.saturating_sub(counted.0),
        bytes.saturating_sub(counted.1),
    );
    *counted = (files, bytes);
    cx.phase(&format!("{} connections", sessions.len()));
    Ok(())
}

/// Lets in whoever waits.
fn accept(
    cx: &Context,
    listener: &TcpListener,
    desk: &Arc<Desk>,
    sessions: &mut Sessions,
) -> Result<(), Error> {
    // so many at most, so that those who are in are looked after as well
    for _ in 0..64 {
        match listener.accept() {
            Ok((socket, address)) => enter(cx, desk, sessions, socket, address),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS)
                ) =>
            {
                log::warn!("cannot take another connection: {error}");
                thread::park_timeout(Duration::from_millis(100));
                return Ok(());
            }
            // one that was gone before it was taken
            Err(error) => log::debug!("a connection was not taken: {error}"),
        }
    }
    Ok(())
}

fn enter(
    cx: &Context,
    desk: &Arc<Desk>,
    sessions: &mut Sessions,
    socket: TcpStream,
    address: SocketAddr,
) {
    let (number, goes) = desk.door().enter(address.ip());
    if let Some(goes) = goes {
        sessions.shut(goes);
    }
    let started = socket
        .set_nonblocking(false)
        .and_then(|()| socket.try_clone())
        .and_then(|own| {
            let entry = Arc::new(Entry::new(
                number,
                Arc::new(Working::new(cx.stop().clone())),
                own,
            ));
            let (desk, inside) = (Arc::clone(desk), Arc::clone(&entry));
            let thread = thread::Builder::new()
                .name(format!("client {number}"))
                .stack_size(STACK)
                .spawn(move || {
                    session::serve(&desk, &inside, socket, address);
                    inside.shut();
                })?;
            sessions.add(entry, thread);
            Ok(())
        });
    if let Err(error) = started {
        desk.door().leave(number);
        log::warn!("{address}: not served: {error}");
    }
}
