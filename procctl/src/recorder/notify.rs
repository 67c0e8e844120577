//! The notify socket of `exec` runs with `beat="self"` and of services run by `jobs`: the datagrams that sd_notify(3)
//! describes, `NAME=value` lines, and `X_ALARM=text`, by which a run says what operators should know at once. Receives and reads them; what follows from them is decided elsewhere.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, UnixCredentials,
    recvmsg, setsockopt, sockopt,
};

use super::message::Notice;

/// Longest datagram that is looked at, in bytes (systemd takes as much); a longer one is cut.
pub(super) const LONGEST: usize = 4096;

/// Most descriptors that the kernel lets one datagram carry (`SCM_MAX_FD`).
const MOST_DESCRIPTORS: usize = 253;

/// Longest text of a status or an alarm in characters.
const LONGEST_TEXT: usize = 200;

/// What one datagram says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// `WATCHDOG=1`
    Beat,
    /// Anything that goes on to the supervisor.
    Notice(Notice),
}

/// Makes the notify socket of a run: an abstract one, which no folder's rights or rest of an earlier run
/// can spoil. Gives it and its address as it stands in `NOTIFY_SOCKET` (`@…`).
///
/// Senders' identities are asked for from the beginning: a datagram sent before would lack its own.
pub fn socket(run: u64) -> io::Result<(OwnedFd, String)> {
    let name = format!("procctl/{}/{run}", std::process::id());
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = nix::sys::socket::socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
    prepare(socket.as_fd())?;
    nix::sys::socket::bind(
        socket.as_raw_fd(),
        &UnixAddr::new_abstract(name.as_bytes())?,
    )?;
    Ok((socket, format!("@{name}")))
}

/// Makes the kernel add the sender's identity to each datagram.
pub(super) fn prepare(socket: BorrowedFd<'_>) -> io::Result<()> {
    setsockopt(&socket, sockopt::PassCred, &true)?;
    Ok(())
}

/// Receives one datagram: its sender's user and its bytes. `WouldBlock` when there is none.
///
/// Descriptors that come with it are closed, which is what `BARRIER=1` waits for.
pub(super) fn receive<'a>(
    socket: BorrowedFd<'_>,
    buffer: &'a mut [u8],
) -> io::Result<(Option<u32>, &'a [u8])> {
    let mut control = nix::cmsg_space!(UnixCredentials, [RawFd; MOST_DESCRIPTORS]);
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let mut parts = [IoSliceMut::new(buffer)];
    let got = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    let length = got.bytes;
    let mut sender = None;
    for message in got.cmsgs()? {
        if let ControlMessageOwned::ScmCredentials(identity) = message {
            sender = Some(identity.uid());
        } else if let ControlMessageOwned::ScmRights(descriptors) = message {
            for descriptor in descriptors {
                nix::unistd::close(descriptor)?;
            }
        }
    }
    Ok((sender, &buffer[..length]))
}

/// Reads a datagram. Names that are not known, and values that make no sense, are passed over.
pub(super) fn words(datagram: &[u8]) -> Vec<Word> {
    let text = String::from_utf8_lossy(datagram);
    let lines = text.split('\n').filter_map(|line| line.split_once('='));
    lines
        .filter_map(|(name, value)| word(name, value))
        .collect()
}

fn word(name: &str, value: &str) -> Option<Word> {
    let notice = match (name, value) {
        ("WATCHDOG", "1") => return Some(Word::Beat),
        ("WATCHDOG", "trigger") => Notice::Trigger,
        ("READY", "1") => Notice::Ready,
        ("STOPPING", "1") => Notice::Stopping,
        ("STATUS", text) => Notice::Status(one_line(text)),
        ("X_ALARM", text) => Notice::Alarm(one_line(text)),
        ("MAINPID", pid) => Notice::MainPid(pid.parse().ok().filter(|pid| *pid > 1)?),
        ("WATCHDOG_USEC", usec) => Notice::Heartbeat {
            usec: usec.parse().ok().filter(|usec| plausible(*usec))?,
        },
        _ => return None,
    };
    Some(Word::Notice(notice))
}

/// A heartbeat of more than a year is a mistake, and none at all would be a job unwatched.
fn plausible(usec: u64) -> bool {
    (1..=Duration::from_hours(366 * 24).as_micros()).contains(&u128::from(usec))
}

fn one_line(text: &str) -> String {
    let printable = text.trim().chars().filter(|letter| !letter.is_control());
    printable.take(LONGEST_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn reads_what_systemd_reads() {
        let said = words(
            b"READY=1\nSTATUS=  up and\x07 running \nWATCHDOG=1\nMAINPID=4711\nX_ODD=2\nnonsense\n",
        );
        let expected = [
            Word::Notice(Notice::Ready),
            Word::Notice(Notice::Status("up and running".into())),
            Word::Beat,
            Word::Notice(Notice::MainPid(4711)),
        ];
        assert_eq!(said, expected);
        assert_eq!(
            words(
                b"WATCHDOG_USEC=2000000\nWATCHDOG=trigger\nSTOPPING=1\nX_ALARM=no room\nX_ALARM="
            ),
            [
                Word::Notice(Notice::Heartbeat { usec: 2_000_000 }),
                Word::Notice(Notice::Trigger),
                Word::Notice(Notice::Stopping),
                Word::Notice(Notice::Alarm("no room".into())),
                Word::Notice(Notice::Alarm(String::new())),
            ]
        );
    }

    #[test]
    fn values_without_sense_are_passed_over() {
        assert!(words(b"MAINPID=-1\nMAINPID=x\nWATCHDOG_USEC=0\nWATCHDOG_USEC=99999999999999999\nREADY=0\n=\n\xff=\xff").is_empty());
        let long = format!("STATUS={}", "ä".repeat(5000));
        assert_eq!(
            words(long.as_bytes()),
            [Word::Notice(Notice::Status("ä".repeat(200)))]
        );
    }

    #[test]
    fn a_datagram_names_its_sender_and_descriptors_are_closed() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        prepare(theirs.as_fd()).unwrap();
        let (mut read, write) = std::io::pipe().unwrap();
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
        let rights = [write.as_fd()];
        assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&rights)));
        let parts = [std::io::IoSlice::new(b"BARRIER=1")];
        rustix::net::sendmsg(&ours, &parts, &mut control, rustix::net::SendFlags::empty()).unwrap();
        drop(write);
        let mut buffer = [0; LONGEST];
        let (sender, bytes) = receive(theirs.as_fd(), &mut buffer).unwrap();
        assert_eq!(bytes, b"BARRIER=1");
        assert_eq!(sender, Some(rustix::process::geteuid().as_raw()));
        // the other end of the pipe has ended, so nobody holds its descriptor any more
        let mut nothing = Vec::new();
        std::io::Read::read_to_end(&mut read, &mut nothing).unwrap();
        let empty = receive(theirs.as_fd(), &mut buffer).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
    }

    proptest! {
        #[test]
        fn no_datagram_upsets_it(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            words(&bytes);
        }
    }
}
