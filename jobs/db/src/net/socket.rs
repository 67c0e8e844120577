//! A stream to a server, over TCP, a Unix socket or TLS, with limits on every wait.

use super::Guard;
use crate::Host;
use rustix::net::sockopt;
use rustls::{ClientConnection, StreamOwned};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// Host and port.
    Tcp(String, u16),
    /// The path of a socket.
    Unix(String),
}

impl Address {
    /// The address of a URL's host: a name that begins with a slash is a path; `socket` makes it a socket's.
    pub(crate) fn of(host: &Host, port: u16, socket: impl Fn(&str, u16) -> String) -> Self {
        let port = host.port.unwrap_or(port);
        if host.name.starts_with('/') {
            Address::Unix(socket(&host.name, port))
        } else {
            Address::Tcp(host.name.clone(), port)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(host, port) => write!(f, "{host}:{port}"),
            Address::Unix(path) => f.write_str(path),
        }
    }
}

/// A connected stream.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Socket {
    /// Connects within `timeout`, which then limits each read and write until [`Socket::limit`].
    pub(crate) fn open(address: &Address, timeout: Duration) -> io::Result<Self> {
        let timeout = timeout.max(Duration::from_millis(1));
        let socket = match address {
            Address::Unix(path) => Socket::Unix(UnixStream::connect(path)?),
            Address::Tcp(host, port) => Socket::Tcp(tcp(host, *port, timeout)?),
        };
        socket.limit(Some(timeout))?;
        Ok(socket)
    }

    /// Turns a plain TCP stream into TLS; others stay as they are.
    pub(crate) fn protect(&mut self, guard: &Guard, host: &str) -> io::Result<()> {
        let Socket::Tcp(plain) = self else {
            return Ok(());
        };
        let mut stream = plain.try_clone()?;
        let mut session = guard.session(host)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        *self = Socket::Tls(Box::new(StreamOwned::new(session, stream)));
        Ok(())
    }

    /// Limits each further read and write; `None` waits for ever.
    pub(crate) fn limit(&self, patience: Option<Duration>) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => set(stream, patience),
            Socket::Tls(stream) => set(&stream.sock, patience),
            Socket::Unix(stream) => {
                stream.set_read_timeout(patience)?;
                stream.set_write_timeout(patience)
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn unix_for_tests(stream: UnixStream) -> Self {
        Socket::Unix(stream)
    }
}

/// Whether a read or a write ended because its time was up.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

fn set(stream: &TcpStream, patience: Option<Duration>) -> io::Result<()> {
    stream.set_read_timeout(patience)?;
    stream.set_write_timeout(patience)
}

/// Tries each address of a name in turn.
fn tcp(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                keep_alive(&stream)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A server that vanished without a word is noticed within about a minute, also without a statement timeout.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(30))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(10))?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    Ok(())
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.read(into),
            Socket::Unix(stream) => stream.read(into),
            Socket::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.write(from),
            Socket::Unix(stream) => stream.write(from),
            Socket::Tls(stream) => stream.write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => stream.flush(),
            Socket::Unix(stream) => stream.flush(),
            Socket::Tls(stream) => stream.flush(),
        }
    }
}
