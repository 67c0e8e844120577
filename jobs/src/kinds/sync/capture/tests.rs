//! Captures between two files of SQLite, stopped at every safe point there is.

use std::path::Path;

use jobfile::JobFile;

use super::operate::{Order, obey};
use super::{key_of, ledger};
use crate::context::Context;
use crate::error::Error;
use crate::kinds;

const JOB: &str = r#"<sync name="test"><source url="sqlite:a.db"/><target url="sqlite:b.db"/><table from="t" to="copy" mode="capture" where="n &lt; 100"><column from="name" to="label"/><column to="made" value="by us"/></table></sync>"#;

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let bench = Bench {
            dir: tempfile::tempdir().unwrap(),
        };
        std::fs::write(bench.dir.path().join("test.xml"), JOB).unwrap();
        bench.sql("a.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, n INTEGER); INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 200)");
        bench.sql(
            "b.db",
            "CREATE TABLE copy (id INTEGER PRIMARY KEY, label TEXT, n INTEGER, made TEXT)",
        );
        bench
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn sql(&self, file: &str, sql: &str) {
        rusqlite::Connection::open(self.path().join(file))
            .unwrap()
            .execute_batch(sql)
            .unwrap();
    }

    /// The rows of both sides as they should be equal.
    fn rows(&self) -> [Vec<String>; 2] {
        [
            ("a.db", "SELECT id || '|' || coalesce(name, '~') || '|' || n || '|by us' FROM t WHERE n < 100 ORDER BY id"),
            ("b.db", "SELECT id || '|' || coalesce(label, '~') || '|' || n || '|' || made FROM copy ORDER BY id"),
        ]
        .map(|(file, sql)| {
            let db = rusqlite::Connection::open(self.path().join(file)).unwrap();
            let mut statement = db.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| row.get(0)).unwrap();
            rows.map(Result::unwrap).collect()
        })
    }

    fn order(&self, order: Order) -> String {
        let mut out = Vec::new();
        obey(
            Some(self.path()),
            &self.path().join("test.xml"),
            order,
            &mut out,
        )
        .unwrap();
        String::from_utf8(out).unwrap()
    }

    /// Runs once, to the checkpoint of that number at most.
    fn run(&self, stop: Option<u64>) -> Result<(), Error> {
        let file = JobFile::read(&self.path().join("test.xml")).unwrap();
        let mut job = (kinds::find("sync").unwrap().make)(&file).unwrap();
        let mut cx = Context::fake(self.path());
        if let Some(checkpoint) = stop {
            cx.stop_at_checkpoint(checkpoint);
        }
        job.run(&mut cx).map(|_| ())
    }

    fn equal(&self) {
        let [source, target] = self.rows();
        assert_eq!(source, target);
    }
}

#[test]
fn changes_follow_under_a_condition_and_other_names() {
    let bench = Bench::new();
    assert!(
        matches!(bench.run(None), Err(Error::Invalid(why)) if why.contains("jobs capture install"))
    );
    assert!(bench.order(Order::Install).contains("from now on"));
    bench.run(None).unwrap();
    bench.equal();
    bench.sql("a.db", "UPDATE t SET n = 5 WHERE id = 2; UPDATE t SET n = 500 WHERE id = 1; INSERT INTO t VALUES (3, NULL, 3), (4, 'd', 400); UPDATE t SET id = 7 WHERE id = 3");
    bench.run(None).unwrap();
    bench.equal();
    assert_eq!(bench.rows()[1], ["2|b|5|by us", "7|~|3|by us"]);
    assert!(bench.order(Order::Show).contains("0 changes"));
    assert!(bench.order(Order::Remove).contains("no more"));
    assert!(bench.order(Order::Remove).contains("were not captured"));
}

#[test]
fn a_table_that_is_made_anew_is_copied_anew() {
    let bench = Bench::new();
    let xml = JOB.replace("mode=", "create=\"true\" mode=");
    std::fs::write(bench.path().join("test.xml"), xml).unwrap();
    bench.order(Order::Install);
    bench.run(None).unwrap();
    bench.sql("a.db", "INSERT INTO t VALUES (3, 'c', 3)");
    bench.sql("b.db", "DROP TABLE copy");
    bench.run(None).unwrap();
    bench.equal();
    assert_eq!(bench.rows()[1].len(), 2);
}

/// A copy without its note would be made anew by the next run, over a target that may have changed a lot.
#[test]
fn the_first_copy_and_the_note_of_it_come_together_or_not_at_all() {
    for before in ["", "INSERT INTO copy VALUES (1, 'old', 1, 'by us')"] {
        let bench = Bench::new();
        bench.order(Order::Install);
        let options = db::Options {
            base: bench.path().to_owned(),
            ..db::Options::default()
        };
        ledger::prepare(&mut *db::connect("sqlite:b.db", &options).unwrap()).unwrap();
        bench.sql("b.db", before);
        bench.sql("b.db", "CREATE TRIGGER no BEFORE INSERT ON procctl_captured BEGIN SELECT RAISE(ABORT, 'no note'); END");
        let was = bench.rows()[1].clone();
        let error = bench.run(None).unwrap_err().chain();
        assert!(error.contains("no note"), "{error}");
        assert_eq!(bench.rows()[1], was);
        bench.sql("b.db", "DROP TRIGGER no");
        bench.run(None).unwrap();
        bench.equal();
    }
}

#[test]
fn a_log_that_nothing_fills_is_told_and_one_without_a_table_is_removed() {
    let bench = Bench::new();
    bench.order(Order::Install);
    bench.run(None).unwrap();
    let triggers = rusqlite::Connection::open(bench.path().join("a.db")).unwrap();
    let name: String = triggers
        .query_row(
            "SELECT name FROM sqlite_schema WHERE type = 'trigger' LIMIT 1",
            [],
            |row| row.get(0),
        )
        .unwrap();
    triggers
        .execute_batch(&format!("DROP TRIGGER {name}"))
        .unwrap();
    drop(triggers);
    let lost = |done: Result<(), Error>| matches!(done, Err(Error::Invalid(why)) if why.contains("2 of 3 triggers") && why.contains("remove"));
    assert!(lost(bench.run(None)));
    let file = bench.path().join("test.xml");
    let install = |out: &mut Vec<u8>| obey(Some(bench.path()), &file, Order::Install, out);
    assert!(lost(install(&mut Vec::new())));
    bench.sql("a.db", "DROP TABLE t");
    assert!(bench.order(Order::Remove).contains("no more"));
    assert!(
        matches!(install(&mut Vec::new()), Err(Error::Invalid(why)) if why.contains("no table t"))
    );
    let left = rusqlite::Connection::open(bench.path().join("a.db")).unwrap();
    let count: i64 = left
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'procctl%'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(count, 0);
}

#[test]
fn a_stop_at_any_safe_point_loses_nothing() {
    let bench = Bench::new();
    bench.order(Order::Install);
    let mut stopped = 0;
    for round in 1..25_u64 {
        let id = round * 10;
        bench.sql("a.db", &format!("INSERT INTO t VALUES ({id}, 'x', 1), ({id} + 1, 'y', 2); UPDATE t SET name = 'round {round}' WHERE id = {id}; DELETE FROM t WHERE id = {id} - 10"));
        match bench.run(Some(round)) {
            Ok(()) => {}
            Err(Error::Stopped(_)) => stopped += 1,
            Err(error) => panic!("round {round}: {}", error.chain()),
        }
    }
    assert!(stopped > 3, "{stopped}");
    bench.run(None).unwrap();
    bench.equal();
}

#[test]
fn operators_are_told_what_a_file_is_not() {
    let bench = Bench::new();
    let file = bench.path().join("test.xml");
    let told = |text: String| {
        std::fs::write(&file, text).unwrap();
        obey(Some(bench.path()), &file, Order::Show, &mut Vec::new()).unwrap_err()
    };
    assert!(
        matches!(told(JOB.replace("capture", "refresh")), Error::Usage(why) if why.contains("capture"))
    );
    assert!(
        matches!(told(r#"<sweep><files dir="x" match="*" older="1d" action="delete"/></sweep>"#.to_owned()), Error::Usage(why) if why.contains("no <sync>"))
    );
    let error = told(JOB.replace(r#"mode="capture""#, r#"mode="capture" key="gone""#));
    assert!(matches!(error, Error::Invalid(why) if why.contains("no column gone")));
}

#[test]
fn the_key_is_that_of_the_job_file_or_of_the_source() {
    let file = JobFile::from_text(Path::new("s.xml"), JOB.as_bytes()).unwrap();
    let mut params: super::super::params::Params = file.params().unwrap();
    let mut info = db::TableInfo {
        columns: ["id", "name"]
            .map(|name| db::ColumnInfo::new(name, db::Kind::Text))
            .to_vec(),
        ..db::TableInfo::default()
    };
    let table = &mut params.tables[0];
    assert!(key_of(table, &info).is_err());
    info.primary_key = vec!["id".to_owned()];
    assert_eq!(key_of(table, &info).unwrap()[0].name, "id");
    // the target's name of a column is as good as the source's
    table.key = Some(jobfile::List(vec!["label".to_owned()]));
    assert_eq!(key_of(table, &info).unwrap()[0].name, "name");
}
