//! The state passes through JSON to the program that takes over.

use super::*;

fn hand_over(w: &mut World) {
    let text = w.state.snapshot().unwrap();
    let state = State::restore(&text).unwrap();
    assert_eq!(state.next_wake(), w.state.next_wake());
    assert_eq!(state.runs(), w.state.runs());
    assert_eq!(state.snapshot().unwrap(), text);
    w.state = state;
}

#[test]
fn nothing_is_lost_and_nothing_started() {
    let jobs = [
        exec("kept", "heartbeat='5s'"),
        exec("every", "every='30s' pool='db'"),
        exec("waits", "every='30s' pool='db'"),
        exec(
            "cron",
            "cron='0 5 * * * *' splay='10s' window='12:00-13:00'",
        ),
        exec("night", "every='1m' window='22:00-23:00'"),
        exec("dies", "stop-grace='60s'"),
        exec("stopped", ""),
        sweep("once", ""),
        exec("after", "after='once'"),
    ];
    let mut w = World::unbooted("");
    w.pools(&[("db", 1)]);
    w.load_all(&jobs);
    w.event(Event::Booted);
    w.stop("dies");
    w.stop("stopped");
    w.exit("stopped", 0);
    w.load(vec![file(
        "/jobs/bad.xml",
        Content::Broken {
            name: None,
            text: "x".into(),
        },
    )]);
    let before = w.status();
    hand_over(&mut w);
    assert_eq!(w.status(), before);
    w.pools(&[("db", 1)]);
    let bad = file(
        "/jobs/bad.xml",
        Content::Broken {
            name: None,
            text: "x".into(),
        },
    );
    let files = jobs.iter().map(valid).chain([bad]).collect();
    let loaded = Loaded {
        complete: true,
        files,
        answer: None,
    };
    assert!(w.event(Event::Loaded(loaded)).is_empty());
    assert_eq!(w.status(), before);
    assert_eq!(w.exit("every", 0), ["0 start waits every"]);
    assert_eq!(w.pass(60.0), ["60 kill dies"]);
    w.trigger("once", false);
    assert_eq!(w.exit("once", 0), ["60 start after after"]);
    let orders = w.pass(260.0);
    assert!(
        orders.iter().any(|o| o.ends_with("start cron cron")),
        "{orders:?}"
    );
    hand_over(&mut w);
}

#[test]
fn a_file_that_changed_meanwhile_is_a_reload() {
    let mut w = World::with(&[exec("a", "")]);
    hand_over(&mut w);
    let changed = job("<exec name='a'><command>other</command></exec>");
    assert_eq!(w.load_all(&[changed]), ["0 term a"]);
    hand_over(&mut w);
    assert_eq!(w.exit("a", 0), ["0 start a changed"]);
}

#[test]
fn stuck_runs_are_still_known() {
    let mut w = World::with(&[exec("a", "stop-grace='0'")]);
    w.stop("a");
    w.pass(20.0);
    assert_eq!(w.word("a"), "stuck");
    hand_over(&mut w);
    assert_eq!(w.event(Event::Terminate), ["20 exit"]);
}

#[test]
fn rubbish_is_an_error() {
    assert!(State::restore("{}").is_err());
    assert!(State::restore("").is_err());
}
