//! Restart in place: this process executes procctl anew, and state and descriptors go along in a memory
//! file. Children stay ours, signals stay blocked, the lock stays held: nobody notices.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{FdFlags, fcntl_setfd};
use serde::{Deserialize, Serialize};

use super::Supervisor;
use super::runs::{Live, Watched};
use crate::error::Error;
use crate::own_log;
use crate::plan::{Answer, RunId, Signal, Token};
use crate::recorder::link::{Kept, Unsent};
use crate::recorder::message::Run;
use crate::spawn;

/// Names the descriptor of the memory file to the new program.
const VARIABLE: &str = "PROCCTL_RESUME";

/// What goes along, with descriptors as the numbers that they have.
#[derive(Serialize, Deserialize)]
struct Baggage {
    state: String,
    aloud: bool,
    lock: RawFd,
    listener: RawFd,
    last_token: Token,
    client: Option<RawFd>,
    log: (RawFd, RawFd),
    link: Option<RawFd>,
    recorder: Option<i32>,
    watchdog: (Option<i32>, Option<(u32, u32)>),
    files: (u64, u64),
    runs: Vec<LiveBaggage>,
    kept: Vec<KeptBaggage>,
    unsent: Vec<Unsent>,
}

#[derive(Serialize, Deserialize)]
struct LiveBaggage {
    id: RunId,
    job: String,
    pid: i32,
    start_time: u64,
    pidfd: Option<RawFd>,
    slot: Option<(u32, u32)>,
    watch: Watched,
    cgroup: Option<PathBuf>,
    rest: bool,
    killing: bool,
}

#[derive(Serialize, Deserialize)]
struct KeptBaggage {
    run: Run,
    output: Option<RawFd>,
    notify: Option<RawFd>,
}

/// What came along, with its descriptors open.
pub(super) struct Carried {
    pub(super) state: String,
    pub(super) aloud: bool,
    pub(super) lock: OwnedFd,
    pub(super) listener: OwnedFd,
    pub(super) last_token: Token,
    pub(super) client: Option<OwnedFd>,
    pub(super) log: (OwnedFd, OwnedFd),
    pub(super) link: Option<OwnedFd>,
    pub(super) recorder: Option<i32>,
    pub(super) watchdog: (Option<i32>, Option<(u32, u32)>),
    pub(super) files: (u64, u64),
    pub(super) runs: Vec<CarriedRun>,
    pub(super) kept: Vec<Kept>,
    pub(super) unsent: Vec<Unsent>,
}

/// A run that came along.
pub(super) struct CarriedRun {
    baggage: LiveBaggage,
    pidfd: Option<OwnedFd>,
}

/// What an older program in this process left for us; `None` when there was none.
pub(super) fn carried() -> Result<Option<Carried>, Error> {
    let Some(number) = std::env::var_os(VARIABLE) else {
        return Ok(None);
    };
    let lost = || Error::Refused("what the older procctl left cannot be read".to_string());
    let number = number.to_str().and_then(|number| number.parse().ok());
    let file = number.and_then(spawn::inherited).ok_or_else(lost)?;
    let mut text = String::new();
    let mut file = File::from(file);
    file.rewind()
        .and_then(|()| file.read_to_string(&mut text))
        .map_err(Error::system("read what the older procctl left"))?;
    let baggage: Baggage = serde_json::from_str(&text).map_err(|_| lost())?;
    let open = |number: RawFd| spawn::inherited(number).ok_or_else(lost);
    let maybe = |number: Option<RawFd>| number.and_then(spawn::inherited);
    Ok(Some(Carried {
        state: baggage.state,
        aloud: baggage.aloud,
        lock: open(baggage.lock)?,
        listener: open(baggage.listener)?,
        last_token: baggage.last_token,
        client: maybe(baggage.client),
        log: (open(baggage.log.0)?, open(baggage.log.1)?),
        link: maybe(baggage.link),
        recorder: baggage.recorder,
        watchdog: baggage.watchdog,
        files: baggage.files,
        runs: baggage
            .runs
            .into_iter()
            .map(|live| CarriedRun {
                pidfd: maybe(live.pidfd),
                baggage: live,
            })
            .collect(),
        kept: baggage
            .kept
            .into_iter()
            .map(|kept| Kept {
                run: kept.run,
                output: maybe(kept.output),
                notify: maybe(kept.notify),
            })
            .collect(),
        unsent: baggage.unsent,
    }))
}

impl Supervisor {
    /// Executes this program anew. Comes back only when that fails, with everything as it was.
    pub(super) fn restart(&mut self, token: Token) {
        let why = match self.try_restart(token) {
            Ok(never) => match never {},
            Err(error) => error.chain(),
        };
        log::error!("restart: {why}");
        let text = format!("cannot restart: {why}");
        self.answer(token, &Answer::Refused { text });
    }

    fn try_restart(&mut self, token: Token) -> Result<std::convert::Infallible, Error> {
        // the new program reads the settings again: wrong ones must not end it
        jobfile::Home::open(&self.home.root)
            .map_err(|problems| Error::Refused(problems.to_string()))?;
        let program = match self.program.exists() {
            true => self.program.clone(),
            false => PathBuf::from("/proc/self/exe"),
        };
        let (text, numbers) = self.pack(token)?;
        let file = memfd_create("procctl-restart", MemfdFlags::CLOEXEC)
            .map_err(Error::system("make a memory file"))?;
        let mut file = File::from(file);
        file.write_all(text.as_bytes())
            .map_err(Error::system("write the memory file"))?;
        let words = ["procctl", "run", "--home"].map(|word| word.as_bytes().to_vec());
        let words = words
            .into_iter()
            .chain([self.home.root.as_os_str().as_bytes().to_vec()]);
        let resume = format!("{VARIABLE}={}", file.as_raw_fd());
        let environment = crate::background::environment()
            .filter(|(name, _)| name != VARIABLE)
            .map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat())
            .chain([resume.into_bytes()]);
        let program = c_strings([program.as_os_str().as_bytes().to_vec()])?;
        let (words, environment) = (c_strings(words)?, c_strings(environment)?);
        log::info!("procctl restarts in place");
        self.mark(&file, &numbers, FdFlags::empty())?;
        let failed = nix::unistd::execve(&program[0], &words, &environment);
        self.mark(&file, &numbers, FdFlags::CLOEXEC)?;
        failed.map_err(Error::system("execute procctl"))
    }

    /// Sets whether the descriptors survive an exec.
    fn mark(&self, file: &File, numbers: &Descriptors, flags: FdFlags) -> Result<(), Error> {
        let set = |fd: std::os::fd::BorrowedFd<'_>| {
            fcntl_setfd(fd, flags).map_err(Error::system("mark a descriptor for the restart"))
        };
        set(file.as_fd())?;
        set(self.lock.as_fd())?;
        set(self.clients.carry().0.as_fd())?;
        set(self.log.as_fd())?;
        if let Some(pipe) = own_log::pipe() {
            set(pipe.as_fd())?;
        }
        if let Some(client) = numbers
            .client
            .and_then(|token| self.clients.of_token(token))
        {
            set(client.as_fd())?;
        }
        if let Some(socket) = self.link.socket() {
            set(socket.as_fd())?;
        }
        for pidfd in self.runs.iter().filter_map(|live| live.pidfd.as_ref()) {
            set(pidfd.as_fd())?;
        }
        for kept in self.link.kept() {
            for descriptor in [&kept.output, &kept.notify].into_iter().flatten() {
                set(descriptor.as_fd())?;
            }
        }
        Ok(())
    }

    /// Everything that goes along, as text.
    fn pack(&self, token: Token) -> Result<(String, Descriptors), Error> {
        let state = self
            .state
            .snapshot()
            .map_err(|error| Error::Refused(error.to_string()))?;
        let (listener, last_token) = self.clients.carry();
        let pipe = own_log::pipe().ok_or_else(|| Error::Refused("there is no log".to_string()))?;
        let number = |fd: &OwnedFd| fd.as_raw_fd();
        let baggage = Baggage {
            state,
            aloud: own_log::is_aloud(),
            lock: self.lock.as_raw_fd(),
            listener: number(listener),
            last_token,
            client: self
                .clients
                .of_token(token)
                .map(|client| client.as_fd().as_raw_fd()),
            log: (number(&self.log), number(pipe)),
            link: self.link.socket().map(number),
            recorder: self.link.process(),
            watchdog: self.watchdog.carry(),
            files: self.starter.files(),
            runs: self.runs.iter().map(|live| self.pack_run(live)).collect(),
            unsent: self.link.unsent(),
            kept: self
                .link
                .kept()
                .map(|kept| KeptBaggage {
                    run: kept.run.clone(),
                    output: kept.output.as_ref().map(number),
                    notify: kept.notify.as_ref().map(number),
                })
                .collect(),
        };
        let text =
            serde_json::to_string(&baggage).map_err(|error| Error::Refused(error.to_string()))?;
        let client = Some(token);
        Ok((text, Descriptors { client }))
    }

    /// Takes over the runs of the older program.
    pub(super) fn take_runs(&mut self, runs: Vec<CarriedRun>) {
        for run in runs {
            let CarriedRun { baggage, pidfd } = run;
            let slot = baggage
                .slot
                .and_then(|slot| self.tables.find(baggage.watch.table, slot));
            let (id, rest, killing) = (baggage.id, baggage.rest, baggage.killing);
            self.runs.insert(Live {
                id,
                job: baggage.job.as_str().into(),
                pid: baggage.pid,
                start_time: baggage.start_time,
                pidfd: None,
                slot,
                watch: baggage.watch,
                cgroup: baggage.cgroup,
                rest,
            });
            if rest {
                self.runs.forget_process(id);
                self.watch_rest(id, Vec::new());
            } else if let Some(pidfd) = pidfd {
                self.hear_of_end(id, pidfd);
            }
            if killing {
                self.signal_tree(id, Signal::Kill);
            }
        }
    }

    fn pack_run(&self, live: &Live) -> LiveBaggage {
        LiveBaggage {
            id: live.id,
            job: live.job.to_string(),
            pid: live.pid,
            start_time: live.start_time,
            pidfd: live.pidfd.as_ref().map(AsRawFd::as_raw_fd),
            slot: live.slot.as_ref().map(checkproc::Slot::handle),
            watch: live.watch,
            cgroup: live.cgroup.clone(),
            rest: live.rest,
            killing: self.trees.is_killing(live.id),
        }
    }
}

/// Which descriptors go along beside those that always do.
struct Descriptors {
    client: Option<Token>,
}

fn c_strings(all: impl IntoIterator<Item = Vec<u8>>) -> Result<Vec<CString>, Error> {
    let all: Result<Vec<CString>, _> = all.into_iter().map(CString::new).collect();
    all.map_err(|_| Error::Refused("a zero byte in our own words".to_string()))
}
