//! The server is killed under load and comes back, or is not there at all.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::{Delivery, TABLE, job, start};
use crate::chance::{Dice, count, pass};
use crate::lab::Lab;
use crate::services::{self, Private};

fn survives_crashes(server: &Private) {
    let crashes = count(3, 20);
    let lab = Lab::new();
    services::ask(&server.url, TABLE);
    let job = job(&server.url, "", r#"commit="200""#);
    let mut delivery = Delivery { lab: &lab, next: 0 };
    let mut dice = Dice::thrown();
    delivery.files(20);
    let begun = Instant::now();
    lab.good("jobs", ["run", &job]);
    let length = begun.elapsed();
    for _ in 0..crashes {
        delivery.files(20);
        let mut child = start(&lab, &job);
        pass(dice.part_of(length));
        server.kill();
        let code = child.wait().expect("reaping the child").code();
        assert!(
            matches!(code, Some(0 | 69)),
            "a server that is gone is 69, not {code:?}"
        );
        let down = lab.run("jobs", ["run", &job]);
        assert!(matches!(down.status.code(), Some(0 | 69)), "{down:?}");
        server.revive();
    }
    lab.good("jobs", ["run", &job]);
    delivery.assert_arrived(&server.url, "t");
}

#[test]
fn postgres_may_crash_under_load() {
    survives_crashes(&Private::start("postgres"));
}

#[test]
fn mariadb_may_crash_under_load() {
    survives_crashes(&Private::start("mariadb"));
}

#[test]
fn a_server_that_is_not_there_is_69_at_once() {
    let lab = Lab::new();
    lab.write("in/a.csv", "id\n1\n");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    drop(listener);
    for scheme in ["postgres", "mysql"] {
        let begun = Instant::now();
        let output = lab.run(
            "jobs",
            [
                "run",
                &job(&format!("{scheme}://u:secret@127.0.0.1:{port}/d"), "", ""),
            ],
        );
        assert_eq!(output.status.code(), Some(69));
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{:?}",
            begun.elapsed()
        );
        assert!(!String::from_utf8_lossy(&output.stderr).contains("secret"));
    }
    assert!(lab.path("in/a.csv").exists());
}
