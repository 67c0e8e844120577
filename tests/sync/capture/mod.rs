//! Changes of a table follow into another database: inserts, updates, deletes, keys that change, unique values that swap, tables that are emptied,
//! rows that are committed late; while the job is killed, and the servers with it.

mod keys;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::chance::{self, Dice, kill_after};
use crate::lab::{Lab, PATIENCE, wait_for};
use crate::place::{Engine, Place};
use crate::services::{self, Private};

const SEED: u64 = 20_261_121;

/// A table with a second unique key, and the same one elsewhere.
fn table(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => {
            "CREATE TABLE t (id BIGINT PRIMARY KEY, code VARCHAR(20) UNIQUE, n NUMERIC(10,2), note TEXT)"
        }
        Engine::Mariadb => {
            "CREATE TABLE t (id BIGINT PRIMARY KEY, code VARCHAR(20) UNIQUE, n DECIMAL(10,2), note TEXT)"
        }
        Engine::Sqlite => {
            "CREATE TABLE t (id INTEGER PRIMARY KEY, code VARCHAR(20) UNIQUE, n NUMERIC(10,2), note TEXT)"
        }
    }
}

/// All rows, as the database's own client shows them.
fn rows(place: &Place) -> String {
    let cells = ["id", "COALESCE(code, '~')", "COALESCE(note, '~')"];
    let cells = match place.engine {
        Engine::Sqlite => cells.join(" || '|' || "),
        // their clients put the stroke between the columns
        Engine::Postgres | Engine::Mariadb => cells.join(", "),
    };
    let lines = place.lines(&format!("SELECT {cells} FROM t ORDER BY id"));
    lines.join("\n")
}

/// The job file of a capture.
fn job(lab: &Lab, name: &str, source: &str, target: &str, more: &str) -> PathBuf {
    lab.write(
        &format!("{name}.xml"),
        format!(
            r#"<sync name="{name}" {more}><source url="{source}"/><target url="{target}"/><table from="t" mode="capture"/></sync>"#
        ),
    )
}

fn capture(lab: &Lab, order: &str, file: &Path) -> String {
    lab.good(
        "jobs",
        ["capture".as_ref(), order.as_ref(), file.as_os_str()],
    )
}

fn run(lab: &Lab, file: &Path) {
    lab.good("jobs", ["run".as_ref(), file.as_os_str()]);
}

/// Runs, and asserts that both sides are equal then.
fn follow(lab: &Lab, file: &Path, source: &Place, target: &Place, what: &str) {
    run(lab, file);
    assert_eq!(rows(target), rows(source), "{what}");
}

fn story(from: Engine, to: Engine) {
    let lab = Lab::new();
    let name = format!("capture_{}_{}", from.name(), to.name());
    let source = Place::new(&lab, from, &format!("{name}_s"));
    let target = Place::new(&lab, to, &format!("{name}_t"));
    source.run(table(from));
    target.run(table(to));
    source.run(
        "INSERT INTO t VALUES (1, 'a', 1.5, 'one'), (2, 'b', 2.5, NULL), (3, NULL, NULL, 'three')",
    );
    let file = job(&lab, &name, &source.url, &target.url, "");
    // nobody captures yet
    let output = lab.run("jobs", ["run".as_ref(), file.as_os_str()]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(text.contains("jobs capture install"), "{text}");
    assert_eq!(
        lab.run("jobs", ["check".as_ref(), file.as_os_str()])
            .status
            .code(),
        Some(78)
    );
    capture(&lab, "install", &file);
    assert!(capture(&lab, "install", &file).contains("already"));
    lab.good("jobs", ["check".as_ref(), file.as_os_str()]);
    source.run("INSERT INTO t VALUES (4, 'd', 4, 'before the first run')");
    follow(
        &lab,
        &file,
        &source,
        &target,
        "the first run copies everything",
    );
    source.run("UPDATE t SET note = 'changed' WHERE id = 2; DELETE FROM t WHERE id = 3; INSERT INTO t VALUES (5, 'e', 5, 'new'); UPDATE t SET id = 40 WHERE id = 4; INSERT INTO t VALUES (4, 'd2', 4, 'reused')");
    assert!(
        capture(&lab, "show", &file).contains("6 changes"),
        "{}",
        capture(&lab, "show", &file)
    );
    follow(&lab, &file, &source, &target, "mixed changes");
    source.run("UPDATE t SET code = 'x' WHERE id = 1; UPDATE t SET code = 'a' WHERE id = 2; UPDATE t SET code = 'b' WHERE id = 1");
    follow(&lab, &file, &source, &target, "unique values swap");
    source.run("UPDATE t SET id = -1 WHERE id = 1; UPDATE t SET id = 1 WHERE id = 2; UPDATE t SET id = 2 WHERE id = -1");
    follow(&lab, &file, &source, &target, "keys swap");
    // somebody else's change of the target is mended when the table is copied anew
    target.run("DELETE FROM t WHERE id = 5");
    follow(&lab, &file, &target, &target, "nothing to do");
    capture(&lab, "resync", &file);
    follow(&lab, &file, &source, &target, "copied anew");
    if from == Engine::Postgres {
        source.run("TRUNCATE t; INSERT INTO t VALUES (1, 'z', 1, 'after')");
        follow(&lab, &file, &source, &target, "emptied at once");
    }
    source.run("DELETE FROM t");
    follow(&lab, &file, &source, &target, "emptied row by row");
    capture(&lab, "remove", &file);
    source.run("INSERT INTO t VALUES (9, 'i', 9, 'unseen')");
    assert!(capture(&lab, "show", &file).contains("not captured"));
    let output = lab.run("jobs", ["run".as_ref(), file.as_os_str()]);
    assert_eq!(output.status.code(), Some(78));
    // captured again: what happened meanwhile is not forgotten
    capture(&lab, "install", &file);
    follow(&lab, &file, &source, &target, "captured again");
}

#[test]
fn changes_of_postgres_follow_into_mariadb() {
    story(Engine::Postgres, Engine::Mariadb);
}

#[test]
fn changes_of_mariadb_follow_into_postgres() {
    story(Engine::Mariadb, Engine::Postgres);
}

#[test]
fn changes_of_sqlite_follow_into_postgres() {
    story(Engine::Sqlite, Engine::Postgres);
}

#[test]
fn changes_of_postgres_follow_into_sqlite() {
    story(Engine::Postgres, Engine::Sqlite);
}

/// A change with a lower number that is committed after one with a higher number was taken.
#[test]
fn a_change_that_is_committed_late_follows_late() {
    for engine in [Engine::Postgres, Engine::Mariadb] {
        let lab = Lab::new();
        let name = format!("capture_late_{}", engine.name());
        let source = Place::new(&lab, engine, &name);
        let target = Place::new(&lab, Engine::Sqlite, &name);
        source.run(table(engine));
        // without a second unique key rows are written over, not anew
        target.run(&table(Engine::Sqlite).replace(" UNIQUE", ""));
        source.run("INSERT INTO t VALUES (1, 'a', 1, 'x'), (2, 'b', 2, 'x')");
        let file = job(&lab, &name, &source.url, &target.url, "");
        capture(&lab, "install", &file);
        run(&lab, &file);
        let mut client = services::client(&source.url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starting a client");
        let mut session = client.stdin.take().expect("its input is piped");
        writeln!(
            session,
            "BEGIN; UPDATE t SET note = 'late' WHERE id = 1; SELECT 'changed';"
        )
        .expect("a session that listens");
        let told = client.stdout.take().expect("its output is piped");
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(told));
        assert_eq!(
            lines.next().expect("an answer").expect("text").trim(),
            "changed"
        );
        source.run("UPDATE t SET note = 'early' WHERE id = 2");
        run(&lab, &file);
        assert_eq!(rows(&target), "1|a|x\n2|b|early");
        writeln!(session, "COMMIT;").expect("a session that listens");
        drop(session);
        assert!(client.wait().expect("reaping a client").success());
        follow(&lab, &file, &source, &target, "the late change");
    }
}

/// SQL of a client that changes rows of its own numbers at random, some of them in transactions that come to nothing.
fn changes(engine: Engine, seed: u64, writer: u64, count: u64) -> String {
    let mut dice = Dice::new(seed.wrapping_add(writer));
    // there, a row that is looked for in vain locks the gap where it would be, against all other writers
    let head = match engine {
        Engine::Mariadb => "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;\n",
        Engine::Postgres | Engine::Sqlite => "",
    };
    let mut sql = head.to_owned();
    let mut open = false;
    for number in 0..count {
        if !open && dice.throw(4) == 0 {
            sql.push_str("BEGIN;\n");
            open = true;
        }
        let mut id = || dice.throw(60) * 4 + writer;
        let (one, other) = (id(), id() + 1_000);
        let statement = match dice.throw(7) {
            0..3 => format!(
                "DELETE FROM t WHERE id = {one}; INSERT INTO t VALUES ({one}, NULL, {number}, 'writer {writer}, {number}');"
            ),
            3..5 => {
                format!("UPDATE t SET note = 'change {number}', n = {number} WHERE id = {one};")
            }
            5 => format!(
                "DELETE FROM t WHERE id = {other}; UPDATE t SET id = {other} WHERE id = {one};"
            ),
            _ => format!("DELETE FROM t WHERE id = {one};"),
        };
        sql.push_str(&statement);
        sql.push('\n');
        if open && dice.throw(5) == 0 {
            sql.push_str(if dice.throw(4) == 0 {
                "ROLLBACK;\n"
            } else {
                "COMMIT;\n"
            });
            open = false;
        }
    }
    if open {
        sql.push_str("COMMIT;\n");
    }
    sql
}

/// Starts writers; each ends by itself.
fn write(place: &Place, seed: u64, count: u64) -> Vec<Child> {
    let start = |writer| {
        let mut client = services::client(&place.url)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("starting a client");
        let (mut session, sql) = (
            client.stdin.take().expect("its input is piped"),
            changes(place.engine, seed, writer, count),
        );
        // a client that is gone is told by how it ended
        std::thread::spawn(move || session.write_all(sql.as_bytes()).is_ok());
        client
    };
    (0..3).map(start).collect()
}

/// A resident job.
fn start(lab: &Lab, file: &Path) -> Child {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(lab.path("resident.log"))
        .expect("a log");
    lab.command("jobs")
        .args(["run", "--resident"])
        .arg(file)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("starting jobs")
}

/// Kills the job so often while writers are busy; in the end both sides are equal.
fn killed(from: Engine, to: Engine) {
    let (kills, count) = (chance::count(12, 200), chance::count(1_500, 40_000));
    let lab = Lab::new();
    let name = format!("capture_kills_{}_{}", from.name(), to.name());
    let source = Place::new(&lab, from, &format!("{name}_s"));
    let target = Place::new(&lab, to, &format!("{name}_t"));
    source.run(table(from));
    target.run(table(to));
    let file = job(
        &lab,
        &name,
        &source.url,
        &target.url,
        r#"every="20ms" resident="true""#,
    );
    capture(&lab, "install", &file);
    let mut writers = write(&source, SEED, count);
    let mut dice = Dice::new(SEED);
    for _ in 0..kills {
        let length = Duration::from_millis(100 + dice.throw(500));
        kill_after(start(&lab, &file), length);
    }
    for writer in &mut writers {
        let ended = writer.wait().expect("reaping a client");
        assert!(ended.success(), "a writer ended with {ended}, seed {SEED}");
    }
    follow(
        &lab,
        &file,
        &source,
        &target,
        &format!("after {kills} kills, seed {SEED}"),
    );
    assert!(
        rows(&source).lines().count() > 20,
        "the writers left too little, seed {SEED}"
    );
    assert!(capture(&lab, "show", &file).contains("0 changes"));
}

#[test]
fn kills_lose_no_change_of_postgres() {
    killed(Engine::Postgres, Engine::Mariadb);
}

#[test]
fn kills_lose_no_change_of_mariadb() {
    killed(Engine::Mariadb, Engine::Postgres);
}

/// Both servers crash and come back while changes are followed.
fn crashes(from: Engine, to: Engine) {
    let lab = Lab::new();
    let server = |engine| match engine {
        Engine::Postgres => Private::start("postgres"),
        Engine::Mariadb | Engine::Sqlite => Private::start("mariadb"),
    };
    let (source, target) = (server(from), server(to));
    let places = [Place::at(from, &source.url), Place::at(to, &target.url)];
    places[0].run(table(from));
    places[1].run(table(to));
    let file = job(
        &lab,
        "capture_crash",
        &source.url,
        &target.url,
        r#"every="20ms" resident="true" backoff="100ms..200ms""#,
    );
    capture(&lab, "install", &file);
    for (round, server) in [&target, &source].into_iter().enumerate() {
        places[0].run(&changes(from, SEED, round as u64, 200));
        let child = start(&lab, &file);
        server.kill();
        // long enough for the job to meet the crash
        kill_after(child, Duration::from_secs(2));
        server.revive();
        wait_for("the server is back", PATIENCE, || {
            services::try_ask(&server.url, "SELECT 1").ok()
        });
        follow(&lab, &file, &places[0], &places[1], "after a crash");
    }
}

#[test]
fn crashes_of_servers_lose_no_change_of_postgres() {
    crashes(Engine::Postgres, Engine::Mariadb);
}

#[test]
fn crashes_of_servers_lose_no_change_of_mariadb() {
    crashes(Engine::Mariadb, Engine::Postgres);
}
