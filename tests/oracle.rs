//! Jobs on an Oracle server that is not there: each says so in words, ends in time and with the code of a server that is not reachable.
//! There is no Oracle server to run anything on.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Instant;

use crate::lab::{Lab, PATIENCE};

const PASSWORD: &str = "s3cret-tiger";

/// Runs each kind that works on databases against that port; what each says, with its exit code.
fn run(port: u16) -> Vec<(i32, String)> {
    let lab = Lab::new();
    lab.write("in/W_1.csv", "id\n1\n");
    let url = format!("oracle://scott:{PASSWORD}@127.0.0.1:{port}/orcl?connect-timeout=1s");
    let jobs = [
        format!(
            r#"<extract name="x"><source url="{url}"/><table name="weather"/><output dir="out" file="W"/></extract>"#
        ),
        format!(
            r#"<ingest name="x"><target url="{url}"/><input dir="in"/><table match="W_*.csv" name="weather"/></ingest>"#
        ),
    ];
    let each = jobs.iter().map(|xml| {
        let job = lab.write("x.xml", xml);
        let output = lab.run("jobs", ["run".as_ref(), job.as_os_str()]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains(PASSWORD), "{said}");
        (output.status.code().unwrap_or(-1), said)
    });
    each.collect()
}

#[test]
fn nobody_listens() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("its number").port()
    };
    for (code, said) in run(port) {
        assert_eq!(code, 69, "{said}");
        assert!(said.contains("refused"), "{said}");
    }
}

#[test]
fn listeners_that_are_of_no_use() {
    let refused = b"(DESCRIPTION=(ERR=12514))";
    let mut packet = vec![0, 37, 0, 0, 4, 0, 0, 0, 0x22, 0, 0, 25];
    packet.extend_from_slice(refused);
    for (answer, word) in [
        (Vec::new(), "no answer within 1s"),
        (
            b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
            "does not speak Oracle's protocol",
        ),
        (packet, "ORA-12514"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its number").port();
        thread::spawn(move || {
            for caller in listener.incoming() {
                let mut caller = caller.expect("a caller");
                let mut rest = [0; 4096];
                let _request = caller.read(&mut rest).expect("a request");
                caller.write_all(&answer).expect("an answer");
                while answer.is_empty() && caller.read(&mut rest).is_ok_and(|length| length > 0) {}
            }
        });
        let begun = Instant::now();
        for (code, said) in run(port) {
            assert_eq!(code, 69, "{said}");
            assert!(said.contains(word), "{said}");
        }
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    }
}
