//! `refresh` and `batch`: the target becomes equal to the source, unless a guard forbids it.

use super::*;

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
fn a_batch_goes_by_numbers_that_the_target_keeps_as_text() {
    let dir = tempfile::tempdir().unwrap();
    let mut cx = Context::fake(dir.path());
    let source = database(
        dir.path(),
        "s.db",
        "CREATE TABLE a (k INTEGER PRIMARY KEY, v TEXT)",
    );
    let target = database(
        dir.path(),
        "t.db",
        "CREATE TABLE a (k TEXT PRIMARY KEY, v TEXT)",
    );
    source
        .execute_batch("INSERT INTO a VALUES (-3, 'm'), (2, 'two'), (10, 'ten'), (100, 'c')")
        .unwrap();
    target
        .execute_batch("INSERT INTO a VALUES ('2', 'two'), ('10', 'old'), ('9', 'gone')")
        .unwrap();
    let mut job = job(r#"<table from="a" mode="batch" max-delete="50%"/>"#);
    assert_eq!(job.run(&mut cx).unwrap().written, 4);
    let all = "SELECT * FROM a ORDER BY CAST(k AS TEXT)";
    assert_eq!(rows(&target, all), rows(&source, all));
    assert_eq!(job.run(&mut cx).unwrap().written, 0);
}
