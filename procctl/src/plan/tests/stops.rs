//! Stopping: the ladder, max-run, processes left behind, the end of the supervisor.

use super::*;
use crate::plan::outcome::Usage;

#[test]
fn term_then_kill_then_given_up() {
    let mut w = World::with(&[exec("a", "stop-grace='5s'")]);
    assert_eq!(w.stop("a"), ["0 term a"]);
    assert_eq!(w.word("a"), "stopping");
    let orders = w.pass(1000.0);
    assert_eq!(orders[0], "5 kill a");
    assert!(orders[1].starts_with("15 alarm failed a: processes survive SIGKILL"));
    assert!(orders[2].starts_with("15 reply 1 a no: processes survive SIGKILL"));
    assert_eq!(orders.len(), 3, "no endless loop");
    assert_eq!(w.word("a"), "stuck");
    assert!(w.start("a")[0].contains("a no: processes of the last run survive SIGKILL"));
    assert!(w.stop("a")[0].contains("a no: its processes survive SIGKILL"));
    assert!(w.trigger("a", false)[0].contains("a no: processes of the last run"));
    // at last
    w.end("a", Exit::Signal(9), LastWords::default(), false);
    assert_eq!(w.word("a"), "stopped");
    assert!(w.start("a")[0].contains("start a operator"));
}

#[test]
fn a_stop_is_answered_when_the_tree_is_gone() {
    let mut w = World::with(&[exec("a", "")]);
    w.stop("a");
    let run = w.run("a");
    assert!(
        w.end("a", Exit::Code(0), LastWords::default(), true)
            .is_empty()
    );
    assert_eq!(w.row("a").pid, None);
    assert_eq!(w.pass(10.0), ["10 kill a"]);
    assert_eq!(
        w.event(Event::TreeGone { run }),
        ["10 reply 1 a ok: stopped"]
    );
    assert_eq!(w.results(), [("a".into(), Outcome::Stopped)]);
}

#[test]
fn what_a_run_leaves_behind_does_not_meet_the_next() {
    let mut w = World::with(&[exec("a", "every='1s'")]);
    let run = w.run("a");
    let orders = w.end("a", Exit::Code(0), LastWords::default(), true);
    assert_eq!(orders, ["0 term a"]);
    assert_eq!(
        w.results(),
        [("a".into(), Outcome::Done)],
        "its result stands"
    );
    assert_eq!(w.pass(12.0), ["10 kill a"]);
    assert!(w.event(Event::TreeGone { run }).is_empty());
    assert_eq!(w.pass(1.0), ["13 start a every"]);
    assert!(
        w.event(Event::TreeGone { run }).is_empty(),
        "once is enough"
    );
}

#[test]
fn max_run_ends_a_run() {
    let mut w = World::with(&[exec("a", "every='1m' max-run='30s' stop-grace='2s'")]);
    assert_eq!(w.pass(32.0), ["30 term a", "32 kill a"]);
    let orders = w.exit("a", 0);
    assert!(orders[0].contains("alarm failed a: ran longer than max-run after 32.0 s"));
    assert_eq!(w.results(), [("a".into(), Outcome::TimedOut)]);
}

#[test]
fn the_first_reason_to_stop_stays() {
    let mut w = World::with(&[exec("a", "every='1m' max-run='30s'")]);
    w.pass(30.0);
    assert!(w.stop("a").is_empty());
    w.exit("a", 143);
    assert_eq!(w.results(), [("a".into(), Outcome::TimedOut)]);
    assert_eq!(w.word("a"), "stopped");
}

#[test]
fn a_stopped_job_stays_so_until_start() {
    let mut w = World::with(&[exec("a", "every='5s'"), exec("b", "")]);
    w.stop("a");
    w.stop("b");
    w.exit("a", 0);
    w.exit("b", 0);
    assert!(w.pass(1000.0).is_empty());
    w.load(vec![valid(&exec("a", "every='6s'"))]);
    assert!(
        w.pass(1000.0).is_empty(),
        "not even a changed file starts it"
    );
    assert!(w.start("a")[0].contains("start a operator"));
    assert!(w.start("b")[0].contains("start b operator"));
}

#[test]
fn stop_without_a_job_ends_everything() {
    let mut w = World::with(&[
        exec("a", "stop-grace='1s'"),
        exec("b", ""),
        sweep("c", "every='1s'"),
    ]);
    w.exit("c", 0);
    let orders = w.ask(Request::Stop { jobs: vec![] });
    assert_eq!(orders, ["0 term a", "0 term b"]);
    assert!(w.start("c")[0].contains("refused: procctl is stopping"));
    assert!(w.status().stopping);
    assert!(w.exit("b", 0).is_empty());
    assert_eq!(w.pass(5.0), ["1 kill a"], "c is not started");
    assert!(w.event(Event::Terminate).is_empty());
    let orders = w.end("a", Exit::Signal(9), LastWords::default(), false);
    assert_eq!(orders, ["5 reply 1 done: stopped", "5 exit"]);
    assert!(w.event(Event::Due).is_empty(), "goodbye is said once");
}

#[test]
fn the_end_does_not_wait_for_what_cannot_die() {
    let mut w = World::with(&[exec("a", "")]);
    w.event(Event::Terminate);
    let orders = w.pass(60.0);
    assert_eq!(orders[0], "10 kill a");
    assert!(orders[1].contains("alarm failed a"));
    assert_eq!(orders[2], "20 exit");
    let w = World::with(&[]).event(Event::Terminate);
    assert_eq!(w, ["0 exit"]);
}

#[test]
fn a_start_that_fails_under_a_stop_ends_it() {
    let mut w = World::with(&[sweep("a", "")]);
    w.slow = true;
    w.trigger("a", false);
    assert_eq!(w.stop("a"), ["0 term a"]);
    let run = w.run("a");
    let orders = w.event(Event::StartFailed {
        run,
        why: "no slot".into(),
    });
    assert!(orders[0].contains("alarm failed a"));
    assert_eq!(orders[1], "0 reply 2 a ok: stopped");
    assert!(
        orders[2].starts_with("0 reply 1 a no: not started: no slot"),
        "{orders:?}"
    );
}

#[test]
fn ends_of_unknown_runs_are_let_go() {
    let mut w = World::with(&[]);
    let event = Event::Ended {
        run: 42,
        exit: Exit::Code(0),
        words: LastWords::default(),
        usage: Usage::default(),
        rest: false,
    };
    let actions = plan(&mut w.state, event, w.now);
    assert_eq!(actions, [Action::Release { run: 42 }]);
}
