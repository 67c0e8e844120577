//! What becomes of connections to what is no Oracle server, or one that lets nobody in: there is none here to pass the suite.
//! Each test has a listener of its own, which speaks the first packets of Oracle's protocol, or does not.

use db::{Error, ErrorKind, Options};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// No test waits longer for an answer that must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A listener that gives each caller the next of these answers once it has said something.
fn listener(answers: Vec<Vec<u8>>) -> (SocketAddr, JoinHandle<Vec<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = move || {
        let mut heard = Vec::new();
        for answer in answers {
            let (mut caller, _) = listener.accept().unwrap();
            caller.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut first = vec![0; 4096];
            let length = caller.read(&mut first).unwrap_or(0);
            first.truncate(length);
            heard.push(first);
            caller.write_all(&answer).unwrap();
            if answer.is_empty() {
                wait_for_the_end(&mut caller);
            }
        }
        heard
    };
    (address, thread::spawn(serve))
}

/// Says nothing until the caller has gone.
fn wait_for_the_end(caller: &mut TcpStream) {
    let mut rest = [0; 4096];
    while caller.read(&mut rest).is_ok_and(|length| length > 0) {}
}

fn packet(sort: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + body.len()).unwrap().to_be_bytes();
    let head = [length[0], length[1], 0, 0, sort, flags, 0, 0];
    [&head, body].concat()
}

fn refusal(words: &str) -> Vec<u8> {
    let length = u16::try_from(words.len()).unwrap().to_be_bytes();
    packet(4, 0, &[&[0x22, 0], &length[..], words.as_bytes()].concat())
}

fn refused(code: u32) -> Vec<u8> {
    refusal(&format!(
        "(DESCRIPTION=(TMP=)(VSNNUM=318767104)(ERR={code})(ERROR_STACK=(ERROR=(CODE={code})(EMFI=4))))"
    ))
}

fn connect(hosts: &str, query: &str) -> (Error, Duration) {
    let begun = Instant::now();
    let url = format!("oracle://scott:tiger@{hosts}/orclpdb1?{query}");
    let error = db::connect(&url, &Options::default()).err().unwrap();
    (error, begun.elapsed())
}

fn full(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text.push_str(&format!(": {inner}"));
        source = inner.source();
    }
    assert!(!text.contains("tiger"), "{text}");
    text
}

fn dead_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

#[test]
fn nobody_listens() {
    let (error, _) = connect(&dead_port().to_string(), "");
    assert_eq!(error.kind(), ErrorKind::Connect, "{}", full(&error));
    assert!(error.is_transient());
    assert!(full(&error).contains("refused"), "{}", full(&error));
}

#[test]
fn a_listener_that_says_nothing_is_given_up() {
    let (address, serving) = listener(vec![Vec::new()]);
    let (error, took) = connect(&address.to_string(), "connect-timeout=300ms");
    assert_eq!(error.kind(), ErrorKind::Connect, "{}", full(&error));
    assert!(
        full(&error).contains("no answer within 300ms"),
        "{}",
        full(&error)
    );
    assert!(took < PATIENCE / 2, "{took:?}");
    let heard = serving.join().unwrap();
    let said = String::from_utf8_lossy(&heard[0]).into_owned();
    assert!(said.contains("(SERVICE_NAME=orclpdb1)"), "{said}");
}

#[test]
fn what_is_no_oracle_server_is_told() {
    for answer in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"220 ftp.example ready\r\n",
        &[0; 64],
        &[0xff; 64],
        &packet(200, 0, b"x"),
    ] {
        let (address, serving) = listener(vec![answer.to_vec()]);
        let (error, _) = connect(&address.to_string(), "");
        let told = full(&error);
        assert_eq!(error.kind(), ErrorKind::Connect, "{told}");
        assert!(told.contains("does not speak Oracle's protocol"), "{told}");
        serving.join().unwrap();
    }
}

#[test]
fn answers_that_make_no_sense_end_in_time() {
    // an acceptance cut short, and one that is followed by nonsense
    let mut accepted = vec![1, 0x3f];
    accepted.extend_from_slice(&[0; 39]);
    let nonsense = [0, 0, 0, 14, 6, 0, 0, 0, 0, 0, 0xee, 0xee, 0xee, 0xee];
    for answer in [
        packet(2, 0, &[1]),
        [packet(2, 0, &accepted), nonsense.to_vec()].concat(),
        packet(5, 0, &[0, 9]),
    ] {
        let (address, serving) = listener(vec![answer]);
        let (error, took) = connect(&address.to_string(), "connect-timeout=500ms");
        assert!(took < PATIENCE / 2, "{took:?}: {}", full(&error));
        serving.join().unwrap();
    }
}

#[test]
fn a_server_that_hangs_up_is_no_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = thread::spawn(move || drop(listener.accept().unwrap()));
    let (error, _) = connect(&address.to_string(), "");
    assert_eq!(error.kind(), ErrorKind::Connect, "{}", full(&error));
    serving.join().unwrap();
}

#[test]
fn a_refusal_is_told_by_its_number() {
    for (answer, native) in [
        (refused(12514), Some("ORA-12514")),
        (refused(12505), Some("ORA-12505")),
        (refused(12528), Some("ORA-12528")),
        (refusal("(ERR=not a number)"), None),
        (refusal(""), None),
    ] {
        let (address, serving) = listener(vec![answer]);
        let (error, _) = connect(&address.to_string(), "");
        assert_eq!(error.kind(), ErrorKind::Connect, "{}", full(&error));
        assert_eq!(error.native(), native);
        assert!(
            full(&error).contains("the listener refuses"),
            "{}",
            full(&error)
        );
        serving.join().unwrap();
    }
}

#[test]
fn a_request_is_repeated_and_a_redirect_followed() {
    let (node, at_node) = listener(vec![refused(12516)]);
    let place = format!(
        "(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT={}))\0(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=moved)))",
        node.port()
    );
    let length = u16::try_from(place.len()).unwrap().to_be_bytes();
    let data = [&[0, 0], place.as_bytes()].concat();
    let redirect = [packet(5, 0, &length), packet(6, 0, &data)].concat();
    let (first, at_first) = listener(vec![redirect]);
    let (error, _) = connect(&first.to_string(), "");
    assert_eq!(error.native(), Some("ORA-12516"), "{}", full(&error));
    at_first.join().unwrap();
    let heard = at_node.join().unwrap();
    let said = String::from_utf8_lossy(&heard[0]).into_owned();
    assert!(said.contains("SERVICE_NAME=moved"), "{said}");
}

#[test]
fn hosts_are_tried_in_turn() {
    let (standby, at_standby) = listener(vec![refused(12514)]);
    let (last, at_last) = listener(vec![refused(12526)]);
    let hosts = format!("{},{standby},{last}", dead_port());
    let (error, _) = connect(&hosts, "");
    assert_eq!(error.native(), Some("ORA-12526"), "{}", full(&error));
    assert!(error.to_string().contains(&last.to_string()), "{error}");
    at_standby.join().unwrap();
    at_last.join().unwrap();
}

#[test]
fn an_encryption_of_oracle_s_own_is_told() {
    let mut body = vec![1, 0x3f];
    body.extend_from_slice(&[0; 12]);
    body.push(0x10);
    body.extend_from_slice(&[0; 24]);
    let (address, serving) = listener(vec![packet(2, 0, &body)]);
    let (error, _) = connect(&address.to_string(), "");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{}", full(&error));
    assert!(
        full(&error).contains("native network encryption"),
        "{}",
        full(&error)
    );
    serving.join().unwrap();
}

#[test]
fn tls_is_not_spoken_by_everybody() {
    for tls in ["require", "verify"] {
        let (address, serving) = listener(vec![refused(12514)]);
        let (error, _) = connect(&address.to_string(), &format!("tls={tls}"));
        assert_eq!(error.kind(), ErrorKind::Connect, "{}", full(&error));
        assert!(
            full(&error).contains("no TLS can be agreed on"),
            "{}",
            full(&error)
        );
        let heard = serving.join().unwrap();
        // a greeting of TLS, and no word of the account
        assert_eq!(heard[0][0], 22);
    }
}

#[test]
fn urls_that_lack_something_are_told() {
    for (url, kind, word) in [
        (
            "oracle://u:tiger@127.0.0.1:1/s?colour=red",
            ErrorKind::Invalid,
            "colour",
        ),
        ("oracle://127.0.0.1:1/s", ErrorKind::Invalid, "account"),
        (
            "oracle://u@127.0.0.1:1/s",
            ErrorKind::Permission,
            "password",
        ),
        (
            "oracle://u:tiger@127.0.0.1:1",
            ErrorKind::Invalid,
            "service",
        ),
        (
            "oracle://u:tiger@127.0.0.1:1/s?tls=verify&ca=nowhere.pem",
            ErrorKind::Invalid,
            "nowhere.pem",
        ),
    ] {
        let error = db::connect(url, &Options::default()).err().unwrap();
        assert_eq!(error.kind(), kind, "{}", full(&error));
        assert!(full(&error).contains(word), "{}", full(&error));
    }
}
