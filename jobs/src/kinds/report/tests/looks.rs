//! What `jobs check` finds, and parameters that do not fit.

use super::*;

#[test]
fn a_look_changes_nothing_and_finds_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let db = source(dir.path());
    let look = |body: &str| {
        let mut seen = job::Report::default();
        let mut cx = Context::fake_on(&FakeDisk::new(), dir.path());
        cx.set_now(at("2026-01-03T12:00:00Z"));
        daily(body).dry_run(&mut cx, &mut seen).unwrap();
        (seen.problems, seen.notes.join("\n"))
    };
    let (problems, notes) = look(&format!("{LOG}{SELECT}<output dir=\"out\" file=\"S\"/>"));
    assert_eq!(problems, []);
    for part in [
        "2 windows due",
        ":from = 2026-01-02 00:00:00",
        "S_2026-01-02.csv",
        "2 columns of <select>: day, amount",
    ] {
        assert!(notes.contains(part), "{part}\n{notes}");
    }
    let at = |body: &str| {
        look(body)
            .0
            .into_iter()
            .map(|wrong| wrong.at)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        at("<step>DELETE FROM lag WHERE day = :from</step>"),
        ["step[1]"]
    );
    assert_eq!(
        at("<select>SELECT x FROM sale</select><output dir=\"o\" file=\"S\"/>"),
        ["select"]
    );
    assert_eq!(
        at("<select>SELECT 1 AS x</select><into table=\"daily\"/>"),
        ["select"]
    );
    assert_eq!(
        at("<select>SELECT 1 AS amount</select><into table=\"dally\"/>"),
        ["into.table"]
    );
    assert_eq!(
        at("<select>SELECT 1 AS amount</select><into table=\"daily\" mode=\"replace\" by=\"d\"/>"),
        ["into.by"]
    );
    assert_eq!(
        at("<select>SELECT 1 AS sales</select><into table=\"log\" mode=\"upsert\"/>"),
        ["into.mode"]
    );
    // what a step makes is not there yet, which is no fault
    let (problems, notes) = look(
        "<step>DELETE FROM log WHERE day = :from</step><step>CREATE TEMP TABLE x AS SELECT 1 AS amount</step><step>DELETE FROM x WHERE amount = 2</step><select>SELECT * FROM x</select><into table=\"daily\" url=\"sqlite:s.db?mode=rw\" mode=\"upsert\"/>",
    );
    assert_eq!(problems, []);
    for part in [
        "step[3]: cannot be looked at before step[2] has run",
        "select: cannot be looked at before step[2] has run",
        "would write into the table daily of sqlite:s.db, mode upsert",
    ] {
        assert!(notes.contains(part), "{part}\n{notes}");
    }
    let tables = text(
        &db,
        "SELECT count(*) || '' FROM sqlite_schema WHERE name = 'procctl_report'",
    );
    assert_eq!(tables, "0");
}

#[test]
fn parameters_that_do_not_fit_are_told_with_their_place() {
    let wrong = |period: &str, body: &str| {
        let xml =
            format!(r#"<report><database url="sqlite:s.db"/><period {period}/>{body}</report>"#);
        try_job(&xml).err().unwrap().at
    };
    let day = r#"size="day" start="2026-01-01""#;
    let step = "<step>SELECT 1</step>";
    assert_eq!(wrong(day, ""), "");
    assert_eq!(wrong(day, "<select>SELECT 1</select>"), "select");
    assert_eq!(wrong(day, &format!("{step}<into table=\"t\"/>")), "into");
    assert_eq!(
        wrong(day, &format!("{step}<output dir=\"o\" file=\"f\"/>")),
        "output"
    );
    assert_eq!(
        wrong(
            day,
            "<select>SELECT 1</select><output dir=\"o\" file=\"../f\"/>"
        ),
        "output.file"
    );
    assert_eq!(
        wrong(
            day,
            "<select>SELECT 1</select><into table=\"t\" mode=\"replace\"/>"
        ),
        "into.mode"
    );
    assert_eq!(
        wrong(day, &format!("<param name=\"to_date\" value=\"1\"/>{step}")),
        "param[1].name"
    );
    assert_eq!(
        wrong(r#"size="day" start="tomorrow""#, step),
        "period.start"
    );
    assert_eq!(
        wrong(r#"size="hour" start="2026-01-01" form="date""#, step),
        "period.form"
    );
    assert_eq!(
        wrong(r#"size="day" start="2026-01-01" only="2025-01-01""#, step),
        "period.only"
    );
    let insert = "<select>SELECT 1</select><into table=\"t\"/>";
    assert_eq!(
        wrong(r#"size="day" start="2026-01-01" only="2026-02-01""#, insert),
        "period.only"
    );
}
