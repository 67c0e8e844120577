//! `convert`, `ingest` and `extract` are killed with SIGKILL at a hundred points each; afterwards source and target agree, nothing lost, nothing twice.
//!
//! The points are spread over the length of a run as it was measured first, so every phase is hit on a fast and on a slow machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::chance::kill_after;
use crate::lab::Lab;

/// Kills for each kind.
const KILLS: u32 = 100;

/// Rows of each file.
const ROWS: u64 = 400;

/// Runs the job to its end and says how long that took.
fn length(lab: &Lab, file: &Path) -> Duration {
    let begun = Instant::now();
    lab.good("jobs", [Path::new("run"), file]);
    begun.elapsed()
}

/// Starts the job and kills it after a while; the whiles walk over `length` and a bit more.
fn kill_in_the_middle(lab: &Lab, file: &Path, number: u32, length: Duration) {
    let child = lab
        .command("jobs")
        .arg("run")
        .arg(file)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("starting jobs");
    // 37 and 100 have no common divisor: each hundredth of the length is met once
    let after = length * (number * 37 % KILLS) / KILLS * 11 / 10;
    kill_after(child, after);
}

/// Delivers files into a folder, and runs the job on them to a kill, again and again, and once to its end; the number of files.
fn kill_often(lab: &Lab, job: &Path, folder: &str) -> u64 {
    let mut next = 0;
    let mut deliver = || {
        for _ in 0..12 {
            let rows = csv(next * ROWS, (next + 1) * ROWS);
            lab.write(&format!("{folder}/f{next:05}.csv"), rows);
            next += 1;
        }
    };
    deliver();
    let length = length(lab, job);
    for number in 0..KILLS {
        deliver();
        kill_in_the_middle(lab, job, number, length);
    }
    lab.good("jobs", [Path::new("run"), job]);
    next
}

/// A CSV file of rows `from..to`, each with its number and a text that needs care in every format.
fn csv(from: u64, to: u64) -> String {
    let mut text = String::from("id,name,value\n");
    for id in from..to {
        text.push_str(&format!("{id},\"row <{id}> & \"\"more\"\"\",{}\n", id * 3));
    }
    text
}

/// All rows of all data files in a folder that `jobs` itself reads back as JSON, by their id, with how often they occur.
fn ids_in_xml(folder: &Path) -> BTreeMap<u64, u32> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the folder is there").flatten() {
        let name = entry.file_name().into_string().expect("a plain name");
        if !entry.path().is_file() || name.starts_with('.') {
            continue;
        }
        let text = fs::read_to_string(entry.path()).expect("a published file is there");
        assert!(
            text.trim_end().ends_with("</data>"),
            "{name} is half a file"
        );
        for part in text.split("<id>").skip(1) {
            let id = part
                .split('<')
                .next()
                .and_then(|id| id.parse().ok())
                .expect("a number");
            *found.entry(id).or_insert(0) += 1;
        }
    }
    found
}

fn once_each(found: &BTreeMap<u64, u32>, rows: u64) {
    let twice: Vec<_> = found
        .iter()
        .filter(|(_, count)| **count > 1)
        .take(5)
        .collect();
    assert!(twice.is_empty(), "more than once: {twice:?}");
    let lost: Vec<_> = (0..rows)
        .filter(|id| !found.contains_key(id))
        .take(5)
        .collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert_eq!(found.len() as u64, rows);
}

#[test]
fn convert_survives_a_hundred_kills() {
    let lab = Lab::new();
    let job = lab.write(
        "convert.xml",
        r#"<convert name="c"><input dir="raw" match="*.csv" done="raw/done" bad="raw/bad" stable="0s"/><format type="csv"/><output dir="out" file="ROWS" format="xml"/></convert>"#,
    );
    let files = kill_often(&lab, &job, "raw");
    once_each(&ids_in_xml(&lab.path("out")), files * ROWS);
    assert_eq!(
        fs::read_dir(lab.path("raw/done")).expect("done").count() as u64,
        files
    );
}

fn ingest_survives(mode: &str, commit: &str) {
    let lab = Lab::new();
    let job = lab.write(
        "ingest.xml",
        format!(
            r#"<ingest name="i"><target url="sqlite:t.db"/><input dir="in" stable="0s"/><table match="*.csv" name="t" mode="{mode}" commit="{commit}"/></ingest>"#
        ),
    );
    let db = rusqlite::Connection::open(lab.path("t.db")).expect("a database");
    // no key at all: the table would take every row twice
    db.execute_batch(
        "PRAGMA journal_mode=WAL; CREATE TABLE t (id INTEGER, name TEXT, value INTEGER)",
    )
    .expect("a table");
    let files = kill_often(&lab, &job, "in");
    let (count, different, sum): (i64, i64, i64) = db
        .query_row(
            "SELECT count(*), count(DISTINCT id), sum(value) FROM t",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .expect("counting");
    let want = i64::try_from(files * ROWS).expect("a count fits");
    assert_eq!((count, different), (want, want), "rows and different rows");
    assert_eq!(sum, 3 * want * (want - 1) / 2);
}

#[test]
fn ingest_survives_a_hundred_kills() {
    ingest_survives("insert", "file");
}

#[test]
fn ingest_in_batches_survives_a_hundred_kills() {
    ingest_survives("insert", "150");
}

#[test]
fn extract_survives_a_hundred_kills() {
    let lab = Lab::new();
    let job = lab.write(
        "extract.xml",
        r#"<extract name="e"><source url="sqlite:s.db"/><table name="s"/><increment column="id" start="-1"/><output dir="out" file="S" format="xml" rows="300"/></extract>"#,
    );
    let mut db = rusqlite::Connection::open(lab.path("s.db")).expect("a database");
    db.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE s (id INTEGER PRIMARY KEY, name TEXT)")
        .expect("a table");
    let mut next: i64 = 0;
    let mut insert = |count: i64| {
        let all = db.transaction().expect("a transaction");
        for id in next..next + count {
            all.execute("INSERT INTO s VALUES (?1, 'row <' || ?1 || '>')", [id])
                .expect("a row");
        }
        all.commit().expect("a commit");
        next += count;
        next
    };
    insert(5_000);
    let length = length(&lab, &job);
    for number in 0..KILLS {
        insert(2_000);
        kill_in_the_middle(&lab, &job, number, length);
    }
    lab.good("jobs", [Path::new("run"), &job]);
    once_each(
        &ids_in_xml(&lab.path("out")),
        u64::try_from(insert(0)).expect("a count"),
    );
}
