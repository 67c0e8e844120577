//! Bytes on data connections: received, sent, and waited for in ticks, so that the job beats and hears of a stop in between.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use suppaftp::{FtpResult, RustlsConnector, RustlsFtpStream, TlsConnector, TransferStream};

use super::fault::{Fault, Result};
use super::link::Link;
use super::session::{Session, TICK, stopped_or};
use crate::context::Context;
use crate::error::Error;

/// Bytes that are moved at once.
pub(super) const PIECE: usize = 256 << 10;

/// Where bytes go that come.
pub(super) type Sink<'a> = dyn FnMut(&[u8]) -> std::result::Result<(), Error> + 'a;

/// A connection on which data move.
pub(super) type Data = TransferStream<<RustlsConnector as TlsConnector>::Stream>;

impl Session {
    /// Receives a file from `offset` on.
    pub(super) fn receive(
        &mut self,
        cx: &Context,
        link: &Link,
        path: &str,
        offset: u64,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let action = format!("get {path}");
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut data = self.start(cx, &action, |ftp| {
            ftp.resume_transfer(offset)?;
            ftp.retr_as_stream(path)
        })?;
        let mut piece = std::mem::take(&mut self.piece);
        let came = self.take_in(cx, link, &action, &mut data, &mut piece, sink);
        self.piece = piece;
        match came {
            Ok(()) => self.finish(cx, &action, data),
            Err(fault) => Err(self.give_up(data, fault)),
        }
    }

    pub(super) fn take_in(
        &mut self,
        cx: &Context,
        link: &Link,
        action: &str,
        data: &mut dyn Read,
        piece: &mut [u8],
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        loop {
            let length = self.patient(cx, action, || read(data, piece))?;
            if length == 0 {
                return Ok(());
            }
            sink(&piece[..length])?;
            cx.progress(0, length as u64);
            slow_down(cx, link, length)?;
        }
    }

    /// Sends a file, from `offset` on where it is not zero.
    pub(super) fn send(
        &mut self,
        cx: &Context,
        link: &Link,
        path: &str,
        offset: u64,
        source: &mut dyn FnMut(&mut [u8]) -> std::result::Result<usize, Error>,
    ) -> Result<()> {
        let action = format!("put {path}");
        let append = offset > 0 && !self.can("REST");
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let opened = self.start(cx, &action, |ftp| {
            if append {
                return ftp.append_with_stream(path);
            }
            ftp.resume_transfer(start)?;
            ftp.put_with_stream(path)
        });
        let mut data = opened.map_err(Fault::unheard)?;
        let mut piece = std::mem::take(&mut self.piece);
        let went = self.give_out(cx, link, &action, &mut data, &mut piece, source);
        self.piece = piece;
        match went {
            Ok(()) => self.finish(cx, &action, data),
            Err(fault) => Err(self.give_up(data, fault)),
        }
    }

    fn give_out(
        &mut self,
        cx: &Context,
        link: &Link,
        action: &str,
        data: &mut Data,
        piece: &mut [u8],
        source: &mut dyn FnMut(&mut [u8]) -> std::result::Result<usize, Error>,
    ) -> Result<()> {
        // an empty file sends nothing, but TLS has to be spoken all the same
        self.patient(cx, action, || data.flush())?;
        loop {
            let length = source(piece)?;
            if length == 0 {
                return Ok(());
            }
            let mut sent = 0;
            while sent < length {
                let taken = self.patient(cx, action, || data.write(&piece[sent..length]))?;
                if taken == 0 {
                    return Err(Fault::broken(action, ErrorKind::WriteZero.into()));
                }
                sent += taken;
                cx.progress(0, taken as u64);
            }
            slow_down(cx, link, length)?;
        }
    }

    /// Opens a data connection. EPSV gives way to PASV where the server does not know it after all.
    pub(super) fn start(
        &mut self,
        cx: &Context,
        action: &str,
        question: impl Fn(&mut RustlsFtpStream) -> FtpResult<Data>,
    ) -> Result<Data> {
        let data = match self.ask(cx, action, &question) {
            Err(fault) if fault.is_unknown() && self.flexible => {
                self.flexible = false;
                self.ftp.set_mode(suppaftp::Mode::Passive);
                self.opener = Some("PASV");
                self.ask(cx, action, &question)?
            }
            other => other?,
        };
        tick(data.get_ref().get_ref()).map_err(|error| Fault::broken(action, error))?;
        self.opened = true;
        Ok(data)
    }

    /// The end of the data: the server's word that all of it came through.
    pub(super) fn finish(&mut self, cx: &Context, action: &str, data: Data) -> Result<()> {
        self.ask(cx, action, |_| data.finish())
    }

    /// Lets go of a transfer that failed, without waiting for what the server has to say of it.
    pub(super) fn give_up(&mut self, data: Data, fault: Fault) -> Fault {
        self.broken = true;
        let quick = Some(Duration::from_millis(500));
        let control = self.ftp.get_ref();
        // on a connection that is gone there is nothing to wait for
        let _hurried = control
            .set_read_timeout(quick)
            .and_then(|()| control.set_write_timeout(quick));
        drop(control);
        drop(data);
        fault
    }

    /// Repeats a read or a write that came to nothing within a tick, until the server has been silent for too long.
    pub(super) fn patient<T>(
        &mut self,
        cx: &Context,
        action: &str,
        mut step: impl FnMut() -> io::Result<T>,
    ) -> Result<T> {
        let begun = Instant::now();
        loop {
            let error = match step() {
                Ok(done) => {
                    cx.checkpoint()?;
                    return Ok(done);
                }
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock | ErrorKind::TimedOut if begun.elapsed() < self.timeout => {
                    cx.checkpoint()?
                }
                _ => {
                    self.broken = true;
                    return Err(stopped_or(cx, Fault::broken(action, error)));
                }
            }
        }
    }
}

/// Reads. Servers that end TLS without a word are many; that all is there is told by the reply that follows, and by the size.
pub(super) fn read(data: &mut dyn Read, piece: &mut [u8]) -> io::Result<usize> {
    match data.read(piece) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
        other => other,
    }
}

/// Waits as the limit of bytes a second demands.
fn slow_down(cx: &Context, link: &Link, bytes: usize) -> std::result::Result<(), Error> {
    let wait = link.pace.pass(bytes);
    if wait.is_zero() {
        Ok(())
    } else {
        cx.wait(wait)
    }
}

/// Bounds the waits for a data connection.
pub(super) fn tick(stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(TICK))?;
    stream.set_write_timeout(Some(TICK))
}
