//! A server that means harm: names that lead elsewhere, listings without an end, lines without an end, bytes that trickle. A small
//! script of FTP answers stands in for it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::{element, run, tree};
use crate::lab::Lab;

/// Writes a listing; it may never end.
type Lister = fn(&mut TcpStream) -> std::io::Result<()>;

/// Starts a server whose every folder is listed so, and whose every file holds `x`.
fn evil(list: Lister) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = listener.local_addr().expect("its address").to_string();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // a client that is gone ends the talk
            thread::spawn(move || drop(talk(&client, list)));
        }
    });
    host
}

fn talk(client: &TcpStream, list: Lister) -> std::io::Result<()> {
    let mut out = client.try_clone()?;
    let data = TcpListener::bind("127.0.0.1:0")?;
    let port = data.local_addr()?.port();
    out.write_all(b"220 at your service\r\n")?;
    for line in BufReader::new(client).lines() {
        let line = line?;
        let (verb, word) = line.split_once(' ').unwrap_or((&line, ""));
        match verb {
            "USER" => out.write_all(b"331 password\r\n")?,
            "PASS" => out.write_all(b"230 in\r\n")?,
            "FEAT" => out.write_all(b"211-Features\r\n MLST type*;size*;modify*;\r\n EPSV\r\n REST STREAM\r\n SIZE\r\n211 End\r\n")?,
            "PWD" => out.write_all(b"257 \"/\"\r\n")?,
            "EPSV" => write!(out, "229 fine (|||{port}|)\r\n")?,
            "SIZE" => out.write_all(b"213 1\r\n")?,
            "MLSD" | "RETR" => {
                out.write_all(b"150 here it comes\r\n")?;
                let (mut stream, _) = data.accept()?;
                let sent = if verb == "MLSD" { list(&mut stream) } else { stream.write_all(b"x") };
                drop(stream);
                if sent.is_err() {
                    return Ok(());
                }
                out.write_all(b"226 done\r\n")?;
            }
            "CWD" if word.len() > 300 => out.write_all(b"550 too deep\r\n")?,
            "CWD" => out.write_all(b"250 fine\r\n")?,
            _ => out.write_all(b"200 fine\r\n")?,
        }
    }
    Ok(())
}

fn get(list: Lister, further: &str) -> (Lab, Option<i32>, String, Duration) {
    let lab = Lab::new();
    let server = element(&evil(list), "retries=\"0\" timeout=\"3s\"");
    let begun = Instant::now();
    let output = run(
        &lab,
        "evil",
        &format!("{server}<get from=\"/x\" to=\"in\" stable=\"0s\" {further}/>"),
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (lab, output.status.code(), said, begun.elapsed())
}

#[test]
fn names_that_lead_elsewhere_are_refused_and_the_others_come() {
    let (lab, code, said, _) = get(
        |stream| {
            for name in [
                "../up",
                "/etc/cron.d/root",
                "sub/../../up",
                "a\rDELE b",
                "..",
                ".",
                ".hidden",
                "\0zero",
                "good",
            ] {
                write!(stream, "type=file;size=1;modify=20200101000000; {name}\r\n")?;
            }
            stream.write_all(b"type=file;size=1;modify=20200101000000; \xff\xfe\r\n")
        },
        "",
    );
    assert_eq!(code, Some(65), "{said}");
    assert!(
        said.contains("refused") && said.contains("leave its folder"),
        "{said}"
    );
    assert_eq!(
        tree(&lab.path("in")).into_keys().collect::<Vec<_>>(),
        ["good"]
    );
    assert!(!lab.path("up").exists());
    // when it is met, not with every further look at the folder
    assert_eq!(said.matches("/etc/cron.d/root").count(), 1, "{said}");
}

#[test]
fn a_folder_in_the_way_of_a_file_is_named() {
    let lister: Lister =
        |stream| stream.write_all(b"type=file;size=1;modify=20200101000000; good\r\n");
    let lab = Lab::new();
    fs::create_dir_all(lab.path("in/good/x")).expect("a folder");
    let server = element(&evil(lister), "retries=\"0\"");
    let content = format!("{server}<get from=\"/x\" to=\"in\" stable=\"0s\"/>");
    let output = run(&lab, "evil", &content);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(74), "{said}");
    assert!(said.contains("in/good: Is a directory"), "{said}");
    assert!(!said.contains(".part"), "{said}");
}

#[test]
fn folders_inside_each_other_without_an_end_come_to_one() {
    let (lab, code, said, _) = get(
        |stream| {
            stream.write_all(b"type=dir; again\r\ntype=file;size=1;modify=20200101000000; f\r\n")
        },
        "recurse=\"true\"",
    );
    assert_eq!(code, Some(0), "{said}");
    assert!(tree(&lab.path("in")).len() <= 64);
}

#[test]
fn a_line_without_an_end_is_refused() {
    let (_, code, said, took) = get(
        |stream| loop {
            stream.write_all(&[b'a'; 4096])?
        },
        "",
    );
    assert_eq!(code, Some(65), "{said}");
    assert!(
        said.contains("too long") && took < Duration::from_secs(90),
        "{said}"
    );
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let (_, code, said, took) = get(
        |stream| {
            stream.write_all(b"type=file;size=1; f")?;
            thread::park_timeout(Duration::from_secs(120));
            Ok(())
        },
        "",
    );
    assert_eq!(code, Some(69), "{said}");
    assert!(
        said.contains("silent") && took < Duration::from_secs(90),
        "{said} {took:?}"
    );
}

#[test]
fn a_file_of_another_length_than_listed_is_not_taken() {
    let (lab, code, said, _) = get(
        |stream| stream.write_all(b"type=file;size=5;modify=20200101000000; f\r\n"),
        "",
    );
    assert_eq!(code, Some(0), "{said}");
    assert!(
        tree(&lab.path("in")).is_empty() && said.contains("changed"),
        "{said}"
    );
}
