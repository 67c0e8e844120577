//! Where an increment begins and ends on a real server: what is infinite ends it for nothing that follows, times ahead of the clock are told of,
//! numbers below zero are read, and a `start` that is no value of the column is refused at its place in the job file.

use std::fs;
use std::path::{Path, PathBuf};

use crate::lab::{Lab, PATIENCE, wait_for};
use crate::services;

/// The place of a job `name` that reads the table `line` of this database, by `increment`.
fn job(lab: &Lab, name: &str, url: &str, increment: &str) -> PathBuf {
    lab.write(
        &format!("{name}.xml"),
        format!(
            r#"<extract name="{name}"><source url="{url}"/><table name="line"/>
<increment {increment}/><output dir="{name}" file="L" format="csv"/></extract>"#
        ),
    )
}

/// Runs the job until so many rows are published, since open transactions of other stories may hold some back; what the runs said.
fn run(lab: &Lab, name: &str, file: &Path, rows: usize) -> String {
    let mut told = String::new();
    let published = || -> usize {
        let files = fs::read_dir(lab.path(name)).expect("a folder").flatten();
        let texts = files.map(|file| fs::read_to_string(file.path()).expect("a published file"));
        texts.map(|text| text.lines().count() - 1).sum()
    };
    wait_for("rows in files", PATIENCE, || {
        let done = lab.run("jobs", [Path::new("run"), file]);
        told.push_str(&String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success(), "{told}");
        assert!(published() <= rows, "{name}: {told}");
        (published() == rows).then_some(())
    });
    told
}

#[test]
fn what_is_infinite_ends_no_increment() {
    let url = services::database(services::postgres(), "line_infinite");
    for (name, kind, ends, values) in [
        (
            "at",
            "timestamptz",
            ["infinity", "-infinity"],
            ["2026-01-01", "2026-01-02"],
        ),
        (
            "day",
            "date",
            ["infinity", "-infinity"],
            ["2026-01-01", "2026-01-02"],
        ),
        ("nr", "numeric", ["NaN", "Infinity"], ["1.5", "2.5"]),
        (
            "x",
            "double precision",
            ["NaN", "-Infinity"],
            ["1.5", "2.5"],
        ),
    ] {
        let lab = Lab::new();
        services::ask(
            &url,
            &format!(
                "DROP TABLE IF EXISTS line; CREATE TABLE line (v {kind} NOT NULL); \
                 INSERT INTO line VALUES ('{}'), ('{}'), ('{}')",
                ends[0], ends[1], values[0]
            ),
        );
        let file = job(&lab, name, &url, r#"column="v""#);
        let told = run(&lab, name, &file, 1);
        let warned = "2 rows whose v is infinite or no number: not read";
        assert!(told.contains(warned), "{kind}: {told}");
        services::ask(&url, &format!("INSERT INTO line VALUES ('{}')", values[1]));
        run(&lab, name, &file, 2);
    }
}

#[test]
fn times_ahead_of_the_clock_are_told_of_and_wait_for_settle() {
    let url = services::database(services::postgres(), "line_ahead");
    let lab = Lab::new();
    services::ask(
        &url,
        "CREATE TABLE line (v timestamptz); \
         INSERT INTO line VALUES ('2026-01-01 00:00:00'), (now() + interval '1 day')",
    );
    let plain = job(&lab, "plain", &url, r#"column="v""#);
    let told = run(&lab, "plain", &plain, 2);
    let warned = "ahead of the clock: rows that come later";
    assert!(told.contains(warned), "{told}");
    let settled = job(&lab, "settled", &url, r#"column="v" settle="1ms""#);
    let told = run(&lab, "settled", &settled, 1);
    let warned = "wait until their time has come";
    assert!(told.contains(warned), "{told}");
    services::ask(&url, "INSERT INTO line VALUES ('2026-01-02 00:00:00')");
    run(&lab, "settled", &settled, 2);
}

#[test]
fn numbers_are_read_from_the_lowest_and_a_wrong_start_has_its_place() {
    let url = services::database(services::postgres(), "line_start");
    let lab = Lab::new();
    services::ask(
        &url,
        "CREATE TABLE line (v bigint PRIMARY KEY); INSERT INTO line VALUES (-1), (0), (1)",
    );
    let file = job(&lab, "all", &url, r#"column="v""#);
    run(&lab, "all", &file, 3);
    for start in ["abc", "0x10", "1.5"] {
        let file = job(
            &lab,
            "wrong",
            &url,
            &format!(r#"column="v" start="{start}""#),
        );
        for word in ["check", "run"] {
            let done = lab.run("jobs", [Path::new(word), &file]);
            let told = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
            assert_eq!(done.status.code(), Some(78), "{word} {start}: {told}");
            let place = format!("wrong.xml:2:23: `increment.start`: `{start}` is no value of v");
            assert!(told.contains(&place), "{word}: {told}");
        }
    }
}
