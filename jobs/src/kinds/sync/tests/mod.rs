//! A sync between real SQLite databases: what becomes of rows, of guards, and of a run that is stopped anywhere.

mod increment;
mod looks;
mod renewal;
mod tables;

use std::path::Path;

use super::*;

fn job(inner: &str) -> Sync {
    let xml =
        format!(r#"<sync><source url="sqlite:s.db"/><target url="sqlite:t.db"/>{inner}</sync>"#);
    let file = jobfile::JobFile::from_text(Path::new("s.xml"), xml.as_bytes()).unwrap();
    Sync::new(file.params().unwrap()).unwrap()
}

fn database(dir: &Path, name: &str, sql: &str) -> rusqlite::Connection {
    let db = rusqlite::Connection::open(dir.join(name)).unwrap();
    db.execute_batch("PRAGMA journal_mode=WAL").unwrap();
    db.execute_batch(sql).unwrap();
    db
}

/// All rows of a query as text.
fn rows(db: &rusqlite::Connection, sql: &str) -> Vec<String> {
    let mut statement = db.prepare(sql).unwrap();
    let width = statement.column_count();
    let text = |value: rusqlite::types::Value| match value {
        rusqlite::types::Value::Null => "-".to_owned(),
        rusqlite::types::Value::Integer(number) => number.to_string(),
        rusqlite::types::Value::Real(number) => number.to_string(),
        rusqlite::types::Value::Text(text) => text,
        rusqlite::types::Value::Blob(bytes) => format!("{bytes:?}"),
    };
    let found = statement.query_map([], |row| {
        let cells = (0..width).map(|at| row.get(at).map(text));
        cells
            .collect::<Result<Vec<String>, _>>()
            .map(|cells| cells.join("|"))
    });
    found.unwrap().map(Result::unwrap).collect()
}

const PLAIN: &str =
    "CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, size REAL, day DATE)";

fn fill(db: &rusqlite::Connection, count: i64) {
    let mut insert = db
        .prepare("INSERT INTO a VALUES (?1, 'row ' || ?1, ?1 / 4.0, '2026-11-21')")
        .unwrap();
    // a commit for each row would take a sync of the disk for each
    db.execute_batch("BEGIN").unwrap();
    for id in 1..=count {
        insert.execute([id]).unwrap();
    }
    db.execute_batch("COMMIT").unwrap();
}
