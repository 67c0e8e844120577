//! Schedules: every, cron, after, splay, window.

use super::*;

#[test]
fn every_counts_from_the_end_of_a_run() {
    let (mut w, orders) = World::boot(&[exec("a", "every='30s'")]);
    assert_eq!(orders, ["0 start a every"]);
    assert!(w.pass(100.0).is_empty());
    assert!(w.exit("a", 0).is_empty());
    assert_eq!(w.row("a").next, Some(utc("2026-05-01T12:02:10Z")));
    assert_eq!(w.pass(60.0), ["130 start a every"]);
}

#[test]
fn every_waits_for_the_longer_of_interval_and_backoff() {
    let mut w = World::with(&[exec("a", "every='2s' backoff='10s..60s'")]);
    w.exit("a", 1);
    assert_eq!(w.word("a"), "backoff");
    assert!(w.pass(9.9).is_empty());
    assert_eq!(w.pass(3.0).len(), 1);
    w.exit("a", 0);
    assert_eq!(w.word("a"), "waiting");
    assert_eq!(w.pass(2.0).len(), 1, "success ends the back-off");
    let mut w = World::with(&[exec("b", "every='2m' backoff='1s..60s'")]);
    w.exit("b", 1);
    assert_eq!(w.pass(121.0), ["120 start b every"]);
}

#[test]
fn cron_fires_at_its_times_and_follows_no_failure() {
    let (mut w, orders) = World::boot(&[exec("a", "cron='0 */5 * * * *'")]);
    assert!(orders.is_empty());
    assert_eq!(w.row("a").next, Some(utc("2026-05-01T12:05:00Z")));
    assert_eq!(w.pass(301.0), ["300 start a cron"]);
    assert!(w.exit("a", 1)[0].contains("alarm failed a"));
    assert_eq!(w.pass(400.0), ["600 start a cron"]);
}

#[test]
fn after_follows_success_only() {
    let mut w = World::with(&[
        exec("a", "cron='0 0 * * * *'"),
        exec("b", "after='a'"),
        exec("c", "after='a'"),
        exec("d", "after='b'"),
    ]);
    w.pass(3600.0);
    assert_eq!(w.exit("a", 0), ["3600 start b after", "3600 start c after"]);
    w.exit("b", 3);
    assert!(w.live("d").is_none());
    w.exit("c", 0);
    w.pass(3600.0);
    w.exit("a", 1);
    assert!(w.live("b").is_none());
    w.trigger("b", false);
    assert!(w.exit("b", 0).contains(&"7200 start d after".to_string()));
}

#[test]
fn a_circle_of_after_is_told_and_not_run() {
    let mut w = World::with(&[
        exec("a", "after='b'"),
        exec("b", "after='a'"),
        exec("c", "after='a'"),
    ]);
    let problem = w.row("a").problem.unwrap();
    assert_eq!(problem, "after= goes in a circle: a → b → a");
    w.trigger("a", false);
    assert_eq!(
        w.exit("a", 0),
        ["0 start c after"],
        "c only hangs on the circle"
    );
    assert_eq!(w.row("b").skipped, 1);
    assert_eq!(w.row("c").problem, None);
}

#[test]
fn after_a_job_that_is_not_there_says_so() {
    let mut w = World::with(&[exec("a", "after='b'")]);
    assert_eq!(
        w.row("a").problem.unwrap(),
        "comes after b, which does not exist"
    );
}

#[test]
fn splay_spreads_scheduled_starts_only() {
    let jobs: Vec<_> = (0..50)
        .map(|i| exec(&format!("j{i}"), "cron='0 1 * * * *' splay='20s'"))
        .collect();
    let mut w = World::with(&jobs);
    let starts = w.pass(100.0);
    assert_eq!(starts.len(), 50);
    let times: Vec<f64> = starts
        .iter()
        .map(|line| line.split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(times.iter().all(|t| (60.0..=80.0).contains(t)));
    assert!(times.iter().any(|t| *t < 66.0) && times.iter().any(|t| *t > 74.0));
    w.exit("j1", 0);
    assert_eq!(w.trigger("j1", false)[0], "100 start j1 trigger");
}

#[test]
fn a_trigger_during_the_splay_is_an_extra_run() {
    let mut w = World::with(&[exec("a", "cron='0 1 * * * *' splay='1h'")]);
    w.pass(61.0);
    assert!(w.live("a").is_none());
    w.trigger("a", false);
    w.exit("a", 0);
    let orders = w.pass(3700.0);
    assert!(orders[0].ends_with("start a cron"), "{orders:?}");
}

#[test]
fn cron_outside_the_window_is_left_out_and_the_rest_waits() {
    let window = "window='13:00-14:00'";
    let (mut w, orders) = World::boot(&[
        exec("cron", &format!("cron='0 30 * * * *' {window}")),
        exec("every", &format!("every='10m' {window}")),
        exec("kept", window),
    ]);
    assert!(orders.is_empty());
    assert_eq!(w.word("every"), "outside-window");
    assert_eq!(w.row("every").next, Some(utc("2026-05-01T13:00:00Z")));
    let orders = w.pass(5400.0);
    assert_eq!(
        orders,
        [
            "3600 start every every",
            "3600 start kept kept",
            "5400 start cron cron"
        ]
    );
    assert!(
        w.entries.is_empty(),
        "what the window leaves out is by design"
    );
    w.exit("every", 0);
    assert_eq!(w.pass(1000.0), ["6000 start every every"]);
    w.pass(1000.0);
    w.exit("every", 0);
    w.pass(7200.0);
    assert_eq!(w.word("every"), "outside-window");
    assert_eq!(w.row("every").next, Some(utc("2026-05-02T13:00:00Z")));
    assert_eq!(w.word("kept"), "running", "a window stops nothing");
    w.exit("kept", 0);
    assert!(w.pass(2.0).is_empty());
    assert_eq!(w.word("kept"), "outside-window");
}

#[test]
fn operators_do_not_ask_the_window() {
    let mut w = World::with(&[
        exec("a", "every='10m' window='13:00-14:00'"),
        exec("b", "window='13:00-14:00'"),
    ]);
    assert!(w.trigger("a", false)[0].contains("start a trigger"));
    assert!(w.start("b")[0].contains("start b operator"));
}

#[test]
fn two_schedules_of_one_job_both_count() {
    // job files say one of them; the plan does not mind both
    let mut spec = exec("a", "cron='0 10 * * * *'");
    Arc::make_mut(&mut spec).policy.every = Some(Duration::from_secs(3600));
    let mut w = World::with(&[spec]);
    w.exit("a", 0);
    assert_eq!(w.pass(700.0), ["600 start a cron"]);
    w.exit("a", 0);
    assert_eq!(w.pass(3600.0), ["4200 start a cron"]);
    w.pass(1000.0);
    w.exit("a", 0);
    assert_eq!(w.pass(3600.0), ["7800 start a cron"]);
}

#[test]
fn idle_means_no_wake() {
    let mut w = World::with(&[
        exec("a", ""),
        sweep("b", ""),
        exec("c", "after='b'"),
        exec("d", "enabled='false' cron='* * * * *'"),
    ]);
    let wake = w.state.next_wake();
    assert_eq!((wake.mono, wake.wall), (None, None));
    w.trigger("b", false);
    assert_eq!(w.state.next_wake(), wake);
}
