//! Windows run in order, late ones are caught up, and operators send a report back and ahead.

use super::*;

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
