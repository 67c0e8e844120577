//! An ingest into a real SQLite database, on a disk that is a fake one.

mod loading;
mod looks;
mod power;
mod rejects;

use std::path::Path;

use super::*;
use crate::disk::{Disk, FakeDisk};

fn job(table: &str) -> Ingest {
    let xml = format!(r#"<ingest><target url="sqlite:t.db"/><input dir="in"/>{table}</ingest>"#);
    let file = jobfile::JobFile::from_text(Path::new("i.xml"), xml.as_bytes()).unwrap();
    Ingest::new(file.params().unwrap()).unwrap()
}

/// A home on a fake disk, and a real database beside it.
struct Bench {
    dir: tempfile::TempDir,
    disk: FakeDisk,
    db: rusqlite::Connection,
}

impl Bench {
    fn new(sql: &str) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let db = rusqlite::Connection::open(dir.path().join("t.db")).unwrap();
        db.execute_batch(&format!("PRAGMA journal_mode=WAL; {sql}"))
            .unwrap();
        Bench {
            dir,
            disk: FakeDisk::new(),
            db,
        }
    }

    fn put(&self, name: &str, text: &str) {
        self.disk
            .put(&self.dir.path().join("in").join(name), text.as_bytes());
    }

    fn cx(&self) -> Context {
        Context::fake_on(&self.disk, self.dir.path())
    }

    fn run(&self, table: &str) -> Result<Tally, Error> {
        job(table).run(&mut self.cx())
    }

    /// All rows of a query, cells joined by `|`, rows by spaces.
    fn rows(&self, sql: &str) -> String {
        let mut statement = self.db.prepare(sql).unwrap();
        let width = statement.column_count();
        let rows = statement
            .query_map([], |row| {
                let cell = |at| {
                    row.get_ref(at).map(|value| match value {
                        rusqlite::types::ValueRef::Null => "NULL".to_owned(),
                        rusqlite::types::ValueRef::Integer(n) => n.to_string(),
                        rusqlite::types::ValueRef::Real(n) => n.to_string(),
                        rusqlite::types::ValueRef::Text(text) => {
                            String::from_utf8_lossy(text).into_owned()
                        }
                        rusqlite::types::ValueRef::Blob(bytes) => format!("{bytes:?}"),
                    })
                };
                (0..width)
                    .map(cell)
                    .collect::<Result<Vec<_>, _>>()
                    .map(|cells| cells.join("|"))
            })
            .unwrap();
        rows.collect::<Result<Vec<_>, _>>().unwrap().join(" ")
    }

    /// Names of files in a folder of the home, in order.
    fn names(&self, folder: &str) -> Vec<String> {
        let folder = self.dir.path().join(folder);
        let here = |path: &Path| path.parent() == Some(&*folder);
        self.disk
            .files()
            .keys()
            .filter(|path| here(path))
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect()
    }

    fn text(&self, path: &str) -> String {
        String::from_utf8(self.disk.files()[&self.dir.path().join(path)].clone()).unwrap()
    }
}

const T: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, n REAL CHECK (n < 100))";
