//! Columns of other names, several tables, one file for both sides, and stops in the middle.

use super::*;

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
