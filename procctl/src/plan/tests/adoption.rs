//! After `kill -9` of procctl: runs that live on, runs that ended, starts that were missed.

use super::*;
use crate::plan::event::FoundEnded;
use crate::plan::outcome::Word;

fn found(job: &str, exit: Exit, words: LastWords) -> Event {
    Event::FoundEnded(FoundEnded {
        run: 77,
        job: job.into(),
        pid: 5,
        started: utc("2026-05-01T11:00:00Z"),
        ended: Some(utc("2026-05-01T11:59:00Z")),
        exit,
        words,
        usage: Usage::default(),
    })
}

#[test]
fn no_second_copy_of_what_lives() {
    let jobs = [
        exec("a", ""),
        exec("b", "every='10s'"),
        exec("c", ""),
        exec("d", "every='10s'"),
    ];
    let mut w = World::with(&jobs);
    w.exit("d", 0);
    let run = w.run("a");
    let (mut w, orders) = w.crash(&jobs, 1.0);
    assert_eq!(orders, ["1 start d every"], "a short interval begins anew");
    assert_eq!(w.run("a"), run);
    assert_eq!(w.exit("b", 0).len(), 0);
    assert_eq!(w.pass(10.0), ["11 start b every"]);
    let last = w.run("b");
    assert!(last > run);
}

#[test]
fn nothing_starts_before_all_is_known() {
    let mut w = World::unbooted("");
    assert!(
        w.load_all(&[
            exec("a", ""),
            exec("b", "every='1s'"),
            exec("c", "cron='* * * * * *'")
        ])
        .is_empty()
    );
    assert!(w.pass(100.0).is_empty());
    assert_eq!(w.event(Event::Booted).len(), 2);
    assert!(w.event(Event::Booted).is_empty());
}

#[test]
fn adopted_runs_are_under_all_rules() {
    let jobs = [exec("a", "max-run='1m' stop-grace='3s'")];
    let mut w = World::with(&jobs);
    w.pass(30.0);
    let (mut w, _) = w.crash(&jobs, 10.0);
    assert_eq!(w.pass(30.0), ["60 term a", "63 kill a"]);
    w.end("a", Exit::Unknown, LastWords::default(), false);
    assert_eq!(w.results(), [("a".into(), Outcome::TimedOut)]);
}

#[test]
fn runs_without_a_file_are_stopped_but_a_broken_file_saves_them() {
    let jobs = [exec("a", ""), exec("b", "")];
    let w = World::with(&jobs);
    let (mut w, orders) = w.crash(&[], 1.0);
    assert_eq!(orders, ["1 term a", "1 term b"]);
    w.exit("a", 0);
    w.exit("b", 0);
    assert!(w.status().jobs.is_empty());

    let mut w = World::unbooted("");
    let text = "no".to_string();
    w.load(vec![file(
        "/jobs/a.xml",
        Content::Broken { name: None, text },
    )]);
    for (run, name) in [(1, "a"), (2, "b")] {
        w.runs.insert(run, name.into());
        let (started, started_mono) = (w.now.wall, w.now.mono);
        let job = name.to_string();
        let pid = 5;
        w.event(Event::Adopted(Adopted {
            run,
            job,
            pid,
            started,
            started_mono,
        }));
    }
    w.event(Event::Booted);
    let row = w
        .status()
        .jobs
        .into_iter()
        .find(|row| row.run == Some(1))
        .unwrap();
    assert_eq!(row.problem.as_deref(), Some("runs without a valid file"));
    assert!(
        w.load(vec![valid(&exec("a", ""))]).is_empty(),
        "mended: not restarted"
    );
    assert_eq!(
        w.status()
            .jobs
            .iter()
            .filter(|row| &*row.job == "a")
            .count(),
        1
    );
    w.exit("a", 1);
    assert!(w.pass(2.0)[0].ends_with("start a retry"));
}

#[test]
fn a_second_run_of_a_job_is_not_taken_over() {
    let mut w = World::unbooted("");
    w.load_all(&[exec("a", "")]);
    let adopted = |run| {
        Event::Adopted(Adopted {
            run,
            job: "a".into(),
            pid: 5,
            started: utc(BEGIN),
            started_mono: Duration::from_secs(4000),
        })
    };
    assert!(w.event(adopted(1)).is_empty());
    assert_eq!(w.event(adopted(2)), ["0 kill ?"]);
    assert_eq!(w.run("a"), 1);
}

#[test]
fn what_ended_unseen_is_accounted_for() {
    let said = |word| LastWords {
        word: Some(word),
        rows: 9,
        ..LastWords::default()
    };
    for (exit, words, outcome) in [
        (Exit::Code(0), LastWords::default(), Outcome::Done),
        (Exit::Unknown, said(Word::Done), Outcome::Done),
        (
            Exit::Unknown,
            said(Word::Failed { exit: 65 }),
            Outcome::Failed { exit: 65 },
        ),
        (Exit::Unknown, LastWords::default(), Outcome::Unknown),
    ] {
        let mut w = World::unbooted("");
        w.load_all(&[sweep("a", "every='1h'"), exec("b", "after='a'")]);
        w.event(found("a", exit, words));
        let entry = &w.entries[0];
        assert_eq!(
            (entry.outcome, entry.run, entry.rows),
            (outcome, 77, words.rows)
        );
        assert_eq!(entry.duration_ms, 59 * 60_000);
        let orders = w.event(Event::Booted);
        let after = if outcome == Outcome::Done { 1 } else { 0 };
        assert_eq!(orders.len(), after, "{orders:?}");
        assert_eq!(w.row("a").next, Some(utc("2026-05-01T12:59:00Z")));
    }
    let mut w = World::unbooted("");
    w.load_all(&[exec("k", "")]);
    let hung = LastWords {
        hung: true,
        ..LastWords::default()
    };
    assert!(w.event(found("k", Exit::Unknown, hung))[0].contains("alarm hung k"));
    assert_eq!(w.event(Event::Booted), ["0 start k kept"]);
}

#[test]
fn long_intervals_are_remembered() {
    let jobs = [exec("a", "every='1h'"), exec("b", "every='10s'")];
    let mut w = World::with(&jobs);
    w.pass(10.0);
    w.exit("a", 0);
    w.exit("b", 0);
    let (mut w, orders) = w.crash(&jobs, 600.0);
    assert_eq!(orders, ["610 start b every"]);
    assert_eq!(w.pass(3000.0), ["3610 start a every"]);
    let (_, orders) = w.crash(&jobs, 7200.0);
    assert!(orders.is_empty(), "both were adopted: {orders:?}");
}

#[test]
fn cron_times_while_down_follow_missed() {
    let jobs = [
        exec("skip", "cron='0 */10 * * * *'"),
        exec("once", "cron='0 */10 * * * *' missed='once'"),
        exec("none", "cron='0 0 0 * * *' missed='once'"),
    ];
    let w = World::with(&jobs);
    let (mut w, orders) = w.crash(&jobs, 1900.0);
    let text = "3 cron times missed since 2026-05-01 12:10:00 UTC";
    assert_eq!(
        orders,
        [
            format!("1900 alarm missed once: {text}: one run makes up for it"),
            "1900 start once missed".to_string(),
            format!("1900 alarm missed skip: {text}: left out"),
        ]
    );
    assert_eq!(w.row("skip").skipped, 3);
    w.exit("once", 0);
    assert_eq!(w.row("once").next, Some(utc("2026-05-01T12:40:00Z")));
    // accounted for: a second crash has nothing to say
    let (_, orders) = w.crash(&jobs, 1.0);
    assert!(orders.is_empty(), "{orders:?}");
}

#[test]
fn a_cron_time_is_not_run_twice_over_a_crash() {
    let jobs = [exec("a", "cron='0 1 * * * *' missed='once'")];
    let mut w = World::with(&jobs);
    w.pass(60.0);
    w.exit("a", 0);
    let (w, orders) = w.crash(&jobs, 1.0);
    assert!(orders.is_empty(), "{orders:?}");
    // killed in the splay: the start did not happen, and is made up for
    drop(w);
    let jobs = [exec("a", "cron='0 1 * * * *' missed='once' splay='10m'")];
    let mut w = World::with(&jobs);
    w.pass(61.0);
    assert!(w.live("a").is_none());
    let (mut w, orders) = w.crash(&jobs, 1.0);
    assert!(
        orders[0].contains("alarm missed a: 1 cron time missed"),
        "{orders:?}"
    );
    assert!(w.pass(600.0)[0].ends_with("start a missed"));
}

#[test]
fn a_boot_ends_what_operators_stopped() {
    let jobs = [exec("a", ""), exec("b", "cron='0 * * * * *' missed='once'")];
    let mut w = World::with(&jobs);
    w.stop("a");
    w.exit("a", 0);
    w.stop("b");
    let mut next = World::unbooted(&w.memory);
    next.state = State::new(Memory::parse(&w.memory), "boot-2", 1, next.now);
    next.load_all(&jobs);
    next.pass(3000.0);
    assert_eq!(next.event(Event::Booted)[0], "3000 start a kept");
}

#[test]
fn memory_of_lost_jobs_fades() {
    let jobs = [exec("a", "cron='* * * * *'")];
    let w = World::with(&jobs);
    assert!(!w.state.memory().is_empty());
    let (next, _) = w.crash(&[], 1.0);
    assert_eq!(next.state.memory(), "");
}
