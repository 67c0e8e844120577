//! The recorder's own loop: one thread that waits on pipes, notify sockets, pidfds and the
//! supervisor, and never on a disk. It decides nothing about runs: it keeps, beats, tells.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use checkproc::Folders;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::net::SocketFlags;

use super::held::Held;
use super::logfile::Rotation;
use super::message::{self, FromRecorder, LARGEST, Notice, Run, ToRecorder};
use super::peer::{Peer, Saying};
use super::queue::{Queue, Work};
use super::slots::Slots;
use super::source::Source;
use super::writer::Troubles;

/// How long a recorder whose runs have all ended waits for a supervisor to ask how.
const LINGER: Duration = Duration::from_mins(10);

/// The same where there is nothing to tell: long enough for a supervisor that is just starting.
const LINGER_IDLE: Duration = Duration::from_secs(5);

/// How long the end waits for a slow disk before lines are given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Messages taken from the supervisor before the pipes have their turn.
const MOST_AT_ONCE: usize = 256;

/// Descriptors that the loop is given.
pub(super) struct Ears {
    /// Where supervisors connect.
    pub(super) listener: OwnedFd,
    /// Readable when the writer's troubles have changed.
    pub(super) bell: OwnedFd,
    /// Readable after SIGTERM.
    pub(super) signal: OwnedFd,
}

/// The loop and all that it holds.
pub(super) struct Recorder<'a> {
    epoll: OwnedFd,
    ears: Ears,
    peer: Option<Peer>,
    held: HashMap<u64, Held>,
    slots: Slots,
    queue: &'a Queue,
    troubles: Arc<Troubles>,
    reload: &'a dyn Fn() -> Option<Rotation>,
    folders: Folders,
    buffer: Vec<u8>,
    alone_since: Instant,
    leaving: bool,
}

/// Makes the counter by which the writer wakes the loop: one end for each.
pub(super) fn bell() -> io::Result<(OwnedFd, OwnedFd)> {
    let counter = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let other = counter.try_clone()?;
    Ok((counter, other))
}

impl<'a> Recorder<'a> {
    /// A recorder that holds nothing yet.
    pub(super) fn new(
        ears: Ears,
        queue: &'a Queue,
        troubles: Arc<Troubles>,
        reload: &'a dyn Fn() -> Option<Rotation>,
        folders: Folders,
    ) -> io::Result<Recorder<'a>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let recorder = Recorder {
            epoll,
            ears,
            peer: None,
            held: HashMap::new(),
            slots: Slots::default(),
            queue,
            troubles,
            reload,
            folders,
            buffer: vec![0; LARGEST],
            alone_since: Instant::now(),
            leaving: false,
        };
        rustix::io::ioctl_fionbio(&recorder.ears.listener, true)?;
        recorder.watch(recorder.ears.listener.as_fd(), Source::Listener)?;
        recorder.watch(recorder.ears.bell.as_fd(), Source::Bell)?;
        recorder.watch(recorder.ears.signal.as_fd(), Source::Signal)?;
        Ok(recorder)
    }

    /// Works until it is told to leave, or nobody needs it any more.
    pub(super) fn run(&mut self) -> io::Result<()> {
        let mut space = [MaybeUninit::<epoll::Event>::uninit(); 128];
        while !self.leaving {
            let timeout = self.patience();
            if timeout == Some(Duration::ZERO) {
                break;
            }
            let timeout = timeout.map(|left| Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            });
            let ready = match epoll::wait(&self.epoll, &mut space, timeout.as_ref()) {
                Ok((ready, _)) => ready,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            for event in ready {
                self.serve(Source::from_word(event.data.u64()));
            }
        }
        self.drain();
        Ok(())
    }

    /// How long to wait for anything; zero when it is time to leave, `None` for ever.
    fn patience(&self) -> Option<Duration> {
        if self.peer.is_some() || self.held.values().any(Held::lives) {
            return None;
        }
        let linger = if self.held.is_empty() {
            LINGER_IDLE
        } else {
            LINGER
        };
        Some(linger.saturating_sub(self.alone_since.elapsed()))
    }

    fn serve(&mut self, source: Source) {
        match source {
            Source::Listener => self.accept(),
            Source::Peer => self.serve_peer(),
            Source::Bell => self.pass_on_trouble(),
            Source::Signal => self.heed_signal(),
            Source::Output(run) => {
                self.read_output(run);
                self.forget_if_done(run);
            }
            Source::Notify(run) => self.read_notices(run),
            Source::Process(run) => {
                if let Some(held) = self.held.get_mut(&run) {
                    held.note_end();
                    self.alone_since = Instant::now();
                }
            }
        }
    }

    fn watch(&self, descriptor: BorrowedFd<'_>, source: Source) -> io::Result<()> {
        // a pidfd becomes readable twice: when the process ends, and when it has been waited for
        let flags = match source {
            Source::Process(_) => epoll::EventFlags::IN | epoll::EventFlags::ET,
            _ => epoll::EventFlags::IN,
        };
        let data = epoll::EventData::new_u64(source.word());
        Ok(epoll::add(&self.epoll, descriptor, data, flags)?)
    }

    fn accept(&mut self) {
        let socket = match rustix::net::accept_with(&self.ears.listener, SocketFlags::CLOEXEC) {
            Ok(socket) => socket,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::CONNABORTED) => return,
            Err(error) => return log::warn!("accept the supervisor: {error}"),
        };
        if let Err(error) = crate::control::permitted(socket.as_fd()) {
            return log::warn!("a connection is refused: {error}");
        }
        // the newer supervisor holds the home's lock; the older one is gone or about to be
        self.peer = None;
        if let Err(error) = self.watch(socket.as_fd(), Source::Peer) {
            return log::warn!("watch the supervisor: {error}");
        }
        self.peer = Some(Peer::new(socket));
        if let Some(text) = self.troubles.now() {
            self.say(Saying::Plain(FromRecorder::Trouble { text: Some(text) }));
        }
    }

    fn serve_peer(&mut self) {
        for _ in 0..MOST_AT_ONCE {
            let Some(peer) = &self.peer else { return };
            match message::receive(&peer.socket, &mut self.buffer) {
                Ok(Some((message, descriptors))) => self.obey(message, descriptors),
                Ok(None) => return self.lose_peer(None),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    log::warn!("a message of the supervisor is passed over: {error}");
                }
                Err(error) => return self.lose_peer(Some(error)),
            }
        }
        self.flush();
    }

    fn lose_peer(&mut self, error: Option<io::Error>) {
        match error {
            Some(error) => log::warn!("the supervisor is gone: {error}"),
            None => log::info!("the supervisor is gone; {} runs are kept", self.held.len()),
        }
        self.peer = None;
        self.alone_since = Instant::now();
    }

    fn obey(&mut self, message: ToRecorder, descriptors: Vec<OwnedFd>) {
        match message {
            ToRecorder::Hello { pid } => log::debug!("serving supervisor {pid}"),
            ToRecorder::Run(run) => {
                let job = run.job.clone();
                if let Err(error) = self.hold(run, descriptors) {
                    log::error!("keep the output of {job}: {error}");
                }
            }
            ToRecorder::Ended { run } => {
                if let Some(held) = self.held.get_mut(&run) {
                    held.settle();
                    self.forget_if_done(run);
                }
            }
            ToRecorder::History { entry } => {
                if self.queue.push(Work::Entry(entry.to_string())).is_err() {
                    log::error!("an entry of the history is lost: too many wait for the disk");
                }
            }
            ToRecorder::Recall => {
                for run in self.held.keys().copied().collect::<Vec<_>>() {
                    self.say(Saying::Kept(run));
                }
                self.say(Saying::Plain(FromRecorder::KeptAll));
            }
            ToRecorder::Reload => {
                if let Some(rotation) = (self.reload)() {
                    drop(self.queue.push(Work::Rotate(rotation)));
                }
            }
            ToRecorder::Quit => self.leaving = true,
            ToRecorder::Dropped { count } => {
                log::warn!("the supervisor had to drop {count} messages to this recorder");
            }
        }
    }

    fn hold(&mut self, run: Run, descriptors: Vec<OwnedFd>) -> io::Result<()> {
        let id = run.run;
        if id > u64::MAX >> 2 || run.job.contains('/') || run.job.is_empty() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let slot = run.slot.and_then(|slot| self.slots.find(run.table, slot));
        if let Some(known) = self.held.get_mut(&id) {
            let moved = known.renew(run, descriptors, slot);
            return match self.held.get(&id).and_then(|held| held.process.as_ref()) {
                Some(process) if moved => self.watch(process.as_fd(), Source::Process(id)),
                _ => Ok(()),
            };
        }
        let mut held = Held::new(run, descriptors)?;
        held.slot = slot;
        let watched = [
            (&held.output, Source::Output(id)),
            (&held.notify, Source::Notify(id)),
            (&held.process, Source::Process(id)),
        ];
        for (descriptor, source) in watched {
            if let Some(descriptor) = descriptor {
                self.watch(descriptor.as_fd(), source)?;
            }
        }
        self.held.insert(id, held);
        Ok(())
    }

    /// Reads a pipe once; true when there was something and more may follow.
    fn read_output(&mut self, run: u64) -> bool {
        let Some(held) = self.held.get_mut(&run) else {
            return false;
        };
        let Some(output) = held.read_output(&mut self.buffer) else {
            return false;
        };
        if !output.text.is_empty() {
            let patience = self.leaving.then_some(PATIENCE);
            held.store(output.text, self.queue, patience);
        }
        let Some(pipe) = output.last else {
            return true;
        };
        self.alone_since = Instant::now();
        if let Err(error) = epoll::delete(&self.epoll, &pipe) {
            log::debug!("take a pipe off the waiting list: {error}");
        }
        false
    }

    fn read_notices(&mut self, run: u64) {
        let Some(held) = self.held.get_mut(&run) else {
            return;
        };
        let notices = held.read_notices(&mut self.buffer);
        if notices.contains(&Notice::Trigger) {
            held.take_evidence(&self.folders);
        }
        for notice in notices {
            self.say(Saying::Plain(FromRecorder::Notified { run, notice }));
        }
        self.flush();
    }

    fn forget_if_done(&mut self, run: u64) {
        if self.held.get(&run).is_some_and(Held::done) {
            self.held.remove(&run);
            if self.held.is_empty() {
                self.held = HashMap::new();
            }
        }
    }

    fn pass_on_trouble(&mut self) {
        let mut count = [0; 8];
        // the count does not matter, only that the bell is silent again
        let silenced = rustix::io::read(&self.ears.bell, &mut count);
        log::trace!("bell: {silenced:?}");
        let text = self.troubles.now();
        self.say(Saying::Plain(FromRecorder::Trouble { text }));
        self.flush();
    }

    /// SIGTERM: the supervisor decides when it is time; without one, it is now.
    fn heed_signal(&mut self) {
        let mut some = [0; 16];
        let emptied = rustix::io::read(&self.ears.signal, &mut some);
        log::trace!("signal: {emptied:?}");
        if self.peer.is_none() {
            self.leaving = true;
        } else {
            log::info!("SIGTERM is left to the supervisor");
        }
    }

    fn say(&mut self, saying: Saying) {
        if let Some(peer) = &mut self.peer {
            peer.say(saying);
        }
    }

    fn flush(&mut self) {
        let Some(peer) = &mut self.peer else { return };
        let wanted = match peer.flush(&self.held) {
            Ok(true) => epoll::EventFlags::IN,
            Ok(false) => epoll::EventFlags::IN | epoll::EventFlags::OUT,
            Err(error) => return self.lose_peer(Some(error)),
        };
        let data = epoll::EventData::new_u64(Source::Peer.word());
        if let Err(error) = epoll::modify(&self.epoll, &peer.socket, data, wanted) {
            self.lose_peer(Some(error.into()));
        }
    }

    /// Takes what is left in the pipes before the end; a run that prints on does not hold it up.
    fn drain(&mut self) {
        self.leaving = true;
        for run in self.held.keys().copied().collect::<Vec<_>>() {
            let mut reads = 0;
            while reads < 64 && self.read_output(run) {
                reads += 1;
            }
            if let Some(held) = self.held.get_mut(&run) {
                let rest = held.rest();
                if !rest.is_empty() {
                    held.store(rest, self.queue, Some(PATIENCE));
                }
            }
        }
    }
}
