//! Asks procctl now and then whether it still answers: one line to its control socket, never waiting for the answer.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use std::os::fd::AsRawFd;

use crate::process::monotonic_ns;

/// Distance of pings, in nanoseconds.
const EVERY: u64 = 10 * 1_000_000_000;

/// The state of the one question that may be open.
pub struct Ping {
    path: PathBuf,
    open: Option<UnixStream>,
    next: u64,
    failures: u32,
}

impl Ping {
    /// Pings the supervisor behind this socket.
    pub fn new(path: PathBuf) -> Ping {
        Ping {
            path,
            open: None,
            next: 0,
            failures: 0,
        }
    }

    /// Called at each scan: asks when it is time, and takes note of an answer or of none. Never blocks.
    pub fn tend(&mut self) {
        let now = monotonic_ns();
        if let Some(stream) = &mut self.open {
            let mut answer = [0; 256];
            match stream.read(&mut answer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Any answer, be it a closed connection, shows that its loop turns.
                Ok(_) | Err(_) => {
                    self.open = None;
                    self.note(Ok(()));
                }
            }
        }
        if now < self.next {
            return;
        }
        self.next = now + EVERY;
        // One question at a time: a stopped supervisor must not find hundreds when it goes on.
        if self.open.is_some() {
            self.note(Err(io::Error::from(io::ErrorKind::TimedOut)));
            return;
        }
        match self.ask() {
            Ok(stream) => self.open = Some(stream),
            Err(error) => self.note(Err(error)),
        }
    }

    fn ask(&self) -> io::Result<UnixStream> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket: OwnedFd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        connect(socket.as_raw_fd(), &UnixAddr::new(&self.path)?)?;
        let mut stream = UnixStream::from(socket);
        writeln!(stream, "{{\"ping\":{}}}", std::process::id())?;
        Ok(stream)
    }

    /// The first silence is an alarm, and the first answer after it good news.
    fn note(&mut self, answer: io::Result<()>) {
        match answer {
            Ok(()) if self.failures > 1 => log::warn!("procctl answers again"),
            Ok(()) => {}
            Err(error) => {
                self.failures += 1;
                // One may fall into a restart of procctl.
                if self.failures == 2 {
                    log::error!(
                        "procctl does not answer on {}: {error}",
                        self.path.display()
                    );
                }
                return;
            }
        }
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_ping_is_one_line_and_an_answer_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let mut ping = Ping::new(path.clone());
        ping.tend();
        assert_eq!((ping.failures, ping.open.is_none()), (1, true));
        let listener = UnixListener::bind(&path).unwrap();
        ping.next = 0;
        ping.tend();
        let (stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        assert_eq!(line, format!("{{\"ping\":{}}}\n", std::process::id()));
        ping.tend();
        assert!(ping.open.is_some(), "no answer yet");
        ping.next = 0;
        ping.tend();
        assert_eq!(
            ping.failures, 2,
            "silence is noted, no second question asked"
        );
        (&stream).write_all(b"{}\n").unwrap();
        ping.tend();
        assert_eq!((ping.failures, ping.open.is_none()), (0, true));
    }
}
