//! The next file is asked for before the server's last word on this one. Servers that bear it, refuse it or hang up at it: every file comes,
//! once and whole, from each of them. A small script of FTP answers stands in for them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use super::{element, run, tree};
use crate::lab::Lab;

const FILES: usize = 12;

/// What a server does with commands that come in one piece.
#[derive(Clone, Copy)]
enum Manner {
    Bears,
    Refuses,
    HangsUp,
    /// The last file is gone when it is asked for.
    Lacks,
}

/// Starts a server; tells its address and how often it was asked in haste.
fn server(manner: Manner) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = listener.local_addr().expect("its address").to_string();
    let hasty = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&hasty);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let hasty = Arc::clone(&counted);
            // a client that is gone ends the talk
            thread::spawn(move || drop(talk(client, manner, &hasty)));
        }
    });
    (host, hasty)
}

fn talk(mut client: TcpStream, manner: Manner, hasty: &AtomicUsize) -> std::io::Result<()> {
    let mut data = None;
    let mut piece = [0; 4096];
    client.write_all(b"220 at your service\r\n")?;
    loop {
        let length = client.read(&mut piece)?;
        let said = String::from_utf8_lossy(&piece[..length]).into_owned();
        if length == 0 {
            return Ok(());
        }
        let in_haste = said.lines().count() > 1;
        if in_haste {
            hasty.fetch_add(1, Relaxed);
            if matches!(manner, Manner::HangsUp) {
                return Ok(());
            }
        }
        for line in said.lines() {
            let refuses = in_haste && matches!(manner, Manner::Refuses);
            answer(&mut client, &mut data, line, manner, refuses)?;
        }
    }
}

fn answer(
    out: &mut TcpStream,
    data: &mut Option<TcpListener>,
    line: &str,
    manner: Manner,
    refuses: bool,
) -> std::io::Result<()> {
    let (verb, word) = line.split_once(' ').unwrap_or((line, ""));
    match verb {
        "USER" => out.write_all(b"331 password\r\n"),
        "PASS" => out.write_all(b"230 in\r\n"),
        "FEAT" => out.write_all(
            b"211-Features\r\n MLST type*;size*;modify*;\r\n EPSV\r\n SIZE\r\n211 End\r\n",
        ),
        "PWD" => out.write_all(b"257 \"/\"\r\n"),
        "EPSV" => {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let port = listener.local_addr()?.port();
            *data = Some(listener);
            write!(out, "229-well\r\n229 fine (|||{port}|)\r\n")
        }
        "RETR" if refuses => {
            *data = None;
            out.write_all(b"503 one thing at a time\r\n")
        }
        "RETR" | "SIZE" if matches!(manner, Manner::Lacks) && word.ends_with("11") => {
            *data = None;
            out.write_all(b"550 no such file\r\n")
        }
        "SIZE" => out.write_all(b"213 6\r\n"),
        "MLSD" | "RETR" => {
            out.write_all(b"150 here it comes\r\n")?;
            if let Some(listener) = data.take() {
                let (mut stream, _) = listener.accept()?;
                if verb == "RETR" {
                    write!(stream, "{:>6}", word.trim_start_matches("/x/"))?;
                } else {
                    for n in 0..FILES {
                        write!(stream, "type=file;size=6;modify=20200101000000; {n}\r\n")?;
                    }
                }
            }
            out.write_all(b"226 done\r\n")
        }
        _ => out.write_all(b"200 fine\r\n"),
    }
}

/// Fetches all files; tells how often the server was asked in haste.
fn fetch(manner: Manner, expected: usize) -> usize {
    let lab = Lab::new();
    let (host, hasty) = server(manner);
    let server = element(&host, "timeout=\"60s\"");
    let get = "<get from=\"/x\" to=\"in\" stable=\"0s\" connections=\"2\"/>";
    let output = run(&lab, "haste", &format!("{server}{get}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let came = tree(&lab.path("in"));
    assert_eq!(came.len(), expected, "{said}");
    for n in 0..expected {
        let content = std::fs::read_to_string(lab.path("in").join(n.to_string()));
        assert_eq!(content.expect("a file"), format!("{n:>6}"), "{said}");
    }
    hasty.load(Relaxed)
}

#[test]
fn the_next_file_is_asked_for_before_its_turn() {
    let hasty = fetch(Manner::Bears, FILES);
    assert!(hasty > 0 && hasty <= FILES, "{hasty}");
}

#[test]
fn a_server_that_refuses_haste_is_asked_step_by_step() {
    let hasty = fetch(Manner::Refuses, FILES);
    // by each of the two connections at most, until it is known
    assert!((1..=4).contains(&hasty), "{hasty}");
}

#[test]
fn a_server_that_hangs_up_at_haste_is_asked_step_by_step() {
    let hasty = fetch(Manner::HangsUp, FILES);
    assert!((1..=4).contains(&hasty), "{hasty}");
}

#[test]
fn a_file_that_is_gone_when_its_turn_comes_leaves_the_others_alone() {
    fetch(Manner::Lacks, FILES - 1);
}
