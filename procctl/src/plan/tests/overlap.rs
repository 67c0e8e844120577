//! A start falls due while a run goes on.

use super::*;

const MINUTELY: &str = "cron='0 * * * * *'";

fn due(overlap: &str) -> World {
    let mut w = World::with(&[exec("a", &format!("{MINUTELY} overlap='{overlap}'"))]);
    assert_eq!(w.pass(60.0), ["60 start a cron"]);
    w
}

#[test]
fn skip_leaves_it_out_with_a_line_of_history() {
    let mut w = due("skip");
    assert!(w.pass(120.0).is_empty());
    let row = w.row("a");
    assert_eq!(row.skipped, 2);
    assert_eq!(row.problem.unwrap(), "last start left out: a run goes on");
    assert_eq!(w.results(), vec![("a".to_string(), Outcome::Skipped); 2]);
    w.exit("a", 0);
    assert_eq!(w.pass(60.0), ["240 start a cron"]);
    assert_eq!(w.row("a").problem, None);
}

#[test]
fn queue_keeps_one_start() {
    let mut w = due("queue");
    assert!(w.pass(150.0).is_empty());
    assert_eq!(w.row("a").skipped, 1);
    assert_eq!(w.exit("a", 1)[1], "210 start a cron");
    w.exit("a", 0);
    assert!(w.live("a").is_none(), "only one was queued");
}

#[test]
fn replace_stops_the_old_run_first() {
    let mut w = due("replace");
    assert_eq!(w.pass(60.0), ["120 term a"]);
    assert_eq!(w.word("a"), "stopping");
    assert_eq!(w.pass(10.0), ["130 kill a"]);
    let orders = w.end("a", Exit::Signal(9), LastWords::default(), false);
    assert_eq!(orders, ["130 start a cron"]);
    assert_eq!(w.results(), [("a".into(), Outcome::Replaced)]);
}

#[test]
fn replace_hung_asks_first() {
    let mut w = due("replace-hung");
    assert_eq!(w.pass(60.0), ["120 examine a"]);
    let run = w.run("a");
    assert!(
        w.event(Event::Examined {
            run,
            overdue: false
        })
        .is_empty()
    );
    assert_eq!(w.row("a").skipped, 1);
    assert_eq!(w.pass(60.0), ["180 examine a"]);
    assert!(w.pass(60.0).is_empty(), "asked once until answered");
    assert_eq!(
        w.event(Event::Examined { run, overdue: true }),
        ["240 term a"]
    );
    assert_eq!(w.exit("a", 143), ["240 start a cron"]);
    assert!(
        w.event(Event::Examined { run, overdue: true }).is_empty(),
        "too late"
    );
}

#[test]
fn a_trigger_meets_the_same_rules() {
    let mut w = due("skip");
    assert_eq!(w.trigger("a", false), ["60 reply 1 a no: a run goes on"]);
    let mut w = due("queue");
    assert_eq!(
        w.trigger("a", false),
        ["60 reply 1 a ok: follows the run that goes on"]
    );
    assert!(w.trigger("a", true).is_empty());
    assert_eq!(w.exit("a", 0), ["60 start a trigger"]);
    assert_eq!(w.exit("a", 0), ["60 reply 2 a ok: done: done after 0 ms"]);
    let mut w = due("replace");
    assert_eq!(w.trigger("a", false), ["60 term a"]);
    let orders = w.exit("a", 0);
    assert_eq!(orders[0], "60 start a trigger");
    assert!(orders[1].starts_with("60 reply 1 a ok: running, pid"));
    let mut w = due("replace-hung");
    assert_eq!(w.trigger("a", false), ["60 examine a"]);
    let run = w.run("a");
    let orders = w.event(Event::Examined {
        run,
        overdue: false,
    });
    assert_eq!(
        orders,
        ["60 reply 1 a no: a run goes on, and does not hang"]
    );
}

#[test]
fn a_queued_start_asks_the_window_when_its_turn_comes() {
    let mut w = World::with(&[exec(
        "a",
        "cron='0 * * * * *' overlap='queue' window='12:00-12:02'",
    )]);
    w.pass(100.0);
    assert!(w.live("a").is_some());
    w.pass(100.0);
    assert!(w.exit("a", 0).is_empty());
    assert_eq!(w.word("a"), "waiting");
}

#[test]
fn after_overlaps_too() {
    let mut w = World::with(&[
        sweep("a", ""),
        exec("b", "after='a' overlap='queue'"),
        exec("c", "after='a'"),
    ]);
    for _ in 0..3 {
        w.trigger("a", false);
        w.exit("a", 0);
    }
    assert_eq!((w.row("b").skipped, w.row("c").skipped), (1, 2));
    assert_eq!(w.exit("b", 0), ["0 start b after"]);
    assert!(w.exit("c", 0).is_empty());
}
