//! What the supervisor and its recorder tell each other: one JSON object a packet over a
//! `SOCK_SEQPACKET` Unix socket, descriptors beside it as `SCM_RIGHTS`.
//!
//! The supervisor makes the listening socket `<run>/recorder.sock` and hands it to the recorder
//! (`procctl recorder --home DIR`) as descriptor [`LISTENER`]; the recorder accepts, and drops the
//! older connection whenever a newer one comes. Neither side may block on the other.
//!
//! Order on each new connection: the supervisor says [`ToRecorder::Hello`], and where it did not
//! start this recorder itself [`ToRecorder::Recall`]; the recorder answers a recall with one
//! [`FromRecorder::Kept`] for each run that it holds and then [`FromRecorder::KeptAll`].

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use chrono::{DateTime, Utc};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The descriptor on which a recorder finds its listening socket.
pub const LISTENER: i32 = 3;

/// Largest packet in bytes; both sides' receive buffers have this size.
pub const LARGEST: usize = 64 * 1024;

/// Most descriptors that one packet carries.
pub const MOST_DESCRIPTORS: usize = 3;

/// What a descriptor beside a message is; the list in the message has the packet's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attached {
    /// Read end of the pipe that takes the run's standard output and error.
    Output,
    /// Datagram socket that is bound to the run's `NOTIFY_SOCKET`.
    Notify,
    /// Pidfd of the run's main process, opened before the process could be reaped.
    Process,
}

/// Who beats for an `exec` run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Beats {
    /// Nobody, or the run itself in shared memory: the recorder has nothing to do.
    None,
    /// The recorder, for each line of output.
    Output,
    /// The recorder, for each `WATCHDOG=1` on the notify socket.
    Notify,
}

/// A run as the recorder must know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The run's id.
    pub run: u64,
    /// The job's name; its log is `<log>/JOB.log`.
    pub job: String,
    /// The main process.
    pub pid: i32,
    /// Its start time in clock ticks since boot (`/proc/PID/stat` field 22).
    pub start_time: u64,
    /// Index and generation of its slot in the heartbeat table.
    pub slot: Option<(u32, u32)>,
    /// The user whose table holds the slot.
    pub table: u32,
    /// Who beats for it.
    pub beats: Beats,
    /// Whether its lines begin with a time of their own, as those of `jobs` do; the recorder puts
    /// one before every line of the others.
    #[serde(default)]
    pub stamped: bool,
    /// Which descriptors come with this message, in order.
    pub attached: Vec<Attached>,
}

/// From the supervisor to its recorder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub enum ToRecorder {
    /// First on each connection: the supervisor's pid.
    Hello {
        /// Process id of the supervisor.
        pid: u32,
    },
    /// A run has started: keep its descriptors. A run already known is taken as a repeat
    /// (its new descriptors are dropped).
    Run(Run),
    /// The supervisor knows how the run ended: its pidfd and exit code are no longer needed. The
    /// pipe is read on until its last writer has closed it.
    Ended {
        /// The run's id.
        run: u64,
    },
    /// A finished line of the history, written by the plan; the recorder only stores it.
    History {
        /// The entry as the plan serializes it.
        entry: serde_json::Value,
    },
    /// Asks for everything that is held: after an adoption the supervisor has lost it.
    Recall,
    /// The settings have changed: read `procctl.xml` and the log settings again.
    Reload,
    /// The supervisor ends and no run goes on: read what is left in the pipes, sync, exit.
    Quit,
    /// How many messages the supervisor had to drop because the recorder was too slow.
    Dropped {
        /// Since the last such message.
        count: u64,
    },
}

/// What a daemon said on its notify socket, for the plan. Beats are not among them: these
/// go straight to the slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Notice {
    /// `READY=1`
    Ready,
    /// `STOPPING=1`
    Stopping,
    /// `STATUS=…`, cut to a line of at most 200 characters.
    Status(String),
    /// `MAINPID=…`
    MainPid(i32),
    /// `X_ALARM=…`: what operators should know at once, a line of at most 200 characters; empty: it is over.
    Alarm(String),
    /// `WATCHDOG=trigger`: it asks to be treated as hung at once.
    Trigger,
    /// `WATCHDOG_USEC=…`: the recorder has set the slot already.
    Heartbeat {
        /// The new interval in microseconds.
        usec: u64,
    },
}

/// From the recorder to the supervisor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub enum FromRecorder {
    /// A run said something on its notify socket.
    Notified {
        /// The run's id.
        run: u64,
        /// What it said.
        notice: Notice,
    },
    /// Answer to a recall: one for each run held; `attached` names the descriptors that come back.
    Kept {
        /// The run as it was announced.
        run: Run,
        /// Wait status (as from `waitpid`) if its end has been seen and could be read.
        status: Option<i32>,
        /// Whether its main process has ended (also when the status could not be had).
        ended: bool,
        /// When that was seen, by the wall clock.
        #[serde(default)]
        ended_at: Option<DateTime<Utc>>,
    },
    /// Closes the answer to a recall.
    KeptAll,
    /// Something that an operator should see in `status`; `None` when it has passed.
    Trouble {
        /// One line, such as why the history cannot be written.
        text: Option<String>,
    },
}

/// Sends one message as one packet without blocking; `WouldBlock` when the other side is behind.
pub fn send<M: Serialize>(
    socket: impl AsFd,
    message: &M,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let packet = serde_json::to_vec(message).map_err(io::Error::other)?;
    send_packet(socket, &packet, descriptors)
}

/// Sends a packet that is already written down; see [`send`].
pub fn send_packet(
    socket: impl AsFd,
    packet: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    if packet.len() > LARGEST || descriptors.len() > MOST_DESCRIPTORS {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "packet too large",
        ));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("no room for the descriptors"));
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(socket.as_fd(), &[IoSlice::new(packet)], &mut control, flags)
    })?;
    Ok(())
}

/// Receives one message and its descriptors (close-on-exec) without blocking.
///
/// `None` when the other side has closed. `WouldBlock` when nothing is there, `InvalidData` for a
/// packet that is cut or does not parse: such a packet is used up and the next may be good.
/// `buffer` should have [`LARGEST`] bytes.
pub fn receive<M: DeserializeOwned>(
    socket: impl AsFd,
    buffer: &mut [u8],
) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let got = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(
            socket.as_fd(),
            &mut [IoSliceMut::new(buffer)],
            &mut control,
            flags,
        )
    })?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if got.bytes == 0 {
        return Ok(None);
    }
    if got
        .flags
        .intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC)
    {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "packet cut short",
        ));
    }
    let message = serde_json::from_slice(&buffer[..got.bytes])
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Some((message, descriptors)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    use std::io::{Read, Write};

    fn pair() -> (OwnedFd, OwnedFd) {
        rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap()
    }

    #[test]
    fn a_run_travels_with_its_pipe() {
        let (ours, theirs) = pair();
        let (read, write) = std::io::pipe().unwrap();
        let run = Run {
            run: 7,
            job: "a".into(),
            pid: 1,
            start_time: 2,
            slot: Some((3, 4)),
            table: 0,
            beats: Beats::Output,
            stamped: false,
            attached: vec![Attached::Output],
        };
        send(&ours, &ToRecorder::Run(run.clone()), &[read.as_fd()]).unwrap();
        drop(read);
        let mut buffer = vec![0; LARGEST];
        let (message, mut descriptors) = receive::<ToRecorder>(&theirs, &mut buffer)
            .unwrap()
            .unwrap();
        assert_eq!(message, ToRecorder::Run(run));
        let mut pipe = std::fs::File::from(descriptors.pop().unwrap());
        (&write).write_all(b"line").unwrap();
        drop(write);
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        assert_eq!(text, "line");
    }

    #[test]
    fn rubbish_is_an_error_and_the_end_is_none() {
        let (ours, theirs) = pair();
        let mut buffer = vec![0; LARGEST];
        let empty = receive::<FromRecorder>(&theirs, &mut buffer).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
        send_packet(&ours, b"{nonsense", &[]).unwrap();
        let bad = receive::<FromRecorder>(&theirs, &mut buffer).unwrap_err();
        assert_eq!(bad.kind(), io::ErrorKind::InvalidData);
        send(&ours, &FromRecorder::KeptAll, &[]).unwrap();
        let good = receive::<FromRecorder>(&theirs, &mut buffer).unwrap();
        assert_eq!(good.unwrap().0, FromRecorder::KeptAll);
        drop(ours);
        // a child of another test may hold the other end between its fork and its exec
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let end = loop {
            match receive::<FromRecorder>(&theirs, &mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    assert!(std::time::Instant::now() < deadline);
                    std::thread::yield_now();
                }
                end => break end.unwrap(),
            }
        };
        assert!(end.is_none());
    }
}
