//! A column that rows are loaded into: its text as Oracle reads it, the expression that makes the value, and what Oracle would bend
//! refused.
//!
//! An empty text is NULL to Oracle. It goes as NULL into a column that may be NULL; another column refuses the row.

use super::charset::{Charset, escaped};
use super::dialect::{DATE, TIMESTAMP};
use super::kind::Words;
use crate::{ColumnInfo, Kind, form};
use std::borrow::Cow;

/// What a value is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Make {
    /// Text that the server converts by itself.
    Text,
    National,
    Integer,
    Number,
    Float,
    Date,
    Timestamp,
    Instant,
    Days,
    Years,
    Rowid,
    Bool,
    Json,
    Xml,
    Bytes,
}

/// A column that rows are loaded into.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) required: bool,
    make: Make,
    single: bool,
    charset: Charset,
    /// NUMBER(1): the place of a truth value.
    truth: bool,
}

impl Target {
    /// For a column of the dictionary, in a database of this character set.
    pub(super) fn new(column: &ColumnInfo, charset: Charset) -> Self {
        let word = column.declared.as_str();
        let make = match column.kind {
            Kind::Integer => Make::Integer,
            Kind::Decimal => Make::Number,
            Kind::Real => Make::Float,
            Kind::Bool => Make::Bool,
            Kind::Blob => Make::Bytes,
            Kind::Json => Make::Json,
            Kind::Instant => Make::Instant,
            Kind::Timestamp if word == "DATE" => Make::Date,
            Kind::Timestamp | Kind::Date => Make::Timestamp,
            _ if word.starts_with("INTERVAL DAY") => Make::Days,
            _ if word.starts_with("INTERVAL YEAR") => Make::Years,
            _ if word == "ROWID" => Make::Rowid,
            _ if word == "XMLTYPE" => Make::Xml,
            _ if word.starts_with('N') && charset != Charset::All => Make::National,
            _ => Make::Text,
        };
        Target {
            name: column.name.clone(),
            required: !column.nullable && !column.auto,
            make,
            single: word == "BINARY_FLOAT",
            charset,
            truth: word == "NUMBER(1)",
        }
    }

    /// Whether its cells are bound as bytes.
    pub(super) fn is_bytes(&self) -> bool {
        self.make == Make::Bytes
    }

    /// The expression that makes the column's value of a placeholder.
    pub(super) fn value(&self, place: &str) -> String {
        match self.make {
            Make::National => format!("UNISTR({place})"),
            Make::Float if self.single => format!("TO_BINARY_FLOAT({place})"),
            Make::Float => format!("TO_BINARY_DOUBLE({place})"),
            Make::Date => format!("TO_DATE({place}, '{DATE}')"),
            Make::Timestamp => format!("TO_TIMESTAMP({place}, '{TIMESTAMP}')"),
            Make::Instant => format!("FROM_TZ(TO_TIMESTAMP({place}, '{TIMESTAMP}'), '+00:00')"),
            Make::Days => format!("TO_DSINTERVAL({place})"),
            Make::Years => format!("TO_YMINTERVAL({place})"),
            Make::Rowid => format!("CHARTOROWID({place})"),
            Make::Bool => format!("TO_BOOLEAN({place})"),
            Make::Json => format!("JSON({place})"),
            Make::Xml => format!("XMLTYPE({place})"),
            Make::Integer | Make::Number => format!("TO_NUMBER({place})"),
            Make::Text | Make::Bytes => place.to_owned(),
        }
    }

    /// The cell as Oracle reads it, bytes as bytes; an error where Oracle would take something else than what was meant.
    pub(super) fn readable<'t>(&self, text: &'t [u8]) -> Result<Cow<'t, [u8]>, &'static str> {
        let trimmed = text.trim_ascii();
        match self.make {
            Make::Bytes => {
                let mut bytes = Vec::new();
                let read = form::read_hex(text, &mut bytes);
                return read.map(|()| bytes.into()).ok_or("not pairs of hex digits");
            }
            Make::Integer if self.truth && trimmed.len() > 1 => {
                if trimmed.eq_ignore_ascii_case(b"true") {
                    return Ok(b"1".into());
                }
                if trimmed.eq_ignore_ascii_case(b"false") {
                    return Ok(b"0".into());
                }
                return Err("neither 1 nor 0");
            }
            Make::Integer => {
                let whole = form::is_whole(trimmed);
                return whole.then(|| trimmed.into()).ok_or("not a whole number");
            }
            Make::Number => {
                let number = form::read_number(trimmed);
                return number
                    .map(|_| trimmed.into())
                    .ok_or("not a number that the column can hold");
            }
            Make::Float => {
                return match trimmed {
                    b"Infinity" => Ok(b"INF".into()),
                    b"-Infinity" => Ok(b"-INF".into()),
                    b"NaN" => Ok(b"NAN".into()),
                    other => form::read_float(other)
                        .map(|_| other.into())
                        .ok_or("not a number that the column can hold"),
                };
            }
            Make::Date => return moment(trimmed, 0).ok_or("not a date and time to the second"),
            Make::Timestamp => return moment(trimmed, 9).ok_or("not a date and time"),
            Make::Instant => return moment(trimmed, 9).ok_or("not a time with a zone"),
            _ => {}
        }
        let Ok(words) = std::str::from_utf8(text) else {
            return Err("not UTF-8");
        };
        if self.make == Make::National {
            return Ok(escaped(words).into_bytes().into());
        }
        if !self.charset.holds(words) {
            return Err("the database's character set does not hold this text");
        }
        Ok(text.into())
    }
}

/// A date and time, `d` for a digit.
const LOOK: &[u8] = b"dddd-dd-dd dd:dd:dd";

/// A date with or without a time and a zone, as `YYYY-MM-DD HH:MM:SS` with at most so many digits of a fraction, in UTC; `None` if it
/// has another look. Which days there are, the server knows.
fn moment(text: &[u8], digits: usize) -> Option<Cow<'_, [u8]>> {
    let text = crate::instant::to_utc(text)?;
    let look = |(at, byte): (usize, &u8)| match LOOK[at] {
        b'd' => byte.is_ascii_digit(),
        b' ' => matches!(byte, b' ' | b'T' | b't'),
        mark => *byte == mark,
    };
    let plain = text.len().min(LOOK.len());
    if !matches!(plain, 10 | 13 | 16 | 19) || !text[..plain].iter().enumerate().all(look) {
        return None;
    }
    let fraction = match text.get(LOOK.len()..) {
        None | Some([]) => &[][..],
        Some([b'.', fraction @ ..]) if fraction.iter().all(u8::is_ascii_digit) => fraction,
        Some(_) => return None,
    };
    let last = fraction.iter().rposition(|digit| *digit != b'0');
    let kept = last.map_or(0, |last| last + 1);
    if kept > digits {
        return None;
    }
    if plain == LOOK.len() && text[10] == b' ' && kept == fraction.len() && text.len() != 20 {
        return Some(text);
    }
    let mut whole = text[..plain].to_vec();
    whole.extend_from_slice(&b"0000-00-00 00:00:00"[plain..]);
    whole[10] = b' ';
    if kept > 0 {
        whole.push(b'.');
        whole.extend_from_slice(&fraction[..kept]);
    }
    Some(whole.into())
}

/// The dictionary's words of a column, for [`Target`] and CREATE TABLE alike.
pub(super) fn column(name: String, words: &Words) -> ColumnInfo {
    ColumnInfo {
        declared: words.declared(),
        length: words.length(),
        ..ColumnInfo::new(name, words.kind())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(kind: Kind, declared: &str, charset: &str) -> Target {
        let column = ColumnInfo {
            declared: declared.to_owned(),
            ..ColumnInfo::new("c", kind)
        };
        Target::new(&column, Charset::new(charset))
    }

    fn read(kind: Kind, declared: &str, text: &str) -> Option<String> {
        let target = target(kind, declared, "ZHS16GBK");
        let read = target.readable(text.as_bytes()).ok()?;
        Some(String::from_utf8_lossy(&read).into_owned())
    }

    #[test]
    fn text_is_read_as_it_was_meant_or_not_at_all() {
        let integer = |text| read(Kind::Integer, "NUMBER(10)", text);
        assert_eq!(integer(" +5 ").as_deref(), Some("+5"));
        assert_eq!(
            (integer("1.5"), integer(""), integer("1e3")),
            (None, None, None)
        );
        let truth = |text| read(Kind::Integer, "NUMBER(1)", text);
        assert_eq!(
            (truth("True").as_deref(), truth("7").as_deref(), truth("12")),
            (Some("1"), Some("7"), None)
        );
        let float = |text| read(Kind::Real, "BINARY_DOUBLE", text);
        assert_eq!(
            (
                float("-Infinity").as_deref(),
                float("1e300").as_deref(),
                float("x")
            ),
            (Some("-INF"), Some("1e300"), None)
        );
        let text = |text| read(Kind::Text, "VARCHAR2(9 CHAR)", text);
        assert_eq!((text("站").as_deref(), text("😀")), (Some("站"), None));
        assert_eq!(
            read(Kind::Text, "NVARCHAR2(9)", "😀").as_deref(),
            Some("\\d83d\\de00")
        );
        let bytes = target(Kind::Blob, "BLOB", "AL32UTF8");
        assert_eq!(bytes.readable(b"00fF").as_deref(), Ok(&[0, 255][..]));
        assert!(bytes.readable(b"0").is_err());
    }

    #[test]
    fn times_are_whole_and_in_utc() {
        let date = |text| read(Kind::Timestamp, "DATE", text);
        assert_eq!(date("2026-11-21").as_deref(), Some("2026-11-21 00:00:00"));
        assert_eq!(
            date("2026-11-21T13:45").as_deref(),
            Some("2026-11-21 13:45:00")
        );
        assert_eq!(
            date("2026-11-21 13:45:00.000").as_deref(),
            Some("2026-11-21 13:45:00")
        );
        assert_eq!(
            (date("2026-11-21 13:45:00.5"), date("21.11.2026"), date("")),
            (None, None, None)
        );
        let time = |text| read(Kind::Timestamp, "TIMESTAMP(6)", text);
        assert_eq!(
            time("2026-11-21 13:45:00.250").as_deref(),
            Some("2026-11-21 13:45:00.25")
        );
        assert_eq!(
            time("2026-11-21 13:45:00+01:00").as_deref(),
            Some("2026-11-21 12:45:00")
        );
        assert_eq!(
            (
                time("2026-11-21 13:45:00.1234567891"),
                time("2026-11-21 13:45:00.")
            ),
            (None, Some("2026-11-21 13:45:00".to_owned()))
        );
        assert_eq!(
            read(
                Kind::Instant,
                "TIMESTAMP(6) WITH TIME ZONE",
                "2026-11-21 23:30:00-01:00"
            )
            .as_deref(),
            Some("2026-11-22 00:30:00")
        );
    }

    #[test]
    fn each_type_has_its_expression() {
        let value = |kind, declared| target(kind, declared, "ZHS16GBK").value(":1");
        assert_eq!(
            value(Kind::Timestamp, "DATE"),
            "TO_DATE(:1, 'YYYY-MM-DD HH24:MI:SS')"
        );
        assert_eq!(value(Kind::Real, "BINARY_FLOAT"), "TO_BINARY_FLOAT(:1)");
        assert_eq!(
            value(Kind::Text, "INTERVAL DAY(2) TO SECOND(6)"),
            "TO_DSINTERVAL(:1)"
        );
        assert_eq!(value(Kind::Text, "NVARCHAR2(9)"), "UNISTR(:1)");
        assert_eq!(value(Kind::Text, "CLOB"), ":1");
        assert_eq!(value(Kind::Integer, "NUMBER(10)"), "TO_NUMBER(:1)");
        assert_eq!(
            target(Kind::Text, "NVARCHAR2(9)", "AL32UTF8").value(":1"),
            ":1"
        );
    }
}
