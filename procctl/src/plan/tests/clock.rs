//! The wall clock is stepped, the machine sleeps.

use super::*;

const DAY: i64 = 86_400;

fn world() -> World {
    World::with(&[
        exec("kept", ""),
        exec("every", "every='10m'"),
        exec("minute", "cron='0 * * * * *'"),
        exec("night", "cron='0 0 3 * * *'"),
        exec("once", "cron='0 0 3 * * *' missed='once'"),
    ])
}

#[test]
fn a_step_forward_stops_nothing_and_storms_nothing() {
    let mut w = world();
    let orders = w.step_wall(DAY);
    assert_eq!(orders.len(), 4, "{orders:?}");
    assert!(
        orders
            .iter()
            .any(|o| o.contains("missed minute: 1000 or more cron times missed"))
    );
    assert!(
        orders
            .iter()
            .any(|o| o.contains("missed night: 1 cron time missed") && o.ends_with("left out"))
    );
    assert!(orders.iter().any(|o| o.ends_with("start once missed")));
    assert_eq!(w.word("kept"), "running");
    w.exit("every", 0);
    let orders = w.pass(600.0);
    assert_eq!(
        orders.iter().filter(|o| o.contains("start minute")).count(),
        1
    );
    assert!(
        orders.iter().any(|o| o == "600 start every every"),
        "{orders:?}"
    );
}

#[test]
fn a_step_back_runs_nothing_again() {
    let mut w = world();
    let mut starts = 0;
    for _ in 0..60 {
        starts += w
            .pass(60.0)
            .iter()
            .filter(|o| o.contains("start minute"))
            .count();
        w.exit("minute", 0);
    }
    assert_eq!(starts, 60);
    assert!(w.step_wall(-1800).is_empty());
    assert!(
        w.pass(1799.0).is_empty(),
        "this half hour was lived through"
    );
    assert!(w.pass(61.0)[0].ends_with("start minute cron"));
}

#[test]
fn back_by_a_day_and_forth_again() {
    let mut w = world();
    assert!(w.step_wall(-DAY).is_empty());
    // yesterday's times were never lived through by this procctl
    let orders = w.pass(60.0);
    assert_eq!(orders, ["60 start minute cron"]);
    let orders = w.step_wall(DAY);
    assert!(
        !orders.iter().any(|o| o.contains("start minute")),
        "{orders:?}"
    );
    assert!(w.live("kept").is_some());
    assert!(w.state.runs.len() <= 4);
}

#[test]
fn forth_by_a_day_and_set_right_again() {
    let mut w = World::with(&[
        exec("night", "cron='0 0 3 * * *'"),
        exec("hour", "cron='0 0 * * * *'"),
    ]);
    w.step_wall(DAY);
    w.pass(7200.0);
    w.exit("hour", 0);
    w.step_wall(-DAY);
    assert_eq!(
        w.row("night").next,
        Some(utc("2026-05-02T03:00:00Z")),
        "the night still comes"
    );
    assert_eq!(w.row("hour").next, Some(utc("2026-05-01T15:00:00Z")));
    let mut starts = Vec::new();
    for _ in 0..30 {
        starts.extend(w.pass(3600.0));
        for name in ["hour", "night"] {
            if w.live(name).is_some() {
                w.exit(name, 0);
            }
        }
    }
    let hours = starts.iter().filter(|o| o.contains("start hour")).count();
    // the two hours of the wrong day are not run again when they come
    assert_eq!(hours, 28, "{starts:?}");
}

#[test]
fn small_steps_are_nothing() {
    let mut w = World::with(&[exec("a", "cron='0 * * * * *'")]);
    assert_eq!(w.pass(60.0), ["60 start a cron"]);
    w.exit("a", 0);
    assert!(w.step_wall(-1).is_empty());
    assert!(w.step_wall(-30).is_empty());
    assert!(
        w.pass(31.0).is_empty(),
        "the same minute does not come again"
    );
    assert!(w.step_wall(30).is_empty());
    let orders = w.pass(31.0);
    assert_eq!(orders.len(), 1);
    w.exit("a", 0);
    let orders = w.step_wall(45);
    assert!(orders.len() <= 1, "{orders:?}");
    assert!(!orders.iter().any(|o| o.contains("alarm")));
}

#[test]
fn a_sleep_is_told_as_missed_times_and_due_intervals() {
    let mut w = World::with(&[
        exec("a", "cron='0 0 * * * *' missed='once'"),
        exec("b", "every='1h'"),
    ]);
    w.exit("b", 0);
    // both clocks go on while the machine sleeps
    w.now.mono += Duration::from_secs(3 * 3600 + 100);
    w.now.wall += TimeDelta::seconds(3 * 3600 + 100);
    let orders = w.event(Event::Due);
    assert_eq!(orders[0], "10900 start b every");
    assert!(orders[1].contains("alarm missed a: 3 cron times"));
    assert_eq!(orders[2], "10900 start a missed");
}

#[test]
fn late_is_not_missed() {
    let mut w = World::with(&[exec("a", "cron='* * * * * *'")]);
    w.now.mono += Duration::from_secs(20);
    w.now.wall += TimeDelta::seconds(20);
    assert_eq!(
        w.event(Event::Due),
        ["20 start a cron"],
        "once for all of them"
    );
    assert_eq!(w.row("a").next, Some(utc("2026-05-01T12:00:21Z")));
}

#[test]
fn a_clock_that_was_years_ahead_leaves_nothing_dead() {
    let mut w = World::unbooted("");
    w.now.wall = utc("2036-01-01T00:00:00Z");
    w.state = State::new(Memory::default(), "b", 1, w.now);
    let jobs = [exec("a", "cron='0 * * * * *'"), exec("b", "every='1h'")];
    w.load_all(&jobs);
    w.event(Event::Booted);
    w.pass(120.0);
    w.exit("a", 0);
    w.exit("b", 0);
    w.now.wall = utc(BEGIN);
    w.event(Event::ClockStepped);
    assert_eq!(w.pass(61.0).len(), 1);
    w.exit("a", 0);
    // also over a crash, whose memory is of the wrong time
    let memory = w.memory.clone();
    assert!(memory.contains("2036"));
    let (mut w, orders) = w.crash(&jobs, 1.0);
    assert_eq!(orders.len(), 1, "{orders:?}");
    assert_eq!(w.pass(60.0).len(), 1);
}

#[test]
fn windows_follow_the_wall_clock() {
    let mut w = World::with(&[exec("a", "window='14:00-15:00'")]);
    assert_eq!(w.row("a").next, Some(utc("2026-05-01T14:00:00Z")));
    w.step_wall(-3600);
    assert_eq!(w.row("a").next, Some(utc("2026-05-01T14:00:00Z")));
    assert_eq!(w.step_wall(3 * 3600 + 10), ["0 start a kept"]);
    let mut w = World::with(&[exec("a", "window='11:00-11:30'")]);
    assert_eq!(w.step_wall(-3600), ["0 start a kept"]);
}

#[test]
fn daylight_saving_runs_once() {
    let spring =
        job("<exec name='a' cron='0 30 2 * * *' tz='Europe/Berlin'><command>x</command></exec>");
    let mut w = World::unbooted("");
    w.now.wall = utc("2026-03-28T12:00:00Z");
    w.state = State::new(Memory::default(), "b", 1, w.now);
    w.load_all(&[spring]);
    w.event(Event::Booted);
    assert_eq!(
        w.row("a").next,
        Some(utc("2026-03-29T01:00:00Z")),
        "right after the gap"
    );
    assert_eq!(w.pass(86_400.0).len(), 1);
    w.exit("a", 0);
    w.now.wall = utc("2026-10-24T12:00:00Z");
    w.event(Event::ClockStepped);
    w.exit_if_live("a");
    assert_eq!(
        w.pass(86_400.0).len(),
        1,
        "half past two comes twice, the job once"
    );
}

impl World {
    fn exit_if_live(&mut self, name: &str) {
        if self.live(name).is_some() {
            self.exit(name, 0);
        }
    }
}
