//! What operators do with a spool.

use std::fs;

use super::Forward;
use super::sender::send_lines;
use super::sink::{Mode, Sink};
use crate::lab::{PATIENCE, wait_for};

#[test]
fn a_spool_is_shown_printed_verified_and_delivered_again() {
    let sink = Sink::new(Mode::Takes);
    let deliver = format!(r#"<deliver url="{}" batch="1"/>"#, sink.url);
    let mut forward = Forward::new(r#"ack="true""#, r#"keep="1h""#, &deliver);
    forward.start();
    forward.told("listens on");
    assert!(
        forward
            .spool(&["show", "spool"])
            .contains("no records; the next one is 1")
    );
    assert_eq!(send_lines(forward.address, b"one\ntwo\nthree\n"), "3");
    assert_eq!(sink.wait(3).len(), 3);
    wait_for("the cursor is saved", PATIENCE, || {
        forward
            .spool(&["show", "jobs/f.xml"])
            .contains("main: next 4, backlog 0")
            .then_some(())
    });
    assert!(
        forward
            .spool(&["show", "spool"])
            .contains("the records 1 to 3 in 1 segment")
    );
    assert_eq!(
        forward.spool(&["print", "spool", "--from", "2"]),
        "two\nthree\n"
    );
    assert_eq!(forward.spool(&["print", "spool", "--to", "1"]), "one\n");
    let heads = forward.spool(&["print", "spool", "--heads", "--to", "1"]);
    assert!(
        heads.starts_with("1 20") && heads.ends_with("Z 0 0 one\n"),
        "{heads}"
    );
    assert!(
        forward
            .spool(&["verify", "spool"])
            .contains("3 records whole")
    );

    assert!(
        forward
            .spool(&["replay", "spool", "2"])
            .contains("main delivers again from 2 on")
    );
    wait_for("two records come again", PATIENCE, || {
        let records = sink.records();
        (records.len() == 5 && records[3] == (2, "two".to_owned())).then_some(())
    });
    wait_for("the cursor is where it was", PATIENCE, || {
        forward
            .spool(&["show", "spool"])
            .contains("next 4, backlog 0")
            .then_some(())
    });
    for (words, told) in [
        (vec!["replay", "spool", "9"], "is at 4: 9 is still to come"),
        (
            vec!["replay", "spool", "1", "--deliver", "x"],
            "there is no deliver x here; there is main",
        ),
        (vec!["show", "nowhere"], "there is no spool in nowhere"),
        (vec!["show", "jobs"], "there is no spool in jobs"),
    ] {
        let refused = forward.lab.run("jobs", ["spool"].into_iter().chain(words));
        assert_eq!(refused.status.code(), Some(64), "{refused:?}");
        assert!(
            String::from_utf8_lossy(&refused.stderr).contains(told),
            "{refused:?}"
        );
    }
    // another one cannot work on the same spool
    let second = forward.lab.write(
        "jobs/g.xml",
        format!(r#"<forward name="g"><listen address="127.0.0.1:1"/><spool dir="spool"/>{deliver}</forward>"#),
    );
    let second = forward
        .lab
        .run("jobs", ["run".as_ref(), second.as_os_str()]);
    assert_eq!(second.status.code(), Some(75), "{second:?}");
    forward.stop();

    let segment = forward.segments().pop().expect("a segment");
    let mut bytes = fs::read(&segment).expect("a segment");
    let place = bytes
        .windows(3)
        .position(|part| part == b"two")
        .expect("the record");
    bytes[place] = b'T';
    fs::write(&segment, bytes).expect("damage");
    let verdict = forward.lab.run("jobs", ["spool", "verify", "spool"]);
    assert_eq!(verdict.status.code(), Some(65), "{verdict:?}");
    let told = String::from_utf8_lossy(&verdict.stdout).into_owned();
    assert!(
        told.contains("are no record") && told.contains("record 2 is missing"),
        "{told}"
    );
    assert_eq!(forward.spool(&["print", "spool"]), "one\nthree\n");
}
