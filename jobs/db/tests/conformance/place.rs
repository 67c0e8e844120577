//! A database of its own for each case, and short ways to fill and read it.

use crate::services;
use db::{Cell, ColumnInfo, Connection, Kind, Load, Loaded, Mode, Options, TableInfo, TableName};
use std::any::Any;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// Where a case works.
pub(crate) struct Place {
    pub(crate) url: String,
    /// A query that runs for minutes.
    pub(crate) slow: &'static str,
    /// Whether text may hold U+0000.
    pub(crate) nul_in_text: bool,
    /// How many decimals a decimal without a given scale shows at least.
    pub(crate) scale: usize,
    /// A query for the cipher of the connection: NULL or empty without TLS.
    pub(crate) tls: &'static str,
    /// A query for the session's number, and the statement that ends session `{}`.
    pub(crate) session: &'static str,
    pub(crate) kill: &'static str,
    /// Types that only this server has, and texts that come back as they were.
    pub(crate) types: &'static [(&'static str, Kind, &'static [&'static str])],
    /// The certificate that a server's own is checked by, and its socket (on PostgreSQL the socket's folder and port).
    pub(crate) ca: Option<String>,
    pub(crate) socket: Option<String>,
    /// Statements that take the fastest way of loading away, and give it back.
    pub(crate) fast_path: (&'static str, &'static str),
    /// What a result tells of a column of some kind, and how it writes a value of it.
    pub(crate) told: fn(Kind, &str) -> (Kind, String),
    /// What the place lives on, let go after the case.
    pub(crate) _hold: Box<dyn Any>,
}

/// SQLite, in a folder of its own.
pub(crate) fn sqlite() -> Place {
    let dir = tempfile::tempdir().unwrap();
    Place {
        url: format!("sqlite:{}", dir.path().join("数据 1.db").display()),
        slow: "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 10000000000) SELECT sum(x) FROM n",
        nul_in_text: true,
        scale: 0,
        tls: "",
        session: "",
        kill: "",
        types: &[],
        ca: None,
        socket: None,
        fast_path: ("", ""),
        told: |kind, text| (kind, text.to_owned()),
        _hold: Box::new(dir),
    }
}

const POSTGRES_TYPES: &[(&str, Kind, &[&str])] = &[
    ("SMALLINT", Kind::Integer, &["-32768", "32767"]),
    (
        "NUMERIC(38,10)",
        Kind::Decimal,
        &["1234567890123456789012345678.0123456789", "-0.0000000001"],
    ),
    (
        "REAL",
        Kind::Real,
        &["0.1", "1234567.9", "1e30", "-Infinity", "NaN"],
    ),
    (
        "UUID",
        Kind::Text,
        &["123e4567-e89b-12d3-a456-426614174000"],
    ),
    ("BIT(5)", Kind::Text, &["00101"]),
    ("BIT VARYING(9)", Kind::Text, &["", "101"]),
    (
        "TEXT[]",
        Kind::Text,
        &["{}", "{a,\"b c\",NULL,\"\\\"q\"}", "{{1,2},{3,4}}"],
    ),
    ("INTEGER[]", Kind::Text, &["{1,2,NULL}"]),
    (
        "JSON",
        Kind::Json,
        &["{\"a\" : [1, 2.50, \"\\u0041\\n站\"]}"],
    ),
    ("JSONB", Kind::Json, &["{\"a\": 1}"]),
    ("INTERVAL", Kind::Text, &["1 year 2 mons 3 days 04:05:06.5"]),
    ("INET", Kind::Text, &["10.0.0.1/24"]),
    (
        "TIMESTAMP",
        Kind::Timestamp,
        &["infinity", "0001-01-01 00:00:00"],
    ),
    (
        "TIMESTAMPTZ",
        Kind::Instant,
        &[
            "-infinity",
            "0001-01-01 00:00:00+00:00",
            "9999-12-31 23:59:59.999999+00:00",
        ],
    ),
    ("CHAR(3)", Kind::Text, &["ab "]),
    ("INT4RANGE", Kind::Text, &["[1,5)"]),
];

const MARIADB_TYPES: &[(&str, Kind, &[&str])] = &[
    (
        "BIGINT UNSIGNED",
        Kind::Integer,
        &["0", "18446744073709551615"],
    ),
    ("TINYINT UNSIGNED", Kind::Integer, &["255"]),
    ("MEDIUMINT", Kind::Integer, &["-8388608"]),
    ("YEAR", Kind::Integer, &["2026", "1901"]),
    (
        "DECIMAL(38,10)",
        Kind::Decimal,
        &["1234567890123456789012345678.0123456789", "-0.0000000001"],
    ),
    ("FLOAT", Kind::Real, &["0.1", "1234567.9", "1e30"]),
    ("ENUM('a','站 x','')", Kind::Text, &["a", "站 x", ""]),
    ("SET('a','b','c')", Kind::Text, &["", "a,c"]),
    ("BIT(5)", Kind::Text, &["00101", "11111"]),
    (
        "JSON",
        Kind::Json,
        &["{\"a\" : [1, 2.50, \"\\u0041\\n站\"]}"],
    ),
    (
        "UUID",
        Kind::Text,
        &["123e4567-e89b-12d3-a456-426614174000"],
    ),
    (
        "DATE",
        Kind::Date,
        &["0000-00-00", "2026-11-00", "9999-12-31"],
    ),
    (
        "DATETIME",
        Kind::Timestamp,
        &["0000-00-00 00:00:00", "2026-11-21 13:45:00"],
    ),
    (
        "TIME(6)",
        Kind::Time,
        &["-838:59:59", "00:00:00.000001", "26:03:04"],
    ),
    ("VARBINARY(9)", Kind::Blob, &["00ff5c0a09", ""]),
    (
        "DECIMAL(65,30)",
        Kind::Decimal,
        &["12345678901234567890123456789012345.123456789012345678901234567890"],
    ),
    ("INET4", Kind::Text, &["10.0.0.1"]),
    ("INET6", Kind::Text, &["2001:db8::ff00:42:8329"]),
    (
        "POINT",
        Kind::Blob,
        &["000000000101000000000000000000f03f0000000000000040"],
    ),
    (
        "VARCHAR(9) CHARACTER SET gbk",
        Kind::Text,
        &["站点", "a\\b"],
    ),
    ("CHAR(3) CHARACTER SET latin1", Kind::Text, &["é"]),
    (
        "TIMESTAMP(6) NULL",
        Kind::Instant,
        &[
            "1970-01-01 00:00:01+00:00",
            "2026-11-21 13:45:00.25+00:00",
            "0000-00-00 00:00:00+00:00",
        ],
    ),
    ("CHAR(3)", Kind::Text, &["ab"]),
    ("VARCHAR(9)", Kind::Text, &["😀 𠮷", "ab  "]),
];

/// PostgreSQL, in a database of its own.
pub(crate) fn postgres() -> Place {
    Place {
        slow: "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 10000000) b",
        tls: "SELECT cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        session: "SELECT pg_backend_pid()",
        kill: "SELECT pg_terminate_backend({})",
        types: POSTGRES_TYPES,
        ca: services::postgres().ca.clone(),
        socket: services::postgres()
            .socket
            .as_ref()
            .map(|path| path.replace("/.s.PGSQL.", ":")),
        ..server(
            &services::postgres().url,
            "CREATE DATABASE \"{}\"",
            "DROP DATABASE \"{}\" WITH (FORCE)",
        )
    }
}

/// MariaDB, in a database of its own.
pub(crate) fn mysql() -> Place {
    Place {
        slow: "SELECT count(*) FROM seq_1_to_1000000 a, seq_1_to_1000000 b WHERE a.seq <> b.seq",
        scale: 20,
        tls: "SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'SSL_CIPHER'",
        session: "SELECT connection_id()",
        kill: "KILL {}",
        types: MARIADB_TYPES,
        ca: services::mariadb().ca.clone(),
        socket: services::mariadb().socket.clone(),
        fast_path: ("SET GLOBAL local_infile = 0", "SET GLOBAL local_infile = 1"),
        nul_in_text: true,
        ..server(
            &services::mariadb().url,
            "CREATE DATABASE `{}`",
            "DROP DATABASE `{}`",
        )
    }
}

/// A fresh database on a server.
pub(crate) fn server(base: &str, create: &str, drop: &'static str) -> Place {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!(
        "Case {} {}",
        std::process::id(),
        NUMBER.fetch_add(1, Relaxed)
    );
    let mut main = db::connect(base, &Options::default()).unwrap();
    main.execute(&create.replace("{}", &name), &[]).unwrap();
    let (server, _) = base.rsplit_once('/').unwrap();
    Place {
        url: format!("{server}/{}", name.replace(' ', "%20")),
        slow: "",
        nul_in_text: false,
        scale: 0,
        tls: "",
        session: "",
        kill: "",
        types: &[],
        ca: None,
        socket: None,
        fast_path: ("", ""),
        told: |kind, text| (kind, text.to_owned()),
        _hold: Box::new(Database {
            main,
            drop: drop.replace("{}", &name),
        }),
    }
}

/// A server's database, dropped after its case.
struct Database {
    main: Box<dyn Connection>,
    drop: String,
}

impl Drop for Database {
    fn drop(&mut self) {
        let dropped = self.main.execute(&self.drop, &[]);
        assert!(dropped.is_ok() || std::thread::panicking(), "{dropped:?}");
    }
}

impl Place {
    pub(crate) fn connect(&self) -> Box<dyn Connection> {
        self.connect_with(|_| {})
    }

    pub(crate) fn connect_with(&self, change: impl FnOnce(&mut Options)) -> Box<dyn Connection> {
        let mut options = Options {
            busy_timeout: Duration::from_secs(20),
            ..Options::default()
        };
        change(&mut options);
        db::connect(&self.url, &options).unwrap()
    }

    /// A table `t` of these columns; a name that begins with `!` may not be NULL and belongs to the primary key.
    pub(crate) fn table(&self, connection: &mut dyn Connection, columns: &[(&str, Kind)]) {
        let mut info = TableInfo::default();
        for &(name, kind) in columns {
            let mut column = ColumnInfo::new(name.trim_start_matches('!'), kind);
            if name.starts_with('!') {
                column.nullable = false;
                column.length = Some(40).filter(|_| kind == Kind::Text);
                info.primary_key.push(column.name.clone());
            }
            info.columns.push(column);
        }
        let sql = connection.dialect().create_table(&t(), &info);
        connection.execute(&sql, &[]).unwrap();
    }
}

/// The table's name.
pub(crate) fn t() -> TableName {
    TableName::new("t")
}

/// Text as cells.
pub(crate) fn cells<'a>(row: &'a [Option<&str>]) -> Vec<Cell<'a>> {
    row.iter().map(|cell| cell.map(str::as_bytes)).collect()
}

/// Loads rows into `t`; refused ones are all in the answer.
pub(crate) fn load(
    connection: &mut dyn Connection,
    columns: &[&str],
    mode: Mode<'_>,
    rows: &[&[Option<&str>]],
) -> Loaded {
    let (table, columns) = (
        t(),
        columns.iter().map(ToString::to_string).collect::<Vec<_>>(),
    );
    let mut loader = connection
        .load(&Load {
            table: &table,
            columns: &columns,
            mode,
        })
        .unwrap();
    let mut rejects = Vec::new();
    for row in rows {
        loader.push(&cells(row)).unwrap();
        rejects.extend(loader.rejects());
    }
    let mut loaded = loader.finish().unwrap();
    rejects.append(&mut loaded.rejects);
    loaded.rejects = rejects;
    loaded
}

/// All rows of a query as text.
pub(crate) fn rows(connection: &mut dyn Connection, sql: &str) -> Vec<Vec<Option<String>>> {
    let mut found = Vec::new();
    let mut rows = connection.query(sql, &[]).unwrap();
    while let Some(row) = rows.fetch().unwrap() {
        found.push(
            row.cells()
                .map(|cell| cell.map(|text| String::from_utf8(text.to_vec()).unwrap()))
                .collect(),
        );
    }
    found
}

/// The only cell of a query's only row.
pub(crate) fn value(connection: &mut dyn Connection, sql: &str) -> Option<String> {
    rows(connection, sql).remove(0).remove(0)
}

/// How many rows `t` has.
pub(crate) fn count(connection: &mut dyn Connection) -> String {
    value(connection, "SELECT count(*) FROM t").unwrap()
}
