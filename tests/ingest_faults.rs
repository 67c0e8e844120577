//! Ingest into servers that break, and under SIGKILL: every row is there once, every file ends in `done`.
//!
//! Modest numbers by default; `FULL=1` plays 200 kills of the job on each server and 20 of the server. The seed is printed, `SEED=…` plays it again.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::lab::{Lab, PATIENCE, wait_for};
use crate::services;

/// A small generator of numbers that look random: xorshift.
struct Chance(u64);

impl Chance {
    fn new() -> Chance {
        let seed = std::env::var("SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let now = || {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            since.expect("after 1970").as_micros()
        };
        let seed = seed.unwrap_or_else(|| u64::try_from(now()).expect("micros fit")) | 1;
        // shown by the test runner beside a failure
        let _unseen = writeln!(std::io::stderr(), "SEED={seed}");
        Chance(seed)
    }

    /// A moment up to this long.
    fn part_of(&mut self, most: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        most * u32::try_from(self.0 % 1000).expect("below 1000") / 1000
    }
}

fn full() -> bool {
    std::env::var_os("FULL").is_some()
}

/// Rows that one file brings to each story.
const ROWS: u64 = 300;

/// Delivers files and knows what has to be in the table in the end.
struct Delivery<'l> {
    lab: &'l Lab,
    next: u64,
}

impl Delivery<'_> {
    fn files(&mut self, count: u64) {
        for _ in 0..count {
            let mut text = String::from("id,name,value\n");
            for id in self.next * ROWS..(self.next + 1) * ROWS {
                text.push_str(&format!(
                    "{id},\"row <{id}> & \"\"more\"\"\",{}.5\n",
                    id * 3
                ));
            }
            self.lab.write(&format!("in/f{:06}.csv", self.next), text);
            self.next += 1;
        }
    }

    /// Every row once, every file moved.
    fn assert_arrived(&self, url: &str, table: &str) {
        let rows = self.next * ROWS;
        let sql = format!("SELECT count(*), count(DISTINCT id), sum(value) FROM {table}");
        let sum = 3 * rows * (rows - 1) / 2 + rows / 2;
        let found = services::ask(url, &sql);
        assert_eq!(
            found.trim(),
            format!("{rows}|{rows}|{sum}.0"),
            "rows, different rows, sum"
        );
        let done = fs::read_dir(self.lab.path("in/done"))
            .expect("the folder of loaded files")
            .count();
        assert_eq!(
            u64::try_from(done).expect("a count"),
            self.next,
            "files that were moved"
        );
        let left = fs::read_dir(self.lab.path("in"))
            .expect("the inbox")
            .flatten();
        let left: Vec<_> = left.filter(|entry| entry.path().is_file()).collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

/// A table without any key would take every row twice.
const TABLE: &str = "CREATE TABLE t (id bigint, name varchar(100), value decimal(20,1))";

fn job(url: &str, attributes: &str, table: &str) -> String {
    format!(
        r#"<ingest name="i" {attributes}><target url="{url}"/><input dir="in"/><table match="*.csv" name="t" {table}/></ingest>"#
    )
}

fn start(lab: &Lab, job: &str) -> Child {
    let mut command = lab.command("jobs");
    command
        .args(["run", job])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().expect("starting jobs")
}

/// Kills the child after so long, or finds that it has ended.
fn kill_after(mut child: Child, long: Duration) {
    let begun = Instant::now();
    wait_for("the moment of the kill", PATIENCE, || {
        let ended = child.try_wait().expect("asking for the child").is_some();
        (ended || begun.elapsed() >= long).then_some(())
    });
    // it may have ended by itself
    let _ended = child.kill();
    child.wait().expect("reaping the child");
}

fn survives_kills(server: &str, name: &str, attributes: &str, table: &str) {
    let kills = if full() { 200 } else { 12 };
    let lab = Lab::new();
    let url = services::database(server, name);
    services::ask(&url, TABLE);
    let job = job(&url, attributes, table);
    let mut delivery = Delivery { lab: &lab, next: 0 };
    let mut chance = Chance::new();
    delivery.files(8);
    let begun = Instant::now();
    lab.good("jobs", ["run", &job]);
    let length = begun.elapsed();
    for _ in 0..kills {
        delivery.files(6);
        kill_after(start(&lab, &job), chance.part_of(length));
    }
    lab.good("jobs", ["run", &job]);
    delivery.assert_arrived(&url, "t");
}

#[test]
fn postgres_gets_every_row_once_whatever_is_killed() {
    survives_kills(services::postgres(), "ingest_kills", "", r#"commit="file""#);
}

#[test]
fn mariadb_gets_every_row_once_whatever_is_killed() {
    survives_kills(services::mariadb(), "ingest_kills", "", r#"commit="file""#);
}

#[test]
fn batches_and_workers_are_killed_without_harm() {
    survives_kills(
        services::postgres(),
        "ingest_kills_batch",
        r#"workers="3""#,
        r#"commit="110""#,
    );
    survives_kills(
        services::mariadb(),
        "ingest_kills_batch",
        r#"workers="3""#,
        r#"commit="110""#,
    );
}

/// A server of this story's own, which may crash. It ends with this process, however that ends.
struct Server {
    held: Child,
    folder: String,
    service: &'static str,
    url: String,
}

const SERVICES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/services");

impl Server {
    fn start(service: &'static str, variable: &str) -> Server {
        let mut command = Command::new(SERVICES);
        command
            .args(["hold", service])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut held = command.spawn().expect("starting scripts/services");
        let told = BufReader::new(held.stdout.take().expect("its output is piped"));
        let lines: Vec<String> = told
            .lines()
            .map_while(Result::ok)
            .take_while(|line| line != "ready")
            .collect();
        let value = |name: &str| {
            let line = lines
                .iter()
                .find_map(|line| line.strip_prefix(&format!("{name}=")));
            line.unwrap_or_else(|| panic!("scripts/services told no {name}"))
                .to_owned()
        };
        Server {
            folder: value("SERVICES_DIR"),
            url: value(variable),
            held,
            service,
        }
    }

    fn call(&self, verb: &str) {
        let status = Command::new(SERVICES)
            .args([verb, &self.folder, self.service])
            .stdout(Stdio::null())
            .status();
        assert!(
            status.expect("running scripts/services").success(),
            "{verb} {}",
            self.service
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.held.stdin.take());
        let _reaped = self.held.wait();
    }
}

fn survives_crashes(service: &'static str, variable: &str) {
    let crashes = if full() { 20 } else { 3 };
    let server = Server::start(service, variable);
    let lab = Lab::new();
    services::ask(&server.url, TABLE);
    let job = job(&server.url, "", r#"commit="200""#);
    let mut delivery = Delivery { lab: &lab, next: 0 };
    let mut chance = Chance::new();
    delivery.files(20);
    let begun = Instant::now();
    lab.good("jobs", ["run", &job]);
    let length = begun.elapsed();
    for _ in 0..crashes {
        delivery.files(20);
        let mut child = start(&lab, &job);
        let (long, begun) = (chance.part_of(length), Instant::now());
        wait_for("the moment of the crash", PATIENCE, || {
            (begun.elapsed() >= long).then_some(())
        });
        server.call("kill");
        let code = child.wait().expect("reaping the child").code();
        assert!(
            matches!(code, Some(0 | 69)),
            "a server that is gone is 69, not {code:?}"
        );
        let down = lab.run("jobs", ["run", &job]);
        assert!(matches!(down.status.code(), Some(0 | 69)), "{down:?}");
        server.call("revive");
    }
    lab.good("jobs", ["run", &job]);
    delivery.assert_arrived(&server.url, "t");
}

#[test]
fn postgres_may_crash_under_load() {
    survives_crashes("postgres", "POSTGRES_URL");
}

#[test]
fn mariadb_may_crash_under_load() {
    survives_crashes("mariadb", "MARIADB_URL");
}

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
        told.contains("already loaded"),
        "the ledger should have known: {told}"
    );
    delivery.assert_arrived(&url, "t");
}

#[test]
fn a_commit_whose_answer_is_lost_is_found_in_the_ledger() {
    survives_a_lost_answer(services::postgres(), "lost_answer");
    survives_a_lost_answer(services::mariadb(), "lost_answer");
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

/// Each mode on each server, two files of one table after the other, while other workers load other tables.
fn modes(server: &str, name: &str) {
    let lab = Lab::new();
    let url = services::database(server, name);
    let mut tables = String::new();
    for mode in ["insert", "skip", "upsert", "replace"] {
        services::ask(
            &url,
            &format!(
                "CREATE TABLE {mode}_t (id int PRIMARY KEY, name varchar(20) NOT NULL, n int DEFAULT 7)"
            ),
        );
        services::ask(
            &url,
            &format!("INSERT INTO {mode}_t VALUES (1, 'old', 1), (9, 'old', 9)"),
        );
        tables.push_str(&format!(
            r#"<table match="{mode}_*" name="{mode}_t" mode="{mode}" max-bad="4"/>"#
        ));
        lab.write(
            &format!("in/{mode}_1.csv"),
            "id,name\n1,first\n2,first\n3,\nx,first\n",
        );
        lab.write(&format!("in/{mode}_2.csv"), "name,id\nsecond,2\nsecond,4\n");
    }
    for file in 1..=5 {
        lab.write(
            &format!("in/fresh_{file}.csv"),
            format!("id,day,name\n{file},2024-02-29,0{file}\n"),
        );
    }
    tables.push_str(r#"<table match="fresh_*" name="fresh" create="true" key="id"/>"#);
    let job = format!(
        r#"<ingest name="m" workers="4"><target url="{url}"/><input dir="in"/>{tables}</ingest>"#
    );
    lab.good("jobs", ["run", &job]);
    let fresh = "SELECT count(*), min(name), max(name) FROM fresh WHERE day = '2024-02-29'";
    assert_eq!(services::ask(&url, fresh).trim(), "5|01|05");
    let rows = |mode: &str| {
        let found = services::ask(
            &url,
            &format!("SELECT id, name, n FROM {mode}_t ORDER BY id"),
        );
        found.lines().collect::<Vec<_>>().join(" ")
    };
    // of two files that bring the same new key, `insert` takes one, whichever comes first
    let inserted = rows("insert");
    assert!(
        [
            "1|old|1 2|first|7 4|second|7 9|old|9",
            "1|old|1 2|second|7 4|second|7 9|old|9"
        ]
        .contains(&inserted.as_str()),
        "{inserted}"
    );
    assert_eq!(rows("skip"), "1|old|1 2|first|7 4|second|7 9|old|9");
    assert_eq!(rows("upsert"), "1|first|1 2|second|7 4|second|7 9|old|9");
    assert_eq!(rows("replace"), "2|second|7 4|second|7");
    for mode in ["skip", "upsert", "replace"] {
        let path = lab.path(format!("in/rejects/{mode}_1.csv.rejects.xml"));
        let rejects = fs::read_to_string(&path).expect("a reject file");
        assert_eq!(rejects.matches("<row ").count(), 2, "{mode}: {rejects}");
        assert!(
            rejects.contains(r#"number="3" column="name""#)
                && rejects.contains(r#"number="4" column="id" value="x""#),
            "{rejects}"
        );
        // mended, and given back
        let mended = rejects
            .replace("<id>3</id>", "<id>3</id><name>mended</name>")
            .replace("<id>x</id>", "<id>5</id>");
        lab.write(&format!("in/{mode}_3.xml"), mended);
    }
    lab.good("jobs", ["run", &job]);
    let mended = "3|mended|7 4|second|7 5|first|7 9|old|9";
    assert_eq!(rows("skip"), format!("1|old|1 2|first|7 {mended}"));
    assert_eq!(rows("upsert"), format!("1|first|1 2|second|7 {mended}"));
    assert_eq!(rows("replace"), "3|mended|7 5|first|7");
}

#[test]
fn every_mode_means_the_same_on_every_server() {
    modes(services::postgres(), "ingest_modes");
    modes(services::mariadb(), "ingest_modes");
}
