//! What only MySQL and MariaDB have: several keys under an upsert, tables without transactions, triggers that refuse,
//! a server that falls silent.

use crate::place::{self, Place, load, rows, t};
use db::{Connection, Constraint, ErrorKind, Kind, Load, Mode, Options};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

fn with(sql: &str) -> (Place, Box<dyn Connection>) {
    let place = place::mysql();
    let mut connection = place.connect();
    connection.batch(sql).unwrap();
    (place, connection)
}

fn flat(connection: &mut dyn Connection, sql: &str) -> Vec<String> {
    let null = || "NULL".to_owned();
    let cells = rows(connection, sql).into_iter().flatten();
    cells.map(|cell| cell.unwrap_or_else(null)).collect()
}

fn upsert(connection: &mut dyn Connection, rows: &[[String; 3]]) -> db::Loaded {
    let key = ["id".to_owned()];
    let cells: Vec<[Option<&str>; 3]> = rows
        .iter()
        .map(|[a, b, c]| [Some(a.as_str()), Some(b.as_str()), Some(c.as_str())])
        .collect();
    let cells: Vec<&[Option<&str>]> = cells.iter().map(|row| &row[..]).collect();
    load(
        connection,
        &["id", "code", "v"],
        Mode::Upsert { key: &key },
        &cells,
    )
}

const TWO_KEYS: &str = "CREATE TABLE t (id INT PRIMARY KEY, code INT NOT NULL UNIQUE, v VARCHAR(20) NOT NULL, left_out INT DEFAULT 7)";

#[test]
fn an_upsert_by_one_key_never_touches_the_row_of_another() {
    let (_place, mut connection) = with(TWO_KEYS);
    connection
        .batch("INSERT INTO t VALUES (1, 10, 'a', 1), (2, 20, 'b', 2)")
        .unwrap();
    let row = |id: &str, code: &str, v: &str| [id.to_owned(), code.to_owned(), v.to_owned()];
    let loaded = upsert(
        &mut *connection,
        &[
            row("1", "10", "A"),
            row("3", "20", "clashes with 2"),
            row("2", "10", "clashes with 1"),
            row("4", "40", "new"),
            row("4", "41", "newer"),
        ],
    );
    assert_eq!((loaded.rows, loaded.rejects.len()), (3, 2));
    for (reject, ordinal) in loaded.rejects.iter().zip([1, 2]) {
        assert_eq!(reject.ordinal, ordinal);
        assert_eq!(
            reject.error.kind(),
            ErrorKind::Constraint(Constraint::Unique)
        );
        assert_eq!(reject.error.column(), Some("code"));
    }
    let found = flat(
        &mut *connection,
        "SELECT id, code, v, left_out FROM t ORDER BY id",
    );
    assert_eq!(
        found,
        [
            "1", "10", "A", "1", "2", "20", "b", "2", "4", "41", "newer", "7"
        ]
    );
}

#[test]
fn a_large_upsert_beside_another_key_finds_its_bad_rows() {
    let (_place, mut connection) = with(TWO_KEYS);
    connection
        .batch("INSERT INTO t SELECT seq, seq + 100000, 'old', seq FROM seq_1_to_5000")
        .unwrap();
    let rows: Vec<[String; 3]> = (1..=9000)
        .map(|id: u32| {
            // the codes of rows that are there, of others
            let code = if id % 3000 == 1500 {
                100_000 + id % 7 + 1
            } else {
                100_000 + id
            };
            let v = if id == 777 {
                "x".repeat(30)
            } else {
                "new".to_owned()
            };
            [id.to_string(), code.to_string(), v]
        })
        .collect();
    let loaded = upsert(&mut *connection, &rows);
    let mut bad: Vec<u64> = loaded
        .rejects
        .iter()
        .map(|reject| reject.ordinal + 1)
        .collect();
    bad.sort_unstable();
    assert_eq!(bad, [777, 1500, 4500, 7500]);
    assert_eq!(loaded.rows, 8996);
    let told = flat(
        &mut *connection,
        "SELECT COUNT(*), SUM(v = 'new'), SUM(left_out = id AND id <= 5000), SUM(code = id + 100000) FROM t",
    );
    assert_eq!(told, ["8999", "8996", "5000", "8999"]);
}

#[test]
fn tables_without_transactions_are_refused_before_anything_is_loaded() {
    for engine in ["MyISAM", "Aria"] {
        let (_place, mut connection) = with(&format!(
            "CREATE TABLE t (id INT PRIMARY KEY) ENGINE={engine}"
        ));
        let (table, columns) = (t(), ["id".to_owned()]);
        let into = Load {
            table: &table,
            columns: &columns,
            mode: Mode::Append,
        };
        let error = connection.load(&into).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let why = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            why.contains(engine) && why.contains("no transactions"),
            "{why}"
        );
    }
}

#[test]
fn a_trigger_refuses_its_rows_alone() {
    let (_place, mut connection) = with(
        "CREATE TABLE t (id INT PRIMARY KEY, code INT, v VARCHAR(20));
         CREATE TRIGGER no_odd BEFORE INSERT ON t FOR EACH ROW
           IF NEW.code = 13 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not thirteen'; END IF",
    );
    let ids: Vec<String> = (0..2000).map(|id: u32| id.to_string()).collect();
    let cells: Vec<[Option<&str>; 2]> = ids
        .iter()
        .map(|id| {
            [
                Some(id.as_str()),
                Some(if id.ends_with("500") { "13" } else { "1" }),
            ]
        })
        .collect();
    let cells: Vec<&[Option<&str>]> = cells.iter().map(|row| &row[..]).collect();
    let loaded = load(&mut *connection, &["id", "code"], Mode::Append, &cells);
    assert_eq!((loaded.rows, loaded.rejects.len()), (1998, 2));
    let error = &loaded.rejects[0].error;
    assert_eq!(error.kind(), ErrorKind::Constraint(Constraint::Other));
    assert_eq!(
        std::error::Error::source(error).unwrap().to_string(),
        "not thirteen"
    );
}

#[test]
fn doubled_keys_and_wrong_values_among_many_are_told_exactly() {
    let (_place, mut connection) = with(
        "CREATE TABLE t (a INT NOT NULL, b VARCHAR(9) NOT NULL, n TINYINT CHECK (n < 100), d DATE,
           PRIMARY KEY (a, b), UNIQUE (n, d))",
    );
    connection
        .batch("INSERT INTO t VALUES (5, 'k5', NULL, NULL)")
        .unwrap();
    let (table, names) = (t(), ["a", "b", "n", "d"].map(str::to_owned));
    let into = Load {
        table: &table,
        columns: &names,
        mode: Mode::Append,
    };
    let mut loader = connection.load(&into).unwrap();
    let mut expected = Vec::new();
    for number in 0..60_000_u32 {
        let mut row = [
            number.to_string(),
            format!("k{number}"),
            "1".to_owned(),
            "2026-01-01".to_owned(),
        ];
        let mut d = None;
        match number {
            5 => expected.push((number, ErrorKind::Constraint(Constraint::Unique))),
            n if n % 997 == 500 => {
                // the key of an earlier row
                row[0] = (n - 3).to_string();
                row[1] = format!("k{}", n - 3);
                expected.push((n, ErrorKind::Constraint(Constraint::Unique)));
            }
            n if n % 997 == 600 => {
                row[2] = "100".to_owned();
                expected.push((n, ErrorKind::Constraint(Constraint::Check)));
            }
            n if n % 997 == 700 => {
                row[2] = "1000".to_owned();
                expected.push((n, ErrorKind::Type));
            }
            n if n % 997 == 800 => {
                row[3] = "2026-02-30".to_owned();
                d = Some(3);
                expected.push((n, ErrorKind::Type));
            }
            _ => {}
        }
        let cells: Vec<db::Cell<'_>> = (0..4)
            .map(|place| (place < 3 || d == Some(place)).then_some(row[place].as_bytes()))
            .collect();
        loader.push(&cells).unwrap();
    }
    let loaded = loader.finish().unwrap();
    let told: Vec<(u32, ErrorKind)> = loaded
        .rejects
        .iter()
        .map(|reject| (u32::try_from(reject.ordinal).unwrap(), reject.error.kind()))
        .collect();
    assert_eq!(told, expected);
    assert_eq!(loaded.rows, 60_000 - u64::try_from(expected.len()).unwrap());
}

#[test]
fn numbered_columns_keep_a_zero_and_number_what_is_null() {
    let (_place, mut connection) =
        with("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(9))");
    let pushed: [&[Option<&str>]; 3] = [
        &[Some("0"), Some("zero")],
        &[Some("7"), Some("seven")],
        &[None, Some("next")],
    ];
    let loaded = load(&mut *connection, &["id", "v"], Mode::Append, &pushed);
    assert_eq!((loaded.rows, loaded.rejects.len()), (3, 0));
    let found = flat(&mut *connection, "SELECT id, v FROM t ORDER BY id");
    assert_eq!(found, ["0", "zero", "7", "seven", "8", "next"]);
}

#[test]
fn a_silent_server_is_given_up() {
    // whoever accepts and says nothing: a server that is stopped does the same
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mysql://u:p@{}/db", listener.local_addr().unwrap());
    let options = Options {
        connect_timeout: Duration::from_millis(300),
        ..Options::default()
    };
    let begun = Instant::now();
    let error = db::connect(&url, &options).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.is_transient() && begun.elapsed() < Duration::from_secs(3));
}

#[test]
fn one_statement_is_one_statement() {
    let (_place, mut connection) = with("CREATE TABLE t (id INT PRIMARY KEY)");
    let both = "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)";
    assert_eq!(
        connection.execute(both, &[]).unwrap_err().kind(),
        ErrorKind::Syntax
    );
    assert_eq!(place::count(&mut *connection), "0");
    connection.batch(both).unwrap();
    assert_eq!(place::count(&mut *connection), "2");
    assert_eq!(
        Kind::Integer,
        connection.dictionary(&t()).unwrap().unwrap().columns[0].kind
    );
}

/// A way to a server that can be frozen: bytes stop in both directions, new connections are taken and get nothing.
fn freezer(server: String) -> (String, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, frozen) = (
        listener.local_addr().unwrap(),
        Arc::new(AtomicBool::new(false)),
    );
    let stopped = Arc::clone(&frozen);
    thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), Ok(server)) = (client, TcpStream::connect(&server)) else {
                return;
            };
            for (mut from, mut to) in [
                (client.try_clone().unwrap(), server.try_clone().unwrap()),
                (server, client),
            ] {
                let stopped = Arc::clone(&stopped);
                thread::spawn(move || {
                    let mut piece = [0; 4096];
                    while let Ok(length @ 1..) = from.read(&mut piece) {
                        while stopped.load(Relaxed) {
                            thread::park_timeout(Duration::from_millis(20));
                        }
                        if to.write_all(&piece[..length]).is_err() {
                            return;
                        }
                    }
                });
            }
        }
    });
    (address.to_string(), frozen)
}

#[test]
fn a_server_that_falls_silent_is_a_timeout_and_then_a_lost_connection() {
    let (place, mut table) = with("CREATE TABLE t (id INT PRIMARY KEY)");
    table
        .batch("INSERT INTO t SELECT seq FROM seq_1_to_100000")
        .unwrap();
    let (head, rest) = place.url.split_once('@').unwrap();
    let (server, database) = rest.split_once('/').unwrap();
    let (address, frozen) = freezer(server.to_owned());
    let options = Options {
        statement_timeout: Duration::from_millis(300),
        connect_timeout: Duration::from_secs(2),
        ..Options::default()
    };
    let url = format!("{head}@{address}/{database}");
    for in_midst in [false, true] {
        let mut connection = db::connect(&url, &options).unwrap();
        let begun = Instant::now();
        let error = if in_midst {
            let mut rows = connection
                .query("SELECT a.id FROM t a JOIN t b ON b.id < 20", &[])
                .unwrap();
            rows.fetch().unwrap();
            frozen.store(true, Relaxed);
            loop {
                match rows.fetch() {
                    Ok(row) => assert!(row.is_some()),
                    Err(error) => break error,
                }
            }
        } else {
            frozen.store(true, Relaxed);
            connection
                .execute("DELETE FROM t WHERE id < 0", &[])
                .unwrap_err()
        };
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert!(
            begun.elapsed() < Duration::from_secs(12),
            "{:?}",
            begun.elapsed()
        );
        let begun = Instant::now();
        let error = connection.execute("DO 0", &[]).unwrap_err();
        assert!(
            error.is_transient() && begun.elapsed() < Duration::from_secs(1),
            "{error}"
        );
        frozen.store(false, Relaxed);
    }
}

#[test]
fn values_that_only_look_wrong_keep_their_place_among_the_rows() {
    let (_place, mut connection) =
        with("CREATE TABLE t (id INT PRIMARY KEY, v TIME NOT NULL, n TINYINT NOT NULL)");
    let (table, names, key) = (t(), ["id", "v", "n"].map(str::to_owned), ["id".to_owned()]);
    for (mode, first) in [(Mode::Upsert { key: &key }, false), (Mode::Append, true)] {
        connection.batch("DELETE FROM t").unwrap();
        let into = Load {
            table: &table,
            columns: &names,
            mode,
        };
        let mut loader = connection.load(&into).unwrap();
        let (mut bad, mut doubled) = (0, 0);
        for number in 0..60_000_u32 {
            // now and then a key three times in a row, and times below zero
            let twin = number % 30 < 3;
            let id = if twin { number - number % 3 } else { number }.to_string();
            let sign = if (number / 3 + number).is_multiple_of(4) {
                "-"
            } else {
                ""
            };
            let time = format!("{sign}{}:00:0{}", number % 400, number % 3);
            let n = if number % 3000 == 1 { "1000" } else { "1" };
            bad += u32::from(n == "1000");
            doubled += u32::from(twin && number % 3 != 0 && n == "1");
            let row = [&id, &time, n].map(|text: &str| Some(text.as_bytes()));
            loader.push(&row).unwrap();
        }
        let loaded = loader.finish().unwrap();
        let refused = bad + if first { doubled } else { 0 };
        assert_eq!(loaded.rejects.len(), usize::try_from(refused).unwrap());
        assert_eq!(loaded.rows, u64::from(60_000 - refused));
        // the first row of each key was loaded, or the last one
        let told = flat(
            &mut *connection,
            "SELECT COUNT(*), MIN(SECOND(v)), MAX(SECOND(v)) FROM t WHERE id % 30 = 0",
        );
        let second = if first { "0" } else { "2" };
        assert_eq!(told, ["2000", second, second]);
    }
}
