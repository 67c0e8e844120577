//! Jobs that are kept running.

use super::*;
use crate::recorder::message::Notice;

#[test]
fn a_kept_job_returns_with_growing_delays() {
    let (mut w, orders) = World::boot(&[exec("a", "")]);
    assert_eq!(orders, ["0 start a kept"]);
    for plain in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
        w.exit("a", 1);
        assert_eq!(w.word("a"), "backoff");
        assert!(w.pass(plain - 0.01).is_empty(), "{plain}");
        let orders = w.pass(plain / 4.0 + 0.02);
        assert!(orders[0].ends_with("start a retry"), "{orders:?}");
    }
    w.pass(61.0);
    w.exit("a", 1);
    let orders = w.pass(1.26);
    assert!(
        orders[0].ends_with("start a retry"),
        "a long run begins anew: {orders:?}"
    );
}

#[test]
fn it_returns_after_success_too_and_at_once_without_backoff() {
    let mut w = World::with(&[exec("a", ""), exec("b", "backoff='0'")]);
    w.exit("a", 0);
    assert_eq!(w.word("a"), "waiting");
    assert!(w.pass(1.3)[0].ends_with("start a kept"));
    let orders = w.end("b", Exit::Signal(9), LastWords::default(), false);
    assert!(
        orders[0].contains("alarm failed b: killed by signal 9"),
        "{orders:?}"
    );
    assert!(orders[1].ends_with("start b retry"));
}

#[test]
fn a_schedule_makes_it_no_service() {
    let (mut w, orders) = World::boot(&[
        exec("a", "cron='0 0 * * * *'"),
        sweep("b", ""),
        sweep("c", "every='1m'"),
    ]);
    assert_eq!(orders, ["0 start c every"]);
    assert_eq!(
        (w.word("a"), w.word("b")),
        ("waiting".into(), "waiting".into())
    );
    assert_eq!(w.row("b").schedule, "trigger");
}

#[test]
fn a_resident_job_is_kept_and_triggered_by_signal() {
    let (mut w, orders) = World::boot(&[sweep("a", "every='1m' resident='true'")]);
    assert_eq!(orders, ["0 start a kept"]);
    assert_eq!(
        w.trigger("a", false),
        ["0 pass a", "0 reply 1 a ok: does a pass now"]
    );
    assert_eq!(
        w.trigger("a", true),
        ["0 pass a", "0 reply 2 a ok: does a pass now"]
    );
    w.exit("a", 0);
    assert!(w.pass(1.5)[0].ends_with("start a kept"));
}

#[test]
fn a_start_that_fails_is_a_failure() {
    let mut w = World::unbooted("");
    w.slow = true;
    w.load_all(&[exec("a", "")]);
    w.event(Event::Booted);
    assert_eq!(w.word("a"), "starting");
    let run = w.run("a");
    let why = "execute /no/such: not found".to_string();
    let orders = w.event(Event::StartFailed { run, why });
    assert!(
        orders[0].contains("alarm failed a: execute /no/such: not found"),
        "{orders:?}"
    );
    assert_eq!(w.word("a"), "backoff");
    assert_eq!(w.results(), [("a".into(), Outcome::Refused)]);
    // also after the process was seen
    w.pass(2.0);
    let run = w.run("a");
    w.event(Event::Started { run, pid: 9 });
    let orders = w.event(Event::StartFailed {
        run,
        why: "x".into(),
    });
    assert!(orders.is_empty());
    assert!(w.live("a").is_none());
    // a second report of the same is nothing
    assert!(
        w.event(Event::StartFailed {
            run,
            why: "x".into()
        })
        .is_empty()
    );
}

#[test]
fn daemons_speak_by_notify() {
    let mut w = World::with(&[exec("a", "heartbeat='10s'")]);
    let run = w.run("a");
    let mut say = |notice| w.event(Event::Noticed { run, notice });
    assert!(say(Notice::Status("42 clients".into())).is_empty());
    assert!(say(Notice::MainPid(777)).is_empty());
    assert!(say(Notice::Ready).is_empty());
    assert_eq!(say(Notice::Trigger), ["0 term a"]);
    let row = w.row("a");
    assert_eq!(
        (row.says.as_deref(), row.pid),
        (Some("42 clients"), Some(777))
    );
    assert_eq!(w.pass(2.0), ["2 kill a"], "hang-grace");
    let orders = w.end("a", Exit::Signal(9), LastWords::default(), false);
    assert!(
        orders[0].contains("alarm hung a: hung by its own word"),
        "{orders:?}"
    );
    assert_eq!(w.results(), [("a".into(), Outcome::Hung)]);
}

#[test]
fn an_end_seen_from_outside_leads_on() {
    let mut w = World::with(&[exec("a", "")]);
    w.end("a", Exit::Unknown, LastWords::default(), false);
    assert_eq!(w.results(), [("a".into(), Outcome::Unknown)]);
    assert_eq!(w.word("a"), "waiting");
    assert!(w.pass(2.0)[0].ends_with("start a kept"));
}
