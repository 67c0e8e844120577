//! An ingest into a real SQLite database: modes, rejects, sets, batches, and the power failing at every operation.

mod looks;

use std::path::Path;

use super::*;
use crate::disk::{Disk, FakeDisk};

fn job(table: &str) -> Ingest {
    let xml = format!(r#"<ingest><target url="sqlite:t.db"/><input dir="in"/>{table}</ingest>"#);
    let file = jobfile::JobFile::from_text(Path::new("i.xml"), xml.as_bytes()).unwrap();
    Ingest::new(file.params().unwrap()).unwrap()
}

/// A home on a fake disk, and a real database beside it.
struct Bench {
    dir: tempfile::TempDir,
    disk: FakeDisk,
    db: rusqlite::Connection,
}

impl Bench {
    fn new(sql: &str) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let db = rusqlite::Connection::open(dir.path().join("t.db")).unwrap();
        db.execute_batch(&format!("PRAGMA journal_mode=WAL; {sql}"))
            .unwrap();
        Bench {
            dir,
            disk: FakeDisk::new(),
            db,
        }
    }

    fn put(&self, name: &str, text: &str) {
        self.disk
            .put(&self.dir.path().join("in").join(name), text.as_bytes());
    }

    fn cx(&self) -> Context {
        Context::fake_on(&self.disk, self.dir.path())
    }

    fn run(&self, table: &str) -> Result<Tally, Error> {
        job(table).run(&mut self.cx())
    }

    /// All rows of a query, cells joined by `|`, rows by spaces.
    fn rows(&self, sql: &str) -> String {
        let mut statement = self.db.prepare(sql).unwrap();
        let width = statement.column_count();
        let rows = statement
            .query_map([], |row| {
                let cell = |at| {
                    row.get_ref(at).map(|value| match value {
                        rusqlite::types::ValueRef::Null => "NULL".to_owned(),
                        rusqlite::types::ValueRef::Integer(n) => n.to_string(),
                        rusqlite::types::ValueRef::Real(n) => n.to_string(),
                        rusqlite::types::ValueRef::Text(text) => {
                            String::from_utf8_lossy(text).into_owned()
                        }
                        rusqlite::types::ValueRef::Blob(bytes) => format!("{bytes:?}"),
                    })
                };
                (0..width)
                    .map(cell)
                    .collect::<Result<Vec<_>, _>>()
                    .map(|cells| cells.join("|"))
            })
            .unwrap();
        rows.collect::<Result<Vec<_>, _>>().unwrap().join(" ")
    }

    /// Names of files in a folder of the home, in order.
    fn names(&self, folder: &str) -> Vec<String> {
        let folder = self.dir.path().join(folder);
        let here = |path: &Path| path.parent() == Some(&*folder);
        self.disk
            .files()
            .keys()
            .filter(|path| here(path))
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect()
    }

    fn text(&self, path: &str) -> String {
        String::from_utf8(self.disk.files()[&self.dir.path().join(path)].clone()).unwrap()
    }
}

const T: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, n REAL CHECK (n < 100))";

#[test]
fn a_file_is_loaded_once_and_moved() {
    let bench = Bench::new(T);
    let table = r#"<table match="*.csv,*.xml" name="t"/>"#;
    bench.put("a.csv", "id,name,extra\n1,\"\",x\n2,,y\n");
    bench.put("b.xml", "<data><row><ID>3</ID><n>1.5</n></row></data>");
    bench.put("other.txt", "not mine");
    let tally = bench.run(table).unwrap();
    assert_eq!((tally.read, tally.written, tally.files), (3, 3, 2));
    assert_eq!(
        bench.rows("SELECT * FROM t"),
        "1||NULL 2|NULL|NULL 3|NULL|1.5"
    );
    assert_eq!(bench.names("in/done"), ["a.csv", "b.xml"]);
    assert_eq!(bench.names("in"), ["other.txt"]);
    // the same file again is known; the same name with another content is a new file
    bench.put("a.csv", "id,name,extra\n1,\"\",x\n2,,y\n");
    assert_eq!(bench.run(table).unwrap().read, 0);
    bench.put("a.csv", "id\n7\n");
    assert_eq!(bench.run(table).unwrap().written, 1);
    assert_eq!(
        bench.names("in/done"),
        ["a.csv", "a.csv.1", "a.csv.2", "b.xml"]
    );
}

#[test]
fn modes_differ_in_what_a_known_key_means() {
    for (mode, want) in [
        ("skip", "1|old|NULL 2|two|NULL"),
        ("upsert", "1|new|NULL 2|two|NULL"),
        ("replace", "1|new|NULL 2|two|NULL"),
    ] {
        let bench = Bench::new(&format!("{T}; INSERT INTO t VALUES (1, 'old', NULL)"));
        if mode == "replace" {
            bench
                .db
                .execute("INSERT INTO t VALUES (9, 'gone', NULL)", [])
                .unwrap();
        }
        bench.put("a.csv", "id,name\n1,new\n2,two\n");
        bench
            .run(&format!(r#"<table match="*.csv" name="t" mode="{mode}"/>"#))
            .unwrap();
        assert_eq!(bench.rows("SELECT * FROM t ORDER BY id"), want, "{mode}");
    }
}

#[test]
fn bad_rows_are_put_aside_with_their_reason_and_load_once_mended() {
    let bench = Bench::new(&format!("{T}; INSERT INTO t VALUES (1, 'old', NULL)"));
    bench.put(
        "a.csv",
        "id,name,n\n1,double,1\n2,good,2\nx,no number,3\n4,check,400\n5,good,5\n6,ragged\n",
    );
    let table = r#"<table match="*" name="t" max-bad="10"/>"#;
    let tally = bench.run(table).unwrap();
    assert_eq!((tally.read, tally.written, tally.rejected), (6, 2, 4));
    let rejects = bench.text("in/rejects/a.csv.rejects.xml");
    for part in [
        r#"number="1""#,
        r#"number="3""#,
        r#"column="id""#,
        r#"value="x""#,
        r#"number="4""#,
        r#"number="6""#,
    ] {
        assert!(rejects.contains(part), "{part} is missing:\n{rejects}");
    }
    // mended by hand, and given back
    let mended = rejects
        .replace("<id>1</id>", "<id>11</id>")
        .replace("<id>x</id>", "<id>3</id>")
        .replace("<n>400</n>", "<n>40</n>");
    bench.put("a.rejects.xml", &mended);
    assert_eq!(bench.run(table).unwrap().written, 3);
    assert_eq!(
        bench.rows("SELECT id, n FROM t ORDER BY id"),
        "1|NULL 2|2 3|3 4|40 5|5 11|1"
    );
}

#[test]
fn too_many_bad_rows_take_the_whole_file_back() {
    let bench = Bench::new(T);
    bench.put("a.csv", "id\n1\nx\ny\n2\n");
    bench.put("b.csv", "id\n3\n");
    let error = bench
        .run(r#"<table match="*.csv" name="t" max-bad="1"/>"#)
        .unwrap_err();
    assert_eq!(error.exit_code(), 65);
    assert!(error.chain().contains("a.csv"), "{}", error.chain());
    assert_eq!(bench.rows("SELECT id FROM t"), "3");
    assert_eq!(
        (bench.names("in/bad"), bench.names("in/done")),
        (vec!["a.csv".to_owned()], vec!["b.csv".to_owned()])
    );
    assert!(
        bench
            .text("in/rejects/a.csv.rejects.xml")
            .contains(r#"value="x""#)
    );
}

#[test]
fn a_broken_file_goes_to_bad_and_leaves_no_row() {
    for text in [
        "<data><row><id>1</id></row>",
        "<data><row><id>1</id></row></data><data/>",
        "<!DOCTYPE x><data/>",
        "no xml",
    ] {
        let bench = Bench::new(T);
        bench.put("a.xml", text);
        let error = bench.run(r#"<table match="*" name="t"/>"#).unwrap_err();
        assert_eq!(error.exit_code(), 65, "{text}");
        assert_eq!(bench.rows("SELECT count(*) FROM t"), "0", "{text}");
        assert_eq!(bench.names("in/bad"), ["a.xml"], "{text}");
    }
}

#[test]
fn a_column_that_turns_up_late_is_loaded_too() {
    let bench = Bench::new(T);
    let mut text = String::from("<data>");
    for id in 1..=1_500 {
        let name = if id == 1_400 { "<name>late</name>" } else { "" };
        text.push_str(&format!("<row><id>{id}</id>{name}</row>"));
    }
    bench.put("a.xml", &(text + "</data>"));
    assert_eq!(
        bench.run(r#"<table match="*" name="t"/>"#).unwrap().written,
        1_500
    );
    assert_eq!(
        bench.rows("SELECT id, name FROM t WHERE name IS NOT NULL"),
        "1400|late"
    );
}

#[test]
fn a_set_is_replaced_together_and_only_when_it_is_complete() {
    let bench = Bench::new(&format!("{T}; INSERT INTO t VALUES (9, 'old', NULL)"));
    let table = r#"<table match="*" name="t" mode="replace"/>"#;
    bench.put("S_1_2of2.csv", "id\n2\n");
    assert_eq!(bench.run(table).unwrap().read, 0);
    assert_eq!(bench.rows("SELECT id FROM t"), "9");
    bench.put("S_1_1of2.csv", "id\n1\n");
    assert_eq!(bench.run(table).unwrap().files, 2);
    assert_eq!(bench.rows("SELECT id FROM t"), "1 2");
}

#[test]
fn a_table_is_made_to_fit_its_first_file() {
    let bench = Bench::new("SELECT 1");
    bench.put("a.csv", "id,x,phone,name\n1,2,007,a\n2,2.5,008,\n");
    bench
        .run(r#"<table match="*" name="made" create="true" key="id"/>"#)
        .unwrap();
    assert_eq!(
        bench.rows("SELECT *, typeof(id), typeof(x), typeof(phone) FROM made WHERE id = 2"),
        "2|2.5|008|NULL|integer|real|text"
    );
    assert!(
        bench
            .db
            .execute("INSERT INTO made (id) VALUES (1)", [])
            .is_err(),
        "the key is a key"
    );
}

#[test]
fn sql_before_and_after_belongs_to_the_transaction() {
    let bench = Bench::new("SELECT 1");
    bench.put("a.csv", "id\n1\nx\n");
    let table = r#"<table match="*" name="t" before-sql="CREATE TABLE t (id INTEGER)" after-sql="UPDATE t SET id = id + 10"/>"#;
    assert_eq!(bench.run(table).unwrap_err().exit_code(), 65);
    assert_eq!(
        bench.rows("SELECT count(*) FROM sqlite_schema WHERE name = 't'"),
        "0"
    );
    bench.put("b.csv", "id\n1\n");
    bench.run(table).unwrap();
    assert_eq!(bench.rows("SELECT id FROM t"), "11");
}

#[test]
fn a_file_in_batches_has_one_reject_file_and_rejects_no_older_one_replaces() {
    let bench = Bench::new("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)");
    let table = r#"<table match="*.csv" name="t" max-bad="2" commit="2"/>"#;
    bench.put("a.csv", "id,n\n1,1\nx,2\n3,3\n4,4\ny,5\n");
    bench.run(table).unwrap();
    assert_eq!(bench.names("in/rejects"), ["a.csv.rejects.xml"]);
    let rejects = bench.text("in/rejects/a.csv.rejects.xml");
    assert!(
        rejects.contains("value=\"x\"") && rejects.contains("value=\"y\""),
        "{rejects}"
    );
    bench.put("a.csv", "id,n\nz,2\n");
    bench.run(table).unwrap();
    assert_eq!(bench.names("in/rejects").len(), 2);
    assert_eq!(bench.text("in/rejects/a.csv.rejects.xml"), rejects);
}

#[test]
fn a_bad_file_in_batches_tells_what_of_it_stays() {
    let bench = Bench::new("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)");
    let table = r#"<table match="*.csv" name="t" max-bad="1" commit="2"/>"#;
    bench.put("a.csv", "id,n\n1,1\nx,2\n3,3\n4,4\ny,5\n");
    let error = bench.run(table).unwrap_err().to_string();
    assert!(error.contains("rows 1 to 4 are loaded and stay"), "{error}");
    assert!(error.contains("from row 5 on"), "{error}");
    assert_eq!(bench.rows("SELECT id FROM t"), "1 3 4");
    assert_eq!(bench.names("in/rejects"), ["a.csv.rejects.xml"]);
    // mended as it says, under its own name
    bench.put("a.csv", "id,n\n5,5\n");
    bench.run(table).unwrap();
    assert_eq!(bench.rows("SELECT id FROM t"), "1 3 4 5");
}

#[test]
fn numbers_in_names_count() {
    let bench = Bench::new(T);
    bench.put("NU_9-15.csv", "id,name\n1,old\n");
    bench.put("NU_15-105.csv", "id,name\n1,new\n");
    bench
        .run(r#"<table match="*" name="t" mode="upsert"/>"#)
        .unwrap();
    assert_eq!(bench.rows("SELECT name FROM t"), "new");
}

#[test]
fn rejects_keep_the_columns_that_the_table_lacks() {
    let bench = Bench::new(T);
    bench.put("a.csv", "extra,id,name\np,1,x\nq,1,y\nr,2,z\ns,2,w\n");
    bench
        .run(r#"<table match="*" name="t" max-bad="5"/>"#)
        .unwrap();
    let rejects = bench.text("in/rejects/a.csv.rejects.xml");
    for row in [
        "<extra>q</extra><id>1</id><name>y</name>",
        "<extra>s</extra><id>2</id><name>w</name>",
    ] {
        assert!(rejects.contains(row), "{rejects}");
    }
}

#[test]
fn a_file_without_a_single_column_does_not_hold_up_others() {
    let bench = Bench::new("CREATE TABLE t (id INTEGER PRIMARY KEY)");
    bench.put("a.jsonl", "[{\"id\":1}]\n");
    bench.put("b.jsonl", "{\"id\":2}\n");
    bench.run(r#"<table match="*" name="t"/>"#).unwrap_err();
    assert_eq!(
        (bench.names("in/bad"), bench.names("in/done")),
        (vec!["a.jsonl".into()], vec!["b.jsonl".into()])
    );
}

#[test]
fn what_holds_up_one_table_does_not_hold_up_others() {
    let bench = Bench::new(T);
    bench.put("a.csv", "id\n1\n");
    bench.put("b.csv", "id\n1\n");
    bench.put("c.csv", "id\n2\n");
    let tables = r#"<table match="a.csv" name="none"/><table match="b.csv" name="t" before-sql="DELETE FROM gone"/><table match="*.csv" name="t2" create="true"/>"#;
    let error = bench.run(tables).unwrap_err();
    assert_eq!(error.exit_code(), 78);
    assert!(error.chain().contains("none"), "{}", error.chain());
    assert_eq!(bench.rows("SELECT id FROM t2"), "2");
    assert_eq!(bench.names("in"), ["a.csv", "b.csv"]);
    assert_eq!(bench.rows("SELECT count(*) FROM procctl_ledger"), "1");
}

#[test]
fn an_earlier_content_of_the_same_name_counts_again_where_the_last_one_wins() {
    for mode in ["replace", "upsert"] {
        let bench = Bench::new(T);
        let table = format!(r#"<table match="*" name="t" mode="{mode}"/>"#);
        for name in ["one", "two", "one"] {
            bench.put("a.csv", &format!("id,name\n1,{name}\n"));
            bench.run(&table).unwrap();
            assert_eq!(bench.rows("SELECT name FROM t"), name, "{mode}");
        }
    }
}

#[test]
fn files_that_change_or_go_after_they_were_found_are_left_alone() {
    let bench = Bench::new(T);
    bench.put("a.csv", "id\n1\n");
    bench.put("b.csv", "id\n2\n");
    bench.put("c.csv", "id\n3\n");
    let cx = bench.cx();
    let job = job(r#"<table match="*" name="t"/>"#);
    let queue = job.waiting(&cx).unwrap();
    bench.put("a.csv", "id\n10\n11\n");
    bench
        .disk
        .remove(&bench.dir.path().join("in/b.csv"))
        .unwrap();
    let shared = Shared {
        params: &job.params,
        inbox: &job.params.input.inbox(&cx),
        rejects: &job.params.input.rejects(&cx),
        single: false,
        queue: Mutex::new(queue),
    };
    let tally = crew::work(&cx, &shared, 1, &mut Vec::new())
        .answer()
        .unwrap();
    assert_eq!((tally.files, tally.written), (1, 1));
    assert_eq!(bench.rows("SELECT id FROM t"), "3");
    assert_eq!(bench.names("in"), ["a.csv"]);
    bench.run(r#"<table match="*" name="t"/>"#).unwrap();
    assert_eq!(bench.rows("SELECT id FROM t"), "3 10 11");
}

#[test]
fn a_set_of_which_one_part_is_as_before_is_loaded_whole() {
    let bench = Bench::new(T);
    let table = r#"<table match="*" name="t" mode="replace"/>"#;
    for part in ["id\n1\n", "id\n3\n"] {
        bench.put("S_1of2.csv", part);
        bench.put("S_2of2.csv", "id\n2\n");
        bench.run(table).unwrap();
    }
    assert_eq!(bench.rows("SELECT id FROM t"), "2 3");
}

#[test]
fn what_a_deferred_rule_says_at_the_end_is_the_files_fault() {
    let bench = Bench::new(
        "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (id INTEGER REFERENCES p DEFERRABLE INITIALLY DEFERRED)",
    );
    bench.put("a.csv", "id\n1\n");
    bench.put("b.csv", "id\n\n");
    let error = bench.run(r#"<table match="*" name="t"/>"#).unwrap_err();
    assert_eq!(error.exit_code(), 65);
    assert_eq!(
        (bench.names("in/bad"), bench.names("in/done")),
        (vec!["a.csv".into()], vec!["b.csv".into()])
    );
}

#[test]
fn rows_that_break_a_deferred_rule_are_rejects_and_their_parents_may_come_later() {
    let bench = Bench::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, boss INTEGER REFERENCES t DEFERRABLE INITIALLY DEFERRED)",
    );
    bench.put("a.csv", "id,boss\n1,3\n2,77\n3,4\n4,4\n5,\n6,2\n7\n");
    bench
        .run(r#"<table match="*" name="t" max-bad="3"/>"#)
        .unwrap();
    assert_eq!(bench.rows("SELECT id FROM t ORDER BY id"), "1 3 4 5");
    // of the first attempt nothing is left
    assert_eq!(bench.names("in/rejects"), ["a.csv.rejects.xml"]);
    let rejects = bench.text("in/rejects/a.csv.rejects.xml");
    assert_eq!(rejects.matches("<row number=").count(), 3, "{rejects}");
    let order = ["number=\"2\"", "number=\"6\"", "number=\"7\""];
    assert!(order.map(|row| rejects.find(row)).is_sorted());
    assert!(rejects.contains("<row number=\"2\" column=\"boss\" value=\"77\""));
    assert!(rejects.contains("<row number=\"6\" column=\"boss\" value=\"2\""));
}

/// The power fails at each operation of a run, then the machine comes up in one of its possible states, and the job runs again.
fn survives_power_cuts(table: &str, rejects: bool) {
    for seed in 0..3 {
        let mut cut = 0;
        loop {
            cut += 1;
            // without a key the table would take every row twice
            let bench = Bench::new("CREATE TABLE t (id INTEGER, name TEXT)");
            for file in ["a.csv", "b.csv"] {
                let bad = if rejects { "x\n" } else { "" };
                bench.put(file, &format!("id\n1\n{bad}2\n3\n4\n{bad}5\n"));
            }
            bench.disk.power().cut_at(bench.disk.power().spent() + cut);
            let ended = bench.run(table).is_ok() && !bench.disk.power().is_off();
            bench.disk.reboot(seed);
            bench.run(table).unwrap();
            bench.run(table).unwrap();
            assert_eq!(
                bench.rows("SELECT id, count(*) FROM t GROUP BY id"),
                "1|2 2|2 3|2 4|2 5|2",
                "cut {cut}, seed {seed}"
            );
            // a power cut may leave a moved file under both names; the ledger knows it, and it is moved again
            let done = bench.names("in/done");
            assert!(
                done.iter().any(|name| name == "a.csv") && done.iter().any(|name| name == "b.csv"),
                "cut {cut}, seed {seed}"
            );
            assert!(bench.names("in").is_empty(), "cut {cut}, seed {seed}");
            let kept: usize = bench
                .names("in/rejects")
                .iter()
                .map(|name| {
                    bench
                        .text(&format!("in/rejects/{name}"))
                        .matches("value=\"x\"")
                        .count()
                })
                .sum();
            assert_eq!(kept, if rejects { 4 } else { 0 }, "cut {cut}, seed {seed}");
            if ended {
                break;
            }
            assert!(cut < 500, "a run never ends");
        }
        assert!(cut > 4, "a run has more operations than {cut}");
    }
}

#[test]
fn power_cuts_lose_nothing_and_double_nothing() {
    survives_power_cuts(r#"<table match="*" name="t" max-bad="4"/>"#, true);
}

#[test]
fn power_cuts_in_batches_lose_nothing_and_double_nothing() {
    survives_power_cuts(
        r#"<table match="*" name="t" max-bad="4" commit="2"/>"#,
        true,
    );
}
