//! Disks that are full or fail, and spools that are damaged.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Command;
use std::thread;

use super::Forward;
use super::sender::{Sender, connect, send_lines};
use super::sink::{Mode, Sink};
use crate::lab::{PATIENCE, programs, wait_for};
use crate::small_disk::SmallDisk;

#[test]
fn on_a_full_disk_senders_wait_and_nothing_is_lost() {
    let sink = Sink::new(Mode::HangsUp);
    let deliver = format!(r#"<deliver url="{}" batch="500"/>"#, sink.url);
    let mut forward = Forward::new(r#"ack="true""#, r#"segment="512K""#, &deliver);
    let disk = SmallDisk::new(forward.lab.path("spool"), "3m");
    forward.start();
    // on a full disk there would be no room for them, and without them none would ever be made
    wait_for("both cursor files are there", PATIENCE, || {
        let files = fs::read_dir(forward.lab.path("spool"))
            .expect("the spool")
            .flatten();
        let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
        let cursors =
            names.filter(|name| name.ends_with(".cursor.a") || name.ends_with(".cursor.b"));
        (cursors.count() == 2).then_some(())
    });
    let stream = connect(forward.address);
    let mut answers = BufReader::new(stream.try_clone().expect("a second end"));
    let total = 40_000_u64;
    let sending = thread::spawn(move || {
        let (mut stream, filler) = (stream, "x".repeat(150));
        for n in 0..total {
            stream
                .write_all(format!("{n} {filler}\n").as_bytes())
                .expect("sending");
        }
        stream
    });
    forward.told("the disk is full, senders wait");
    // killed while it is full, it comes back and still delivers
    let mut line = String::new();
    answers
        .read_line(&mut line)
        .expect("some were acknowledged");
    sink.set(Mode::Takes);
    let records = sink.wait(usize::try_from(total).expect("a count"));
    for (n, (_, body)) in (0_u64..).zip(&records) {
        assert!(
            body.starts_with(&format!("{n} ")),
            "out of order at {n}: {body}"
        );
    }
    drop(sending.join().expect("the sender"));
    forward.told("well again");
    forward.stop();
    drop(disk);
}

#[test]
fn a_forward_starts_and_delivers_on_a_full_disk() {
    let sink = Sink::new(Mode::HangsUp);
    let deliver = format!(r#"<deliver url="{}" batch="500"/>"#, sink.url);
    let mut forward = Forward::new(r#"framing="frame""#, r#"segment="512K""#, &deliver);
    let disk = SmallDisk::new(forward.lab.path("spool"), "3m");
    forward.start();
    let mut sender = Sender::new("one");
    sender.join(forward.address).expect("joining");
    sender.send(10_000).expect("sending");
    sender.settle().expect("acknowledged");
    forward.kill();
    // somebody else takes all the room there is
    let mut filling = fs::File::create(forward.lab.path("spool/filling")).expect("a file");
    while filling.write_all(&[7; 1024]).is_ok() {}
    sink.set(Mode::Takes);
    forward.start();
    assert_eq!(sink.wait(10_000).len(), 10_000);
    fs::remove_file(forward.lab.path("spool/filling")).expect("making room");
    sender.leave();
    sender.join(forward.address).expect("joining");
    sender.send(10).expect("sending");
    sender.settle().expect("acknowledged");
    assert_eq!(sink.wait(10_010).len(), 10_010);
    forward.stop();
    drop(disk);
}

/// The whole path of a file of the spool.
fn at_spool(forward: &Forward, file: &str) -> String {
    let path = forward.lab.path("spool").join(file);
    path.to_str().expect("a plain path").to_owned()
}

/// Runs the forward under strace, which lets calls fail: all of that sort, or those on one file of the spool.
fn with_fault(inject: &str, file: Option<&str>, told: &str) {
    let sink = Sink::new(Mode::Takes);
    let deliver = format!(r#"<deliver url="{}" batch="50"/>"#, sink.url);
    let mut forward = Forward::new(r#"framing="frame""#, r#"segment="64K""#, &deliver);
    let mut command = forward.lab.command("jobs");
    let mut strace = Command::new("strace");
    strace
        .args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=fdatasync,fsync,write",
            "-e",
            inject,
        ])
        .args(
            file.iter()
                .flat_map(|file| ["-P".to_owned(), at_spool(&forward, file)]),
        )
        .arg(programs().join("jobs"))
        .args(["run", "jobs/f.xml"])
        .current_dir(forward.lab.path(""));
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    command.args(["run"]);
    forward.start_by(strace);
    let mut sender = Sender::new("one");
    sender.insist(forward.address, 1500, &|| false);
    assert_eq!(sender.acked, 1500);
    forward.told(told);
    let records = sink.wait(1500);
    let mut bodies: Vec<String> = Vec::new();
    for (_, body) in records {
        if !bodies.contains(&body) {
            bodies.push(body);
        }
    }
    let expected: Vec<String> = (1..=1500).map(|n| sender.body(n)).collect();
    assert_eq!(bodies, expected);
    let in_spool = sink.wait(1500).iter().map(|(number, _)| *number).max();
    assert_eq!(in_spool, Some(1500), "the spool holds doubles");
}

#[test]
fn a_sync_that_fails_is_not_tried_again_on_that_file() {
    with_fault(
        "inject=fdatasync:error=EIO:when=3+7",
        None,
        "the disk refuses",
    );
}

#[test]
fn a_disk_that_is_full_for_moments_costs_nothing() {
    with_fault(
        "inject=fdatasync:error=ENOSPC:when=2+5",
        None,
        "the disk is full",
    );
}

#[test]
fn a_write_that_fails_is_taken_back_and_done_anew() {
    let first = Some("00000000000000000001.seg");
    with_fault("inject=write:error=EIO:when=3", first, "the disk refuses");
}

#[test]
fn both_cursors_damaged_and_the_newest_segment_gone() {
    let sink = Sink::new(Mode::Takes);
    let deliver = format!(r#"<deliver url="{}"/>"#, sink.url);
    let mut forward = Forward::new(r#"framing="frame""#, r#"segment="2K" keep="1h""#, &deliver);
    forward.start();
    let mut sender = Sender::new("one");
    sender.join(forward.address).expect("joining");
    for _ in 0..20 {
        sender.send(20).expect("sending");
        sender.settle().expect("acknowledged");
    }
    assert_eq!(sink.wait(400).len(), 400);
    wait_for("the cursor is saved", PATIENCE, || {
        forward
            .spool(&["show", "spool"])
            .contains("next 401")
            .then_some(())
    });
    forward.kill();
    for half in ["a", "b"] {
        let path = forward.lab.path(format!("spool/main.cursor.{half}"));
        let mut bytes = fs::read(&path).expect("a cursor");
        bytes[30] ^= 1;
        fs::write(&path, bytes).expect("damage");
    }
    forward.start();
    forward.told("is damaged");
    let records = wait_for("everything comes again", PATIENCE, || {
        let records = sink.records();
        (records.len() >= 800).then_some(records)
    });
    // doubles are known by their numbers
    for (number, body) in &records {
        assert_eq!(body, &sender.body(*number));
    }
    forward.stop();
    let newest = forward.segments().pop().expect("a segment");
    fs::remove_file(&newest).expect("losing a segment");
    forward.start();
    forward.told("is missing");
    sender.acked = 0;
    sender.join(forward.address).expect("joining");
    assert!(sender.acked < 400, "{}", sender.acked);
    sender.send(1).expect("sending");
    sender.settle().expect("acknowledged");
    let number = wait_for("the next record has a number of its own", PATIENCE, || {
        sink.records()
            .into_iter()
            .map(|(number, _)| number)
            .find(|number| *number > 401)
    });
    assert!(number > 401);
}

#[test]
fn a_bounded_window_acknowledges_early_and_keeps_all_over_a_kill() {
    let sink = Sink::new(Mode::Takes);
    let deliver = format!(r#"<deliver url="{}"/>"#, sink.url);
    let mut forward = Forward::new(r#"ack="true""#, r#"sync="300ms""#, &deliver);
    forward.start();
    assert_eq!(send_lines(forward.address, b"one\ntwo\n"), "2");
    forward.kill();
    forward.start();
    assert_eq!(sink.wait(2).len(), 2);
}
