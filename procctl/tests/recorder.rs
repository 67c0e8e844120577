//! The recorder as a supervisor meets it: a real process behind its socket, real pipes, slots,
//! notify sockets and pidfds.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use checkproc::{Claim, Slot, Table};
use procctl::history::History;
use procctl::launch::Launch;
use procctl::recorder::link::{Kept, Link};
use procctl::recorder::message::{Attached, Beats, FromRecorder, Notice, Run, ToRecorder};
use procctl::recorder::notify;
use procctl::spawn;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the test `name` in a process of its own whose heartbeat table is private. True in that process.
fn alone(name: &str) -> bool {
    if std::env::var_os("PROCCTL_TABLE").is_some() {
        return true;
    }
    let table = format!("test-{}-{name}", std::process::id());
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("PROCCTL_TABLE", &table)
        .status()
        .unwrap();
    let uid = nix::unistd::geteuid();
    // a test that needed no table has made none
    drop(fs::remove_file(format!(
        "/dev/shm/procctl-heartbeat-{uid}-{table}"
    )));
    assert!(done.success());
    false
}

fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
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
struct Played {
    home: tempfile::TempDir,
    link: Link,
    said: Vec<(FromRecorder, Vec<OwnedFd>)>,
}

impl Played {
    fn new() -> Played {
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

    fn log(&self, job: &str) -> PathBuf {
        self.home.path().join("log").join(format!("{job}.log"))
    }

    fn text(&self, job: &str) -> String {
        fs::read_to_string(self.log(job)).unwrap_or_default()
    }

    fn send(&mut self, message: &ToRecorder) {
        self.link.send(message);
        self.link.flush().unwrap();
    }

    /// Announces a run; the write end of its pipe comes back.
    fn announce(&mut self, change: impl FnOnce(&mut Kept), process: Option<OwnedFd>) -> File {
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
    fn hear<T>(&mut self, mut wanted: impl FnMut(&FromRecorder) -> Option<T>) -> T {
        until("the recorder says it", || {
            while let Some(said) = self.link.receive().unwrap() {
                self.said.push(said);
            }
            self.said.iter().find_map(|(message, _)| wanted(message))
        })
    }

    /// As if the supervisor were killed: the connection is gone. The recorder's pid.
    fn die(&mut self) -> i32 {
        let process = self.link.process().unwrap();
        self.link = Link::new(&self.home.path().join("run"));
        process
    }
}

fn run(id: u64, job: &str) -> Run {
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

fn recorder(home: &Path, listener: BorrowedFd<'_>) -> io::Result<i32> {
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

fn ended(pid: i32) -> Option<()> {
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

#[test]
fn lines_go_to_the_job_s_log() {
    if !alone("lines_go_to_the_job_s_log") {
        return;
    }
    let mut played = Played::new();
    let mut stamped = played.announce(|_| {}, None);
    let mut plain = played.announce(
        |kept| {
            kept.run = Run {
                stamped: false,
                ..run(2, "b")
            }
        },
        None,
    );
    stamped.write_all(b"2026 first\nsec").unwrap();
    plain.write_all(b"bare\n").unwrap();
    until("first lines", || {
        (played.text("a") == "2026 first\n").then_some(())
    });
    let bare = until("a bare line", || {
        Some(played.text("b")).filter(|text| text.ends_with("bare\n"))
    });
    let stamp = bare.strip_suffix(" bare\n").unwrap();
    chrono::NaiveDateTime::parse_from_str(stamp, "%Y-%m-%d %H:%M:%S%.3f").unwrap();
    // the rest comes with the end, also after the supervisor has forgotten the run
    played.send(&ToRecorder::Ended { run: 1 });
    stamped.write_all(b"ond").unwrap();
    drop(stamped);
    until("the last line", || {
        (played.text("a") == "2026 first\nsecond\n").then_some(())
    });
    played.send(&ToRecorder::Quit);
    let process = played.link.process().unwrap();
    until("it leaves", || ended(process));
}

#[test]
fn quitting_reads_what_is_left() {
    if !alone("quitting_reads_what_is_left") {
        return;
    }
    let mut played = Played::new();
    let mut output = played.announce(|_| {}, None);
    let mut all = String::new();
    for number in 0..2000 {
        all.push_str(&format!("line {number}\n"));
    }
    output.write_all(all.as_bytes()).unwrap();
    output.write_all(b"unfinished").unwrap();
    played.send(&ToRecorder::Quit);
    let process = played.link.process().unwrap();
    until("it leaves", || ended(process));
    assert_eq!(played.text("a"), all + "unfinished\n");
}

fn claim(table: &Table) -> Slot {
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

#[test]
fn output_beats() {
    if !alone("output_beats") {
        return;
    }
    let table = Table::open_own().unwrap();
    let slot = claim(&table);
    let beats = || slot.row().unwrap().beats;
    let before = beats();
    let mut played = Played::new();
    let mut output = played.announce(
        |kept| {
            kept.run.beats = Beats::Output;
            kept.run.slot = Some(slot.handle());
        },
        None,
    );
    output.write_all(b"no line yet").unwrap();
    output.write_all(b" but now\n").unwrap();
    until("a beat", || (beats() == before + 1).then_some(()));
    output.write_all(b"again\n").unwrap();
    until("another", || (beats() == before + 2).then_some(()));
    played.send(&ToRecorder::Quit);
}

#[test]
fn a_daemon_speaks_as_to_systemd() {
    if !alone("a_daemon_speaks_as_to_systemd") {
        return;
    }
    let table = Table::open_own().unwrap();
    let slot = claim(&table);
    let before = slot.row().unwrap().beats;
    let (bound, name) = notify::socket(1).unwrap();
    let address = SocketAddr::from_abstract_name(name.strip_prefix('@').unwrap()).unwrap();
    let mut played = Played::new();
    let _output = played.announce(
        |kept| {
            kept.run.beats = Beats::Notify;
            kept.run.slot = Some(slot.handle());
            kept.notify = Some(bound);
        },
        None,
    );
    let daemon = UnixDatagram::unbound().unwrap();
    let say = |text: &str| daemon.send_to_addr(text.as_bytes(), &address).unwrap();
    say("READY=1\nSTATUS=serving 3 clients\nMAINPID=4711\nWHATEVER=1");
    for notice in [
        Notice::Ready,
        Notice::Status("serving 3 clients".into()),
        Notice::MainPid(4711),
    ] {
        let wanted = FromRecorder::Notified { run: 1, notice };
        played.hear(|said| (*said == wanted).then_some(()));
    }
    assert_eq!(slot.row().unwrap().phase, "serving 3 clients");
    let ready = slot.row().unwrap().beats;
    assert!(ready > before);
    say("WATCHDOG=1");
    until("a beat", || {
        (slot.row().unwrap().beats == ready + 1).then_some(())
    });
    say("WATCHDOG_USEC=5000000");
    until("another heartbeat", || {
        (slot.row().unwrap().heartbeat == Some(Duration::from_secs(5))).then_some(())
    });
    say("WATCHDOG=trigger\nSTOPPING=1");
    for notice in [Notice::Trigger, Notice::Stopping] {
        let wanted = FromRecorder::Notified { run: 1, notice };
        played.hear(|said| (*said == wanted).then_some(()));
    }
    assert_eq!(slot.row().unwrap().beats, ready + 1);
    played.send(&ToRecorder::Quit);
}

#[test]
fn the_next_supervisor_learns_how_runs_ended() {
    if !alone("the_next_supervisor_learns_how_runs_ended") {
        return;
    }
    let mut played = Played::new();
    let mut child = Command::new("/bin/sh")
        .args(["-c", "read line; exit 3"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
    let mut output = played.announce(
        |kept| kept.run.pid = pid.as_raw_nonzero().get(),
        Some(pidfd),
    );
    output.write_all(b"before\n").unwrap();
    until("the run is known", || {
        (played.text("a") == "before\n").then_some(())
    });
    let recorder = played.die();
    output.write_all(b"alone\n").unwrap();
    until("lines go on", || {
        (played.text("a") == "before\nalone\n").then_some(())
    });
    drop(child.stdin.take());
    child.wait().unwrap();
    drop(output);

    let (status, end) = until("its end is known", || {
        assert!(played.link.find(Duration::ZERO));
        played.link.flush().unwrap();
        played.said.clear();
        played.hear(|said| (*said == FromRecorder::KeptAll).then_some(()));
        played.said.iter().find_map(|(said, _)| match said {
            FromRecorder::Kept {
                run,
                status,
                ended: true,
                ended_at,
            } if run.run == 1 => Some((*status, *ended_at)),
            _ => None,
        })
    });
    assert!(end.is_some());
    // kernels before 6.15 cannot tell
    if let Some(status) = status {
        assert_eq!(status, 3 << 8);
    }
    played.send(&ToRecorder::Ended { run: 1 });
    played.send(&ToRecorder::Quit);
    until("it leaves", || ended(recorder));
}

#[test]
fn descriptors_come_back() {
    if !alone("descriptors_come_back") {
        return;
    }
    let mut played = Played::new();
    let output = played.announce(|_| {}, None);
    until("the recorder answers", || {
        played.link.send(&ToRecorder::Recall);
        played.link.flush().unwrap();
        played.hear(|said| matches!(said, FromRecorder::Kept { .. }).then_some(()));
        Some(())
    });
    let (said, descriptors) = played
        .said
        .iter()
        .find(|(said, _)| matches!(said, FromRecorder::Kept { .. }))
        .unwrap();
    let FromRecorder::Kept { run, ended, .. } = said else {
        panic!("{said:?}");
    };
    assert!(!ended);
    assert_eq!(run.attached, [Attached::Output]);
    assert_eq!(descriptors.len(), 1);
    drop(output);
    played.send(&ToRecorder::Quit);
}

#[test]
fn a_slow_disk_holds_up_no_job() {
    if !alone("a_slow_disk_holds_up_no_job") {
        return;
    }
    let mut played = Played::new();
    // nobody reads this fifo: whoever opens it for writing waits, as on a dead network disk
    let slow = played.log("a");
    nix::unistd::mkfifo(&slow, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut output = played.announce(|_| {}, None);
    let line = [b'x'; 1023];
    let begun = Instant::now();
    for _ in 0..20_000 {
        output.write_all(&line).unwrap();
        output.write_all(b"\n").unwrap();
    }
    assert!(begun.elapsed() < PATIENCE);
    let mut disk = File::open(&slow).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&told);
    let reader = std::thread::spawn(move || {
        let mut some = vec![0; 64 << 10];
        loop {
            match io::Read::read(&mut disk, &mut some).unwrap() {
                0 => break,
                length => shared.lock().unwrap().extend_from_slice(&some[..length]),
            }
        }
    });
    // now that the disk is back, what is written next says what is missing
    until("the loss is told", || {
        output.write_all(b"after\n").unwrap();
        let told = told.lock().unwrap();
        String::from_utf8_lossy(&told)
            .contains("lines before this are lost")
            .then_some(())
    });
    output.write_all(b"after\n").unwrap();
    played.send(&ToRecorder::Quit);
    let process = played.link.process().unwrap();
    until("it leaves", || ended(process));
    reader.join().unwrap();
    let text = String::from_utf8(told.lock().unwrap().clone()).unwrap();
    let lost: usize = text
        .lines()
        .filter_map(|line| {
            line.split_once("procctl: ")?
                .1
                .split_once(" lines before this are lost")
        })
        .map(|(count, _)| count.parse::<usize>().unwrap())
        .sum();
    let kept = text.lines().filter(|line| line.starts_with("xx")).count();
    assert!(lost > 0 && kept > 0);
    assert!(lost + kept >= 20_000, "{lost} lost, {kept} kept");
    assert!(text.ends_with("after\n"));
}

#[test]
fn history_is_stored_and_a_broken_one_set_aside() {
    if !alone("history_is_stored_and_a_broken_one_set_aside") {
        return;
    }
    let mut played = Played::new();
    let path = played.home.path().join("state/history.db");
    fs::write(&path, "no database").unwrap();
    let entry = serde_json::json!({
        "run": 7, "job": "a", "kind": "exec", "reason": "every", "pid": 12,
        "started": "2026-11-21T10:00:00Z", "ended": "2026-11-21T10:00:01Z", "duration_ms": 1000,
        "result": "failed", "exit": 3, "ended_by": {"code": 3}, "why": "exit code 3",
        "rows": 5, "bytes": 6, "peak_memory": null, "cpu_us": null, "evidence": null,
    });
    played.send(&ToRecorder::History { entry });
    let runs = until("the entry", || {
        let history = History::open(&path).ok()??;
        Some(history.runs(Some("a"), 10).ok()?).filter(|runs| !runs.is_empty())
    });
    assert_eq!(runs[0].why, "exit code 3");
    until("it says so", || {
        played.text("recorder").contains("set aside").then_some(())
    });
    played.send(&ToRecorder::Quit);
}

#[test]
fn trouble_is_told_and_passes() {
    if !alone("trouble_is_told_and_passes") {
        return;
    }
    let mut played = Played::new();
    played.send(&ToRecorder::Recall);
    played.hear(|said| (*said == FromRecorder::KeptAll).then_some(()));
    let log = played.home.path().join("log");
    fs::remove_dir_all(&log).unwrap();
    let mut output = played.announce(|_| {}, None);
    output.write_all(b"lost\n").unwrap();
    played.hear(|said| match said {
        FromRecorder::Trouble { text: Some(text) } => {
            assert!(text.contains("cannot write logs in"), "{text}");
            Some(())
        }
        _ => None,
    });
    fs::create_dir(&log).unwrap();
    output.write_all(b"kept\n").unwrap();
    played.hear(|said| (*said == FromRecorder::Trouble { text: None }).then_some(()));
    let text = played.text("a");
    assert!(
        text.contains("1 lines before this could not be written\nkept\n"),
        "{text}"
    );
    played.send(&ToRecorder::Quit);
}

#[test]
fn nobody_left_means_leaving() {
    if !alone("nobody_left_means_leaving") {
        return;
    }
    let mut played = Played::new();
    let output = played.announce(|_| {}, None);
    until("the run is known", || {
        (&output).write_all(b"x\n").unwrap();
        (!played.text("a").is_empty()).then_some(())
    });
    let recorder = played.die();
    // the pipe is open: it must stay for it
    std::thread::sleep(Duration::from_millis(300));
    assert!(ended(recorder).is_none());
    drop(output);
    // it has something to tell, so it waits; SIGTERM without a supervisor ends it
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(recorder),
        nix::sys::signal::SIGTERM,
    )
    .unwrap();
    until("it leaves", || ended(recorder));
}
