//! Rows that are committed late: eight writers draw numbers in one order and commit in another, while a resident `sync` copies what is new every 200 ms.
//! The target has no key, so that a row that came twice would be seen. `FULL=1`: a minute of load with delays of up to 3 s.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Stdio};

use nix::sys::signal::Signal;

use crate::chance::count;
use crate::lab::{Lab, PATIENCE, signal, wait_for};
use crate::late_commits::committed;
use crate::{services, writers};

const WRITERS: u64 = 8;
const SEED: u64 = 20_261_121;

/// The table that rows are copied into; any number of equal rows may be there.
pub(super) fn make_target(url: &str) {
    services::ask(url, "CREATE TABLE late (id BIGINT, writer INTEGER)");
}

/// The job.
pub(super) fn job(source: &str, target: &str) -> String {
    format!(
        r#"<sync name="late" every="200ms" resident="true" backoff="100ms..1s"><source url="{source}?connect-timeout=2s"/><target url="{target}?connect-timeout=2s"/><table from="late" mode="increment" key="id"/></sync>"#
    )
}

/// How often each row is in the target; nothing while it is down.
pub(super) fn copied(url: &str) -> BTreeMap<u64, u32> {
    let mut found = BTreeMap::new();
    let told = services::try_ask(url, "SELECT id FROM late").unwrap_or_default();
    for id in told.lines() {
        *found.entry(id.parse().expect("a number")).or_insert(0) += 1;
    }
    found
}

/// Waits until everything is there, and asserts that nothing is there twice and nothing else.
pub(super) fn each_once(target: &str, rows: &[u64]) {
    wait_for("all rows are copied", PATIENCE, || {
        let found = copied(target);
        rows.iter().all(|id| found.contains_key(id)).then_some(())
    });
    let found = copied(target);
    let twice: Vec<_> = found.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "more than once: {twice:?}");
    assert_eq!(found.len(), rows.len(), "rows that were never committed");
}

struct Resident(Child);

impl Drop for Resident {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn story(source: &str, target: &str) {
    let lab = Lab::new();
    writers::make_table(source);
    make_target(target);
    let file = lab.write("late.xml", job(source, target));
    let log = fs::File::create(lab.path("late.log")).expect("a log");
    let child = lab
        .command("jobs")
        .args(["run", "--resident"])
        .arg(file)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("starting jobs");
    let mut resident = Resident(child);
    let (length, delay) = (count(8_000, 60_000), count(1_000, 3_000));
    let busy: Vec<[Child; 2]> = (1..=WRITERS)
        .map(|number| writers::start(source, number, SEED, length, delay))
        .collect();
    for mut child in busy.into_iter().flatten() {
        assert!(
            child.wait().expect("reaping a writer").success(),
            "seed {SEED}"
        );
    }
    let rows = committed(source);
    assert!(rows.len() > 20, "only {} rows, seed {SEED}", rows.len());
    each_once(target, &rows);
    signal(resident.0.id(), Signal::SIGTERM);
    let ended = resident.0.wait().expect("reaping jobs");
    assert_eq!(
        ended.code(),
        Some(143),
        "{}",
        lab.lines("late.log").join("\n")
    );
}

#[test]
fn rows_that_come_late_on_postgres_are_copied_once_to_mariadb() {
    let source = services::database(services::postgres(), "sync_late_source");
    story(
        &source,
        &services::database(services::mariadb(), "sync_late_target"),
    );
}

#[test]
fn rows_that_come_late_on_mariadb_are_copied_once_to_postgres() {
    let source = services::database(services::mariadb(), "sync_late_source");
    story(
        &source,
        &services::database(services::postgres(), "sync_late_target"),
    );
}
