//! Reads a type in a database's own words: which one it is, and its bounds. Pure; the words are data.

use db::{ColumnInfo, Dialect, Kind};

use super::types::{Digits, Type};

/// How a type's word and the numbers behind it make a [`Type`].
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// Always this.
    Is(Type),
    /// Text; the number is its length, else this.
    Text(Option<u64>),
    /// Bytes, likewise.
    Bytes(Option<u64>),
    /// A decimal number; without numbers it has these bounds, or none.
    Decimal(Option<(u64, u64)>),
    /// The number tells decimals of a second; without it they are these.
    Time(u8),
    Timestamp(u8),
    Instant(u8),
    /// So many bits.
    Bits,
    /// A form of its own, of so many characters.
    Own(Option<u64>),
    /// One of the words in parentheses.
    OneOf,
    /// Some of the words in parentheses, with commas between them.
    SomeOf,
}

use Shape::{Bits, Bytes, Decimal, Instant, Is, OneOf, Own, SomeOf, Text, Time, Timestamp};

const fn whole(bits: u8) -> Shape {
    Is(Type::Whole { bits, signed: true })
}

type Words = &'static [(&'static str, Shape)];

/// `format_type` of the catalog: <https://www.postgresql.org/docs/current/datatype.html>.
const POSTGRES: Words = &[
    ("boolean", Is(Type::Bool)),
    ("smallint", whole(16)),
    ("integer", whole(32)),
    ("bigint", whole(64)),
    (
        "oid",
        Is(Type::Whole {
            bits: 32,
            signed: false,
        }),
    ),
    (
        "xid",
        Is(Type::Whole {
            bits: 32,
            signed: false,
        }),
    ),
    (
        "xid8",
        Is(Type::Whole {
            bits: 64,
            signed: false,
        }),
    ),
    ("numeric", Decimal(None)),
    ("real", Is(Type::Float(32))),
    ("double precision", Is(Type::Float(64))),
    ("text", Text(None)),
    ("character varying", Text(None)),
    ("character", Text(Some(1))),
    ("bpchar", Text(None)),
    ("name", Text(Some(63))),
    ("bytea", Bytes(None)),
    ("date", Is(Type::Date)),
    ("time without time zone", Time(6)),
    ("timestamp without time zone", Timestamp(6)),
    ("timestamp with time zone", Instant(6)),
    ("json", Is(Type::Json)),
    ("jsonb", Is(Type::Json)),
    ("uuid", Is(Type::Uuid)),
    ("bit", Bits),
    ("inet", Own(Some(43))),
    ("cidr", Own(Some(43))),
    ("macaddr", Own(Some(17))),
    ("time with time zone", Own(Some(21))),
    ("xml", Own(None)),
];

/// `column_type` of the information schema: <https://mariadb.com/kb/en/data-types/>.
const MYSQL: Words = &[
    ("tinyint", whole(8)),
    ("smallint", whole(16)),
    ("mediumint", whole(24)),
    ("int", whole(32)),
    ("bigint", whole(64)),
    (
        "year",
        Is(Type::Whole {
            bits: 16,
            signed: false,
        }),
    ),
    ("decimal", Decimal(Some((10, 0)))),
    ("float", Is(Type::Float(32))),
    ("double", Is(Type::Float(64))),
    ("char", Text(Some(1))),
    ("varchar", Text(None)),
    ("tinytext", Text(Some(255))),
    ("text", Text(Some(65_535))),
    ("mediumtext", Text(Some(16_777_215))),
    ("longtext", Text(None)),
    ("enum", OneOf),
    ("set", SomeOf),
    ("binary", Bytes(Some(1))),
    ("varbinary", Bytes(None)),
    ("tinyblob", Bytes(Some(255))),
    ("blob", Bytes(Some(65_535))),
    ("mediumblob", Bytes(Some(16_777_215))),
    ("longblob", Bytes(None)),
    ("date", Is(Type::Date)),
    ("time", Time(0)),
    ("datetime", Timestamp(0)),
    ("timestamp", Instant(0)),
    ("json", Is(Type::Json)),
    ("uuid", Is(Type::Uuid)),
    ("bit", Bits),
    ("inet4", Own(Some(15))),
    ("inet6", Own(Some(39))),
];

/// Oracle's DATE has a time of day; the number behind FLOAT counts binary digits.
const ORACLE: Words = &[
    ("number", Decimal(None)),
    ("float", Is(Type::Decimal(None))),
    ("binary_float", Is(Type::Float(32))),
    ("binary_double", Is(Type::Float(64))),
    ("boolean", Is(Type::Bool)),
    ("char", Text(Some(1))),
    ("nchar", Text(Some(1))),
    ("varchar2", Text(None)),
    ("nvarchar2", Text(None)),
    ("clob", Text(None)),
    ("nclob", Text(None)),
    ("long", Text(None)),
    ("raw", Bytes(None)),
    ("blob", Bytes(None)),
    ("long raw", Bytes(None)),
    ("date", Timestamp(0)),
    ("timestamp", Timestamp(6)),
    ("timestamp with time zone", Instant(6)),
    ("timestamp with local time zone", Instant(6)),
    ("json", Is(Type::Json)),
];

/// SQL Server: <https://learn.microsoft.com/sql/t-sql/data-types/data-types-transact-sql>.
const MSSQL: Words = &[
    ("bit", Is(Type::Bool)),
    (
        "tinyint",
        Is(Type::Whole {
            bits: 8,
            signed: false,
        }),
    ),
    ("smallint", whole(16)),
    ("int", whole(32)),
    ("bigint", whole(64)),
    ("decimal", Decimal(Some((18, 0)))),
    ("numeric", Decimal(Some((18, 0)))),
    (
        "money",
        Is(Type::Decimal(Some(Digits { all: 19, behind: 4 }))),
    ),
    (
        "smallmoney",
        Is(Type::Decimal(Some(Digits { all: 10, behind: 4 }))),
    ),
    ("real", Is(Type::Float(32))),
    ("float", Is(Type::Float(64))),
    ("char", Text(Some(1))),
    ("varchar", Text(None)),
    ("nchar", Text(Some(1))),
    ("nvarchar", Text(None)),
    ("text", Text(None)),
    ("ntext", Text(None)),
    ("binary", Bytes(Some(1))),
    ("varbinary", Bytes(None)),
    ("image", Bytes(None)),
    ("date", Is(Type::Date)),
    ("time", Time(7)),
    ("datetime", Timestamp(3)),
    ("smalldatetime", Timestamp(0)),
    ("datetime2", Timestamp(7)),
    ("datetimeoffset", Instant(7)),
    ("uniqueidentifier", Is(Type::Uuid)),
    ("xml", Own(None)),
];

const DATABASES: &[(&str, Words)] = &[
    ("postgres", POSTGRES),
    ("mysql", MYSQL),
    ("oracle", ORACLE),
    ("mssql", MSSQL),
];

/// What a column can hold, by the words of its database; by its kind where these say nothing (SQLite takes any word).
#[must_use]
pub fn type_of(dialect: &dyn Dialect, column: &ColumnInfo) -> Type {
    let told = Told::read(&column.declared);
    let words = DATABASES.iter().find(|(name, _)| *name == dialect.name());
    // MySQL's boolean is a number of 8 bits in all but its name
    if column.kind == Kind::Bool && told.word != "tinyint" {
        return Type::Bool;
    }
    if told.is_list {
        return Type::Own(None);
    }
    let known = words.and_then(|(_, words)| words.iter().find(|(word, _)| *word == told.word));
    match known {
        Some((_, shape)) => told.shaped(*shape),
        None if words.is_some() && column.kind == Kind::Text => Type::Own(column.length),
        None => told.by_kind(column),
    }
}

/// A declared type in its parts.
#[derive(Debug, Default)]
struct Told<'a> {
    /// In lower case, without what stands in parentheses.
    word: String,
    inside: &'a str,
    numbers: Vec<u64>,
    unsigned: bool,
    /// `integer[]`.
    is_list: bool,
}

impl Told<'_> {
    fn read(declared: &str) -> Told<'_> {
        let open = declared.find('(');
        let close = declared.rfind(')').filter(|close| Some(*close) > open);
        let (head, inside, tail) = match (open, close) {
            (Some(open), Some(close)) => (
                &declared[..open],
                &declared[open + 1..close],
                &declared[close + 1..],
            ),
            _ => (declared, "", ""),
        };
        let mut told = Told {
            inside,
            is_list: tail.trim_end().ends_with("[]") || head.trim_end().ends_with("[]"),
            ..Told::default()
        };
        for word in head.split_whitespace().chain(tail.split_whitespace()) {
            let word = word.to_ascii_lowercase();
            match word.as_str() {
                "unsigned" => told.unsigned = true,
                "zerofill" => {}
                _ if told.word.is_empty() => told.word = word,
                _ => {
                    told.word.push(' ');
                    told.word.push_str(&word);
                }
            }
        }
        // a negative scale, as PostgreSQL has it, is none; `max` of SQL Server is no number, and no bound
        let numbers = inside.split(',').map_while(|text| {
            let text = text.split_whitespace().next()?;
            text.parse()
                .ok()
                .or_else(|| text.starts_with('-').then_some(0))
        });
        told.numbers = numbers.collect();
        told
    }

    fn shaped(&self, shape: Shape) -> Type {
        let first = self.numbers.first().copied();
        let length = |default| {
            if self.inside == "max" {
                None
            } else {
                first.or(default)
            }
        };
        let fraction =
            |default| first.map_or(default, |digits| u8::try_from(digits).unwrap_or(default));
        match shape {
            Is(Type::Whole { bits, signed }) => Type::Whole {
                bits,
                signed: signed && !self.unsigned,
            },
            Is(fixed) => fixed,
            Text(default) => Type::Text(length(default)),
            Bytes(default) => Type::Bytes(length(default)),
            Decimal(default) => Type::Decimal(
                self.digits()
                    .or(default.map(|(all, behind)| Digits { all, behind })),
            ),
            Time(default) => Type::Time(fraction(default)),
            Timestamp(default) => Type::Timestamp(fraction(default)),
            Instant(default) => Type::Instant(fraction(default)),
            Bits => Type::Bits(first.unwrap_or(1)),
            Own(length) => Type::Own(length),
            OneOf => Type::Own(Some(words(self.inside).into_iter().max().unwrap_or(0))),
            SomeOf => {
                let lengths = words(self.inside);
                let commas = u64::try_from(lengths.len())
                    .unwrap_or(u64::MAX)
                    .saturating_sub(1);
                Type::Own(Some(lengths.into_iter().sum::<u64>() + commas))
            }
        }
    }

    fn by_kind(&self, column: &ColumnInfo) -> Type {
        match column.kind {
            Kind::Bool => Type::Bool,
            Kind::Integer => Type::Whole {
                bits: 64,
                signed: true,
            },
            Kind::Decimal => Type::Decimal(self.digits()),
            Kind::Real => Type::Float(64),
            Kind::Text | Kind::Other => Type::Text(column.length),
            Kind::Date => Type::Date,
            Kind::Time => Type::Time(6),
            Kind::Timestamp => Type::Timestamp(6),
            Kind::Instant => Type::Instant(6),
            Kind::Blob => Type::Bytes(None),
            Kind::Json => Type::Json,
        }
    }

    /// A scale beyond the digits means zeros behind the point.
    fn digits(&self) -> Option<Digits> {
        let behind = self.numbers.get(1).copied().unwrap_or(0);
        let all = self.numbers.first()?.max(&behind);
        Some(Digits { all: *all, behind })
    }
}

/// How many characters each quoted word of a list has.
fn words(list: &str) -> Vec<u64> {
    let mut lengths = Vec::new();
    let mut inside = false;
    let mut chars = list.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, inside) {
            ('\'', false) => {
                inside = true;
                lengths.push(0);
            }
            ('\'', true) if chars.peek() != Some(&'\'') => inside = false,
            (_, true) => {
                if c == '\'' {
                    chars.next();
                }
                if let Some(last) = lengths.last_mut() {
                    *last += 1;
                }
            }
            _ => {}
        }
    }
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(database: &str, kind: Kind, declared: &str) -> Type {
        let dialect = db::dialect_of(&format!("{database}:x")).unwrap();
        type_of(
            dialect,
            &ColumnInfo {
                declared: declared.to_owned(),
                ..ColumnInfo::new("c", kind)
            },
        )
    }

    #[test]
    fn each_database_is_read_in_its_own_words() {
        let digits = |all, behind| Type::Decimal(Some(Digits { all, behind }));
        let unsigned = |bits| Type::Whole {
            bits,
            signed: false,
        };
        let signed = |bits| Type::Whole { bits, signed: true };
        for (database, kind, declared, expected) in [
            ("postgres", Kind::Integer, "smallint", signed(16)),
            ("postgres", Kind::Decimal, "numeric", Type::Decimal(None)),
            ("postgres", Kind::Decimal, "numeric(38,10)", digits(38, 10)),
            ("postgres", Kind::Decimal, "numeric(3,5)", digits(5, 5)),
            ("postgres", Kind::Decimal, "numeric(3,-2)", digits(3, 0)),
            (
                "postgres",
                Kind::Text,
                "character varying(20)",
                Type::Text(Some(20)),
            ),
            (
                "postgres",
                Kind::Text,
                "character varying",
                Type::Text(None),
            ),
            (
                "postgres",
                Kind::Instant,
                "timestamp(3) with time zone",
                Type::Instant(3),
            ),
            (
                "postgres",
                Kind::Time,
                "time without time zone",
                Type::Time(6),
            ),
            ("postgres", Kind::Text, "integer[]", Type::Own(None)),
            (
                "postgres",
                Kind::Text,
                "character varying(20)[]",
                Type::Own(None),
            ),
            ("postgres", Kind::Text, "interval", Type::Own(None)),
            ("postgres", Kind::Text, "bit(8)", Type::Bits(8)),
            ("postgres", Kind::Bool, "boolean", Type::Bool),
            ("mysql", Kind::Bool, "tinyint(1)", signed(8)),
            ("mysql", Kind::Bool, "tinyint(1) unsigned", unsigned(8)),
            ("mysql", Kind::Integer, "bigint(20) unsigned", unsigned(64)),
            (
                "mysql",
                Kind::Integer,
                "int(10) unsigned zerofill",
                unsigned(32),
            ),
            (
                "mysql",
                Kind::Decimal,
                "decimal(10,2) unsigned",
                digits(10, 2),
            ),
            ("mysql", Kind::Timestamp, "datetime", Type::Timestamp(0)),
            ("mysql", Kind::Instant, "timestamp(6)", Type::Instant(6)),
            (
                "mysql",
                Kind::Text,
                "enum('a','ö ''x''','')",
                Type::Own(Some(5)),
            ),
            ("mysql", Kind::Text, "set('a','b)','c')", Type::Own(Some(6))),
            ("mysql", Kind::Blob, "varbinary(9)", Type::Bytes(Some(9))),
            ("mysql", Kind::Text, "longtext", Type::Text(None)),
            ("sqlite", Kind::Integer, "INT", signed(64)),
            ("sqlite", Kind::Decimal, "NUMERIC(10,2)", digits(10, 2)),
            ("sqlite", Kind::Other, "", Type::Text(None)),
        ] {
            assert_eq!(
                read(database, kind, declared),
                expected,
                "{database} {declared}"
            );
        }
    }

    #[test]
    fn odd_words_break_nothing() {
        for declared in [
            "",
            "(",
            ")(",
            "enum(",
            "int(",
            "enum('a",
            "numeric(99999999999999999999,1)",
            "a(()",
            "[]",
        ] {
            for database in ["postgres", "mysql", "sqlite"] {
                let _read = read(database, Kind::Text, declared);
            }
        }
        assert_eq!(
            Told::read("varchar(max)").shaped(Text(None)),
            Type::Text(None)
        );
        assert_eq!(
            Told::read("VARCHAR2(20 CHAR)").shaped(Text(None)),
            Type::Text(Some(20))
        );
    }

    #[test]
    fn no_word_stands_twice() {
        for (database, words) in DATABASES {
            let mut seen: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            seen.sort_unstable();
            assert!(seen.windows(2).all(|pair| pair[0] != pair[1]), "{database}");
        }
    }

    #[test]
    fn oracle_is_read_in_its_own_words() {
        let digits = |all, behind| Type::Decimal(Some(Digits { all, behind }));
        for (kind, declared, expected) in [
            (Kind::Integer, "NUMBER(10)", digits(10, 0)),
            (Kind::Decimal, "NUMBER(10,2)", digits(10, 2)),
            (Kind::Decimal, "NUMBER", Type::Decimal(None)),
            (Kind::Decimal, "FLOAT(126)", Type::Decimal(None)),
            (Kind::Timestamp, "DATE", Type::Timestamp(0)),
            (
                Kind::Instant,
                "TIMESTAMP(3) WITH LOCAL TIME ZONE",
                Type::Instant(3),
            ),
            (Kind::Text, "VARCHAR2(20 BYTE)", Type::Text(Some(20))),
            (Kind::Text, "NCLOB", Type::Text(None)),
            (Kind::Blob, "RAW(16)", Type::Bytes(Some(16))),
            (Kind::Text, "INTERVAL DAY(2) TO SECOND(6)", Type::Own(None)),
        ] {
            assert_eq!(read("oracle", kind, declared), expected, "{declared}");
        }
    }
}
