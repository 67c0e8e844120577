//! What is SQLite's own; what all backends share is in `tests/conformance`.

use crate::{Connection, Error, ErrorKind, Kind, Load, Loaded, Mode, Options, TableName, connect};
use std::error::Error as _;
use std::path::Path;

fn open(path: &Path, params: &str) -> Result<Box<dyn Connection>, Error> {
    connect(
        &format!("sqlite:{}{params}", path.display()),
        &Options::default(),
    )
}

fn memory() -> Box<dyn Connection> {
    connect("sqlite::memory:", &Options::default()).unwrap()
}

fn one(connection: &mut dyn Connection, sql: &str) -> Option<String> {
    let mut rows = connection.query(sql, &[]).unwrap();
    let row = rows.fetch().unwrap().unwrap();
    row.cell(0)
        .map(|text| String::from_utf8(text.to_vec()).unwrap())
}

fn load(connection: &mut dyn Connection, column: &str, values: &[&str]) -> Loaded {
    let (table, columns) = (TableName::new("t"), [column.to_owned()]);
    let into = Load {
        table: &table,
        columns: &columns,
        mode: Mode::Append,
    };
    let mut loader = connection.load(&into).unwrap();
    for value in values {
        loader.push(&[Some(value.as_bytes())]).unwrap();
    }
    loader.finish().unwrap()
}

#[test]
fn a_new_file_gets_wal_and_an_old_one_keeps_its_journal() {
    let dir = tempfile::tempdir().unwrap();
    let journal =
        |path: &Path, params: &str| one(&mut *open(path, params).unwrap(), "PRAGMA journal_mode");
    let (new, old) = (dir.path().join("new.db"), dir.path().join("old.db"));
    assert_eq!(journal(&new, "").as_deref(), Some("wal"));
    rusqlite::Connection::open(&old)
        .unwrap()
        .execute_batch("CREATE TABLE t (a)")
        .unwrap();
    assert_eq!(journal(&old, "").as_deref(), Some("delete"));
    assert_eq!(journal(&old, "?journal=wal").as_deref(), Some("wal"));
    assert_eq!(journal(&old, "?mode=ro").as_deref(), Some("wal"));
    let mut durable = open(&old, "").unwrap();
    assert_eq!(
        one(&mut *durable, "PRAGMA synchronous").as_deref(),
        Some("2")
    );
    assert_eq!(
        one(&mut *durable, "PRAGMA foreign_keys").as_deref(),
        Some("1")
    );
    assert_eq!(
        open(&old, "?mode=rx").err().unwrap().kind(),
        ErrorKind::Invalid
    );
}

#[test]
fn what_cannot_be_opened_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let error = open(&dir.path().join("none/t.db"), "").err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(error.source().unwrap().to_string().contains("no folder"));
    assert!(open(&dir.path().join("t.db"), "?mode=rw").is_err());
    assert!(!dir.path().join("t.db").exists(), "a look makes no file");
    let garbage = dir.path().join("garbage.db");
    std::fs::write(&garbage, [b'x'; 9000]).unwrap();
    assert_eq!(open(&garbage, "").err().unwrap().kind(), ErrorKind::Invalid);
    let read_only = dir.path().join("ro.db");
    open(&read_only, "")
        .unwrap()
        .batch("CREATE TABLE t (a)")
        .unwrap();
    let mut connection = open(&read_only, "?mode=ro").unwrap();
    assert_eq!(
        connection
            .execute("INSERT INTO t VALUES (1)", &[])
            .unwrap_err()
            .kind(),
        ErrorKind::Permission
    );
}

#[test]
fn many_may_make_the_same_file_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.db");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let path = &path;
            scope.spawn(move || {
                let mut connection = open(path, "").unwrap();
                connection
                    .batch("CREATE TABLE IF NOT EXISTS t (n INTEGER)")
                    .unwrap();
                load(&mut *connection, "n", &[&number.to_string()]);
            });
        }
    });
    assert_eq!(
        one(&mut *open(&path, "").unwrap(), "SELECT count(*) FROM t").as_deref(),
        Some("8")
    );
}

#[test]
fn values_that_are_not_of_their_columns_kind_still_pass() {
    let mut connection = memory();
    connection
        .batch("CREATE TABLE t (i INTEGER, b BLOB, x TEXT, a); INSERT INTO t VALUES ('abc', 'hi', x'00ff', 9e999)")
        .unwrap();
    let mut rows = connection.query("SELECT * FROM t", &[]).unwrap();
    let row = rows.fetch().unwrap().unwrap();
    let cells: Vec<&[u8]> = row.cells().flatten().collect();
    assert_eq!(cells, [&b"abc"[..], b"6869", b"00ff", b"Infinity"]);
}

#[test]
fn text_that_is_no_utf8_is_an_error_of_its_column() {
    let mut connection = memory();
    let mut rows = connection
        .query("SELECT 1 AS n, CAST(x'ff' AS TEXT) AS bad", &[])
        .unwrap();
    let error = rows.fetch().unwrap_err();
    assert_eq!(
        (error.kind(), error.column()),
        (ErrorKind::Type, Some("bad"))
    );
}

#[test]
fn a_decimal_that_would_change_is_refused() {
    let mut connection = memory();
    connection
        .batch("CREATE TABLE t (d NUMERIC(38,10), s STRING_LIKE, j)")
        .unwrap();
    let loaded = load(
        &mut *connection,
        "d",
        &[
            "12.50",
            "123456789012345678901234567890.12",
            "0.30000000000000004",
            "1e2",
            "NaN",
        ],
    );
    let ordinals: Vec<u64> = loaded.rejects.iter().map(|reject| reject.ordinal).collect();
    assert_eq!(ordinals, [1, 4]);
    assert!(
        loaded.rejects[0]
            .error
            .source()
            .unwrap()
            .to_string()
            .contains("TEXT")
    );
    assert_eq!(load(&mut *connection, "j", &["abc", "1.50"]).rows, 2);
    assert_eq!(
        one(
            &mut *connection,
            "SELECT group_concat(j) FROM t WHERE j IS NOT NULL"
        )
        .as_deref(),
        Some("abc,1.50")
    );
}

#[test]
fn strict_tables_and_tables_without_rowid() {
    let mut connection = memory();
    connection
        .batch("CREATE TABLE t (a TEXT, n INT, v ANY, PRIMARY KEY (n, a)) STRICT, WITHOUT ROWID; CREATE TABLE r (id INTEGER PRIMARY KEY, v)")
        .unwrap();
    let info = connection
        .dictionary(&TableName::new("T"))
        .unwrap()
        .unwrap();
    assert_eq!(info.primary_key, ["n", "a"]);
    assert!(!info.columns[0].nullable && !info.columns[1].nullable && info.columns[2].nullable);
    let rowid = connection
        .dictionary(&TableName::parse("main.r"))
        .unwrap()
        .unwrap();
    assert!(
        rowid.columns[0].auto && !rowid.columns[0].nullable && rowid.columns[1].kind == Kind::Other
    );
}

#[test]
fn a_partial_or_computed_index_is_no_key() {
    let mut connection = memory();
    connection
        .batch("CREATE TABLE t (a, b, c UNIQUE); CREATE UNIQUE INDEX p ON t (a) WHERE b; CREATE UNIQUE INDEX e ON t (lower(a)); CREATE UNIQUE INDEX u ON t (b, a)")
        .unwrap();
    let info = connection
        .dictionary(&TableName::new("t"))
        .unwrap()
        .unwrap();
    assert_eq!(
        info.uniques,
        [vec!["c".to_owned()], vec!["b".to_owned(), "a".to_owned()]]
    );
}

#[test]
fn a_trigger_that_rolls_back_ends_the_load_cleanly() {
    let mut connection = memory();
    connection
        .batch("CREATE TABLE t (n INTEGER); CREATE TRIGGER g BEFORE INSERT ON t WHEN new.n = 2 BEGIN SELECT RAISE(ROLLBACK, 'no'); END")
        .unwrap();
    let (table, columns) = (TableName::new("t"), ["n".to_owned()]);
    let into = Load {
        table: &table,
        columns: &columns,
        mode: Mode::Append,
    };
    let mut loader = connection.load(&into).unwrap();
    loader.push(&[Some(b"1")]).unwrap();
    assert!(
        loader.push(&[Some(b"2")]).is_err(),
        "rows before it are gone: no mere reject"
    );
    drop(loader);
    assert!(!connection.in_transaction());
    assert_eq!(
        one(&mut *connection, "SELECT count(*) FROM t").as_deref(),
        Some("0")
    );
}
