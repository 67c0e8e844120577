//! A socket with deadlines, and TLS on it where that is wished. Both directions are used at once, each by one thread.
//!
//! Every wait ends at least four times a second to ask the [`Host`]; a peer from which nothing comes, or to which nothing
//! goes, for longer than [`QUIET`] is given up. What the bytes mean is not known here.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::Connection;

use super::{host::Host, proof::Digest};
use crate::error::Error;

/// How long a peer may be silent, or not take a byte, before it counts as dead. Both sides send something every [`KEEP`].
pub(crate) const QUIET: Duration = Duration::from_secs(30);
/// How long a side is silent before it sends a sign of life.
pub(crate) const KEEP: Duration = Duration::from_secs(5);
/// The longest wait between two looks at the host.
const TICK: Duration = Duration::from_millis(200);
/// Bytes of a TLS stream that are taken at once.
const RAW: usize = 64 << 10;
/// The exporter label of our logins (RFC 5705).
const LABEL: &[u8] = b"EXPERIMENTAL procctl file transfer";

/// A connection.
pub(crate) struct Wire {
    socket: TcpStream,
    tls: Option<Mutex<Connection>>,
    peer: String,
    quiet: Duration,
}

/// What came over TLS and was not asked for yet. Belongs to the one thread that reads.
#[derive(Default)]
pub(crate) struct Inbound {
    raw: Vec<u8>,
    plain: Vec<u8>,
    taken: usize,
}

impl Inbound {
    /// Whether there are bytes that were not asked for yet.
    pub(crate) fn holds(&self) -> bool {
        self.taken < self.plain.len()
    }
}

impl Wire {
    /// A wire on a connected socket; `quiet` is the patience with a silent peer.
    pub(crate) fn new(
        socket: TcpStream,
        peer: impl Into<String>,
        quiet: Duration,
    ) -> Result<Wire, Error> {
        let wire = Wire {
            socket,
            tls: None,
            peer: peer.into(),
            quiet,
        };
        let set = || {
            wire.socket.set_nodelay(true)?;
            wire.socket.set_read_timeout(Some(TICK))?;
            wire.socket.set_write_timeout(Some(TICK))
        };
        set().map_err(|error| wire.lost(error))?;
        Ok(wire)
    }

    /// Puts TLS on the wire, handshake included, within `limit`.
    pub(crate) fn secure(
        self,
        connection: Connection,
        limit: Duration,
        host: &dyn Host,
    ) -> Result<Wire, Error> {
        let (mut connection, begun) = (connection, Instant::now());
        while connection.is_handshaking() {
            host.tick()?;
            if begun.elapsed() > limit {
                return Err(self.lost(ErrorKind::TimedOut.into()));
            }
            match connection.complete_io(&mut &self.socket) {
                Ok(_) => {}
                Err(error) if is_pause(&error) => {}
                Err(error) => {
                    return Err(Error::Unreachable {
                        what: format!("TLS with {} failed", self.peer),
                        source: Some(error.into()),
                    });
                }
            }
        }
        connection.set_buffer_limit(None);
        Ok(Wire {
            tls: Some(Mutex::new(connection)),
            ..self
        })
    }

    /// Who is at the other end.
    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }

    /// What only the two ends of this TLS session know; empty without TLS.
    pub(crate) fn session(&self) -> Result<Vec<u8>, Error> {
        let Some(tls) = &self.tls else {
            return Ok(Vec::new());
        };
        let exported: Result<Digest, _> = lock(tls).export_keying_material([0; 32], LABEL, None);
        exported
            .map(|bytes| bytes.to_vec())
            .map_err(|error| Error::Internal(format!("bind the login to TLS: {error}")))
    }

    /// Whether files may go out without passing through this process.
    pub(crate) fn is_plain(&self) -> bool {
        self.tls.is_none()
    }

    /// Ends both directions; whoever waits on them gets an error.
    pub(crate) fn shut(&self) {
        // one that is gone already is as good
        let _gone = self.socket.shutdown(Shutdown::Both);
    }

    /// Whether a few bytes could be sent at once.
    pub(crate) fn takes_bytes(&self) -> bool {
        self.is_ready(PollFlags::OUT)
    }

    /// Whether something has come from the other side.
    pub(crate) fn has_bytes(&self) -> bool {
        self.is_ready(PollFlags::IN)
    }

    fn is_ready(&self, how: PollFlags) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(self.socket.as_fd(), how)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
    }

    /// Reads some bytes.
    pub(crate) fn read(
        &self,
        into: &mut [u8],
        inbound: &mut Inbound,
        host: &dyn Host,
    ) -> Result<usize, Error> {
        let Some(tls) = &self.tls else {
            return self.read_socket(into, host);
        };
        loop {
            let left = &inbound.plain[inbound.taken..];
            if !left.is_empty() {
                let length = left.len().min(into.len());
                into[..length].copy_from_slice(&left[..length]);
                inbound.taken += length;
                return Ok(length);
            }
            inbound.plain.clear();
            inbound.taken = 0;
            // the handshake may have brought more than itself
            self.decrypt(tls, &[], inbound)?;
            if inbound.plain.is_empty() {
                inbound.raw.resize(RAW, 0);
                let length = self.read_socket(&mut inbound.raw, host)?;
                let raw = std::mem::take(&mut inbound.raw);
                let decrypted = self.decrypt(tls, &raw[..length], inbound);
                inbound.raw = raw;
                decrypted?;
            }
        }
    }

    fn decrypt(
        &self,
        tls: &Mutex<Connection>,
        raw: &[u8],
        inbound: &mut Inbound,
    ) -> Result<(), Error> {
        decrypt(&mut lock(tls), raw, &mut inbound.plain).map_err(|error| self.lost(error))
    }

    fn read_socket(&self, into: &mut [u8], host: &dyn Host) -> Result<usize, Error> {
        let begun = Instant::now();
        loop {
            match (&self.socket).read(into) {
                Ok(0) => {
                    return Err(Error::Unreachable {
                        what: format!("{} closed the connection", self.peer),
                        source: None,
                    });
                }
                Ok(length) => return Ok(length),
                Err(error) if is_pause(&error) => {}
                Err(error) => return Err(self.lost(error)),
            }
            host.tick()?;
            if begun.elapsed() > self.quiet {
                return Err(self.silent("said"));
            }
        }
    }

    /// Sends all of the bytes.
    pub(crate) fn write(&self, bytes: &[u8], host: &dyn Host) -> Result<(), Error> {
        let Some(tls) = &self.tls else {
            return self.write_socket(bytes, host);
        };
        let mut sealed = Vec::with_capacity(RAW + RAW / 8);
        for piece in bytes.chunks(RAW) {
            sealed.clear();
            let mut connection = lock(tls);
            let encrypt = || -> io::Result<()> {
                connection.writer().write_all(piece)?;
                while connection.wants_write() {
                    connection.write_tls(&mut sealed)?;
                }
                Ok(())
            };
            let mut encrypt = encrypt;
            encrypt().map_err(|error| self.lost(error))?;
            drop(connection);
            self.write_socket(&sealed, host)?;
        }
        Ok(())
    }

    fn write_socket(&self, mut bytes: &[u8], host: &dyn Host) -> Result<(), Error> {
        let mut progress = Instant::now();
        while !bytes.is_empty() {
            match (&self.socket).write(bytes) {
                Ok(length) => {
                    bytes = &bytes[length..];
                    progress = Instant::now();
                }
                Err(error) => self.pause(error, progress, host)?,
            }
        }
        Ok(())
    }

    /// Sends bytes of a file past this process; tells how many there were before the file ended. Plain wires only.
    pub(crate) fn send_file(
        &self,
        file: BorrowedFd<'_>,
        offset: u64,
        length: usize,
        host: &dyn Host,
    ) -> Result<usize, Error> {
        let (mut at, mut sent, mut progress) = (offset, 0, Instant::now());
        while sent < length {
            match rustix::fs::sendfile(&self.socket, file, Some(&mut at), length - sent) {
                Ok(0) => break,
                Ok(more) => {
                    sent += more;
                    progress = Instant::now();
                }
                Err(error) => self.pause(error.into(), progress, host)?,
            }
        }
        Ok(sent)
    }

    /// After a write that did not go through at once: whether to try again.
    fn pause(&self, error: io::Error, progress: Instant, host: &dyn Host) -> Result<(), Error> {
        if !is_pause(&error) {
            return Err(self.lost(error));
        }
        host.tick()?;
        if progress.elapsed() > self.quiet {
            return Err(self.silent("taken"));
        }
        Ok(())
    }

    fn lost(&self, error: io::Error) -> Error {
        Error::Unreachable {
            what: format!("the connection with {} broke", self.peer),
            source: Some(error.into()),
        }
    }

    fn silent(&self, what: &str) -> Error {
        Error::Unreachable {
            what: format!(
                "{} has {what} nothing for {} s",
                self.peer,
                self.quiet.as_secs()
            ),
            source: None,
        }
    }
}

fn lock(tls: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    tls.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A timeout of the socket, or a signal.
fn is_pause(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// Feeds what came from the socket to TLS and takes what it means, and what it meant before.
fn decrypt(connection: &mut Connection, mut raw: &[u8], plain: &mut Vec<u8>) -> io::Result<()> {
    loop {
        match connection.reader().read_to_end(plain) {
            Ok(_) => return Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if raw.is_empty() {
            return Ok(());
        }
        connection.read_tls(&mut raw)?;
        connection.process_new_packets().map_err(io::Error::other)?;
    }
}
