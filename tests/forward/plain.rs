//! What works when nothing goes wrong: lines, frames, sessions, logins, bodies.

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use super::Forward;
use super::sender::{Sender, Word, connect, hear, hello, last_line, record, send_lines};
use super::sink::{Mode, Sink};
use crate::lab::{PATIENCE, wait_for};

#[test]
fn lines_are_counted_when_durable_and_delivered_in_order() {
    let sink = Sink::new(Mode::Takes);
    let deliver = format!(r#"<deliver url="{}" batch="3"/>"#, sink.url);
    let mut forward = Forward::new(r#"ack="true" max-record="10""#, "", &deliver);
    forward.start();
    assert_eq!(
        send_lines(forward.address, b"one\ntwo\n\nfour\nunfinished"),
        "4"
    );
    let records = sink.wait(4);
    let expected = ["one", "two", "", "four"].map(str::to_owned);
    assert_eq!(records, (1..).zip(expected).collect::<Vec<_>>());
    let first = &sink.taken()[0];
    assert_eq!(first.header("spool-id").len(), 16);
    assert_eq!(
        (first.header("spool-first"), first.header("spool-last")),
        ("1", "3")
    );
    assert_eq!(first.header("content-type"), "text/plain; charset=utf-8");
    forward.told("in the middle of a record");

    let long = send_lines(forward.address, b"good\n01234567890\nnever read\n");
    assert_eq!(long, "error: record longer than 10 bytes");
    assert_eq!(sink.wait(5)[4].1, "good");

    let begun = Instant::now();
    let idle = connect(forward.address);
    assert_eq!(forward.stop().code(), Some(143));
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(last_line(idle), "error: the server stops");
    assert!(
        forward
            .spool(&["show", "spool"])
            .contains("main: next 6, backlog 0")
    );
}

#[test]
fn a_sender_that_comes_back_doubles_nothing_in_the_spool() {
    let sink = Sink::new(Mode::Takes);
    let deliver = format!(r#"<deliver url="{}"/>"#, sink.url);
    let mut forward = Forward::new(r#"framing="frame""#, "", &deliver);
    forward.start();
    let mut sender = Sender::new("one");
    sender.join(forward.address).expect("joining");
    sender.send(5).expect("sending");
    sender.settle().expect("acknowledged");
    sender.leave();
    // it forgot what was acknowledged, and sends all of it again
    let mut stream = connect(forward.address);
    assert_eq!(hear(&mut stream).expect("a word"), Word::Challenge(vec![]));
    stream.write_all(&hello("one")).expect("hello");
    assert_eq!(hear(&mut stream).expect("a word"), Word::Welcome(5));
    for number in 3..=7 {
        let body = sender.body(number);
        stream
            .write_all(&record(number, body.as_bytes()))
            .expect("a record");
    }
    let acked = wait_for("all are acknowledged", PATIENCE, || {
        match hear(&mut stream).expect("a word") {
            Word::Ack(7) => Some(7),
            Word::Ack(_) => None,
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(acked, 7);
    // another connection of the same session takes over; the first one is told
    sender.acked = 7;
    sender.join(forward.address).expect("joining");
    let word = hear(&mut stream).expect("a word");
    assert!(
        matches!(&word, Word::Error(text) if text.contains("taken over")),
        "{word:?}"
    );
    let records = sink.wait(7);
    let expected: Vec<_> = (1..=7).map(|n| (n, sender.body(n))).collect();
    assert_eq!(records, expected);

    // sessions are known after a restart
    forward.stop();
    forward.start();
    sender.join(forward.address).expect("joining");
    assert_eq!(sender.acked, 7);
}

#[test]
fn bodies_and_headers_are_as_the_job_file_says() {
    let [json, single, packed] = [(); 3].map(|()| Sink::new(Mode::Takes));
    let delivers = format!(
        r#"<deliver name="json" url="{}" body="json" batch="10"><header name="Authorization" value="Bearer x"/></deliver>
        <deliver name="single" url="{}" body="record" order="none" workers="2"><header name="content-type" value="a/b"/></deliver>
        <deliver name="packed" url="{}" gzip="true"/>"#,
        json.url, single.url, packed.url
    );
    let mut forward = Forward::new(r#"ack="true""#, "", &delivers);
    forward.start();
    assert_eq!(
        send_lines(forward.address, b"{\"a\":1}\nplain \"text\"\n"),
        "2"
    );
    let all = [&json, &single, &packed];
    wait_for("all have got all", PATIENCE, || {
        let counts = all.map(|sink| {
            sink.taken()
                .iter()
                .map(|r| r.numbers().len())
                .sum::<usize>()
        });
        (counts == [2, 2, 2]).then_some(())
    });
    let request = &json.taken()[0];
    assert_eq!(
        String::from_utf8_lossy(&request.body),
        "[{\"a\":1},\n\"plain \\\"text\\\"\"]"
    );
    assert_eq!(request.header("authorization"), "Bearer x");
    assert_eq!(request.header("content-type"), "application/json");
    let mut bodies: Vec<Vec<u8>> = single.taken().iter().map(|r| r.body.clone()).collect();
    bodies.sort();
    assert_eq!(bodies, [b"plain \"text\"".to_vec(), b"{\"a\":1}".to_vec()]);
    assert_eq!(single.taken()[0].header("content-type"), "a/b");
    let request = &packed.taken()[0];
    assert_eq!(request.header("content-encoding"), "gzip");
    assert_eq!(request.body[..2], [0x1f, 0x8b]);
}

/// A sender in another language, by TLS and with a login: what `jobs/FORWARD.md` says is all that it takes.
const STRANGER: &str = r#"
import hashlib, hmac, socket, ssl, struct, sys
port, key = int(sys.argv[1]), sys.argv[2].encode()
context = ssl.create_default_context(cafile="cert.pem")
s = context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="localhost")
def hear():
    def take(n):
        b = b""
        while len(b) < n:
            more = s.recv(n - len(b))
            if not more: sys.exit("cut")
            b += more
        return b
    frame = take(struct.unpack(">I", take(4))[0])
    return frame[:1], frame[1:]
def say(kind, body): s.sendall(struct.pack(">I", len(body) + 1) + kind + body)
kind, nonce = hear()
assert kind == b"C" and len(nonce) == 32
name = "stranger".encode()
proof = hmac.new(key, b"procctl forward 1\0" + nonce + name, hashlib.sha256).digest()
say(b"H", bytes([1, len(name)]) + name + proof)
kind, body = hear()
if kind == b"E": sys.exit(body.decode())
last, longest = struct.unpack(">QI", body)
for n in range(last + 1, last + 501): say(b"R", struct.pack(">Q", n) + b"record %d" % n)
acked = last
while acked < last + 500:
    kind, body = hear()
    assert kind == b"A", body
    acked = struct.unpack(">Q", body)[0]
print(acked)
"#;

#[test]
fn strangers_log_in_by_tls_and_a_wrong_key_is_refused() {
    let sink = Sink::new(Mode::Takes);
    let mut forward = Forward::new("", "", "");
    forward.lab.certificate();
    forward.lab.write("login.key", "a shared secret\n");
    let address = forward.address;
    forward.lab.job(
        "f",
        &format!(
            r#"<forward name="f"><listen address="{address}" framing="frame" key="${{file:login.key}}"><tls cert="cert.pem" key="key.pem"/></listen>
            <spool dir="spool"/><deliver url="{}"/></forward>"#,
            sink.url
        ),
    );
    forward.start();
    let script = forward.lab.write("stranger.py", STRANGER);
    let stranger = |key: &str| {
        Command::new("python3")
            .arg(&script)
            .args([&address.port().to_string(), key])
            .current_dir(forward.lab.path(""))
            .output()
            .expect("python3")
    };
    let wrong = stranger("a guess");
    assert!(
        String::from_utf8_lossy(&wrong.stderr).contains("the key is wrong"),
        "{wrong:?}"
    );
    for upto in ["500", "1000"] {
        let right = stranger("a shared secret");
        assert_eq!(
            String::from_utf8_lossy(&right.stdout).trim(),
            upto,
            "{right:?}"
        );
    }
    assert_eq!(sink.wait(1000).len(), 1000);
    let log = forward.lab.lines("job.out").join("\n");
    assert!(!log.contains("a shared secret"), "{log}");
}
