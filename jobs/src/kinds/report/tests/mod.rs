//! Reports against real SQLite databases.

mod looks;
mod power;
mod results;
mod windows;

use std::path::Path;

use chrono::{DateTime, Utc};

use super::*;
use crate::disk::FakeDisk;
use crate::job;

fn try_job(xml: &str) -> Result<Report, Invalid> {
    let file = jobfile::JobFile::from_text(Path::new("r.xml"), xml.as_bytes()).unwrap();
    Report::new(file.params().unwrap())
}

/// A report over the days from the first of January on.
fn daily(body: &str) -> Report {
    try_job(&format!(
        r#"<report><database url="sqlite:s.db"/><period size="day" start="2026-01-01" delay="1h"/>{body}</report>"#
    ))
    .unwrap()
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A source with a sale an hour from the first to the tenth of January, and tables for what is derived.
fn source(dir: &Path) -> rusqlite::Connection {
    let db = rusqlite::Connection::open(dir.join("s.db")).unwrap();
    db.execute_batch(
        "PRAGMA journal_mode=WAL; CREATE TABLE sale (at TEXT, amount INTEGER);
         CREATE TABLE log (day TEXT, sales INTEGER); CREATE TABLE daily (day TEXT PRIMARY KEY, amount INTEGER, note TEXT);
         WITH RECURSIVE h(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM h WHERE n < 239)
         INSERT INTO sale SELECT datetime('2026-01-01', n || ' hours'), n FROM h",
    )
    .unwrap();
    db
}

fn text(db: &rusqlite::Connection, sql: &str) -> String {
    db.query_row(sql, [], |row| row.get::<_, Option<String>>(0))
        .unwrap()
        .unwrap_or_default()
}

const LOG: &str = "<step>INSERT INTO log SELECT :from, count(*) FROM sale WHERE at >= :from AND at &lt; :to</step>";

const LOGGED: &str = "SELECT group_concat(substr(day, 9, 2) || ':' || sales, ' ') FROM log";

const SELECT: &str = "<select>SELECT substr(:from, 1, 10) AS day, sum(amount) AS amount FROM sale WHERE at >= :from AND at &lt; :to</select>";

const DAILY: &str = "SELECT group_concat(substr(day, 9, 2) || ':' || amount, ' ') FROM (SELECT * FROM daily ORDER BY day)";
