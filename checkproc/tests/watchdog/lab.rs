//! A private table, a folder, processes that end with the test, and the program under test.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use checkproc::process::{self, ProcStat};
use checkproc::tree::Member;
use checkproc::{Claim, Slot, Table};

pub(crate) const GRACE: Duration = Duration::from_millis(400);
const PROGRAM: &str = env!("CARGO_BIN_EXE_checkproc");

pub(crate) struct Lab {
    pub(crate) table: Table,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) suffix: String,
    watchdog: Option<Child>,
    children: Vec<Child>,
    beaten: Arc<Mutex<Vec<Slot>>>,
    end: Arc<AtomicBool>,
    beater: Option<JoinHandle<()>>,
}

impl Lab {
    pub(crate) fn new() -> Lab {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let suffix = format!(
            "lab-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let (beaten, end) = (
            Arc::new(Mutex::new(Vec::new())),
            Arc::new(AtomicBool::new(false)),
        );
        let (slots, stop) = (Arc::clone(&beaten), Arc::clone(&end));
        let beat_all = move || {
            while !stop.load(Ordering::Relaxed) {
                slots.lock().unwrap().iter().for_each(|slot: &Slot| {
                    slot.beat();
                });
                std::thread::park_timeout(Duration::from_millis(20));
            }
        };
        Lab {
            table: Table::open_private(&suffix).unwrap(),
            folder: tempfile::tempdir().unwrap(),
            suffix,
            watchdog: None,
            children: Vec::new(),
            beaten,
            end,
            beater: Some(std::thread::spawn(beat_all)),
        }
    }

    /// The program with these arguments, on the private table and free of what the caller's environment says.
    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).env("PROCCTL_TABLE", &self.suffix);
        for name in ["PROCCTL_SLOT", "PROCCTL_RUN", "PROCCTL_JOB", "PROCCTL_HOME"] {
            command.env_remove(name);
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.program(arguments).output().unwrap()
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        self.folder.path().join("checkproc.log")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Starts the resident watchdog, scanning each `every`.
    pub(crate) fn watch(&mut self, every: &str) -> u32 {
        let log = self.log_file().display().to_string();
        let child = self.program(&["--every", every, &log]).spawn().unwrap();
        let pid = child.id();
        self.watchdog = Some(child);
        until("the watchdog is at work", || {
            self.log().contains("watching")
        });
        pid
    }

    pub(crate) fn watchdog(&mut self) -> &mut Child {
        self.watchdog.as_mut().unwrap()
    }

    /// Starts a process that leads its own session, with a slot of this heartbeat.
    pub(crate) fn job(&mut self, name: &str, heartbeat_ms: u64, script: &str) -> Job {
        let run = process::monotonic_ns();
        let mut command = Command::new("setsid");
        command
            .args(["bash", "-c", script])
            .env("PROCCTL_RUN", run.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let pid = child.id();
        self.children.push(child);
        let slot = self.claim(name, pid, heartbeat_ms, run);
        let start_time = process::start_time(pid).unwrap();
        Job {
            slot,
            member: Member { pid, start_time },
        }
    }

    pub(crate) fn claim(&self, name: &str, pid: u32, heartbeat_ms: u64, run: u64) -> Slot {
        let heartbeat = Some(Duration::from_millis(heartbeat_ms));
        let max_step = Duration::from_secs(3600);
        let claim = Claim {
            name,
            home: 0,
            run,
            pid: Some(pid),
            heartbeat,
            hang_grace: GRACE,
            max_step,
        };
        self.table.claim(&claim).unwrap()
    }

    /// From now on this slot is beaten every 20 ms.
    pub(crate) fn keep_beating(&self, slot: &Slot) {
        self.beaten.lock().unwrap().push(slot.clone());
    }

    /// From now on nobody's slot is beaten.
    pub(crate) fn stop_beating(&self) {
        self.beaten.lock().unwrap().clear();
    }

    /// Everything that was started, dead or alive.
    pub(crate) fn reap(&mut self) {
        self.children
            .retain_mut(|child| child.try_wait().unwrap().is_none());
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if std::thread::panicking() {
            let rows = self.table.rows();
            let pid = self.watchdog.as_ref().map_or(0, Child::id);
            let mut out = std::io::stderr().lock();
            let (state, log) = (state(pid), self.log());
            writeln!(
                out,
                "the watchdog ({pid}, state {state}) says:\n{log}{rows:#?}"
            )
            .ok();
        }
        for child in self.watchdog.iter_mut().chain(&mut self.children) {
            // Once waited for, its pid may be another's.
            if !matches!(child.try_wait(), Ok(None)) {
                continue;
            }
            let target = checkproc::tree::Target {
                pid: child.id(),
                start_time: process::start_time(child.id()).unwrap_or(0),
                run: None,
                cgroup: None,
            };
            checkproc::tree::signal(&target, process::Signal::KILL);
            child.wait().ok();
        }
        self.beater.take().map(JoinHandle::join);
        std::fs::remove_file(self.table.path()).ok();
    }
}

pub(crate) struct Job {
    pub(crate) slot: Slot,
    pub(crate) member: Member,
}

impl Job {
    pub(crate) fn is_alive(&self) -> bool {
        is_alive(self.member)
    }
}

pub(crate) fn is_alive(member: Member) -> bool {
    process::is_alive(member.pid, member.start_time)
}

pub(crate) fn state(pid: u32) -> char {
    ProcStat::read(pid).map_or('?', |stat| stat.state)
}

pub(crate) fn signal(pid: u32, signal: process::Signal) {
    let start = process::start_time(pid).unwrap();
    assert!(process::send_signal(pid, start, signal).unwrap());
}

/// Waits for a condition, at most 20 seconds; returns how long it took.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !done() {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "waited in vain until {what}"
        );
        std::thread::park_timeout(Duration::from_millis(5));
    }
    begun.elapsed()
}

/// Checks that a condition holds all the time.
pub(crate) fn throughout(what: &str, time: Duration, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        assert!(holds(), "not so: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

pub(crate) fn skipped(why: &str) {
    writeln!(std::io::stderr().lock(), "skipped: {why}").unwrap();
}
