//! `increment`: new rows come once, and the cursor with them.

use super::*;

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
fn a_table_that_is_made_anew_gets_all_rows() {
    let dir = tempfile::tempdir().unwrap();
    let mut cx = Context::fake(dir.path());
    let source = database(dir.path(), "s.db", PLAIN);
    let target = database(dir.path(), "t.db", "SELECT 1");
    fill(&source, 5);
    let xml = r#"<table from="a" mode="increment" create="true"/>"#;
    let mut resident = job(xml);
    assert_eq!(resident.run(&mut cx).unwrap().written, 5);
    for job in [&mut job(xml), &mut resident] {
        target.execute_batch("DROP TABLE a").unwrap();
        // what is known of a table is believed for a second
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let there = "SELECT count(*) FROM sqlite_schema WHERE name = 'a'";
        while job.run(&mut cx).is_err() || rows(&target, there) == ["0"] {
            assert!(std::time::Instant::now() < deadline);
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
        assert_eq!(rows(&target, "SELECT count(*) FROM a"), ["5"]);
    }
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
fn a_column_that_comes_while_the_job_stays_up_is_copied() {
    let dir = tempfile::tempdir().unwrap();
    let mut cx = Context::fake(dir.path());
    let source = database(dir.path(), "s.db", PLAIN);
    let target = database(dir.path(), "t.db", PLAIN);
    fill(&source, 3);
    let mut resident = job(r#"<table from="a" mode="increment"/>"#);
    resident.run(&mut cx).unwrap();
    for side in [&source, &target] {
        side.execute_batch("ALTER TABLE a ADD COLUMN more TEXT")
            .unwrap();
    }
    // what is known of a table is believed for a second
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    for id in 9.. {
        source
            .execute_batch(&format!("INSERT INTO a (id, more) VALUES ({id}, 'more')"))
            .unwrap();
        assert_eq!(resident.run(&mut cx).unwrap().written, 1);
        let more = format!("SELECT more FROM a WHERE id = {id} AND more IS NOT NULL");
        if rows(&target, &more) == ["more"] {
            return;
        }
        assert!(std::time::Instant::now() < deadline);
        std::thread::park_timeout(std::time::Duration::from_millis(50));
    }
}

#[test]
fn operators_see_the_cursors_and_move_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut cx = Context::fake(dir.path());
    let source = database(
        dir.path(),
        "s.db",
        "CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY); INSERT INTO a VALUES (1), (2), (3); INSERT INTO b VALUES (1), (7)",
    );
    let target = database(
        dir.path(),
        "t.db",
        "CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY)",
    );
    let one = r#"<table from="a" mode="increment"/>"#;
    let both = format!(r#"{one}<table from="b" mode="increment"/>"#);
    job(&both).run(&mut cx).unwrap();
    let upto = |cx: &mut Context, name| cx.state().unwrap().get::<String>(name).unwrap();
    assert_eq!(upto(&mut cx, "upto a").as_deref(), Some("3"));
    assert_eq!(upto(&mut cx, "upto b").as_deref(), Some("7"));
    // rows that left the target come again when the cursor goes back
    target
        .execute_batch("DELETE FROM a WHERE id > 1; DELETE FROM b")
        .unwrap();
    assert_eq!(job(&both).run(&mut cx).unwrap().written, 0);
    cx.state().unwrap().set("last a", &1).unwrap();
    assert_eq!(job(&both).run(&mut cx).unwrap().written, 2);
    assert_eq!(cx.state().unwrap().get::<i64>("last a").unwrap(), None);
    assert_eq!(job(&both).run(&mut cx).unwrap().written, 0);
    let reset = cx.state().unwrap().reset().unwrap();
    assert!(reset.orders.contains_key("anew"), "{reset:?}");
    assert_eq!(job(&both).run(&mut cx).unwrap().written, 2);
    assert_eq!(rows(&target, "SELECT id FROM b"), ["1", "7"]);
    cx.state().unwrap().set("last", &true).unwrap();
    let error = job(one).run(&mut cx).unwrap_err();
    assert!(error.chain().contains("last"), "{}", error.chain());
    assert_eq!(rows(&source, "SELECT count(*) FROM a"), ["3"]);
}
