//! A sync between real SQLite databases: what becomes of rows, of guards, and of a run that is stopped anywhere.

use std::path::Path;

use super::*;

fn job(inner: &str) -> Sync {
    let xml =
        format!(r#"<sync><source url="sqlite:s.db"/><target url="sqlite:t.db"/>{inner}</sync>"#);
    let file = jobfile::JobFile::from_text(Path::new("s.xml"), xml.as_bytes()).unwrap();
    Sync::new(file.params().unwrap()).unwrap()
}

fn database(dir: &Path, name: &str, sql: &str) -> rusqlite::Connection {
    let db = rusqlite::Connection::open(dir.join(name)).unwrap();
    db.execute_batch("PRAGMA journal_mode=WAL").unwrap();
    db.execute_batch(sql).unwrap();
    db
}

/// All rows of a query as text.
fn rows(db: &rusqlite::Connection, sql: &str) -> Vec<String> {
    let mut statement = db.prepare(sql).unwrap();
    let width = statement.column_count();
    let text = |value: rusqlite::types::Value| match value {
        rusqlite::types::Value::Null => "-".to_owned(),
        rusqlite::types::Value::Integer(number) => number.to_string(),
        rusqlite::types::Value::Real(number) => number.to_string(),
        rusqlite::types::Value::Text(text) => text,
        rusqlite::types::Value::Blob(bytes) => format!("{bytes:?}"),
    };
    let found = statement.query_map([], |row| {
        let cells = (0..width).map(|at| row.get(at).map(text));
        cells
            .collect::<Result<Vec<String>, _>>()
            .map(|cells| cells.join("|"))
    });
    found.unwrap().map(Result::unwrap).collect()
}

const PLAIN: &str =
    "CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, size REAL, day DATE)";

fn fill(db: &rusqlite::Connection, count: i64) {
    let mut insert = db
        .prepare("INSERT INTO a VALUES (?1, 'row ' || ?1, ?1 / 4.0, '2026-11-21')")
        .unwrap();
    // a commit for each row would take a sync of the disk for each
    db.execute_batch("BEGIN").unwrap();
    for id in 1..=count {
        insert.execute([id]).unwrap();
    }
    db.execute_batch("COMMIT").unwrap();
}

#[test]
fn a_refresh_inserts_updates_and_deletes() {
    let dir = tempfile::tempdir().unwrap();
    let mut cx = Context::fake(dir.path());
    let source = database(dir.path(), "s.db", PLAIN);
    let target = database(dir.path(), "t.db", PLAIN);
    fill(&source, 100);
    let mut job = job(r#"<table from="a"/>"#);
    assert_eq!(job.run(&mut cx).unwrap().written, 100);
    assert_eq!(job.run(&mut cx).unwrap().written, 0);
    source
        .execute_batch(
            "DELETE FROM a WHERE id IN (3, 50); UPDATE a SET name = 'ROW 7' WHERE id = 7; UPDATE a SET size = NULL WHERE id = 8; \
             INSERT INTO a VALUES (0, '', NULL, NULL), (101, NULL, 1e300, '9999-12-31')",
        )
        .unwrap();
    assert_eq!(job.run(&mut cx).unwrap().written, 6);
    let all = "SELECT * FROM a ORDER BY id";
    assert_eq!(rows(&target, all), rows(&source, all));
}

#[test]
fn a_batch_writes_only_what_differs() {
    let dir = tempfile::tempdir().unwrap();
    let mut cx = Context::fake(dir.path());
    let source = database(dir.path(), "s.db", PLAIN);
    let target = database(dir.path(), "t.db", PLAIN);
    fill(&source, 5_000);
    let mut job = job(r#"<table from="a" mode="batch" batch="7"/>"#);
    assert_eq!(job.run(&mut cx).unwrap().written, 5_000);
    assert_eq!(job.run(&mut cx).unwrap().written, 0);
    source
        .execute_batch(
            "DELETE FROM a WHERE id % 100 = 3; UPDATE a SET name = upper(name) WHERE id % 500 = 7; UPDATE a SET size = NULL WHERE id = 8; \
             INSERT INTO a VALUES (-5, '', NULL, NULL), (6000, NULL, 1e300, '9999-12-31')",
        )
        .unwrap();
    assert_eq!(job.run(&mut cx).unwrap().written, 50 + 10 + 1 + 2);
    let all = "SELECT * FROM a ORDER BY id";
    assert_eq!(rows(&target, all), rows(&source, all));
    source.execute_batch("DELETE FROM a").unwrap();
    assert_eq!(job.run(&mut cx).unwrap_err().exit_code(), 65);
    assert_eq!(rows(&target, "SELECT count(*) FROM a"), ["4952"]);
}

#[test]
fn a_batch_goes_by_keys_of_several_columns_and_letters() {
    let dir = tempfile::tempdir().unwrap();
    let mut cx = Context::fake(dir.path());
    let make = "CREATE TABLE a (k TEXT, n NUMERIC, v TEXT, PRIMARY KEY (k, n))";
    let source = database(dir.path(), "s.db", make);
    let target = database(dir.path(), "t.db", make);
    let values: Vec<String> = ["", "B", "a", "ä", "站", "b"]
        .iter()
        .flat_map(|k| [-3.5, 2.0, 10.0].map(|n| format!("('{k}', {n}, 'v{n}')")))
        .collect();
    source
        .execute_batch(&format!("INSERT INTO a VALUES {}", values.join(", ")))
        .unwrap();
    target
        .execute_batch(&format!(
            "INSERT INTO a VALUES {}, ('zz', 1, NULL)",
            values[3..].join(", ")
        ))
        .unwrap();
    target
        .execute_batch("UPDATE a SET v = NULL WHERE k = 'ä'")
        .unwrap();
    let mut job = job(r#"<table from="a" mode="batch" batch="2"/>"#);
    assert_eq!(job.run(&mut cx).unwrap().written, 3 + 3 + 1);
    let all = "SELECT * FROM a ORDER BY k, n";
    assert_eq!(rows(&target, all), rows(&source, all));
}

/// A file that others made keeps its readers and its writer apart by locks on all of it.
#[test]
fn tables_of_one_file_are_copied_whatever_its_journal() {
    for journal in ["wal", "delete"] {
        let dir = tempfile::tempdir().unwrap();
        let mut cx = Context::fake(dir.path());
        let one = database(dir.path(), "s.db", PLAIN);
        one.execute_batch(&format!("PRAGMA journal_mode={journal}"))
            .unwrap();
        fill(&one, 20_000);
        for mode in ["refresh", "batch", "increment"] {
            one.execute_batch(&PLAIN.replace("TABLE a", &format!("TABLE {mode}")))
                .unwrap();
            let xml = format!(
                r#"<sync><source url="sqlite:s.db"/><target url="sqlite:s.db"/><table from="a" to="{mode}" mode="{mode}"/></sync>"#
            );
            let file = jobfile::JobFile::from_text(Path::new("s.xml"), xml.as_bytes()).unwrap();
            let mut job = Sync::new(file.params().unwrap()).unwrap();
            assert_eq!(
                job.run(&mut cx).unwrap().written,
                20_000,
                "{mode} {journal}"
            );
            one.execute_batch("INSERT INTO a (name) VALUES ('more')")
                .unwrap();
            assert_eq!(job.run(&mut cx).unwrap().written, 1, "{mode} {journal}");
            one.execute_batch("DELETE FROM a WHERE name = 'more'")
                .unwrap();
        }
    }
}

#[test]
fn a_look_counts_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut cx = Context::fake(dir.path());
    let source = database(dir.path(), "s.db", PLAIN);
    let target = database(dir.path(), "t.db", PLAIN);
    fill(&source, 100);
    fill(&target, 90);
    target
        .execute_batch("UPDATE a SET size = 0 WHERE id = 5; INSERT INTO a (id) VALUES (500)")
        .unwrap();
    let mut report = Report::default();
    let tables =
        r#"<table from="a" mode="batch"/><table from="a" mode="increment"/><table from="a"/>"#;
    job(tables).dry_run(&mut cx, &mut report).unwrap();
    let told = report.notes.join("\n");
    for word in [
        "would write 11 rows that are new or differ, and delete 1 row",
        "nothing is new in a after 500",
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert_eq!(rows(&target, "SELECT count(*) FROM a"), ["91"]);
    assert_eq!(rows(&target, "SELECT count(*) FROM sqlite_schema"), ["1"]);
}

#[test]
fn a_source_that_was_emptied_empties_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut cx = Context::fake(dir.path());
    let source = database(dir.path(), "s.db", PLAIN);
    let target = database(dir.path(), "t.db", PLAIN);
    fill(&target, 10);
    fill(&source, 7);
    for (most, left) in [("20%", 10), ("29%", 10), ("30%", 7)] {
        let mut job = job(&format!(r#"<table from="a" max-delete="{most}"/>"#));
        let ended = job.run(&mut cx);
        assert_eq!(ended.is_ok(), left == 7, "{most}: {ended:?}");
        assert_eq!(rows(&target, "SELECT count(*) FROM a"), [left.to_string()]);
        if let Err(error) = ended {
            assert_eq!(error.exit_code(), 65);
            assert!(error.chain().contains("3 of 10 rows"), "{}", error.chain());
        }
    }
}

#[test]
fn columns_go_where_the_job_says_and_where_bounds_both_sides() {
    let dir = tempfile::tempdir().unwrap();
    let mut cx = Context::fake(dir.path());
    let source = database(
        dir.path(),
        "s.db",
        "CREATE TABLE o (keyid INTEGER PRIMARY KEY, obtid TEXT, t REAL); \
         INSERT INTO o VALUES (1, '54001', 1.5), (2, '54002', 2.5), (3, '60001', 3.5)",
    );
    let target = database(
        dir.path(),
        "t.db",
        "CREATE TABLE p (keyid INTEGER PRIMARY KEY, stid TEXT, t REAL, upttime TEXT, who TEXT, own TEXT DEFAULT 'mine'); \
         INSERT INTO p VALUES (3, '60001', 9, 'old', 'x', 'z'), (4, '54009', 9, 'old', 'x', 'z'), (2, '54002', 25, 'old', 'us', 'z')",
    );
    let mut job = job(
        r#"<table from="o" to="p" where="obtid LIKE '54%'" max-delete="50%"><column from="obtid" to="stid"/><column from="t * 10" to="t"/>
           <column to="upttime" value="now"/><column to="who" value="us"/><column to="own" value="default"/></table>"#,
    );
    cx.set_now(chrono::DateTime::from_timestamp(0, 0).unwrap());
    job.run(&mut cx).unwrap();
    let expected = [
        "1|54001|15|1970-01-01 00:00:00|us|mine",
        "2|54002|25|old|us|z",
        "3|60001|9|old|x|z",
    ];
    assert_eq!(rows(&target, "SELECT * FROM p ORDER BY keyid"), expected);
    source
        .execute_batch("UPDATE o SET t = 3 WHERE keyid = 2")
        .unwrap();
    assert_eq!(job.run(&mut cx).unwrap().written, 1);
}

#[test]
fn a_table_without_a_key_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut cx = Context::fake(dir.path());
    let make = "CREATE TABLE a (x INTEGER, y TEXT)";
    let source = database(dir.path(), "s.db", make);
    let target = database(dir.path(), "t.db", make);
    source
        .execute_batch("INSERT INTO a VALUES (1, 'a'), (1, 'a'), (2, NULL)")
        .unwrap();
    target
        .execute_batch("INSERT INTO a VALUES (1, 'a'), (5, 'b')")
        .unwrap();
    let mut job = job(r#"<table from="a"/>"#);
    job.run(&mut cx).unwrap();
    assert_eq!(
        rows(&target, "SELECT * FROM a ORDER BY x"),
        ["1|a", "1|a", "2|-"]
    );
}

#[test]
fn new_rows_come_once_and_the_cursor_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut cx = Context::fake(dir.path());
    let source = database(dir.path(), "s.db", PLAIN);
    let target = database(dir.path(), "t.db", PLAIN);
    fill(&source, 50);
    // the target has the first ten, one of them changed: they are not touched
    target
        .execute_batch("INSERT INTO a VALUES (10, 'own', 0, NULL)")
        .unwrap();
    let xml = r#"<table from="a" mode="increment"/>"#;
    assert_eq!(job(xml).run(&mut cx).unwrap().written, 40);
    assert_eq!(job(xml).run(&mut cx).unwrap().written, 0);
    source
        .execute_batch("INSERT INTO a (id) VALUES (60), (70); DELETE FROM a WHERE id = 20")
        .unwrap();
    let mut resident = job(xml);
    assert_eq!(resident.run(&mut cx).unwrap().written, 2);
    source
        .execute_batch("INSERT INTO a (id) VALUES (71)")
        .unwrap();
    assert_eq!(resident.run(&mut cx).unwrap().written, 1);
    assert_eq!(rows(&target, "SELECT count(*), max(id) FROM a"), ["44|71"]);
    let kept = rows(
        &target,
        "SELECT job, part, json_extract(place, '$.last') FROM procctl_cursor",
    );
    assert_eq!(kept, ["test|a -> a|71"]);
}

#[test]
fn new_rows_come_once_by_a_time_that_several_share() {
    let dir = tempfile::tempdir().unwrap();
    let mut cx = Context::fake(dir.path());
    let make = "CREATE TABLE a (at TIMESTAMP, name TEXT)";
    let source = database(dir.path(), "s.db", make);
    let target = database(dir.path(), "t.db", make);
    let xml = r#"<table from="a" mode="increment" key="at"/>"#;
    let mut written = Vec::new();
    for more in [
        "('2026-11-21 10:00:00', 'a')",
        "('2026-11-21 10:00:00', 'b')",
        "('2026-11-21 10:00:00', 'b'), ('2026-11-21 10:00:01', 'c')",
    ] {
        source
            .execute_batch(&format!("INSERT INTO a VALUES {more}"))
            .unwrap();
        written.push(job(xml).run(&mut cx).unwrap().written);
        assert_eq!(job(xml).run(&mut cx).unwrap().written, 0);
    }
    assert_eq!(written, [1, 1, 2]);
    assert_eq!(
        rows(&target, "SELECT name FROM a ORDER BY name"),
        ["a", "b", "b", "c"]
    );
}

#[test]
fn a_row_that_is_refused_leaves_nothing_of_its_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut cx = Context::fake(dir.path());
    let source = database(dir.path(), "s.db", PLAIN);
    let target = database(
        dir.path(),
        "t.db",
        "CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT NOT NULL, size REAL, day DATE)",
    );
    fill(&source, 20);
    source
        .execute_batch("UPDATE a SET name = NULL WHERE id = 13")
        .unwrap();
    for mode in ["refresh", "increment"] {
        let error = job(&format!(r#"<table from="a" mode="{mode}"/>"#))
            .run(&mut cx)
            .unwrap_err();
        assert_eq!(error.exit_code(), 65);
        assert!(error.chain().contains("id=13"), "{}", error.chain());
        assert_eq!(rows(&target, "SELECT count(*) FROM a"), ["0"]);
    }
}

#[test]
fn a_stop_anywhere_leaves_the_old_rows_or_the_new_ones() {
    let dir = tempfile::tempdir().unwrap();
    let source = database(dir.path(), "s.db", PLAIN);
    let target = database(dir.path(), "t.db", PLAIN);
    fill(&target, 3_000);
    fill(&source, 3_000);
    source.execute_batch("UPDATE a SET name = 'new'").unwrap();
    let (mut stopped, mut done) = (0, false);
    for checkpoint in 1..60 {
        let mut cx = Context::fake(dir.path());
        cx.stop_at_checkpoint(checkpoint);
        match job(r#"<table from="a"/>"#).run(&mut cx) {
            Err(Error::Stopped(_)) => stopped += 1,
            ended => {
                ended.unwrap();
                done = true;
            }
        }
        let seen = rows(&target, "SELECT count(*), sum(name = 'new') FROM a");
        assert!(
            seen == ["3000|0"] || seen == ["3000|3000"],
            "{seen:?} after a stop at {checkpoint}"
        );
        if done {
            break;
        }
    }
    assert!(stopped > 2 && done, "{stopped} stops");
}

#[test]
fn several_tables_and_workers_and_one_that_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let mut cx = Context::fake(dir.path());
    let source = database(dir.path(), "s.db", PLAIN);
    fill(&source, 300);
    let target = database(dir.path(), "t.db", "");
    let mut tables = String::new();
    for name in ["b", "c", "d"] {
        target
            .execute_batch(&PLAIN.replace("TABLE a", &format!("TABLE {name}")))
            .unwrap();
        tables.push_str(&format!(r#"<table from="a" to="{name}"/>"#));
    }
    let error = job(&format!(
        r#"<workers>3</workers><table from="a" to="none"/>{tables}"#
    ))
    .run(&mut cx)
    .unwrap_err();
    assert!(error.chain().contains("no table none"), "{}", error.chain());
    for name in ["b", "c", "d"] {
        assert_eq!(
            rows(&target, &format!("SELECT count(*) FROM {name}")),
            ["300"]
        );
    }
}

#[test]
fn what_does_not_fit_together_is_told_before_anything_is_opened() {
    let told = |inner: &str| {
        let xml = format!(
            r#"<sync><source url="sqlite:s.db"/><target url="sqlite:t.db"/>{inner}</sync>"#
        );
        let file = jobfile::JobFile::from_text(Path::new("s.xml"), xml.as_bytes()).unwrap();
        Sync::new(file.params().unwrap()).map(drop).unwrap_err().at
    };
    assert_eq!(
        told(r#"<table from="a"><column to="b"/></table>"#),
        "table[1].column[1]"
    );
    assert_eq!(
        told(r#"<table from="a"><column from="a" value="b"/></table>"#),
        "table[1].column[1]"
    );
    assert_eq!(
        told(r#"<table from="a"/><table from="a" start="5"/>"#),
        "table[2].start"
    );
    assert_eq!(told(r#"<table from="a" batch="0"/>"#), "table[1].batch");
}
