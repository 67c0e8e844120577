//! What operators hear of a forward that is in trouble and goes on: by the alarms of the supervisor.

use std::io::Write;
use std::thread;

use super::Forward;
use super::sender::{connect, send_lines};
use super::sink::{Mode, Sink};
use crate::lab::{PATIENCE, wait_for};

/// A forward under a supervisor that writes its alarms into a file.
fn supervised(listen: &str, spool: &str, delivers: &str) -> Forward {
    let mut forward = Forward::new(listen, spool, delivers);
    let tell = forward.lab.script(
        "tell.sh",
        r#"cat > /dev/null; echo "$PROCCTL_ALARM $PROCCTL_JOB: $PROCCTL_TEXT" >> alarms"#,
    );
    let tell = tell.display();
    forward.lab.write(
        "procctl.xml",
        format!("<procctl><notify on='failed,recovered' command='{tell}'/></procctl>"),
    );
    forward.lab.supervise();
    wait_for("the forward takes connections", PATIENCE, || {
        std::net::TcpStream::connect(forward.address).ok()
    });
    forward
}

/// Waits until an alarm was told that begins and goes on so; gives how many were told until then.
fn told(forward: &Forward, begins: &str, text: &str) -> usize {
    wait_for(&format!("`{begins} … {text}` is told"), PATIENCE, || {
        let lines = forward.lab.lines("alarms");
        let fits = |line: &String| line.starts_with(begins) && line.contains(text);
        lines.iter().rposition(fits).map(|at| at + 1)
    })
}

#[test]
fn a_refused_record_and_dead_letters_alarm_until_they_are_seen_to() {
    let [strict, kind] = [(); 2].map(|()| Sink::new(Mode::Refuses("bad")));
    let delivers = format!(
        r#"<deliver name="strict" url="{}" batch="1"/><deliver name="kind" url="{}" batch="1" give-up="1"/>"#,
        strict.url, kind.url
    );
    let forward = supervised(r#"ack="true""#, "", &delivers);
    assert_eq!(send_lines(forward.address, b"a\nbad\nc\n"), "3");
    told(&forward, "failed f: ", "refuses records 2 to 2: HTTP 422");
    told(
        &forward,
        "failed f: kind dead letters: ",
        "refused for good",
    );
    let pid = forward.lab.running("f");
    strict.set(Mode::Takes);
    assert_eq!(strict.wait(3).len(), 3);
    // what is still there to be seen to keeps the alarm up
    let dead = forward.lab.path("spool/dead/kind");
    let letters: Vec<_> = std::fs::read_dir(&dead)
        .expect("the dead letters")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    assert_eq!(letters.len(), 1);
    for letter in letters {
        std::fs::remove_file(letter).expect("taking a letter away");
    }
    let count = told(&forward, "recovered f: ", "well again");
    assert_eq!(count, 3, "{:?}", forward.lab.lines("alarms"));
    assert_eq!(forward.lab.running("f"), pid, "it was never restarted");
}

#[test]
fn many_dead_letters_are_one_alarm() {
    let sink = Sink::new(Mode::Refuses("bad"));
    let deliver = format!(r#"<deliver url="{}" batch="1" give-up="3"/>"#, sink.url);
    let forward = supervised(r#"ack="true""#, "", &deliver);
    let lines: String = (0..12).map(|n| format!("bad {n}\n")).collect();
    assert_eq!(send_lines(forward.address, lines.as_bytes()), "12");
    let dead = forward.lab.path("spool/dead/main");
    let letters = wait_for("all letters are dead", PATIENCE, || {
        let entries = std::fs::read_dir(&dead).ok()?.flatten();
        let letters: Vec<_> = entries.map(|entry| entry.path()).collect();
        let whole = |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "seg");
        (letters.len() == 12 && letters.iter().all(whole)).then_some(letters)
    });
    told(
        &forward,
        "failed f: main dead letters: ",
        "refused for good by",
    );
    for letter in letters {
        std::fs::remove_file(letter).expect("taking a letter away");
    }
    let count = told(&forward, "recovered f: ", "well again");
    assert_eq!(count, 2, "{:?}", forward.lab.lines("alarms"));
}

#[test]
fn a_full_quota_alarms_and_its_end_too() {
    let sink = Sink::new(Mode::HangsUp);
    let deliver = format!(r#"<deliver url="{}" batch="500"/>"#, sink.url);
    let forward = supervised("", r#"segment="64K" quota="256K""#, &deliver);
    let mut stream = connect(forward.address);
    let sending = thread::spawn(move || {
        for n in 0..5000 {
            let line = format!("{n} {}\n", "x".repeat(200));
            stream.write_all(line.as_bytes()).expect("sending");
        }
    });
    told(&forward, "failed f: main: ", "does not take records");
    told(&forward, "failed f: quota: ", "is full, senders wait");
    sink.set(Mode::Takes);
    assert_eq!(sink.wait(5000).len(), 5000);
    sending.join().expect("the sender");
    told(&forward, "recovered f: ", "well again");
}
