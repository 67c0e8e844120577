//! What an operator says and sees: commands with their exit codes, files that change under a supervisor, alarms, the classic forms.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::lab::{Lab, PATIENCE, alive, programs, signal, wait_for};

/// The exit code and all that was printed.
fn said(lab: &Lab, words: &[&str]) -> (i32, String) {
    let output = lab.run("procctl", words);
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().expect("no signal ended it"),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// Waits until the job's status has the word.
fn becomes(lab: &Lab, job: &str, state: &str) {
    wait_for(&format!("{job} is {state}"), PATIENCE, || {
        let rows = lab.statuses();
        let row = rows.into_iter().find(|row| row["job"] == job)?;
        (row["state"] == state).then_some(())
    });
}

fn sleeper(lab: &Lab, name: &str, seconds: u32) {
    lab.job(
        name,
        &format!("<exec><command>sleep {seconds}</command></exec>"),
    );
}

#[test]
fn commands_for_jobs_do_as_they_say_and_tell_by_exit_codes() {
    let mut lab = Lab::new();
    sleeper(&lab, "service", 1000);
    sleeper(&lab, "other", 1001);
    lab.job(
        "byhand",
        "<exec every='1d' enabled='false'><command>sh -c 'exit 3'</command></exec>",
    );
    lab.job("broken", "<exec><comand>true</comand></exec>");
    assert_eq!(said(&lab, &["trigger", "service"]).0, 69);
    lab.supervise();
    let first = lab.running("service");

    assert_eq!(said(&lab, &["run"]).0, 75);
    assert_eq!(said(&lab, &["status", "nobody"]).0, 64);
    let (code, text) = said(&lab, &["start", "service", "servise"]);
    assert_eq!(code, 64, "{text}");
    assert!(text.contains("did you mean service"), "{text}");
    let (code, text) = said(&lab, &["trigger", "--wait", "byhand"]);
    assert!(code == 1 && text.contains("exit 3"), "{code} {text}");
    let (code, text) = said(&lab, &["reload", "broken"]);
    assert!(code == 1 && text.contains("comand"), "{code} {text}");
    assert_eq!(said(&lab, &["reload", "service"]).0, 0);

    lab.good("procctl", ["stop", "service"]);
    assert!(!alive(first), "stop comes back when the tree is gone");
    lab.good("procctl", ["stop", "service"]);
    lab.good("procctl", ["restart", "service"]);
    let second = lab.running("service");
    lab.good("procctl", ["restart"]);
    assert_eq!(lab.running("service"), second, "a re-exec disturbs nobody");

    lab.good("procctl", ["disable", "service"]);
    assert!(!alive(second));
    lab.stop();
    lab.supervise();
    lab.running("other");
    assert_eq!(lab.status("service")["state"], "disabled");
    lab.kill_supervisor();
    lab.supervise();
    assert_eq!(lab.status("service")["state"], "disabled");
    lab.good("procctl", ["trigger", "service"]);
    lab.running("service");
    lab.good("procctl", ["enable", "service"]);
    lab.stop();
    assert_eq!(said(&lab, &["status"]).0, 69);
    wait_for("nothing is left", PATIENCE, || {
        lab.processes().is_empty().then_some(())
    });
}

#[test]
fn files_are_taken_as_they_come_change_and_go() {
    let mut lab = Lab::new();
    lab.supervise();
    sleeper(&lab, "job", 1000);
    becomes(&lab, "job", "running");
    let first = lab.running("job");

    // what editors leave behind, and files that are no job files
    for name in [
        ".job.xml.swp",
        "job.xml~",
        "4913",
        "#job.xml#",
        "job.xml.tmp",
    ] {
        fs::write(lab.path("jobs").join(name), "<exec>half").expect("writing");
    }
    symlink("/nowhere/at/all", lab.path("jobs/dangling.xml")).expect("a link");
    fs::write(
        lab.path("jobs/two words.xml"),
        "<exec name='spaced'><command>sleep 1002</command></exec>",
    )
    .expect("writing");
    becomes(&lab, "spaced", "running");
    becomes(&lab, "dangling", "broken");
    assert_eq!(lab.statuses().len(), 3, "{:?}", lab.statuses());

    // only how it is watched: the run goes on; then half a file: the run goes on
    lab.job(
        "job",
        "<exec heartbeat='1h' max-run='2h' stop-grace='1s'><command>sleep 1000</command></exec>",
    );
    lab.good("procctl", ["reload"]);
    assert_eq!(lab.pid("job"), Some(first));
    fs::write(lab.path("jobs/job.xml"), "<exec><comm").expect("writing");
    wait_for("its problem shows", PATIENCE, || {
        lab.status("job")["problem"].is_string().then_some(())
    });
    assert_eq!(lab.pid("job"), Some(first));
    // another command: a new run
    sleeper(&lab, "job", 1003);
    let second = wait_for("a new run", PATIENCE, || {
        lab.pid("job").filter(|pid| *pid != first && alive(*pid))
    });
    assert!(!alive(first));

    // another name, and two of one name
    fs::rename(lab.path("jobs/job.xml"), lab.path("jobs/renamed.xml")).expect("renaming");
    becomes(&lab, "renamed", "running");
    let third = lab.running("renamed");
    wait_for("the old name is gone", PATIENCE, || {
        (!alive(second)).then_some(())
    });
    lab.job(
        "thief",
        "<exec name='renamed'><command>sleep 1004</command></exec>",
    );
    wait_for("the later is at fault", PATIENCE, || {
        let rows = lab.statuses();
        rows.iter()
            .any(|row| {
                row["problem"]
                    .as_str()
                    .is_some_and(|text| text.contains("is taken by"))
            })
            .then_some(())
    });
    assert_eq!(lab.running("renamed"), third);
    fs::remove_file(lab.path("jobs/renamed.xml")).expect("removing");
    wait_for("the other takes its place", PATIENCE, || {
        lab.pid("renamed")
            .filter(|pid| *pid != third && alive(*pid))
    });
    assert!(!alive(third));
}

#[test]
fn alarms_go_out_and_their_secrets_show_nowhere() {
    let mut lab = Lab::new();
    let centre = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = centre.local_addr().expect("its number").port();
    lab.write("token", "xyzzy-secret");
    let tell = lab.script(
        "tell.sh",
        "cat >> told; echo \" $PROCCTL_ALARM $PROCCTL_JOB\" >> told",
    );
    let cannot = lab.script("cannot.sh", "echo nobody listens >&2; exit 5");
    lab.write(
        "procctl.xml",
        format!(
            "<procctl>\n<notify on='failed,recovered' command='{}'/>\n<notify on='failed' command='{}'/>\n\
             <notify on='failed' url='http://127.0.0.1:{port}/${{file:token}}'/>\n</procctl>",
            tell.display(),
            cannot.display()
        ),
    );
    let script = lab.script("flaky.sh", "[ -e well ] && exec sleep 1000; exit 9");
    lab.job(
        "flaky",
        &format!(
            "<exec backoff='200ms..300ms'><command>{}</command></exec>",
            script.display()
        ),
    );
    lab.supervise();
    let (mut caller, _) = centre.accept().expect("the alarm comes by url");
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).into_owned();
        assert!(!words.contains("xyzzy"), "ps shows {words}");
    }
    let mut seen = String::new();
    wait_for("the whole alarm has come", PATIENCE, || {
        let mut part = [0; 4096];
        let read = caller.read(&mut part).expect("reading");
        seen.push_str(&String::from_utf8_lossy(&part[..read]));
        seen.ends_with('}').then_some(())
    });
    assert!(
        seen.starts_with("POST /xyzzy-secret ") && seen.contains("\"job\":\"flaky\""),
        "{seen}"
    );
    caller
        .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        .expect("answering");
    wait_for("the failure is told", PATIENCE, || {
        lab.lines("told")
            .iter()
            .any(|line| line.contains("failed flaky"))
            .then_some(())
    });
    wait_for("what could not be told is in the log", PATIENCE, || {
        let line = lab
            .lines("log/procctl.log")
            .into_iter()
            .find(|line| line.contains("not told"))?;
        (line.contains("cannot.sh") && line.contains("nobody listens")).then_some(())
    });
    lab.write("well", "");
    wait_for("the recovery is told", PATIENCE, || {
        lab.lines("told")
            .iter()
            .any(|line| line.contains("recovered flaky"))
            .then_some(())
    });
    assert!(!lab.lines("log/procctl.log").concat().contains("xyzzy"));
}

/// On a terminal of its own, by `script`.
#[test]
fn top_shows_all_jobs_on_the_whole_screen_and_leaves_it_as_it_was() {
    let mut lab = Lab::new();
    sleeper(&lab, "service", 1000);
    lab.job("broken", "<exec><comand>true</comand></exec>");
    lab.supervise();
    lab.running("service");
    let (code, text) = said(&lab, &["top"]);
    assert!(
        code == 64 && text.contains("needs a terminal"),
        "{code} {text}"
    );
    let command = format!(
        "'{}' top; echo ended with $?",
        programs().join("procctl").display()
    );
    let mut terminal = lab
        .command("/usr/bin/script")
        .args(["-q", "-c", &command, "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starting script");
    let mut keys = terminal.stdin.take().expect("its input is piped");
    let mut screen = terminal.stdout.take().expect("its output is piped");
    let seen = Arc::new(Mutex::new(String::new()));
    let reader = {
        let seen = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = screen.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
                seen.lock().expect("nobody panics with it").push_str(&text);
            }
        })
    };
    let shows = |what: &str| {
        wait_for(&format!("the screen shows {what:?}"), PATIENCE, || {
            let seen = seen.lock().expect("nobody panics with it");
            seen.contains(what).then_some(())
        });
    };
    shows("\x1b[?1049h");
    shows("> \x1b[0mbroken");
    shows("service");
    keys.write_all(b"\x1b[B\r")
        .expect("a terminal that listens");
    shows("service: exec, kept");
    keys.write_all(b"q").expect("a terminal that listens");
    shows("\x1b[?1049l");
    shows("ended with 0");
    drop(keys);
    assert!(terminal.wait().expect("reaping script").success());
    reader.join().expect("a reader that does not panic");
}

#[test]
fn the_classic_form_stands_every_signal_and_dies_alone() {
    let lab = Lab::new();
    let script = lab.script(
        "classic.sh",
        "grep -E '^Sig(Blk|Ign)' /proc/self/status > masks\necho $$ >> pids\nexec sleep 1000",
    );
    assert_eq!(said(&lab, &["1", "/nonexistent/program"]).0, 127);
    assert_eq!(said(&lab, &["1"]).0, 64);
    let output = lab.run("procctl", ["0.1".as_ref(), script.as_os_str()]);
    assert!(output.status.success() && output.stdout.is_empty());
    let pid = |number: usize| {
        wait_for("the program runs", PATIENCE, || {
            let pid = lab.lines("pids").get(number)?.parse::<u32>().ok()?;
            alive(pid).then_some(pid)
        })
    };
    let first = pid(0);
    for line in lab.lines("masks") {
        assert!(line.ends_with("0000000000000000"), "{line}");
    }
    let parent = lab
        .processes()
        .into_iter()
        .find(|pid| {
            fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|words| words.contains("procctl\0"))
        })
        .expect("the classic procctl is there");
    for number in Signal::iterator().filter(|one| !matches!(one, Signal::SIGKILL | Signal::SIGSTOP))
    {
        signal(parent, number);
    }
    signal(first, Signal::SIGKILL);
    let second = pid(1);
    for descriptor in fs::read_dir(format!("/proc/{parent}/fd"))
        .expect("its descriptors")
        .flatten()
    {
        let target = fs::read_link(descriptor.path()).expect("a descriptor");
        assert_eq!(target.to_string_lossy(), "/dev/null");
    }
    signal(parent, Signal::SIGKILL);
    wait_for("procctl is gone", PATIENCE, || {
        (!alive(parent)).then_some(())
    });
    assert!(alive(second), "kill -9 leaves the program alone");
}

#[test]
fn the_classic_watchdog_ends_what_hangs_though_its_scans_lie_far_apart() {
    let lab = Lab::new();
    let beat = programs().join("checkproc");
    let script = lab.script(
        "scripted.sh",
        &format!(
            "echo $$ > pid\n{} beat scripted --heartbeat 500ms\nexec sleep 1000",
            beat.display()
        ),
    );
    let log = lab.path("log/classic.log");
    let watch = lab.run(
        "procctl",
        ["2.5".as_ref(), beat.as_os_str(), log.as_os_str()],
    );
    assert!(watch.status.success());
    wait_for("it has scanned once", PATIENCE, || {
        log.exists().then_some(())
    });
    let mut child = lab
        .command("procctl")
        .arg("1000")
        .arg(&script)
        .spawn()
        .expect("starting it");
    child.wait().expect("the starter ends");
    let pid = wait_for("the script runs", PATIENCE, || {
        lab.lines("pid").first()?.parse::<u32>().ok()
    });
    wait_for("it is found and ended", Duration::from_secs(20), || {
        (!alive(pid)).then_some(())
    });
}
