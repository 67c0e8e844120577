//! A recorder that outlives its supervisor, gives descriptors back, meets trouble, and leaves.

use std::fs;
use std::io::Write;
use std::time::Duration;

use procctl::history::History;
use procctl::recorder::message::{Attached, FromRecorder, ToRecorder};

use crate::played::{Played, alone, ended, until};

#[test]
fn descriptors_come_back() {
    if !alone("lives::descriptors_come_back") {
        return;
    }
    let mut played = Played::new();
    let output = played.announce(|_| {}, None);
    until("the recorder answers", || {
        played.link.send(&ToRecorder::Recall);
        played.link.flush().unwrap();
        played.hear(|said| matches!(said, FromRecorder::Kept { .. }).then_some(()));
        Some(())
    });
    let (said, descriptors) = played
        .said
        .iter()
        .find(|(said, _)| matches!(said, FromRecorder::Kept { .. }))
        .unwrap();
    let FromRecorder::Kept { run, ended, .. } = said else {
        panic!("{said:?}");
    };
    assert!(!ended);
    assert_eq!(run.attached, [Attached::Output]);
    assert_eq!(descriptors.len(), 1);
    drop(output);
    played.send(&ToRecorder::Quit);
}

#[test]
fn history_is_stored_and_a_broken_one_set_aside() {
    if !alone("lives::history_is_stored_and_a_broken_one_set_aside") {
        return;
    }
    let mut played = Played::new();
    let path = played.home.path().join("state/history.db");
    fs::write(&path, "no database").unwrap();
    let entry = serde_json::json!({
        "run": 7, "job": "a", "kind": "exec", "reason": "every", "pid": 12,
        "started": "2026-11-21T10:00:00Z", "ended": "2026-11-21T10:00:01Z", "duration_ms": 1000,
        "result": "failed", "exit": 3, "ended_by": {"code": 3}, "why": "exit code 3",
        "rows": 5, "bytes": 6, "peak_memory": null, "cpu_us": null, "evidence": null,
    });
    played.send(&ToRecorder::History { entry });
    let runs = until("the entry", || {
        let history = History::open(&path).ok()??;
        Some(history.runs(Some("a"), 10).ok()?).filter(|runs| !runs.is_empty())
    });
    assert_eq!(runs[0].why, "exit code 3");
    until("it says so", || {
        played.text("recorder").contains("set aside").then_some(())
    });
    played.send(&ToRecorder::Quit);
}

#[test]
fn trouble_is_told_and_passes() {
    if !alone("lives::trouble_is_told_and_passes") {
        return;
    }
    let mut played = Played::new();
    played.send(&ToRecorder::Recall);
    played.hear(|said| (*said == FromRecorder::KeptAll).then_some(()));
    let log = played.home.path().join("log");
    fs::remove_dir_all(&log).unwrap();
    let mut output = played.announce(|_| {}, None);
    output.write_all(b"lost\n").unwrap();
    played.hear(|said| match said {
        FromRecorder::Trouble { text: Some(text) } => {
            assert!(text.contains("cannot write logs in"), "{text}");
            Some(())
        }
        _ => None,
    });
    fs::create_dir(&log).unwrap();
    output.write_all(b"kept\n").unwrap();
    played.hear(|said| (*said == FromRecorder::Trouble { text: None }).then_some(()));
    let text = played.text("a");
    assert!(
        text.contains("1 lines before this could not be written\nkept\n"),
        "{text}"
    );
    played.send(&ToRecorder::Quit);
}

#[test]
fn nobody_left_means_leaving() {
    if !alone("lives::nobody_left_means_leaving") {
        return;
    }
    let mut played = Played::new();
    let output = played.announce(|_| {}, None);
    until("the run is known", || {
        (&output).write_all(b"x\n").unwrap();
        (!played.text("a").is_empty()).then_some(())
    });
    let recorder = played.die();
    // the pipe is open: it must stay for it
    std::thread::sleep(Duration::from_millis(300));
    assert!(ended(recorder).is_none());
    drop(output);
    // it has something to tell, so it waits; SIGTERM without a supervisor ends it
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(recorder),
        nix::sys::signal::SIGTERM,
    )
    .unwrap();
    until("it leaves", || ended(recorder));
}
