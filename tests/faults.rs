//! What goes wrong around the jobs: full and damaged tables, full disks, clocks that are set, broken and untrusted files.

use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::chance::pass;
use crate::lab::{Lab, PATIENCE, alive, false_clock, signal, wait_for};
use crate::small_disk::SmallDisk;

/// A job that beats by its output all the time.
const TALKS: &str = r#"beat="output" heartbeat="3s" backoff="100ms"><command>sh -c "while :; do echo alive; sleep 0.3; done"</command></exec>"#;

fn talks(lab: &Lab, name: &str) {
    lab.job(name, &format!(r#"<exec name="{name}" {TALKS}"#));
}

/// Ends a helper process with the test.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn a_full_table_refuses_newcomers_and_leaves_the_others_alone() {
    let mut lab = Lab::new();
    talks(&lab, "early");
    lab.supervise();
    let early = lab.running("early");
    let mut filler = lab.command("examples/filler");
    let mut filler = Ending(
        filler
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starting the filler"),
    );
    let mut line = String::new();
    BufReader::new(filler.0.stdout.take().expect("its output"))
        .read_line(&mut line)
        .expect("its word");
    assert!(
        line.trim().parse::<u32>().expect("a number") > 16_000,
        "the table has room for {line}"
    );

    let by_hand = lab.run("jobs", ["run", r#"<sweep name="late"><files dir="none" match="*" older="1d" action="delete"/></sweep>"#]);
    assert_eq!(by_hand.status.code(), Some(75), "{by_hand:?}");
    assert!(
        String::from_utf8_lossy(&by_hand.stderr).contains("full"),
        "{by_hand:?}"
    );
    talks(&lab, "late");
    wait_for("the newcomer's refusal is told", PATIENCE, || {
        let text = lab
            .statuses()
            .into_iter()
            .find(|row| row["job"] == "late")?
            .to_string();
        text.contains("full").then_some(())
    });
    pass(Duration::from_secs(4));
    assert_eq!(
        lab.pid("early"),
        Some(early),
        "the one that was there has been touched"
    );
    drop(filler);
    lab.running("late");
}

#[test]
fn a_damaged_table_is_replaced_and_hangs_are_still_found() {
    let mut lab = Lab::new();
    talks(&lab, "one");
    talks(&lab, "two");
    lab.supervise();
    let pids = [lab.running("one"), lab.running("two")];
    let path = lab.table();
    let mut file = fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .expect("the table");
    file.seek(SeekFrom::Start(0)).expect("seeking");
    file.write_all(&[0xA5; 64]).expect("damaging the header");
    drop(file);
    wait_for("a good table stands in its place", PATIENCE, || {
        let mut head = [0; 64];
        fs::File::open(&path).ok()?.read_exact(&mut head).ok()?;
        (head != [0xA5; 64]).then_some(())
    });
    pass(Duration::from_secs(5));
    assert_eq!(
        [lab.pid("one"), lab.pid("two")],
        pids.map(Some),
        "healthy jobs have been touched"
    );
    let told = ["log/checkproc.log", "log/procctl.log", "supervisor.out"]
        .iter()
        .any(|log| {
            lab.lines(log).iter().any(|line| {
                line.contains("table")
                    && (line.contains("retired")
                        || line.contains("replaced")
                        || line.contains("bad"))
            })
        });
    assert!(told, "no log tells of the damaged table");
    signal(pids[0], Signal::SIGSTOP);
    wait_for(
        "a hang after that is found",
        Duration::from_secs(20),
        || (!alive(pids[0])).then_some(()),
    );
    lab.running("one");
}

#[test]
fn a_step_of_the_wall_clock_kills_nobody_and_starts_nothing_twice() {
    let mut lab = Lab::new();
    talks(&lab, "steady");
    let home = lab.path("").display().to_string();
    let script = lab.script("daily.sh", &format!("echo run >> {home}/daily.runs"));
    lab.job(
        "daily",
        &format!(
            r#"<exec name="daily" cron="0 0 12 * * *" tz="UTC"><command>{}</command></exec>"#,
            script.display()
        ),
    );
    // the clock of procctl and its children is the system's plus what this file says
    let offset = lab.write("offset", "+0d\n");
    for (name, value) in false_clock(&offset) {
        lab.environment(name, &value);
    }
    lab.supervise();
    let pid = lab.running("steady");
    for step in ["+1d\n", "-1d\n", "+0d\n", "+30d\n", "+0d\n"] {
        lab.write("offset", step);
        pass(Duration::from_secs(4));
        assert_eq!(
            lab.pid("steady"),
            Some(pid),
            "the healthy job was touched after the clock went to {step}"
        );
    }
    // noon may have been passed once for real, and by each step forward at most once more
    assert!(
        lab.lines("daily.runs").len() <= 3,
        "the daily job ran {} times",
        lab.lines("daily.runs").len()
    );
}

#[test]
fn a_full_disk_does_not_end_supervision() {
    let mut lab = Lab::new();
    let disks = ["state", "log", "run"].map(|name| SmallDisk::new(lab.path(name), "2m"));
    talks(&lab, "one");
    talks(&lab, "two");
    lab.job("loud", r#"<exec name="loud" beat="output" heartbeat="3s" backoff="0s"><command>sh -c "while :; do seq 1000; done"</command></exec>"#);
    lab.supervise();
    for folder in ["state", "log", "run"] {
        // until there is no room for another byte
        let mut file = fs::File::create(lab.path(folder).join("filling")).expect("a file");
        while file.write_all(&[7; 4096]).is_ok() {}
    }
    let [one, two] = ["one", "two"].map(|name| lab.running(name));
    let loud = lab.running("loud");
    signal(one, Signal::SIGSTOP);
    wait_for(
        "a hang is found on a full disk",
        Duration::from_secs(20),
        || (!alive(one)).then_some(()),
    );
    signal(two, Signal::SIGKILL);
    let again = wait_for("a killed job is back on a full disk", PATIENCE, || {
        lab.pid("two").filter(|pid| *pid != two && alive(*pid))
    });
    assert!(alive(loud), "the loud one was ended by a full disk");
    for folder in ["state", "log", "run"] {
        fs::remove_file(lab.path(folder).join("filling")).expect("making room");
    }
    signal(again, Signal::SIGKILL);
    wait_for("the history goes on when there is room", PATIENCE, || {
        lab.history("two")
            .iter()
            .any(|run| run["pid"] == again || run["result"] == "signalled")
            .then_some(())
    });
    lab.stop();
    drop(disks);
}

#[test]
fn a_thousand_files_of_which_ten_are_broken() {
    let mut lab = Lab::new();
    for n in 0..1000 {
        let text = if n % 100 == 7 {
            format!(
                r#"<sweep name="job{n}" evry="5s"><files dir="x" match="*" older="1d" action="delete"/></sweep>"#
            )
        } else {
            format!(
                r#"<sweep name="job{n}"><files dir="x" match="*" older="1d" action="delete"/></sweep>"#
            )
        };
        lab.job(&format!("job{n:04}"), &text);
    }
    let check = lab.run("procctl", ["check"]);
    assert_eq!(check.status.code(), Some(78));
    let said = String::from_utf8(check.stdout).expect("UTF-8");
    let problems: Vec<&str> = said.lines().filter(|line| line.contains("evry")).collect();
    assert_eq!(problems.len(), 10, "{said}");
    assert!(
        problems
            .iter()
            .all(|line| line.contains(".xml:1:") && line.contains("every")),
        "{problems:?}"
    );

    let begun = Instant::now();
    lab.supervise();
    let broken = wait_for("all files have been judged", PATIENCE, || {
        let rows = lab.statuses();
        let broken = rows.iter().filter(|row| row["state"] == "broken").count();
        (rows.len() == 1000 && broken == 10).then_some(broken)
    });
    assert_eq!(broken, 10);
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "it took {:?}",
        begun.elapsed()
    );
    lab.good("procctl", ["trigger", "job5"]);
    wait_for("a good one runs", PATIENCE, || {
        lab.history("job5")
            .iter()
            .any(|run| run["result"] == "done")
            .then_some(())
    });
    lab.job(
        "job0007",
        r#"<sweep name="job7"><files dir="x" match="*" older="1d" action="delete"/></sweep>"#,
    );
    wait_for("a mended one is good", PATIENCE, || {
        (lab.status("job7")["state"] != "broken").then_some(())
    });
}

#[test]
fn a_broken_new_version_leaves_the_running_one_alone() {
    let mut lab = Lab::new();
    talks(&lab, "one");
    lab.supervise();
    let pid = lab.running("one");
    lab.job("one", r#"<exec name="one"><comand>false</comand></exec>"#);
    wait_for("the problem is told", PATIENCE, || {
        lab.status("one")
            .to_string()
            .contains("comand")
            .then_some(())
    });
    assert_eq!(lab.pid("one"), Some(pid));
    // only the way it is watched changes: no reason to start it again
    lab.job(
        "one",
        &format!(r#"<exec name="one" {}"#, TALKS.replace("3s", "9s")),
    );
    wait_for("the mended file is taken", PATIENCE, || {
        (!lab.status("one").to_string().contains("comand")).then_some(())
    });
    pass(Duration::from_secs(1));
    assert_eq!(
        lab.pid("one"),
        Some(pid),
        "a change of the heartbeat alone has restarted the job"
    );
    // another command does
    lab.job(
        "one",
        r#"<exec name="one"><command>sleep 1000</command></exec>"#,
    );
    wait_for("the new version runs", PATIENCE, || {
        lab.pid("one").filter(|new| *new != pid && alive(*new))
    });
    fs::remove_file(lab.path("jobs/one.xml")).expect("the file is there");
    wait_for("a removed job is stopped", PATIENCE, || {
        lab.statuses().is_empty().then_some(())
    });
}

#[test]
fn files_that_others_may_write_are_refused_to_root() {
    assert!(
        nix::unistd::Uid::effective().is_root(),
        "this story plays as root"
    );
    let mut lab = Lab::new();
    talks(&lab, "good");
    let path = lab.job(
        "open",
        r#"<exec name="open"><command>sleep 1000</command></exec>"#,
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("its mode");
    lab.supervise();
    lab.running("good");
    wait_for("the refusal is told", PATIENCE, || {
        let row = lab.statuses().into_iter().find(|row| {
            row["file"]
                .as_str()
                .is_some_and(|file| file.ends_with("open.xml"))
        })?;
        (row["state"] == "broken" && row["problem"].as_str()?.contains("writ")).then_some(())
    });
    let by_hand = lab.run("jobs", [std::ffi::OsStr::new("run"), path.as_os_str()]);
    assert!(
        matches!(by_hand.status.code(), Some(77 | 78)),
        "{by_hand:?}"
    );
}
