//! What is told before anything is loaded, and where files end that are odd.

use super::*;

#[test]
fn what_ends_the_transaction_is_refused_with_its_place() {
    let refused = |url: &str, sql: &str| {
        let xml = format!(
            "<ingest><target url=\"{url}\"/><input dir=\"in\"/><table match=\"*\" name=\"t\" after-sql=\"{sql}\"/></ingest>"
        );
        let file = jobfile::JobFile::from_text(Path::new("i.xml"), xml.as_bytes()).unwrap();
        Ingest::new(file.params().unwrap()).err()
    };
    let wrong = refused("mysql://h/d", "DELETE FROM u; DROP TABLE v").unwrap();
    assert_eq!(wrong.at, "table[1].after-sql");
    assert!(wrong.message.contains("DROP TABLE V"), "{}", wrong.message);
    assert!(refused("postgres://h/d", "DROP TABLE v").is_none());
    assert!(refused("sqlite:t.db", "COMMIT").is_some());
    assert!(refused("${env:URL}", "COMMIT").is_none());
}

#[test]
fn a_dry_run_tells_all_and_touches_nothing() {
    let bench = Bench::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, made TEXT NOT NULL DEFAULT 'now', photo BLOB)",
    );
    bench.put("a.csv", "ID,name,extra\n1,x,y\n");
    bench.put("n.csv", "day,n\n2026-11-21,1.50\n");
    let before = bench.disk.files();
    let mut report = Report::default();
    let tables = r#"<table match="a*" name="t" mode="upsert"/><table match="n*" name="fresh" mode="replace" create="true" key="day"/>"#;
    job(tables).dry_run(&mut bench.cx(), &mut report).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    let told = report.notes.join("\n");
    for part in [
        "ledger procctl_ledger would be made",
        "a.csv, 20 B -> t: would be loaded",
        r#"INSERT INTO "t" ("id", "name") VALUES (?1, ?2) ON CONFLICT ("id") DO UPDATE"#,
        "ID -> id INTEGER",
        "extra: left out, the table has no such column",
        "made gets its default, 'now'",
        "photo gets NULL",
        r#"CREATE TABLE "fresh" ( "day" DATE NOT NULL, "n" NUMERIC, PRIMARY KEY ("day") )"#,
        r#"DELETE FROM "fresh""#,
    ] {
        assert!(told.contains(part), "{part} is missing:\n{told}");
    }
    assert_eq!(bench.disk.files(), before);
    assert_eq!(
        bench.rows("SELECT group_concat(name) FROM sqlite_schema WHERE type = 'table'"),
        "t"
    );
    // after a run the ledger knows
    bench.run(tables).unwrap();
    bench.put("a.csv", "ID,name,extra\n1,x,y\n");
    let mut report = Report::default();
    job(tables).dry_run(&mut bench.cx(), &mut report).unwrap();
    let told = report.notes.join("\n");
    assert!(
        told.contains("loaded before: would only be moved away"),
        "{told}"
    );
}

#[test]
fn check_compares_files_with_tables() {
    let bench = Bench::new("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL, x TEXT)");
    bench.put("a.csv", "id,x\n1,x\n");
    bench.put("b.csv", "other\n1\n");
    bench.put("c.xml", "no xml");
    let mut report = Report::default();
    job(r#"<table match="*" name="t"/>"#)
        .check(&mut bench.cx(), &mut report)
        .unwrap();
    let told: Vec<String> = report
        .problems
        .iter()
        .map(|problem| format!("{}: {}", problem.at, problem.message))
        .collect();
    let told = told.join("\n");
    for part in [
        "must have a value in name",
        "none of its columns",
        "c.xml: line 1",
    ] {
        assert!(told.contains(part), "{part} is missing:\n{told}");
    }
}

#[test]
fn odd_files_end_where_they_should() {
    let bench = Bench::new("CREATE TABLE \"order\" (id INTEGER, name TEXT)");
    for (name, text) in [
        ("empty.csv", ""),
        ("empty.xml", ""),
        ("empty.jsonl", ""),
        ("header.csv", "id,name\n"),
        ("none.xml", "<data/>"),
        ("\u{feff}bom.csv", "\u{feff}id,name\n1,bom\n"),
        ("站 点's \"x\".csv", "id,name\n2,站\n"),
        ("ragged.csv", "id,name\n3\n"),
        ("twice.csv", "id,id\n1,2\n"),
        ("half.xml", "<data><row><id>4</id></row><row><id>5</"),
    ] {
        bench.put(name, text);
    }
    bench.disk.put(
        &bench.dir.path().join("in/bytes.csv"),
        b"id,name\n6,\xff\xfe\n",
    );
    bench.run(r#"<table match="*" name="order"/>"#).unwrap_err();
    assert_eq!(
        bench.rows("SELECT * FROM \"order\" ORDER BY id"),
        "1|bom 2|站"
    );
    assert!(bench.names("in").is_empty());
    let mut bad = bench.names("in/bad");
    bad.sort();
    assert_eq!(
        bad,
        [
            "bytes.csv",
            "empty.csv",
            "empty.xml",
            "half.xml",
            "ragged.csv",
            "twice.csv"
        ]
    );
}

#[test]
fn check_finds_what_would_go_wrong() {
    let bench = Bench::new("CREATE TABLE t (id INTEGER, name TEXT)");
    let mut report = Report::default();
    job(r#"<table match="*" name="t" mode="upsert"/><table match="*" name="none"/><table match="*" name="t" mode="upsert" key="name"/>"#)
        .check(&mut bench.cx(), &mut report)
        .unwrap();
    let at: Vec<&str> = report
        .problems
        .iter()
        .map(|problem| problem.at.as_str())
        .collect();
    assert_eq!(
        at,
        [
            "input.dir",
            "table[1].mode",
            "table[2].name",
            "table[3].mode"
        ]
    );
}

#[test]
fn two_columns_for_one_are_refused() {
    let bench = Bench::new(T);
    bench.put("a.jsonl", "{\"id\":1,\"NAME\":\"x\",\"name\":\"y\"}\n");
    bench.put("b.csv", "id,name,ID\n1,x,2\n");
    let error = bench.run(r#"<table match="*" name="t"/>"#).unwrap_err();
    assert_eq!(error.exit_code(), 65);
    assert!(
        error.chain().contains("NAME and name both mean"),
        "{}",
        error.chain()
    );
    assert_eq!(bench.names("in/bad"), ["a.jsonl", "b.csv"]);
    assert_eq!(bench.rows("SELECT count(*) FROM t"), "0");
}
