//! A home whose supervisor is the test, and the recorder of it.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use checkproc::{Claim, Slot, Table};
use procctl::launch::Launch;
use procctl::recorder::link::{Kept, Link};
use procctl::recorder::message::{Beats, FromRecorder, Run, ToRecorder};
use procctl::spawn;

/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the test `name` (with its module) in a process of its own whose heartbeat table is private. True in that process.
pub(crate) fn alone(name: &str) -> bool {
    if std::env::var_os("PROCCTL_TABLE").is_some() {
        return true;
    }
    let table = format!("test-{}-{name}", std::process::id());
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("PROCCTL_TABLE", &table)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let uid = nix::unistd::geteuid();
    // a test that needed no table has made none
    drop(fs::remove_file(format!(
        "/dev/shm/procctl-heartbeat-{uid}-{table}"
    )));
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{told}");
    assert!(told.contains("1 passed"), "no test has the name {name}");
    false
}

pub(crate) fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A home whose supervisor is the test.
pub(crate) struct Played {
    pub(crate) home: tempfile::TempDir,
    pub(crate) link: Link,
    pub(crate) said: Vec<(FromRecorder, Vec<OwnedFd>)>,
}

impl Played {
    pub(crate) fn new() -> Played {
        let home = tempfile::tempdir().unwrap();
        for folder in ["log", "run", "state"] {
            fs::create_dir(home.path().join(folder)).unwrap();
        }
        let mut played = Played {
            link: Link::new(&home.path().join("run")),
            home,
            said: Vec::new(),
        };
        let root = played.home.path().to_owned();
        played
            .link
            .start(Duration::ZERO, |listener| recorder(&root, listener))
            .unwrap();
        played
    }

    pub(crate) fn log(&self, job: &str) -> PathBuf {
        self.home.path().join("log").join(format!("{job}.log"))
    }

    pub(crate) fn text(&self, job: &str) -> String {
        fs::read_to_string(self.log(job)).unwrap_or_default()
    }

    pub(crate) fn send(&mut self, message: &ToRecorder) {
        self.link.send(message);
        self.link.flush().unwrap();
    }

    /// Announces a run; the write end of its pipe comes back.
    pub(crate) fn announce(
        &mut self,
        change: impl FnOnce(&mut Kept),
        process: Option<OwnedFd>,
    ) -> File {
        let (read, write) = io::pipe().unwrap();
        let mut kept = Kept {
            run: run(1, "a"),
            output: Some(read.into()),
            notify: None,
        };
        change(&mut kept);
        self.link.announce(kept, process);
        self.link.flush().unwrap();
        OwnedFd::from(write).into()
    }

    /// Waits for something that the recorder says.
    pub(crate) fn hear<T>(&mut self, mut wanted: impl FnMut(&FromRecorder) -> Option<T>) -> T {
        until("the recorder says it", || {
            while let Some(said) = self.link.receive().unwrap() {
                self.said.push(said);
            }
            self.said.iter().find_map(|(message, _)| wanted(message))
        })
    }

    /// As if the supervisor were killed: the connection is gone. The recorder's pid.
    pub(crate) fn die(&mut self) -> i32 {
        let process = self.link.process().unwrap();
        self.link = Link::new(&self.home.path().join("run"));
        process
    }
}

pub(crate) fn run(id: u64, job: &str) -> Run {
    Run {
        run: id,
        job: job.into(),
        pid: 1,
        start_time: 1,
        slot: None,
        table: nix::unistd::geteuid().as_raw(),
        beats: Beats::None,
        stamped: true,
        attached: Vec::new(),
    }
}

pub(crate) fn recorder(home: &Path, listener: BorrowedFd<'_>) -> io::Result<i32> {
    let text = |text: &str| CString::new(text).unwrap();
    let null = File::open("/dev/null")?;
    let errors = File::create(home.join("recorder.err"))?;
    let (_failures, failed) = io::pipe()?;
    let failed = rustix::io::fcntl_dupfd_cloexec(&failed, 10)?;
    let table = std::env::var("PROCCTL_TABLE").unwrap_or_default();
    let born = spawn::launch(&Launch {
        run: 0,
        programs: vec![text(env!("CARGO_BIN_EXE_procctl"))],
        arguments: ["procctl", "recorder", "--home", home.to_str().unwrap()]
            .map(text)
            .to_vec(),
        environment: vec![text(&format!("PROCCTL_TABLE={table}"))],
        folder: text("/"),
        umask: None,
        nice: None,
        limits: Vec::new(),
        identity: None,
        input: null.as_fd(),
        output: errors.as_fd(),
        errors: errors.as_fd(),
        third: Some(listener),
        cgroup: None,
        failures: failed.as_fd(),
    })?;
    Ok(born.pid)
}

pub(crate) fn ended(pid: i32) -> Option<()> {
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    let pid = nix::unistd::Pid::from_raw(pid);
    let status = waitpid(pid, Some(WaitPidFlag::WNOHANG)).unwrap();
    match status {
        WaitStatus::StillAlive => None,
        status => {
            assert_eq!(status, WaitStatus::Exited(pid, 0));
            Some(())
        }
    }
}

pub(crate) fn claim(table: &Table) -> Slot {
    let claim = Claim {
        name: "a",
        home: 1,
        run: 1,
        pid: Some(std::process::id()),
        heartbeat: Some(Duration::from_secs(60)),
        hang_grace: Duration::from_secs(2),
        max_step: Duration::from_secs(60),
    };
    table.claim(&claim).unwrap()
}
