//! Senders: by lines with acknowledgements, and by frames with numbers of their own, which come back after every cut.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::lab::PATIENCE;

pub(super) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connecting");
    stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    stream
}

/// Sends lines, ends its side, and gives the last line that comes back.
pub(super) fn send_lines(address: SocketAddr, text: &[u8]) -> String {
    let mut stream = connect(address);
    stream.write_all(text).expect("sending lines");
    stream.shutdown(Shutdown::Write).expect("ending");
    last_line(stream)
}

/// The last line until the other side ends.
pub(super) fn last_line(stream: TcpStream) -> String {
    let mut last = String::new();
    for line in BufReader::new(stream).lines() {
        last = line.expect("an answer");
    }
    last
}

pub(super) fn frame(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let length = u32::try_from(body.len() + 1).expect("a short frame");
    [&length.to_be_bytes()[..], &[kind], &body].concat()
}

pub(super) fn hello(session: &str) -> Vec<u8> {
    let length = u8::try_from(session.len()).expect("a short name");
    frame(b'H', &[&[1, length], session.as_bytes()])
}

pub(super) fn record(number: u64, body: &[u8]) -> Vec<u8> {
    frame(b'R', &[&number.to_be_bytes(), body])
}

/// What the server said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    Challenge(Vec<u8>),
    Welcome(u64),
    Ack(u64),
    Error(String),
}

/// Reads one frame of the server's.
pub(super) fn hear(stream: &mut TcpStream) -> io::Result<Word> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).expect("a length");
    assert!((1..1000).contains(&length), "a frame of {length} bytes");
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame)?;
    let number = |bytes: &[u8]| u64::from_be_bytes(bytes[..8].try_into().expect("eight bytes"));
    Ok(match frame[0] {
        b'C' => Word::Challenge(frame[1..].to_vec()),
        b'W' => Word::Welcome(number(&frame[1..])),
        b'A' => Word::Ack(number(&frame[1..])),
        b'E' => Word::Error(String::from_utf8_lossy(&frame[1..]).into_owned()),
        other => panic!("a frame of kind {other}"),
    })
}

/// A sender by frames.
pub(super) struct Sender {
    pub(super) session: String,
    /// The last number that was sent, and that was acknowledged.
    pub(super) sent: u64,
    pub(super) acked: u64,
    stream: Option<TcpStream>,
}

impl Sender {
    pub(super) fn new(session: &str) -> Sender {
        Sender {
            session: session.to_owned(),
            sent: 0,
            acked: 0,
            stream: None,
        }
    }

    /// Connects and says hello; goes on behind the last number that is durable.
    pub(super) fn join(&mut self, address: SocketAddr) -> io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        assert_eq!(hear(&mut stream)?, Word::Challenge(vec![]));
        stream.write_all(&hello(&self.session))?;
        let Word::Welcome(last) = hear(&mut stream)? else {
            panic!("no welcome");
        };
        assert!(
            last >= self.acked,
            "{}: {last} < {}",
            self.session,
            self.acked
        );
        (self.sent, self.acked) = (last, last);
        self.stream = Some(stream);
        Ok(())
    }

    /// The body of its n-th record: whose it is, and its number.
    pub(super) fn body(&self, number: u64) -> String {
        format!("{} {number}", self.session)
    }

    /// Sends so many records at once.
    pub(super) fn send(&mut self, count: u64) -> io::Result<()> {
        let mut bytes = Vec::new();
        for number in self.sent + 1..=self.sent + count {
            bytes.extend(record(number, self.body(number).as_bytes()));
        }
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        stream.write_all(&bytes)?;
        self.sent += count;
        Ok(())
    }

    /// Waits until everything is acknowledged.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        while self.acked < self.sent {
            let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            match hear(stream)? {
                Word::Ack(number) => {
                    assert!(number <= self.sent && number > self.acked);
                    self.acked = number;
                }
                other => return Err(io::Error::other(format!("{other:?}"))),
            }
        }
        Ok(())
    }

    /// Sends and settles until so many are acknowledged, over all cuts; gives up when `ended` says so.
    pub(super) fn insist(&mut self, address: SocketAddr, upto: u64, ended: &dyn Fn() -> bool) {
        while self.acked < upto && !ended() {
            let round = |sender: &mut Sender| {
                if sender.stream.is_none() {
                    sender.join(address)?;
                }
                sender.send(20.min(upto.saturating_sub(sender.sent)))?;
                sender.settle()
            };
            if round(self).is_err() {
                self.stream = None;
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    pub(super) fn leave(&mut self) {
        self.stream = None;
    }
}
