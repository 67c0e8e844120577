//! The line is cut after the COMMIT has gone out and before its answer is back: the ledger knows what came of it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Delivery, TABLE, job};
use crate::lab::Lab;
use crate::services;

/// Stands between a job and its server, and cuts the line once: after the COMMIT of the file's transaction has gone to the server,
/// before its answer comes back.
struct Cutter {
    port: u16,
    cut: Arc<AtomicBool>,
}

impl Cutter {
    fn before(server: String) -> Cutter {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let cut = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&cut);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (server, seen) = (server.clone(), Arc::clone(&seen));
                std::thread::spawn(move || relay(&client, &server, &seen));
            }
        });
        Cutter { port, cut }
    }
}

fn relay(client: &TcpStream, server: &str, cut: &AtomicBool) {
    let server = TcpStream::connect(server).expect("the server is there");
    let (mut back_from, mut back_to) = (
        server.try_clone().expect("a second handle"),
        client.try_clone().expect("a second handle"),
    );
    let silent = Arc::new(AtomicBool::new(false));
    let quiet = Arc::clone(&silent);
    let back = std::thread::spawn(move || {
        let mut piece = [0; 65_536];
        while let Ok(length @ 1..) = back_from.read(&mut piece) {
            if quiet.load(Ordering::SeqCst) || back_to.write_all(&piece[..length]).is_err() {
                break;
            }
        }
        let _closed = back_to.shutdown(Shutdown::Both);
    });
    let (mut from, mut to) = (client, &server);
    let mut piece = [0; 65_536];
    let mut entered = false;
    while let Ok(length @ 1..) = from.read(&mut piece) {
        let has = |word: &[u8]| piece[..length].windows(word.len()).any(|part| part == word);
        entered |= has(b"UPDATE procctl_ledger");
        if entered && has(b"COMMIT") && !cut.swap(true, Ordering::SeqCst) {
            silent.store(true, Ordering::SeqCst);
        }
        if to.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    let _closed = server.shutdown(Shutdown::Write);
    // whoever reads has it all, or is gone
    let _ended = back.join();
}

fn survives_a_lost_answer(server: &str, name: &str) {
    let lab = Lab::new();
    let url = services::database(server, name);
    services::ask(&url, TABLE);
    let (head, rest) = url.split_once('@').expect("an account");
    let (address, database) = rest.split_once('/').expect("a database");
    let cutter = Cutter::before(address.to_owned());
    let through = format!("{head}@127.0.0.1:{}/{database}?tls=none", cutter.port);
    let mut delivery = Delivery { lab: &lab, next: 0 };
    delivery.files(3);
    let output = lab.run("jobs", ["run", &job(&through, "", "")]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        cutter.cut.load(Ordering::SeqCst),
        "no COMMIT was seen: {told}"
    );
    assert!(output.status.success(), "{told}");
    assert!(told.contains("trying again"), "{told}");
    assert!(
        told.contains("loaded before, not again"),
        "the ledger should have known: {told}"
    );
    delivery.assert_arrived(&url, "t");
}

#[test]
fn a_commit_whose_answer_is_lost_is_found_in_the_ledger() {
    survives_a_lost_answer(services::postgres(), "lost_answer");
    survives_a_lost_answer(services::mariadb(), "lost_answer");
}
