//! A centre that is down, slow, busy, or does not like a record.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use super::Forward;
use super::sender::{connect, send_lines};
use super::sink::{Mode, Sink};
use crate::chance::count;
use crate::lab::{PATIENCE, wait_for};

#[test]
fn a_centre_that_was_down_gets_everything_in_order_and_senders_are_never_cut() {
    let sink = Sink::new(Mode::HangsUp);
    let deliver = format!(r#"<deliver url="{}" batch="500"/>"#, sink.url);
    let mut forward = Forward::new("", r#"segment="1M" quota="4M""#, &deliver);
    forward.start();
    let down = Duration::from_secs(count(4, 600));
    let mut stream = connect(forward.address);
    let begun = Instant::now();
    let sending = thread::spawn(move || {
        let (mut sent, filler) = (0_u64, "x".repeat(200));
        while begun.elapsed() < down {
            let lines: String = (0..100)
                .map(|n| format!("{} {filler}\n", sent + n))
                .collect();
            // when the quota is full this waits, and is not cut
            stream.write_all(lines.as_bytes()).expect("sending");
            sent += 100;
        }
        sent
    });
    forward.told("the quota of");
    let early = forward.memory();
    wait_for("the centre was down long enough", down + PATIENCE, || {
        (begun.elapsed() >= down).then_some(())
    });
    let late = forward.memory();
    assert!(
        late < early + 20_000,
        "memory grew from {early} kB to {late} kB"
    );
    // the room put aside and the cursors are part of it
    let files = std::fs::read_dir(forward.lab.path("spool")).expect("the spool");
    let size = files.map(|entry| entry.and_then(|e| e.metadata()).map_or(0, |m| m.len()));
    assert!(size.sum::<u64>() <= 4 << 20, "the quota is passed");
    sink.set(Mode::Takes);
    let sent = sending.join().expect("the sender");
    let records = sink.wait(usize::try_from(sent).expect("a count"));
    for (n, (number, body)) in (0_u64..).zip(&records) {
        assert_eq!(*number, n + 1, "out of order");
        assert!(body.starts_with(&format!("{n} ")), "{body}");
    }
    wait_for("delivered segments go", PATIENCE, || {
        (forward.segments().len() <= 2).then_some(())
    });
}

#[test]
fn a_busy_centre_is_left_alone_as_long_as_it_wishes() {
    let sink = Sink::new(Mode::Says(503, "retry-after: 2\r\n"));
    let deliver = format!(r#"<deliver url="{}"/>"#, sink.url);
    let mut forward = Forward::new(r#"ack="true""#, "", &deliver);
    forward.start();
    let begun = Instant::now();
    assert_eq!(send_lines(forward.address, b"one\n"), "1");
    forward.told("HTTP 503");
    sink.set(Mode::Takes);
    assert_eq!(sink.wait(1), [(1, "one".to_owned())]);
    assert!(
        begun.elapsed() >= Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(sink.all().len(), 2);
}

#[test]
fn refused_records_become_dead_letters_and_the_others_go_on() {
    let sink = Sink::new(Mode::Refuses("bad"));
    let deliver = format!(r#"<deliver url="{}" batch="4" give-up="2"/>"#, sink.url);
    let mut forward = Forward::new(r#"ack="true""#, "", &deliver);
    forward.start();
    let lines = b"a\nb\nbad 3\nd\ne\nbad 6\n";
    assert_eq!(send_lines(forward.address, lines), "6");
    let records = sink.wait(4);
    let bodies: Vec<&str> = records.iter().map(|(_, body)| body.as_str()).collect();
    assert_eq!(bodies, ["a", "b", "d", "e"]);
    wait_for("all are done with", PATIENCE, || {
        forward
            .spool(&["show", "spool"])
            .contains("backlog 0")
            .then_some(())
    });
    let dead = forward.spool(&["print", "spool", "--dead", "main"]);
    assert_eq!(dead, "bad 3\nbad 6\n");
    assert!(
        forward
            .spool(&["show", "jobs/f.xml"])
            .contains("2 files of dead letters")
    );
    forward.told("among the dead letters");
}

#[test]
fn without_give_up_a_refused_record_blocks_and_that_is_told() {
    let sink = Sink::new(Mode::Refuses("bad"));
    let other = Sink::new(Mode::Takes);
    let delivers = format!(
        r#"<deliver name="a" url="{}" batch="1"/><deliver name="b" url="{}"/>"#,
        sink.url, other.url
    );
    let mut forward = Forward::new(r#"ack="true""#, "", &delivers);
    forward.start();
    assert_eq!(send_lines(forward.address, b"a\nbad\nc\n"), "3");
    assert_eq!(other.wait(3).len(), 3);
    forward.told("refuses records 2 to 2: HTTP 422");
    assert_eq!(sink.records(), [(1, "a".to_owned())]);
    sink.set(Mode::Takes);
    assert_eq!(sink.wait(3).len(), 3);
}

#[test]
fn a_blocked_key_holds_up_no_other() {
    let sink = Sink::new(Mode::Refuses("bad"));
    let deliver = format!(
        r#"<deliver url="{}" order="key" key="1" workers="4" batch="1"/>"#,
        sink.url
    );
    let mut forward = Forward::new(r#"ack="true""#, "", &deliver);
    forward.start();
    let total = 1600_usize;
    // the first record of the fourth key is one that the centre does not like
    let line = |n: usize| match n {
        3 => "k3 3 bad\n".to_owned(),
        n => format!("k{} {n}\n", n % 16),
    };
    let lines: String = (0..total).map(line).collect();
    assert_eq!(send_lines(forward.address, lines.as_bytes()), "1600");
    let records = sink.wait(total - total / 16);
    assert!(records.iter().all(|(_, body)| !body.starts_with("k3 ")));
    forward.told("refuses records 4 to 4");
    sink.set(Mode::Takes);
    let records = sink.wait(total);
    let mut last = std::collections::HashMap::new();
    for (number, body) in &records {
        let key = body.split(' ').next().expect("a key").to_owned();
        let before = last.insert(key, *number).unwrap_or(0);
        assert!(before < *number, "{body} came after record {before}");
    }
}

#[test]
fn one_slow_request_holds_up_nobody_where_order_does_not_matter() {
    let sink = Sink::new(Mode::Slow(Duration::from_millis(300)));
    let deliver = format!(
        r#"<deliver url="{}" order="none" workers="16" batch="1"/>"#,
        sink.url
    );
    let mut forward = Forward::new(r#"ack="true""#, "", &deliver);
    forward.start();
    let lines: String = (0..64).map(|n| format!("{n}\n")).collect();
    let begun = Instant::now();
    assert_eq!(send_lines(forward.address, lines.as_bytes()), "64");
    assert_eq!(sink.wait(64).len(), 64);
    // one by one it would be 19 s
    assert!(
        begun.elapsed() < Duration::from_secs(12),
        "{:?}",
        begun.elapsed()
    );
}
