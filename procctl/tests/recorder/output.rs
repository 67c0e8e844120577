//! Lines of jobs on their way into logs, also over a slow disk.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use procctl::recorder::message::{Run, ToRecorder};

use crate::played::{PATIENCE, Played, alone, ended, run, until};

#[test]
fn lines_go_to_the_job_s_log() {
    if !alone("output::lines_go_to_the_job_s_log") {
        return;
    }
    let mut played = Played::new();
    let mut stamped = played.announce(|_| {}, None);
    let mut plain = played.announce(
        |kept| {
            kept.run = Run {
                stamped: false,
                ..run(2, "b")
            }
        },
        None,
    );
    stamped.write_all(b"2026 first\nsec").unwrap();
    plain.write_all(b"bare\n").unwrap();
    until("first lines", || {
        (played.text("a") == "2026 first\n").then_some(())
    });
    let bare = until("a bare line", || {
        Some(played.text("b")).filter(|text| text.ends_with("bare\n"))
    });
    let stamp = bare.strip_suffix(" bare\n").unwrap();
    chrono::NaiveDateTime::parse_from_str(stamp, "%Y-%m-%d %H:%M:%S%.3f").unwrap();
    // the rest comes with the end, also after the supervisor has forgotten the run
    played.send(&ToRecorder::Ended { run: 1 });
    stamped.write_all(b"ond").unwrap();
    drop(stamped);
    until("the last line", || {
        (played.text("a") == "2026 first\nsecond\n").then_some(())
    });
    played.send(&ToRecorder::Quit);
    let process = played.link.process().unwrap();
    until("it leaves", || ended(process));
}

#[test]
fn quitting_reads_what_is_left() {
    if !alone("output::quitting_reads_what_is_left") {
        return;
    }
    let mut played = Played::new();
    let mut output = played.announce(|_| {}, None);
    let mut all = String::new();
    for number in 0..2000 {
        all.push_str(&format!("line {number}\n"));
    }
    output.write_all(all.as_bytes()).unwrap();
    output.write_all(b"unfinished").unwrap();
    played.send(&ToRecorder::Quit);
    let process = played.link.process().unwrap();
    until("it leaves", || ended(process));
    assert_eq!(played.text("a"), all + "unfinished\n");
}

#[test]
fn a_slow_disk_holds_up_no_job() {
    if !alone("output::a_slow_disk_holds_up_no_job") {
        return;
    }
    let mut played = Played::new();
    // nobody reads this fifo: whoever opens it for writing waits, as on a dead network disk
    let slow = played.log("a");
    nix::unistd::mkfifo(&slow, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut output = played.announce(|_| {}, None);
    let line = [b'x'; 1023];
    let begun = Instant::now();
    for _ in 0..20_000 {
        output.write_all(&line).unwrap();
        output.write_all(b"\n").unwrap();
    }
    assert!(begun.elapsed() < PATIENCE);
    let mut disk = File::open(&slow).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&told);
    let reader = std::thread::spawn(move || {
        let mut some = vec![0; 64 << 10];
        loop {
            match io::Read::read(&mut disk, &mut some).unwrap() {
                0 => break,
                length => shared.lock().unwrap().extend_from_slice(&some[..length]),
            }
        }
    });
    // now that the disk is back, what is written next says what is missing
    until("the loss is told", || {
        output.write_all(b"after\n").unwrap();
        let told = told.lock().unwrap();
        String::from_utf8_lossy(&told)
            .contains("lines before this are lost")
            .then_some(())
    });
    output.write_all(b"after\n").unwrap();
    played.send(&ToRecorder::Quit);
    let process = played.link.process().unwrap();
    until("it leaves", || ended(process));
    reader.join().unwrap();
    let text = String::from_utf8(told.lock().unwrap().clone()).unwrap();
    let lost: usize = text
        .lines()
        .filter_map(|line| {
            line.split_once("procctl: ")?
                .1
                .split_once(" lines before this are lost")
        })
        .map(|(count, _)| count.parse::<usize>().unwrap())
        .sum();
    let kept = text.lines().filter(|line| line.starts_with("xx")).count();
    assert!(lost > 0 && kept > 0);
    assert!(lost + kept >= 20_000, "{lost} lost, {kept} kept");
    assert!(text.ends_with("after\n"));
}
