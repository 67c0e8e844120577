//! The same cases through the ODBC drivers of Debian 12 for SQLite, PostgreSQL and MariaDB, and what is of ODBC alone.
//!
//! What a driver cannot do, so that its case is left out:
//!
//! | driver | case | why |
//! |---|---|---|
//! | all | `no_database` | a connection string has no place for what the case adds to a URL |
//! | all | `bad_rows_among_many…` | 80,000 rows one by one take minutes; 3,000 are tried below |
//! | all | kinds of a result | a time with a zone is told as one without (in UTC, but on SQLite, which keeps what it is given); MariaDB's BOOLEAN as an integer |
//! | MariaDB, SQLite | `what_is_described…` | preparing does not send the statement to the server |
//! | MariaDB | `names_of_all_sorts` | the name of a result's column loses its end where it holds a character whose number ends with D8 to DB, as 站 does |
//! | SQLite | `numbers`, `random…` | a float comes with 15 digits |
//! | SQLite | `texts` | U+10FFFF comes as U+FFFF |
//! | SQLite | `blobs` | an empty one comes as two bytes |
//! | SQLite | `expressions_learn…` | an expression is told as text |
//! | SQLite | `names_of_all_sorts` | of a column's name only what follows its last point is told |
//! | SQLite | `a_broken_rule…`, `kinds` | one code for every broken rule; a misspelt column in quotes is a string |
//! | SQLite | `a_snapshot…` | an open transaction locks all writers out |
//! | SQLite | `cancel…`, `a_long_statement…`, `a_query_left_early…` | nothing ends a statement, and closing a result reads it to its end: the connection is given up instead, see below |
//!
//! SQLite has a backend of its own, which has none of these limits.

use crate::place::{self, Place, cells, count, load, rows, t, value};
use crate::services;
use db::{Connection, Constraint, ErrorKind, Kind, Load, Mode, Options};
use std::time::{Duration, Instant};

/// The driver of this name, wherever Debian puts it on this machine.
fn driver(name: &str) -> String {
    let found = std::fs::read_dir("/usr/lib")
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.path().join("odbc").join(name)))
        .find(|path| path.exists());
    found
        .unwrap_or_else(|| {
            panic!(
                "{name} is missing: the packages are odbc-postgresql, odbc-mariadb, libsqliteodbc"
            )
        })
        .display()
        .to_string()
}

pub(crate) fn sqlite() -> Place {
    let native = place::sqlite();
    // made by the backend itself: its journal lets readers and a writer go on together, which the driver would not set
    drop(native.connect());
    let file = native.url.trim_start_matches("sqlite:").to_owned();
    Place {
        url: format!(
            "odbc:DRIVER={};DATABASE={file};StepAPI=1;BigInt=1;Timeout=1000",
            driver("libsqlite3odbc.so")
        ),
        told: |kind, text| match kind {
            Kind::Instant => (Kind::Timestamp, text.to_owned()),
            kind => (kind, text.to_owned()),
        },
        ..native
    }
}

/// ODBC has no word for a time with a zone.
fn zoneless(kind: Kind, text: &str) -> (Kind, String) {
    match kind {
        Kind::Instant => (Kind::Timestamp, text.replace("+00:00", "")),
        kind => (kind, text.to_owned()),
    }
}

/// The parts of a server's URL as a connection string, for the database of `place`.
fn string(server: &str, place: &Place) -> String {
    let server = db::Url::parse(server).unwrap();
    let own = db::Url::parse(&place.url).unwrap();
    format!(
        "SERVER={};PORT={};DATABASE={};UID={};PWD={}",
        server.hosts[0].name,
        server.hosts[0].port.unwrap(),
        own.database,
        server.user.unwrap_or_default(),
        server.password.unwrap_or_default()
    )
}

pub(crate) fn postgres() -> Place {
    let native = place::postgres();
    Place {
        url: format!(
            "odbc:DRIVER={};{};SSLmode=disable;UseDeclareFetch=1;Fetch=1000;BoolsAsChar=0",
            driver("psqlodbcw.so"),
            string(&services::postgres().url, &native)
        ),
        told: zoneless,
        ..native
    }
}

pub(crate) fn mysql() -> Place {
    let native = place::mysql();
    Place {
        url: format!(
            "odbc:DRIVER={};{};CHARSET=utf8mb4;FORWARDONLY=1;NO_CACHE=1",
            driver("libmaodbc.so"),
            string(&services::mariadb().url, &native)
        ),
        told: |kind, text| match kind {
            Kind::Bool => (Kind::Integer, text.to_owned()),
            kind => zoneless(kind, text),
        },
        ..native
    }
}

fn each(case: impl Fn(&Place, &mut dyn Connection)) {
    for place in [sqlite(), postgres(), mysql()] {
        case(&place, &mut *place.connect());
    }
}

/// The driver of PostgreSQL makes savepoints of its own.
#[test]
fn odbc_a_bad_first_row_costs_no_savepoint() {
    each(|_, connection| {
        connection
            .batch("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v VARCHAR(9) NOT NULL)")
            .unwrap();
        connection.begin().unwrap();
        connection
            .execute("INSERT INTO t (id, v) VALUES (1000, 'x')", &[])
            .unwrap();
        for mode in [Mode::Append, Mode::Skip] {
            let (table, columns) = (t(), ["id".to_owned(), "v".to_owned()]);
            let mut loader = connection
                .load(&Load {
                    table: &table,
                    columns: &columns,
                    mode,
                })
                .unwrap();
            let ids: Vec<String> = (0..1100).map(|id: u32| id.to_string()).collect();
            for id in &ids {
                let v = Some("v").filter(|_| id != "0");
                loader.push(&cells(&[Some(id), v])).unwrap();
            }
            assert!(!loader.rejects().is_empty());
            drop(loader);
        }
        assert!(connection.in_transaction());
        assert_eq!(count(connection), "1");
        connection.commit().unwrap();
        assert_eq!(count(connection), "1");
    });
}

#[test]
fn odbc_bad_rows_among_many_are_found_one_by_one() {
    each(|_, connection| {
        connection
            .batch("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v VARCHAR(60) NOT NULL)")
            .unwrap();
        let ids: Vec<String> = (0..3000)
            .map(|id: u32| match id {
                id if id % 1000 == 7 => format!("x{id}"),
                1500 => "1499".to_owned(),
                id => id.to_string(),
            })
            .collect();
        let pushed = ids.iter().enumerate();
        let pushed: Vec<[Option<&str>; 2]> = pushed
            .map(|(place, id)| [Some(id.as_str()), Some("a\tb").filter(|_| place != 77)])
            .collect();
        let pushed: Vec<&[Option<&str>]> = pushed.iter().map(|row| &row[..]).collect();
        let loaded = load(connection, &["id", "v"], Mode::Append, &pushed);
        let told: Vec<(u64, ErrorKind, Option<&str>)> = loaded
            .rejects
            .iter()
            .map(|reject| (reject.ordinal, reject.error.kind(), reject.error.column()))
            .collect();
        let unique = ErrorKind::Constraint(Constraint::Unique);
        let null = ErrorKind::Constraint(Constraint::NotNull);
        let expected = [
            (7, ErrorKind::Type, Some("id")),
            (77, null, Some("v")),
            (1007, ErrorKind::Type, Some("id")),
            (1500, unique, Some("id")),
            (2007, ErrorKind::Type, Some("id")),
        ];
        assert_eq!(told, expected);
        assert_eq!((loaded.rows, count(connection).as_str()), (2995, "2995"));
    });
}

/// Long values between short ones are neither cut nor padded.
#[test]
fn odbc_values_of_all_lengths_come_whole() {
    each(|place, connection| {
        place.table(
            connection,
            &[("!id", Kind::Integer), ("v", Kind::Text), ("b", Kind::Blob)],
        );
        // the driver of SQLite changes short bytes
        let bytes = connection.dialect().name() != "sqlite";
        let lengths = [
            0, 1, 200, 253, 254, 255, 256, 3999, 4001, 70_000, 1, 500_000,
        ];
        let values: Vec<[String; 3]> = lengths
            .iter()
            .enumerate()
            .map(|(id, length)| {
                [
                    id.to_string(),
                    "é站x".repeat(*length),
                    "0a".repeat(if bytes { *length } else { 20 }),
                ]
            })
            .collect();
        let pushed: Vec<[Option<&str>; 3]> = values
            .iter()
            .map(|row| [0, 1, 2].map(|index| Some(row[index].as_str())))
            .collect();
        let pushed: Vec<&[Option<&str>]> = pushed.iter().map(|row| &row[..]).collect();
        let loaded = load(connection, &["id", "v", "b"], Mode::Append, &pushed);
        assert!(loaded.rejects.is_empty(), "{:?}", loaded.rejects);
        let found = rows(connection, "SELECT id, v, b FROM t ORDER BY id");
        for (row, value) in found.iter().zip(&values) {
            let same = row
                .iter()
                .zip(value)
                .all(|(cell, value)| cell.as_ref() == Some(value));
            assert!(
                same,
                "row {} of {}",
                value[0],
                place.url.split(';').next().unwrap()
            );
        }
        assert_eq!(found.len(), lengths.len());
    });
}

/// SQL that is not ASCII comes through whole or not at all.
#[test]
fn odbc_sql_comes_through_whole_or_is_refused() {
    each(|_, connection| {
        for text in ["é", "站点 号", "测试"] {
            let sql = format!("SELECT '{text}'");
            match connection.query(&sql, &[]) {
                Ok(mut rows) => {
                    let row = rows.fetch().unwrap().unwrap();
                    assert_eq!(row.cell(0), Some(text.as_bytes()));
                }
                Err(error) => {
                    let cause = std::error::Error::source(&error).unwrap().to_string();
                    assert!(cause.contains("IconvEncoding"), "{error}: {cause}");
                }
            }
        }
    });
}

/// Where no second connection can end a statement, the connection is given up, and its transaction with it.
#[test]
fn odbc_what_cannot_be_ended_is_given_up() {
    let place = sqlite();
    let mut connection =
        place.connect_with(|options| options.statement_timeout = Duration::from_millis(300));
    let begun = Instant::now();
    let error = connection
        .query(place.slow, &[])
        .and_then(|mut rows| rows.fetch().map(drop))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(begun.elapsed() < Duration::from_secs(20));
    let error = connection.execute("SELECT 1", &[]).unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(!connection.in_transaction());
    assert_eq!(
        value(&mut *place.connect(), "SELECT 7").as_deref(),
        Some("7")
    );
}

#[test]
fn odbc_refusals_tell_what_is_wrong_and_no_password() {
    let server = services::postgres();
    let place = place::postgres();
    let right = string(&server.url, &place);
    let options = Options {
        connect_timeout: Duration::from_secs(10),
        ..Options::default()
    };
    let path = driver("psqlodbcw.so");
    for (string, kinds) in [
        (
            format!("DRIVER=/nowhere/none.so;{right}"),
            &[ErrorKind::Invalid][..],
        ),
        (
            format!("DRIVER={path};{right};PORT=1;SERVER=127.0.0.1;PWD=hunter2"),
            &[ErrorKind::Connect],
        ),
    ] {
        let error = db::connect(&format!("odbc:{string}"), &options)
            .err()
            .unwrap();
        let shown = format!("{error:?}");
        assert!(kinds.contains(&error.kind()), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
