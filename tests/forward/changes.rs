//! A changed job file under a running forward.

use std::io::{BufRead, BufReader, Write};

use super::Forward;
use super::sender::connect;
use super::sink::{Mode, Sink};
use crate::lab::{PATIENCE, wait_for};

#[test]
fn a_changed_deliver_takes_effect_without_dropping_senders() {
    let [old, new] = [(); 2].map(|()| Sink::new(Mode::Takes));
    let deliver = |sink: &Sink| format!(r#"<deliver url="{}"/>"#, sink.url);
    let mut forward = Forward::new(r#"ack="true""#, "", &deliver(&old));
    forward.lab.supervise();
    let pid = forward.lab.running("f");
    let stream = wait_for("the forward takes connections", PATIENCE, || {
        std::net::TcpStream::connect(forward.address).ok()
    });
    drop(stream);
    let mut stream = connect(forward.address);
    let mut answers = BufReader::new(stream.try_clone().expect("a second end"));
    let mut say = |text: &str, count: &str| {
        stream
            .write_all(text.as_bytes())
            .expect("the connection is alive");
        let mut line = String::new();
        answers.read_line(&mut line).expect("an answer");
        assert_eq!(line.trim(), count);
    };
    say("one\n", "1");
    assert_eq!(old.wait(1).len(), 1);
    // the centre moves
    forward.write(r#"ack="true""#, "", &deliver(&new));
    let mut count = 1;
    wait_for("records go to the new place", PATIENCE, || {
        count += 1;
        say("more\n", &count.to_string());
        (!new.records().is_empty()).then_some(())
    });
    let sum = old.records().len() + new.records().len();
    assert!(sum <= count, "{sum} of {count}");
    // a second one comes, and a broken file changes nothing
    let both = format!(
        r#"{}<deliver name="second" url="{}"/>"#,
        deliver(&new),
        old.url
    );
    forward.write(r#"ack="true""#, "", &both);
    let before = old.records().len();
    wait_for("the second one gets records", PATIENCE, || {
        (old.records().len() > before).then_some(())
    });
    forward.write(r#"ack="true""#, "", r#"<deliver url="nonsense"/>"#);
    wait_for("the problem shows", PATIENCE, || {
        forward
            .lab
            .status("f")
            .to_string()
            .contains("http://")
            .then_some(())
    });
    count += 1;
    say("still here\n", &count.to_string());
    assert_eq!(forward.lab.pid("f"), Some(pid), "the job was restarted");
    // another door is another job
    forward.write(r#"ack="true" max-record="2M""#, "", &both);
    wait_for("the job starts again", PATIENCE, || {
        forward.lab.pid("f").filter(|now| *now != pid)
    });
    forward.lab.stop();
}
