//! The thread that waits for disks: appends lines to the jobs' logs and stores the history.
//! Nothing that goes wrong here stops it: what could not be written is counted, told to the
//! supervisor as trouble, and noted in the log as soon as that can be written again.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fd::OwnedFd;

use super::logfile::{LogFile, Rotation};
use super::queue::{Queue, Taken, Work};
use super::stamp;
use crate::history::Store;

/// Most logs that are open at a time; the one unused for longest makes room.
const MOST_OPEN: usize = 256;

/// Logs unused for so long are closed.
const IDLE: Duration = Duration::from_secs(30);

/// How often what could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// How often a log in use is checked for having been moved by somebody else.
const FOLLOW: Duration = Duration::from_secs(1);

/// What an operator should know, for the loop to tell; a change makes `bell` readable.
#[derive(Debug)]
pub(super) struct Troubles {
    text: Mutex<Option<String>>,
    bell: OwnedFd,
}

impl Troubles {
    /// No trouble yet; `bell` is an eventfd.
    pub(super) fn new(bell: OwnedFd) -> Troubles {
        Troubles {
            text: Mutex::new(None),
            bell,
        }
    }

    /// The trouble there is now.
    pub(super) fn now(&self) -> Option<String> {
        let text = self.text.lock();
        text.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, new: Option<String>) {
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        if *text == new {
            return;
        }
        match &new {
            Some(trouble) => log::error!("{trouble}"),
            None => log::info!("logs and history are written again"),
        }
        *text = new;
        drop(text);
        // a full counter already says that the bell has rung
        if let Err(error) = rustix::io::write(&self.bell, &1_u64.to_ne_bytes())
            && error != rustix::io::Errno::AGAIN
        {
            log::warn!("ring the loop's bell: {error}");
        }
    }
}

/// The log of one job.
#[derive(Debug, Default)]
struct JobLog {
    open: Option<LogFile>,
    used: Option<Instant>,
    followed: Option<Instant>,
    /// Lines that could not be written since the last that could.
    lost: u64,
}

/// All that the thread owns.
pub(super) struct Writer {
    folder: PathBuf,
    rotation: Rotation,
    logs: HashMap<String, JobLog>,
    history: Store,
    log_trouble: Option<String>,
    tried: Instant,
    history_trouble: Option<String>,
    troubles: Arc<Troubles>,
}

impl Writer {
    /// Writes logs into `folder`.
    pub(super) fn new(folder: PathBuf, history: Store, troubles: Arc<Troubles>) -> Writer {
        Writer {
            folder,
            rotation: Rotation::default(),
            logs: HashMap::new(),
            history,
            log_trouble: None,
            tried: Instant::now(),
            history_trouble: None,
            troubles,
        }
    }

    /// Works until the queue is closed and empty, then syncs.
    pub(super) fn run(mut self, queue: &Queue) {
        loop {
            let waiting = self.history.waiting() > 0;
            let patience = match (waiting || self.log_trouble.is_some(), self.logs.is_empty()) {
                (true, _) => Some(AGAIN),
                (false, false) => Some(IDLE),
                (false, true) => None,
            };
            match queue.take(patience) {
                Taken::Work(work) => self.write(work),
                Taken::Nothing => {
                    self.store(Vec::new());
                    self.try_again();
                    self.tell();
                    self.close_idle();
                }
                Taken::Closed => break,
            }
        }
        for (job, log) in &self.logs {
            let synced = log.open.as_ref().map_or(Ok(()), LogFile::sync);
            if let Err(error) = synced {
                log::warn!("sync the log of {job}: {error}");
            }
        }
        self.history.close();
    }

    fn write(&mut self, work: impl IntoIterator<Item = Work>) {
        let now = Instant::now();
        let mut entries = Vec::new();
        for work in work {
            match work {
                Work::Lines { job, text } => self.append(&job, &text, now),
                Work::Entry(entry) => entries.push(entry),
                Work::Rotate(rotation) => self.rotation = rotation,
            }
        }
        self.store(entries);
        if self.log_trouble.is_some() && now.saturating_duration_since(self.tried) >= AGAIN {
            self.try_again();
        }
        self.tell();
    }

    /// Tells what is wrong now. The same words as long as the same is wrong, whichever job is met by it: what is said
    /// about trouble is written to a log itself, and must not stir up more of it.
    fn tell(&mut self) {
        if self.logs.values().all(|log| log.lost == 0) {
            self.log_trouble = None;
        }
        let trouble = self.log_trouble.as_ref().or(self.history_trouble.as_ref());
        self.troubles.set(trouble.cloned());
    }

    /// Stores entries and those that still wait.
    fn store(&mut self, entries: Vec<String>) {
        let stored = self.history.add(entries);
        self.history_trouble = stored
            .err()
            .map(|error| format!("cannot write the history: {error}"));
    }

    fn append(&mut self, job: &str, text: &[u8], now: Instant) {
        self.make_room(job);
        let log = self.logs.entry(job.to_owned()).or_default();
        if let Err(error) = log.append(&self.folder, job, text, self.rotation, now) {
            let lines = text.iter().filter(|byte| **byte == b'\n').count();
            log.lost += u64::try_from(lines).unwrap_or(u64::MAX);
            let folder = self.folder.display();
            self.log_trouble = Some(format!("cannot write logs in {folder}: {error}"));
        }
    }

    /// Logs that lack lines are tried again, so that trouble does not outlive its cause.
    fn try_again(&mut self) {
        self.tried = Instant::now();
        let lacking = self.logs.iter().filter(|(_, log)| log.lost > 0);
        for job in lacking.map(|(job, _)| job.clone()).collect::<Vec<_>>() {
            self.append(&job, &[], Instant::now());
        }
    }

    /// Closes the log unused for longest where the next one would be too many.
    fn make_room(&mut self, job: &str) {
        if self.logs.len() < MOST_OPEN || self.logs.contains_key(job) {
            return;
        }
        // one that lacks lines still has to say so
        let whole = self.logs.iter().filter(|(_, log)| log.lost == 0);
        let oldest = whole.min_by_key(|(_, log)| log.used);
        if let Some(name) = oldest.map(|(name, _)| name.clone()) {
            self.logs.remove(&name);
        }
    }

    fn close_idle(&mut self) {
        let now = Instant::now();
        let busy = |log: &JobLog| {
            log.used
                .is_some_and(|used| now.saturating_duration_since(used) < IDLE)
        };
        self.logs.retain(|_, log| busy(log) || log.lost > 0);
        self.logs.shrink_to_fit();
    }
}

impl JobLog {
    fn append(
        &mut self,
        folder: &std::path::Path,
        job: &str,
        text: &[u8],
        rotation: Rotation,
        now: Instant,
    ) -> io::Result<()> {
        self.used = Some(now);
        if self.open.is_none() {
            self.open = Some(LogFile::open(folder.join(format!("{job}.log")))?);
            self.followed = Some(now);
        }
        let Some(file) = &mut self.open else {
            return Ok(());
        };
        if self
            .followed
            .is_none_or(|last| now.saturating_duration_since(last) >= FOLLOW)
        {
            self.followed = Some(now);
            file.follow()?;
        }
        if self.lost > 0 {
            let note = format!(
                "{}procctl: {} lines before this could not be written\n",
                stamp(),
                self.lost
            );
            file.append(note.as_bytes(), rotation)?;
            self.lost = 0;
        }
        file.append(text, rotation)
    }
}
