//! `extract` under load while things break: the job is killed at random moments, the server is killed and comes back, the server stays away. In the
//! end every committed row is in exactly one file.
//!
//! The moments come from a fixed seed. `FULL=1`: 200 kills and 20 crashes on each server, one of them for a minute.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::chance::{Dice, count, pass};
use crate::lab::{Lab, PATIENCE, wait_for};
use crate::late_commits::{committed, each_once, ids};
use crate::services::{self, Private};
use crate::writers;

const SEED: u64 = 4;

fn job(url: &str) -> String {
    format!(
        r#"<extract name="x" every="200ms" resident="true" backoff="100ms..1s"><source url="{url}?connect-timeout=2s"/><table name="late"/><increment column="id"/><output dir="out" file="L" format="csv" rows="50"/></extract>"#
    )
}

fn reap(writers: Vec<[Child; 2]>) {
    for mut child in writers.into_iter().flatten() {
        // those of a server that was killed end as they like
        let _ended = child.wait().expect("reaping a writer");
    }
}

fn kills(url: &str) {
    let (kills, mut dice) = (count(20, 200), Dice::new(SEED));
    writers::make_table(url);
    let lab = Lab::new();
    let file = lab.write("x.xml", job(url));
    let busy = (1..=4)
        .map(|number| writers::start(url, number, SEED, kills * 350, 700))
        .collect();
    for number in 0..kills {
        let log = fs::File::create(lab.path("x.log")).expect("a log");
        let mut child = lab
            .command("jobs")
            .args(["run", "--resident"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("starting jobs");
        pass(Duration::from_millis(20 + dice.throw(600)));
        let early = child.try_wait().expect("asking for the child");
        let log = lab.lines("x.log");
        assert!(
            early.is_none(),
            "run {number} ended by itself: {early:?} {log:?}"
        );
        child.kill().expect("killing jobs");
        child.wait().expect("reaping jobs");
    }
    reap(busy);
    let rows = committed(url);
    assert!(rows.len() > 20, "only {} rows, seed {SEED}", rows.len());
    let end = Instant::now() + PATIENCE;
    loop {
        lab.good("jobs", ["run".as_ref(), file.as_os_str()]);
        let found = ids(&lab, "out");
        let missing: Vec<&u64> = rows.iter().filter(|id| !found.contains_key(id)).collect();
        if missing.is_empty() {
            break;
        }
        let state = || lab.good("jobs", ["state", "x", "show"]);
        assert!(Instant::now() < end, "missing {missing:?}: {}", state());
    }
    each_once(&lab, "out", &rows);
}

#[test]
fn extract_survives_kills_under_load_on_postgres() {
    kills(&services::database(services::postgres(), "faults_kills"));
}

#[test]
fn extract_survives_kills_under_load_on_mariadb() {
    kills(&services::database(services::mariadb(), "faults_kills"));
}

/// The server goes away and comes back, again and again; the first time it stays away.
fn crashes(server: &Private) {
    let (crashes, mut dice) = (count(3, 20), Dice::new(SEED));
    writers::make_table(&server.url);
    let mut lab = Lab::new();
    lab.job("x", &job(&server.url));
    lab.supervise();
    for number in 0..crashes {
        let busy = (1..=4)
            .map(|writer| writers::start(&server.url, writer, SEED + number, 2_000, 900))
            .collect();
        pass(Duration::from_millis(500 + dice.throw(1_500)));
        server.kill();
        if number == 0 {
            let away = Instant::now();
            wait_for("the status tells that the server is away", PATIENCE, || {
                let row = lab.status("x");
                let why = row["last"]["why"].as_str().unwrap_or_default();
                (row["state"] == "backoff" && why.contains("not reachable")).then_some(())
            });
            pass(Duration::from_secs(count(3, 60)).saturating_sub(away.elapsed()));
            let failures = lab.status("x")["failures"].as_u64();
            // a second apart at most, and a failing run takes some time itself
            assert!(
                failures.is_some_and(|n| n >= 2),
                "{failures:?} failures in a row"
            );
        }
        server.revive();
        reap(busy);
    }
    services::ask(&server.url, "INSERT INTO late (writer) VALUES (99)");
    let rows = committed(&server.url);
    each_once(&lab, "out", &rows);
    assert_eq!(lab.status("x")["state"], "running");
    lab.stop();
}

#[test]
fn extract_goes_on_after_crashes_of_postgres() {
    crashes(&Private::start("postgres"));
}

#[test]
fn extract_goes_on_after_crashes_of_mariadb() {
    crashes(&Private::start("mariadb"));
}
