//! The job is killed and stopped at random moments while others change rows: moves within a database, by months, to another engine,
//! deletions, exports.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::place::Place;
use super::{ROWS, SEED, audit, each_where_it_belongs, finish, last, rows, start};
use crate::chance::{Dice, count, pass};
use crate::lab::{Lab, PATIENCE, signal};
use crate::services;

/// Runs the job again and again, each time to a kill or a stop, and once to its end; rows are changed all the time but for the last run.
fn break_often(lab: &Lab, place: &Place, table: &str) {
    let mut dice = Dice::new(SEED);
    let file = lab.write(
        "archive.xml",
        format!(r#"<archive><database url="{}"/><table name="t" where="hot = 0" batch="10" pause="5ms" {table}/></archive>"#, place.url()),
    );
    let writer = place.disturb(ROWS, SEED);
    for number in 0..count(7, 100) {
        let mut child = start(lab, &file);
        pass(Duration::from_millis(60 + dice.throw(500)));
        if number % 3 == 2 {
            signal(child.id(), Signal::SIGTERM);
            let begun = Instant::now();
            let ended = child.wait().expect("reaping jobs");
            let log = || lab.lines("archive.log").join("\n");
            // none: the signal came before the program could hear it
            assert!(
                matches!(ended.code(), None | Some(0 | 143)),
                "{ended}: {}",
                log()
            );
            assert!(
                begun.elapsed() < PATIENCE,
                "a stop took {:?}",
                begun.elapsed()
            );
        } else {
            child.kill().expect("killing jobs");
            child.wait().expect("reaping jobs");
        }
    }
    writer.stop();
    finish(lab, &file);
}

fn to_a_table(place: &Place) {
    let lab = Lab::new();
    place.make_table(ROWS);
    break_often(&lab, place, r#"to="his" create="true""#);
    each_where_it_belongs(place, &rows(place, "his"));
}

fn by_months(place: &Place) {
    let lab = Lab::new();
    place.make_table(ROWS);
    break_often(&lab, place, r#"to="his_{yyyy}{mm}" by="at""#);
    let mut archived = BTreeMap::new();
    for month in ["2013-01", "2013-02", "2013-03"] {
        let found = rows(place, &format!("his_{}", month.replace('-', "")));
        assert!(
            found.values().all(|row| row.month == month),
            "rows of another month than {month}"
        );
        let before = archived.len() + found.len();
        archived.extend(found);
        assert_eq!(archived.len(), before, "a row is in two months");
    }
    each_where_it_belongs(place, &archived);
}

fn across(from: &Place, to: &Place) {
    let lab = Lab::new();
    from.make_table(ROWS);
    break_often(
        &lab,
        from,
        &format!(r#"to="his" to-url="{}" create="true""#, to.url()),
    );
    each_where_it_belongs(from, &rows(to, "his"));
}

/// What is in the table is hot and as it was last, and what is not was cold: those that left, with how often they were changed.
pub(super) fn each_hot_one_stayed(place: &Place) -> Vec<(u64, u64)> {
    let (there, audit) = (rows(place, "t"), audit(place));
    let mut left = Vec::new();
    for id in 1..=ROWS {
        let (version, hot) = last(&audit, id);
        if let Some(row) = there.get(&id) {
            let found = (row.hot, row.version);
            assert_eq!(found, (1, version), "row {id}, seed {SEED}");
        } else {
            assert_eq!(hot, 0, "row {id} was hot, seed {SEED}");
            left.push((id, version));
        }
    }
    left
}

fn deleted(place: &Place) {
    let lab = Lab::new();
    place.make_table(ROWS);
    break_often(&lab, place, r#"action="delete""#);
    each_hot_one_stayed(place);
}

/// Files of rows that left.
pub(super) const EXPORT: &str =
    r#"action="export" dir="out" format="csv" compress="none" rows="400""#;

fn exported(place: &Place) {
    let lab = Lab::new();
    place.make_table(ROWS);
    break_often(&lab, place, EXPORT);
    each_in_files(&lab, place);
}

/// Asserts that each row that is gone was cold at last, and is in a file as it was last. Files may have an older form of a row too, which was changed after it
/// was written; never the same form twice.
pub(super) fn each_in_files(lab: &Lab, place: &Place) {
    let mut found: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    for entry in fs::read_dir(lab.path("out")).expect("the folder").flatten() {
        let name = entry.file_name().into_string().expect("a plain name");
        assert!(name.starts_with("t_") && name.ends_with(".csv"), "{name}");
        let text = fs::read_to_string(entry.path()).expect("a file");
        for line in text.lines().skip(1) {
            let cells: Vec<u64> = line
                .split(',')
                .take(3)
                .map(|cell| cell.parse().expect("a number"))
                .collect();
            *found.entry((cells[0], cells[2])).or_default() += 1;
        }
    }
    let twice: Vec<_> = found.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "more than once: {twice:?}, seed {SEED}");
    for (id, version) in each_hot_one_stayed(place) {
        assert!(
            found.contains_key(&(id, version)),
            "row {id} is in no file as it was last, seed {SEED}"
        );
    }
    let left: Vec<_> = fs::read_dir(lab.path("state"))
        .expect("the folder")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert!(
        left.iter()
            .all(|name| !name.to_string_lossy().contains("leaving")),
        "{left:?}"
    );
}

fn postgres(name: &str) -> Place {
    Place::Server(services::database(services::postgres(), name))
}

fn mariadb(name: &str) -> Place {
    Place::Server(services::database(services::mariadb(), name))
}

fn file(lab: &Lab, name: &str) -> Place {
    Place::File(lab.path(name))
}

#[test]
fn archive_to_a_table_survives_kills_on_postgres() {
    to_a_table(&postgres("archive_table"));
}

#[test]
fn archive_to_a_table_survives_kills_on_mariadb() {
    to_a_table(&mariadb("archive_table"));
}

#[test]
fn archive_to_a_table_survives_kills_on_sqlite() {
    to_a_table(&file(&Lab::new(), "a.db"));
}

#[test]
fn archive_by_months_survives_kills_on_postgres() {
    by_months(&postgres("archive_months"));
}

#[test]
fn archive_by_months_survives_kills_on_mariadb() {
    by_months(&mariadb("archive_months"));
}

#[test]
fn archive_from_mariadb_to_postgres_survives_kills() {
    across(&mariadb("archive_across"), &postgres("archive_across"));
}

#[test]
fn archive_from_postgres_to_mariadb_survives_kills() {
    across(&postgres("archive_back"), &mariadb("archive_back"));
}

#[test]
fn archive_from_sqlite_to_sqlite_survives_kills() {
    let lab = Lab::new();
    across(&file(&lab, "a.db"), &file(&lab, "b.db"));
}

#[test]
fn archive_to_nowhere_survives_kills_on_postgres() {
    deleted(&postgres("archive_delete"));
}

#[test]
fn archive_to_nowhere_survives_kills_on_mariadb() {
    deleted(&mariadb("archive_delete"));
}

#[test]
fn archive_to_files_survives_kills_on_postgres() {
    exported(&postgres("archive_export"));
}

#[test]
fn archive_to_files_survives_kills_on_mariadb() {
    exported(&mariadb("archive_export"));
}
