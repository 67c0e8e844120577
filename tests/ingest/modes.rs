//! Each mode means the same on every server.

use std::fs;

use crate::lab::Lab;
use crate::services;

/// Each mode on each server, two files of one table after the other, while other workers load other tables.
fn modes(server: &str, name: &str) {
    let lab = Lab::new();
    let url = services::database(server, name);
    let mut tables = String::new();
    for mode in ["insert", "skip", "upsert", "replace"] {
        services::ask(
            &url,
            &format!(
                "CREATE TABLE {mode}_t (id int PRIMARY KEY, name varchar(20) NOT NULL, n int DEFAULT 7)"
            ),
        );
        services::ask(
            &url,
            &format!("INSERT INTO {mode}_t VALUES (1, 'old', 1), (9, 'old', 9)"),
        );
        tables.push_str(&format!(
            r#"<table match="{mode}_*" name="{mode}_t" mode="{mode}" max-bad="4"/>"#
        ));
        lab.write(
            &format!("in/{mode}_1.csv"),
            "id,name\n1,first\n2,first\n3,\nx,first\n",
        );
        lab.write(&format!("in/{mode}_2.csv"), "name,id\nsecond,2\nsecond,4\n");
    }
    for file in 1..=5 {
        lab.write(
            &format!("in/fresh_{file}.csv"),
            format!("id,day,name\n{file},2024-02-29,0{file}\n"),
        );
    }
    tables.push_str(r#"<table match="fresh_*" name="fresh" create="true" key="id"/>"#);
    let job = format!(
        r#"<ingest name="m" workers="4"><target url="{url}"/><input dir="in"/>{tables}</ingest>"#
    );
    lab.good("jobs", ["run", &job]);
    let fresh = "SELECT count(*), min(name), max(name) FROM fresh WHERE day = '2024-02-29'";
    assert_eq!(services::ask(&url, fresh).trim(), "5|01|05");
    let rows = |mode: &str| {
        let found = services::ask(
            &url,
            &format!("SELECT id, name, n FROM {mode}_t ORDER BY id"),
        );
        found.lines().collect::<Vec<_>>().join(" ")
    };
    // of two files that bring the same new key, `insert` takes one, whichever comes first
    let inserted = rows("insert");
    assert!(
        [
            "1|old|1 2|first|7 4|second|7 9|old|9",
            "1|old|1 2|second|7 4|second|7 9|old|9"
        ]
        .contains(&inserted.as_str()),
        "{inserted}"
    );
    assert_eq!(rows("skip"), "1|old|1 2|first|7 4|second|7 9|old|9");
    assert_eq!(rows("upsert"), "1|first|1 2|second|7 4|second|7 9|old|9");
    assert_eq!(rows("replace"), "2|second|7 4|second|7");
    for mode in ["skip", "upsert", "replace"] {
        let path = lab.path(format!("in/rejects/{mode}_1.csv.rejects.xml"));
        let rejects = fs::read_to_string(&path).expect("a reject file");
        assert_eq!(rejects.matches("<row ").count(), 2, "{mode}: {rejects}");
        assert!(
            rejects.contains(r#"number="3" column="name""#)
                && rejects.contains(r#"number="4" column="id" value="x""#),
            "{rejects}"
        );
        // mended, and given back
        let mended = rejects
            .replace("<id>3</id>", "<id>3</id><name>mended</name>")
            .replace("<id>x</id>", "<id>5</id>");
        lab.write(&format!("in/{mode}_3.xml"), mended);
    }
    lab.good("jobs", ["run", &job]);
    let mended = "3|mended|7 4|second|7 5|first|7 9|old|9";
    assert_eq!(rows("skip"), format!("1|old|1 2|first|7 {mended}"));
    assert_eq!(rows("upsert"), format!("1|first|1 2|second|7 {mended}"));
    assert_eq!(rows("replace"), "3|mended|7 5|first|7");
}

#[test]
fn every_mode_means_the_same_on_every_server() {
    modes(services::postgres(), "ingest_modes");
    modes(services::mariadb(), "ingest_modes");
}
