//! procctl itself is killed, restarted, started twice: its jobs notice nothing, there is never a second copy, and none is lost.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::lab::{Lab, PATIENCE, alive, wait_for};

/// A script that notes each of its starts and complains if another copy of it is alive; it prints all the while.
fn singleton(lab: &Lab, name: &str, then: &str) -> String {
    let home = lab.path("").display().to_string();
    let script = lab.script(
        &format!("{name}.sh"),
        &format!(
            "exec 9>{home}/{name}.lock\nflock -n 9 || echo {name} >> {home}/copies\necho $$ >> {home}/{name}.starts\n{then}"
        ),
    );
    script.display().to_string()
}

/// Fifty jobs of all sorts; gives the names of those that never end by themselves.
fn fifty(lab: &Lab) -> Vec<String> {
    let mut kept = Vec::new();
    for n in 0..30 {
        let name = format!("kept{n}");
        // writes all the time: a broken pipe would end it
        let command = singleton(
            lab,
            &name,
            "while :; do echo still here; sleep 0.3 9>&-; done",
        );
        lab.job(
            &name,
            &format!(r#"<exec name="{name}" backoff="0s"><command>{command}</command></exec>"#),
        );
        kept.push(name);
    }
    for n in 0..15 {
        let name = format!("every{n}");
        let command = singleton(lab, &name, "echo run; sleep 0.5 9>&-");
        lab.job(
            &name,
            &format!(r#"<exec name="{name}" every="300ms"><command>{command}</command></exec>"#),
        );
    }
    for n in 0..5 {
        let name = format!("cron{n}");
        let command = singleton(lab, &name, "sleep 0.2 9>&-");
        lab.job(
            &name,
            &format!(
                r#"<exec name="{name}" cron="* * * * * *"><command>{command}</command></exec>"#
            ),
        );
    }
    kept
}

/// A moment that differs from time to time, without a random source: some hundred milliseconds.
fn moment(n: u32) {
    let until = Instant::now() + Duration::from_millis(u64::from(n * 7_919 % 400) + 20);
    wait_for("a moment has passed", PATIENCE, || {
        (Instant::now() >= until).then_some(())
    });
}

fn pids(lab: &Lab, names: &[String]) -> BTreeMap<String, u32> {
    names
        .iter()
        .map(|name| (name.clone(), lab.running(name)))
        .collect()
}

#[test]
fn kill_minus_nine_fifty_times_makes_no_second_copy_and_loses_nobody() {
    let mut lab = Lab::new();
    let kept = fifty(&lab);
    lab.supervise();
    let before = pids(&lab, &kept);
    for n in 0..50 {
        moment(n);
        lab.kill_supervisor();
        lab.supervise();
    }
    assert_eq!(
        lab.lines("copies"),
        Vec::<String>::new(),
        "two copies of a job at once"
    );
    assert_eq!(
        pids(&lab, &kept),
        before,
        "jobs that were kept running have changed"
    );
    for name in &kept {
        assert_eq!(
            lab.lines(&format!("{name}.starts")).len(),
            1,
            "{name} was started again"
        );
    }
    for n in 0..15 {
        let starts = lab.lines(&format!("every{n}.starts")).len();
        wait_for("it goes on being started", PATIENCE, || {
            (lab.lines(&format!("every{n}.starts")).len() > starts).then_some(())
        });
    }
    // runs that ended under a later procctl, or between two, have an outcome all the same
    let odd: Vec<_> = lab
        .history("every0")
        .into_iter()
        .filter(|run| !["done", "unknown"].contains(&run["result"].as_str().unwrap_or("")))
        .collect();
    assert!(
        odd.is_empty(),
        "runs of every0 that ended by themselves are told otherwise: {odd:?}"
    );
}

#[test]
fn a_restart_in_place_is_noticed_by_nobody() {
    let mut lab = Lab::new();
    let kept = fifty(&lab);
    let supervisor = lab.supervise();
    let before = pids(&lab, &kept);
    for n in 0..50 {
        moment(n);
        lab.good("procctl", ["restart"]);
        assert!(alive(supervisor), "restart changed the supervisor's pid");
    }
    assert_eq!(
        lab.lines("copies"),
        Vec::<String>::new(),
        "two copies of a job at once"
    );
    assert_eq!(pids(&lab, &kept), before, "jobs have noticed the restart");
}

#[test]
fn a_second_procctl_on_the_same_home_is_refused() {
    let mut lab = Lab::new();
    lab.job(
        "one",
        r#"<exec name="one"><command>sleep 1000</command></exec>"#,
    );
    let first = lab.supervise();
    let second = lab.run("procctl", ["run"]);
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(
        said.contains(&first.to_string()),
        "it does not say who runs: {said}"
    );
    assert!(alive(first));
}

#[test]
fn an_outcome_survives_the_death_of_procctl() {
    let mut lab = Lab::new();
    let home = lab.path("").display().to_string();
    let script = lab.script(
        "ends.sh",
        &format!("while [ ! -e {home}/end ]; do sleep 0.05; done; exit 7"),
    );
    lab.job(
        "ends",
        &format!(
            r#"<exec name="ends" after="nobody"><command>{}</command></exec>"#,
            script.display()
        ),
    );
    lab.job(
        "nobody",
        r#"<exec name="nobody" after="ends"><command>true</command></exec>"#,
    );
    lab.supervise();
    lab.good("procctl", ["trigger", "ends"]);
    let pid = lab.running("ends");
    lab.kill_supervisor();
    lab.write("end", "");
    wait_for("the job has ended while no procctl lives", PATIENCE, || {
        (!alive(pid)).then_some(())
    });
    lab.supervise();
    let run = wait_for("its end is in the history", PATIENCE, || {
        lab.history("ends").into_iter().next()
    });
    let result = run["result"].as_str().unwrap_or("").to_owned();
    assert!(
        result == "failed" && run["exit"] == 7 || result == "unknown",
        "told otherwise than it was: {run}"
    );
}
