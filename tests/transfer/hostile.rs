//! Clients that mean no good: whatever they do, the others are served.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::site::{self, Site, content, files};
use crate::chance::count;
use crate::lab::{PATIENCE, wait_for};

fn stranger(site: &Site) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", site.port)).expect("connecting");
    stream
        .set_read_timeout(Some(Duration::from_secs(90)))
        .expect("a deadline");
    stream
}

/// Whether the server ends the connection; what it says before that does not matter.
fn is_shown_out(mut stream: TcpStream) -> bool {
    let mut away = [0; 1024];
    loop {
        match stream.read(&mut away) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

fn serves(site: &Site, n: u64) {
    let name = format!("n{n}.bin");
    site.lab.write(&format!("out/{name}"), content(n, 100));
    let job = site.job(
        "push",
        r#"<put from="out" to="vip" then="delete" stable="0s" sync="false"/>"#,
    );
    let begun = Instant::now();
    site.good(&job);
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "served too slowly"
    );
    assert!(files(&site.lab.path("xfer/vip")).contains_key(&name));
}

#[test]
fn broken_greetings_are_shown_out() {
    let site = Site::new();
    let hello = |length: u32, kind: u8| {
        let mut frame = length.to_le_bytes().to_vec();
        frame.extend([kind, 0, 0, 0]);
        frame
    };
    let http = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
    let too_long = hello(u32::MAX, 1);
    let too_early = hello(2, 10);
    let short = [hello(20, 1), vec![0; 20]].concat();
    let zeros = vec![0; 4096];
    for bytes in [http, too_long, too_early, short, zeros] {
        let mut stream = stranger(&site);
        stream.write_all(&bytes).expect("sending");
        assert!(is_shown_out(stream), "{bytes:?}");
    }
    serves(&site, 1);
}

#[test]
fn wrong_keys_are_refused_and_the_right_one_still_works() {
    let site = Site::new();
    let job = site.lab.job(
        "guess",
        &site::client(
            "guess",
            site.port,
            "node1",
            "a guess",
            r#"<get from="." to="in"/>"#,
        ),
    );
    for _ in 0..count(25, 1000) {
        assert_eq!(site.run(&job).status.code(), Some(77));
    }
    serves(&site, 1);
}

#[test]
fn a_login_that_was_heard_is_worth_nothing_later() {
    let site = Site::new();
    let mut heard = Vec::new();
    {
        // listens to a good login
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let job = site.job_at("heard", port, r#"<get from="." to="in"/>"#);
        let mut child = site
            .lab
            .command("jobs")
            .arg("run")
            .arg(&job)
            .spawn()
            .expect("a client");
        let (mut client, _) = listener.accept().expect("the client");
        let mut server = stranger(&site);
        let mut back = server.try_clone().expect("a second handle");
        let mut to_client = client.try_clone().expect("a second handle");
        let answers = std::thread::spawn(move || std::io::copy(&mut back, &mut to_client));
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = client.read(&mut piece) {
            heard.extend_from_slice(&piece[..length]);
            server.write_all(&piece[..length]).expect("passing on");
        }
        assert!(child.wait().expect("its end").success());
        let _gone = server.shutdown(std::net::Shutdown::Both);
        let _ended = answers.join();
    }
    let mut stream = stranger(&site);
    stream.write_all(&heard).expect("saying it again");
    assert!(is_shown_out(stream));
    let log = site.lab.lines("server.log").join("\n");
    assert!(log.contains("login as \"node1\" refused"), "{log}");
}

#[test]
fn idle_connections_do_not_keep_others_out() {
    let site = Site::new();
    let crowd: Vec<TcpStream> = (0..count(300, 1000)).map(|_| stranger(&site)).collect();
    serves(&site, 1);
    let memory = || {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", site.pid())).expect("its status");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .expect("its memory")
            .to_owned();
        line.split_whitespace()
            .nth(1)
            .and_then(|kib| kib.parse::<u64>().ok())
            .expect("a number")
    };
    assert!(memory() < 64 << 10, "{} KiB", memory());
    let threads = || {
        std::fs::read_dir(format!("/proc/{}/task", site.pid()))
            .expect("its threads")
            .count()
    };
    wait_for("the idle ones are shown out", PATIENCE, || {
        (threads() < 20).then_some(())
    });
    drop(crowd);
    serves(&site, 2);
}

#[test]
fn a_slow_reader_keeps_nobody_waiting() {
    let site = Site::new();
    site.lab.write("xfer/big/big.bin", content(9, 30 << 20));
    let proxy = site.proxy();
    let job = site.job_at(
        "slow",
        proxy.port,
        r#"<get from="big" to="in" stable="0s" sync="false"/>"#,
    );
    let mut child = site
        .lab
        .command("jobs")
        .arg("run")
        .arg(&job)
        .spawn()
        .expect("a client");
    wait_for("bytes move", PATIENCE, || {
        (proxy.bytes() > 1 << 20 || child.try_wait().is_ok_and(|end| end.is_some())).then_some(())
    });
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    let _stopped = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP);
    for n in 0..3 {
        serves(&site, n);
    }
    let _going_on = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT);
    assert!(child.wait().expect("its end").success());
}
