//! The supervisor's end of the connection to its recorder: a bounded queue that never blocks, and
//! the read ends of all pipes, so that a recorder that dies can be replaced without a loss to the
//! jobs. What messages mean is the plan's and the recorder's business.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::SocketType;

use super::message::{self, Attached, FromRecorder, LARGEST, Run, ToRecorder};
use crate::socket;

/// Most messages that wait for the recorder; further ones are dropped and counted.
const MOST_WAITING: usize = 20_000;

/// Most bytes of them.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// A recorder that lived shorter than this is not replaced before the same time has passed.
const SHORT_LIFE: Duration = Duration::from_secs(1);

/// A message that waits.
#[derive(Debug)]
enum Parcel {
    Packet(Vec<u8>),
    /// The run is looked up when it is sent; one that is over by then is left out.
    Run(u64, Option<OwnedFd>),
}

/// What waits for the recorder, as an exec in place carries it over.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub enum Unsent {
    /// A message as it is written.
    Packet(String),
    /// A run that is still to be announced.
    Run(u64),
}

/// What is kept of a run as long as it lives.
#[derive(Debug)]
pub struct Kept {
    /// As it was announced.
    pub run: Run,
    /// Read end of its output.
    pub output: Option<OwnedFd>,
    /// Its notify socket.
    pub notify: Option<OwnedFd>,
}

/// The connection, if there is one, and what it takes to make it again.
#[derive(Debug)]
pub struct Link {
    path: PathBuf,
    socket: Option<OwnedFd>,
    queue: VecDeque<Parcel>,
    bytes: usize,
    dropped: u64,
    kept: BTreeMap<u64, Kept>,
    buffer: Vec<u8>,
    begun: Duration,
    retry: Option<Duration>,
    process: Option<i32>,
    /// Whether the waiting place has been asked for room to write.
    asked: bool,
    /// The recorder is one that an earlier supervisor left, and was asked for what it holds.
    recalling: bool,
}

impl Link {
    /// A link for the recorder of a run folder; not connected yet.
    pub fn new(run_folder: &Path) -> Link {
        Link {
            path: run_folder.join("recorder.sock"),
            socket: None,
            queue: VecDeque::new(),
            bytes: 0,
            dropped: 0,
            kept: BTreeMap::new(),
            buffer: Vec::new(),
            begun: Duration::ZERO,
            retry: None,
            process: None,
            asked: false,
            recalling: false,
        }
    }

    /// Connects to a recorder that an earlier supervisor left, and asks it for all it holds.
    /// False when there is none.
    pub fn find(&mut self, now: Duration) -> bool {
        let Ok(socket) = socket::connect(&self.path, SocketType::SEQPACKET, true) else {
            return false;
        };
        self.take(socket, now);
        self.push_front(&ToRecorder::Recall);
        self.push_front(&hello());
        self.recalling = true;
        true
    }

    /// Goes on with a connection that came through an exec in place.
    pub fn resume(&mut self, socket: OwnedFd, process: Option<i32>, now: Duration) {
        self.take(socket, now);
        self.process = process;
    }

    fn take(&mut self, socket: OwnedFd, now: Duration) {
        self.socket = Some(socket);
        self.begun = now;
        self.retry = None;
        self.asked = false;
        self.recalling = false;
    }

    /// Makes the listening socket, has `start` execute a recorder on it (it gives the pid), connects
    /// and announces every run that lives.
    pub fn start(
        &mut self,
        now: Duration,
        start: impl FnOnce(BorrowedFd<'_>) -> io::Result<i32>,
    ) -> io::Result<()> {
        self.retry = Some(now + SHORT_LIFE);
        let listener = socket::listen(&self.path, SocketType::SEQPACKET)?;
        // the recorder waits for connections, and does not expect to be refused one
        let process = start(listener.as_fd())?;
        self.process = Some(process);
        let socket = socket::connect(&self.path, SocketType::SEQPACKET, true)?;
        self.take(socket, now);
        self.queue
            .retain(|parcel| matches!(parcel, Parcel::Packet(_)));
        for run in self.kept.keys().rev() {
            self.queue.push_front(Parcel::Run(*run, None));
        }
        self.push_front(&hello());
        Ok(())
    }

    /// The recorder's pid, if it is our child.
    pub fn process(&self) -> Option<i32> {
        self.process
    }

    /// Notes that the recorder is gone; says when to start another one.
    pub fn lost(&mut self, now: Duration) -> Duration {
        self.socket = None;
        self.process = None;
        let soon = now < self.begun + SHORT_LIFE;
        let at = if soon { now + SHORT_LIFE } else { now };
        self.retry = Some(at);
        at
    }

    /// When a recorder is to be started; `None` while there is one.
    pub fn retry(&self) -> Option<Duration> {
        self.retry.filter(|_| self.socket.is_none())
    }

    /// The connection, for the waiting place.
    pub fn socket(&self) -> Option<&OwnedFd> {
        self.socket.as_ref()
    }

    /// Whether something waits for room in the socket.
    pub fn wants_to_write(&self) -> bool {
        self.socket.is_some() && !self.queue.is_empty()
    }

    /// Whether an earlier supervisor's recorder was asked for what it holds.
    pub fn is_recalling(&self) -> bool {
        self.recalling && self.socket.is_some()
    }

    /// What the waiting place is to be asked for from now on, where that changes.
    pub fn change_of_interest(&mut self) -> Option<bool> {
        let wanted = self.wants_to_write();
        (std::mem::replace(&mut self.asked, wanted) != wanted).then_some(wanted)
    }

    /// Hands a run over. Its pipe is kept here, too, until [`Link::ended`].
    pub fn announce(&mut self, kept: Kept, process: Option<OwnedFd>) {
        let run = kept.run.run;
        self.kept.insert(run, kept);
        self.queue.push_back(Parcel::Run(run, process));
    }

    /// Tells again where a run's slot is, after its table was replaced, or which process it has.
    pub fn announce_again(&mut self, run: u64, change: impl FnOnce(&mut Run)) {
        if let Some(kept) = self.kept.get_mut(&run) {
            change(&mut kept.run);
            self.queue.push_back(Parcel::Run(run, None));
        }
    }

    /// Takes back what a recorder has kept over the death of an earlier supervisor.
    pub fn recover(&mut self, run: Run, descriptors: Vec<OwnedFd>) {
        let mut kept = Kept {
            run,
            output: None,
            notify: None,
        };
        let attached = kept.run.attached.clone();
        for (what, descriptor) in attached.into_iter().zip(descriptors) {
            match what {
                Attached::Output => kept.output = Some(descriptor),
                Attached::Notify => kept.notify = Some(descriptor),
                Attached::Process => {}
            }
        }
        self.kept.insert(kept.run.run, kept);
    }

    /// A run as it was announced.
    pub fn kept_run(&self, run: u64) -> Option<&Run> {
        self.kept.get(&run).map(|kept| &kept.run)
    }

    /// What is kept of all runs, as an exec in place must carry it over.
    pub fn kept(&self) -> impl Iterator<Item = &Kept> {
        self.kept.values()
    }

    /// Puts back what came through an exec in place.
    pub fn restore(&mut self, kept: Kept) {
        self.kept.insert(kept.run.run, kept);
    }

    /// What still waits for the recorder.
    pub fn unsent(&self) -> Vec<Unsent> {
        let all = self.queue.iter().map(|parcel| match parcel {
            Parcel::Packet(packet) => Unsent::Packet(String::from_utf8_lossy(packet).into_owned()),
            Parcel::Run(run, _) => Unsent::Run(*run),
        });
        all.collect()
    }

    /// Takes over what an earlier program in this process could not send.
    pub fn put_back(&mut self, unsent: Vec<Unsent>) {
        for one in unsent {
            self.queue.push_back(match one {
                Unsent::Packet(text) => {
                    self.bytes += text.len();
                    Parcel::Packet(text.into_bytes())
                }
                Unsent::Run(run) => Parcel::Run(run, None),
            });
        }
    }

    /// The run is over: its descriptors are closed here.
    pub fn ended(&mut self, run: u64) {
        self.send(&ToRecorder::Ended { run });
        self.kept.remove(&run);
    }

    /// Queues a message; drops and counts it when too much waits already.
    pub fn send(&mut self, message: &ToRecorder) {
        if self.queue.len() >= MOST_WAITING || self.bytes >= MOST_BYTES {
            self.dropped += 1;
            return;
        }
        if let Some(packet) = written(message) {
            self.bytes += packet.len();
            self.queue.push_back(Parcel::Packet(packet));
        }
    }

    fn push_front(&mut self, message: &ToRecorder) {
        if let Some(packet) = written(message) {
            self.bytes += packet.len();
            self.queue.push_front(Parcel::Packet(packet));
        }
    }

    /// Sends as much as the recorder takes now. An error means that it is gone.
    pub fn flush(&mut self) -> io::Result<()> {
        let Some(socket) = &self.socket else {
            return Ok(());
        };
        while let Some(parcel) = self.queue.front() {
            let sent = match parcel {
                Parcel::Packet(packet) => message::send_packet(socket, packet, &[]),
                Parcel::Run(run, process) => match self.kept.get(run) {
                    Some(kept) => send_run(socket, kept, process.as_ref()),
                    None => Ok(()),
                },
            };
            match sent {
                Ok(()) => {}
                Err(error) if is_full(&error) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    log::warn!("a message to the recorder is left out: {error}");
                }
                Err(error) => return Err(error),
            }
            if let Some(Parcel::Packet(packet)) = self.queue.pop_front() {
                self.bytes -= packet.len();
            }
        }
        // a burst must not hold its memory for ever
        if self.queue.capacity() > 1024 {
            self.queue = VecDeque::new();
        }
        if self.dropped > 0 {
            let count = std::mem::take(&mut self.dropped);
            log::warn!("{count} messages to the recorder were dropped: it was too slow");
            self.send(&ToRecorder::Dropped { count });
        }
        Ok(())
    }

    /// The next message of the recorder. `None`: nothing now. An error means that it is gone.
    pub fn receive(&mut self) -> io::Result<Option<(FromRecorder, Vec<OwnedFd>)>> {
        let Some(socket) = &self.socket else {
            return Ok(None);
        };
        self.buffer.resize(LARGEST, 0);
        loop {
            match message::receive(socket, &mut self.buffer) {
                Ok(Some(message)) => return Ok(Some(message)),
                Ok(None) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.buffer = Vec::new();
                    return Ok(None);
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    log::warn!("a message of the recorder is left out: {error}");
                }
                Err(error) => return Err(error),
            }
        }
    }
}

fn hello() -> ToRecorder {
    ToRecorder::Hello {
        pid: std::process::id(),
    }
}

fn written(message: &ToRecorder) -> Option<Vec<u8>> {
    let packet = serde_json::to_vec(message)
        .inspect_err(|error| log::warn!("write a message to the recorder: {error}"));
    packet.ok()
}

/// Full for now: the socket, or the number of descriptors that may be on their way at once.
fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || [libc::ETOOMANYREFS, libc::ENOBUFS]
            .map(Some)
            .contains(&error.raw_os_error())
}

/// Sends a run with its descriptors; its pidfd is opened anew where it was not given.
fn send_run(socket: &OwnedFd, kept: &Kept, process: Option<&OwnedFd>) -> io::Result<()> {
    let opened = match process {
        Some(_) => None,
        None => u32::try_from(kept.run.pid)
            .ok()
            .and_then(|pid| checkproc::process::open_pidfd(pid, kept.run.start_time).ok()?),
    };
    let all = [
        (Attached::Output, kept.output.as_ref()),
        (Attached::Notify, kept.notify.as_ref()),
        (Attached::Process, process.or(opened.as_ref())),
    ];
    let there = all
        .iter()
        .filter_map(|(what, fd)| Some((*what, (*fd)?.as_fd())));
    let (attached, descriptors): (Vec<Attached>, Vec<BorrowedFd<'_>>) = there.unzip();
    let run = Run {
        attached,
        ..kept.run.clone()
    };
    message::send(socket, &ToRecorder::Run(run), &descriptors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::message::Beats;

    const NOW: Duration = Duration::from_secs(100);

    fn kept(run: u64) -> Kept {
        let (output, _) = rustix::pipe::pipe().unwrap();
        Kept {
            run: Run {
                run,
                job: "a".into(),
                pid: 0,
                start_time: 0,
                slot: None,
                table: 0,
                beats: Beats::None,
                stamped: false,
                attached: Vec::new(),
            },
            output: Some(output),
            notify: None,
        }
    }

    fn hear(socket: &OwnedFd) -> Option<(ToRecorder, usize)> {
        let mut buffer = vec![0; LARGEST];
        let got = message::receive(socket, &mut buffer).ok()?;
        got.map(|(message, descriptors)| (message, descriptors.len()))
    }

    #[test]
    fn a_new_recorder_is_told_of_every_living_run() {
        let folder = tempfile::tempdir().unwrap();
        let mut link = Link::new(folder.path());
        assert!(!link.find(NOW));
        let mut listener = None;
        let mut start = |link: &mut Link, now| {
            link.start(now, |fd| {
                listener = Some(fd.try_clone_to_owned()?);
                Ok(1)
            })
            .unwrap();
            rustix::net::accept(listener.as_ref().unwrap()).unwrap()
        };
        let first = start(&mut link, NOW);
        link.announce(kept(1), None);
        link.announce(kept(2), None);
        link.flush().unwrap();
        assert!(matches!(hear(&first), Some((ToRecorder::Hello { .. }, 0))));
        assert!(matches!(hear(&first), Some((ToRecorder::Run(run), 1)) if run.run == 1));
        link.ended(1);
        drop(first);
        assert!(link.flush().is_err());
        assert_eq!(link.lost(NOW + SHORT_LIFE), NOW + SHORT_LIFE);
        let second = start(&mut link, NOW + SHORT_LIFE);
        link.flush().unwrap();
        assert!(matches!(hear(&second), Some((ToRecorder::Hello { .. }, 0))));
        assert!(matches!(hear(&second), Some((ToRecorder::Run(run), 1)) if run.run == 2));
        assert!(matches!(
            hear(&second),
            Some((ToRecorder::Ended { run: 1 }, 0))
        ));
        drop(second);
        assert_eq!(link.lost(NOW + SHORT_LIFE), NOW + SHORT_LIFE * 2);
    }

    #[test]
    fn a_stuck_recorder_costs_messages_but_no_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut link = Link::new(folder.path());
        let mut listener = None;
        link.start(NOW, |fd| {
            listener = Some(fd.try_clone_to_owned()?);
            Ok(1)
        })
        .unwrap();
        for _ in 0..MOST_WAITING + 500 {
            link.send(&ToRecorder::Reload);
            link.flush().unwrap();
        }
        assert!(link.dropped > 0);
        assert!(link.wants_to_write());
    }
}
