//! Writes a [`Type`] as a type of a database. Pure; the words are data, a block a database.

use super::types::{Digits, Type, digits_of};

/// How a database calls its types. In a word, `{}` stands for a number.
#[derive(Debug)]
pub(super) struct Spelling {
    /// [`db::Dialect::name`].
    pub(super) dialect: &'static str,
    boolean: &'static str,
    /// Bits, whether signed, word; narrowest first.
    wholes: &'static [(u8, bool, &'static str)],
    /// Most digits, most of them behind the point, word with both.
    decimal: (u64, u64, &'static str),
    /// For decimals without bounds.
    any_decimal: &'static str,
    /// For decimals beyond the bounds of `decimal`.
    wide_decimal: &'static str,
    single: &'static str,
    double: &'static str,
    text: Bounded,
    /// Added to text so that it compares by its characters alone, as other databases do.
    exact: &'static str,
    bytes: Bounded,
    date: &'static str,
    time: Fractional,
    timestamp: Fractional,
    instant: Fractional,
    json: &'static str,
    uuid: &'static str,
    bits: Option<(u64, &'static str)>,
    /// How many characters all texts of one key may have together; `None` = as many as they like.
    pub(super) key: Option<u64>,
    /// How many characters all bounded texts of one row may have together.
    pub(super) row: Option<u64>,
}

/// A type with a length: the word with it, the greatest, and the word for anything longer.
type Bounded = (&'static str, u64, &'static str);

/// A type with decimals of a second: the word with them, and the most there are.
type Fractional = (&'static str, u8);

const SPELLINGS: &[Spelling] = &[
    Spelling {
        dialect: "postgres",
        boolean: "BOOLEAN",
        wholes: &[
            (16, true, "SMALLINT"),
            (32, true, "INTEGER"),
            (64, true, "BIGINT"),
        ],
        decimal: (1000, 1000, "NUMERIC({},{})"),
        any_decimal: "NUMERIC",
        wide_decimal: "NUMERIC",
        single: "REAL",
        double: "DOUBLE PRECISION",
        text: ("VARCHAR({})", 10_000, "TEXT"),
        exact: "",
        bytes: ("BYTEA", u64::MAX, "BYTEA"),
        date: "DATE",
        time: ("TIME({})", 6),
        timestamp: ("TIMESTAMP({})", 6),
        instant: ("TIMESTAMP({}) WITH TIME ZONE", 6),
        // JSONB would not give the same text back
        json: "JSON",
        uuid: "UUID",
        bits: Some((1_000, "BIT({})")),
        key: None,
        row: None,
    },
    Spelling {
        dialect: "mysql",
        boolean: "BOOLEAN",
        wholes: &[
            (8, true, "TINYINT"),
            (8, false, "TINYINT UNSIGNED"),
            (16, true, "SMALLINT"),
            (16, false, "SMALLINT UNSIGNED"),
            (24, true, "MEDIUMINT"),
            (24, false, "MEDIUMINT UNSIGNED"),
            (32, true, "INT"),
            (32, false, "INT UNSIGNED"),
            (64, true, "BIGINT"),
            (64, false, "BIGINT UNSIGNED"),
        ],
        decimal: (65, 30, "DECIMAL({},{})"),
        any_decimal: "DECIMAL(65,20)",
        wide_decimal: "LONGTEXT",
        single: "FLOAT",
        double: "DOUBLE",
        text: ("VARCHAR({})", 4_000, "LONGTEXT"),
        exact: " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        bytes: ("VARBINARY({})", 4_000, "LONGBLOB"),
        date: "DATE",
        time: ("TIME({})", 6),
        timestamp: ("DATETIME({})", 6),
        instant: ("TIMESTAMP({})", 6),
        json: "JSON",
        uuid: "CHAR(36) CHARACTER SET ascii COLLATE ascii_bin",
        bits: Some((64, "BIT({})")),
        // 3,072 bytes an index, four a character
        key: Some(768),
        // 65,535 bytes a row, four a character
        row: Some(15_000),
    },
    Spelling {
        dialect: "sqlite",
        boolean: "BOOLEAN",
        wholes: &[(64, true, "INTEGER")],
        // beyond 15 digits a NUMERIC becomes a float; text keeps all of them, but compares as text
        decimal: (15, 15, "NUMERIC({},{})"),
        any_decimal: "TEXT",
        wide_decimal: "TEXT",
        single: "REAL",
        double: "DOUBLE",
        text: ("VARCHAR({})", 1_000_000, "TEXT"),
        exact: "",
        bytes: ("BLOB", u64::MAX, "BLOB"),
        date: "DATE",
        time: ("TIME", 6),
        timestamp: ("TIMESTAMP", 6),
        instant: ("TIMESTAMP WITH TIME ZONE", 6),
        // a column of the bare word would take the JSON number 1.0 as a number and give 1 back
        json: "JSON TEXT",
        uuid: "TEXT",
        bits: None,
        key: None,
        row: None,
    },
    Spelling {
        dialect: "oracle",
        boolean: "NUMBER(1)",
        wholes: &[
            (8, true, "NUMBER(3)"),
            (16, true, "NUMBER(5)"),
            (32, true, "NUMBER(10)"),
            (64, true, "NUMBER(19)"),
        ],
        decimal: (38, 38, "NUMBER({},{})"),
        any_decimal: "NUMBER",
        wide_decimal: "NUMBER",
        single: "BINARY_FLOAT",
        double: "BINARY_DOUBLE",
        text: ("VARCHAR2({} CHAR)", 1_000, "CLOB"),
        exact: "",
        bytes: ("RAW({})", 2_000, "BLOB"),
        date: "DATE",
        time: ("VARCHAR2(17)", 6),
        timestamp: ("TIMESTAMP({})", 9),
        instant: ("TIMESTAMP({}) WITH TIME ZONE", 9),
        json: "CLOB",
        uuid: "CHAR(36)",
        bits: None,
        key: Some(1_000),
        row: None,
    },
    Spelling {
        dialect: "mssql",
        boolean: "BIT",
        wholes: &[
            (8, false, "TINYINT"),
            (16, true, "SMALLINT"),
            (32, true, "INT"),
            (64, true, "BIGINT"),
        ],
        decimal: (38, 38, "DECIMAL({},{})"),
        any_decimal: "DECIMAL(38,10)",
        wide_decimal: "NVARCHAR(MAX)",
        single: "REAL",
        double: "FLOAT",
        text: ("NVARCHAR({})", 4_000, "NVARCHAR(MAX)"),
        exact: " COLLATE Latin1_General_100_BIN2",
        bytes: ("VARBINARY({})", 8_000, "VARBINARY(MAX)"),
        date: "DATE",
        time: ("TIME({})", 7),
        timestamp: ("DATETIME2({})", 7),
        instant: ("DATETIMEOFFSET({})", 7),
        json: "NVARCHAR(MAX)",
        uuid: "UNIQUEIDENTIFIER",
        bits: None,
        // 900 bytes a clustered key, two a character
        key: Some(450),
        row: None,
    },
];

/// How the database of that name calls its types; `None` = only its [`db::Dialect`] knows.
pub(super) fn spelling_of(dialect: &str) -> Option<&'static Spelling> {
    SPELLINGS
        .iter()
        .find(|spelling| spelling.dialect == dialect)
}

impl Spelling {
    /// The narrowest type that holds all of `of`; what it cannot hold altogether goes into the widest there is.
    pub(super) fn spell(&self, of: Type) -> String {
        match of {
            Type::Bool => self.boolean.to_owned(),
            Type::Whole { bits, signed } => self.whole(bits, signed),
            Type::Decimal(None) => self.any_decimal.to_owned(),
            Type::Decimal(Some(digits)) => self.decimal(digits),
            Type::Float(..=32) => self.single.to_owned(),
            Type::Float(_) => self.double.to_owned(),
            Type::Text(length) | Type::Own(length) => self.text(length),
            Type::Bytes(length) => bounded(self.bytes, length),
            Type::Date => self.date.to_owned(),
            Type::Time(fraction) => fractional(self.time, fraction),
            Type::Timestamp(fraction) => fractional(self.timestamp, fraction),
            Type::Instant(fraction) => fractional(self.instant, fraction),
            Type::Json => self.json.to_owned(),
            Type::Uuid => self.uuid.to_owned(),
            Type::Bits(bits) => match self.bits {
                Some((most, word)) if bits <= most => word.replace("{}", &bits.to_string()),
                _ => self.text(Some(bits)),
            },
        }
    }

    fn whole(&self, bits: u8, signed: bool) -> String {
        let holds = |(known, sign, _): &&(u8, bool, &str)| match (signed, *sign) {
            (true, true) | (false, false) => *known >= bits,
            (false, true) => *known > bits,
            (true, false) => false,
        };
        match self.wholes.iter().find(holds) {
            Some((_, _, word)) => (*word).to_owned(),
            None => self.decimal(Digits {
                all: digits_of(bits, signed),
                behind: 0,
            }),
        }
    }

    fn decimal(&self, digits: Digits) -> String {
        let (all, behind, word) = self.decimal;
        if digits.all > all || digits.behind > behind {
            return self.wide_decimal.to_owned();
        }
        let word = word.replacen("{}", &digits.all.to_string(), 1);
        word.replacen("{}", &digits.behind.to_string(), 1)
    }

    fn text(&self, length: Option<u64>) -> String {
        bounded(self.text, length) + self.exact
    }

    /// Whether text of that length is a bounded one here.
    pub(super) fn bounds(&self, length: Option<u64>) -> bool {
        length.is_some_and(|length| length <= self.text.1)
    }
}

fn bounded((word, most, beyond): Bounded, length: Option<u64>) -> String {
    match length {
        Some(length) if length <= most => word.replace("{}", &length.max(1).to_string()),
        _ => beyond.to_owned(),
    }
}

fn fractional((word, most): Fractional, fraction: u8) -> String {
    word.replace("{}", &fraction.min(most).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_the_narrowest_word_that_holds_it() {
        let unsigned = |bits| Type::Whole {
            bits,
            signed: false,
        };
        let signed = |bits| Type::Whole { bits, signed: true };
        let digits = |all, behind| Type::Decimal(Some(Digits { all, behind }));
        for (of, [postgres, mysql, sqlite]) in [
            (Type::Bool, ["BOOLEAN", "BOOLEAN", "BOOLEAN"]),
            (signed(8), ["SMALLINT", "TINYINT", "INTEGER"]),
            (signed(64), ["BIGINT", "BIGINT", "INTEGER"]),
            (unsigned(16), ["INTEGER", "SMALLINT UNSIGNED", "INTEGER"]),
            (unsigned(24), ["INTEGER", "MEDIUMINT UNSIGNED", "INTEGER"]),
            (unsigned(64), ["NUMERIC(20,0)", "BIGINT UNSIGNED", "TEXT"]),
            (
                digits(10, 2),
                ["NUMERIC(10,2)", "DECIMAL(10,2)", "NUMERIC(10,2)"],
            ),
            (digits(38, 10), ["NUMERIC(38,10)", "DECIMAL(38,10)", "TEXT"]),
            (digits(80, 2), ["NUMERIC(80,2)", "LONGTEXT", "TEXT"]),
            (Type::Decimal(None), ["NUMERIC", "DECIMAL(65,20)", "TEXT"]),
            (
                Type::Text(Some(20)),
                [
                    "VARCHAR(20)",
                    "VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
                    "VARCHAR(20)",
                ],
            ),
            (
                Type::Text(None),
                [
                    "TEXT",
                    "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
                    "TEXT",
                ],
            ),
            (
                Type::Text(Some(16_777_215)),
                [
                    "TEXT",
                    "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
                    "TEXT",
                ],
            ),
            (Type::Bytes(Some(9)), ["BYTEA", "VARBINARY(9)", "BLOB"]),
            (
                Type::Timestamp(3),
                ["TIMESTAMP(3)", "DATETIME(3)", "TIMESTAMP"],
            ),
            (
                Type::Instant(9),
                [
                    "TIMESTAMP(6) WITH TIME ZONE",
                    "TIMESTAMP(6)",
                    "TIMESTAMP WITH TIME ZONE",
                ],
            ),
            (Type::Bits(8), ["BIT(8)", "BIT(8)", "VARCHAR(8)"]),
            (
                Type::Bits(99),
                [
                    "BIT(99)",
                    "VARCHAR(99) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
                    "VARCHAR(99)",
                ],
            ),
        ] {
            let spelt = |dialect| spelling_of(dialect).unwrap().spell(of);
            assert_eq!(
                [spelt("postgres"), spelt("mysql"), spelt("sqlite")],
                [postgres, mysql, sqlite],
                "{of:?}"
            );
        }
        let told = spelling_of("oracle").unwrap().spell(Type::Text(Some(20)));
        assert_eq!(told, "VARCHAR2(20 CHAR)");
        let told = spelling_of("mssql").unwrap().spell(signed(8));
        assert_eq!(told, "SMALLINT");
        assert!(spelling_of("odbc").is_none());
    }
}
