//! Without a supervisor: what there is, misuse, checks, history, logs, completions.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;

use procctl::history::{Retention, Store};

use crate::home::{GOOD, Home, PATIENCE};

#[test]
fn without_a_supervisor_it_says_so_and_shows_what_there_is() {
    let home = Home::new();
    home.job("good.xml", GOOD);
    home.job(
        "bad.xml",
        "<exec every='soon'><command>true</command></exec>",
    );
    let told = home.run(&["status"]);
    assert_eq!(told.code, 69, "{told:?}");
    assert!(
        told.err.contains("no supervisor runs on this home"),
        "{told:?}"
    );
    let lines: Vec<&str> = told.out.lines().collect();
    assert!(lines[0].starts_with("JOB"), "{told:?}");
    assert!(
        lines[1].starts_with("bad") && lines[1].contains("broken"),
        "{told:?}"
    );
    assert!(lines[1].contains("bad.xml:1:7: "), "{told:?}");
    assert!(
        lines[2].starts_with("good") && lines[2].contains("stopped"),
        "{told:?}"
    );
    for words in [
        &["stop"][..],
        &["trigger", "good"],
        &["restart"],
        &["reload"],
    ] {
        let told = home.run(words);
        assert_eq!(
            (told.code, told.out.as_str()),
            (69, ""),
            "{words:?}: {told:?}"
        );
    }
    let json = home.run(&["status", "--json"]);
    assert_eq!(json.code, 69);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["pid"], 0);
    assert_eq!(json["jobs"][1]["job"], "good");
}

#[test]
fn misuse_is_64_and_names_what_was_meant() {
    let home = Home::new();
    home.job("weather-in.xml", GOOD);
    for words in [
        &["nonsense"][..],
        &["10"],
        &["trigger"],
        &["status", "--json", "--watch"],
    ] {
        let told = home.run(words);
        assert_eq!(
            (told.code, told.out.as_str()),
            (64, ""),
            "{words:?}: {told:?}"
        );
    }
    for words in [
        &["status", "weather"][..],
        &["history", "weather-im"],
        &["logs", "wether-in"],
    ] {
        let told = home.run(words);
        assert_eq!(told.code, 64, "{words:?}: {told:?}");
        assert!(
            told.err.contains("did you mean weather-in?"),
            "{words:?}: {told:?}"
        );
    }
    assert_eq!(home.run(&["logs", "../jobs/weather-in"]).code, 64);
    assert_eq!(home.run(&["--help"]).code, 0);
    assert_eq!(home.run(&["--version"]).code, 0);
}

#[test]
fn check_tells_all_problems_of_all_files() {
    let home = Home::new();
    home.job("good.xml", GOOD);
    let told = home.run(&["check"]);
    assert_eq!(
        (told.code, told.out.as_str()),
        (0, "1 file, no problems\n"),
        "{told:?}"
    );
    home.job(
        "b.xml",
        "<exec every='soon' evry='1s'>\n <comand>true</comand></exec>",
    );
    home.job("c.xml", "<exec>");
    fs::write(
        home.path("procctl.xml"),
        "<procctl>\n <pol name='x' size='1'/></procctl>",
    )
    .unwrap();
    let told = home.run(&["check"]);
    assert_eq!(told.code, 78, "{told:?}");
    for line in [
        "procctl.xml:2:2: unknown element <pol>",
        "jobs/b.xml:1:7: attribute `every`",
        "jobs/b.xml:1:20: unknown attribute `evry`",
        "jobs/b.xml:2:2: unknown element <comand>",
        "jobs/c.xml:1:",
    ] {
        let found = told.out.lines().any(|told| told.contains(line));
        assert!(found, "{line} in {told:#?}");
    }
    assert!(!told.out.contains("good.xml"), "{told:?}");
    let good = home.path("jobs/good.xml");
    let told = home.run(&["check", good.to_str().unwrap()]);
    assert_eq!(told.code, 0, "{told:?}");
}

/// An entry as the supervisor writes it.
fn entry(job: &str, run: u64, result: &str) -> String {
    let rest = r#""kind":"exec","reason":"every","pid":12,"started":"2026-11-21T10:00:00Z","ended":"2026-11-21T10:00:01.5Z",
        "duration_ms":1500,"ended_by":{"code":0},"why":"it was so","rows":26115,"bytes":3565200,
        "peak_memory":4194304,"cpu_us":null,"evidence":null"#;
    format!(r#"{{"job":"{job}","run":{run},"result":"{result}",{rest}}}"#)
}

#[test]
fn history_is_a_table_or_json_lines() {
    let home = Home::new();
    home.job("a.xml", GOOD);
    let told = home.run(&["history"]);
    assert_eq!(
        (told.code, told.out.as_str()),
        (0, "no runs yet\n"),
        "{told:?}"
    );
    assert_eq!(home.run(&["history", "a", "--json"]).out, "");
    let mut store = Store::new(
        home.path("state/history.db"),
        home.path("log"),
        Retention::default(),
    );
    let entries = (1..=30).map(|run| entry(if run % 2 == 0 { "b" } else { "a" }, run, "done"));
    store.add(entries.collect()).unwrap();
    let told = home.run(&["history", "-n", "1"]);
    assert_eq!(
        told.out,
        "STARTED              JOB  RESULT  TOOK    ROWS  BYTES  PEAK  WHY\n\
         2026-11-21 10:00:00  b    done    1.5s  26 115   3.4M  4.0M  it was so\n"
    );
    assert_eq!(home.run(&["history"]).out.lines().count(), 21);
    let told = home.run(&["history", "a", "--json"]);
    let runs: Vec<serde_json::Value> = told
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(runs.len(), 15);
    assert_eq!(runs[0]["run"], 29);
    assert_eq!(runs[0]["result"], "done");
    assert_eq!(runs[0]["rows"], 26_115);
}

#[test]
fn logs_are_followed_over_rotations() {
    let home = Home::new();
    let log = home.path("log/a.log");
    fs::write(&log, "1\n2\n3\n").unwrap();
    fs::write(home.path("log/a.log.1"), "0\n").unwrap();
    assert_eq!(home.run(&["logs", "a", "-n", "2"]).out, "2\n3\n");
    assert_eq!(home.run(&["logs", "a"]).out, "0\n1\n2\n3\n");
    let mut follower = home
        .command(&["logs", "a", "-f", "-n", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(follower.stdout.take().unwrap());
    let (send, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in out.lines() {
            send.send(line.unwrap()).unwrap();
        }
    });
    let next = || lines.recv_timeout(PATIENCE).unwrap();
    assert_eq!(next(), "3");
    let append = |path: &Path, text: &str| {
        let mut file = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    append(&log, "4\n");
    assert_eq!(next(), "4");
    for round in 5..10 {
        fs::rename(&log, home.path("log/a.log.1")).unwrap();
        append(&log, &format!("{round}\n"));
        assert_eq!(next(), round.to_string());
        append(&log, "more\n");
        assert_eq!(next(), "more");
    }
    follower.kill().unwrap();
    follower.wait().unwrap();
}

#[test]
fn completions_and_manual() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        let told = home.run(&["completions", shell]);
        assert_eq!(told.code, 0);
        assert!(told.out.contains("history"), "{shell}");
    }
    assert!(home.run(&["man"]).out.starts_with(".ie"));
}
