//! `checkproc beat` and `checkproc list`, as scripts use them.

use std::process::Command;

use crate::lab::{Lab, until};

fn json(lab: &Lab) -> serde_json::Value {
    serde_json::from_slice(&lab.run(&["list", "--json"]).stdout).unwrap()
}

#[test]
fn a_script_beats_under_its_own_pid() {
    let lab = Lab::new();
    let program = env!("CARGO_BIN_EXE_checkproc");
    let script = format!(
        "{program} beat nightly --heartbeat 5m && {program} beat nightly && echo $$ && read -r wait"
    );
    let mut child = Command::new("bash")
        .args(["-c", &script])
        .env("PROCCTL_TABLE", &lab.suffix)
        .env_remove("PROCCTL_SLOT")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    until("it has beaten twice", || {
        lab.table.rows().iter().any(|row| row.beats == 2)
    });
    let list = json(&lab);
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(
        (&list[0]["name"], &list[0]["pid"]),
        (&"nightly".into(), &child.id().into())
    );
    assert_eq!(list[0]["heartbeat"], 300.0);
    let text = String::from_utf8(lab.run(&["list"]).stdout).unwrap();
    assert!(
        text.starts_with("JOB") && text.contains("nightly") && text.contains("300s"),
        "{text}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn in_a_run_of_procctl_the_given_slot_beats() {
    let mut lab = Lab::new();
    let job = lab.job("job", 60_000, "sleep 1000");
    let (row, (index, generation)) = (job.slot.row().unwrap(), job.slot.handle());
    let beat = |run: u64| {
        lab.program(&["beat", "whatever"])
            .env("PROCCTL_SLOT", format!("{index}:{generation}"))
            .env("PROCCTL_RUN", run.to_string())
            .status()
            .unwrap()
    };
    assert!(beat(row.run).success());
    assert_eq!(job.slot.row().unwrap().beats, 1);
    assert_eq!(lab.table.rows().len(), 1);
    assert!(
        beat(row.run + 1).success(),
        "a slot of another run is not ours"
    );
    assert_eq!(job.slot.row().unwrap().beats, 1);
    assert_eq!(
        lab.table.rows().len(),
        2,
        "so the caller has one of its own"
    );
}

#[test]
fn wrong_calls_are_told_so() {
    let lab = Lab::new();
    for (arguments, told) in [
        (&["beat", "a b"][..], "cannot name a slot"),
        (&["beat", "a", "--pid", "1"], "no process 1"),
        (&["beat", "a", "--heartbeat", "soon"], "not an interval"),
        (&["--every", "0s"], "above zero"),
    ] {
        let output = lab.run(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && text.contains(told),
            "{arguments:?}: {text}"
        );
    }
    assert!(lab.run(&["list"]).status.success());
    assert!(
        String::from_utf8_lossy(&lab.run(&["completions", "bash"]).stdout).contains("checkproc")
    );
    assert!(String::from_utf8_lossy(&lab.run(&["man"]).stdout).contains(".TH checkproc"));
}
