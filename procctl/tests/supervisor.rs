//! The supervisor with real processes: whole trees, a death by SIGKILL, a restart in place, and all
//! that a job's process must and must not inherit.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

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
const PATIENCE: Duration = Duration::from_secs(60);

/// Builds the sister programs where they are missing: tests of one package build only that.
fn sisters() {
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

fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < end, "did not happen: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(") ").unwrap().1.starts_with(['Z', 'X']))
}

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
}

/// A private home with its own heartbeat table; everything in it ends with it.
struct Home {
    folder: tempfile::TempDir,
    supervisor: Option<Child>,
}

impl Home {
    fn new() -> Home {
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

    fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    fn table(&self) -> String {
        let name = self.folder.path().file_name().unwrap().to_string_lossy();
        name.replace('.', "")
    }

    fn job(&self, name: &str, attributes: &str, command: &str) {
        let command = command.replace('&', "&amp;").replace('<', "&lt;");
        let text =
            format!("<exec name=\"{name}\" {attributes}><command>{command}</command></exec>");
        fs::write(self.path("jobs").join(format!("{name}.xml")), text).unwrap();
    }

    fn script(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_procctl"));
        command.args(words);
        self.surround(&mut command);
        command
    }

    fn surround(&self, command: &mut Command) {
        command
            .env("PROCCTL_HOME", self.folder.path())
            .env("PROCCTL_TABLE", self.table())
            .env("TZ", "UTC")
            .env_remove("PROCCTL_RUN")
            .stdin(Stdio::null());
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn good(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts a supervisor in the foreground of a child.
    fn supervise(&mut self) -> u32 {
        let command = self.command(&["run"]);
        self.supervise_by(command)
    }

    fn supervise_by(&mut self, mut command: Command) -> u32 {
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

    fn kill_supervisor(&mut self) {
        let mut child = self.supervisor.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn stop(&mut self) {
        self.good(&["stop"]);
        assert!(self.supervisor.take().unwrap().wait().unwrap().success());
    }

    /// A job's status; `None` while the supervisor does not know it.
    fn find(&self, job: &str) -> Option<Value> {
        let told = self.run(&["status", job, "--json"]);
        let status: Value = serde_json::from_slice(&told.stdout).ok()?;
        match status.get("jobs") {
            Some(jobs) => jobs.get(0).cloned(),
            None => Some(status),
        }
    }

    fn status(&self, job: &str) -> Value {
        wait_for(&format!("there is {job}"), || self.find(job))
    }

    fn pid(&self, job: &str) -> u32 {
        wait_for(&format!("{job} runs"), || {
            let pid = u32::try_from(self.find(job)?["pid"].as_u64()?).ok()?;
            alive(pid).then_some(pid)
        })
    }

    /// The newest run of a job in the history, once there is one that fits.
    fn past(&self, job: &str, fits: impl Fn(&Value) -> bool) -> Value {
        wait_for(&format!("{job} is in the history"), || {
            let text = self.good(&["history", job, "--json"]);
            let mut runs = text
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap());
            runs.find(|run| fits(run))
        })
    }

    fn lines(&self, inside: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(inside)).unwrap_or_default();
        text.lines().map(String::from).collect()
    }

    fn number(&self, inside: &str) -> u32 {
        wait_for(inside, || self.lines(inside).first()?.parse().ok())
    }

    /// A program of the supervisor's own, by a word of its command line.
    fn own(&self, word: &str) -> Option<u32> {
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

/// A worker with a child in its session and a grandchild in a session of its own.
fn family(home: &Home) -> String {
    let folder = home.folder.path().display();
    home.script(
        "family",
        &format!(
            "sleep 1000 & echo $! > {folder}/child\n\
             setsid sh -c 'setsid sleep 1000 & echo $! > {folder}/grandchild; wait' &\n\
             trap '' HUP; trap 'exit 0' TERM; while :; do sleep 0.1; done"
        ),
    )
}

fn stops_its_whole_tree(home: &mut Home) {
    home.job("family", "", &family(home));
    let pids = [
        home.pid("family"),
        home.number("child"),
        home.number("grandchild"),
    ];
    assert!(pids.iter().all(|pid| alive(*pid)));
    assert!(home.good(&["stop", "family"]).contains("stopped"));
    assert!(
        pids.iter().all(|pid| !alive(*pid)),
        "stop came back before all were gone"
    );
    assert_eq!(home.status("family")["state"], "stopped");
}

#[test]
fn a_stop_reaches_the_grandchild_in_a_session_of_its_own() {
    let mut home = Home::new();
    home.supervise();
    stops_its_whole_tree(&mut home);
}

/// The same where no control groups can be had, as on older machines.
#[test]
fn a_stop_reaches_it_without_control_groups_too() {
    let mut home = Home::new();
    if nix::unistd::geteuid().is_root() {
        let mut command = Command::new("unshare");
        // private to the namespace, also in a chroot, whose root is no mount
        let hide = "for at in /sys /sys/fs/cgroup; do mount --make-private $at 2>/dev/null; done; \
                    mount -t tmpfs none /sys/fs/cgroup && exec \"$0\" run";
        let alone = ["-m", "--propagation", "unchanged", "sh", "-c", hide];
        command.args(alone).arg(env!("CARGO_BIN_EXE_procctl"));
        home.surround(&mut command);
        home.supervise_by(command);
    } else {
        home.supervise();
    }
    home.job("family", "", &family(&home));
    home.pid("family");
    let text = home.good(&["status", "family"]);
    assert!(
        text.contains("process group") || !nix::unistd::geteuid().is_root(),
        "{text}"
    );
    stops_its_whole_tree(&mut home);
}

#[test]
fn what_a_run_leaves_behind_does_not_meet_the_next_one() {
    let mut home = Home::new();
    let folder = home.folder.path().display();
    let script = home.script(
        "leaves",
        &format!(
            "[ -e {folder}/left ] && kill -0 $(cat {folder}/left) 2>/dev/null && echo met >> {folder}/met\n\
             setsid sleep 1000 & echo $! > {folder}/left; echo run >> {folder}/runs"
        ),
    );
    home.job("leaves", "every=\"10ms\"", &script);
    home.supervise();
    wait_for("several runs", || {
        (home.lines("runs").len() > 3).then_some(())
    });
    assert!(home.lines("met").is_empty());
}

#[test]
fn a_killed_supervisor_s_runs_are_adopted_and_their_ends_are_known() {
    let mut home = Home::new();
    let folder = home.folder.path().display();
    let printer = home.script("printer", "while :; do echo line; sleep 0.02; done");
    home.job("stays", "", &printer);
    home.job("ends", "", &format!("sh -c 'echo x >> {folder}/ends; while [ ! -e {folder}/go ]; do sleep 0.02; done; exit 7'"));
    home.job("tree", "", &family(&home));
    home.supervise();
    let before: Vec<u32> = ["stays", "ends", "tree"].map(|job| home.pid(job)).to_vec();
    let grandchild = home.number("grandchild");
    home.kill_supervisor();
    fs::write(home.path("go"), "").unwrap();
    wait_for("one ends while no supervisor lives", || {
        (!alive(before[1])).then_some(())
    });
    home.supervise();
    assert_eq!(home.pid("stays"), before[0]);
    assert_eq!(home.pid("tree"), before[2]);
    assert!(alive(grandchild));
    let run = home.past("ends", |run| run["pid"].as_u64() == Some(before[1].into()));
    let result = run["result"].as_str().unwrap();
    assert!(result == "failed" || result == "unknown", "{run}");
    if result == "failed" {
        assert_eq!(run["exit"], 7, "{run}");
    }
    // an adopted run is stopped with its whole tree, and its end is heard of
    home.good(&["stop", "tree"]);
    assert!(!alive(before[2]) && !alive(grandchild));
    signal(before[0], Signal::SIGKILL);
    wait_for("it is started again", || {
        let pid = home.status("stays")["pid"].as_u64()?;
        (pid != u64::from(before[0])).then_some(())
    });
    home.stop();
}

#[test]
fn a_restart_in_place_is_noticed_by_nobody() {
    let mut home = Home::new();
    let printer = home.script(
        "printer",
        "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.01; done",
    );
    home.job("prints", "", &printer);
    home.job("beats", "beat=\"output\" heartbeat=\"5s\"", &printer);
    home.job("tree", "", &family(&home));
    let supervisor = home.supervise();
    let jobs = ["prints", "beats", "tree"];
    let before = jobs.map(|job| home.pid(job));
    for _ in 0..5 {
        assert!(home.good(&["restart"]).contains("restarted"));
        assert!(alive(supervisor));
    }
    assert_eq!(jobs.map(|job| home.pid(job)), before);
    // still our children: an end is heard of, with its code
    signal(before[0], Signal::SIGTERM);
    let run = home.past("prints", |run| {
        run["pid"].as_u64() == Some(before[0].into())
    });
    assert_eq!(run["result"], "signalled", "{run}");
    home.good(&["stop", "tree"]);
    assert!(!alive(before[2]));
    // no line was lost on the way
    let log = home.lines("log/beats.log");
    let numbers: Vec<u32> = log
        .iter()
        .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
        .collect();
    assert!(
        numbers.windows(2).all(|two| two[1] == two[0] + 1),
        "{numbers:?}"
    );
    home.stop();
}

#[test]
fn a_second_supervisor_is_refused_with_the_first_one_s_pid() {
    let mut home = Home::new();
    let first = home.supervise();
    for words in [["run"], ["start"]] {
        let second = home.run(&words);
        assert_eq!(second.status.code(), Some(75));
        let said = String::from_utf8_lossy(&second.stderr).into_owned();
        assert!(said.contains(&first.to_string()), "{said}");
    }
    assert!(home.good(&["status"]).contains(&first.to_string()));
}

#[test]
fn a_detached_supervisor_is_complete_when_start_comes_back() {
    let home = Home::new();
    home.job("sleeps", "", "sleep 1000");
    home.good(&["start"]);
    let pid = home.pid("sleeps");
    home.good(&["stop"]);
    assert!(!alive(pid));
    // all is gone: nobody holds the lock
    home.good(&["start"]);
    home.good(&["stop"]);
}

#[test]
fn what_cannot_be_started_says_why() {
    let mut home = Home::new();
    fs::write(home.path("plain"), "text").unwrap();
    home.job("missing", "every=\"1h\"", "/no/such/program x");
    home.job("plain", "every=\"1h\"", "./plain");
    home.job("nowhere", "every=\"1h\" dir=\"no/folder\"", "true");
    home.job("nobody", "every=\"1h\" user=\"no-such-user\"", "true");
    home.job("secret", "every=\"1h\"", "true");
    let secret = "<exec name='secret' every='1h'><env name='A' value='${file:no.pw}'/><command>true</command></exec>";
    fs::write(home.path("jobs/secret.xml"), secret).unwrap();
    home.supervise();
    for (job, parts) in [
        ("missing", ["/no/such/program", "No such file"]),
        ("plain", ["plain", "Permission denied"]),
        ("nowhere", ["no/folder", "No such file"]),
        ("nobody", ["no-such-user", "user"]),
        ("secret", ["no.pw", "No such file"]),
    ] {
        let run = home.past(job, |_| true);
        assert_eq!(run["result"], "refused", "{run}");
        let why = run["why"].as_str().unwrap();
        assert!(parts.iter().all(|part| why.contains(part)), "{job}: {why}");
    }
    let said = home.run(&["trigger", "missing"]);
    assert!(
        !said.status.success(),
        "{}",
        String::from_utf8_lossy(&said.stdout)
    );
}

#[test]
fn a_process_gets_what_its_file_says_and_nothing_of_ours() {
    let mut home = Home::new();
    let folder = home.folder.path().display().to_string();
    fs::set_permissions(home.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(home.path("work")).unwrap();
    fs::write(home.path("pw"), "s3cret\n").unwrap();
    let show = home.script(
        "show",
        "echo pwd=$(pwd) umask=$(umask) nofile=$(ulimit -n) nice=$(nice) id=$(id -u):$(id -g) user=$USER pw=$PW run=${PROCCTL_RUN:+set} \
         home=$PROCCTL_HOME job=$PROCCTL_JOB fds=$(ls /proc/self/fd | wc -l) blocked=$(grep SigBlk /proc/self/status | cut -f2) \
         ignored=$(grep SigIgn /proc/self/status | cut -f2) session=$(cut -d' ' -f6 /proc/$$/stat)=$$; [ -t 0 ] || cat",
    );
    let root = nix::unistd::geteuid().is_root();
    let user = if root {
        "user='nobody' nice='3'"
    } else {
        "nice='3'"
    };
    let text = format!(
        "<exec name='show' every='1h' umask='027' nofile='123' dir='work' {user}>\
         <env name='PW' value='${{file:pw}}'/><command>{show}</command></exec>"
    );
    fs::write(home.path("jobs/show.xml"), text).unwrap();
    home.supervise();
    home.past("show", |run| run["result"] == "done");
    let line = home.lines("log/show.log").join(" ");
    let mut wanted = vec![
        format!("pwd={folder}/work"),
        "umask=0027".into(),
        "nofile=123".into(),
        "nice=3".into(),
        "pw=s3cret".into(),
        "run=set".into(),
        format!("home={folder}"),
        "job=show".into(),
        "fds=4".into(),
        "blocked=0000000000000000".into(),
        "ignored=0000000000000000".into(),
    ];
    if root {
        wanted.push("id=65534:65534".into());
        wanted.push("user=nobody".into());
    }
    for part in wanted {
        assert!(line.contains(&part), "{part} is missing: {line}");
    }
    let session = line
        .split("session=")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap();
    let (session, own) = session.split_once('=').unwrap();
    assert_eq!(session, own, "it leads no session of its own");
}

#[test]
fn files_are_noticed_broken_ones_leave_the_running_version_alone() {
    let mut home = Home::new();
    home.job("a", "", "sleep 1000");
    home.supervise();
    let a = home.pid("a");
    home.job("b", "", "sleep 1000");
    let b = home.pid("b");
    fs::write(
        home.path("jobs/a.xml"),
        "<exec name='a'><comand>x</comand></exec>",
    )
    .unwrap();
    wait_for("the error shows", || {
        let problem = home.status("a")["problem"].as_str()?.to_string();
        problem.contains("a.xml:1:").then_some(())
    });
    assert_eq!(home.pid("a"), a);
    // only how it is watched changes: the process goes on
    home.job("a", "max-run=\"1h\"", "sleep 1000");
    wait_for("the error is gone", || {
        home.status("a")["problem"].is_null().then_some(())
    });
    assert_eq!(home.pid("a"), a);
    home.job("a", "", "sleep 2000");
    wait_for("the new version runs", || {
        (home.pid("a") != a).then_some(())
    });
    assert!(!alive(a));
    fs::remove_file(home.path("jobs/b.xml")).unwrap();
    wait_for("what was removed is stopped", || (!alive(b)).then_some(()));
}

#[test]
fn kinds_are_checked_and_run_by_jobs() {
    let mut home = Home::new();
    fs::create_dir(home.path("old")).unwrap();
    let good = "<sweep name='good' every='1h'><files dir='old' match='*.log' older='1d' action='delete'/></sweep>";
    fs::write(home.path("jobs/good.xml"), good).unwrap();
    fs::write(
        home.path("jobs/bad.xml"),
        "<sweep name='bad' every='1h'><file/></sweep>",
    )
    .unwrap();
    home.supervise();
    let problem = home.status("bad")["problem"].as_str().unwrap().to_string();
    assert!(problem.contains("bad.xml:1:"), "{problem}");
    let run = home.past("good", |_| true);
    assert_eq!(run["result"], "done", "{run}");
}

#[test]
fn the_recorder_and_the_watchdog_are_replaced_and_no_pipe_breaks() {
    let mut home = Home::new();
    let printer = home.script(
        "printer",
        "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.01; done",
    );
    home.job("prints", "", &printer);
    home.supervise();
    let pid = home.pid("prints");
    let watchdog = wait_for("the watchdog is there", || home.own("checkproc"));
    let recorder = wait_for("the recorder is there", || home.own("recorder"));
    // both have lived for a while: a short life would slow their return down
    wait_for("some lines", || {
        (home.lines("log/prints.log").len() > 150).then_some(())
    });
    let begun = Instant::now();
    signal(watchdog, Signal::SIGKILL);
    wait_for("another watchdog", || {
        home.own("checkproc").filter(|pid| *pid != watchdog)
    });
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    signal(recorder, Signal::SIGKILL);
    wait_for("another recorder", || {
        home.own("recorder").filter(|pid| *pid != recorder)
    });
    let lines = home.lines("log/prints.log").len();
    wait_for("the log goes on", || {
        (home.lines("log/prints.log").len() > lines + 20).then_some(())
    });
    assert_eq!(home.pid("prints"), pid);
    home.stop();
}

#[test]
fn an_alarm_tells_its_facts() {
    let mut home = Home::new();
    let tell = home.script(
        "tell",
        "{ echo $PROCCTL_ALARM $PROCCTL_JOB; cat; echo; } >> told",
    );
    fs::write(
        home.path("procctl.xml"),
        format!("<procctl><notify on='failed' command=\"{tell} 'two words'\"/></procctl>"),
    )
    .unwrap();
    home.job("fails", "every=\"1h\"", "sh -c 'exit 3'");
    home.supervise();
    wait_for("somebody is told", || {
        (home.lines("told").len() >= 2).then_some(())
    });
    let told = home.lines("told");
    assert_eq!(told[0], "failed fails");
    let alarm: Value = serde_json::from_str(&told[1]).unwrap();
    assert_eq!(alarm["job"], "fails");
    assert_eq!(alarm["kind"], "failed");
}

#[test]
fn a_daemon_may_name_another_main_process() {
    let mut home = Home::new();
    let folder = home.folder.path().display();
    let notify = "import os,socket,sys; s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); \
                  s.sendto(sys.argv[1].encode(),chr(0)+os.environ[\"NOTIFY_SOCKET\"][1:])";
    fs::write(home.path("notify.py"), notify).unwrap();
    let daemon = home.script(
        "daemon",
        &format!("setsid sleep 1000 & python3 {folder}/notify.py \"MAINPID=$!\nREADY=1\nSTATUS=at work\"; echo $! > {folder}/main; exit 0"),
    );
    home.job("daemon", "beat=\"self\" heartbeat=\"60s\"", &daemon);
    home.supervise();
    let main = home.number("main");
    wait_for("its main process is known", || {
        (home.status("daemon")["pid"].as_u64() == Some(main.into())).then_some(())
    });
    assert_eq!(home.status("daemon")["says"], "at work");
    assert!(home.past_count("daemon") == 0);
    signal(main, Signal::SIGKILL);
    let run = home.past("daemon", |_| true);
    assert_eq!(run["result"], "signalled", "{run}");
}

impl Home {
    fn past_count(&self, job: &str) -> usize {
        self.good(&["history", job, "--json"]).lines().count()
    }
}

#[test]
fn the_classic_form_runs_a_program_for_ever_and_kill_leaves_it_alone() {
    let home = Home::new();
    let folder = home.folder.path().display();
    let script = home.script(
        "classic",
        &format!(
            "grep -E 'Sig(Blk|Ign)' /proc/self/status | cut -f2 | sort -u > {folder}/signals\n\
             cut -d' ' -f4 /proc/$$/stat > {folder}/loop; echo $$ >> {folder}/runs; [ -e {folder}/stay ] && exec sleep 1000; exit 0"
        ),
    );
    let begun = Instant::now();
    home.good(&["0", &script, "word"]);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "it does not detach"
    );
    wait_for("it is run again and again", || {
        (home.lines("runs").len() > 3).then_some(())
    });
    fs::write(home.path("stay"), "").unwrap();
    let last = wait_for("one stays", || {
        let pid = home.lines("runs").last()?.parse::<u32>().ok()?;
        let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        words.starts_with("sleep").then_some(pid)
    });
    assert_eq!(home.lines("signals"), ["0000000000000000"]);
    let loops = home.number("loop");
    for ignored in [
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGUSR1,
    ] {
        signal(loops, ignored);
    }
    assert!(alive(loops));
    let ignored = fs::read_to_string(format!("/proc/{loops}/status")).unwrap();
    assert!(
        ignored
            .lines()
            .any(|line| line.starts_with("SigIgn:") && line.ends_with("f")),
        "{ignored}"
    );
    signal(loops, Signal::SIGKILL);
    wait_for("the loop is gone", || (!alive(loops)).then_some(()));
    assert!(alive(last));
    signal(last, Signal::SIGKILL);

    for (program, code) in [("/no/such/program", 127), ("/etc/passwd", 126)] {
        let output = home.run(&["5", program]);
        assert_eq!(output.status.code(), Some(code));
        assert!(String::from_utf8_lossy(&output.stderr).contains(program));
    }
}
