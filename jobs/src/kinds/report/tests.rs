//! Reports against real SQLite databases: windows in order, late ones caught up, orders of operators, and the power failing at every operation.

use std::path::Path;

use chrono::{DateTime, Utc};

use super::*;
use crate::disk::FakeDisk;
use crate::job;

fn try_job(xml: &str) -> Result<Report, Invalid> {
    let file = jobfile::JobFile::from_text(Path::new("r.xml"), xml.as_bytes()).unwrap();
    Report::new(file.params().unwrap())
}

/// A report over the days from the first of January on.
fn daily(body: &str) -> Report {
    try_job(&format!(
        r#"<report><database url="sqlite:s.db"/><period size="day" start="2026-01-01" delay="1h"/>{body}</report>"#
    ))
    .unwrap()
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A source with a sale an hour from the first to the tenth of January, and tables for what is derived.
fn source(dir: &Path) -> rusqlite::Connection {
    let db = rusqlite::Connection::open(dir.join("s.db")).unwrap();
    db.execute_batch(
        "PRAGMA journal_mode=WAL; CREATE TABLE sale (at TEXT, amount INTEGER);
         CREATE TABLE log (day TEXT, sales INTEGER); CREATE TABLE daily (day TEXT PRIMARY KEY, amount INTEGER, note TEXT);
         WITH RECURSIVE h(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM h WHERE n < 239)
         INSERT INTO sale SELECT datetime('2026-01-01', n || ' hours'), n FROM h",
    )
    .unwrap();
    db
}

fn text(db: &rusqlite::Connection, sql: &str) -> String {
    db.query_row(sql, [], |row| row.get::<_, Option<String>>(0))
        .unwrap()
        .unwrap_or_default()
}

const LOG: &str = "<step>INSERT INTO log SELECT :from, count(*) FROM sale WHERE at >= :from AND at &lt; :to</step>";
const LOGGED: &str = "SELECT group_concat(substr(day, 9, 2) || ':' || sales, ' ') FROM log";
const SELECT: &str = "<select>SELECT substr(:from, 1, 10) AS day, sum(amount) AS amount FROM sale WHERE at >= :from AND at &lt; :to</select>";
const DAILY: &str = "SELECT group_concat(substr(day, 9, 2) || ':' || amount, ' ') FROM (SELECT * FROM daily ORDER BY day)";

#[test]
fn windows_are_caught_up_in_order_and_none_runs_before_its_delay() {
    let dir = tempfile::tempdir().unwrap();
    let db = source(dir.path());
    let mut report = daily(LOG);
    let mut cx = Context::fake_on(&FakeDisk::new(), dir.path());
    cx.set_now(at("2026-01-03T00:59:00Z"));
    assert_eq!(report.run(&mut cx).unwrap().written, 1);
    cx.set_now(at("2026-01-03T01:00:00Z"));
    assert_eq!(report.run(&mut cx).unwrap().written, 1);
    assert_eq!(report.run(&mut cx).unwrap(), Tally::default());
    cx.set_now(at("2026-01-06T12:00:00Z"));
    report.run(&mut cx).unwrap();
    assert_eq!(text(&db, LOGGED), "01:24 02:24 03:24 04:24 05:24");
    assert_eq!(
        text(&db, "SELECT upto FROM procctl_report"),
        "2026-01-06T00:00:00Z"
    );
}

#[test]
fn a_run_does_no_more_windows_than_it_may() {
    let dir = tempfile::tempdir().unwrap();
    let db = source(dir.path());
    let mut report = try_job(&format!(
        r#"<report><database url="sqlite:s.db"/><period size="12h" start="2026-01-01" most="3"/>{LOG}</report>"#
    ))
    .unwrap();
    let mut cx = Context::fake_on(&FakeDisk::new(), dir.path());
    cx.set_now(at("2026-01-06T00:00:00Z"));
    report.run(&mut cx).unwrap();
    assert_eq!(text(&db, LOGGED), "01:12 01:12 02:12");
    cx.stop_at_checkpoint(4);
    assert!(matches!(report.run(&mut cx), Err(Error::Stopped(_))));
    assert_eq!(text(&db, LOGGED).split(' ').count(), 4);
}

#[test]
fn a_window_is_not_run_alone_before_it_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let db = source(dir.path());
    let mut report = try_job(&format!(
        r#"<report><database url="sqlite:s.db"/><period size="day" start="2026-01-01" only="2026-01-03"/>{LOG}</report>"#
    ))
    .unwrap();
    let mut cx = Context::fake_on(&FakeDisk::new(), dir.path());
    cx.set_now(at("2026-01-03T23:59:59Z"));
    let early = report.run(&mut cx).unwrap_err();
    assert_eq!(early.exit_code(), 78);
    assert_eq!(
        early.chain(),
        "period.only: the window 2026-01-03 to 2026-01-04 (UTC) is not over yet: it ends at 2026-01-04T00:00:00Z"
    );
    assert!(
        report
            .dry_run(&mut cx, &mut job::Report::default())
            .is_err()
    );
    assert_eq!(text(&db, LOGGED), "");
    cx.set_now(at("2026-01-04T00:00:00Z"));
    report.run(&mut cx).unwrap();
    assert_eq!(text(&db, LOGGED), "03:24");
}

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

#[test]
fn an_operator_sends_a_report_back_and_ahead() {
    let dir = tempfile::tempdir().unwrap();
    let db = source(dir.path());
    let mut report = daily(LOG);
    let mut cx = Context::fake_on(&FakeDisk::new(), dir.path());
    cx.set_now(at("2026-01-04T12:00:00Z"));
    report.run(&mut cx).unwrap();
    let shown: String = cx.state().unwrap().get("upto").unwrap().unwrap();
    assert_eq!(shown, "2026-01-04T00:00:00Z");
    cx.state().unwrap().set("from", &"2026-01-03").unwrap();
    report.run(&mut cx).unwrap();
    assert_eq!(text(&db, LOGGED), "01:24 02:24 03:24 03:24");
    assert_eq!(cx.state().unwrap().get::<String>("from").unwrap(), None);
    cx.state().unwrap().set("from", &"soon").unwrap();
    assert_eq!(report.run(&mut cx).unwrap_err().exit_code(), 78);
}

/// Also where the cursors are in databases, and beside a pending draft.
#[test]
fn a_reset_begins_anew_wherever_the_cursors_are() {
    let elsewhere = format!("{LOG}{SELECT}<into table=\"daily\" url=\"sqlite:t.db\"/>");
    for body in [LOG, &elsewhere] {
        let dir = tempfile::tempdir().unwrap();
        let db = source(dir.path());
        let other = rusqlite::Connection::open(dir.path().join("t.db")).unwrap();
        other
            .execute_batch("CREATE TABLE daily (day TEXT, amount INTEGER)")
            .unwrap();
        let mut cx = Context::fake_on(&FakeDisk::new(), dir.path());
        cx.set_now(at("2026-01-03T12:00:00Z"));
        let ends = "01:24 02:24";
        daily(body).run(&mut cx).unwrap();
        assert_eq!(text(&db, LOGGED), ends);
        cx.state().unwrap().reset().unwrap();
        let mut seen = job::Report::default();
        daily(body).dry_run(&mut cx, &mut seen).unwrap();
        let due = "2 windows due".to_owned();
        assert!(seen.notes.contains(&due), "{:?}", seen.notes);
        daily(body).run(&mut cx).unwrap();
        daily(body).run(&mut cx).unwrap();
        assert_eq!(text(&db, LOGGED), format!("{ends} {ends}"));
        cx.state().unwrap().set("from", &"2026-01-02").unwrap();
        daily(body).run(&mut cx).unwrap();
        assert_eq!(text(&db, LOGGED), format!("{ends} {ends} 02:24"));
        if body != LOG {
            assert_eq!(text(&other, DAILY), "01:276 01:276 02:852 02:852 02:852");
        }
    }
}

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

/// The power fails at each operation of a run over three windows; then a run catches up. Steps and target must agree with the calendar.
fn survives_power_cuts(body: &str, agrees: impl Fn(&Path, &FakeDisk) -> String, want: &str) {
    let mut cut = 0;
    loop {
        cut += 1;
        let dir = tempfile::tempdir().unwrap();
        let db = source(dir.path());
        rusqlite::Connection::open(dir.path().join("t.db"))
            .unwrap()
            .execute_batch("CREATE TABLE daily (day TEXT, amount INTEGER)")
            .unwrap();
        let disk = FakeDisk::new();
        disk.power().cut_at(disk.power().spent() + cut);
        let pass = |disk: &FakeDisk| {
            let mut cx = Context::fake_on(disk, dir.path());
            cx.set_now(at("2026-01-04T12:00:00Z"));
            daily(body).run(&mut cx)
        };
        let ended = pass(&disk).is_ok();
        let off = disk.power().is_off();
        disk.reboot(cut);
        pass(&disk).unwrap();
        assert_eq!(agrees(dir.path(), &disk), want, "cut {cut}");
        if body.contains("<step>") {
            assert_eq!(text(&db, LOGGED), "01:24 02:24 03:24", "cut {cut}");
        }
        if ended && !off {
            break;
        }
        assert!(cut < 500, "a run never ends");
    }
    assert!(cut > 10, "a run has more operations than {cut}");
}

fn amounts_in_files(_: &Path, disk: &FakeDisk) -> String {
    let files = disk
        .files()
        .into_iter()
        .filter(|(path, _)| path.to_string_lossy().contains("/out/"));
    let lines = files.map(|(path, bytes)| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = String::from_utf8(bytes).unwrap();
        format!("{name}={}", text.lines().nth(1).unwrap_or_default())
    });
    lines.collect::<Vec<_>>().join(" ")
}

const FILES: &str = "S_2026-01-01.csv=2026-01-01,276 S_2026-01-02.csv=2026-01-02,852 S_2026-01-03.csv=2026-01-03,1428";

#[test]
fn power_cuts_leave_each_window_in_one_file() {
    let output = format!("{SELECT}<output dir=\"out\" file=\"S\"/>");
    survives_power_cuts(&output, amounts_in_files, FILES);
    survives_power_cuts(&format!("{LOG}{output}"), amounts_in_files, FILES);
}

#[test]
fn power_cuts_leave_each_window_once_in_another_database() {
    let amounts = |dir: &Path, _: &FakeDisk| {
        let db = rusqlite::Connection::open(dir.join("t.db")).unwrap();
        text(&db, DAILY)
    };
    let into = format!("{SELECT}<into table=\"daily\" url=\"sqlite:t.db\"/>");
    survives_power_cuts(&into, amounts, "01:276 02:852 03:1428");
    survives_power_cuts(&format!("{LOG}{into}"), amounts, "01:276 02:852 03:1428");
    // what the steps made for the query alone is there in each window
    let temporary = format!(
        "{LOG}<step>DROP TABLE IF EXISTS temp.x</step><step>CREATE TEMP TABLE x AS SELECT substr(:from, 1, 10) AS day, sum(amount) AS amount FROM sale WHERE at >= :from AND at &lt; :to</step><select>SELECT * FROM x</select><into table=\"daily\" url=\"sqlite:t.db\"/>"
    );
    survives_power_cuts(&temporary, amounts, "01:276 02:852 03:1428");
}
