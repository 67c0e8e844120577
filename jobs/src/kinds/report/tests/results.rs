//! Where the rows of a report go: into tables by their modes, and into files.

use super::*;

/// Rows that go beside the source are in the transaction of the steps; each mode does what it says when a window runs again.
#[test]
fn rows_go_into_a_table_as_the_mode_says() {
    for (mode, replaced) in [
        ("mode=\"replace\" by=\"day\"", "-"),
        ("mode=\"upsert\"", "mine"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let db = source(dir.path());
        let into = format!("{LOG}{SELECT}<into table=\"daily\" {mode}/>");
        let mut cx = Context::fake_on(&FakeDisk::new(), dir.path());
        cx.set_now(at("2026-01-03T12:00:00Z"));
        let by_text = format!(
            r#"<report><database url="sqlite:s.db"/><period size="day" start="2026-01-01" form="date"/>{}</report>"#,
            into.replace("substr(:from, 1, 10)", ":from")
        );
        let tally = try_job(&by_text).unwrap().run(&mut cx).unwrap();
        assert_eq!((tally.read, tally.written), (2, 2));
        assert_eq!(text(&db, DAILY), "01:276 02:852");
        db.execute_batch(
            "UPDATE daily SET note = 'mine'; UPDATE sale SET amount = 1000 WHERE amount = 30",
        )
        .unwrap();
        let again = by_text.replace(" form=", r#" only="2026-01-02T07:00:00Z" form="#);
        try_job(&again).unwrap().run(&mut cx).unwrap();
        assert_eq!(text(&db, DAILY), "01:276 02:1822", "{mode}");
        let note = text(
            &db,
            "SELECT coalesce(note, '-') FROM daily WHERE day LIKE '%02'",
        );
        assert_eq!(note, replaced, "{mode}");
        assert_eq!(
            text(&db, "SELECT upto FROM procctl_report"),
            "2026-01-03T00:00:00"
        );
    }
}

#[test]
fn a_row_that_the_table_refuses_leaves_the_window_undone() {
    let dir = tempfile::tempdir().unwrap();
    let db = source(dir.path());
    db.execute_batch("INSERT INTO daily VALUES ('2026-01-02', 0, NULL)")
        .unwrap();
    let mut report = daily(&format!("{LOG}{SELECT}<into table=\"daily\"/>"));
    let mut cx = Context::fake_on(&FakeDisk::new(), dir.path());
    cx.set_now(at("2026-01-04T12:00:00Z"));
    let error = report.run(&mut cx).unwrap_err();
    assert_eq!(error.exit_code(), 65);
    assert!(
        error
            .chain()
            .contains("row 1 of <select> for the table daily"),
        "{}",
        error.chain()
    );
    assert_eq!(text(&db, LOGGED), "01:24");
    db.execute_batch("DELETE FROM daily WHERE day = '2026-01-02'")
        .unwrap();
    report.run(&mut cx).unwrap();
    assert_eq!(text(&db, LOGGED), "01:24 02:24 03:24");
    assert_eq!(text(&db, DAILY), "01:276 02:852 03:1428");
}

#[test]
fn files_are_named_by_their_windows() {
    let dir = tempfile::tempdir().unwrap();
    source(dir.path());
    let disk = FakeDisk::new();
    let mut cx = Context::fake_on(&disk, dir.path());
    cx.set_now(at("2026-01-03T12:00:00Z"));
    daily(&format!("{SELECT}<output dir=\"out\" file=\"S\"/>"))
        .run(&mut cx)
        .unwrap();
    let shown = |name: &str| {
        let files = disk.files();
        let found = files.into_iter().find(|(path, _)| path.ends_with(name));
        String::from_utf8(found.unwrap_or_else(|| panic!("no {name}")).1).unwrap()
    };
    assert_eq!(shown("S_2026-01-02.csv"), "day,amount\n2026-01-02,852\n");
    let disk = FakeDisk::new();
    let mut cx = Context::fake_on(&disk, dir.path());
    cx.set_now(at("2026-01-02T12:00:00Z"));
    let html = format!(
        "{SELECT}<output dir=\"out\" file=\"S\" format=\"html\" title=\"Sales &lt;all>\"/>"
    );
    assert_eq!(daily(&html).run(&mut cx).unwrap().files, 1);
    let (path, page) = disk.files().into_iter().next().unwrap();
    assert!(
        path.ends_with("out/S_2026-01-01.html"),
        "{}",
        path.display()
    );
    let page = String::from_utf8(page).unwrap();
    assert!(
        page.contains("<h1>Sales &lt;all&gt;</h1>\n<p>2026-01-01 to 2026-01-02 (UTC)</p>"),
        "{page}"
    );
    assert!(
        page.contains("<td>2026-01-01</td><td class=\"n\">276</td>"),
        "{page}"
    );
}
