//! Packets: writes ours, takes the server's one by one, keeps the time limit. Knows no SQL beyond the statement that
//! stops another one. Format: <https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html>.

use super::fault::{Complaint, Trouble, foreign};
use super::lengths::read_number;
use crate::net::{Inbox, Socket, Watch, is_timeout};
use std::io::{self, Write};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a server may take to end a statement that it was told to end.
const GRACE: Duration = Duration::from_secs(10);
/// What one packet holds at most; more goes on in the next one.
const MAX_PACKET: usize = 0xff_ffff;
/// The server's own limit on what it sends as one.
const MAX_WHOLE: usize = 1 << 30;

const IN_TRANSACTION: u16 = 1;
const MORE_RESULTS: u16 = 8;

/// A packet's place: in the input buffer, or put together from several. Good until the next packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packet {
    joined: bool,
    range: Range<usize>,
}

/// What the server says at the end of a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) changed: u64,
    pub(super) warnings: u16,
    pub(super) more: bool,
}

/// How a statement on a connection is stopped, from any thread: on a connection of its own.
pub(super) struct Stopper {
    pub(super) stop: Box<dyn Fn() -> io::Result<()> + Send + Sync>,
    /// How many stops were sent since the last statement began. A stop that comes late would hit the next statement.
    sent: Mutex<u32>,
}

impl Stopper {
    pub(super) fn new(stop: impl Fn() -> io::Result<()> + Send + Sync + 'static) -> Self {
        Stopper {
            stop: Box::new(stop),
            sent: Mutex::new(0),
        }
    }

    fn sent(&self) -> MutexGuard<'_, u32> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops what runs, if something does.
    pub(super) fn stop(&self, watch: &Watch, why: impl Fn(&Watch)) {
        let mut sent = self.sent();
        if !watch.runs() {
            return;
        }
        why(watch);
        match (self.stop)() {
            Ok(()) => *sent += 1,
            Err(error) => log::warn!("could not stop a statement: {error}"),
        }
    }
}

impl std::fmt::Debug for Stopper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stopper")
    }
}

#[derive(Debug)]
pub(super) struct Wire {
    pub(super) socket: Socket,
    inbox: Inbox,
    joined: Vec<u8>,
    /// The number of the next packet, ours or the server's.
    sequence: u8,
    pub(super) watch: Arc<Watch>,
    pub(super) stopper: Arc<Stopper>,
    status: u16,
    broken: bool,
}

impl Wire {
    pub(super) fn new(socket: Socket, watch: Arc<Watch>) -> Self {
        Wire {
            socket,
            inbox: Inbox::default(),
            joined: Vec::new(),
            sequence: 0,
            watch,
            stopper: Arc::new(Stopper::new(|| Ok(()))),
            status: 0,
            broken: false,
        }
    }

    pub(super) fn in_transaction(&self) -> bool {
        self.status & IN_TRANSACTION != 0
    }

    /// Sends a command, a new conversation.
    pub(super) fn command(&mut self, command: u8, body: &[&[u8]]) -> Result<(), Trouble> {
        self.sequence = 0;
        let mut whole = Vec::with_capacity(1 + body.iter().map(|part| part.len()).sum::<usize>());
        whole.push(command);
        for part in body {
            whole.extend_from_slice(part);
        }
        self.send(&whole)
    }

    /// A statement starts now: a stop that came too late for the last one is absorbed first.
    pub(super) fn start(&mut self) -> Result<(), Trouble> {
        if self.broken {
            return Err(lost());
        }
        let late = {
            let mut sent = self.stopper.sent();
            let late = std::mem::take(&mut *sent) > 0;
            self.watch.start();
            if late {
                self.watch.rest();
            }
            late
        };
        self.socket
            .limit(self.watch.patience())
            .map_err(|error| self.break_off(error))?;
        if late {
            self.command(3, &[b"DO 0"])?;
            match self.done() {
                Ok(_) | Err(Trouble::Refused(_)) => {}
                Err(broken) => return Err(broken),
            }
            self.watch.start();
        }
        Ok(())
    }

    /// Sends one packet, or several where it is too long for one; an empty one where it ends at the limit.
    pub(super) fn send(&mut self, body: &[u8]) -> Result<(), Trouble> {
        let mut rest = body;
        loop {
            let (piece, after) = rest.split_at(rest.len().min(MAX_PACKET));
            let length = u32::try_from(piece.len())
                .expect("a packet is 16 MiB at most")
                .to_le_bytes();
            let head = [length[0], length[1], length[2], self.sequence];
            self.sequence = self.sequence.wrapping_add(1);
            if piece.len() < 1000 {
                // one write, one segment
                self.write(&[&head, piece].concat())?;
            } else {
                self.write(&head)?;
                self.write(piece)?;
            }
            if piece.len() < MAX_PACKET {
                return Ok(());
            }
            rest = after;
        }
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), Trouble> {
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
        self.socket.flush().or_else(|error| self.out_of_time(error))
    }

    /// The server's next packet, of any kind.
    pub(super) fn packet(&mut self) -> Result<Packet, Trouble> {
        let range = self.piece()?;
        if range.len() < MAX_PACKET {
            return Ok(Packet {
                joined: false,
                range,
            });
        }
        self.joined.clear();
        let mut range = range;
        loop {
            let full = range.len() == MAX_PACKET;
            self.joined.extend_from_slice(&self.inbox[range]);
            if self.joined.len() > MAX_WHOLE {
                return Err(self.break_off(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a packet beyond all limits",
                )));
            }
            if !full {
                return Ok(Packet {
                    joined: true,
                    range: 0..self.joined.len(),
                });
            }
            range = self.piece()?;
        }
    }

    fn piece(&mut self) -> Result<Range<usize>, Trouble> {
        self.fill(4)?;
        let head = self.inbox.waiting();
        let length = usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16;
        self.sequence = head[3].wrapping_add(1);
        self.fill(length + 4)?;
        let whole = self.inbox.take(length + 4);
        Ok(whole.start + 4..whole.end)
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

    pub(super) fn body(&self, packet: &Packet) -> &[u8] {
        if packet.joined {
            &self.joined[packet.range.clone()]
        } else {
            &self.inbox[packet.range.clone()]
        }
    }

    /// The next packet; an ERR packet is an error.
    pub(super) fn answer(&mut self) -> Result<Packet, Trouble> {
        let packet = self.packet()?;
        match self.body(&packet).split_first() {
            Some((0xff, rest)) => {
                let complaint = Complaint::read(rest);
                // a deadlock has undone the whole transaction
                if complaint.code == 1213 {
                    self.status &= !IN_TRANSACTION;
                }
                Err(Trouble::Refused(complaint))
            }
            Some(_) => Ok(packet),
            None => Err(foreign("an empty answer")),
        }
    }

    /// The OK packet that ends a statement without a result.
    pub(super) fn done(&mut self) -> Result<Done, Trouble> {
        let packet = self.answer()?;
        self.read_done(&packet)
            .ok_or_else(|| foreign("an answer that is no end"))
    }

    /// Reads an OK packet.
    pub(super) fn read_done(&mut self, packet: &Packet) -> Option<Done> {
        let mut body = self.body(packet).strip_prefix(&[0])?;
        let changed = read_number(&mut body)?;
        read_number(&mut body)?;
        let (status, rest) = body.split_first_chunk::<2>()?;
        let status = u16::from_le_bytes(*status);
        let warnings = rest
            .first_chunk::<2>()
            .map_or(0, |warnings| u16::from_le_bytes(*warnings));
        self.status = status;
        Some(Done {
            changed,
            warnings,
            more: status & MORE_RESULTS != 0,
        })
    }

    /// Whether the packet ends a list of columns or rows; takes note of what it says.
    pub(super) fn ends(&mut self, packet: &Packet) -> Option<bool> {
        match *self.body(packet) {
            [0xfe, _, _, low, high] => {
                self.status = u16::from_le_bytes([low, high]);
                Some(self.status & MORE_RESULTS != 0)
            }
            _ => None,
        }
    }

    /// The first time that the patience ends, the server is asked to stop; the second time the connection is over.
    fn out_of_time(&mut self, error: io::Error) -> Result<(), Trouble> {
        if !is_timeout(&error) || self.watch.asked() || !self.watch.runs() {
            return Err(self.break_off(error));
        }
        self.stopper.stop(&self.watch, Watch::time_out);
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
        if !self.broken
            && let Err(trouble) = self.command(1, &[])
        {
            log::debug!("saying good-bye: {trouble:?}");
        }
    }
}

fn lost() -> Trouble {
    Trouble::Broken(io::Error::new(
        io::ErrorKind::NotConnected,
        "the connection was lost before",
    ))
}
