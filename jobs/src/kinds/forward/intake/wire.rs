//! A connection's bytes, by TLS or not; nothing blocks.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use rustls::{ServerConfig, ServerConnection};

/// The two directions of one connection.
pub(super) struct Wire {
    stream: TcpStream,
    tls: Option<Box<ServerConnection>>,
}

/// What a read gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Got {
    Bytes(usize),
    /// Nothing now.
    Later,
    /// Nothing more.
    End,
}

impl Wire {
    /// # Errors
    /// When the socket does not become non-blocking, or there can be no TLS.
    pub(super) fn new(stream: TcpStream, tls: Option<&Arc<ServerConfig>>) -> io::Result<Wire> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
        let tls = tls
            .map(|config| ServerConnection::new(Arc::clone(config)).map(Box::new))
            .transpose()
            .map_err(io::Error::other)?;
        Ok(Wire { stream, tls })
    }

    /// Whether bytes may be waiting inside that the socket does not show.
    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
        let Some(tls) = &mut self.tls else {
            return got(self.stream.read(buffer));
        };
        loop {
            match got(tls.reader().read(buffer))? {
                Got::Later => {}
                known => return Ok(known),
            }
            match got(tls.read_tls(&mut self.stream))? {
                Got::Bytes(_) => {}
                known => return Ok(known),
            }
            if let Err(error) = tls.process_new_packets() {
                // the other side is told why
                let _unheard = tls.write_tls(&mut self.stream);
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
        }
    }

    /// Writes what the connection takes now; gives how much it took.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return sent(self.stream.write(bytes));
        };
        // what TLS has taken is on its way; it is given more only when that has gone
        let taken = if tls.wants_write() {
            0
        } else {
            tls.writer().write(bytes)?
        };
        while tls.wants_write() && sent(tls.write_tls(&mut self.stream))? > 0 {}
        Ok(taken)
    }

    /// Whether it has bytes of its own to write.
    pub(super) fn wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Says that nothing more will come from here.
    pub(super) fn finish(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            // Courtesy: the shutdown says the same.
            let _courtesy = tls.write_tls(&mut self.stream);
        }
        // A connection that is gone is finished as well.
        let _gone = self.stream.shutdown(Shutdown::Write);
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn got(read: io::Result<usize>) -> io::Result<Got> {
    match read {
        Ok(0) => Ok(Got::End),
        Ok(bytes) => Ok(Got::Bytes(bytes)),
        Err(error) if is_later(&error) => Ok(Got::Later),
        // an end without TLS's own goodbye
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(Got::End),
        Err(error) => Err(error),
    }
}

fn sent(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Err(error) if is_later(&error) => Ok(0),
        written => written,
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
