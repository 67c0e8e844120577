//! The loop over all senders: takes connections, reads records, hands groups to the writer, tells what is durable.
//! How connections end is in `ending`. When the writer cannot keep up, or the disk is full, it stops reading: senders wait, nobody is cut, memory stays.

use std::{
    collections::HashMap,
    io::{self, ErrorKind},
    net::TcpListener,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustls::ServerConfig;

use super::{
    connection::{Connection, Stage},
    desk::{Counts, Desk, Talk},
    framing::{PROOF, Refusal},
    handoff::Handoff,
    wire::Wire,
};

/// Bytes read at once, and taken from one connection before the others get their turn; no more than a group may have, which bounds what
/// comes on top of a full one.
const BUFFER: usize = 256 << 10;
const TURN: usize = 1 << 20;
/// A group up to this size grows while it waits for the disk, in bytes.
const SMALL: usize = 256 << 10;
/// So many bytes are handed on before the other connections that have something are read; less than that waits for them, so that what came at the
/// same time shares one sync.
const EARLY: usize = 64 << 10;
/// Bytes of unfinished records of all connections together, unless one alone may be larger.
const HELD: usize = 64 << 20;
/// Connections taken in one turn.
const ACCEPTS: usize = 64;
/// So many more than may be are told that there are too many; those beyond just go, so that descriptors are left for the spool.
const CROWD: usize = 64;
/// How long no connection is taken after the system had no descriptor for one.
const REST: Duration = Duration::from_millis(200);

/// What the server keeps to.
pub(super) struct Limits {
    pub(super) connections: usize,
    /// How long a piece may be unfinished.
    pub(super) timeout: Duration,
    /// So many bytes are gathered while a group is on its way to the disk.
    pub(super) group: usize,
}

/// All senders.
pub(crate) struct Server {
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    epoll: OwnedFd,
    pub(super) handoff: Arc<Handoff>,
    pub(super) desk: Desk,
    pub(super) limits: Limits,
    pub(super) connections: HashMap<u64, Connection>,
    next: u64,
    /// Connections that may have more at once.
    again: Vec<u64>,
    /// Bytes of unfinished pieces.
    held: usize,
    buffer: Vec<u8>,
    /// No records are read for now; and since when they are again.
    pub(super) paused: bool,
    pub(super) resumed: Instant,
    accept_at: Instant,
    refused: u64,
}

impl Server {
    /// # Errors
    /// When the system gives no descriptor.
    pub(super) fn new(
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        handoff: Arc<Handoff>,
        desk: Desk,
        limits: Limits,
    ) -> io::Result<Server> {
        listener.set_nonblocking(true)?;
        Ok(Server {
            listener,
            tls,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            handoff,
            desk,
            connections: HashMap::new(),
            next: 1,
            again: Vec::new(),
            held: 0,
            buffer: vec![0; BUFFER.min(limits.group)],
            paused: false,
            resumed: Instant::now(),
            accept_at: Instant::now(),
            refused: 0,
            limits,
        })
    }

    /// Waits so long at most for something to do, and does it.
    ///
    /// # Errors
    /// When the system refuses what it cannot refuse.
    pub(crate) fn turn(&mut self, long: Duration, stop: BorrowedFd<'_>) -> io::Result<()> {
        let ready = self.wait(long, stop)?;
        self.desk.set_time(micros());
        if ready[0] {
            self.settle()?;
        }
        if ready[2] {
            self.accept()?;
        }
        if ready[3] {
            self.serve()?;
        }
        self.revisit()?;
        self.hand_on();
        let was = self.paused;
        self.paused = self.desk.group.batch.bytes.len() >= self.limits.group;
        if was && !self.paused {
            self.resumed = Instant::now();
        }
        Ok(())
    }

    /// What is ready: settled groups, the wish to stop, new connections, connections.
    fn wait(&self, long: Duration, stop: BorrowedFd<'_>) -> io::Result<[bool; 4]> {
        let long = if self.again.is_empty() || self.paused {
            long
        } else {
            Duration::ZERO
        };
        let limit = Timespec::try_from(long).unwrap_or_default();
        let accepts = Instant::now() >= self.accept_at;
        let mut fds = Vec::with_capacity(4);
        fds.push(PollFd::from_borrowed_fd(
            self.handoff.wake_fd(),
            PollFlags::IN,
        ));
        fds.push(PollFd::from_borrowed_fd(stop, PollFlags::IN));
        let nothing = PollFlags::empty();
        let flags = if accepts { PollFlags::IN } else { nothing };
        fds.push(PollFd::new(&self.listener, flags));
        let flags = if self.paused { nothing } else { PollFlags::IN };
        fds.push(PollFd::new(&self.epoll, flags));
        match poll(&mut fds, Some(&limit)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok([false; 4]),
            Err(error) => return Err(error.into()),
        }
        let mut ready = [false; 4];
        for (ready, fd) in ready.iter_mut().zip(&fds) {
            *ready = fd.revents().contains(PollFlags::IN);
        }
        Ok(ready)
    }

    /// Tells connections what is durable.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        for settled in self.handoff.settled() {
            for taker in self.desk.settle(settled.takers, &settled.news) {
                if let Some(connection) = self.connections.get_mut(&taker.connection) {
                    connection.talk.durable = connection.talk.durable.max(taker.upto);
                    self.write(taker.connection)?;
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        for _ in 0..ACCEPTS {
            match self.listener.accept() {
                Ok(_) if self.connections.len() >= self.limits.connections + CROWD => {
                    self.refused += 1;
                }
                Ok((stream, peer)) => {
                    let wire = match Wire::new(stream, self.tls.as_ref()) {
                        Ok(wire) => wire,
                        Err(error) => {
                            log::debug!("{peer}: {error}");
                            continue;
                        }
                    };
                    self.welcome(peer.to_string(), wire)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    log::warn!("cannot take a connection: {error}");
                    self.accept_at = Instant::now() + REST;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn welcome(&mut self, peer: String, wire: Wire) -> io::Result<()> {
        let id = self.next;
        self.next += 1;
        let mut nonce = [0; PROOF];
        aws_lc_rs::rand::fill(&mut nonce).map_err(io::Error::other)?;
        let talk = Talk::new(id, &self.desk.rules, nonce);
        let data = epoll::EventData::new_u64(id);
        epoll::add(&self.epoll, wire.as_fd(), data, epoll::EventFlags::IN)?;
        let mut connection = Connection::new(peer, wire, talk);
        if self.connections.len() >= self.limits.connections {
            connection.refuse(Refusal::Crowded(self.limits.connections));
            self.refused += 1;
        }
        log::debug!("{}: connected", connection.peer);
        self.connections.insert(id, connection);
        self.write(id)
    }

    /// Reads from and writes to connections that are ready.
    fn serve(&mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(256);
        let now = Timespec::default();
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut events),
            Some(&now),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events {
            let id = event.data.u64();
            let flags = event.flags;
            if flags
                .intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR)
            {
                self.read(id)?;
            }
            self.write(id)?;
            let much = self.desk.group.batch.bytes.len() >= EARLY.min(self.limits.group);
            if much && self.is_full() {
                // the others keep what they have to say
                return Ok(());
            }
        }
        Ok(())
    }

    fn revisit(&mut self) -> io::Result<()> {
        for id in std::mem::take(&mut self.again) {
            if self.is_full() {
                self.again.push(id);
                continue;
            }
            self.read(id)?;
            self.write(id)?;
        }
        Ok(())
    }

    /// Whether enough is gathered, after the writer was offered what there is.
    fn is_full(&mut self) -> bool {
        self.hand_on();
        self.desk.group.batch.bytes.len() >= self.limits.group
    }

    pub(super) fn hand_on(&mut self) {
        if self.desk.has_records() {
            let desk = &mut self.desk;
            let bytes = desk.group.batch.bytes.len();
            self.handoff
                .hand_on(bytes, SMALL.min(self.limits.group), |spare| {
                    desk.take_group(spare)
                });
        }
    }

    fn read(&mut self, id: u64) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Ok(());
        };
        self.held -= connection.held();
        let turn = connection.read(
            &mut self.desk,
            &mut self.buffer,
            TURN.min(self.limits.group),
        );
        let most = HELD.max(2 * self.desk.rules.max);
        if self.held + connection.held() > most {
            connection.refuse(Refusal::Unfinished(most as u64));
        }
        self.held += connection.held();
        if matches!(connection.stage, Stage::Ending(Some(_))) {
            self.refused += 1;
        }
        if turn.again {
            self.again.push(id);
        }
        if let Some(other) = turn.displaced {
            self.dismiss(other, Refusal::TakenOver)?;
        }
        Ok(())
    }

    pub(super) fn dismiss(&mut self, id: u64, refusal: Refusal) -> io::Result<()> {
        if let Some(connection) = self.connections.get_mut(&id) {
            self.held -= connection.held();
            connection.refuse(refusal);
            // what it had on its way is told to the connection that took over
            connection.talk.taken = connection.talk.taken.min(connection.talk.durable);
            self.held += connection.held();
        }
        self.write(id)
    }

    /// Writes what a connection is to be told, and has epoll look for what it waits for.
    pub(super) fn write(&mut self, id: u64) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Ok(());
        };
        connection.write(&self.desk);
        if connection.stage == Stage::Over {
            return self.drop(id);
        }
        let wants = connection.wants();
        if wants != connection.watched {
            let mut flags = epoll::EventFlags::empty();
            flags.set(epoll::EventFlags::IN, wants.0);
            flags.set(epoll::EventFlags::OUT, wants.1);
            let data = epoll::EventData::new_u64(id);
            epoll::modify(&self.epoll, connection.wire.as_fd(), data, flags)?;
            connection.watched = wants;
        }
        Ok(())
    }

    pub(super) fn drop(&mut self, id: u64) -> io::Result<()> {
        if let Some(connection) = self.connections.remove(&id) {
            self.held -= connection.held();
            self.desk.leave(&connection.talk);
            epoll::delete(&self.epoll, connection.wire.as_fd())?;
            log::debug!("{}: gone", connection.peer);
        }
        Ok(())
    }

    /// How many senders there are.
    pub(crate) fn senders(&self) -> usize {
        self.connections.len()
    }

    /// Whether senders are kept waiting.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// What was counted since the last look: records, and connections refused.
    pub(crate) fn take_counts(&mut self) -> (Counts, u64) {
        (
            std::mem::take(&mut self.desk.counted),
            std::mem::take(&mut self.refused),
        )
    }
}

/// Microseconds since 1970.
fn micros() -> u64 {
    u64::try_from(chrono::Utc::now().timestamp_micros()).unwrap_or(0)
}
