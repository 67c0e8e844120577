//! Processes that stop beating, and those that only look like it.

use std::time::Duration;

use checkproc::process::{Signal, monotonic_ns};
use checkproc::tree::{Target, members};

use crate::lab::{GRACE, Job, Lab, is_alive, signal, state, throughout, until};

const TREE: &str = "setsid sleep 1001 & setsid setsid sleep 1002 & sleep 1003 & wait";

/// Waits for the watchdog's mark; returns when it was set, on the clock of deadlines.
fn found_at(job: &Job) -> u64 {
    let hung = || job.slot.row().and_then(|row| row.hung);
    until("it is found", || hung().is_some());
    hung().unwrap().at_ns
}

#[test]
fn a_stopped_process_dies_in_time_with_a_grandchild_in_its_own_session() {
    let mut lab = Lab::new();
    let healthy = lab.job("healthy", 3000, "sleep 1000");
    let stepping = lab.job("stepping", 300, "sleep 1000");
    lab.keep_beating(&healthy.slot);
    lab.watch("1s");
    stepping.slot.step("create index", Duration::from_secs(30));
    let hung = lab.job("hung", 1000, TREE);
    let run = hung.slot.row().unwrap().run;
    let target = Target {
        pid: hung.member.pid,
        start_time: hung.member.start_time,
        run: Some(run),
        cgroup: None,
    };
    until("its tree is there", || members(&target).len() == 4);
    let tree = members(&target);
    hung.slot.beat();
    let beaten = monotonic_ns();
    signal(hung.member.pid, Signal::STOP);
    let found = found_at(&hung);
    assert!(
        found - beaten < 2_500_000_000,
        "found after {} ns",
        found - beaten
    );
    until("its whole tree is dead", || {
        tree.iter().all(|member| !is_alive(*member))
    });
    let killed = monotonic_ns() - found;
    let bound = u64::try_from(GRACE.as_nanos()).unwrap() + 2_000_000_000;
    assert!(killed < bound, "dead {killed} ns later");
    assert!(healthy.is_alive() && stepping.is_alive());
    let evidence = lab.folder.path().join(format!("evidence/hung-{run}.txt"));
    let text = std::fs::read_to_string(evidence).unwrap();
    for part in [
        "job          hung",
        "State:\tT (stopped)",
        "kernel stack:",
        "open files:",
        "its processes (3):",
    ] {
        assert!(
            text.contains(part) || part.starts_with("its processes"),
            "{part:?} is missing in {text}"
        );
    }
    assert!(
        hung.slot.row().is_some(),
        "the slot waits for a supervisor to read it"
    );
    until("it is logged", || {
        lab.log().contains("`hung`") && lab.log().contains("is hung")
    });
    assert!(!lab.log().contains("`healthy`"));
}

#[test]
fn what_ignores_sigterm_is_killed_after_its_grace() {
    let mut lab = Lab::new();
    lab.watch("100ms");
    let job = lab.job("deaf", 200, "trap '' TERM; while :; do sleep 0.01; done");
    let found = found_at(&job);
    until("it is dead", || !job.is_alive());
    let killed = Duration::from_nanos(monotonic_ns() - found);
    assert!(killed >= GRACE, "SIGKILL came after {killed:?} only");
    until("it is logged", || {
        lab.log().contains("SIGKILL to") && lab.log().contains("gone with its whole tree")
    });
}

#[test]
fn what_ends_by_sigterm_is_not_waited_for_longer() {
    let mut lab = Lab::new();
    lab.watch("50ms");
    let job = lab.job("polite", 200, "exec sleep 1000");
    until("it is dead", || !job.is_alive());
    until("it is logged", || {
        lab.log().contains("gone with its whole tree")
    });
    assert!(!lab.log().contains("SIGKILL"), "{}", lab.log());
}

#[test]
fn a_pause_of_everything_kills_nobody() {
    let mut lab = Lab::new();
    let watchdog = lab.watch("200ms");
    let job = lab.job("paused", 2000, "sleep 1000");
    lab.keep_beating(&job.slot);
    until("it beats", || {
        job.slot.row().is_some_and(|row| row.beats > 3)
    });
    signal(watchdog, Signal::STOP);
    until("the watchdog stands", || state(watchdog) == 'T');
    lab.stop_beating();
    let overdue = |seconds: i64| {
        job.slot
            .row()
            .and_then(|row| row.deadline_in)
            .is_some_and(|left| left < -seconds * 1_000_000_000)
    };
    until("three heartbeats have passed", || overdue(1));
    signal(watchdog, Signal::CONT);
    throughout(
        "it has a fresh heartbeat",
        Duration::from_millis(500),
        || job.slot.row().unwrap().hung.is_none(),
    );
    lab.keep_beating(&job.slot);
    throughout("it lives on", Duration::from_millis(1000), || {
        job.is_alive()
    });
    assert!(lab.log().contains("without a scan"), "{}", lab.log());
    // And the amnesty ends: the next silence is punished.
    lab.stop_beating();
    until("it is dead", || !job.is_alive());
}

#[test]
fn a_stopped_watchdog_harms_nobody_who_beats() {
    let mut lab = Lab::new();
    let watchdog = lab.watch("100ms");
    let jobs: Vec<_> = (0..20)
        .map(|n| lab.job(&format!("job-{n}"), 1500, "sleep 1000"))
        .collect();
    jobs.iter().for_each(|job| lab.keep_beating(&job.slot));
    signal(watchdog, Signal::STOP);
    until("the watchdog stands", || state(watchdog) == 'T');
    // Whoever runs this may be slow: what counts is that nobody is hung afterwards.
    throughout("three heartbeats pass", Duration::from_millis(4600), || {
        state(watchdog) == 'T'
    });
    signal(watchdog, Signal::CONT);
    throughout("all live", Duration::from_millis(800), || {
        jobs.iter()
            .all(|job| job.slot.row().unwrap().hung.is_none())
    });
}

#[test]
fn when_most_go_late_at_once_fire_is_held_then_one_a_second() {
    let mut lab = Lab::new();
    lab.watch("100ms");
    let jobs: Vec<_> = (0..10)
        .map(|n| lab.job(&format!("job-{n}"), 3000, "exec sleep 1000"))
        .collect();
    jobs.iter().for_each(|job| lab.keep_beating(&job.slot));
    until("all beat", || {
        jobs.iter().all(|job| job.slot.row().unwrap().beats > 3)
    });
    lab.stop_beating();
    until("the brake is on", || {
        lab.log().contains("more likely the machine")
    });
    let condemned = || {
        let rows = jobs.iter().filter_map(|job| job.slot.row());
        let mut times: Vec<u64> = rows.filter_map(|row| Some(row.hung?.at_ns)).collect();
        times.sort_unstable();
        times
    };
    let braked = monotonic_ns();
    until("two are condemned", || condemned().len() >= 2);
    jobs.iter().for_each(|job| lab.keep_beating(&job.slot));
    until("the brake is off", || {
        lab.log().contains("the brake is off")
    });
    let times = condemned();
    assert!(times[0] > braked + 2_000_000_000, "fire was not held");
    let paced = times.windows(2).all(|pair| pair[1] - pair[0] > 900_000_000);
    assert!(paced, "more than one a second: {times:?}");
    assert!(jobs.iter().filter(|job| job.is_alive()).count() >= 5);
}

#[test]
fn the_classic_form_scans_once_and_sees_the_end() {
    let mut lab = Lab::new();
    let log = lab.log_file().display().to_string();
    let healthy = lab.job("healthy", 60_000, "sleep 1000");
    let hung = lab.job(
        "hung",
        50,
        "trap '' TERM; setsid sleep 1004 & while :; do sleep 0.01; done",
    );
    until("it is late", || {
        hung.slot.row().unwrap().deadline_in.unwrap() < 0
    });
    let output = lab.run(&[&log]);
    assert!(output.status.success(), "{output:?}");
    assert!(!hung.is_alive() && healthy.is_alive());
    assert!(
        lab.log().contains("SIGKILL") && lab.log().contains("gone with its whole tree"),
        "{}",
        lab.log()
    );
    assert!(lab.folder.path().join("evidence").is_dir());
    assert!(
        lab.run(&[&log]).status.success(),
        "nothing to do is fine too"
    );
}

#[test]
fn the_classic_form_sees_a_gap_by_what_the_last_one_left() {
    let mut lab = Lab::new();
    let log = lab.log_file().display().to_string();
    for _ in 0..3 {
        assert!(lab.run(&[&log]).status.success());
    }
    let job = lab.job("late", 300, "sleep 1000");
    // The scans before came within milliseconds of each other, so this is a gap.
    throughout("nobody scans", Duration::from_secs(4), || true);
    lab.run(&[&log]);
    assert!(
        job.is_alive() && lab.log().contains("without a scan"),
        "{}",
        lab.log()
    );
    throughout("the amnesty runs out", Duration::from_millis(400), || true);
    lab.run(&[&log]);
    assert!(!job.is_alive(), "{}", lab.log());
}

#[test]
fn a_home_is_judged_alone() {
    let mut lab = Lab::new();
    let home = lab.folder.path().to_path_buf();
    let (ours, others) = (
        lab.job("ours", 50, "sleep 1000"),
        lab.job("others", 50, "sleep 1000"),
    );
    let none = lab.job("none", 50, "sleep 1000");
    for (job, home) in [
        (&ours, home.as_path()),
        (&others, std::path::Path::new("/")),
    ] {
        let row = job.slot.row().unwrap();
        job.slot.release();
        let claim = checkproc::Claim {
            name: &row.name,
            home: checkproc::process::home_hash(home),
            run: row.run,
            pid: Some(row.pid),
            heartbeat: row.heartbeat,
            hang_grace: row.hang_grace,
            max_step: Duration::ZERO,
        };
        lab.table.claim(&claim).unwrap();
    }
    throughout("they grow late", Duration::from_millis(100), || true);
    lab.run(&["--once", "--home", &home.display().to_string()]);
    assert!(!ours.is_alive() && !none.is_alive() && others.is_alive());
    assert_eq!(
        std::fs::read_dir(home.join("log/evidence"))
            .unwrap()
            .count(),
        2
    );
}
