//! Jobs that hang, each in its own way, are found in time, die with their whole tree, and run again; nobody else is touched.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::lab::{Lab, PATIENCE, alive, signal, wait_for};

/// Heartbeat of the jobs that hang.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// From the last beat to the end of the tree: heartbeat, 1.5 s to find it, 2 s of grace; and something for a busy machine.
const DEADLINE: Duration = Duration::from_millis(2_000 + 1_500 + 2_000 + 1_500);

/// A job that beats by its output as long as the file `go` is there, with a grandchild in a session of its own.
fn worker(lab: &Lab, name: &str, hang: &str) {
    let script = lab.script(
        &format!("{name}.sh"),
        &format!(
            "setsid sleep 1000 & echo $! > {home}/{name}.grandchild\n\
             while [ -e {home}/{name}.go ]; do echo alive; sleep 0.2; done\n{hang}",
            home = lab.path("").display()
        ),
    );
    lab.write(&format!("{name}.go"), "");
    lab.job(
        name,
        &format!(r#"<exec name="{name}" beat="output" heartbeat="2s" backoff="100ms"><command>{}</command></exec>"#, script.display()),
    );
}

/// Lets the job hang and checks its end and its new beginning.
fn hangs_and_comes_back(lab: &Lab, name: &str, hang: impl FnOnce(u32)) {
    let pid = lab.running(name);
    let grandchild = wait_for("the grandchild's pid is known", PATIENCE, || {
        lab.lines(&format!("{name}.grandchild"))
            .first()?
            .parse::<u32>()
            .ok()
            .filter(|pid| alive(*pid))
    });
    let begun = Instant::now();
    hang(pid);
    wait_for(
        &format!("{name} and its grandchild are dead"),
        DEADLINE,
        || (!alive(pid) && !alive(grandchild)).then_some(()),
    );
    assert!(
        begun.elapsed() >= HEARTBEAT - Duration::from_millis(300),
        "{name} was killed before its heartbeat had passed"
    );
    lab.write(&format!("{name}.go"), "");
    let again = wait_for(&format!("{name} runs again"), PATIENCE, || {
        lab.pid(name).filter(|new| *new != pid && alive(*new))
    });
    assert_ne!(again, pid);
    let run = wait_for(
        &format!("{name} is in the history as hung"),
        PATIENCE,
        || {
            lab.history(name)
                .into_iter()
                .find(|run| run["result"] == "hung")
        },
    );
    let evidence = run["evidence"]
        .as_str()
        .expect("the history links the evidence")
        .to_owned();
    let text = std::fs::read_to_string(Path::new(&evidence)).expect("the evidence is there");
    for part in ["state", "wchan", "alive"] {
        assert!(
            text.to_lowercase().contains(part),
            "the evidence says nothing of {part}:\n{text}"
        );
    }
}

#[test]
fn hung_jobs_die_with_their_tree_and_run_again_beside_a_hundred_healthy_ones() {
    let mut lab = Lab::new();
    for n in 0..100 {
        lab.job(
            &format!("healthy{n}"),
            &format!(r#"<exec name="healthy{n}" beat="output" heartbeat="15s"><command>sh -c "while :; do echo alive; sleep 2; done"</command></exec>"#),
        );
    }
    let home = lab.path("").display().to_string();
    worker(&lab, "stopped", "exit 1");
    worker(&lab, "loops", "while :; do :; done");
    worker(
        &lab,
        "waits",
        &format!("mkfifo {home}/nobody 2>/dev/null; read line < {home}/nobody"),
    );
    lab.supervise();
    let healthy: Vec<u32> = (0..100)
        .map(|n| lab.running(&format!("healthy{n}")))
        .collect();

    hangs_and_comes_back(&lab, "stopped", |pid| signal(pid, Signal::SIGSTOP));
    for name in ["loops", "waits"] {
        hangs_and_comes_back(&lab, name, |_| {
            std::fs::remove_file(lab.path(format!("{name}.go"))).expect("the file is there")
        });
    }
    for (n, pid) in healthy.into_iter().enumerate() {
        assert!(alive(pid), "healthy{n} was touched");
    }
}

#[test]
fn a_declared_step_of_twice_the_heartbeat_is_left_alone() {
    let mut lab = Lab::new();
    let program = crate::lab::programs().join("examples/stepper");
    lab.job(
        "steps",
        &format!(
            r#"<exec name="steps" beat="self" heartbeat="1s"><command>{} {}</command></exec>"#,
            program.display(),
            lab.path("steps.log").display()
        ),
    );
    lab.supervise();
    let pid = lab.running("steps");
    wait_for(
        "a step of two seconds has begun and ended three times",
        PATIENCE,
        || {
            (lab.lines("steps.log")
                .iter()
                .filter(|line| *line == "step done")
                .count()
                >= 3)
                .then_some(())
        },
    );
    assert!(alive(pid), "the job was killed within its step");
    assert_eq!(lab.pid("steps"), Some(pid));
}

#[test]
fn after_a_pause_of_the_watchdog_itself_nobody_healthy_is_killed() {
    let mut lab = Lab::new();
    let names: Vec<String> = (0..10).map(|n| format!("beats{n}")).collect();
    for name in &names {
        lab.job(
            name,
            &format!(r#"<exec name="{name}" beat="output" heartbeat="2s"><command>sh -c "while :; do echo alive; sleep 0.5; done"</command></exec>"#),
        );
    }
    lab.supervise();
    let pids: Vec<u32> = names.iter().map(|name| lab.running(name)).collect();
    let watchdog = watchdog(&lab);
    signal(watchdog, Signal::SIGSTOP);
    // the jobs stand still as well, as they would in a suspended machine, and wake a moment after the watchdog
    pids.iter().for_each(|pid| signal(*pid, Signal::SIGSTOP));
    let pause = Instant::now() + 3 * HEARTBEAT;
    wait_for("three heartbeats have passed", PATIENCE, || {
        (Instant::now() >= pause).then_some(())
    });
    signal(watchdog, Signal::SIGCONT);
    pids.iter().for_each(|pid| signal(*pid, Signal::SIGCONT));
    let calm = Instant::now() + HEARTBEAT + Duration::from_secs(3);
    wait_for("the grace period is over", PATIENCE, || {
        (Instant::now() >= calm).then_some(())
    });
    for (name, pid) in names.iter().zip(pids) {
        assert!(alive(pid), "{name} was killed though it was healthy");
    }
}

#[test]
fn the_watchdog_is_back_within_moments_after_its_own_death() {
    let mut lab = Lab::new();
    lab.job(
        "one",
        r#"<exec name="one"><command>sleep 1000</command></exec>"#,
    );
    lab.supervise();
    lab.running("one");
    for _ in 0..3 {
        let old = watchdog(&lab);
        let begun = Instant::now();
        signal(old, Signal::SIGKILL);
        wait_for("checkproc is back", Duration::from_secs(5), || {
            find_watchdog(&lab).filter(|pid| *pid != old)
        });
        assert!(
            begun.elapsed() < Duration::from_millis(500),
            "it took {:?}",
            begun.elapsed()
        );
    }
}

fn find_watchdog(lab: &Lab) -> Option<u32> {
    let supervisor = lab.supervisor();
    let children =
        std::fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children")).ok()?;
    children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .find(|pid: &u32| {
            std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
                line.split(|b| *b == 0)
                    .next()
                    .is_some_and(|name| name.ends_with(b"checkproc"))
            })
        })
}

fn watchdog(lab: &Lab) -> u32 {
    wait_for("checkproc runs", PATIENCE, || {
        find_watchdog(lab).filter(|pid| alive(*pid))
    })
}
