//! What of a file gets into the table, and what the modes make of it.

use super::*;

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
