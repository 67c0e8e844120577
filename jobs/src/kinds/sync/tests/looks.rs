//! What is told without changing anything, and before anything is opened.

use super::*;

#[test]
fn a_look_counts_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut cx = Context::fake(dir.path());
    let source = database(dir.path(), "s.db", PLAIN);
    let target = database(dir.path(), "t.db", PLAIN);
    fill(&source, 100);
    fill(&target, 90);
    target
        .execute_batch("UPDATE a SET size = 0 WHERE id = 5; INSERT INTO a (id) VALUES (500)")
        .unwrap();
    let mut report = Report::default();
    let tables =
        r#"<table from="a" mode="batch"/><table from="a" mode="increment"/><table from="a"/>"#;
    job(tables).dry_run(&mut cx, &mut report).unwrap();
    let told = report.notes.join("\n");
    for word in [
        "would write 11 rows that are new or differ, and delete 1 row",
        "nothing is new in a after 500",
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert_eq!(rows(&target, "SELECT count(*) FROM a"), ["91"]);
    assert_eq!(rows(&target, "SELECT count(*) FROM sqlite_schema"), ["1"]);
}

#[test]
fn what_does_not_fit_together_is_told_before_anything_is_opened() {
    let told = |inner: &str| {
        let xml = format!(
            r#"<sync><source url="sqlite:s.db"/><target url="sqlite:t.db"/>{inner}</sync>"#
        );
        let file = jobfile::JobFile::from_text(Path::new("s.xml"), xml.as_bytes()).unwrap();
        Sync::new(file.params().unwrap()).map(drop).unwrap_err().at
    };
    assert_eq!(
        told(r#"<table from="a"><column to="b"/></table>"#),
        "table[1].column[1]"
    );
    assert_eq!(
        told(r#"<table from="a"><column from="a" value="b"/></table>"#),
        "table[1].column[1]"
    );
    assert_eq!(
        told(r#"<table from="a"/><table from="a" start="5"/>"#),
        "table[2].start"
    );
    assert_eq!(told(r#"<table from="a" batch="0"/>"#), "table[1].batch");
    assert_eq!(told(r#"<table from="a" where=" "/>"#), "table[1].where");
}
