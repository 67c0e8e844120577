//! The protocol's messages, version 3: writes ours, takes the server's one by one, keeps the time limit.
//! Knows no SQL. Format: <https://www.postgresql.org/docs/current/protocol-message-formats.html>.

use super::fault::{Complaint, Trouble};
use crate::net::{Address, Guard, Inbox, Socket, Watch, is_timeout};
use crate::{Cell, Tls};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// How long a server may take to answer a cancel request.
const GRACE: Duration = Duration::from_secs(10);
/// The protocol's own limit on a message.
const MAX_MESSAGE: usize = 1 << 30;

/// A message of the server: its letter, and where its body lies until the next one is asked for.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) tag: u8,
    pub(super) body: Range<usize>,
}

/// What a cancel request needs.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) address: Address,
    pub(super) guard: Guard,
    pub(super) timeout: Duration,
    pub(super) pid: u32,
    pub(super) secret: Vec<u8>,
}

impl Key {
    /// Asks the server to end what runs, on a connection of its own; comes back when the server has taken note, so that
    /// the request cannot meet a later statement.
    pub(super) fn cancel(&self) -> io::Result<()> {
        let mut socket = open(&self.address, &self.guard, self.timeout)?;
        let mut request = Vec::with_capacity(16);
        let length = 12 + u32::try_from(self.secret.len()).unwrap_or(0);
        for number in [length, 80_877_102, self.pid] {
            request.extend_from_slice(&number.to_be_bytes());
        }
        request.extend_from_slice(&self.secret);
        socket.write_all(&request)?;
        socket.flush()?;
        // the server closes the connection when it has signalled
        let mut rest = [0; 16];
        while socket.read(&mut rest)? > 0 {}
        Ok(())
    }
}

/// Connects, with TLS as the URL wants it.
pub(super) fn open(address: &Address, guard: &Guard, timeout: Duration) -> io::Result<Socket> {
    let mut socket = Socket::open(address, timeout)?;
    let Address::Tcp(host, _) = address else {
        return Ok(socket);
    };
    if guard.tls == Tls::None {
        return Ok(socket);
    }
    let mut request = [0; 8];
    request[..4].copy_from_slice(&8_u32.to_be_bytes());
    request[4..].copy_from_slice(&80_877_103_u32.to_be_bytes());
    socket.write_all(&request)?;
    let mut answer = [0];
    socket.read_exact(&mut answer)?;
    match answer[0] {
        b'S' => socket.protect(guard, host).map(|()| socket),
        _ if guard.tls == Tls::Prefer => Ok(socket),
        _ => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the server offers no TLS",
        )),
    }
}

#[derive(Debug)]
pub(super) struct Wire {
    socket: Socket,
    inbox: Inbox,
    outbox: Vec<u8>,
    pub(super) watch: Arc<Watch>,
    pub(super) key: Arc<Key>,
    /// As the server says: `I` idle, `T` in a transaction, `E` in a failed one.
    pub(super) status: u8,
    /// Whether the server may send text that is not UTF-8.
    pub(super) any_bytes: bool,
    /// How many times the server is still to say that it is ready.
    owed: u32,
    broken: bool,
}

impl Wire {
    pub(super) fn new(socket: Socket, key: Key, watch: Arc<Watch>) -> Self {
        Wire {
            socket,
            inbox: Inbox::default(),
            outbox: Vec::new(),
            watch,
            key: Arc::new(key),
            status: b'I',
            any_bytes: false,
            owed: 0,
            broken: false,
        }
    }

    /// Appends one message; its length is filled in.
    pub(super) fn put(&mut self, tag: u8, body: impl FnOnce(&mut Vec<u8>)) {
        if tag != 0 {
            self.outbox.push(tag);
        }
        let start = self.outbox.len();
        self.outbox.extend_from_slice(&[0; 4]);
        body(&mut self.outbox);
        let length = u32::try_from(self.outbox.len() - start).unwrap_or(u32::MAX);
        self.outbox[start..start + 4].copy_from_slice(&length.to_be_bytes());
        if tag == b'S' || tag == b'Q' {
            self.owed += 1;
        }
    }

    /// A simple query: one or more statements without parameters.
    pub(super) fn put_query(&mut self, sql: &str) {
        self.put(b'Q', |out| put_text(out, sql));
    }

    /// A statement with its parameters as text, its results as text: Parse, Bind.
    pub(super) fn put_statement(&mut self, sql: &str, params: &[Cell<'_>]) {
        self.put(b'P', |out| {
            out.push(0);
            put_text(out, sql);
            out.extend_from_slice(&[0; 2]);
        });
        self.put(b'B', |out| {
            // portal, statement, no formats: all text
            out.extend_from_slice(&[0; 4]);
            out.extend_from_slice(
                &u16::try_from(params.len())
                    .unwrap_or(u16::MAX)
                    .to_be_bytes(),
            );
            for param in params {
                match param {
                    None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
                    Some(text) => {
                        out.extend_from_slice(
                            &u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes(),
                        );
                        out.extend_from_slice(text);
                    }
                }
            }
            out.extend_from_slice(&[0; 2]);
        });
    }

    /// Asks for `rows` rows of the portal; 0 for all.
    pub(super) fn put_execute(&mut self, rows: u32) {
        self.put(b'E', |out| {
            out.push(0);
            out.extend_from_slice(&rows.to_be_bytes());
        });
    }

    pub(super) fn put_sync(&mut self) {
        self.put(b'S', |_| {});
    }

    /// Sends what was put.
    pub(super) fn flush(&mut self) -> Result<(), Trouble> {
        let outbox = std::mem::take(&mut self.outbox);
        let sent = self.send(&outbox);
        self.outbox = outbox;
        self.outbox.clear();
        if self.outbox.capacity() > 1 << 20 {
            self.outbox = Vec::new();
        }
        sent
    }

    /// Sends bytes as they are, after what was put.
    pub(super) fn send_copy(&mut self, data: &[u8]) -> Result<(), Trouble> {
        self.flush()?;
        for piece in data.chunks(1 << 20) {
            let mut head = [b'd', 0, 0, 0, 0];
            let length = u32::try_from(piece.len() + 4).expect("a piece is a mebibyte at most");
            head[1..].copy_from_slice(&length.to_be_bytes());
            self.send(&head)?;
            self.send(piece)?;
        }
        Ok(())
    }

    fn send(&mut self, mut bytes: &[u8]) -> Result<(), Trouble> {
        if self.broken {
            return Err(lost());
        }
        while !bytes.is_empty() {
            match self.socket.write(bytes) {
                Ok(0) => return Err(self.break_off(io::ErrorKind::WriteZero.into())),
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.out_of_time(error)?,
            }
        }
        loop {
            match self.socket.flush() {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.out_of_time(error)?,
            }
        }
    }

    /// The server's next message, those aside that come at any time. A refusal is an error; then
    /// [`Wire::settle`] makes the connection ready again.
    pub(super) fn next(&mut self) -> Result<Message, Trouble> {
        loop {
            let message = self.read()?;
            let body = &self.inbox[message.body.clone()];
            match message.tag {
                b'E' => return Err(Trouble::Refused(Box::new(Complaint::read(body)))),
                b'N' => log::debug!("postgres: {}", Complaint::read(body)),
                b'S' => {
                    if let Some(encoding) = body.strip_prefix(b"server_encoding\0") {
                        self.any_bytes = encoding == b"SQL_ASCII\0";
                    }
                }
                b'A' => {}
                b'Z' => {
                    self.status = body.first().copied().unwrap_or(b'I');
                    self.owed = self.owed.saturating_sub(1);
                    return Ok(message);
                }
                _ => return Ok(message),
            }
        }
    }

    pub(super) fn body(&self, range: Range<usize>) -> &[u8] {
        &self.inbox[range]
    }

    /// Takes messages until the server is ready for the next statement; `each` sees them. The first refusal is returned
    /// when all is quiet again.
    pub(super) fn settle(&mut self, mut each: impl FnMut(u8, &[u8])) -> Result<(), Trouble> {
        let mut first = None;
        while self.owed > 0 {
            match self.next() {
                Ok(message) => each(message.tag, &self.inbox[message.body]),
                Err(Trouble::Refused(complaint)) => {
                    first.get_or_insert(complaint);
                }
                Err(broken) => return Err(broken),
            }
        }
        first.map_or(Ok(()), |complaint| Err(Trouble::Refused(complaint)))
    }

    /// Sends what was put and takes all answers.
    pub(super) fn run(&mut self, each: impl FnMut(u8, &[u8])) -> Result<(), Trouble> {
        self.start()?;
        self.flush()?;
        let ended = self.settle(each);
        self.watch.rest();
        ended
    }

    /// Sends what was put to tidy up after a refused statement, and keeps what that died of.
    pub(super) fn settle_after_refusal(&mut self) -> Result<(), Trouble> {
        self.flush()?;
        self.settle(|_, _| {})
    }

    /// A statement starts now.
    pub(super) fn start(&mut self) -> Result<(), Trouble> {
        if self.broken {
            return Err(lost());
        }
        self.watch.start();
        let patience = self.watch.patience();
        self.socket
            .limit(patience)
            .map_err(|error| self.break_off(error))
    }

    /// Whether the server still owes answers.
    pub(super) fn owes(&self) -> bool {
        self.owed > 0 && !self.broken
    }

    fn read(&mut self) -> Result<Message, Trouble> {
        self.fill(5)?;
        let head = self.inbox.waiting();
        let tag = head[0];
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if !(4..=MAX_MESSAGE).contains(&length) {
            let error = io::Error::new(
                io::ErrorKind::InvalidData,
                "a message that is not PostgreSQL's",
            );
            return Err(self.break_off(error));
        }
        self.fill(length + 1)?;
        let whole = self.inbox.take(length + 1);
        Ok(Message {
            tag,
            body: whole.start + 5..whole.end,
        })
    }

    fn fill(&mut self, count: usize) -> Result<(), Trouble> {
        if self.broken {
            return Err(lost());
        }
        loop {
            match self.inbox.need(&mut self.socket, count) {
                Ok(()) => return Ok(()),
                Err(error) => self.out_of_time(error)?,
            }
        }
    }

    /// The first time that the patience ends, the server is asked to stop; the second time the connection is over.
    fn out_of_time(&mut self, error: io::Error) -> Result<(), Trouble> {
        if !is_timeout(&error) || self.watch.asked() || !self.watch.runs() {
            return Err(self.break_off(error));
        }
        self.watch.time_out();
        if let Err(error) = self.key.cancel() {
            log::warn!("could not cancel a statement that takes too long: {error}");
        }
        self.socket
            .limit(Some(GRACE))
            .map_err(|error| self.break_off(error))
    }

    fn break_off(&mut self, error: io::Error) -> Trouble {
        self.broken = true;
        Trouble::Broken(error)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if !self.broken && self.owed == 0 {
            self.put(b'X', |_| {});
            if let Err(trouble) = self.flush() {
                log::debug!("saying good-bye: {trouble:?}");
            }
        }
    }
}

/// Text with its end mark. A NUL would end it early: what follows is left out, and the server finds the statement wrong.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    let text = text.split('\0').next().unwrap_or_default();
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

fn lost() -> Trouble {
    Trouble::Broken(io::Error::new(
        io::ErrorKind::NotConnected,
        "the connection was lost before",
    ))
}
