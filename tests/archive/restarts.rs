//! The server is killed while rows leave, and comes back: the run fails in good time, the next one goes on.

use std::process::Child;
use std::time::Duration;

use super::kills::{EXPORT, each_hot_one_stayed, each_in_files};
use super::place::Place;
use super::{ROWS, SEED, each_where_it_belongs, finish, rows, start};
use crate::chance::{Dice, count, pass};
use crate::lab::{Lab, PATIENCE, wait_for};
use crate::services::Private;

/// Kills the server under a run, which ends as it should, and lets it come back.
fn crash(lab: &Lab, server: &Private, child: &mut Child) {
    server.kill();
    let ended = wait_for("the run ends", PATIENCE * 2, || {
        child.try_wait().expect("asking for the child")
    });
    let log = || lab.lines("archive.log").join("\n");
    assert_ne!(ended.code(), Some(70), "{}", log());
    server.revive();
}

/// Kills the servers in turn, each in the middle of a run.
fn crashes(from: &Private, to: &Private) {
    let (lab, mut dice) = (Lab::new(), Dice::new(SEED));
    let (source, target) = (
        Place::Server(from.url.clone()),
        Place::Server(to.url.clone()),
    );
    source.make_table(ROWS);
    let table = r#"<table name="t" where="hot = 0" batch="10" pause="10ms" to="his" create="true""#;
    let file = lab.write(
        "archive.xml",
        format!(
            r#"<archive><database url="{}?connect-timeout=5s"/>{table} to-url="{}?connect-timeout=5s"/></archive>"#,
            from.url, to.url
        ),
    );
    for number in 0..count(3, 20) {
        let server = if number % 2 == 0 { to } else { from };
        let writer = source.disturb(ROWS, SEED + number);
        let before = rows(&target, "his").len();
        let mut child = start(&lab, &file);
        wait_for("rows arrive", PATIENCE, || {
            let ended = child.try_wait().expect("asking for the child");
            (ended.is_some() || rows(&target, "his").len() > before).then_some(())
        });
        pass(Duration::from_millis(dice.throw(300)));
        crash(&lab, server, &mut child);
        writer.stop();
    }
    finish(&lab, &file);
    each_where_it_belongs(&source, &rows(&target, "his"));
}

#[test]
fn archive_from_mariadb_goes_on_after_crashes_of_both_servers() {
    crashes(&Private::start("mariadb"), &Private::start("postgres"));
}

#[test]
fn archive_from_postgres_goes_on_after_crashes_of_both_servers() {
    crashes(&Private::start("postgres"), &Private::start("mariadb"));
}

/// One server, and what becomes of its rows.
fn crashes_alone(server: &Private, action: &str, check: impl Fn(&Lab, &Place)) {
    let (lab, mut dice) = (Lab::new(), Dice::new(SEED));
    let place = Place::Server(server.url.clone());
    place.make_table(ROWS);
    let file = lab.write(
        "archive.xml",
        format!(
            r#"<archive><database url="{}?connect-timeout=5s"/><table name="t" where="hot = 0" batch="10" pause="10ms" {action}/></archive>"#,
            server.url
        ),
    );
    for number in 0..count(2, 20) {
        let writer = place.disturb(ROWS, SEED + number);
        let mut child = start(&lab, &file);
        pass(Duration::from_millis(200 + dice.throw(500)));
        crash(&lab, server, &mut child);
        writer.stop();
    }
    finish(&lab, &file);
    check(&lab, &place);
}

fn moved(server: &Private) {
    crashes_alone(server, r#"to="his" create="true""#, |_, place| {
        each_where_it_belongs(place, &rows(place, "his"));
    });
}

#[test]
fn archive_goes_on_after_crashes_of_mariadb() {
    moved(&Private::start("mariadb"));
}

#[test]
fn archive_goes_on_after_crashes_of_postgres() {
    moved(&Private::start("postgres"));
}

fn deleted(server: &Private) {
    crashes_alone(server, r#"action="delete""#, |_, place| {
        each_hot_one_stayed(place);
    });
}

#[test]
fn archive_to_nowhere_goes_on_after_crashes_of_mariadb() {
    deleted(&Private::start("mariadb"));
}

#[test]
fn archive_to_nowhere_goes_on_after_crashes_of_postgres() {
    deleted(&Private::start("postgres"));
}

#[test]
fn archive_to_files_goes_on_after_crashes_of_mariadb() {
    crashes_alone(&Private::start("mariadb"), EXPORT, each_in_files);
}

#[test]
fn archive_to_files_goes_on_after_crashes_of_postgres() {
    crashes_alone(&Private::start("postgres"), EXPORT, each_in_files);
}
