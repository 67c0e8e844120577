//! Bad rows and bad files are put aside with their reason, and hold up no others.

use super::*;

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
