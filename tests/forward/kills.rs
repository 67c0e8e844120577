//! SIGKILL at random moments under load: what was acknowledged arrives, in its order, and every double is known as one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::Forward;
use super::sender::Sender;
use super::sink::{Mode, Sink};
use crate::chance::{Dice, count};
use crate::lab::PATIENCE;

const SENDERS: usize = 16;

/// Sends by many senders while the forward is killed again and again, waits until all is delivered, and checks that nothing is
/// lost and doubles are known. Gives the records in the order in which they first arrived.
fn play(deliver: &str, kills: u64) -> Vec<(u64, String)> {
    let sink = Sink::new(Mode::Takes);
    let deliver = deliver.replace("URL", &sink.url);
    let mut forward = Forward::new(r#"framing="frame""#, r#"segment="64K""#, &deliver);
    let mut dice = Dice::thrown();
    forward.start();
    let ended = AtomicBool::new(false);
    let address = forward.address;
    let senders: Vec<Sender> = thread::scope(|scope| {
        let threads: Vec<_> = (0..SENDERS)
            .map(|n| {
                let ended = &ended;
                scope.spawn(move || {
                    let mut sender = Sender::new(&format!("s{n}"));
                    let over = || ended.load(Ordering::Relaxed);
                    while !over() {
                        let upto = sender.acked + 100;
                        sender.insist(address, upto, &over);
                    }
                    let upto = sender.acked + 10;
                    sender.insist(address, upto, &|| false);
                    sender
                })
            })
            .collect();
        for _ in 0..kills {
            // from its first connection to the midst of its work
            let life = Instant::now() + Duration::from_millis(dice.throw(400));
            while Instant::now() < life {
                thread::yield_now();
                thread::sleep(Duration::from_millis(1));
            }
            forward.kill();
            forward.start();
        }
        ended.store(true, Ordering::Relaxed);
        threads
            .into_iter()
            .map(|t| t.join().expect("a sender"))
            .collect()
    });
    let mut first: Vec<(u64, String)> = Vec::new();
    let mut seen: HashMap<u64, String> = HashMap::new();
    let deadline = Instant::now() + PATIENCE * 10;
    let mut looked = 0;
    while !forward.spool(&["show", "spool"]).contains("backlog 0") {
        assert!(Instant::now() < deadline, "not all is delivered");
        thread::sleep(Duration::from_millis(20));
        looked += 1;
    }
    assert!(looked < 10_000);
    let ids: Vec<String> = sink
        .taken()
        .iter()
        .map(|r| r.header("spool-id").to_owned())
        .collect();
    assert!(
        ids.windows(2).all(|two| two[0] == two[1]),
        "the spool changed its id"
    );
    for (number, body) in sink.records() {
        match seen.get(&number) {
            Some(known) => assert_eq!(known, &body, "number {number} was used twice"),
            None => {
                seen.insert(number, body.clone());
                first.push((number, body));
            }
        }
    }
    let mut counts: HashMap<&String, u64> = HashMap::new();
    for body in seen.values() {
        *counts.entry(body).or_default() += 1;
    }
    for sender in &senders {
        assert!(sender.acked > 0, "{} got nothing through", sender.session);
        for number in 1..=sender.acked {
            let count = counts.get(&sender.body(number)).copied();
            assert_eq!(
                count,
                Some(1),
                "record {number} of {} in the spool",
                sender.session
            );
        }
    }
    first
}

/// Each sender's records in the order of their numbers.
fn check_each(first: &[(u64, String)]) {
    let mut last: HashMap<&str, u64> = HashMap::new();
    for (_, body) in first {
        let (session, number) = body.split_once(' ').expect("a body");
        let number: u64 = number.parse().expect("a number");
        let before = last.insert(session, number).unwrap_or(0);
        assert!(before < number, "{body} came after {before}");
    }
}

#[test]
fn strictly_ordered() {
    let first = play(
        r#"<deliver url="URL" batch="50" age="5ms"/>"#,
        count(15, 250),
    );
    assert!(
        first.windows(2).all(|two| two[0].0 < two[1].0),
        "out of order"
    );
    check_each(&first);
}

#[test]
fn ordered_by_key() {
    let first = play(
        r#"<deliver url="URL" order="key" key="1" workers="4" batch="50" age="5ms"/>"#,
        count(15, 250),
    );
    check_each(&first);
}
