//! A database that a story plays on: a server by its own client, or a SQLite file; and those who change its rows meanwhile.

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::chance::Dice;
use crate::services;

/// A database.
#[derive(Clone)]
pub(super) enum Place {
    Server(String),
    File(PathBuf),
}

impl Place {
    pub(super) fn url(&self) -> String {
        match self {
            Place::Server(url) => url.clone(),
            Place::File(path) => format!("sqlite:{}", path.display()),
        }
    }

    /// Runs SQL; cells of its rows as text, NULL as an empty one.
    pub(super) fn ask(&self, sql: &str) -> Vec<Vec<String>> {
        self.try_ask(sql)
            .unwrap_or_else(|why| panic!("{sql}: {why}"))
    }

    pub(super) fn try_ask(&self, sql: &str) -> Result<Vec<Vec<String>>, String> {
        match self {
            Place::Server(url) => {
                let told = services::try_ask(url, sql)?;
                let line = |line: &str| line.split('|').map(str::to_owned).collect();
                Ok(told.lines().map(line).collect())
            }
            Place::File(path) => ask_file(path, sql).map_err(|error| error.to_string()),
        }
    }

    /// Makes the table `t` with its audit.
    pub(super) fn make_table(&self, rows: u64) {
        for sql in self.ddl(rows) {
            self.ask(&sql);
        }
    }

    fn ddl(&self, rows: u64) -> Vec<String> {
        let columns = "id BIGINT PRIMARY KEY, hot INT NOT NULL, v BIGINT NOT NULL";
        let cells = |id: &str| format!("{id}, CASE WHEN {id} % 10 = 0 THEN 1 ELSE 0 END, 0");
        let words: Vec<String> = match self {
            Place::Server(url) if url.starts_with("postgres:") => vec![
                format!("CREATE TABLE t ({columns}, at TIMESTAMP(3) NOT NULL, note TEXT)"),
                "CREATE TABLE audit (seq BIGSERIAL PRIMARY KEY, id BIGINT, hot INT)".into(),
                "CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO audit (id, hot) VALUES (new.id, new.hot); RETURN new; END'".into(),
                "CREATE TRIGGER audit AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION audit()".into(),
                format!("INSERT INTO t SELECT {}, timestamp '2013-01-01' + n * interval '1 hour', 'ä''\"' || n FROM generate_series(1, {rows}) n", cells("n")),
            ],
            Place::Server(_) => vec![
                format!("CREATE TABLE t ({columns}, at DATETIME(3) NOT NULL, note VARCHAR(100)) CHARACTER SET utf8mb4"),
                "CREATE TABLE audit (seq BIGINT AUTO_INCREMENT PRIMARY KEY, id BIGINT, hot INT)".into(),
                "CREATE TRIGGER audit AFTER UPDATE ON t FOR EACH ROW INSERT INTO audit (id, hot) VALUES (new.id, new.hot)".into(),
                format!("INSERT INTO t SELECT {}, '2013-01-01' + INTERVAL seq HOUR, CONCAT('ä''\"', seq) FROM seq_1_to_{rows}", cells("seq")),
            ],
            Place::File(_) => vec![
                "PRAGMA journal_mode = WAL".into(),
                format!("CREATE TABLE t ({}, at DATETIME NOT NULL, note TEXT)", columns.replace("BIGINT PRIMARY", "INTEGER PRIMARY")),
                "CREATE TABLE audit (seq INTEGER PRIMARY KEY, id BIGINT, hot INT)".into(),
                "CREATE TRIGGER audit AFTER UPDATE ON t BEGIN INSERT INTO audit (id, hot) VALUES (new.id, new.hot); END".into(),
                format!("WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < {rows}) \
                    INSERT INTO t SELECT {}, datetime('2013-01-01', '+' || n || ' hours'), 'ä''\"' || n FROM i", cells("n")),
            ],
        };
        words
    }

    /// Starts to change random rows, until told to stop.
    pub(super) fn disturb(&self, rows: u64, seed: u64) -> Writer {
        let stop = Arc::new(AtomicBool::new(false));
        let (place, told) = (self.clone(), Arc::clone(&stop));
        let thread = thread::spawn(move || match &place {
            Place::Server(url) => disturb_server(url, rows, Dice::new(seed), &told),
            Place::File(path) => disturb_file(path, rows, Dice::new(seed), &told),
        });
        Writer {
            stop,
            thread: Some(thread),
        }
    }
}

fn ask_file(path: &PathBuf, sql: &str) -> rusqlite::Result<Vec<Vec<String>>> {
    let db = rusqlite::Connection::open(path)?;
    db.busy_timeout(Duration::from_secs(60))?;
    let mut statement = db.prepare(sql)?;
    let width = statement.column_count();
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let text = |at: usize| -> rusqlite::Result<String> {
            Ok(match row.get_ref(at)? {
                rusqlite::types::ValueRef::Null => String::new(),
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                rusqlite::types::ValueRef::Real(number) => number.to_string(),
                rusqlite::types::ValueRef::Text(text) | rusqlite::types::ValueRef::Blob(text) => {
                    String::from_utf8_lossy(text).into_owned()
                }
            })
        };
        found.push(
            (0..width)
                .map(text)
                .collect::<rusqlite::Result<Vec<String>>>()?,
        );
    }
    Ok(found)
}

/// Somebody who changes rows.
pub(super) struct Writer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Waits for the last change.
    pub(super) fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it is joined once");
        thread.join().expect("a writer ends in good order");
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A change of one row: cold rows become hot, and hot ones cold.
fn change(rows: u64, dice: &mut Dice) -> String {
    let id = 1 + dice.throw(rows);
    let toggle = if dice.throw(3) == 0 {
        ", hot = 1 - hot"
    } else {
        ""
    };
    format!("UPDATE t SET v = v + 1{toggle} WHERE id = {id}")
}

fn disturb_server(url: &str, rows: u64, mut dice: Dice, stop: &AtomicBool) {
    let mut client = services::client(url);
    let nap = if url.starts_with("postgres:") {
        client.args(["-v", "ON_ERROR_STOP=0"]);
        "SELECT pg_sleep(0.002)"
    } else {
        client.arg("-f");
        "DO SLEEP(0.002)"
    };
    let mut child = client
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starting a client");
    let mut pipe = child.stdin.take().expect("its input is piped");
    while !stop.load(Ordering::Relaxed) {
        let sql = change(rows, &mut dice);
        // the server may be killed, and its client with it; filled up, so that few changes wait in the pipe
        let filling = " ".repeat(400);
        if writeln!(pipe, "{sql}; {nap};{filling}").is_err() {
            break;
        }
    }
    drop(pipe);
    let _ended = child.wait().expect("reaping a client");
}

fn disturb_file(path: &PathBuf, rows: u64, mut dice: Dice, stop: &AtomicBool) {
    let db = rusqlite::Connection::open(path).expect("the database");
    db.busy_timeout(Duration::from_secs(60)).expect("a timeout");
    while !stop.load(Ordering::Relaxed) {
        db.execute(&change(rows, &mut dice), []).expect("a change");
        thread::park_timeout(Duration::from_millis(3));
    }
}
