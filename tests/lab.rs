//! A private home with its own heartbeat table, in which a story plays; everything in it ends with it.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a story waits for anything unless it says otherwise; far above what is expected, so that a busy machine passes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The variables that put the clock of a program, and of it alone, ahead of the system's by what a file says (`+1d`), as often as the
/// file says something else. What measures time that passes goes on as it did.
pub(crate) fn false_clock(offset: &Path) -> [(&'static str, String); 5] {
    let library = [
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    ]
    .into_iter()
    .find(|path| fs::exists(path).unwrap_or(false))
    .expect("libfaketime is installed (scripts/test does that)");
    [
        ("LD_PRELOAD", library.to_owned()),
        ("FAKETIME_TIMESTAMP_FILE", offset.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
}

/// The folder with the built programs; `PROGRAMS` names another than the test's own, such as that of a release build.
pub(crate) fn programs() -> PathBuf {
    if let Some(folder) = std::env::var_os("PROGRAMS") {
        return PathBuf::from(folder);
    }
    let exe = std::env::current_exe().expect("the test knows its own path");
    let folder = exe
        .parent()
        .and_then(Path::parent)
        .expect("tests lie in target/PROFILE/deps")
        .to_path_buf();
    assert!(
        folder.join("procctl").exists(),
        "the programs are not built: run cargo build --workspace --bins first"
    );
    folder
}

/// Waits until `probe` gives something, looking every few milliseconds.
///
/// # Panics
/// When it has not within `limit`.
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(
            begun.elapsed() < limit,
            "did not happen within {limit:?}: {what}"
        );
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Whether the process exists and is no zombie.
pub(crate) fn alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| {
            stat.rsplit_once(") ")
                .map(|(_, rest)| !rest.starts_with(['Z', 'X']))
        })
        .unwrap_or(false)
}

/// Sends a signal by number.
pub(crate) fn signal(pid: u32, signal: nix::sys::signal::Signal) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).expect("a pid fits"));
    // a process that has ended meanwhile is what the story wants anyway
    let _gone = nix::sys::signal::kill(pid, signal);
}

/// A home folder, its heartbeat table, and the supervisor that may run in it.
pub(crate) struct Lab {
    folder: tempfile::TempDir,
    table: String,
    environment: Vec<(String, String)>,
    supervisor: Option<Child>,
}

impl Lab {
    /// An empty home; nothing runs yet.
    pub(crate) fn new() -> Lab {
        let folder = tempfile::Builder::new()
            .prefix("procctl-lab.")
            .tempdir()
            .expect("a private folder");
        for name in ["jobs", "kinds", "log", "state", "run"] {
            fs::create_dir(folder.path().join(name)).expect("folders of the home");
        }
        let table = folder
            .path()
            .file_name()
            .and_then(OsStr::to_str)
            .expect("a plain name")
            .to_owned();
        Lab {
            folder,
            table,
            environment: Vec::new(),
            supervisor: None,
        }
    }

    /// A path in the home.
    pub(crate) fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(inside)
    }

    /// Writes a file into the home, whole or not at all, as users' tools do.
    pub(crate) fn write(&self, inside: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(inside);
        let folder = path.parent().expect("a file in a folder");
        fs::create_dir_all(folder).expect("the folder of a file");
        let mut file = tempfile::NamedTempFile::new_in(folder).expect("a temporary file");
        file.write_all(text.as_ref()).expect("writing a file");
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).expect("its mode");
        file.persist(&path).expect("renaming a file");
        path
    }

    /// Puts a job file into the jobs folder.
    pub(crate) fn job(&self, name: &str, xml: &str) -> PathBuf {
        self.write(&format!("jobs/{name}.xml"), xml)
    }

    /// Writes a shell script and gives its path.
    pub(crate) fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.write(name, format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
        path
    }

    /// A command of ours with this home and table in its environment.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(programs().join(program));
        command
            .env("PROCCTL_HOME", self.folder.path())
            .env("PROCCTL_TABLE", &self.table)
            .env_remove("PROCCTL_RUN")
            .env_remove("PROCCTL_SLOT")
            .env("TZ", "UTC")
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// Sets a variable for the supervisor that will be started, and so for its children.
    pub(crate) fn environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// The file behind the heartbeat table.
    pub(crate) fn table(&self) -> PathBuf {
        let uid = nix::unistd::Uid::current();
        PathBuf::from(format!("/dev/shm/procctl-heartbeat-{uid}-{}", self.table))
    }

    /// Runs one of our programs to its end.
    pub(crate) fn run<S: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Output {
        self.command(program)
            .args(arguments)
            .output()
            .expect("running one of the programs")
    }

    /// Runs one of our programs, which must succeed, and gives its standard output.
    pub(crate) fn good<S: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> String {
        let output = self.run(program, arguments);
        assert!(
            output.status.success(),
            "{program} failed with {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("our programs speak UTF-8")
    }

    /// Starts `procctl run` in the foreground of a child and waits until it answers.
    pub(crate) fn supervise(&mut self) -> u32 {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("supervisor.out"))
            .expect("its output");
        let child = self
            .command("procctl")
            .arg("run")
            .envs(self.environment.clone())
            .stdout(log.try_clone().expect("a second descriptor"))
            .stderr(log)
            .spawn()
            .expect("starting procctl");
        let pid = child.id();
        self.supervisor = Some(child);
        wait_for("procctl answers", PATIENCE, || {
            self.run("procctl", ["status"])
                .status
                .success()
                .then_some(())
        });
        pid
    }

    /// The supervisor's pid.
    pub(crate) fn supervisor(&self) -> u32 {
        self.supervisor
            .as_ref()
            .expect("a supervisor was started")
            .id()
    }

    /// Stops the supervisor and its jobs in good order.
    pub(crate) fn stop(&mut self) {
        self.good("procctl", ["stop"]);
        let mut child = self.supervisor.take().expect("a supervisor was started");
        child.wait().expect("reaping procctl");
    }

    /// Kills the supervisor with SIGKILL and reaps it; its jobs go on.
    pub(crate) fn kill_supervisor(&mut self) {
        let mut child = self.supervisor.take().expect("a supervisor was started");
        child.kill().expect("killing procctl");
        child.wait().expect("reaping procctl");
    }

    /// All rows of `procctl status --json`.
    pub(crate) fn statuses(&self) -> Vec<Value> {
        let text = self.good("procctl", ["status", "--json"]);
        match serde_json::from_str(&text).expect("status --json is JSON") {
            Value::Array(rows) => rows,
            Value::Object(mut whole) => match whole.remove("jobs") {
                Some(Value::Array(rows)) => rows,
                other => panic!("status --json without jobs: {other:?}"),
            },
            other => panic!("status --json is {other}"),
        }
    }

    /// The status row of one job, once its file has been read.
    fn row(&self, job: &str) -> Option<Value> {
        self.statuses()
            .into_iter()
            .find(|row| row["name"] == job || row["job"] == job)
    }

    /// The status row of one job.
    pub(crate) fn status(&self, job: &str) -> Value {
        self.row(job)
            .unwrap_or_else(|| panic!("no status of {job}"))
    }

    /// The pid of a job's run, if one goes on.
    pub(crate) fn pid(&self, job: &str) -> Option<u32> {
        self.row(job)?["pid"]
            .as_u64()
            .and_then(|pid| u32::try_from(pid).ok())
    }

    /// Waits until the job runs, and gives its pid.
    pub(crate) fn running(&self, job: &str) -> u32 {
        wait_for(&format!("{job} runs"), PATIENCE, || {
            self.pid(job).filter(|pid| alive(*pid))
        })
    }

    /// Past runs of a job, as `procctl history --json` tells them, newest first.
    pub(crate) fn history(&self, job: &str) -> Vec<Value> {
        let text = self.good("procctl", ["history", job, "--json"]);
        serde_json::from_str(&text).unwrap_or_else(|_| {
            text.lines()
                .map(|line| serde_json::from_str(line).expect("history --json is JSON"))
                .collect()
        })
    }

    /// Makes a certificate for `localhost` that nobody signed, as `cert.pem` and `key.pem` in the home.
    pub(crate) fn certificate(&self) {
        let request = [
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ];
        let made = Command::new("openssl")
            .args(request)
            .args(["-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-keyout", "key.pem", "-out", "cert.pem"])
            .current_dir(self.path(""))
            .output()
            .expect("running openssl");
        assert!(made.status.success(), "{made:?}");
    }

    /// The lines of a file in the home; none while there is no such file.
    pub(crate) fn lines(&self, inside: &str) -> Vec<String> {
        fs::read_to_string(self.path(inside))
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// Every living process that carries this home in its environment.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let mark = format!("PROCCTL_HOME={}", self.folder.path().display());
        fs::read_dir("/proc")
            .expect("/proc")
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| {
                fs::read(format!("/proc/{pid}/environ")).is_ok_and(|text| {
                    text.split(|byte| *byte == 0)
                        .any(|pair| pair == mark.as_bytes())
                })
            })
            .filter(|pid| *pid != std::process::id() && alive(*pid))
            .collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for file in ["supervisor.out", "log/procctl.log", "log/checkproc.log"] {
                for line in self.lines(file).iter().rev().take(25).rev() {
                    // shown by the test runner beside the failure
                    let _unseen = writeln!(std::io::stderr(), "{file}: {line}");
                }
            }
        }
        if let Some(child) = self.supervisor.as_mut() {
            let _stopped = Command::new(programs().join("procctl"))
                .arg("stop")
                .arg("--home")
                .arg(self.folder.path())
                .output();
            let _killed = child.kill();
            let _reaped = child.wait();
        }
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            let left = self.processes();
            if left.is_empty() {
                break;
            }
            left.into_iter()
                .for_each(|pid| signal(pid, nix::sys::signal::Signal::SIGKILL));
        }
        let _absent = fs::remove_file(self.table());
    }
}
