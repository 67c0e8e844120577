//! One run as the recorder holds it: its pipe, notify socket and pidfd, and what came through
//! them. Reads them without ever blocking; where lines go is the caller's business.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use checkproc::{Folders, Slot};
use chrono::{DateTime, Utc};

use super::lines::Lines;
use super::message::{Attached, Beats, Notice, Run};
use super::notify::{self, Word};
use super::queue::{Queue, Work};
use super::stamp;
use crate::spawn;

/// Datagrams taken from one notify socket before others have their turn.
const MOST_AT_ONCE: usize = 64;

/// A run and its descriptors.
pub(super) struct Held {
    pub(super) run: Run,
    /// Where its beats go.
    pub(super) slot: Option<Slot>,
    /// Read end of its pipe, until every writer has closed it.
    pub(super) output: Option<OwnedFd>,
    /// Its notify socket.
    pub(super) notify: Option<OwnedFd>,
    /// Pidfd of its main process.
    pub(super) process: Option<OwnedFd>,
    /// Its main process has ended.
    pub(super) ended: bool,
    /// When that was seen.
    pub(super) ended_at: Option<DateTime<Utc>>,
    /// How it ended, where the kernel told.
    pub(super) status: Option<i32>,
    /// The supervisor knows how it ended.
    pub(super) settled: bool,
    /// Lines that found no room in the queue since the last that did.
    dropped: u64,
    lines: Lines,
    said: String,
    /// Evidence on it was taken.
    witnessed: bool,
}

/// What reading a pipe brought.
pub(super) struct Output {
    /// Whole lines for the log.
    pub(super) text: Vec<u8>,
    /// The pipe, when nothing will come after this. It must be taken off the waiting list: as long as
    /// the supervisor holds the same pipe, closing it does not do that.
    pub(super) last: Option<OwnedFd>,
}

impl Held {
    /// Takes the descriptors that came with `run`; they must be as many as it says.
    pub(super) fn new(run: Run, descriptors: Vec<OwnedFd>) -> io::Result<Held> {
        if run.attached.len() != descriptors.len() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "descriptors are missing",
            ));
        }
        let mut held = Held {
            run,
            slot: None,
            output: None,
            notify: None,
            process: None,
            ended: false,
            ended_at: None,
            status: None,
            settled: false,
            dropped: 0,
            lines: Lines::default(),
            said: String::new(),
            witnessed: false,
        };
        for (kind, descriptor) in held.run.attached.clone().into_iter().zip(descriptors) {
            match kind {
                Attached::Output => {
                    rustix::io::ioctl_fionbio(&descriptor, true)?;
                    held.output = Some(descriptor);
                }
                Attached::Notify => {
                    notify::prepare(descriptor.as_fd())?;
                    held.notify = Some(descriptor);
                }
                Attached::Process => held.process = Some(descriptor),
            }
        }
        Ok(held)
    }

    /// The run is announced again: its slot is in another table now, or it has another main process.
    /// True if the process in `descriptors` is a new one, to be watched.
    pub(super) fn renew(
        &mut self,
        run: Run,
        descriptors: Vec<OwnedFd>,
        slot: Option<Slot>,
    ) -> bool {
        let moved = (run.pid, run.start_time) != (self.run.pid, self.run.start_time);
        let mut attached = run.attached.iter().zip(descriptors);
        let process = attached.find(|(kind, _)| **kind == Attached::Process);
        let mut taken = false;
        if moved && let Some((_, process)) = process {
            self.process = Some(process);
            self.ended = false;
            self.ended_at = None;
            self.status = None;
            taken = true;
        }
        self.slot = slot;
        self.run = Run {
            attached: std::mem::take(&mut self.run.attached),
            ..run
        };
        taken
    }

    /// Whether it still runs, or something of it still holds the pipe.
    pub(super) fn lives(&self) -> bool {
        (self.process.is_some() && !self.ended) || self.output.is_some()
    }

    /// Whether nothing is left to do for it.
    pub(super) fn done(&self) -> bool {
        self.settled && self.output.is_none()
    }

    /// Reads once from the pipe, beats where output counts as a beat. `None` when nothing was there.
    pub(super) fn read_output(&mut self, buffer: &mut [u8]) -> Option<Output> {
        let pipe = self.output.as_ref()?;
        let got = match rustix::io::retry_on_intr(|| rustix::io::read(pipe, &mut *buffer)) {
            Ok(got) => got,
            Err(rustix::io::Errno::AGAIN) => return None,
            Err(error) => {
                log::warn!("read the output of {}: {error}", self.run.job);
                0
            }
        };
        let stamp = if self.run.stamped {
            String::new()
        } else {
            stamp()
        };
        let (mut text, mut last) = (Vec::new(), None);
        if got == 0 {
            self.lines.finish(&stamp, &mut text);
            last = self.output.take();
        } else {
            let finished = self.lines.take(&buffer[..got], &stamp, &mut text);
            if finished > 0 && self.run.beats == Beats::Output {
                self.beat();
            }
        }
        Some(Output { text, last })
    }

    /// Hands lines to the writer, waiting for room where `patience` is given. Lines that find none are counted, and
    /// the next that find room say so.
    pub(super) fn store(&mut self, text: Vec<u8>, queue: &Queue, patience: Option<Duration>) {
        let lines = text.iter().filter(|byte| **byte == b'\n').count();
        let mut noted = text;
        if self.dropped > 0 {
            let (stamp, dropped) = (stamp(), self.dropped);
            let note = format!(
                "{stamp}procctl: {dropped} lines before this are lost, the disk of the log was too slow\n"
            );
            noted.splice(0..0, note.into_bytes());
        }
        let work = Work::Lines {
            job: self.run.job.clone(),
            text: noted,
        };
        let pushed = match patience {
            Some(patience) => queue.push_patiently(work, patience),
            None => queue.push(work),
        };
        match pushed {
            Ok(()) => self.dropped = 0,
            Err(_) => self.dropped += u64::try_from(lines).unwrap_or(u64::MAX),
        }
    }

    /// The line that has begun and not ended, at the very end.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        let stamp = if self.run.stamped {
            String::new()
        } else {
            stamp()
        };
        let mut text = Vec::new();
        self.lines.finish(&stamp, &mut text);
        text
    }

    /// Takes what waits on the notify socket; beats go to the slot, the rest is returned.
    pub(super) fn read_notices(&mut self, buffer: &mut [u8]) -> Vec<Notice> {
        let mut notices = Vec::new();
        let room = notify::LONGEST.min(buffer.len());
        for _ in 0..MOST_AT_ONCE {
            let Some(socket) = &self.notify else { break };
            let words = match notify::receive(socket.as_fd(), &mut buffer[..room]) {
                Ok((Some(uid), bytes)) if uid == 0 || uid == self.run.table => notify::words(bytes),
                Ok((uid, _)) => {
                    let user = uid.map_or("nobody known".to_owned(), |uid| format!("user {uid}"));
                    log::warn!("{}: a notification by {user} is refused", self.run.job);
                    Vec::new()
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    log::warn!("receive a notification of {}: {error}", self.run.job);
                    break;
                }
            };
            notices.extend(words.into_iter().filter_map(|word| self.heed(word)));
        }
        notices
    }

    /// Does what concerns the slot; what the supervisor must hear is returned.
    fn heed(&mut self, word: Word) -> Option<Notice> {
        let notice = match word {
            Word::Beat => {
                self.beat();
                return None;
            }
            Word::Notice(notice) => notice,
        };
        match &notice {
            Notice::Heartbeat { usec } => {
                if let Some(slot) = &self.slot {
                    slot.set_heartbeat(Some(Duration::from_micros(*usec)));
                }
            }
            Notice::Status(text) => {
                if *text == self.said {
                    return None;
                }
                self.said.clone_from(text);
                if let Some(slot) = &self.slot {
                    slot.phase(text);
                }
            }
            Notice::Ready => self.beat(),
            Notice::Stopping | Notice::MainPid(_) | Notice::Alarm(_) | Notice::Trigger => {}
        }
        Some(notice)
    }

    /// Writes down, once, what a run is doing that asks to be treated as hung: soon it is killed. Waits a second at most.
    pub(super) fn take_evidence(&mut self, folders: &Folders) {
        let row = self.slot.as_ref().and_then(Slot::row);
        if let Some(row) = row.filter(|_| !std::mem::replace(&mut self.witnessed, true)) {
            let place = checkproc::record(&row, 0, folders);
            log::warn!("{} says that it hangs; {place}", self.run.job);
        }
    }

    fn beat(&self) {
        if let Some(slot) = &self.slot {
            slot.beat();
        }
    }

    /// The pidfd has become readable: the process has ended, or has now been waited for. Only
    /// then does the kernel tell how it ended.
    pub(super) fn note_end(&mut self) {
        self.ended = true;
        self.ended_at.get_or_insert_with(Utc::now);
        if self.status.is_none() {
            self.status = self.process.as_ref().and_then(spawn::exit_status);
        }
    }

    /// The supervisor knows the end; only the pipe is still read.
    pub(super) fn settle(&mut self) {
        self.settled = true;
        self.ended = true;
        self.process = None;
        self.notify = None;
    }

    /// The descriptors still held, with what they are.
    pub(super) fn descriptors(&self) -> Vec<(Attached, BorrowedFd<'_>)> {
        let all = [
            (Attached::Output, &self.output),
            (Attached::Notify, &self.notify),
            (Attached::Process, &self.process),
        ];
        let open = all.into_iter().filter_map(|(kind, descriptor)| {
            descriptor
                .as_ref()
                .map(|descriptor| (kind, descriptor.as_fd()))
        });
        open.collect()
    }
}
