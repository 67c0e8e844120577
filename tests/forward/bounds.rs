//! What senders may not do, and how much of them there may be.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::Forward;
use super::sender::{Sender, Word, connect, hear, hello, last_line, record, send_lines};
use super::sink::{Mode, Sink};
use crate::chance::Dice;
use crate::lab::{PATIENCE, wait_for};

#[test]
fn unfinished_records_are_not_waited_for_for_ever() {
    let sink = Sink::new(Mode::Takes);
    let deliver = format!(r#"<deliver url="{}"/>"#, sink.url);
    let mut forward = Forward::new(
        r#"framing="frame" timeout="1s" max-record="100""#,
        "",
        &deliver,
    );
    forward.start();
    let good = |stream: &mut TcpStream| {
        assert_eq!(hear(stream).expect("a word"), Word::Challenge(vec![]));
        stream.write_all(&hello("x")).expect("hello");
        assert!(matches!(hear(stream), Ok(Word::Welcome(_))));
    };
    // half a frame
    let mut half = connect(forward.address);
    good(&mut half);
    half.write_all(&record(1, b"whole")).expect("a record");
    half.write_all(&record(2, b"half")[..9])
        .expect("half a record");
    assert_eq!(hear(&mut half).expect("a word"), Word::Ack(1));
    let word = hear(&mut half).expect("a word");
    assert!(
        matches!(&word, Word::Error(text) if text.contains("nothing came for 1 s")),
        "{word:?}"
    );
    assert!(hear(&mut half).is_err(), "the connection goes on");
    // no hello
    let mut mute = connect(forward.address);
    assert_eq!(hear(&mut mute).expect("a word"), Word::Challenge(vec![]));
    assert!(matches!(hear(&mut mute), Ok(Word::Error(_))));
    // one byte too many
    let mut long = connect(forward.address);
    good(&mut long);
    long.write_all(&record(2, &[b'x'; 100]))
        .expect("as long as may be");
    long.write_all(&record(3, &[b'x'; 101])).expect("too long");
    let words: Vec<Word> = std::iter::from_fn(|| hear(&mut long).ok()).collect();
    let error = Word::Error("record longer than 100 bytes".to_owned());
    assert_eq!(words.last(), Some(&error), "{words:?}");
    assert!(words.contains(&Word::Ack(2)), "{words:?}");
    // who keeps silent between records is left in peace
    let mut quiet = Sender::new("quiet");
    quiet.join(forward.address).expect("joining");
    let begun = Instant::now();
    wait_for("some time has passed", PATIENCE, || {
        (begun.elapsed() > Duration::from_millis(2500)).then_some(())
    });
    quiet.send(1).expect("the connection is alive");
    quiet.settle().expect("acknowledged");
}

#[test]
fn random_bytes_are_refused_and_harm_nobody() {
    let sink = Sink::new(Mode::Takes);
    let deliver = format!(r#"<deliver url="{}"/>"#, sink.url);
    let mut forward = Forward::new(r#"framing="frame" max-record="1K""#, "", &deliver);
    forward.start();
    let mut dice = Dice::thrown();
    for round in 0..200 {
        let mut stream = connect(forward.address);
        let length = dice.throw(600) + 30;
        let mut bytes: Vec<u8> = (0..length)
            .map(|_| dice.throw(256).to_le_bytes()[0])
            .collect();
        if round % 2 == 0 {
            // past the first byte, so that the inner parts are met too
            bytes.splice(..0, hello("random"));
            bytes.splice(bytes.len()..bytes.len(), [0; 40]);
        }
        // the server may have hung up in the midst of it
        let _cut = stream.write_all(&bytes);
        let _cut = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _cut = stream.read_to_end(&mut answer);
        assert!(answer.len() < 1000);
    }
    let mut sender = Sender::new("good");
    sender.join(forward.address).expect("joining");
    sender.send(10).expect("sending");
    sender.settle().expect("acknowledged");
    forward.told("refused");
    assert_eq!(forward.stop().code(), Some(143));
}

#[test]
fn two_thousand_connections_take_little_and_are_all_served() {
    let sink = Sink::new(Mode::Takes);
    let deliver = format!(r#"<deliver url="{}" batch="1000" order="none"/>"#, sink.url);
    let mut forward = Forward::new(r#"ack="true" connections="2000""#, "", &deliver);
    forward.start();
    let (soft, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)
        .expect("the limit");
    if soft < 3000 {
        nix::sys::resource::setrlimit(
            nix::sys::resource::Resource::RLIMIT_NOFILE,
            hard.min(10_000),
            hard,
        )
        .expect("descriptors for 2,000 connections");
    }
    let before = forward.memory();
    let mut streams: Vec<TcpStream> = (0..2000).map(|_| connect(forward.address)).collect();
    // each holds a little of a record
    for stream in &mut streams {
        stream.write_all(b"half of a re").expect("sending");
    }
    let refused = wait_for("one too many is refused", PATIENCE, || {
        let line = last_line(connect(forward.address));
        (!line.is_empty()).then_some(line)
    });
    assert_eq!(refused, "error: there are 2000 connections, no more");
    let after = forward.memory();
    assert!(
        after < before + 40_000,
        "memory grew from {before} kB to {after} kB"
    );
    for stream in &mut streams {
        stream.write_all(b"cord\n").expect("sending");
        stream.shutdown(std::net::Shutdown::Write).expect("ending");
    }
    for stream in streams {
        assert_eq!(last_line(stream), "1");
    }
    assert_eq!(sink.wait(2000).len(), 2000);
    assert_eq!(send_lines(forward.address, b"and more\n"), "1");
}

#[test]
fn greetings_without_records_stop_nobody() {
    let sink = Sink::new(Mode::Takes);
    let deliver = format!(r#"<deliver url="{}"/>"#, sink.url);
    let mut forward = Forward::new(r#"framing="frame""#, r#"quota="64K""#, &deliver);
    forward.start();
    for n in 0..300 {
        let mut stream = connect(forward.address);
        assert_eq!(hear(&mut stream).expect("a word"), Word::Challenge(vec![]));
        let name = format!("{n:0>200}");
        stream.write_all(&hello(&name)).expect("hello");
        assert_eq!(hear(&mut stream).expect("a word"), Word::Welcome(0));
    }
    let mut sender = Sender::new("good");
    sender.join(forward.address).expect("joining");
    sender.send(10).expect("sending");
    sender.settle().expect("acknowledged");
    assert_eq!(sink.wait(10).len(), 10);
    assert!(forward.spool(&["show", "spool"]).contains("1 session"));
}
