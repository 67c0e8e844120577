//! Alarms: one for each change of health.

use super::*;
use crate::recorder::message::Notice;

fn alarms(orders: &[String]) -> Vec<String> {
    let alarms = orders.iter().filter_map(|line| line.split_once(" alarm "));
    alarms
        .map(|(_, rest)| rest.split(':').next().unwrap().to_string())
        .collect()
}

#[test]
fn a_failing_job_alarms_once_and_when_it_is_well() {
    let mut w = World::with(&[exec("a", "every='1m'")]);
    let mut told = Vec::new();
    for code in [0, 1, 1, 3, 0, 0, 1] {
        told.push(alarms(&w.exit("a", code)));
        w.pass(100.0);
    }
    let expected: [&[&str]; 7] = [
        &[],
        &["failed a"],
        &[],
        &[],
        &["recovered a"],
        &[],
        &["failed a"],
    ];
    assert_eq!(told, expected);
}

#[test]
fn failing_and_hanging_are_told_apart() {
    let mut w = World::with(&[exec("a", "every='1m' heartbeat='5s'")]);
    w.pools(&[]);
    assert_eq!(alarms(&w.exit("a", 1)), ["failed a"]);
    w.pass(100.0);
    let run = w.run("a");
    let orders = w.hang("a");
    assert_eq!(alarms(&orders), ["hung a"]);
    let evidence = PathBuf::from(format!("/log/evidence/a-{run}.txt"));
    assert_eq!(w.entries.last().unwrap().evidence, Some(evidence));
    w.pass(100.0);
    assert!(alarms(&w.hang("a")).is_empty());
    w.pass(100.0);
    assert_eq!(alarms(&w.exit("a", 2)), ["failed a"]);
    w.pass(100.0);
    assert_eq!(alarms(&w.exit("a", 0)), ["recovered a"]);
}

#[test]
fn a_kept_job_is_well_when_it_lasts() {
    let mut w = World::with(&[exec("a", "backoff='1s..10s' heartbeat='8s'")]);
    assert_eq!(alarms(&w.hang("a")), ["hung a"]);
    let orders = w.pass(30.0);
    assert_eq!(alarms(&orders), ["recovered a"]);
    let at: f64 = orders[1].split(' ').next().unwrap().parse().unwrap();
    assert!(
        (17.0..=17.25).contains(&at),
        "two heartbeats after the start: {at}"
    );
    assert_eq!(w.state.next_wake(), Default::default());
    assert_eq!(w.row("a").failures, 0);
    // one that falls over again and again is not well in between
    let mut told = Vec::new();
    for _ in 0..20 {
        told.extend(alarms(&w.exit("a", 1)));
        told.extend(alarms(&w.pass(15.0)));
    }
    assert_eq!(told, ["failed a"]);
}

#[test]
fn what_is_ordered_alarms_nobody() {
    let mut w = World::with(&[
        exec("a", ""),
        exec("b", "cron='* * * * *' overlap='replace'"),
    ]);
    w.stop("a");
    assert!(alarms(&w.end("a", Exit::Signal(9), LastWords::default(), false)).is_empty());
    w.pass(60.0);
    assert!(alarms(&w.pass(60.0)).is_empty());
    assert!(alarms(&w.end("b", Exit::Signal(15), LastWords::default(), false)).is_empty());
}

#[test]
fn a_run_that_says_what_is_wrong_alarms_while_it_goes_on() {
    let mut w = World::with(&[exec("a", "backoff='1s..10s'")]);
    let run = w.run("a");
    let mut say = |text: &str| {
        let notice = Notice::Alarm(text.to_string());
        alarms(&w.event(Event::Noticed { run, notice }))
    };
    assert_eq!(say(""), [""; 0]);
    assert_eq!(say("the disk is full"), ["failed a"]);
    assert_eq!(say("the disk is full"), [""; 0]);
    assert_eq!(say("the centre is down"), ["failed a"]);
    assert_eq!(say(""), ["recovered a"]);
    assert_eq!(say(""), [""; 0]);
    assert_eq!(say("the disk is full"), ["failed a"]);
    // lasting alone makes it not well, and a failure is further news
    assert_eq!(alarms(&w.pass(100.0)), [""; 0]);
    assert_eq!(alarms(&w.exit("a", 1)), ["failed a"]);
    // the next run keeps silent: it is well when it has lasted
    assert_eq!(alarms(&w.pass(30.0)), ["recovered a"]);
}
