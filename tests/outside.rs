//! A world outside that is silent, shut or other than the file says: how a job hears a stop meanwhile, and what `jobs check` calls it.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::lab::{Lab, PATIENCE, signal, wait_for};
use crate::services;

/// A job that reads a table of that database.
fn reads(url: &str, table: &str) -> String {
    format!(
        r#"<extract><source url="{url}"/><table name="{table}"/><output dir="out" file="T"/></extract>"#
    )
}

/// A job that waits for that database, and what becomes of it after a signal, which it gets once the server has its call.
fn stopped(lab: &Lab, silent: &TcpListener, xml: &str, by: Signal) -> Option<i32> {
    let file = lab.write("h.xml", xml);
    let mut child = lab
        .command("jobs")
        .arg("run")
        .arg(file)
        .stderr(Stdio::null())
        .spawn()
        .expect("starting jobs");
    let call = wait_for("a call", PATIENCE, || silent.accept().ok());
    let begun = Instant::now();
    signal(child.id(), by);
    let status = wait_for("its end", PATIENCE, || {
        child.try_wait().expect("asking for the child")
    });
    assert!(begun.elapsed() < PATIENCE);
    drop(call);
    status.code()
}

#[test]
fn a_stop_is_heard_while_a_database_is_silent() {
    let lab = Lab::new();
    lab.write("in/W_1.csv", "id\n1\n");
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    silent.set_nonblocking(true).expect("no waiting");
    let place = silent.local_addr().expect("its number");
    for scheme in ["postgres", "mysql", "mssql", "oracle"] {
        let url = format!("{scheme}://me:secret@{place}/base?connect-timeout=10m");
        let code = stopped(&lab, &silent, &reads(&url, "t"), Signal::SIGTERM);
        assert_eq!(code, Some(143), "{scheme}");
    }
    let url = format!("postgres://me:secret@{place}/base?connect-timeout=10m");
    let code = stopped(&lab, &silent, &reads(&url, "t"), Signal::SIGINT);
    assert_eq!(code, Some(130));
    // with workers, each with a connection of its own
    let ingest = format!(
        r#"<ingest workers="2"><target url="{url}"/><input dir="in"/><table match="W_*" name="w"/></ingest>"#
    );
    let code = stopped(&lab, &silent, &ingest, Signal::SIGTERM);
    assert_eq!(code, Some(143));
    assert!(lab.path("in/W_1.csv").exists());
}

#[test]
fn a_look_at_the_world_ends_with_the_code_of_what_is_wrong() {
    let lab = Lab::new();
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("its number")
    };
    let server = services::mariadb();
    let (_, place) = server.split_once('@').expect("an account");
    services::ask(
        server,
        "CREATE TABLE IF NOT EXISTS outside (id int PRIMARY KEY)",
    );
    let away = lab.job(
        "away",
        &reads(&format!("mysql://me:secret@{nobody}/base"), "t"),
    );
    let shut = lab.job(
        "shut",
        &reads(&format!("mysql://nobody:wrong@{place}"), "t"),
    );
    let missing = lab.job("missing", &reads(server, "no_such_table_here"));
    let good = lab.job("good", &reads(server, "outside"));
    let typo = lab.job("typo", "<exec><comand>true</comand></exec>");
    let centre = lab.job(
        "centre",
        &format!(
            r#"<forward><listen address="127.0.0.1:7"/><spool dir="spool"/><deliver url="http://{nobody}/"/></forward>"#
        ),
    );
    for (files, code, words) in [
        (vec![&good], 0, "1 file, no problems"),
        (vec![&away], 69, "away.xml:1:"),
        (vec![&shut], 77, "shut.xml:1:"),
        (vec![&missing], 78, "missing.xml:1:"),
        (vec![&typo], 78, "comand"),
        (vec![&good, &away, &shut], 77, "away.xml:1:"),
        (vec![&away, &typo, &shut], 78, "shut.xml:1:"),
        // it would work, and keep its records
        (vec![&centre], 0, "cannot be reached now"),
    ] {
        let words_of_it: Vec<&std::path::Path> = std::iter::once("check".as_ref())
            .chain(files.iter().map(|path| path.as_path()))
            .collect();
        let output = lab.run("jobs", words_of_it);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{files:?}: {said}");
        assert!(said.contains(words), "{files:?}: {said}");
    }
}
