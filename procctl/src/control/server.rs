//! The supervisor's side of the control socket: a connection as a small state machine that
//! never blocks. Whoever owns the loop says when it is readable or writable.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{SendFlags, SocketFlags, SocketType};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Caller;

/// Longest request in bytes.
pub const LONGEST_REQUEST: usize = 64 * 1024;

/// Most bytes of answers that wait for a client that does not read them.
pub const MOST_UNREAD: usize = 32 * 1024 * 1024;

/// One line of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said<R> {
    /// A request, to be answered with [`Client::answer`].
    Request(R),
    /// `checkproc` asks for a sign of life; it has been answered already.
    Ping(u32),
}

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub enum Gone {
    /// The client has closed it.
    #[error("the client has gone")]
    Closed,
    /// It sends a line that is too long, or does not take its answers.
    #[error("the client {0}")]
    Unfit(&'static str),
    /// The socket failed.
    #[error("talk to a client")]
    Socket(#[source] io::Error),
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
    caller: Caller,
    incoming: Vec<u8>,
    outgoing: VecDeque<u8>,
}

/// Listens at the control socket of a run folder; non-blocking.
///
/// The caller holds the home's lock: whoever listened there before is gone.
pub fn listen(run_folder: &Path) -> io::Result<OwnedFd> {
    crate::socket::listen(&super::path(run_folder), SocketType::STREAM)
}

/// Takes one new connection; `None` when none waits. A caller without the right is told so and dropped.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<Option<Client>> {
    loop {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = match rustix::net::accept_with(listener, flags) {
            Ok(socket) => socket,
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::INTR | Errno::CONNABORTED) => continue,
            Err(error) => return Err(error.into()),
        };
        match super::permitted(socket.as_fd()) {
            Ok(caller) => return Ok(Some(Client::new(socket, caller))),
            Err(error) => {
                log::warn!("a control connection is refused: {error}");
                let mut client = Client::new(socket, Caller { pid: 0, uid: 0 });
                // best effort: it is dropped in any case
                drop(client.answer(&Refusal::new(&error.to_string())));
            }
        }
    }
}

/// The answer to a line that is no request, or to a caller without the right.
#[derive(Debug, Serialize)]
struct Refusal<'a> {
    error: &'a str,
}

impl<'a> Refusal<'a> {
    fn new(error: &'a str) -> Refusal<'a> {
        Refusal { error }
    }
}

impl Client {
    fn new(socket: OwnedFd, caller: Caller) -> Client {
        Client {
            socket,
            caller,
            incoming: Vec::new(),
            outgoing: VecDeque::new(),
        }
    }

    /// A connection that was made by an earlier program in this process.
    pub fn resume(socket: OwnedFd) -> io::Result<Client> {
        let caller = super::permitted(socket.as_fd())?;
        Ok(Client::new(socket, caller))
    }

    /// Who speaks.
    pub fn caller(&self) -> Caller {
        self.caller
    }

    /// Reads what is there: the requests that are complete. Lines that are none are answered here.
    ///
    /// # Errors
    /// The connection is over; drop it.
    pub fn readable<R: DeserializeOwned>(&mut self) -> Result<Vec<Said<R>>, Gone> {
        let mut buffer = [0; 4096];
        let mut said = Vec::new();
        // one buffer a turn: a client that sends without end does not keep the loop
        let got = match rustix::io::retry_on_intr(|| rustix::io::read(&self.socket, &mut buffer)) {
            Ok(0) => return Err(Gone::Closed),
            Ok(got) => got,
            Err(Errno::AGAIN) => return Ok(said),
            Err(error) => return Err(Gone::Socket(error.into())),
        };
        self.incoming.extend_from_slice(&buffer[..got]);
        while let Some(end) = self.incoming.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.incoming.drain(..=end).collect();
            match read_line(&line) {
                Ok(Said::Ping(pid)) => {
                    self.answer(&serde_json::json!({ "pong": std::process::id() }))?;
                    said.push(Said::Ping(pid));
                }
                Ok(request) => said.push(request),
                Err(error) => self.answer(&Refusal::new(&error.to_string()))?,
            }
        }
        if self.incoming.len() > LONGEST_REQUEST {
            return Err(Gone::Unfit("sends a line without end"));
        }
        Ok(said)
    }

    /// Queues an answer as one line, and sends what the socket takes now.
    ///
    /// # Errors
    /// The connection is over; drop it.
    pub fn answer(&mut self, answer: &impl Serialize) -> Result<(), Gone> {
        let line = serde_json::to_vec(answer).map_err(|error| Gone::Socket(error.into()))?;
        if self.outgoing.len() + line.len() > MOST_UNREAD {
            return Err(Gone::Unfit("does not read its answers"));
        }
        self.outgoing.extend(line);
        self.outgoing.push_back(b'\n');
        self.writable()
    }

    /// Sends on what waits.
    ///
    /// # Errors
    /// The connection is over; drop it.
    pub fn writable(&mut self) -> Result<(), Gone> {
        while !self.outgoing.is_empty() {
            let (first, _) = self.outgoing.as_slices();
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match rustix::net::send(&self.socket, first, flags) {
                Ok(sent) => drop(self.outgoing.drain(..sent)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(Gone::Socket(error.into())),
            }
        }
        // a large answer must not hold its memory while the client watches
        self.outgoing = VecDeque::new();
        Ok(())
    }

    /// Whether answers wait for room in the socket.
    pub fn wants_to_write(&self) -> bool {
        !self.outgoing.is_empty()
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn read_line<R: DeserializeOwned>(line: &[u8]) -> serde_json::Result<Said<R>> {
    /// `{"ping":PID}` and nothing else.
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Ping {
        ping: u32,
    }
    if let Ok(Ping { ping }) = serde_json::from_slice(line) {
        return Ok(Said::Ping(ping));
    }
    serde_json::from_slice(line).map(Said::Request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::os::unix::net::UnixStream;

    fn connection() -> (Client, UnixStream) {
        let folder = tempfile::tempdir().unwrap();
        let listener = listen(folder.path()).unwrap();
        assert!(accept(listener.as_fd()).unwrap().is_none());
        let stream = UnixStream::connect(crate::control::path(folder.path())).unwrap();
        (accept(listener.as_fd()).unwrap().unwrap(), stream)
    }

    #[test]
    fn requests_come_whole_and_rubbish_is_answered() {
        let (mut client, mut stream) = connection();
        assert_eq!(
            client.caller().pid,
            i32::try_from(std::process::id()).unwrap()
        );
        stream.write_all(b"\"sta").unwrap();
        assert_eq!(client.readable::<String>().unwrap(), []);
        assert_eq!(client.readable::<String>().unwrap(), []);
        stream
            .write_all(b"tus\"\n{\"ping\":7}\n{nonsense\n\"x\"\n")
            .unwrap();
        assert_eq!(
            client.readable::<String>().unwrap(),
            [
                Said::Request("status".to_owned()),
                Said::Ping(7),
                Said::Request("x".to_owned())
            ]
        );
        let mut lines = BufReader::new(&stream).lines();
        let pong = lines.next().unwrap().unwrap();
        assert_eq!(pong, format!("{{\"pong\":{}}}", std::process::id()));
        assert!(lines.next().unwrap().unwrap().starts_with("{\"error\":"));
        drop(lines);
        drop(stream);
        assert!(matches!(client.readable::<String>(), Err(Gone::Closed)));
    }

    #[test]
    fn a_slow_client_holds_up_nobody_and_loses_nothing() {
        let (mut client, mut stream) = connection();
        let long = "x".repeat(3_000_000);
        client.answer(&long).unwrap();
        assert!(client.wants_to_write());
        let reader = std::thread::spawn(move || {
            let mut text = Vec::new();
            stream.read_to_end(&mut text).unwrap();
            text
        });
        while client.wants_to_write() {
            client.writable().unwrap();
            std::thread::yield_now();
        }
        drop(client);
        assert_eq!(reader.join().unwrap().len(), long.len() + 3);
    }

    #[test]
    fn lines_without_end_and_unread_answers_end_the_connection() {
        let (mut client, mut stream) = connection();
        stream.set_nonblocking(true).unwrap();
        let gone = loop {
            // a full socket is emptied by the reads below
            drop(stream.write(&[b'x'; 4096]));
            if let Err(gone) = client.readable::<String>() {
                break gone;
            }
        };
        assert!(matches!(gone, Gone::Unfit(_)));
        let (mut client, _stream) = connection();
        let long = "x".repeat(MOST_UNREAD / 2);
        client.answer(&long).unwrap();
        assert!(matches!(client.answer(&long), Err(Gone::Unfit(_)) | Ok(())));
        assert!(matches!(client.answer(&long), Err(Gone::Unfit(_))));
    }
}
