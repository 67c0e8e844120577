//! How a supervisor begins: the home is locked, the recorder and the watchdog are there, the files are
//! read, the runs of an earlier one are found; only then does anything start. And how it ends.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use jobfile::Home;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::clients::Clients;
use super::load::Loader;
use super::memory::MemoryFile;
use super::records::{announce_own_log, make_folder};
use super::restart::Carried;
use super::runs::Runs;
use super::start::Starter;
use super::tables::Tables;
use super::trees::Trees;
use super::watchdog::Watchdog;
use super::{Supervisor, now};
use crate::cgroup::Cgroups;
use crate::control::server;
use crate::errand::Errands;
use crate::error::Error;
use crate::lock::{self, Locked};
use crate::own_log;
use crate::plan::memory::Memory;
use crate::plan::{Event, State, event};
use crate::program;
use crate::recorder::link::Link;
use crate::recorder::message::ToRecorder;
use crate::wait::{Source, Wait, since_boot};
use crate::watch::Watch;

/// How long the end waits for the recorder to write down what it was told.
const LAST_WORDS: Duration = Duration::from_secs(10);

impl Supervisor {
    /// A supervisor from scratch. `ready` hears when it is complete.
    pub(super) fn boot(home: Home, aloud: bool, ready: Option<File>) -> Result<Supervisor, Error> {
        for folder in [&home.run, &home.state, &home.log] {
            // state and logs may be on a full disk; sockets and the lock must be somewhere
            match make_folder(folder) {
                Err(error) if *folder == home.run => return Err(error),
                Err(_) | Ok(()) => {}
            }
        }
        let path = home.run.join("procctl.lock");
        let lock = match lock::take(&path).map_err(Error::io("lock", &path))? {
            Locked::Ours(lock) => lock,
            Locked::Taken(pid) => {
                return Err(Error::Locked {
                    home: home.root,
                    pid,
                });
            }
        };
        let log = own_log::begin(&home.root, aloud, None).map_err(Error::system("make a pipe"))?;
        let (memory, remembered) = MemoryFile::open(&home.state);
        let state = new_state(remembered);
        let listener = server::listen(&home.run)
            .map_err(Error::io("listen at", &crate::control::path(&home.run)))?;
        let starter = Starter::new().map_err(Error::system("prepare for starts"))?;
        let link = Link::new(&home.run);
        let clients = Clients::new(listener, 0);
        let watchdog = Watchdog::resume(None, None, since_boot());
        let mut supervisor = Supervisor::assemble(Parts {
            home,
            lock,
            log,
            state,
            memory,
            starter,
            link,
            clients,
            watchdog,
            ready,
            booting: true,
        })?;
        log::info!(
            "procctl {} supervises {}",
            env!("CARGO_PKG_VERSION"),
            supervisor.home.root.display()
        );
        if supervisor.link.find(since_boot()) {
            supervisor.watch_link();
        } else {
            supervisor.start_recorder(since_boot());
        }
        supervisor.begin()?;
        Ok(supervisor)
    }

    /// A supervisor that takes over in place of an older program.
    pub(super) fn resume(home: Home, carried: Carried) -> Result<Supervisor, Error> {
        let log = own_log::begin(&home.root, carried.aloud, Some(carried.log))
            .map_err(Error::system("take over the log"))?;
        let (memory, remembered) = MemoryFile::open(&home.state);
        let (state, whole) = match State::restore(&carried.state) {
            Ok(state) => (state, true),
            Err(error) => {
                log::error!(
                    "the older procctl's state is not understood, its runs are adopted: {error}"
                );
                (new_state(remembered), false)
            }
        };
        let starter = Starter::new().map_err(Error::system("prepare for starts"))?;
        let mut tables = Tables::new(home.hash(), home.settings.max_step.0);
        let own = nix::unistd::geteuid().as_raw();
        let slot = carried.watchdog.1.and_then(|slot| tables.find(own, slot));
        let now = since_boot();
        let mut link = Link::new(&home.run);
        if let Some(socket) = carried.link {
            link.resume(socket, carried.recorder, now);
        }
        for kept in carried.kept {
            link.restore(kept);
        }
        link.put_back(carried.unsent);
        let mut supervisor = Supervisor::assemble(Parts {
            lock: lock::resume(carried.lock),
            log,
            state,
            memory,
            starter: starter.with_files(carried.files),
            link,
            clients: Clients::new(carried.listener, carried.last_token),
            watchdog: Watchdog::resume(carried.watchdog.0, slot, now),
            ready: None,
            booting: !whole,
            home,
        })?;
        if supervisor.link.socket().is_some() {
            supervisor.watch_link();
        } else {
            supervisor.start_recorder(now);
        }
        if whole {
            supervisor.take_runs(carried.runs);
        }
        if let Some(client) = carried.client {
            supervisor.answer_restarted(client);
        }
        supervisor.begin()?;
        supervisor.reap();
        log::info!(
            "procctl {} has taken over in place",
            env!("CARGO_PKG_VERSION")
        );
        Ok(supervisor)
    }

    fn assemble(parts: Parts) -> Result<Supervisor, Error> {
        nix::sys::prctl::set_child_subreaper(true)
            .map_err(Error::system("become the reaper of orphans"))?;
        let wait = Wait::new().map_err(Error::system("prepare to wait"))?;
        let home = parts.home;
        let cgroups = Cgroups::find(home.hash());
        let watch = Watch::new(&home.jobs)
            .inspect_err(|error| log::error!("watch {}: {error}", home.jobs.display()))
            .ok();
        let program = program::own();
        Ok(Supervisor {
            lock: parts.lock,
            program,
            state: parts.state,
            events: VecDeque::new(),
            wait,
            link: parts.link,
            runs: Runs::default(),
            tables: Tables::new(home.hash(), home.settings.max_step.0),
            cgroups,
            clients: parts.clients,
            watch,
            loader: Loader::new(&home.root, &home.jobs),
            errands: Errands::default(),
            watchdog: parts.watchdog,
            memory: parts.memory,
            starter: parts.starter,
            trees: Trees::default(),
            log: parts.log,
            trouble: None,
            orders: VecDeque::new(),
            ready: parts.ready,
            booting: parts.booting,
            ending: None,
            home,
        })
    }

    /// What every beginning has in common, once the recorder is there.
    fn begin(&mut self) -> Result<(), Error> {
        let number = u64::try_from(chrono::Utc::now().timestamp_micros()).unwrap_or(1);
        announce_own_log(&mut self.link, &self.log, number);
        self.listen().map_err(Error::system("wait for clients"))?;
        if let Some(watch) = &self.watch
            && let Err(error) = self.wait.add(watch.descriptor(), Source::Folder, false)
        {
            log::error!("watch the jobs folder: {error}");
        }
        self.memory.replace(&self.state.memory());
        self.events
            .push_back(Event::Configured(settings(&self.home)));
        if !self.booting {
            self.serve_watchdog(since_boot());
        }
        self.reread(None, Vec::new());
        self.run_errands(since_boot());
        Ok(())
    }

    /// The job files are known for the first time: the runs that were left are found, starts may begin.
    pub(super) fn finish_boot(&mut self) {
        if !std::mem::replace(&mut self.booting, false) {
            return;
        }
        self.adopt();
        if let Some(cgroups) = &self.cgroups {
            cgroups.sweep();
        }
        self.events.push_back(Event::Booted);
        self.serve_watchdog(since_boot());
        if let Some(mut ready) = self.ready.take()
            && let Err(error) = ready.write_all(super::detach::READY)
        {
            log::warn!("tell that we are ready: {error}");
        }
    }

    /// Takes new settings.
    pub(super) fn configure(&mut self, home: Home) {
        if (&home.state, &home.log, &home.run) != (&self.home.state, &self.home.log, &self.home.run)
        {
            log::warn!("other folders in the settings are taken at the next restart");
        }
        self.home.settings = home.settings;
        self.tables.set_max_step(self.home.settings.max_step.0);
        self.events
            .push_back(Event::Configured(settings(&self.home)));
    }

    /// Everything is down: the recorder writes down what it was told, and all ends.
    pub(super) fn leave(&mut self) -> Result<(), Error> {
        log::info!("procctl ends");
        self.errands.abandon();
        self.dismiss_watchdog();
        self.link.send(&ToRecorder::Quit);
        self.see_recorder_off();
        if let Some(cgroups) = &self.cgroups {
            cgroups.leave();
        }
        let socket = crate::control::path(&self.home.run);
        if let Err(error) = std::fs::remove_file(&socket) {
            log::debug!("remove {}: {error}", socket.display());
        }
        Ok(())
    }

    /// Waits until the recorder has closed its side: then everything is on disk, or cannot be.
    fn see_recorder_off(&mut self) {
        let end = since_boot() + LAST_WORDS;
        loop {
            let now = since_boot();
            if now >= end || self.link.flush().is_err() {
                return;
            }
            match self.link.receive() {
                Ok(Some(_)) => continue,
                Ok(None) => {}
                Err(_) => return,
            }
            let Some(socket) = self.link.socket() else {
                return;
            };
            let mut interest = PollFlags::IN;
            if self.link.wants_to_write() {
                interest |= PollFlags::OUT;
            }
            let left = end - now;
            let limit = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut one = [PollFd::from_borrowed_fd(socket.as_fd(), interest)];
            if let Err(error) = poll(&mut one, Some(&limit))
                && error != rustix::io::Errno::INTR
            {
                return;
            }
        }
    }
}

/// What the two ways to begin differ in.
struct Parts {
    home: Home,
    lock: File,
    log: OwnedFd,
    state: State,
    memory: MemoryFile,
    starter: Starter,
    link: Link,
    clients: Clients,
    watchdog: Watchdog,
    ready: Option<File>,
    booting: bool,
}

/// What the plan takes from the settings.
fn settings(home: &Home) -> event::Settings {
    let pools = home.settings.pools.iter();
    event::Settings {
        pools: pools
            .map(|pool| (pool.name.as_str().into(), pool.size))
            .collect(),
        evidence: home.log.join("evidence"),
    }
}

/// The state of a plan that has just begun.
fn new_state(remembered: Memory) -> State {
    let now = now();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let seed =
        u64::try_from(now.wall.timestamp_micros()).unwrap_or(0) ^ u64::from(std::process::id());
    State::new(remembered, boot.trim(), seed, now)
}
