//! A private home with a supervisor of its own, and what its tests look at.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Builds the sister programs where they are missing: tests of one package build only that.
pub(crate) fn sisters() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let here = Path::new(env!("CARGO_BIN_EXE_procctl")).parent().unwrap();
        if !["checkproc", "jobs"]
            .iter()
            .all(|name| here.join(name).exists())
        {
            let words = ["build", "-p", "checkproc", "-p", "jobs", "--bins"];
            assert!(
                Command::new(env!("CARGO"))
                    .args(words)
                    .status()
                    .unwrap()
                    .success()
            );
        }
    });
}

pub(crate) fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < end, "did not happen: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(") ").unwrap().1.starts_with(['Z', 'X']))
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
}

/// A private home with its own heartbeat table; everything in it ends with it.
pub(crate) struct Home {
    pub(crate) folder: tempfile::TempDir,
    supervisor: Option<Child>,
}

impl Home {
    pub(crate) fn new() -> Home {
        sisters();
        let folder = tempfile::Builder::new()
            .prefix("supervisor")
            .tempdir()
            .unwrap();
        fs::create_dir(folder.path().join("jobs")).unwrap();
        Home {
            folder,
            supervisor: None,
        }
    }

    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    pub(crate) fn table(&self) -> String {
        let name = self.folder.path().file_name().unwrap().to_string_lossy();
        name.replace('.', "")
    }

    pub(crate) fn job(&self, name: &str, attributes: &str, command: &str) {
        let command = command.replace('&', "&amp;").replace('<', "&lt;");
        let text =
            format!("<exec name=\"{name}\" {attributes}><command>{command}</command></exec>");
        fs::write(self.path("jobs").join(format!("{name}.xml")), text).unwrap();
    }

    pub(crate) fn script(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_procctl"));
        command.args(words);
        self.surround(&mut command);
        command
    }

    pub(crate) fn surround(&self, command: &mut Command) {
        command
            .env("PROCCTL_HOME", self.folder.path())
            .env("PROCCTL_TABLE", self.table())
            .env("TZ", "UTC")
            .env_remove("PROCCTL_RUN")
            .stdin(Stdio::null());
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    pub(crate) fn good(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts a supervisor in the foreground of a child.
    pub(crate) fn supervise(&mut self) -> u32 {
        let command = self.command(&["run"]);
        self.supervise_by(command)
    }

    pub(crate) fn supervise_by(&mut self, mut command: Command) -> u32 {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("out"))
            .unwrap();
        let child = command
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let pid = child.id();
        self.supervisor = Some(child);
        wait_for("the supervisor answers", || {
            let status = self.run(&["status", "--json"]);
            let text = String::from_utf8(status.stdout).ok()?;
            let status: Value = serde_json::from_str(&text).ok()?;
            (status["pid"].as_u64() == Some(pid.into())).then_some(())
        });
        pid
    }

    pub(crate) fn kill_supervisor(&mut self) {
        let mut child = self.supervisor.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn stop(&mut self) {
        self.good(&["stop"]);
        assert!(self.supervisor.take().unwrap().wait().unwrap().success());
    }

    /// A job's status; `None` while the supervisor does not know it.
    pub(crate) fn find(&self, job: &str) -> Option<Value> {
        let told = self.run(&["status", job, "--json"]);
        let status: Value = serde_json::from_slice(&told.stdout).ok()?;
        match status.get("jobs") {
            Some(jobs) => jobs.get(0).cloned(),
            None => Some(status),
        }
    }

    pub(crate) fn status(&self, job: &str) -> Value {
        wait_for(&format!("there is {job}"), || self.find(job))
    }

    pub(crate) fn pid(&self, job: &str) -> u32 {
        wait_for(&format!("{job} runs"), || {
            let pid = u32::try_from(self.find(job)?["pid"].as_u64()?).ok()?;
            alive(pid).then_some(pid)
        })
    }

    /// The newest run of a job in the history, once there is one that fits.
    pub(crate) fn past(&self, job: &str, fits: impl Fn(&Value) -> bool) -> Value {
        wait_for(&format!("{job} is in the history"), || {
            let text = self.good(&["history", job, "--json"]);
            let mut runs = text
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap());
            runs.find(|run| fits(run))
        })
    }

    pub(crate) fn lines(&self, inside: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(inside)).unwrap_or_default();
        text.lines().map(String::from).collect()
    }

    pub(crate) fn number(&self, inside: &str) -> u32 {
        wait_for(inside, || self.lines(inside).first()?.parse().ok())
    }

    /// A program of the supervisor's own, by a word of its command line.
    pub(crate) fn own(&self, word: &str) -> Option<u32> {
        let home = self.folder.path().display().to_string();
        let all = fs::read_dir("/proc").unwrap().flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let mut found = pids.filter(|pid| {
            let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<&str> = words.split('\0').collect();
            words.iter().take(2).any(|given| given.ends_with(word))
                && words.contains(&home.as_str())
        });
        found.find(|pid| alive(*pid))
    }

    pub(crate) fn past_count(&self, job: &str) -> usize {
        self.good(&["history", job, "--json"]).lines().count()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for file in ["out", "log/procctl.log", "log/checkproc.log"] {
                for line in self.lines(file).iter().rev().take(20).rev() {
                    drop(writeln!(std::io::stderr(), "{file}: {line}"));
                }
            }
        }
        if let Some(mut child) = self.supervisor.take() {
            drop(self.run(&["stop"]));
            drop(child.kill());
            drop(child.wait());
        }
        let mark = format!("PROCCTL_HOME={}", self.folder.path().display());
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            let text = fs::read(entry.path().join("environ")).unwrap_or_default();
            if text
                .split(|byte| *byte == 0)
                .any(|pair| pair == mark.as_bytes())
            {
                let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        let uid = nix::unistd::geteuid();
        drop(fs::remove_file(format!(
            "/dev/shm/procctl-heartbeat-{uid}-{}",
            self.table()
        )));
    }
}
