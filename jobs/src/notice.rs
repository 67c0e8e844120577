//! The line by which a job that runs tells its supervisor what operators should know at once: a datagram to the socket that
//! `NOTIFY_SOCKET` names, `X_ALARM=TEXT`, in the form of sd_notify(3). It never waits, and knows nothing of who is told.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// The longest text that is sent, in bytes; the supervisor keeps less.
const LONGEST: usize = 1000;

/// The way to the supervisor.
#[derive(Debug)]
pub struct Notices {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Notices {
    /// To the socket with this address, `@NAME` or a path; `None` when that is no address, or the system gives no socket.
    #[must_use]
    pub fn to(address: &OsStr) -> Option<Notices> {
        let address = match address.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(address),
        };
        let socket = UnixDatagram::unbound().ok()?;
        socket.set_nonblocking(true).ok()?;
        Some(Notices {
            socket,
            address: address.ok()?,
        })
    }

    /// To the supervisor that started this process for its job.
    #[must_use]
    pub fn from_environment() -> Option<Notices> {
        let address: Option<OsString> = std::env::var_os("NOTIFY_SOCKET");
        Notices::to(&address?)
    }

    /// Says what is wrong; an empty text says that nothing is wrong any more.
    ///
    /// # Errors
    /// When nobody listens, or whoever does is behind: say it again later.
    pub fn alarm(&self, text: &str) -> io::Result<()> {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let mut line: String = text.chars().map(plain).collect();
        line.truncate(line.floor_char_boundary(LONGEST));
        let said = format!("X_ALARM={line}");
        self.socket
            .send_to_addr(said.as_bytes(), &self.address)
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_one_line() {
        let name = format!("procctl-notice-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let heard = UnixDatagram::bind_addr(&address).unwrap();
        let notices = Notices::to(OsStr::new(&format!("@{name}"))).unwrap();
        notices.alarm("the disk\nis full").unwrap();
        notices.alarm("").unwrap();
        notices.alarm(&"ä".repeat(2000)).unwrap();
        let mut buffer = [0; 4096];
        let mut next = || {
            let bytes = heard.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..bytes].to_vec()).unwrap()
        };
        assert_eq!(next(), "X_ALARM=the disk is full");
        assert_eq!(next(), "X_ALARM=");
        assert_eq!(next().chars().count(), "X_ALARM=".len() + 500);
        drop(heard);
        assert!(notices.alarm("nobody hears this").is_err());
    }
}
