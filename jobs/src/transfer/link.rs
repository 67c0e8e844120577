//! Frames on a wire: one thread takes them in, any thread may send, each frame whole. Signs of life are sent and
//! swallowed here; nobody above sees them.

use std::{
    os::fd::BorrowedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    time::Instant,
};

use super::{
    fields::{Fields, Malformed},
    frame::{DATA_HEAD, HEADER, Header, Stage, TAG, Type},
    host::Host,
    message::{Code, Message, Refusal},
    proof::Seal,
    wire::{Inbound, KEEP, Wire},
};
use crate::error::Error;

/// Bytes taken from the socket at once, where they are not a long payload.
const BUFFER: usize = 64 << 10;
/// Wishes of so many bytes go past the buffer: what is copied once more costs as much as what it saves.
const LONG: usize = 16 << 10;

/// What came in.
#[derive(Debug)]
pub(crate) enum Frame<'a> {
    Message(Message),
    /// A pack of small files: the payload.
    Pack(&'a [u8]),
    /// A piece of a large file; its bytes are fetched by [`Incoming::body`].
    Data {
        id: u32,
        offset: u64,
        length: usize,
    },
}

/// The incoming half.
pub(crate) struct Incoming {
    wire: Arc<Wire>,
    inbound: Inbound,
    seal: Option<Seal>,
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    payload: Vec<u8>,
    /// Bytes of a data frame that were not fetched yet.
    body: usize,
    /// Whether the last frame was one of data: then the next one most likely is, too.
    streaming: bool,
}

/// The outgoing half, shared by all who send.
#[derive(Clone)]
pub(crate) struct Outgoing {
    wire: Arc<Wire>,
    state: Arc<Mutex<State>>,
}

struct State {
    seal: Option<Seal>,
    scratch: Vec<u8>,
    last: Instant,
}

/// Both halves of a link whose sides have not greeted each other yet.
pub(crate) fn open(wire: Wire) -> (Incoming, Outgoing) {
    let wire = Arc::new(wire);
    let incoming = Incoming {
        wire: Arc::clone(&wire),
        inbound: Inbound::default(),
        seal: None,
        buffer: vec![0; 4096],
        from: 0,
        to: 0,
        payload: Vec::new(),
        body: 0,
        streaming: false,
    };
    let state = State {
        seal: None,
        scratch: Vec::new(),
        last: Instant::now(),
    };
    (
        incoming,
        Outgoing {
            wire,
            state: Arc::new(Mutex::new(state)),
        },
    )
}

impl Incoming {
    /// From now on every frame carries a tag, and may be as long as frames are after the login.
    pub(crate) fn seal(&mut self, seal: Seal) {
        self.seal = Some(seal);
        self.buffer.resize(BUFFER, 0);
    }

    /// The next frame that says something. What is left of a data frame's body is passed over.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when the connection is gone, [`Error::Data`] when the other side breaks the protocol,
    /// what the other side says when it gives up.
    pub(crate) fn next(&mut self, host: &dyn Host) -> Result<Frame<'_>, Error> {
        let header = loop {
            self.skip_body(host)?;
            let header = self.header(host)?;
            match header.kind {
                Type::KeepAlive | Type::Unknown => {}
                _ => break header,
            }
        };
        self.streaming = header.kind == Type::Data;
        match header.kind {
            Type::Pack => Ok(Frame::Pack(&self.payload)),
            Type::Data => {
                let mut head = [0; DATA_HEAD];
                self.exactly(&mut head, host)?;
                self.body = header.length - DATA_HEAD;
                let mut fields = Fields::new(&head);
                let (id, offset) = (fields.u32(), fields.u64());
                let broken = |error| self.broken(error);
                Ok(Frame::Data {
                    id: id.map_err(broken)?,
                    offset: offset.map_err(broken)?,
                    length: self.body,
                })
            }
            kind => {
                match Message::decode(kind, &self.payload).map_err(|error| self.broken(error))? {
                    Message::Error(refusal) => Err(given_up(self.wire.peer(), &refusal)),
                    message => Ok(Frame::Message(message)),
                }
            }
        }
    }

    /// The next message, where nothing else has a place.
    pub(crate) fn message(&mut self, host: &dyn Host) -> Result<Message, Error> {
        match self.next(host)? {
            Frame::Message(message) => Ok(message),
            Frame::Pack(_) | Frame::Data { .. } => {
                Err(self.broken(Malformed("file bytes that nobody asked for")))
            }
        }
    }

    /// The payload of the message that came last, as it went over the wire.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Fetches some bytes of the data frame that came last; 0 when there are no more.
    pub(crate) fn body(&mut self, into: &mut [u8], host: &dyn Host) -> Result<usize, Error> {
        let most = into.len().min(self.body);
        if most == 0 {
            return Ok(0);
        }
        let length = self.some(&mut into[..most], host)?;
        self.body -= length;
        Ok(length)
    }

    /// The complaint that the other side broke the protocol.
    pub(crate) fn broken(&self, why: Malformed) -> Error {
        broken(&self.wire, why)
    }

    /// Whether the next frame has not begun to come yet.
    pub(crate) fn would_wait(&self) -> bool {
        self.from == self.to && self.body == 0 && !self.inbound.holds() && !self.wire.has_bytes()
    }

    fn skip_body(&mut self, host: &dyn Host) -> Result<(), Error> {
        let mut away = [0; 4096];
        while self.body(&mut away, host)? > 0 {}
        Ok(())
    }

    /// A header, and unless it is one of data, its payload with its tag held against it.
    fn header(&mut self, host: &dyn Host) -> Result<Header, Error> {
        let mut bytes = [0; HEADER];
        self.exactly(&mut bytes, host)?;
        let stage = if self.seal.is_some() {
            Stage::Open
        } else {
            Stage::Greeting
        };
        let header = Header::decode(bytes, stage).map_err(|error| self.broken(error))?;
        if header.kind == Type::Data {
            return Ok(header);
        }
        let mut payload = std::mem::take(&mut self.payload);
        payload.resize(header.length, 0);
        let read = self.exactly(&mut payload, host);
        self.payload = payload;
        read?;
        if self.seal.is_some() {
            let mut tag = [0; TAG];
            self.exactly(&mut tag, host)?;
            let holds = self
                .seal
                .as_mut()
                .is_some_and(|seal| seal.holds(&bytes, &self.payload, tag));
            if !holds {
                return Err(self.broken(Malformed(
                    "a frame that was not sealed by the account's key",
                )));
            }
        }
        Ok(header)
    }

    fn exactly(&mut self, mut into: &mut [u8], host: &dyn Host) -> Result<(), Error> {
        while !into.is_empty() {
            let length = self.some(into, host)?;
            into = &mut into[length..];
        }
        Ok(())
    }

    /// Some bytes, at least one: buffered ones first; large wishes go past the buffer.
    fn some(&mut self, into: &mut [u8], host: &dyn Host) -> Result<usize, Error> {
        if self.from == self.to {
            if into.len() >= LONG {
                return self.wire.read(into, &mut self.inbound, host);
            }
            // what follows the head of a data frame goes where it belongs, without a copy in between
            let most = if self.streaming {
                HEADER + DATA_HEAD
            } else {
                self.buffer.len()
            };
            self.from = 0;
            self.to = self
                .wire
                .read(&mut self.buffer[..most], &mut self.inbound, host)?;
        }
        let length = into.len().min(self.to - self.from);
        into[..length].copy_from_slice(&self.buffer[self.from..self.from + length]);
        self.from += length;
        Ok(length)
    }
}

impl Outgoing {
    /// From now on every frame is sealed.
    pub(crate) fn seal(&self, seal: Seal) {
        self.lock().seal = Some(seal);
    }

    /// The wire below.
    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Sends a message.
    pub(crate) fn send(&self, message: &Message, host: &dyn Host) -> Result<(), Error> {
        let mut payload = Vec::new();
        let kind = message.encode(&mut payload);
        self.send_raw(kind, &payload, host)
    }

    /// Sends a payload that is ready.
    pub(crate) fn send_raw(
        &self,
        kind: Type,
        payload: &[u8],
        host: &dyn Host,
    ) -> Result<(), Error> {
        self.write(&mut self.lock(), kind, payload, host)
    }

    fn write(
        &self,
        state: &mut State,
        kind: Type,
        payload: &[u8],
        host: &dyn Host,
    ) -> Result<(), Error> {
        let header = Header {
            kind,
            length: payload.len(),
        }
        .encode();
        state.scratch.clear();
        state.scratch.extend_from_slice(&header);
        state.scratch.extend_from_slice(payload);
        if let Some(seal) = &mut state.seal {
            state
                .scratch
                .extend_from_slice(&seal.next(&header, payload));
        }
        state.last = Instant::now();
        self.wire.write(&state.scratch, host)
    }

    /// Sends a piece of a large file from memory.
    pub(crate) fn send_data(
        &self,
        id: u32,
        offset: u64,
        bytes: &[u8],
        host: &dyn Host,
    ) -> Result<(), Error> {
        let mut state = self.lock();
        state.last = Instant::now();
        self.wire.write(&data_head(id, offset, bytes.len()), host)?;
        self.wire.write(bytes, host)
    }

    /// Sends a piece of a large file without taking it into memory; `false` when the file has become shorter meanwhile:
    /// the frame is then filled with zeros, and the file is to be abandoned. Plain wires only.
    pub(crate) fn send_file(
        &self,
        id: u32,
        offset: u64,
        file: BorrowedFd<'_>,
        length: usize,
        host: &dyn Host,
    ) -> Result<bool, Error> {
        let mut state = self.lock();
        state.last = Instant::now();
        self.wire.write(&data_head(id, offset, length), host)?;
        let sent = self.wire.send_file(file, offset, length, host)?;
        if sent < length {
            self.wire.write(&vec![0; length - sent], host)?;
        }
        Ok(sent == length)
    }

    /// Sends a sign of life if nothing else went out for a while and it can go out at once.
    pub(crate) fn keep_alive(&self, host: &dyn Host) -> Result<(), Error> {
        // whoever holds the lock is sending
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(state)) => state.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        if state.seal.is_none() || state.last.elapsed() < KEEP || !self.wire.takes_bytes() {
            return Ok(());
        }
        self.write(&mut state, Type::KeepAlive, &[], host)
    }

    /// Says why this side gives up, as far as that still gets through.
    pub(crate) fn give_up(&self, refusal: Refusal, host: &dyn Host) {
        let _lost = self.send(&Message::Error(refusal), host);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn data_head(id: u32, offset: u64, length: usize) -> [u8; HEADER + DATA_HEAD] {
    let mut head = [0; HEADER + DATA_HEAD];
    let header = Header {
        kind: Type::Data,
        length: DATA_HEAD + length,
    };
    head[..HEADER].copy_from_slice(&header.encode());
    head[HEADER..HEADER + 4].copy_from_slice(&id.to_le_bytes());
    head[HEADER + 4..].copy_from_slice(&offset.to_le_bytes());
    head
}

/// The complaint that the peer broke the protocol.
pub(crate) fn broken(wire: &Wire, why: Malformed) -> Error {
    Error::Data(format!(
        "{} broke the transfer protocol: {why}",
        wire.peer()
    ))
}

/// What it means that the peer gave up.
pub(crate) fn given_up(peer: &str, refusal: &Refusal) -> Error {
    let text = format!("{peer}: {}", refusal.reason);
    match refusal.code {
        Code::Login | Code::Forbidden => Error::Permission(text),
        Code::Busy | Code::Stopping | Code::Full => Error::TryAgain(text),
        Code::Failed => Error::Unreachable {
            what: text,
            source: None,
        },
        Code::Name | Code::Mismatch | Code::Missing | Code::Protocol | Code::Version => {
            Error::Data(text)
        }
    }
}
