//! Evens out how two databases write the same value, so that rows of both can be compared as text. Pure.
//!
//! A value has one written form on every backend ([`db::form`]) as long as its type is the same. Where types differ between two columns, a few
//! forms do: `12.50` and `12.5`, a moment with and without its zone, text filled up with spaces, JSON that a server has sorted. Each is made the same here, and nothing else.

use db::{ColumnInfo, Kind, form};
use serde_json::Value;

/// How cells of a pair of columns are evened out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Even {
    /// They are compared as they are.
    Plain,
    /// Exact numbers: zeros at the end of the fraction do not count.
    Number,
    /// Floating-point numbers: their shortest form.
    Float,
    /// Dates and times: `T` is a space; zeros at the end of the fraction, the zone UTC and midnight do not count.
    Moment,
    /// Text filled up with spaces: those at its end do not count.
    Padded,
    /// JSON: neither the order of names nor space between them counts.
    Json,
}

impl Even {
    /// What two columns need.
    #[must_use]
    pub fn between(one: &ColumnInfo, other: &ColumnInfo) -> Even {
        let either = |kinds: &[Kind]| kinds.contains(&one.kind) || kinds.contains(&other.kind);
        let padded = |column: &ColumnInfo| {
            let declared = column.declared.to_ascii_lowercase();
            ["character(", "char(", "nchar(", "binary("]
                .iter()
                .any(|word| declared.starts_with(word))
        };
        // not even the same word means the same spelling: SQLite gives 1.5 back from a NUMERIC(10,2)
        if one.kind == Kind::Json && other.kind == Kind::Json {
            Even::Json
        } else if either(&[Kind::Real]) {
            Even::Float
        } else if either(&[Kind::Decimal, Kind::Integer, Kind::Bool]) {
            Even::Number
        } else if either(&[Kind::Timestamp, Kind::Instant, Kind::Time]) {
            Even::Moment
        } else if padded(one) || padded(other) {
            Even::Padded
        } else {
            Even::Plain
        }
    }

    /// The even form of a cell's text, added to `out`.
    pub fn write(self, text: &[u8], out: &mut Vec<u8>) {
        match self {
            Even::Plain => out.extend_from_slice(text),
            Even::Padded => out.extend_from_slice(unpadded(text)),
            Even::Float => match form::read_float(text) {
                // there is no sign of zero in SQL
                Some(value) => form::write_float(out, if value == 0.0 { 0.0 } else { value }),
                None => out.extend_from_slice(text),
            },
            Even::Json => match serde_json::from_slice(text) {
                Ok(value) => json(&value, out),
                Err(_) => out.extend_from_slice(text),
            },
            Even::Number => number(text, out),
            Even::Moment => moment(text, out),
        }
    }
}

/// The text without spaces at its end.
fn unpadded(text: &[u8]) -> &[u8] {
    let last = text.iter().rposition(|byte| *byte != b' ');
    &text[..last.map_or(0, |last| last + 1)]
}

/// The value with its names in order, and no space.
fn json(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Array(items) => {
            out.push(b'[');
            for item in items {
                json(item, out);
                out.push(b',');
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            out.push(b'{');
            for name in names {
                out.extend_from_slice(Value::from(name.as_str()).to_string().as_bytes());
                out.push(b':');
                json(&fields[name], out);
                out.push(b',');
            }
            out.push(b'}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.extend_from_slice(value.to_string().as_bytes());
        }
    }
}

/// `12.50` is `12.5`, `-0.0` is `0`; what is no plain number stays.
fn number(text: &[u8], out: &mut Vec<u8>) {
    let plain = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    if text.is_empty() || !text.iter().all(plain) {
        out.extend_from_slice(text);
        return;
    }
    let mut kept = text;
    if kept.contains(&b'.') {
        while let [rest @ .., b'0'] = kept {
            kept = rest;
        }
        if let [rest @ .., b'.'] = kept {
            kept = rest;
        }
    }
    out.extend_from_slice(match kept {
        b"-0" | b"-" | b"" => b"0",
        kept => kept,
    });
}

fn moment(text: &[u8], out: &mut Vec<u8>) {
    let mut kept = text;
    for zone in [&b"+00:00"[..], b"+00", b"Z"] {
        if let Some(rest) = kept.strip_suffix(zone) {
            kept = rest;
            break;
        }
    }
    let from = out.len();
    out.extend_from_slice(kept);
    if let Some(between) = out.get_mut(from + 10)
        && *between == b'T'
    {
        *between = b' ';
    }
    let fraction = out[from..].contains(&b'.');
    while fraction && out.len() > from && out.last() == Some(&b'0') {
        out.pop();
    }
    if fraction && out.last() == Some(&b'.') {
        out.pop();
    }
    // a day where one database has days alone, and its first moment where the other has none of these
    if out.len() == from + 19 && out.ends_with(b" 00:00:00") {
        out.truncate(from + 10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn even(how: Even, text: &str) -> String {
        let mut out = b"x".to_vec();
        how.write(text.as_bytes(), &mut out);
        String::from_utf8(out[1..].to_vec()).unwrap()
    }

    #[test]
    fn one_value_has_one_form() {
        for (how, text, form) in [
            (Even::Plain, "12.50 ", "12.50 "),
            (Even::Number, "12.50", "12.5"),
            (Even::Number, "100", "100"),
            (Even::Number, "100.000", "100"),
            (Even::Number, "-0.00", "0"),
            (Even::Number, "n/a", "n/a"),
            (Even::Float, "1.0", "1"),
            (Even::Float, "1e2", "100"),
            (Even::Float, "-0", "0"),
            (Even::Float, "NaN", "NaN"),
            (
                Even::Moment,
                "2026-11-21T13:45:00.250Z",
                "2026-11-21 13:45:00.25",
            ),
            (Even::Moment, "2026-11-21 00:00:00.000", "2026-11-21"),
            (Even::Moment, "2026-11-21", "2026-11-21"),
            (
                Even::Moment,
                "2026-11-21 13:40:00+00:00",
                "2026-11-21 13:40:00",
            ),
            (
                Even::Moment,
                "2026-11-21 13:40:00.000000",
                "2026-11-21 13:40:00",
            ),
            (Even::Moment, "", ""),
            (
                Even::Json,
                r#"{"b" : [1, "x\u0041"], "a":null}"#,
                r#"{"a":null,"b":[1,"xA",],}"#,
            ),
            (Even::Json, "no json", "no json"),
            (Even::Padded, "ab  ", "ab"),
            (Even::Padded, "   ", ""),
        ] {
            assert_eq!(even(how, text), form, "{how:?} {text}");
        }
    }

    #[test]
    fn columns_are_compared_by_what_they_hold_whatever_the_word() {
        let column = |kind, declared: &str| ColumnInfo {
            declared: declared.to_owned(),
            ..ColumnInfo::new("c", kind)
        };
        let numeric = column(Kind::Decimal, "numeric(10,2)");
        for (one, other, expected) in [
            (&numeric, &numeric, Even::Number),
            (
                &column(Kind::Timestamp, "datetime"),
                &column(Kind::Timestamp, "datetime"),
                Even::Moment,
            ),
            (
                &column(Kind::Text, "char(9)"),
                &column(Kind::Text, "char(9)"),
                Even::Padded,
            ),
            (
                &column(Kind::Text, "text"),
                &column(Kind::Text, "text"),
                Even::Plain,
            ),
            (&numeric, &column(Kind::Text, "TEXT"), Even::Number),
            (&column(Kind::Real, "real"), &numeric, Even::Float),
            (
                &column(Kind::Instant, "timestamp(6)"),
                &column(Kind::Timestamp, "TIMESTAMP"),
                Even::Moment,
            ),
            (
                &column(Kind::Text, "character(9)"),
                &column(Kind::Text, "char(9)"),
                Even::Padded,
            ),
            (
                &column(Kind::Json, "json"),
                &column(Kind::Json, "jsonb"),
                Even::Json,
            ),
            (
                &column(Kind::Text, "text"),
                &column(Kind::Text, "varchar(9)"),
                Even::Plain,
            ),
        ] {
            assert_eq!(Even::between(one, other), expected);
        }
    }
}
