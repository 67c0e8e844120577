//! Files received in fewer round trips: the command for the data connection and RETR go in one write, and the next file is asked for as
//! soon as the data of this one have come, before the server's last word on it. What is done here with this one meanwhile costs no time.
//!
//! suppaftp waits for the reply to each command, so it is gone round: this file writes to the control connection and reads from it
//! itself. It begins where all replies have been read and ends there, so that both ways can take turns.
//!
//! Only where it is known to go well: without TLS, on a connection that has opened a data connection step by step before. The next file is
//! asked for when the server has closed the data connection of this one, never in the midst of data, where some servers refuse
//! commands. One that gives another answer than wanted is asked step by step from then on ([`Link::stepwise`]).

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use suppaftp::types::Response;
use suppaftp::{Encoding as _, FtpError, Status};

use super::data::{Sink, tick};
use super::dial::dial;
use super::fault::{Fault, Result, said};
use super::link::Link;
use super::session::{Session, stopped_or};
use crate::context::Context;

/// Bytes that a reply may have.
const LONGEST_REPLY: usize = 64 << 10;

/// What is on its way on a control connection that is used from here.
#[derive(Default)]
pub(super) struct Ahead {
    /// The file that was asked for and is not begun.
    asked: Option<String>,
    /// The server's last word on a file is not heard yet.
    unheard: bool,
    /// The replies that were read and not looked at.
    unread: Vec<u8>,
}

impl Ahead {
    /// Whether every reply was read: only then may other commands be sent.
    pub(super) fn is_quiet(&self) -> bool {
        self.asked.is_none() && !self.unheard && self.unread.is_empty()
    }
}

impl Session {
    /// Whether a file may be received from here.
    pub(super) fn is_swift(&self, link: &Link, path: &str) -> bool {
        self.opener
            .is_some_and(|opener| commands(opener, link, path).is_some())
            && self.opened
            && link.guard.is_none()
            && !link.stepwise.load(Relaxed)
    }

    /// Whether a file was asked for from here: then it is to be received from here, too.
    pub(super) fn has_asked(&self, path: &str) -> bool {
        self.ahead.asked.as_deref() == Some(path)
    }

    /// Receives the data of a whole file, asked for now if it was not before. The server's word that all of it came through is still to
    /// be heard, by [`Session::confirm`].
    pub(super) fn receive_swiftly(
        &mut self,
        cx: &Context,
        link: &Link,
        path: &str,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let action = format!("get {path}");
        let mut data = self.open_swiftly(cx, link, &action, path)?;
        let mut piece = std::mem::take(&mut self.piece);
        let came = self.take_in(cx, link, &action, &mut data, &mut piece, sink);
        self.piece = piece;
        self.broken |= came.is_err();
        came
    }

    /// The end of a file: the server's word that all of it came through.
    pub(super) fn confirm(&mut self, cx: &Context, link: &Link, path: &str) -> Result<()> {
        let action = format!("get {path}");
        let heard = self.hear(cx, link, &action)?;
        self.ahead.unheard = false;
        if matches!(heard.status.code(), 226 | 250) {
            return Ok(());
        }
        // replies to what was asked for meanwhile would be taken for others
        self.broken |= self.ahead.asked.is_some();
        let fault = Fault::of(&action, FtpError::UnexpectedResponse(heard));
        Err(self.blame(link, fault))
    }

    /// Asks for a file, data connection and all, where [`Session::is_swift`] allows it.
    pub(super) fn ask_for(&mut self, cx: &Context, link: &Link, path: &str) -> Result<()> {
        let commands = self.opener.and_then(|opener| commands(opener, link, path));
        let Some(commands) = commands else {
            return Ok(());
        };
        cx.checkpoint()?;
        let sent = (&*self.ftp.get_ref()).write_all(&commands);
        sent.map_err(|error| self.lost(cx, link, &format!("get {path}"), error))?;
        self.ahead.asked = Some(path.to_owned());
        Ok(())
    }

    /// The data connection of a file that was asked for, or is now.
    fn open_swiftly(
        &mut self,
        cx: &Context,
        link: &Link,
        action: &str,
        path: &str,
    ) -> Result<TcpStream> {
        if self.ahead.asked.is_none() {
            self.ask_for(cx, link, path)?;
        }
        if !self.has_asked(path) {
            let why = io::Error::other("another file was asked for on its connection");
            return Err(self.lost(cx, link, action, why));
        }
        let opened = self.hear(cx, link, action)?;
        self.ahead.asked = None;
        let (227 | 229, Some(port)) = (opened.status.code(), port_in(&opened.body)) else {
            // the reply to RETR is still to come, and nobody would know it
            return Err(self.lost(cx, link, action, io::Error::other(said(&opened.body))));
        };
        // what a server says of its address may be wrong, or somebody else's
        let peer = self.ftp.get_ref().peer_addr();
        let host = peer
            .map_err(|error| self.lost(cx, link, action, error))?
            .ip();
        let step = cx.step("connect", self.timeout + Duration::from_secs(5));
        let dialled = dial(SocketAddr::new(host, port), self.timeout, cx.stop());
        drop(step);
        let data = match dialled {
            Ok(data) => Ok(data),
            // nobody waits there once RETR was refused
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Err(error),
            Err(error) => return Err(self.lost(cx, link, action, error)),
        };
        let begun = self.hear(cx, link, action)?;
        if !matches!(begun.status.code(), 125 | 150) {
            let fault = Fault::of(action, FtpError::UnexpectedResponse(begun));
            return Err(self.blame(link, fault));
        }
        self.ahead.unheard = true;
        data.and_then(|data| tick(&data).map(|()| data))
            .map_err(|error| self.lost(cx, link, action, error))
    }

    /// The next reply, waited for as long as the server may be silent.
    fn hear(&mut self, cx: &Context, link: &Link, action: &str) -> Result<Response> {
        cx.checkpoint()?;
        let step = cx.step("wait for the server", self.timeout + Duration::from_secs(5));
        let mut piece = [0; 2048];
        let heard = loop {
            match reply_end(&self.ahead.unread) {
                Some(end) => break Ok(self.ahead.unread.drain(..end).collect::<Vec<u8>>()),
                None if self.ahead.unread.len() > LONGEST_REPLY => {
                    break Err(io::Error::new(
                        ErrorKind::InvalidData,
                        "the reply has no end",
                    ));
                }
                None => {}
            }
            let read = (&*self.ftp.get_ref()).read(&mut piece);
            match read {
                Ok(0) => break Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.ahead.unread.extend_from_slice(&piece[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        drop(step);
        self.heard = Instant::now();
        let coded = heard.and_then(|body| match code_of(&body) {
            Some(code) => Ok(Response::new(Status::from(code), body)),
            None => Err(io::Error::new(ErrorKind::InvalidData, "that is no reply")),
        });
        coded.map_err(|error| self.lost(cx, link, action, error))
    }

    /// The connection is of no use any more. That may be the server's way of saying that it wants to be asked step by step.
    fn lost(&mut self, cx: &Context, link: &Link, action: &str, error: io::Error) -> Fault {
        self.broken = true;
        link.stepwise.store(true, Relaxed);
        stopped_or(cx, Fault::broken(action, error))
    }

    /// What the server's refusal means. That a file is not there is its business; with anything else it may be our haste that it does not like,
    /// so the file is asked for again, step by step.
    fn blame(&mut self, link: &Link, fault: Fault) -> Fault {
        if fault.is_of_the_file() {
            return fault.on(self.broken);
        }
        link.stepwise.store(true, Relaxed);
        self.broken = true;
        fault.passing()
    }
}

/// The commands for a file, as bytes of the server's encoding; `None` when they would not be two lines.
fn commands(opener: &str, link: &Link, path: &str) -> Option<Vec<u8>> {
    let name = link.words.encode(path).ok()?;
    // 255 is a control byte of Telnet
    if name
        .iter()
        .any(|byte| matches!(byte, b'\r' | b'\n' | 0 | 255))
    {
        return None;
    }
    Some([opener.as_bytes(), b"\r\nRETR ", &name, b"\r\n"].concat())
}

/// Where the first reply ends (RFC 959, 4.2): with a line of three digits and a space. `None` when it is not there yet.
fn reply_end(bytes: &[u8]) -> Option<usize> {
    let mut end = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        end += line.len();
        if line.ends_with(b"\n") && code_of(line).is_some() && line.get(3) != Some(&b'-') {
            return Some(end);
        }
    }
    None
}

fn code_of(line: &[u8]) -> Option<u32> {
    let digits = line.get(..3)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The port in the reply to EPSV, `(|||port|)`, or to PASV, `(h1,h2,h3,h4,p1,p2)`.
fn port_in(reply: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(reply).ok()?;
    let (inner, _) = text.split_once('(')?.1.split_once(')')?;
    if let Some(port) = inner.strip_prefix("|||") {
        return port.strip_suffix('|')?.parse().ok();
    }
    let parts: Vec<u8> = inner
        .split(',')
        .map(|part| part.trim().parse().ok())
        .collect::<Option<_>>()?;
    let &[_, _, _, _, high, low] = parts.as_slice() else {
        return None;
    };
    Some(u16::from_be_bytes([high, low]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_end_where_they_end() {
        assert_eq!(reply_end(b"226 done\r\n229 next\r\n"), Some(10));
        assert_eq!(reply_end(b"226-one\r\n two\r\n226 done\r\n229 "), Some(25));
        for open in [&b""[..], b"226 do", b"226-one\r\n", b"\r\n", b"22"] {
            assert_eq!(reply_end(open), None, "{open:?}");
        }
    }

    #[test]
    fn ports_are_found_or_not() {
        assert_eq!(port_in(b"229 Entering (|||6446|)\r\n"), Some(6446));
        assert_eq!(port_in(b"227 so (10,0,0,1, 216,4).\r\n"), Some(55300));
        for other in [
            &b"229 none"[..],
            b"229 (|||99999|)",
            b"227 (1,2,3,4,256,1)",
            b"227 (1,2,3,4,5)",
            b"\xff(|||1|)",
        ] {
            assert_eq!(port_in(other), None, "{other:?}");
        }
    }
}
