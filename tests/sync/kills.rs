//! SIGKILL at random moments, while writers are busy: `increment` copies each row once, and whoever reads a table that `refresh` or `batch` renew never sees less than
//! all of its rows. The moments come from a fixed seed. `FULL=1`: 200 kills each.

use std::fs;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::late::{copied, each_once, job, make_target};
use super::{run, same};
use crate::chance::{Dice, count, pass};
use crate::lab::{Lab, PATIENCE};
use crate::late_commits::committed;
use crate::place::{Engine, Place};
use crate::services;
use crate::writers;

const SEED: u64 = 7;

/// Starts a job and kills it after a while; it must not have failed by then.
fn start_and_kill(lab: &Lab, arguments: &[&str], file: &std::path::Path, after: Duration) {
    let log = fs::File::create(lab.path("killed.log")).expect("a log");
    let mut child = lab
        .command("jobs")
        .args(arguments)
        .arg(file)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("starting jobs");
    pass(after);
    if let Some(ended) = child.try_wait().expect("asking for the child") {
        assert!(
            ended.success(),
            "{ended}: {}",
            lab.lines("killed.log").join("\n")
        );
        return;
    }
    child.kill().expect("killing jobs");
    child.wait().expect("reaping jobs");
}

fn increments(source: &str, target: &str) {
    let (kills, mut dice) = (count(15, 200), Dice::new(SEED));
    writers::make_table(source);
    make_target(target);
    let lab = Lab::new();
    let file = lab.write("late.xml", job(source, target));
    let busy: Vec<[Child; 2]> = (1..=4)
        .map(|number| writers::start(source, number, SEED, kills * 350, 700))
        .collect();
    for _ in 0..kills {
        let after = Duration::from_millis(20 + dice.throw(600));
        start_and_kill(&lab, &["run", "--resident"], &file, after);
    }
    for mut child in busy.into_iter().flatten() {
        assert!(
            child.wait().expect("reaping a writer").success(),
            "seed {SEED}"
        );
    }
    let rows = committed(source);
    let end = Instant::now() + PATIENCE;
    while copied(target).len() < rows.len() {
        lab.good("jobs", ["run".as_ref(), file.as_os_str()]);
        assert!(
            Instant::now() < end,
            "{} of {} rows",
            copied(target).len(),
            rows.len()
        );
    }
    each_once(target, &rows);
}

#[test]
fn increments_survive_kills_from_postgres_to_postgres() {
    let source = services::database(services::postgres(), "sync_kills_source");
    increments(
        &source,
        &services::database(services::postgres(), "sync_kills_target"),
    );
}

#[test]
fn increments_survive_kills_from_mariadb_to_mariadb() {
    let source = services::database(services::mariadb(), "sync_kills_source");
    increments(
        &source,
        &services::database(services::mariadb(), "sync_kills_target"),
    );
}

#[test]
fn increments_survive_kills_from_postgres_to_mariadb() {
    let source = services::database(services::postgres(), "sync_kills_across_source");
    increments(
        &source,
        &services::database(services::mariadb(), "sync_kills_across_target"),
    );
}

pub(super) const ROWS: u64 = 3_000;

/// Changes rows of a table until it is told to stop; their number stays.
fn change(place: &Place, stop: &AtomicBool) {
    let mut dice = Dice::new(SEED);
    while !stop.load(Ordering::Relaxed) {
        change_once(place, &mut dice);
    }
}

/// Changes some rows, and lets one go and come back.
pub(super) fn change_once(place: &Place, dice: &mut Dice) {
    let id = dice.throw(ROWS) + 1;
    place.run(&format!(
        "UPDATE s SET amount = {}, name = 'changed' WHERE id >= {id} AND id < {id} + 50 AND name IS NOT NULL",
        dice.throw(1000)
    ));
    place.run(&format!("UPDATE s SET id = id + {ROWS} WHERE id = {id}"));
    place.run(&format!("UPDATE s SET id = id - {ROWS} WHERE id > {ROWS}"));
}

fn renewals(from: Engine, to: Engine, mode: &str) {
    let lab = Lab::new();
    let name = format!("sync_renew_{mode}_{from:?}_{to:?}").to_lowercase();
    let source = Place::new(&lab, from, &format!("{name}_s"));
    let target = Place::new(&lab, to, &format!("{name}_t"));
    source.make("s");
    target.make("s");
    source.insert("s", 1..=ROWS, 0);
    let xml = format!(
        r#"<sync><source url="{}"/><target url="{}"/><table from="s" mode="{mode}" batch="100"/></sync>"#,
        source.url, target.url
    );
    run(&lab, "renew", &xml);
    let file = lab.path("renew.xml");
    let (kills, mut dice, stop) = (count(10, 200), Dice::new(SEED), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| change(&source, &stop));
        for _ in 0..kills {
            start_and_kill(
                &lab,
                &["run"],
                &file,
                Duration::from_millis(20 + dice.throw(500)),
            );
            let seen = target.content("s").len() as u64;
            // a key that was on its way when batch was killed is there at neither of its places, or at both
            let most_missing = if mode == "refresh" { 0 } else { 5 };
            assert!(
                seen.abs_diff(ROWS) <= most_missing,
                "{seen} rows after a kill, seed {SEED}"
            );
        }
        stop.store(true, Ordering::Relaxed);
    });
    run(&lab, "renew", &xml);
    same(&target.content("s"), &source.content("s"));
}

#[test]
fn a_refresh_survives_kills_on_postgres() {
    renewals(Engine::Postgres, Engine::Postgres, "refresh");
}

#[test]
fn a_refresh_survives_kills_on_mariadb() {
    renewals(Engine::Mariadb, Engine::Mariadb, "refresh");
}

#[test]
fn a_refresh_survives_kills_from_mariadb_to_postgres() {
    renewals(Engine::Mariadb, Engine::Postgres, "refresh");
}

#[test]
fn a_batch_survives_kills_on_postgres() {
    renewals(Engine::Postgres, Engine::Postgres, "batch");
}

#[test]
fn a_batch_survives_kills_on_mariadb() {
    renewals(Engine::Mariadb, Engine::Mariadb, "batch");
}

#[test]
fn a_batch_survives_kills_from_postgres_to_mariadb() {
    renewals(Engine::Postgres, Engine::Mariadb, "batch");
}
