//! An extract against a real SQLite database: ranges, parts, late rows, and the power failing at every operation.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::disk::FakeDisk;

mod line;

fn job(xml: &str) -> Extract {
    let file = jobfile::JobFile::from_text(Path::new("e.xml"), xml.as_bytes()).unwrap();
    Extract::new(file.params().unwrap()).unwrap()
}

fn incremental(settle: &str) -> Extract {
    job(&format!(
        r#"<extract><source url="sqlite:s.db"/><table name="s"/><increment column="id" settle="{settle}"/><output dir="out" file="S" rows="10"/></extract>"#
    ))
}

/// A database with the rows `ids`.
fn database(dir: &Path, ids: impl IntoIterator<Item = i64>) -> rusqlite::Connection {
    let db = rusqlite::Connection::open(dir.join("s.db")).unwrap();
    db.execute_batch(
        "PRAGMA journal_mode=WAL; CREATE TABLE IF NOT EXISTS s (id INTEGER PRIMARY KEY, t TEXT)",
    )
    .unwrap();
    insert(&db, ids);
    db
}

fn insert(db: &rusqlite::Connection, ids: impl IntoIterator<Item = i64>) {
    for id in ids {
        db.execute("INSERT INTO s VALUES (?1, 'text ' || ?1)", [id])
            .unwrap();
    }
}

/// Published files by name, and how often each id is in them.
fn published(disk: &FakeDisk) -> (Vec<String>, BTreeMap<i64, u32>) {
    let mut names = Vec::new();
    let mut ids = BTreeMap::new();
    for (path, bytes) in disk.files() {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with('.') {
            continue;
        }
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            text.trim_end().ends_with("</data>"),
            "{name} is half a file: {text}"
        );
        for part in text.split("<id>").skip(1) {
            *ids.entry(part.split('<').next().unwrap().parse().unwrap())
                .or_insert(0) += 1;
        }
        names.push(name);
    }
    (names, ids)
}

fn once_each(ids: &BTreeMap<i64, u32>, count: i64) -> bool {
    ids.len() as u64 == u64::try_from(count).unwrap() && ids.values().all(|n| *n == 1)
}

#[test]
fn each_run_writes_what_is_new_into_parts_named_by_the_range() {
    let dir = tempfile::tempdir().unwrap();
    let db = database(dir.path(), 1..=25);
    let disk = FakeDisk::new();
    let mut extract = incremental("0s");
    let mut cx = Context::fake_on(&disk, dir.path());
    assert_eq!(extract.run(&mut cx).unwrap().written, 25);
    assert_eq!(extract.run(&mut cx).unwrap(), Tally::default());
    insert(&db, 26..=30);
    assert_eq!(extract.run(&mut cx).unwrap().files, 1);
    let (names, ids) = published(&disk);
    assert_eq!(
        names,
        [
            "S_0-25_1of3.xml",
            "S_0-25_2of3.xml",
            "S_0-25_3of3.xml",
            "S_25-30.xml"
        ]
    );
    assert!(once_each(&ids, 30), "{ids:?}");
}

#[test]
fn a_full_extract_is_a_numbered_set_also_when_it_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let db = database(dir.path(), []);
    let disk = FakeDisk::new();
    let mut extract = job(
        r#"<extract><source url="sqlite:s.db"/><sql>SELECT * FROM s WHERE id > :low;</sql><param name="low" value="3"/><output dir="out" file="S" format="csv" rows="3"/></extract>"#,
    );
    let mut cx = Context::fake_on(&disk, dir.path());
    assert_eq!(extract.run(&mut cx).unwrap().files, 1);
    insert(&db, 1..=9);
    cx.wait(std::time::Duration::from_secs(1)).unwrap();
    assert_eq!(extract.run(&mut cx).unwrap().written, 6);
    let names: Vec<String> = disk
        .files()
        .into_keys()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert!(
        names[0].ends_with("_1of1.csv")
            && names[1].ends_with("_1of2.csv")
            && names[2].ends_with("_2of2.csv"),
        "{names:?}"
    );
}

#[test]
fn rows_that_come_late_within_settle_are_found_and_nothing_is_doubled() {
    let dir = tempfile::tempdir().unwrap();
    let db = database(dir.path(), [1, 2, 5]);
    let disk = FakeDisk::new();
    let mut extract = incremental("5s");
    let mut cx = Context::fake_on(&disk, dir.path());
    extract.run(&mut cx).unwrap();
    insert(&db, [4]);
    assert_eq!(extract.run(&mut cx).unwrap().written, 1);
    insert(&db, [3, 6]);
    assert_eq!(extract.run(&mut cx).unwrap().written, 2);
    assert_eq!(extract.run(&mut cx).unwrap().written, 0);
    assert!(once_each(&published(&disk).1, 6));
}

#[test]
fn a_missing_database_or_column_is_said_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FakeDisk::new();
    let mut cx = Context::fake_on(&disk, dir.path());
    database(dir.path(), [1]);
    let mut extract = job(
        r#"<extract><source url="sqlite:s.db"/><table name="s"/><increment column="nr"/><output dir="out" file="S"/></extract>"#,
    );
    let error = extract.run(&mut cx).unwrap_err();
    assert_eq!(error.exit_code(), 78);
    assert!(error.chain().contains("nr"), "{}", error.chain());
}

/// SQLite compares a number with a bound text as if the text were larger; the type of an expression is learnt from a row.
#[test]
fn a_cursor_that_is_an_expression_is_compared_as_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    database(dir.path(), 1..=12);
    let disk = FakeDisk::new();
    let mut cx = Context::fake_on(&disk, dir.path());
    let mut extract = job(
        r#"<extract><source url="sqlite:s.db"/><sql>SELECT id + 0 AS nr, id FROM s</sql><increment column="nr" start="9"/><output dir="out" file="S"/></extract>"#,
    );
    assert_eq!(extract.run(&mut cx).unwrap().written, 3);
    assert_eq!(extract.run(&mut cx).unwrap().written, 0);
}

/// What `jobs state JOB set last 2` does: the cursor moves, gaps are forgotten, and the next run goes on from there.
#[test]
fn an_operator_moves_the_cursor() {
    let dir = tempfile::tempdir().unwrap();
    database(dir.path(), [1, 2, 3, 5]);
    let disk = FakeDisk::new();
    let mut cx = Context::fake_on(&disk, dir.path());
    let mut extract = incremental("1h");
    assert_eq!(extract.run(&mut cx).unwrap().written, 4);
    cx.state().unwrap().set(memory::LAST, &2).unwrap();
    let mut report = Report::default();
    extract.dry_run(&mut cx, &mut report).unwrap();
    assert!(report.notes.join("\n").contains("S_2-5.xml"));
    assert_eq!(extract.run(&mut cx).unwrap().written, 2);
    assert_eq!(extract.run(&mut cx).unwrap().written, 0);
    let left: Option<i64> = cx.state().unwrap().get(memory::LAST).unwrap();
    assert_eq!(left, None);
}

#[test]
fn a_state_of_a_wrong_shape_is_named_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    database(dir.path(), 1..=5);
    let disk = FakeDisk::new();
    let mut cx = Context::fake_on(&disk, dir.path());
    let mut extract = incremental("0s");
    cx.state().unwrap().set(memory::CURSOR, &3).unwrap();
    let error = extract.run(&mut cx).unwrap_err();
    assert_eq!(error.exit_code(), 65);
    assert!(error.chain().contains("state cursor"), "{}", error.chain());
    assert!(
        error.chain().contains("set last VALUE"),
        "{}",
        error.chain()
    );
    cx.state().unwrap().set(memory::LAST, &"soon").unwrap();
    let error = extract.run(&mut cx).unwrap_err();
    assert_eq!(error.exit_code(), 78);
    assert!(error.chain().contains("\"soon\""), "{}", error.chain());
    cx.state().unwrap().set(memory::LAST, &3).unwrap();
    assert_eq!(extract.run(&mut cx).unwrap().written, 2);
}

#[test]
fn a_source_is_never_made() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FakeDisk::new();
    let mut cx = Context::fake_on(&disk, dir.path());
    let error = incremental("0s").run(&mut cx).unwrap_err();
    assert!(error.exit_code() != 0 && !dir.path().join("s.db").exists());
}

/// Rows that come later with the time that was read last are told from those that were there by their content.
#[test]
fn equal_times_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let db = rusqlite::Connection::open(dir.path().join("s.db")).unwrap();
    db.execute_batch(
        "CREATE TABLE s (at TEXT, v TEXT); INSERT INTO s VALUES ('10:00', 'a'), ('10:01', 'b'), (NULL, 'never')",
    )
    .unwrap();
    let disk = FakeDisk::new();
    let mut cx = Context::fake_on(&disk, dir.path());
    let mut extract = job(
        r#"<extract><source url="sqlite:s.db"/><table name="s"/><increment column="at"/><output dir="out" file="S" format="csv"/></extract>"#,
    );
    assert_eq!(extract.run(&mut cx).unwrap().written, 2);
    assert_eq!(extract.run(&mut cx).unwrap().written, 0);
    db.execute_batch("INSERT INTO s VALUES ('10:01', 'c'), ('10:01', 'b')")
        .unwrap();
    assert_eq!(extract.run(&mut cx).unwrap().written, 2);
    db.execute_batch("INSERT INTO s VALUES ('10:01', 'd'), ('10:02', 'e')")
        .unwrap();
    assert_eq!(extract.run(&mut cx).unwrap().written, 2);
    assert_eq!(extract.run(&mut cx).unwrap().written, 0);
    let names: Vec<String> = disk
        .files()
        .into_keys()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        names,
        ["S_0-10_01.csv", "S_10_01-10_02.csv", "S_10_01_late1.csv"]
    );
}

#[test]
fn a_dry_run_tells_and_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    database(dir.path(), 1..=3);
    let disk = FakeDisk::new();
    let mut cx = Context::fake_on(&disk, dir.path());
    let mut report = Report::default();
    incremental("0s").dry_run(&mut cx, &mut report).unwrap();
    let told = report.notes.join("\n");
    for part in [
        "column id: INTEGER -> text of a number",
        "with value 2: 3",
        "S_0-3.xml",
        "ORDER BY q.\"id\"",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(report.problems.is_empty() && disk.files().is_empty());
    assert!(cx.state().unwrap().all().unwrap().is_empty());
}

#[test]
fn parts_are_one_where_no_snapshot_is_shared() {
    let dir = tempfile::tempdir().unwrap();
    database(dir.path(), 1..=25);
    let disk = FakeDisk::new();
    let mut cx = Context::fake_on(&disk, dir.path());
    let mut extract = job(
        r#"<extract><source url="sqlite:s.db" parts="4"/><table name="s"/><output dir="out" file="S" rows="10"/></extract>"#,
    );
    assert_eq!(extract.run(&mut cx).unwrap().files, 3);
    assert!(once_each(&published(&disk).1, 25));
}

#[test]
fn parameters_are_checked_before_anything_is_opened() {
    let wrong = |xml: &str| {
        let file = jobfile::JobFile::from_text(Path::new("e.xml"), xml.as_bytes()).unwrap();
        Extract::new(file.params().unwrap()).err().unwrap().at
    };
    assert_eq!(
        wrong(r#"<extract><source url="sqlite:s"/><output dir="o" file="S"/></extract>"#),
        ""
    );
    assert_eq!(
        wrong(
            r#"<extract><source url="sqlite:s"/><table name="s"/><output dir="o" file="../S"/></extract>"#
        ),
        "output.file"
    );
    assert_eq!(
        wrong(
            r#"<extract><source url="sqlite:s" parts="2"/><table name="s"/><increment column="id"/><output dir="o" file="S"/></extract>"#
        ),
        "source.parts"
    );
    assert_eq!(
        wrong(
            r#"<extract><source url="sqlite:s"/><table name="s"/><param name="last" value="1"/><increment column="id"/><output dir="o" file="S"/></extract>"#
        ),
        "param[1].name"
    );
}

#[test]
fn a_parameter_that_the_query_does_not_speak_of_is_told_and_harmless() {
    let dir = tempfile::tempdir().unwrap();
    database(dir.path(), 1..=3);
    let disk = FakeDisk::new();
    let mut cx = Context::fake_on(&disk, dir.path());
    // what stands in a string is no parameter
    let mut extract = job(
        r#"<extract><source url="sqlite:s.db"/><sql>SELECT *, ':b' AS word FROM s WHERE id &lt; :a</sql><param name="a" value="3"/><param name="b" value="1"/><output dir="o" file="S"/></extract>"#,
    );
    let mut report = Report::default();
    extract.check(&mut cx, &mut report).unwrap();
    assert!(report.problems.is_empty());
    assert_eq!(report.told, ["the SQL does not speak of :b"]);
    assert_eq!(extract.run(&mut cx).unwrap().written, 2);
}

/// A stop request ends the run at a safe point: nothing is published, and the next run does it all.
#[test]
fn a_stop_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    database(dir.path(), 1..=2_000);
    let disk = FakeDisk::new();
    let mut extract = incremental("0s");
    let mut cx = Context::fake_on(&disk, dir.path());
    cx.stop_at_checkpoint(3);
    assert!(matches!(extract.run(&mut cx), Err(Error::Stopped(_))));
    assert_eq!(disk.files().len(), 0);
    let mut cx = Context::fake_on(&disk, dir.path());
    assert_eq!(extract.run(&mut cx).unwrap().written, 2_000);
    assert!(once_each(&published(&disk).1, 2_000));
}

/// The power fails at each operation of a run; rows are inserted before the machine is up again; two more runs.
fn survives_power_cuts(settle: &str) {
    for seed in 0..3 {
        let mut cut = 0;
        loop {
            cut += 1;
            let dir = tempfile::tempdir().unwrap();
            let db = database(dir.path(), (1..=25).filter(|id| *id != 7));
            let disk = FakeDisk::new();
            let begun = disk.power().spent();
            disk.power().cut_at(begun + cut);
            let ended = incremental(settle)
                .run(&mut Context::fake_on(&disk, dir.path()))
                .is_ok();
            let off = disk.power().is_off();
            disk.reboot(seed);
            insert(&db, 26..=31);
            if settle != "0s" {
                insert(&db, [7]);
            }
            for _ in 0..2 {
                incremental(settle)
                    .run(&mut Context::fake_on(&disk, dir.path()))
                    .unwrap();
            }
            let (names, ids) = published(&disk);
            let want = if settle == "0s" { 30 } else { 31 };
            assert!(
                once_each(&ids, want),
                "cut {cut}, seed {seed}: {names:?} {ids:?}"
            );
            if ended && !off {
                break;
            }
            assert!(cut < 500, "a run never ends");
        }
        assert!(cut > 10, "a run has more operations than {cut}");
    }
}

#[test]
fn power_cuts_lose_nothing_and_double_nothing() {
    survives_power_cuts("0s");
}

#[test]
fn power_cuts_with_late_rows_lose_nothing_and_double_nothing() {
    survives_power_cuts("1h");
}
