//! A table of every type and of nasty values goes from each database through files of each format into each database, and
//! comes out equal, text for text. What a target cannot hold comes as a reject that says why.
//!
//! The rows are put in by the databases' own clients, and what comes out is compared with the texts written here.

use std::fs;
use std::path::Path;

use crate::lab::Lab;
use crate::services;

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Engine {
    Postgres,
    Mariadb,
    Sqlite,
}

use Engine::{Mariadb, Postgres, Sqlite};

pub(crate) const ENGINES: [Engine; 3] = [Postgres, Mariadb, Sqlite];
const FORMATS: [&str; 3] = ["xml", "csv", "jsonl"];

impl Engine {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Postgres => "pg",
            Mariadb => "my",
            Sqlite => "lite",
        }
    }

    fn quote(self, name: &str) -> String {
        match self {
            Mariadb => format!("`{}`", name.replace('`', "``")),
            Postgres | Sqlite => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }

    /// A value's canonical text as a literal.
    fn literal(self, kind: Kind, value: Option<&str>) -> String {
        let Some(text) = value else {
            return "NULL".to_owned();
        };
        let text = match (self, kind) {
            (Postgres, Kind::Bytes) => format!("\\x{text}"),
            (_, Kind::Bytes) => return format!("x'{text}'"),
            (Mariadb, Kind::Bits) => return format!("b'{text}'"),
            // a literal with a zone is no timestamp there; the session is in UTC
            (Mariadb, Kind::Zoned) => text.replace("+00:00", ""),
            (Mariadb, _) => text.replace('\\', "\\\\"),
            _ => text.to_owned(),
        };
        format!("'{}'", text.replace('\'', "''"))
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Plain,
    Bytes,
    Bits,
    Zoned,
}

/// A column: its name, its types in the three databases, how its literals are written, and its values from row to row.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    types: [&'static str; 3],
    kind: Kind,
    values: [Option<&'static str>; 5],
}

const fn column(
    name: &'static str,
    types: [&'static str; 3],
    kind: Kind,
    values: [Option<&'static str>; 5],
) -> Column {
    Column {
        name,
        types,
        kind,
        values,
    }
}

const NASTY: &str = "  <&>]]>\"quoted\", 'single'\r\n\\N \\. \\\\ tab\there ; -- # /* 站点 \u{1f30d} \u{e000} \u{85}\u{2028}  ";

/// What every one of the three can hold. The second row is NULLs, the fifth what is empty or next to nothing.
#[rustfmt::skip]
pub(crate) const COLUMNS: &[Column] = &[
    column("id", ["integer PRIMARY KEY", "int PRIMARY KEY", "INTEGER PRIMARY KEY"], Kind::Plain,
        [Some("1"), Some("2"), Some("3"), Some("4"), Some("5")]),
    column("small", ["smallint", "smallint", "SMALLINT"], Kind::Plain,
        [Some("7"), None, Some("32767"), Some("-32768"), Some("0")]),
    column("big", ["bigint", "bigint", "BIGINT"], Kind::Plain,
        [Some("42"), None, Some("9223372036854775807"), Some("-9223372036854775808"), Some("0")]),
    column("huge", ["numeric(20)", "bigint unsigned", "TEXT"], Kind::Plain,
        [Some("42"), None, Some("18446744073709551615"), Some("1"), Some("0")]),
    column("amount", ["numeric(38,10)", "decimal(38,10)", "TEXT"], Kind::Plain,
        [Some("12.5000000000"), None, Some("9999999999999999999999999999.9999999999"), Some("-0.0000000001"), Some("0.0000000000")]),
    column("real", ["real", "float", "REAL"], Kind::Plain,
        [Some("0.1"), None, Some("3.4e38"), Some("-1.5e-30"), Some("0")]),
    column("double", ["double precision", "double", "DOUBLE"], Kind::Plain,
        [Some("0.1"), None, Some("1.7976931348623157e308"), Some("2.2250738585072014e-308"), Some("0")]),
    column("flag", ["boolean", "boolean", "BOOLEAN"], Kind::Plain,
        [Some("1"), None, Some("1"), Some("0"), Some("0")]),
    column("day", ["date", "date", "DATE"], Kind::Plain,
        [Some("2026-11-21"), None, Some("9999-12-31"), Some("1000-01-01"), Some("1970-01-01")]),
    column("clock", ["time(6)", "time(6)", "TIME"], Kind::Plain,
        [Some("13:45:00.25"), None, Some("23:59:59.999999"), Some("00:00:00"), Some("00:00:00.000001")]),
    column("moment", ["timestamp(6)", "datetime(6)", "TIMESTAMP"], Kind::Plain,
        [Some("2026-11-21 13:45:00.25"), None, Some("9999-12-31 23:59:59.999999"), Some("1000-01-01 00:00:00"), Some("1970-01-01 00:00:00")]),
    column("instant", ["timestamp(6) with time zone", "timestamp(6) NULL", "TIMESTAMP WITH TIME ZONE"], Kind::Zoned,
        [Some("2026-11-21 13:45:00.25+00:00"), None, Some("2038-01-19 03:14:07+00:00"), Some("1970-01-02 00:00:00+00:00"), Some("2000-02-29 12:00:00+00:00")]),
    column("text", ["text", "longtext", "TEXT"], Kind::Plain,
        [Some(NASTY), None, Some("\u{1}\u{7f}\u{fffe}"), Some("NULL"), Some("")]),
    column("name", ["varchar(20)", "varchar(20)", "VARCHAR(20)"], Kind::Plain,
        [Some("a b "), None, Some("站站站站站站站站站站站站站站站站站站站站"), Some("007"), Some("")]),
    column("json", ["json", "json", "JSON"], Kind::Plain,
        [Some(r#"{"a": [1, 2.50, null, "x\"y"], "站": "\u0041"}"#), None, Some("[]"), Some("\"\""), Some("0")]),
    column("uuid", ["uuid", "uuid", "TEXT"], Kind::Plain,
        [Some("123e4567-e89b-12d3-a456-426614174000"), None, Some("ffffffff-ffff-ffff-ffff-ffffffffffff"), Some("123e4567-e89b-12d3-a456-426614174001"), Some("00000000-0000-0000-0000-000000000000")]),
    column("bytes", ["bytea", "longblob", "BLOB"], Kind::Bytes,
        [Some("00ff0a0d5c275c30"), None, Some("deadbeef"), Some("c328"), Some("")]),
    column("bits", ["bit(8)", "bit(8)", "TEXT"], Kind::Bits,
        [Some("10101010"), None, Some("11111111"), Some("00000001"), Some("00000000")]),
    column("choice", ["text CHECK (choice IN ('a', 'ö ''x''', ''))", "enum('a', 'ö ''x''', '')", "TEXT"], Kind::Plain,
        [Some("a"), None, Some("ö 'x'"), Some("a"), Some("")]),
    column("several", ["text", "set('a','b','c')", "TEXT"], Kind::Plain,
        [Some("a,b"), None, Some("a,b,c"), Some("b"), Some("")]),
    column("list", ["integer[]", "text", "TEXT"], Kind::Plain,
        [Some("{1,2,NULL}"), None, Some("{{1,2},{3,4}}"), Some("{-1}"), Some("{}")]),
    column("address", ["inet", "inet6", "TEXT"], Kind::Plain,
        [Some("::1"), None, Some("2001:db8::ff00:42:8329"), Some("fe80::1"), Some("::")]),
    column("span", ["interval", "varchar(40)", "TEXT"], Kind::Plain,
        [Some("1 day 02:03:04.5"), None, Some("1 year 2 mons"), Some("-00:00:01"), Some("00:00:00")]),
    column("Wei \"rd\" `站 <x>", ["integer", "integer", "INTEGER"], Kind::Plain,
        [Some("1"), None, Some("2147483647"), Some("-2147483648"), Some("0")]),
];

fn type_of(column: &Column, engine: Engine) -> &'static str {
    match engine {
        Postgres => column.types[0],
        Mariadb => column.types[1],
        Sqlite => column.types[2],
    }
}

/// A fresh database on each of the three.
pub(crate) struct Place {
    pub(crate) engine: Engine,
    pub(crate) url: String,
    pub(crate) path: std::path::PathBuf,
}

impl Place {
    pub(crate) fn new(lab: &Lab, engine: Engine, name: &str) -> Place {
        let path = lab.path(format!("{name}.db"));
        let url = match engine {
            Postgres => services::database(services::postgres(), name),
            Mariadb => services::database(services::mariadb(), name),
            Sqlite => format!("sqlite:{}", path.display()),
        };
        Place { engine, url, path }
    }

    /// A database that is there already.
    pub(crate) fn at(engine: Engine, url: &str) -> Place {
        Place {
            engine,
            url: url.to_owned(),
            path: std::path::PathBuf::new(),
        }
    }

    pub(crate) fn run(&self, sql: &str) {
        if self.engine == Sqlite {
            let db = rusqlite::Connection::open(&self.path).expect("the database");
            db.execute_batch(sql).expect("a statement");
        } else {
            // the client's own character set would take no letter of four bytes
            let names = if self.engine == Mariadb {
                "SET NAMES utf8mb4; "
            } else {
                ""
            };
            services::ask(&self.url, &format!("{names}{sql}"));
        }
    }

    pub(crate) fn create(&self, table: &str) {
        let lines: Vec<String> = COLUMNS
            .iter()
            .map(|column| {
                format!(
                    "{} {}",
                    self.engine.quote(column.name),
                    type_of(column, self.engine)
                )
            })
            .collect();
        self.run(&format!("CREATE TABLE {table} ({})", lines.join(", ")));
    }

    pub(crate) fn fill(&self, table: &str) {
        let mut sql = String::new();
        if self.engine == Mariadb {
            sql.push_str("SET time_zone = '+00:00'; ");
        }
        for row in 0..5 {
            let values: Vec<String> = COLUMNS
                .iter()
                .map(|column| self.engine.literal(column.kind, column.values[row]))
                .collect();
            sql.push_str(&format!(
                "INSERT INTO {table} VALUES ({}); ",
                values.join(", ")
            ));
        }
        self.run(&sql);
    }

    /// Writes a table into one file and gives its path.
    pub(crate) fn extract(
        &self,
        lab: &Lab,
        table: &str,
        order: &str,
        format: &str,
        dir: &str,
    ) -> std::path::PathBuf {
        let job = format!(
            r#"<extract name="out"><source url="{}"/><sql>SELECT * FROM {table} ORDER BY {order}</sql><output dir="{dir}" file="{table}" format="{format}"/></extract>"#,
            self.url
        );
        lab.good("jobs", ["run", &job]);
        let mut files = fs::read_dir(lab.path(dir))
            .expect("the folder of the file")
            .flatten();
        let file = files.next().expect("a file").path();
        assert!(files.next().is_none(), "more than one file in {dir}");
        file
    }
}

/// Rows of a CSV file: NULL is an unquoted empty field.
pub(crate) fn csv(path: &Path) -> Vec<Vec<Option<String>>> {
    let text = fs::read_to_string(path).expect("a file of text");
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut inside, mut quoted) = (false, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if inside && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => {
                inside = !inside;
                quoted = true;
            }
            ',' | '\n' if !inside => {
                let text = std::mem::take(&mut cell);
                row.push((quoted || !text.is_empty()).then_some(text));
                quoted = false;
                if c == '\n' {
                    rows.push(std::mem::take(&mut row));
                }
            }
            '\r' if !inside => {}
            c => cell.push(c),
        }
    }
    rows
}

fn expected() -> Vec<Vec<Option<String>>> {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let head = COLUMNS
        .iter()
        .map(|column| Some(column.name.to_owned()))
        .collect();
    let rows = (0..5).map(|row| {
        COLUMNS
            .iter()
            .map(|column| owned(column.values[row]))
            .collect()
    });
    std::iter::once(head).chain(rows).collect()
}

pub(crate) fn assert_equal(found: &[Vec<Option<String>>], way: &str) {
    let expected = expected();
    assert_eq!(found.len(), expected.len(), "{way}: rows");
    for (row, (found, expected)) in found.iter().zip(&expected).enumerate() {
        for (column, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert_eq!(
                found, expected,
                "{way}: row {row}, column {}",
                COLUMNS[column].name
            );
        }
        assert_eq!(found.len(), expected.len(), "{way}: columns of row {row}");
    }
}

#[test]
fn every_type_comes_through_every_format_into_every_database() {
    let lab = Lab::new();
    let places = ENGINES.map(|engine| Place::new(&lab, engine, "round_trip"));
    for place in &places {
        let source = place.engine.name();
        place.create("source");
        place.fill("source");
        for format in FORMATS {
            let dir = format!("out/{source}_{format}");
            let file = place.extract(&lab, "source", "id", format, &dir);
            if format == "csv" {
                assert_equal(&csv(&file), &format!("{source} -> csv"));
            }
            for target in &places {
                let name = format!("in_{}/{source}_{format}.{format}", target.engine.name());
                lab.write(&name, fs::read(&file).expect("the file"));
            }
        }
    }
    for target in &places {
        let into = target.engine.name();
        let mut tables = String::new();
        let mut ways = Vec::new();
        for source in ENGINES {
            for format in FORMATS {
                let way = format!("{}_{format}", source.name());
                target.create(&way);
                tables.push_str(&format!(r#"<table match="{way}.*" name="{way}"/>"#));
                ways.push(way);
            }
        }
        let job = format!(
            r#"<ingest name="into_{into}"><target url="{}"/><input dir="in_{into}"/>{tables}</ingest>"#,
            target.url
        );
        lab.good("jobs", ["run", &job]);
        for way in ways {
            let file = target.extract(&lab, &way, "id", "csv", &format!("back/{into}_{way}"));
            assert_equal(&csv(&file), &format!("{way} -> {into}"));
        }
    }
}

/// Loads a CSV file with `max-bad` and gives the reject file's text; all rows but the bad ones are in the table then.
fn rejects(lab: &Lab, target: &Place, table: &str, ddl: &str, file: &Path, bad: u64) -> String {
    target.run(ddl);
    let (dir, name) = (
        format!("rejects_{}_{table}", target.engine.name()),
        file.extension(),
    );
    let input = format!(
        "{dir}/{table}.{}",
        name.and_then(|name| name.to_str()).expect("an ending")
    );
    lab.write(&input, fs::read(file).expect("the file"));
    let job = format!(
        r#"<ingest name="{dir}"><target url="{}"/><input dir="{dir}"/><table match="*" name="{table}" max-bad="{bad}"/></ingest>"#,
        target.url
    );
    lab.good("jobs", ["run", &job]);
    let rejects = lab.path(format!("{input}.rejects.xml"));
    let rejects = rejects
        .parent()
        .expect("a folder")
        .join("rejects")
        .join(rejects.file_name().expect("a name"));
    fs::read_to_string(rejects).unwrap_or_default()
}

/// Each row's number, column and reason, by number.
fn reasons(rejects: &str) -> Vec<(String, String, String)> {
    let attribute = |row: &str, name: &str| {
        let from = row.split(&format!("{name}=\"")).nth(1).unwrap_or_default();
        from.split('"').next().unwrap_or_default().to_owned()
    };
    let rows = rejects.split("<row ").skip(1);
    let mut rows: Vec<_> = rows
        .map(|row| {
            (
                attribute(row, "number"),
                attribute(row, "column"),
                attribute(row, "reason"),
            )
        })
        .collect();
    rows.sort();
    rows
}

#[test]
fn what_a_target_cannot_hold_is_a_reject_that_says_why() {
    let lab = Lab::new();
    let [postgres, mariadb, sqlite] = ENGINES.map(|engine| Place::new(&lab, engine, "cannot_hold"));
    let plain = "CREATE TABLE odd (id integer PRIMARY KEY, day date, text text)";

    // days that are none: MariaDB has them, SQLite keeps any text, PostgreSQL refuses
    mariadb.run(
        "SET sql_mode = ''; CREATE TABLE odd (id int PRIMARY KEY, day date, text longtext);
         INSERT INTO odd VALUES (1, '0000-00-00', 'a'), (2, '2024-00-00', 'b'), (3, '2024-02-29', 'c'), (4, NULL, concat('n', char(0), 'l'))",
    );
    for format in FORMATS {
        let file = mariadb.extract(&lab, "odd", "id", format, &format!("odd/{format}"));
        postgres.run("DROP TABLE IF EXISTS odd");
        let found = reasons(&rejects(&lab, &postgres, "odd", plain, &file, 3));
        let columns: Vec<(&str, &str)> = found
            .iter()
            .map(|(row, column, _)| (row.as_str(), column.as_str()))
            .collect();
        assert_eq!(
            columns,
            [("1", "day"), ("2", "day"), ("4", "text")],
            "{format}: {found:?}"
        );
        assert!(
            found
                .iter()
                .all(|(_, _, reason)| reason.starts_with("a value that the column cannot hold: ")),
            "{format}: {found:?}"
        );
        assert_eq!(
            services::ask(&postgres.url, "SELECT id FROM odd").trim(),
            "3",
            "{format}"
        );
        sqlite.run("DROP TABLE IF EXISTS odd");
        assert_eq!(
            rejects(&lab, &sqlite, "odd", plain, &file, 0),
            "",
            "{format}"
        );
    }
    let kept = sqlite.extract(&lab, "odd", "id", "csv", "odd/back");
    let days: Vec<Option<String>> = csv(&kept)
        .into_iter()
        .skip(1)
        .map(|row| row[1].clone())
        .collect();
    assert_eq!(
        days[..2],
        [Some("0000-00-00".to_owned()), Some("2024-00-00".to_owned())]
    );
    assert_eq!(csv(&kept)[4][2].as_deref(), Some("n\0l"));

    // what only PostgreSQL has
    postgres.run(
        "CREATE TABLE far (id int PRIMARY KEY, day date, at timestamptz, amount numeric, x float8);
         INSERT INTO far VALUES (1, 'infinity', NULL, NULL, NULL), (2, '0044-03-15 BC', NULL, NULL, NULL),
           (3, NULL, '3000-01-01 00:00:00+00', NULL, NULL), (4, NULL, NULL, 'NaN', NULL),
           (5, NULL, NULL, NULL, 'NaN'), (6, NULL, NULL, NULL, '-Infinity'), (7, '2024-02-29', '2024-02-29 12:00:00+00', 1.5, 1.5)",
    );
    let mut columns: Vec<(String, String)> = Vec::new();
    for format in FORMATS {
        let file = postgres.extract(&lab, "far", "id", format, &format!("far/{format}"));
        mariadb.run("DROP TABLE IF EXISTS far");
        let ddl = "CREATE TABLE far (id int PRIMARY KEY, day date, at timestamp(6) NULL, amount decimal(20,5), x double)";
        let found = reasons(&rejects(&lab, &mariadb, "far", ddl, &file, 6));
        columns = found
            .iter()
            .map(|(row, column, _)| (row.clone(), column.clone()))
            .collect();
        assert!(
            found
                .iter()
                .all(|(_, _, reason)| reason.starts_with("a value that the column cannot hold: ")),
            "{format}: {found:?}"
        );
        assert_eq!(
            services::ask(&mariadb.url, "SELECT id FROM far").trim(),
            "7",
            "{format}"
        );
    }
    let expected = [
        ("1", "day"),
        ("2", "day"),
        ("3", "at"),
        ("4", "amount"),
        ("5", "x"),
        ("6", "x"),
    ];
    let columns: Vec<(&str, &str)> = columns
        .iter()
        .map(|(row, column)| (row.as_str(), column.as_str()))
        .collect();
    assert_eq!(columns, expected);
}
