//! What Oracle's types mean: by the driver's description of a result, and by the dictionary's words.

use crate::Kind;

/// How the driver gives a value, and what is to be made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    /// With so many digits behind the point, where the column says so.
    Number(Option<u8>),
    Single,
    Double,
    Bool,
    /// Date and time to the second.
    Date,
    Timestamp,
    /// A moment, which comes in UTC.
    Instant,
    Bytes,
    DaysToSeconds,
    YearsToMonths,
    Rowid,
    /// The server must spell it: the expression, with `{}` for the column.
    Spelled(&'static str),
    /// Nothing can be made of it.
    Unknown,
}

impl Shape {
    /// By the driver's name of the type, and a number's precision and scale.
    pub(super) fn new(name: &str, precision: u8, scale: i8) -> Shape {
        match name {
            "DB_TYPE_CHAR"
            | "DB_TYPE_VARCHAR"
            | "DB_TYPE_NCHAR"
            | "DB_TYPE_NVARCHAR"
            | "DB_TYPE_LONG"
            | "DB_TYPE_LONG_NVARCHAR"
            | "DB_TYPE_CLOB"
            | "DB_TYPE_NCLOB"
            | "DB_TYPE_UROWID" => Shape::Text,
            "DB_TYPE_NUMBER" | "DB_TYPE_BINARY_INTEGER" => {
                let scale = u8::try_from(scale).ok();
                // an expression says 0, 0 and a plain NUMBER says -127 of what it does not know
                Shape::Number(scale.filter(|_| precision > 0))
            }
            "DB_TYPE_BINARY_FLOAT" => Shape::Single,
            "DB_TYPE_BINARY_DOUBLE" => Shape::Double,
            "DB_TYPE_BOOLEAN" => Shape::Bool,
            "DB_TYPE_DATE" => Shape::Date,
            "DB_TYPE_TIMESTAMP" => Shape::Timestamp,
            "DB_TYPE_TIMESTAMP_TZ" => Shape::Instant,
            "DB_TYPE_RAW" | "DB_TYPE_LONG_RAW" | "DB_TYPE_BLOB" => Shape::Bytes,
            "DB_TYPE_INTERVAL_DS" => Shape::DaysToSeconds,
            "DB_TYPE_INTERVAL_YM" => Shape::YearsToMonths,
            "DB_TYPE_ROWID" => Shape::Rowid,
            // of the local kind the driver does not tell the zone
            "DB_TYPE_TIMESTAMP_LTZ" => Shape::Spelled("CAST({} AS TIMESTAMP(9) WITH TIME ZONE)"),
            "DB_TYPE_JSON" => Shape::Spelled("JSON_SERIALIZE({} RETURNING CLOB)"),
            "DB_TYPE_VECTOR" => Shape::Spelled("FROM_VECTOR({} RETURNING CLOB)"),
            "DB_TYPE_XMLTYPE" => Shape::Spelled("XMLSERIALIZE(CONTENT {} AS CLOB)"),
            _ => Shape::Unknown,
        }
    }

    pub(super) fn kind(self, name: &str) -> Kind {
        match self {
            Shape::Number(Some(0)) => Kind::Integer,
            Shape::Number(_) => Kind::Decimal,
            Shape::Single | Shape::Double => Kind::Real,
            Shape::Bool => Kind::Bool,
            Shape::Date | Shape::Timestamp => Kind::Timestamp,
            Shape::Instant => Kind::Instant,
            Shape::Bytes => Kind::Blob,
            Shape::Spelled(_) if name == "DB_TYPE_TIMESTAMP_LTZ" => Kind::Instant,
            Shape::Spelled(_) if name == "DB_TYPE_JSON" => Kind::Json,
            Shape::Text
            | Shape::DaysToSeconds
            | Shape::YearsToMonths
            | Shape::Rowid
            | Shape::Spelled(_) => Kind::Text,
            Shape::Unknown => Kind::Other,
        }
    }
}

/// Whether a value of the type may be long, by the driver's name: then few rows are fetched at once.
pub(super) fn is_long(name: &str) -> bool {
    name.ends_with("LOB") || name.starts_with("DB_TYPE_LONG")
}

/// A column as the dictionary words it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Words {
    /// `VARCHAR2`, `TIMESTAMP(6) WITH TIME ZONE`: precisions of times are part of the word.
    pub(super) word: String,
    /// In bytes.
    pub(super) bytes: Option<u64>,
    /// In characters, of texts.
    pub(super) characters: Option<u64>,
    /// The length was declared in bytes.
    pub(super) in_bytes: bool,
    pub(super) precision: Option<u64>,
    pub(super) scale: Option<i64>,
}

impl Words {
    pub(super) fn kind(&self) -> Kind {
        let word = self.word.as_str();
        match word {
            "NUMBER" => match (self.precision, self.scale) {
                (_, Some(0)) => Kind::Integer,
                _ => Kind::Decimal,
            },
            "FLOAT" => Kind::Decimal,
            "BINARY_FLOAT" | "BINARY_DOUBLE" => Kind::Real,
            "BOOLEAN" => Kind::Bool,
            "DATE" => Kind::Timestamp,
            "RAW" | "LONG RAW" | "BLOB" | "BFILE" => Kind::Blob,
            "JSON" => Kind::Json,
            _ if word.starts_with("TIMESTAMP") && word.ends_with("TIME ZONE") => Kind::Instant,
            _ if word.starts_with("TIMESTAMP") => Kind::Timestamp,
            _ => Kind::Text,
        }
    }

    /// The type as CREATE TABLE takes it.
    pub(super) fn declared(&self) -> String {
        let word = self.word.as_str();
        match word {
            "VARCHAR2" | "CHAR" => {
                let unit = if self.in_bytes { "BYTE" } else { "CHAR" };
                let length = self.characters.filter(|_| !self.in_bytes).or(self.bytes);
                format!("{word}({} {unit})", length.unwrap_or(1))
            }
            "NVARCHAR2" | "NCHAR" => format!("{word}({})", self.characters.unwrap_or(1)),
            "RAW" => format!("RAW({})", self.bytes.unwrap_or(1)),
            "NUMBER" => match (self.precision, self.scale) {
                (Some(precision), Some(0)) => format!("NUMBER({precision})"),
                (Some(precision), Some(scale)) => format!("NUMBER({precision},{scale})"),
                // as INTEGER makes it
                (None, Some(0)) => "NUMBER(38)".to_owned(),
                _ => "NUMBER".to_owned(),
            },
            "FLOAT" => format!("FLOAT({})", self.precision.unwrap_or(126)),
            _ => word.to_owned(),
        }
    }

    /// Greatest length in characters, or digits of a decimal.
    pub(super) fn length(&self) -> Option<u64> {
        match self.kind() {
            Kind::Text => self.characters.filter(|length| *length > 0),
            Kind::Decimal if self.word == "NUMBER" => self.precision,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(precision: Option<u64>, scale: Option<i64>) -> Words {
        Words {
            word: "NUMBER".to_owned(),
            precision,
            scale,
            ..Words::default()
        }
    }

    #[test]
    fn results_and_dictionary_mean_the_same() {
        for (name, precision, scale, kind) in [
            ("DB_TYPE_NUMBER", 10, 0, Kind::Integer),
            ("DB_TYPE_NUMBER", 10, 2, Kind::Decimal),
            ("DB_TYPE_NUMBER", 0, -127, Kind::Decimal),
            ("DB_TYPE_NUMBER", 0, 0, Kind::Decimal),
            ("DB_TYPE_NUMBER", 5, -2, Kind::Decimal),
            ("DB_TYPE_BINARY_FLOAT", 0, 0, Kind::Real),
            ("DB_TYPE_DATE", 0, 0, Kind::Timestamp),
            ("DB_TYPE_TIMESTAMP_LTZ", 0, 6, Kind::Instant),
            ("DB_TYPE_NCLOB", 0, 0, Kind::Text),
            ("DB_TYPE_LONG_RAW", 0, 0, Kind::Blob),
            ("DB_TYPE_JSON", 0, 0, Kind::Json),
            ("DB_TYPE_OBJECT", 0, 0, Kind::Other),
        ] {
            assert_eq!(
                Shape::new(name, precision, scale).kind(name),
                kind,
                "{name}"
            );
        }
        assert!(is_long("DB_TYPE_CLOB") && is_long("DB_TYPE_LONG") && !is_long("DB_TYPE_RAW"));
    }

    #[test]
    fn the_dictionary_s_words() {
        assert_eq!(number(Some(10), Some(0)).kind(), Kind::Integer);
        assert_eq!(number(None, Some(0)).declared(), "NUMBER(38)");
        assert_eq!(number(Some(10), Some(2)).declared(), "NUMBER(10,2)");
        assert_eq!(
            (number(None, None).kind(), number(None, None).length()),
            (Kind::Decimal, None)
        );
        let word = |word: &str, in_bytes| Words {
            word: word.to_owned(),
            bytes: Some(80),
            characters: Some(20),
            in_bytes,
            ..Words::default()
        };
        assert_eq!(word("VARCHAR2", false).declared(), "VARCHAR2(20 CHAR)");
        assert_eq!(word("CHAR", true).declared(), "CHAR(80 BYTE)");
        assert_eq!(word("NVARCHAR2", false).declared(), "NVARCHAR2(20)");
        let zoned = word("TIMESTAMP(6) WITH LOCAL TIME ZONE", false);
        assert_eq!((zoned.kind(), zoned.length()), (Kind::Instant, None));
        assert_eq!(word("TIMESTAMP(3)", false).kind(), Kind::Timestamp);
    }
}
