//! With a supervisor, which the test plays.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use procctl::control::server::{self, Said};
use procctl::plan::request::JobAnswer;
use procctl::plan::status::{Row, Status, Word};
use procctl::plan::{Answer, Request};

use crate::home::{Home, PATIENCE};

/// A supervisor that knows two jobs; answers `count` requests and returns them.
fn play(home: &Home, count: usize) -> std::thread::JoinHandle<Vec<Request>> {
    let listener = server::listen(&home.path("run")).unwrap();
    std::thread::spawn(move || {
        let mut clients = Vec::new();
        let mut heard = Vec::new();
        let end = std::time::Instant::now() + PATIENCE;
        while heard.len() < count && std::time::Instant::now() < end {
            clients.extend(server::accept(listener.as_fd()).unwrap());
            clients.retain_mut(
                |client: &mut server::Client| match client.readable::<Request>() {
                    Ok(said) => {
                        for said in said {
                            let Said::Request(request) = said else {
                                continue;
                            };
                            client.answer(&answer(&request)).unwrap();
                            heard.push(request);
                        }
                        true
                    }
                    Err(_) => false,
                },
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        heard
    })
}

fn answer(request: &Request) -> Answer {
    let now = chrono::Utc::now();
    let row = |job: &str, state: Word| Row {
        job: job.into(),
        kind: "exec".into(),
        file: PathBuf::from(format!("/x/jobs/{job}.xml")).into(),
        state,
        run: (state == Word::Running).then_some(7),
        pid: (state == Word::Running).then_some(4711),
        since: now - chrono::TimeDelta::seconds(125),
        schedule: "kept".into(),
        last: None,
        next: None,
        starts: 3,
        failures: 0,
        skipped: 0,
        problem: None,
        says: None,
        beat_age: Some(0.25),
        beats: Some(12),
        rows: Some(26_115),
        bytes: Some(3_565_200),
        phase: Some("loading \u{1b}[31mW_1.xml".into()),
        guarantee: Some("cgroup".into()),
    };
    match request {
        Request::Status { job: Some(job) } if job != "load" => Answer::Refused {
            text: "no such job".into(),
        },
        Request::Status { job } => {
            let mut jobs = vec![row("load", Word::Running), row("sweep", Word::Waiting)];
            jobs.retain(|row| job.as_deref().is_none_or(|job| *row.job == *job));
            Answer::Status(Status {
                at: now,
                pid: 99,
                since: now - chrono::TimeDelta::hours(2),
                stopping: false,
                trouble: None,
                jobs,
            })
        }
        Request::Trigger { jobs, .. } => Answer::Jobs {
            jobs: jobs
                .iter()
                .map(|job| JobAnswer {
                    job: job.clone(),
                    ok: job == "load",
                    text: if job == "load" {
                        "running, pid 1"
                    } else {
                        "no such job"
                    }
                    .into(),
                })
                .collect(),
        },
        _ => Answer::Done {
            text: "done".into(),
        },
    }
}

#[test]
fn status_is_aligned_and_clean() {
    let home = Home::new();
    let supervisor = play(&home, 4);
    let told = home.run(&["status"]);
    assert_eq!((told.code, told.err.as_str()), (0, ""), "{told:?}");
    let lines: Vec<&str> = told.out.lines().collect();
    assert_eq!(
        lines[0],
        "procctl 99 for 2h00m, 2 jobs: 1 running, 1 waiting"
    );
    assert_eq!(
        lines[2],
        "JOB    STATE     PID  SINCE  BEAT    ROWS  BYTES  LAST  NEXT  NOTE"
    );
    assert_eq!(
        lines[3],
        "load   running  4711  2m05s  0.2s  26 115   3.4M  -     -     loading [31mW_1.xml"
    );
    let told = home.run(&["status", "load"]);
    assert!(told.out.contains("tree kill  cgroup\n"), "{}", told.out);
    assert!(
        told.out
            .contains("so far     26 115 rows, 3 565 200 bytes\n"),
        "{}",
        told.out
    );
    let told = home.run(&["status", "laod"]);
    assert_eq!(told.code, 64, "{told:?}");
    assert!(told.err.contains("did you mean load?"), "{told:?}");
    supervisor.join().unwrap();
}

#[test]
fn a_job_that_is_not_there_is_named_and_the_code_is_64() {
    let home = Home::new();
    let supervisor = play(&home, 3);
    let told = home.run(&["trigger", "load"]);
    assert_eq!(
        (told.code, told.out.as_str()),
        (0, "load  running, pid 1\n"),
        "{told:?}"
    );
    let told = home.run(&["trigger", "load", "sweeep"]);
    assert_eq!(told.code, 64, "{told:?}");
    assert_eq!(told.out, "load    running, pid 1\nsweeep  no such job\n");
    assert!(told.err.contains("sweeep; did you mean sweep?"), "{told:?}");
    let heard = supervisor.join().unwrap();
    assert_eq!(
        heard[0],
        Request::Trigger {
            jobs: vec!["load".into()],
            wait: false
        }
    );
}
