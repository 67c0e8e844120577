//! Columns of every type, with values that need care: what each of the three databases can hold.

use crate::place::Engine;

/// How the literals of a column are written.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Plain,
    Bytes,
    Bits,
    Zoned,
}

/// A column: its name, its types in the three databases, how its literals are written, and its values from row to row.
pub(super) struct Column {
    pub(super) name: &'static str,
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
pub(super) const COLUMNS: &[Column] = &[
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

impl Column {
    /// Its line in a CREATE TABLE.
    pub(super) fn declared(&self, engine: Engine) -> String {
        let quote = match engine {
            Engine::Mariadb => '`',
            Engine::Postgres | Engine::Sqlite => '"',
        };
        let name = self.name.replace(quote, &format!("{quote}{quote}"));
        let kind = match engine {
            Engine::Postgres => self.types[0],
            Engine::Mariadb => self.types[1],
            Engine::Sqlite => self.types[2],
        };
        format!("{quote}{name}{quote} {kind}")
    }

    /// The canonical text of its value in a row as a literal.
    pub(super) fn literal(&self, engine: Engine, row: usize) -> String {
        let Some(text) = self.values[row] else {
            return "NULL".to_owned();
        };
        let text = match (engine, self.kind) {
            (Engine::Postgres, Kind::Bytes) => format!("\\x{text}"),
            (_, Kind::Bytes) => return format!("x'{text}'"),
            (Engine::Mariadb, Kind::Bits) => return format!("b'{text}'"),
            // a literal with a zone is no timestamp there; the session is in UTC
            (Engine::Mariadb, Kind::Zoned) => text.replace("+00:00", ""),
            (Engine::Mariadb, _) => text.replace('\\', "\\\\"),
            _ => text.to_owned(),
        };
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// What comes out in the end: a head of names, and the five rows.
pub(super) fn expected() -> Vec<Vec<Option<String>>> {
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
