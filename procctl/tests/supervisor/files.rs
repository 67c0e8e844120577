//! Job files that come, change and are broken; kinds that `jobs` checks and runs; alarms.

use std::fs;

use serde_json::Value;

use crate::home::{Home, alive, wait_for};

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
