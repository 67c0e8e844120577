//! Connections of TCP that come about, or not, within a limit; a wish to stop ends the wait at once.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};

use crate::stop::Stop;

/// Connects.
///
/// # Errors
/// What the system says; [`io::ErrorKind::TimedOut`] after `limit`, [`io::ErrorKind::Interrupted`] after a wish to stop.
pub(super) fn dial(address: SocketAddr, limit: Duration, stop: &Stop) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    match connect(&socket, &address) {
        Ok(()) => {}
        Err(Errno::INPROGRESS) => {
            let deadline = Instant::now() + limit;
            loop {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                let mut fds = [
                    PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::OUT),
                    PollFd::from_borrowed_fd(stop.asked_fd(), PollFlags::IN),
                ];
                match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
                if stop.asked().is_some() {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                if !fds[0].revents().is_empty() {
                    break;
                }
            }
            sockopt::socket_error(&socket)?.map_err(io::Error::from)?;
        }
        Err(error) => return Err(error.into()),
    }
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connects_is_refused_and_stops() {
        let stop = Stop::new().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        dial(address, Duration::from_secs(5), &stop).unwrap();
        drop(listener);
        let error = dial(address, Duration::from_secs(5), &stop).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
