//! Passes of the kind on SQLite, which is always there.

use std::path::Path;

use super::*;
use crate::job::Report;
use jobfile::JobFile;

/// A home with a database of 1000 rows, of which those below 600 are cold.
struct Room {
    dir: tempfile::TempDir,
    db: Box<dyn db::Connection>,
}

impl Room {
    fn new() -> Room {
        let dir = tempfile::tempdir().unwrap();
        let mut db = open(dir.path(), "a.db");
        db.batch(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME, v TEXT, b BLOB, n NUMERIC(10,2));
             WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 1000)
             INSERT INTO t SELECT n, datetime('2013-01-01', '+' || n || ' hours'), CASE WHEN n % 7 THEN 'v' || n END, x'00ff', n / 4.0 FROM i",
        )
        .unwrap();
        Room { dir, db }
    }

    fn job(&self, inside: &str) -> Archive {
        make(&format!(
            r#"<archive><database url="sqlite:a.db"/>{inside}</archive>"#
        ))
        .unwrap()
    }

    fn run(&self, inside: &str) -> Result<Tally, Error> {
        let mut cx = Context::fake(self.dir.path());
        let mut tallies = self.job(inside).pass(&mut cx)?.into_iter();
        Ok(tallies.next().unwrap().1)
    }

    fn number(&mut self, sql: &str) -> i64 {
        let mut rows = self.db.query(sql, &[]).unwrap();
        let row = rows.fetch().unwrap().unwrap();
        String::from_utf8_lossy(row.cell(0).unwrap())
            .parse()
            .unwrap()
    }
}

fn open(dir: &Path, name: &str) -> Box<dyn db::Connection> {
    let options = db::Options {
        base: dir.to_owned(),
        ..db::Options::default()
    };
    db::connect(&format!("sqlite:{name}"), &options).unwrap()
}

fn make(xml: &str) -> Result<Archive, Invalid> {
    let file = JobFile::from_text("a.xml".as_ref(), xml.as_bytes()).unwrap();
    Archive::new(file.params().unwrap())
}

const COLD: &str = r#"name="t" where="id &lt; 600""#;

#[test]
fn cold_rows_move_and_nothing_else_does() {
    let mut room = Room::new();
    room.db.batch("CREATE TABLE t_his (n NUMERIC(10,2), b BLOB, v TEXT, at DATETIME, id INTEGER PRIMARY KEY)").unwrap();
    let tally = room
        .run(&format!(r#"<table {COLD} to="t_his" batch="50"/>"#))
        .unwrap();
    assert_eq!((tally.read, tally.written, tally.rejected), (599, 599, 0));
    assert_eq!(room.number("SELECT count(*) FROM t WHERE id >= 600"), 401);
    assert_eq!(room.number("SELECT count(*) FROM t"), 401);
    assert_eq!(
        room.number(
            "SELECT count(*) FROM t_his WHERE n = id / 4.0 AND b = x'00ff' AND v IS NOT 'x'"
        ),
        599
    );
    assert_eq!(
        room.number("SELECT count(*) FROM t_his WHERE v IS NULL"),
        85
    );
    let again = room.run(&format!(r#"<table {COLD} to="t_his"/>"#)).unwrap();
    assert_eq!(again.written, 0);
}

#[test]
fn months_have_tables_of_their_own() {
    let mut room = Room::new();
    room.db
        .batch("UPDATE t SET at = NULL WHERE id = 5; UPDATE t SET at = 'soon' WHERE id = 6")
        .unwrap();
    let tally = room
        .run(r#"<table name="t" where="1=1" to="t_{yyyy}{mm}" by="at" batch="300"/>"#)
        .unwrap();
    assert_eq!((tally.written, tally.rejected), (998, 2));
    assert_eq!(
        room.number("SELECT count(*) FROM t_201301 WHERE at < '2013-02-01'"),
        741
    );
    assert_eq!(room.number("SELECT count(*) FROM t_201302"), 257);
    assert_eq!(room.number("SELECT count(*) FROM t"), 2);
    // made like the source: the key is there
    assert!(
        room.db
            .execute("INSERT INTO t_201302 SELECT * FROM t_201302", &[])
            .is_err()
    );
}

#[test]
fn a_copy_that_is_there_is_not_doubled_and_another_row_is_not_replaced() {
    let mut room = Room::new();
    room.db.batch("CREATE TABLE t_his AS SELECT * FROM t WHERE 0; CREATE UNIQUE INDEX k ON t_his (id);
        INSERT INTO t_his SELECT * FROM t WHERE id IN (3, 77, 78); UPDATE t SET v = 'new' WHERE id = 77").unwrap();
    // a URL that is that of the rows themselves means the same database
    for (url, left) in [("", 598), (r#"to-url="sqlite:a.db""#, 0)] {
        let tally = room
            .run(&format!(r#"<table {COLD} to="t_his" {url}/>"#))
            .unwrap();
        assert_eq!((tally.written, tally.rejected), (left, 1));
        assert_eq!(
            room.number("SELECT count(*) FROM t_his WHERE id < 600"),
            599
        );
        assert_eq!(room.number("SELECT count(*) FROM t_his WHERE v = 'new'"), 0);
        assert_eq!(room.number("SELECT id FROM t WHERE id < 600"), 77);
    }
}

#[test]
fn rows_do_not_vanish_into_their_own_table() {
    let mut room = Room::new();
    for to in [
        r#"to="T""#,
        r#"to="main.t""#,
        r#"to="t" to-url="sqlite:./a.db""#,
    ] {
        let error = room.run(&format!(r#"<table {COLD} {to}/>"#)).unwrap_err();
        assert_eq!(error.exit_code(), 78, "{}", error.chain());
        assert_eq!(room.number("SELECT count(*) FROM t"), 1000);
    }
}

#[test]
fn rows_move_to_another_database_and_a_killed_run_is_made_good() {
    let mut room = Room::new();
    let table = format!(r#"<table {COLD} to="h" to-url="sqlite:b.db" create="true" batch="100"/>"#);
    room.run(&table).unwrap();
    // as if the run had been killed between the commits of its last batch, and the rows had been changed since then
    let mut other = open(room.dir.path(), "b.db");
    room.db
        .batch("INSERT INTO t (id, v) VALUES (1, 'a'), (2, 'changed'), (3, 'c')")
        .unwrap();
    other.batch("UPDATE h SET v = 'a', at = NULL, b = NULL, n = NULL WHERE id = 1;
        UPDATE procctl_archive SET batch = '{\"keys\":[[\"1\"],[\"2\"],[\"3\"],[\"4\"]],\"span\":null,\"to\":\"h\"}'").unwrap();
    let tally = room
        .run(&table.replace("id &lt; 600", "id &lt; 600 AND id &lt;&gt; 3"))
        .unwrap();
    assert_eq!((tally.written, tally.rejected), (2, 0));
    assert_eq!(room.number("SELECT id FROM t WHERE id < 600"), 3);
    let mut rows = other.query("SELECT (SELECT group_concat(id || coalesce(v, ''), ' ') FROM h WHERE id < 5), (SELECT count(*) FROM h)", &[]).unwrap();
    let row = rows.fetch().unwrap().unwrap();
    assert_eq!(row.cell(0), Some(&b"1a 2changed 4v4"[..]));
    assert_eq!(row.cell(1), Some(&b"598"[..]));
}

#[test]
fn a_row_that_the_other_database_refuses_stays() {
    let mut room = Room::new();
    let mut other = open(room.dir.path(), "b.db");
    other.batch("CREATE TABLE h (id INTEGER PRIMARY KEY, at DATETIME, v TEXT NOT NULL, b BLOB, n NUMERIC)").unwrap();
    let tally = room
        .run(&format!(r#"<table {COLD} to="h" to-url="sqlite:b.db"/>"#))
        .unwrap();
    assert_eq!((tally.written, tally.rejected), (514, 85));
    assert_eq!(
        room.number("SELECT count(*) FROM t WHERE id < 600 AND v IS NULL"),
        85
    );
}

#[test]
fn rows_that_may_not_go_stay_and_the_others_go() {
    let mut room = Room::new();
    room.db.batch("CREATE TRIGGER keep BEFORE DELETE ON t WHEN old.id IN (7, 300) BEGIN SELECT RAISE(ABORT, 'needed'); END;
        CREATE TABLE t_his AS SELECT * FROM t WHERE 0").unwrap();
    let tally = room
        .run(&format!(r#"<table {COLD} to="t_his" batch="64"/>"#))
        .unwrap();
    assert_eq!((tally.written, tally.rejected), (597, 2));
    assert_eq!(room.number("SELECT count(*) FROM t_his"), 597);
    let delete = format!(r#"<table {COLD} action="delete"/>"#);
    let tally = room.run(&delete).unwrap();
    assert_eq!((tally.written, tally.rejected), (0, 2));
    // they are no success
    let mut cx = Context::fake(room.dir.path());
    let error = room.job(&delete).run(&mut cx).unwrap_err();
    assert_eq!(error.exit_code(), 65);
    assert!(
        error.to_string().starts_with("2 rows of t cannot leave"),
        "{error}"
    );
}

#[test]
fn exported_rows_are_in_files_and_a_changed_one_stays() {
    let mut room = Room::new();
    let table = format!(
        r#"<table {COLD} action="export" dir="out" rows="250" format="jsonl" compress="none" batch="100"/>"#
    );
    let mut cx = Context::fake(room.dir.path());
    // stopped in the middle of the first file's deletions
    cx.stop_at_checkpoint(4);
    let stopped = room.job(&table).run(&mut cx);
    assert!(matches!(stopped, Err(Error::Stopped(15))), "{stopped:?}");
    assert!(room.number("SELECT count(*) FROM t") < 1000);
    room.db
        .batch("UPDATE t SET v = 'changed' WHERE id = 250")
        .unwrap();
    let tally = room.run(&table).unwrap();
    assert_eq!(tally.files, 2);
    let nothing = room.run(&table).unwrap();
    assert_eq!((nothing.written, nothing.files), (0, 0));
    assert_eq!(room.number("SELECT count(*) FROM t"), 401);
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(room.dir.path().join("out")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        lines.extend(text.lines().map(str::to_owned));
    }
    lines.sort();
    assert_eq!(lines.len(), 600);
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.contains("\"id\":250,"))
            .count(),
        2
    );
    assert!(cx.home().state.read_dir().unwrap().all(|entry| {
        !entry
            .unwrap()
            .file_name()
            .to_string_lossy()
            .contains("leaving")
    }));
}

#[test]
fn a_table_without_a_key_is_refused_with_the_reason() {
    let mut room = Room::new();
    room.db
        .batch("CREATE TABLE bare (a INTEGER); CREATE VIEW v AS SELECT * FROM t")
        .unwrap();
    for (table, said) in [
        (
            r#"<table name="bare" where="1=1" action="delete"/>"#,
            "table[1].key: bare: the table has no unique key",
        ),
        (
            r#"<table name="v" where="1=1" action="delete"/>"#,
            "is a view",
        ),
        (
            r#"<table name="nix" where="1=1" action="delete"/>"#,
            "there is no table nix",
        ),
        (
            r#"<table name="t" key="v" where="1=1" action="delete"/>"#,
            "v is no unique key",
        ),
        (
            r#"<table name="t" where="1=1" to="nix"/>"#,
            "create=\"true\"",
        ),
        (
            r#"<table name="t" where="1=1" to="bare"/>"#,
            "bare has no column id: its values would be lost",
        ),
        (
            r#"<table name="t" where="1=1" to="t_{yyyy}" by="b"/>"#,
            "it has no date",
        ),
    ] {
        let error = room.run(table).unwrap_err();
        assert!(error.chain().contains(said), "{}", error.chain());
        assert_eq!(error.exit_code(), 78);
    }
    assert_eq!(room.number("SELECT count(*) FROM t"), 1000);
}

#[test]
fn what_does_not_fit_together_is_refused_at_its_place() {
    for (inside, at) in [
        ("", ""),
        (r#"<table name="t" action="delete"/>"#, "table[1].where"),
        (r#"<table name="t" where="1=1"/>"#, "table[1].to"),
        (r#"<table name="t" where="1=1" to="t"/>"#, "table[1].to"),
        (
            r#"<table name="t" where="1=1" to="t_{yyyy}"/>"#,
            "table[1].by",
        ),
        (
            r#"<table name="t" where="1=1" to="x" by="at"/>"#,
            "table[1].by",
        ),
        (
            r#"<table name="t" where="1=1" to="x" batch="0"/>"#,
            "table[1].batch",
        ),
        (
            r#"<table name="t" where="1=1" action="export"/>"#,
            "table[1].dir",
        ),
        (
            r#"<table name="t" where="1=1" action="delete" to="x"/>"#,
            "table[1].to",
        ),
        (
            r#"<table name="t" where="1=1" to="x" dir="y"/>"#,
            "table[1].dir",
        ),
        (
            r#"<table name="t" where="1=1" action="delete"/><throttle max-lag="1s"/>"#,
            "throttle",
        ),
    ] {
        let xml = format!(r#"<archive><database url="sqlite:a.db"/>{inside}</archive>"#);
        assert_eq!(
            make(&xml).err().map(|wrong| wrong.at).as_deref(),
            Some(at),
            "{inside}"
        );
    }
}

#[test]
fn a_table_that_is_wrong_keeps_no_other_from_its_turn() {
    let mut room = Room::new();
    let gone = r#"<table name="gone" where="1=1" action="delete"/>"#;
    let odd = r#"<table name="t" where="nobody = 1" action="delete"/>"#;
    let error = room
        .run(&format!(r#"{gone}{odd}<table {COLD} action="delete"/>"#))
        .unwrap_err();
    assert!(error.chain().contains("no table gone"), "{}", error.chain());
    assert!(room.number("SELECT count(*) FROM t") < 1000);
    let error = room.run(odd).unwrap_err().chain();
    assert!(error.contains("looking for rows of t"), "{error}");
    let load = r#"<throttle><max-load limit="8">SELECT nobody</max-load></throttle>"#;
    let error = room.run(&format!(r#"<table {COLD} action="delete"/>{load}"#));
    let error = error.unwrap_err().chain();
    assert!(error.contains("the throttle's max-load"), "{error}");
}

#[test]
fn a_row_whose_copy_would_be_another_one_stays() {
    for url in ["", r#"to-url="sqlite:b.db""#] {
        let mut room = Room::new();
        room.db
            .batch("CREATE TABLE c (id INTEGER PRIMARY KEY, code TEXT); INSERT INTO c VALUES (1, '12'), (2, '007'), (3, '5')")
            .unwrap();
        let file = if url.is_empty() { "a.db" } else { "b.db" };
        let mut there = open(room.dir.path(), file);
        there
            .batch("CREATE TABLE c_his (id INTEGER PRIMARY KEY, code INTEGER)")
            .unwrap();
        let tally = room
            .run(&format!(
                r#"<table name="c" where="1=1" to="c_his" {url}/>"#
            ))
            .unwrap();
        assert_eq!((tally.written, tally.rejected), (2, 1), "{url}");
        assert_eq!(room.number("SELECT sum(id) FROM c"), 2);
        let mut rows = there.query("SELECT sum(id) FROM c_his", &[]).unwrap();
        let row = rows.fetch().unwrap().unwrap();
        assert_eq!(row.cell(0), Some(b"4".as_slice()));
    }
}

#[test]
fn a_run_waits_for_a_server_that_suffers_and_ends_with_its_window() {
    let mut room = Room::new();
    room.db
        .batch("CREATE TABLE load (n INTEGER); INSERT INTO load VALUES (9)")
        .unwrap();
    let inside = format!(
        r#"<table {COLD} action="delete"/><throttle><max-load limit="8">SELECT n FROM load</max-load></throttle>"#
    );
    let mut cx = Context::fake(room.dir.path());
    cx.stop_at_checkpoint(40);
    let stopped = room.job(&inside).run(&mut cx);
    assert!(matches!(stopped, Err(Error::Stopped(15))));
    assert_eq!(room.number("SELECT count(*) FROM t"), 1000);
    room.db.batch("UPDATE load SET n = 8").unwrap();
    assert_eq!(room.run(&inside).unwrap().written, 599);
}

#[test]
fn check_and_dry_run_tell_and_change_nothing() {
    let mut room = Room::new();
    room.db.batch("CREATE TABLE t_his (id INTEGER PRIMARY KEY, at DATETIME, v VARCHAR(2) NOT NULL, b BLOB, n NUMERIC)").unwrap();
    let (mut cx, mut report) = (Context::fake(room.dir.path()), Report::default());
    let inside = format!(
        r#"<table {COLD} to="t_his"/><table {COLD} to="h" to-url="sqlite:b.db" create="true"/>"#
    );
    room.job(&inside).check(&mut cx, &mut report).unwrap();
    let notes = report.notes.join("\n");
    assert!(notes.contains("t: key id, 500 rows a statement"), "{notes}");
    assert!(notes.contains("t.v TEXT -> t_his.v VARCHAR(2)"), "{notes}");
    assert!(
        report
            .problems
            .iter()
            .any(|wrong| wrong.message.contains("must not be NULL")),
        "{report:?}"
    );
    let mut report = Report::default();
    room.job(&format!(r#"<table {COLD} action="delete" batch="3"/>"#))
        .dry_run(&mut cx, &mut report)
        .unwrap();
    let notes = report.notes.join("\n");
    assert!(notes.contains("t: 599 rows would leave"), "{notes}");
    assert!(
        notes.contains(r#"DELETE FROM "t" WHERE "id" IN (CAST(?1 AS INTEGER)) AND (id < 600 )"#),
        "{notes}"
    );
    assert_eq!(room.number("SELECT count(*) FROM t"), 1000);
}
