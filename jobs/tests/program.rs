//! The program `jobs` as its callers meet it: words on the command line, signals, exit codes, what it prints.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use jobs::{disk::RealDisk, state::State};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

/// A home and a heartbeat table of one test alone.
struct Home {
    dir: TempDir,
    table: String,
}

impl Home {
    fn new() -> Home {
        let dir = tempfile::tempdir().unwrap();
        let table = format!("test{}", dir.path().file_name().unwrap().to_string_lossy());
        Home { dir, table }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.write(name, script);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jobs"));
        command
            .args(words)
            .current_dir(self.dir.path())
            .env("PROCCTL_HOME", self.dir.path())
            .env("PROCCTL_TABLE", &self.table)
            .env_remove("PROCCTL_RUN")
            .env_remove("PROCCTL_SLOT")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> Output {
        self.command(words).output().unwrap()
    }

    fn start<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> Child {
        self.command(words).spawn().unwrap()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for entry in fs::read_dir("/dev/shm").unwrap().flatten() {
            if entry.file_name().to_string_lossy().ends_with(&self.table) {
                fs::remove_file(entry.path()).unwrap();
            }
        }
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits for something to become true.
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is() {
        assert!(Instant::now() < deadline, "{what}: not within 20 s");
        std::thread::yield_now();
    }
}

/// Sends a signal and waits for the end; gives the exit code and how long it took.
fn end(mut child: Child, signal: Signal) -> (Option<i32>, Duration) {
    let sent = Instant::now();
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    (child.wait().unwrap().code(), sent.elapsed())
}

#[test]
fn a_misuse_is_64() {
    let home = Home::new();
    assert_eq!(code(&home.run::<&str>(&[])), 64);
    assert_eq!(code(&home.run(&["fly"])), 64);
    assert_eq!(code(&home.run(&["run", "a.xml", "--set", "nonsense"])), 64);
    let output = home.run(&["describe", "exce"]);
    assert_eq!(code(&output), 64);
    assert!(err(&output).contains("exec"), "{}", err(&output));
    assert_eq!(code(&home.run(&["--help"])), 0);
}

#[test]
fn a_bad_job_file_is_78_with_its_place() {
    let home = Home::new();
    home.write(
        "bad.xml",
        "<exec evry='5s'>\n  <command>true</command>\n</exec>",
    );
    let output = home.run(&["run", "bad.xml"]);
    assert_eq!(code(&output), 78);
    let said = err(&output);
    assert!(
        said.contains("bad.xml:1:7: ") && said.contains("every"),
        "{said}"
    );
    let output = home.run(&["run", "<exce><command>true</command></exce>"]);
    assert_eq!(code(&output), 78);
    assert!(
        err(&output).contains("did you mean <exec>?"),
        "{}",
        err(&output)
    );
    assert_eq!(code(&home.run(&["run", "none.xml"])), 78);
}

#[test]
fn a_command_runs_and_its_code_is_passed_on() {
    let home = Home::new();
    home.write("good.xml", "<exec><command>echo hello</command></exec>");
    let output = home.run(&["run", "good.xml"]);
    assert_eq!((code(&output), out(&output).as_str()), (0, "hello\n"));
    assert!(
        err(&output).starts_with("good: done in 0."),
        "{}",
        err(&output)
    );
    let output = home.run(&[
        "run",
        "<exec name='x'><command>sh -c 'exit 7'</command></exec>",
    ]);
    assert_eq!(code(&output), 7);
    assert_eq!(err(&output), "x: the command ended with 7\n");
    let output = home.run(&["run", "good.xml", "--set", "command=echo changed"]);
    assert_eq!(out(&output), "changed\n");
}

#[test]
fn standard_input_and_the_environment_reach_the_job() {
    let home = Home::new();
    let job = home.write(
        "env.xml",
        "<exec><env name='GREETING' value='good day'/><command>sh -c 'echo \"$GREETING\"'</command></exec>",
    );
    let output = home
        .command(&["run", "-"])
        .stdin(fs::File::open(job).unwrap())
        .output()
        .unwrap();
    assert_eq!(
        (code(&output), out(&output).as_str()),
        (0, "good day\n"),
        "{}",
        err(&output)
    );
}

#[test]
fn a_second_process_on_a_job_is_75_and_a_stop_143() {
    let home = Home::new();
    home.write(
        "long.xml",
        "<exec><command>sh -c 'echo up >up; sleep 1000'</command></exec>",
    );
    let first = home.start(&["run", "long.xml"]);
    until("the job is up", || home.path("up").exists());
    let output = home.run(&["run", "long.xml"]);
    assert_eq!(code(&output), 75);
    assert!(
        err(&output).contains(&format!("pid {}", first.id())),
        "{}",
        err(&output)
    );
    let output = home.run(&["state", "long", "reset"]);
    assert_eq!(code(&output), 75);
    let (code, took) = end(first, Signal::SIGTERM);
    assert_eq!(code, Some(143));
    assert!(took < Duration::from_secs(2), "{took:?}");
    fs::remove_file(home.path("up")).unwrap();
    let second = home.start(&["run", "long.xml"]);
    until("the job is up again", || home.path("up").exists());
    assert_eq!(end(second, Signal::SIGINT).0, Some(130));
}

#[test]
fn a_resident_goes_on_and_sigusr1_runs_it_now() {
    let home = Home::new();
    home.write(
        "often.xml",
        "<exec every='1h' resident='true'><command>sh -c 'echo pass >>passes'</command></exec>",
    );
    let passes = || {
        fs::read_to_string(home.path("passes"))
            .unwrap_or_default()
            .lines()
            .count()
    };
    let child = home.start(&["run", "--resident", "often.xml"]);
    until("the first pass", || passes() == 1);
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    kill(pid, Signal::SIGUSR1).unwrap();
    until("the second pass", || passes() == 2);
    kill(pid, Signal::SIGUSR1).unwrap();
    until("the third pass", || passes() == 3);
    assert_eq!(end(child, Signal::SIGTERM).0, Some(143));
}

#[test]
fn secrets_are_not_shown() {
    let home = Home::new();
    home.write("key", "open-sesame\n");
    home.write(
        "secret.xml",
        "<exec><env name='KEY' value='${file:key}'/><command>sh -c 'echo $KEY; exit 1'</command></exec>",
    );
    let output = home.run(&["run", "secret.xml"]);
    assert_eq!((code(&output), out(&output).as_str()), (1, "open-sesame\n"));
    assert!(!err(&output).contains("sesame"), "{}", err(&output));
}

#[test]
fn a_detached_job_logs_to_its_file() {
    let home = Home::new();
    home.write("quiet.xml", "<exec><command>true</command></exec>");
    let status = home
        .command(&["run", "quiet.xml"])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let log = fs::read_to_string(home.path("log/quiet.log")).unwrap();
    assert!(log.contains(" INFO quiet: done in "), "{log}");
}

#[test]
fn external_kinds_are_found_listed_checked_and_run() {
    let home = Home::new();
    home.program(
        "kinds/jobs-greet",
        "#!/bin/sh\necho \"$1\"\ntest -n \"$PROCCTL_SLOT\" || exit 1\nexit 9\n",
    );
    let path = home.write("greet.xml", "<greet><whom>world</whom></greet>");
    let path = path.canonicalize().unwrap();
    let output = home.run(&["list"]);
    assert!(
        out(&output).contains("greet        external: "),
        "{}",
        out(&output)
    );
    let output = home.run(&["run", "greet.xml"]);
    assert_eq!(
        (code(&output), out(&output)),
        (9, format!("{}\n", path.display())),
        "{}",
        err(&output)
    );
    let output = home.run(&["check", "greet.xml"]);
    assert_eq!(
        (code(&output), out(&output).as_str()),
        (0, "1 file, no problems\n")
    );
    let output = home.run(&["check", "-v", "greet.xml"]);
    assert!(
        out(&output).contains("parameters are not checked"),
        "{}",
        out(&output)
    );
}

#[test]
fn check_tells_all_problems_of_all_files() {
    let home = Home::new();
    home.write("a.xml", "<exec><command>true</command></exec>");
    home.write("b.xml", "<exec>\n<command>'</command></exec>");
    home.write("c.xml", "<exec beat='loud'/>");
    home.write(
        "d.xml",
        "<exec name='a'><command>/no/such/program</command></exec>",
    );
    let output = home.run(&["check", "--offline", "a.xml"]);
    assert_eq!(
        (code(&output), out(&output).as_str()),
        (0, "1 file, no problems\n")
    );
    let output = home.run(&["check", "--offline", "a.xml", "b.xml", "c.xml", "d.xml"]);
    assert_eq!(code(&output), 78);
    let lines: Vec<String> = out(&output).lines().map(str::to_owned).collect();
    for (start, part) in [
        ("b.xml:2:", "quote"),
        ("c.xml:1:", "loud"),
        ("c.xml:1:", "command"),
        ("d.xml:1:7:", "a.xml"),
    ] {
        assert!(
            lines
                .iter()
                .any(|line| line.starts_with(start) && line.contains(part)),
            "{start} {part}: {lines:#?}"
        );
    }
    let output = home.run(&["check", "d.xml"]);
    assert_eq!(code(&output), 78);
    assert!(
        out(&output).contains("there is no program /no/such/program"),
        "{}",
        out(&output)
    );
}

#[test]
fn state_is_shown_set_and_reset() {
    let home = Home::new();
    let first = home.run(&["state", "copy", "show"]);
    assert_eq!(code(&first), 0);
    assert!(out(&first).starts_with("no state yet"), "{}", out(&first));
    let file = home.path("state/copy.db");
    State::open(&file, &RealDisk)
        .unwrap()
        .set("last", &41)
        .unwrap();
    assert_eq!(out(&home.run(&["state", "copy", "show"])), "last = 41\n");
    let output = home.run(&["state", "copy", "set", "last", "40"]);
    assert_eq!(out(&output), "last = 40 (was 41)\n", "{}", err(&output));
    assert_eq!(
        out(&home.run(&["state", "copy", "set", "note", "by hand"])),
        "note = \"by hand\" (was not there)\n"
    );
    assert_eq!(code(&home.run(&["state", "copy", "reset"])), 0);
    assert_eq!(out(&home.run(&["state", "copy", "show"])), "");
}

#[test]
fn what_is_made_for_others_is_made() {
    let home = Home::new();
    for words in [
        &["schema"][..],
        &["new", "exec"],
        &["describe", "exec"],
        &["man"],
        &["completions", "bash"],
    ] {
        let output = home.run(words);
        assert_eq!(code(&output), 0, "{words:?}");
        assert!(out(&output).len() > 500, "{words:?}");
    }
    assert!(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../etc/jobs.xsd")
            .exists()
    );
}

#[test]
fn a_dry_run_changes_nothing() {
    let home = Home::new();
    home.write("touch.xml", "<exec><command>touch here</command></exec>");
    let output = home.run(&["run", "--dry-run", "touch.xml"]);
    assert_eq!(code(&output), 0);
    assert!(out(&output).contains("the command is "), "{}", out(&output));
    assert!(!home.path("here").exists() && !home.path("state").exists());
}

#[test]
fn an_alarm_is_posted() {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    let home = Home::new();
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", server.local_addr().unwrap());
    let listener = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        stream
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .unwrap();
        String::from_utf8(body).unwrap()
    });
    let body = home.write("body", "{\"job\":\"x\"}");
    let status = home
        .command(&["post", &url])
        .stdin(fs::File::open(body).unwrap())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(listener.join().unwrap(), "{\"job\":\"x\"}");
    assert_eq!(code(&home.run(&["post", "http://127.0.0.1:1/"])), 69);
}
