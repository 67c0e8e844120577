//! Stories of `archive`: rows leave while others change them, the job is killed and stopped, servers go away and come back. In the end each row is
//! where it belongs, once, as it was last.
//!
//! Each table has an audit that a trigger writes: how often a row was changed, and whether it was hot at last. A row that left as anything but
//! what it was last shows by its number of changes. `FULL=1`: many times the kills.

mod kills;
mod place;
mod plain;
mod restarts;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::lab::Lab;
use place::Place;

/// Rows of each table: ids from 1 on. Every tenth is hot.
const ROWS: u64 = 2_000;
const SEED: u64 = 7;

/// A row as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    hot: u64,
    version: u64,
    /// Its time, up to the month: `2013-02`.
    month: String,
}

/// The rows of a table that is perhaps not there.
fn rows(place: &Place, table: &str) -> BTreeMap<u64, Row> {
    let sql = format!("SELECT id, hot, v, at FROM {table} ORDER BY id");
    let mut found = BTreeMap::new();
    for cells in place.try_ask(&sql).unwrap_or_default() {
        let number = |at: usize| cells[at].parse().expect("a number");
        let row = Row {
            hot: number(1),
            version: number(2),
            month: cells[3][..7].to_owned(),
        };
        let before = found.insert(number(0), row);
        assert!(before.is_none(), "{table}: a row is there twice: {cells:?}");
    }
    found
}

/// How often each row was changed, and whether it was hot at last.
fn audit(place: &Place) -> BTreeMap<u64, (u64, u64)> {
    let mut found: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for cells in place.ask("SELECT id, hot FROM audit ORDER BY seq") {
        let entry = found
            .entry(cells[0].parse().expect("a number"))
            .or_default();
        entry.0 += 1;
        entry.1 = cells[1].parse().expect("a number");
    }
    found
}

/// What a row has to be by its audit.
fn last(audit: &BTreeMap<u64, (u64, u64)>, id: u64) -> (u64, u64) {
    let first = (0, u64::from(id.is_multiple_of(10)));
    audit.get(&id).copied().unwrap_or(first)
}

/// Asserts that each row is in the table if it is hot, else in the archive, as it was last.
fn each_where_it_belongs(place: &Place, archived: &BTreeMap<u64, Row>) {
    let (there, audit) = (rows(place, "t"), audit(place));
    for id in 1..=ROWS {
        let (version, hot) = last(&audit, id);
        let row = match (there.get(&id), archived.get(&id)) {
            (Some(row), None) => {
                assert_eq!(hot, 1, "row {id} is cold and stays, seed {SEED}");
                row
            }
            (None, Some(row)) => {
                assert_eq!(hot, 0, "row {id} is hot and left, seed {SEED}");
                row
            }
            (None, None) => panic!("row {id} is lost, seed {SEED}"),
            (Some(one), Some(other)) => {
                panic!("row {id} is in both: {one:?} {other:?}, seed {SEED}")
            }
        };
        assert_eq!(
            (row.version, row.hot),
            (version, hot),
            "row {id} is not what it was last, seed {SEED}"
        );
    }
    let all = (there.len() + archived.len()) as u64;
    assert_eq!(all, ROWS, "rows that never were");
}

/// Starts a run by hand; its log goes to `archive.log`.
fn start(lab: &Lab, file: &Path) -> Child {
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(lab.path("archive.log"))
        .expect("a log");
    lab.command("jobs")
        .arg("run")
        .arg(file)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("starting jobs")
}

/// Runs the job to its end, which must be good.
fn finish(lab: &Lab, file: &Path) {
    let ended = start(lab, file).wait().expect("reaping jobs");
    assert!(
        ended.success(),
        "{ended}: {}",
        lab.lines("archive.log").join("\n")
    );
}
