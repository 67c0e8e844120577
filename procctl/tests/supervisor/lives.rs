//! A death by SIGKILL, a restart in place, a second supervisor, one that is detached, and children that are replaced.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::home::{Home, alive, signal, wait_for};
use crate::trees::family;

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
