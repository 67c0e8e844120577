//! Changed, new, removed, broken files.

use super::*;

fn broken(path: &str) -> JobText {
    let text = format!("{path}:1:2: oh");
    file(path, Content::Broken { name: None, text })
}

#[test]
fn schedule_and_watch_change_under_a_running_job() {
    let mut w = World::with(&[exec("a", "heartbeat='10s'"), exec("b", "every='1h'")]);
    let changed = exec(
        "a",
        "heartbeat='20s' backoff='5s..9s' stop-grace='1s' max-run='1m' window='01:00-02:00' splay='1s'",
    );
    assert_eq!(w.load(vec![valid(&changed)]), ["0 adjust a Some(20s)"]);
    assert_eq!(
        w.load(vec![valid(&exec("a", "heartbeat='off'"))]),
        ["0 adjust a None"]
    );
    assert!(w.load(vec![valid(&exec("b", "every='1m'"))]).is_empty());
    w.exit("b", 0);
    assert_eq!(w.pass(60.0), ["60 start b every"]);
    w.exit("b", 0);
    w.load(vec![valid(&exec("b", "every='5m'"))]);
    assert_eq!(w.pass(300.0), ["360 start b every"]);
}

#[test]
fn a_new_max_run_counts_from_the_start() {
    let mut w = World::with(&[exec("a", "")]);
    w.pass(100.0);
    let orders = w.load(vec![valid(&exec("a", "max-run='30s'"))]);
    assert_eq!(orders, ["100 term a"]);
}

#[test]
fn another_command_restarts_a_kept_job_gracefully() {
    let mut w = World::with(&[exec("a", ""), sweep("r", "every='1m' resident='true'")]);
    let old = w.run("a");
    let changed = job("<exec name='a' tz='UTC'><command>other</command></exec>");
    assert_eq!(w.load(vec![valid(&changed)]), ["0 term a"]);
    assert!(
        w.load(vec![valid(&changed)]).is_empty(),
        "the same again is nothing"
    );
    assert_eq!(w.exit("a", 0), ["0 start a changed"]);
    assert_ne!(w.run("a"), old);
    assert_eq!(w.state.spec_of(w.run("a")), Some(&changed));
    let faster = sweep("r", "every='5s' resident='true'");
    assert_eq!(
        w.load(vec![valid(&faster)]),
        ["0 term r"],
        "the runner has the interval"
    );
}

#[test]
fn a_changed_file_ends_the_backoff() {
    let mut w = World::with(&[exec("a", "backoff='1h'")]);
    w.exit("a", 1);
    let changed = job("<exec name='a' backoff='1h'><command>other</command></exec>");
    assert_eq!(w.load(vec![valid(&changed)]), ["0 start a changed"]);
    w.exit("a", 1);
    let shorter = job("<exec name='a' backoff='1s'><command>other</command></exec>");
    assert!(
        w.load(vec![valid(&shorter)]).is_empty(),
        "only the next delay is shorter"
    );
}

#[test]
fn a_scheduled_run_finishes_with_its_old_version() {
    let mut w = World::with(&[exec("a", "every='10s'")]);
    let old = w.run("a");
    let changed = job("<exec name='a' every='10s'><command>other</command></exec>");
    assert!(w.load(vec![valid(&changed)]).is_empty());
    assert_ne!(w.state.spec_of(old), Some(&changed));
    w.exit("a", 0);
    w.pass(10.0);
    assert_eq!(w.state.spec_of(w.run("a")), Some(&changed));
}

#[test]
fn service_becomes_schedule_and_back() {
    let mut w = World::with(&[exec("a", "")]);
    let cron = exec("a", "cron='0 30 * * * *'");
    assert_eq!(w.load(vec![valid(&cron)]), ["0 term a"]);
    assert!(w.exit("a", 0).is_empty());
    assert_eq!(w.pass(1800.0), ["1800 start a cron"]);
    assert!(
        w.load(vec![valid(&exec("a", ""))]).is_empty(),
        "its run goes on as the service"
    );
    w.exit("a", 0);
    assert!(w.pass(2.0)[0].ends_with("start a kept"));
}

#[test]
fn a_new_cron_rule_has_nothing_to_catch_up_with() {
    let mut w = World::with(&[exec("a", "cron='0 0 * * * *' missed='once'")]);
    w.pass(1000.0);
    let orders = w.load(vec![valid(&exec("a", "cron='0 5 * * * *' missed='once'"))]);
    assert!(orders.is_empty());
    assert_eq!(w.row("a").next, Some(utc("2026-05-01T13:05:00Z")));
}

#[test]
fn a_removed_file_stops_its_job() {
    let mut w = World::with(&[exec("a", ""), exec("b", "every='1m'")]);
    w.exit("b", 0);
    let gone = |name: &str| file(&format!("/jobs/{name}.xml"), Content::Gone);
    assert_eq!(
        w.load(vec![gone("a"), gone("b"), gone("never")]),
        ["0 term a"]
    );
    assert_eq!(w.status().jobs.len(), 1);
    assert!(w.exit("a", 0).is_empty());
    assert!(w.status().jobs.is_empty());
    assert!(w.pass(1000.0).is_empty());
    assert!(w.state.runs.is_empty() && w.state.files.is_empty() && w.state.successors.is_empty());
}

#[test]
fn a_file_that_returns_in_time_restarts_its_job() {
    let spec = exec("a", "");
    let mut w = World::with(std::slice::from_ref(&spec));
    w.load(vec![file("/jobs/a.xml", Content::Gone)]);
    assert!(w.load(vec![valid(&spec)]).is_empty());
    assert_eq!(w.exit("a", 0), ["0 start a changed"]);
}

#[test]
fn removal_forgets_what_was_remembered() {
    let spec = exec("a", "");
    let mut w = World::with(std::slice::from_ref(&spec));
    w.disable("a");
    w.exit("a", 0);
    w.load(vec![file("/jobs/a.xml", Content::Gone)]);
    assert_eq!(w.load(vec![valid(&spec)]), ["0 start a kept"]);
    assert_eq!(w.state.memory(), "");
}

#[test]
fn a_moved_file_is_the_same_job_and_a_new_name_another() {
    let xml = "<exec name='a'><command>run a</command></exec>";
    let mut w = World::with(&[job(xml)]);
    let moved = job_in("/jobs/new.xml", xml);
    let batch = vec![file("/jobs/a.xml", Content::Gone), valid(&moved)];
    assert!(w.load(batch).is_empty());
    assert_eq!(*w.row("a").file, PathBuf::from("/jobs/new.xml"));
    let renamed = job_in(
        "/jobs/new.xml",
        "<exec name='b'><command>run a</command></exec>",
    );
    assert_eq!(
        w.load(vec![valid(&renamed)]),
        ["0 start b kept", "0 term a"]
    );
    w.exit("a", 0);
    assert_eq!(w.status().jobs.len(), 1);
}

#[test]
fn two_files_may_swap_names() {
    let text = |name: &str| format!("<exec name='{name}'><command>run</command></exec>");
    let (one, two) = ("/jobs/1.xml", "/jobs/2.xml");
    let mut w = World::with(&[job_in(one, &text("a")), job_in(two, &text("b"))]);
    let batch = vec![
        valid(&job_in(one, &text("b"))),
        valid(&job_in(two, &text("a"))),
    ];
    assert!(w.load(batch).is_empty());
    assert_eq!(w.row("a").file.to_str(), Some(two));
    assert_eq!(w.word("b"), "running");
}

#[test]
fn of_two_files_with_one_name_the_owner_keeps_it() {
    let xml = "<exec name='a'><command>run</command></exec>";
    let mut w = World::with(&[job_in("/jobs/m.xml", xml)]);
    let (rival, owner) = (job_in("/jobs/a.xml", xml), job_in("/jobs/m.xml", xml));
    assert!(w.load(vec![valid(&rival)]).is_empty());
    assert!(w.load_all(&[rival, owner]).is_empty());
    let rows = w.status().jobs;
    assert_eq!(rows.len(), 2);
    let text = rows.iter().find_map(|row| row.problem.clone()).unwrap();
    assert_eq!(text, "name `a` is taken by /jobs/m.xml");
    // its turn comes when the owner goes
    let orders = w.load(vec![file("/jobs/m.xml", Content::Gone)]);
    assert_eq!(orders, ["0 term a"]);
    assert_eq!(w.exit("a", 0), ["0 start a changed"]);
    assert_eq!(w.status().jobs.len(), 1);
}

#[test]
fn a_broken_file_leaves_an_exec_alone() {
    let mut w = World::with(&[exec("a", ""), exec("e", "every='10s'")]);
    let orders = w.load(vec![
        broken("/jobs/a.xml"),
        broken("/jobs/e.xml"),
        broken("/jobs/new.xml"),
    ]);
    assert!(orders.is_empty());
    let row = w.row("a");
    assert_eq!(row.state.to_string(), "running");
    assert_eq!(row.problem.unwrap(), "/jobs/a.xml:1:2: oh");
    assert_eq!(w.word("new"), "broken");
    w.exit("a", 1);
    assert!(
        w.pass(1.5)[0].ends_with("start a retry"),
        "in its last valid version"
    );
    assert!(w.start("new")[0].contains("no such job") || w.word("new") == "broken");
    w.load(vec![valid(&exec("a", ""))]);
    assert_eq!(w.row("a").problem, None);
}

#[test]
fn other_kinds_wait_until_their_file_is_mended() {
    let (every, resident) = (
        sweep("a", "every='10s'"),
        sweep("r", "every='10s' resident='true'"),
    );
    let mut w = World::with(&[every.clone(), resident.clone()]);
    w.load(vec![broken("/jobs/a.xml"), broken("/jobs/r.xml")]);
    assert_eq!(
        (w.word("a"), w.word("r")),
        ("running".into(), "running".into())
    );
    assert!(w.restart("r")[0].contains("r no: its file is broken: the run goes on"));
    w.exit("a", 0);
    w.exit("r", 0);
    assert!(w.pass(100.0).is_empty());
    assert_eq!(
        (w.word("a"), w.word("r")),
        ("broken".into(), "broken".into())
    );
    assert!(w.trigger("a", false)[0].contains("a no: its file is broken"));
    let orders = w.load(vec![valid(&every), valid(&resident)]);
    assert_eq!(orders, ["100 start r kept", "100 start a every"]);
    assert_eq!(w.word("a"), "running");
}

#[test]
fn a_broken_file_that_goes_stops_its_job() {
    let mut w = World::with(&[exec("a", "")]);
    w.load(vec![broken("/jobs/a.xml")]);
    assert_eq!(
        w.load(vec![file("/jobs/a.xml", Content::Gone)]),
        ["0 term a"]
    );
    w.exit("a", 0);
    assert!(w.status().jobs.is_empty());
    // a complete reading takes away what it does not hold
    w.load(vec![broken("/jobs/x.xml"), valid(&exec("b", "every='1h'"))]);
    w.exit("b", 0);
    w.load_all(&[]);
    assert!(w.status().jobs.is_empty());
}

#[test]
fn names_that_are_not_utf8_are_told() {
    use std::os::unix::ffi::OsStringExt;
    let path = PathBuf::from(std::ffi::OsString::from_vec(b"/jobs/\xff.xml".to_vec()));
    let mut w = World::with(&[]);
    let content = Content::Valid(exec("a", ""));
    w.load(vec![JobText { path, content }]);
    assert_eq!(
        w.status().jobs[0].problem.as_deref(),
        Some("the file's name is not UTF-8")
    );
    assert!(w.state.snapshot().is_ok());
}

#[test]
fn versions_tell_what_needs_a_restart() {
    let base = exec("a", "").version;
    for same in [
        "every='1s'",
        "heartbeat='1m'",
        "pool='x' overlap='queue'",
        "cron='* * * * *'",
        "enabled='false'",
    ] {
        assert_eq!(exec("a", same).version, base, "{same}");
    }
    for other in [
        "user='x'",
        "nice='5'",
        "memory='1G'",
        "dir='/tmp'",
        "umask='027'",
        "nofile='9'",
    ] {
        assert_ne!(exec("a", other).version, base, "{other}");
    }
    let text = |inner: &str| job(&format!("<exec name='a'>{inner}</exec>")).version;
    let plain = text("<command>x</command>");
    assert_eq!(text("\n  <command> x </command>\n"), plain);
    assert_ne!(text("<command>x</command><env name='A' value='1'/>"), plain);
    assert_ne!(text("<command>x y</command>"), plain);
    assert_eq!(
        sweep("a", "every='1s'").version,
        sweep("a", "every='2s'").version
    );
    let resident = |every: &str| sweep("a", &format!("every='{every}' resident='true'")).version;
    assert_ne!(resident("1s"), resident("2s"));
}
