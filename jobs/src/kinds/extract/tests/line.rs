//! An increment's place on its line: where the first run begins, which values have no place, and which `start` is none.

use super::*;

fn seen(xml: &str, schema: &str) -> (tempfile::TempDir, rusqlite::Connection, Extract) {
    let dir = tempfile::tempdir().unwrap();
    let db = rusqlite::Connection::open(dir.path().join("s.db")).unwrap();
    db.execute_batch(schema).unwrap();
    let extract = job(&format!(
        r#"<extract><source url="sqlite:s.db"/><table name="s"/>{xml}<output dir="out" file="S"/></extract>"#
    ));
    (dir, db, extract)
}

/// What is infinite would be the highest value for ever.
#[test]
fn an_infinite_value_is_passed_over_and_told() {
    let (dir, db, mut extract) = seen(
        r#"<increment column="x"/>"#,
        "CREATE TABLE s (x REAL NOT NULL); INSERT INTO s VALUES (1), (9e999), (-9e999)",
    );
    let disk = FakeDisk::new();
    let mut cx = Context::fake_on(&disk, dir.path());
    assert_eq!(extract.run(&mut cx).unwrap().written, 1);
    db.execute_batch("INSERT INTO s VALUES (2)").unwrap();
    assert_eq!(extract.run(&mut cx).unwrap().written, 1);
    assert_eq!(extract.run(&mut cx).unwrap().written, 0);
    let mut report = Report::default();
    extract.check(&mut cx, &mut report).unwrap();
    let told = report.notes.join("\n");
    assert!(
        told.contains("2 rows whose x is infinite or no number: not read"),
        "{told}"
    );
}

#[test]
fn without_a_start_the_first_run_reads_from_the_lowest_number() {
    let dir = tempfile::tempdir().unwrap();
    let db = database(dir.path(), []);
    let disk = FakeDisk::new();
    let mut cx = Context::fake_on(&disk, dir.path());
    let mut extract = incremental("1h");
    assert_eq!(extract.run(&mut cx).unwrap().written, 0);
    insert(&db, [0, -3, 2]);
    assert_eq!(extract.run(&mut cx).unwrap().written, 3);
    // gaps above the lowest one are known
    insert(&db, [-1, 1, 3]);
    assert_eq!(extract.run(&mut cx).unwrap().written, 3);
    let (names, ids) = published(&disk);
    assert!(names.contains(&"S_-4-2.xml".to_owned()), "{names:?}");
    assert!(ids.len() == 6 && ids.values().all(|n| *n == 1), "{ids:?}");
}

#[test]
fn a_start_that_is_no_value_of_the_column_is_refused_at_its_place() {
    for (start, schema, fits) in [
        ("abc", "CREATE TABLE s (x INTEGER)", false),
        ("0x10", "CREATE TABLE s (x INTEGER)", false),
        ("1.5", "CREATE TABLE s (x INTEGER)", false),
        ("-7", "CREATE TABLE s (x INTEGER)", true),
        ("soon", "CREATE TABLE s (x DATETIME)", false),
        (
            "zzz",
            "CREATE TABLE s (x TEXT); INSERT INTO s VALUES ('2026-01-31T12:00:00Z')",
            false,
        ),
        (
            "2026-01",
            "CREATE TABLE s (x TEXT); INSERT INTO s VALUES ('2026-01-31T12:00:00Z')",
            true,
        ),
    ] {
        let increment = format!(r#"<increment column="x" start="{start}"/>"#);
        let (dir, _db, mut extract) = seen(&increment, schema);
        let disk = FakeDisk::new();
        let mut cx = Context::fake_on(&disk, dir.path());
        let mut report = Report::default();
        extract.check(&mut cx, &mut report).unwrap();
        let at: Vec<&str> = report.problems.iter().map(|one| one.at.as_str()).collect();
        let run = extract.run(&mut cx);
        if fits {
            assert!(at.is_empty() && run.is_ok(), "{start}: {at:?}");
        } else {
            assert_eq!(at, ["increment.start"], "{start}");
            let error = run.unwrap_err();
            assert!(matches!(&error, Error::Parameter(wrong) if wrong.at == "increment.start"));
            assert_eq!((error.exit_code(), disk.files().len()), (78, 0));
        }
    }
}

#[test]
fn an_operator_cannot_set_a_cursor_of_times_to_what_is_no_time() {
    let (dir, _db, mut extract) = seen(
        r#"<increment column="x"/>"#,
        "CREATE TABLE s (x TEXT); INSERT INTO s VALUES ('2026-01-31 12:00:00')",
    );
    let disk = FakeDisk::new();
    let mut cx = Context::fake_on(&disk, dir.path());
    cx.state().unwrap().set(memory::LAST, &"zzz").unwrap();
    let error = extract.run(&mut cx).unwrap_err();
    assert_eq!(error.exit_code(), 78);
    let told = error.chain();
    assert!(
        told.contains("\"zzz\"") && told.contains("set last VALUE"),
        "{told}"
    );
    let set = cx.state().unwrap().set(memory::LAST, &"2026-01-31 11:00");
    set.unwrap();
    assert_eq!(extract.run(&mut cx).unwrap().written, 1);
}
