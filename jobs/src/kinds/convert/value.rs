//! The types of columns: whether a text is a value of its type, and the one form it is written in (as `db` has it).

use std::io::Write;

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Digits that an exponent may add to a decimal.
const MAX_SHIFT: i64 = 400;

/// What a column holds. Blank text is NULL in every type but `text`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Type {
    /// Any text, as it stands.
    #[default]
    Text,
    /// A whole number: `-42`.
    Integer,
    /// An exact decimal number, written without exponent: `12.50`.
    Decimal,
    /// A floating-point number: `0.1`, `1e300`.
    Real,
    /// `true`/`false`, `yes`/`no`, `t`/`f`, `y`/`n` or `1`/`0`, written `1` and `0`.
    Boolean,
    /// A date, written `2026-11-21`.
    Date,
    /// A time of day, written `13:45:00`.
    Time,
    /// A date and time, with its zone where it has one, written `2026-11-21 13:45:00.25+01:00`; a day alone is its midnight.
    Timestamp,
}

impl Type {
    /// Appends the written form of `text` to `out`; says what it is not otherwise. `pattern` is a date's or time's own
    /// (strftime); without it ISO 8601 is expected.
    pub(super) fn write(
        self,
        text: &str,
        pattern: Option<&str>,
        out: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        let trimmed = text.trim();
        let done = match self {
            Type::Text => {
                out.extend_from_slice(text.as_bytes());
                Some(())
            }
            Type::Integer => write_integer(trimmed, out),
            Type::Decimal => write_decimal(trimmed, out),
            Type::Real => db::form::read_float(trimmed.as_bytes())
                .map(|value| db::form::write_float(out, value)),
            Type::Boolean => {
                read_boolean(trimmed).map(|value| out.push(if value { b'1' } else { b'0' }))
            }
            Type::Date => NaiveDate::parse_from_str(trimmed, pattern.unwrap_or("%Y-%m-%d"))
                .ok()
                .and_then(|date| write!(out, "{date}").ok()),
            Type::Time => read_time(trimmed, pattern).map(|time| write_time(out, time)),
            Type::Timestamp => write_timestamp(trimmed, pattern, out),
        };
        done.ok_or(match self {
            Type::Text => "not text",
            Type::Integer => "not an integer",
            Type::Decimal => "not a decimal number",
            Type::Real => "not a number",
            Type::Boolean => "neither true nor false",
            Type::Date => "not a date",
            Type::Time => "not a time of day",
            Type::Timestamp => "not a date and time",
        })
    }
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

fn write_integer(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let (negative, digits) = split_sign(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        out.push(b'0');
        return Some(());
    }
    if negative {
        out.push(b'-');
    }
    out.extend_from_slice(digits.as_bytes());
    Some(())
}

/// Shifts the point as the exponent says and keeps every digit, zeros at the end too: they say how exact it is.
fn write_decimal(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let (negative, unsigned) = split_sign(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let exponent: i64 = exponent
        .strip_prefix('+')
        .unwrap_or(exponent)
        .parse()
        .ok()?;
    if exponent.abs() > MAX_SHIFT {
        return None;
    }
    if negative && digits.iter().any(|&d| d != b'0') {
        out.push(b'-');
    }
    let point = i64::try_from(whole.len()).ok()? + exponent;
    let at = usize::try_from(point.max(0)).ok()?;
    let before: Vec<u8> = (0..at)
        .map(|i| digits.get(i).copied().unwrap_or(b'0'))
        .collect();
    let leading = before.iter().take_while(|&&d| d == b'0').count();
    if leading == before.len() {
        out.push(b'0');
    } else {
        out.extend_from_slice(&before[leading..]);
    }
    let after = digits.get(at..).unwrap_or_default();
    if !after.is_empty() || point < 0 {
        out.push(b'.');
        out.extend(std::iter::repeat_n(
            b'0',
            usize::try_from((-point).max(0)).ok()?,
        ));
        out.extend_from_slice(after);
    }
    Some(())
}

fn read_boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

fn read_time(text: &str, pattern: Option<&str>) -> Option<NaiveTime> {
    match pattern {
        Some(pattern) => NaiveTime::parse_from_str(text, pattern).ok(),
        None => ["%H:%M:%S%.f", "%H:%M"]
            .iter()
            .find_map(|form| NaiveTime::parse_from_str(text, form).ok()),
    }
}

/// The time of day, its fraction without zeros at the end.
fn write_time(out: &mut Vec<u8>, time: NaiveTime) {
    let nanos = time.nanosecond() % 1_000_000_000;
    write!(
        out,
        "{:02}:{:02}:{:02}",
        time.hour(),
        time.minute(),
        time.second()
    )
    .expect("a vector takes every byte");
    if nanos > 0 {
        let fraction = format!("{nanos:09}");
        out.push(b'.');
        out.extend_from_slice(fraction.trim_end_matches('0').as_bytes());
    }
}

fn write_timestamp(text: &str, pattern: Option<&str>, out: &mut Vec<u8>) -> Option<()> {
    let (naive, zone) = read_timestamp(text, pattern)?;
    write!(out, "{} ", naive.date()).ok()?;
    write_time(out, naive.time());
    if let Some(zone) = zone {
        write!(out, "{zone}").ok()?;
    }
    Some(())
}

fn read_timestamp(
    text: &str,
    pattern: Option<&str>,
) -> Option<(NaiveDateTime, Option<FixedOffset>)> {
    let zoned = |form: &str| {
        DateTime::parse_from_str(text, form)
            .ok()
            .map(|instant| (instant.naive_local(), Some(*instant.offset())))
    };
    let naive = |form: &str| {
        NaiveDateTime::parse_from_str(text, form)
            .ok()
            .map(|moment| (moment, None))
    };
    if let Some(pattern) = pattern {
        let date = || {
            NaiveDate::parse_from_str(text, pattern)
                .ok()?
                .and_hms_opt(0, 0, 0)
                .map(|moment| (moment, None))
        };
        return zoned(pattern).or_else(|| naive(pattern)).or_else(date);
    }
    // A day alone, as spreadsheets have it where the time is midnight.
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some((day.and_time(NaiveTime::MIN), None));
    }
    // A digit or the letter behind the time tells which of the forms it can be, so that most values parse once.
    let behind = text.as_bytes().get(16..).unwrap_or_default();
    let has_zone = behind
        .iter()
        .any(|b| matches!(b, b'Z' | b'z' | b'+' | b'-'));
    let t = if text.as_bytes().get(10) == Some(&b'T') {
        'T'
    } else {
        ' '
    };
    let forms = ["%H:%M:%S%.f", "%H:%M"];
    forms.iter().find_map(|time| {
        let form = format!("%Y-%m-%d{t}{time}");
        if has_zone {
            zoned(&format!("{form}%#z"))
        } else {
            naive(&form)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(kind: Type, text: &str) -> Option<String> {
        patterned(kind, text, None)
    }

    fn patterned(kind: Type, text: &str, pattern: Option<&str>) -> Option<String> {
        let mut out = Vec::new();
        kind.write(text, pattern, &mut out).ok()?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn numbers_take_one_form() {
        for (kind, text, form) in [
            (Type::Integer, " +007 ", "7"),
            (Type::Integer, "-0", "0"),
            (
                Type::Integer,
                "-12345678901234567890123",
                "-12345678901234567890123",
            ),
            (Type::Decimal, "12.50", "12.50"),
            (Type::Decimal, "+.5", "0.5"),
            (Type::Decimal, "-007.", "-7"),
            (Type::Decimal, "-0.00", "0.00"),
            (Type::Decimal, "1e3", "1000"),
            (Type::Decimal, "1.25E+1", "12.5"),
            (Type::Decimal, "1.5e-3", "0.0015"),
            (Type::Decimal, "12e-1", "1.2"),
            (Type::Real, "10.357019999999999", "10.357019999999999"),
            (Type::Real, "1e3", "1000"),
            (Type::Boolean, "Yes", "1"),
            (Type::Boolean, "f", "0"),
        ] {
            assert_eq!(
                written(kind, text).as_deref(),
                Some(form),
                "{kind:?} {text}"
            );
        }
    }

    #[test]
    fn what_is_no_value_is_told() {
        for (kind, texts) in [
            (Type::Integer, &["1.0", "", "-", "1e3", "0x1", "１"][..]),
            (
                Type::Decimal,
                &[
                    "", ".", "1,5", "NaN", "1e", "1e999", "--1", "1.2.3", "1e3e3",
                ],
            ),
            (Type::Real, &["", "abc", "1 2"]),
            (Type::Boolean, &["", "2", "maybe"]),
            (Type::Date, &["2026-02-30", "21.11.2026", ""]),
            (Type::Time, &["25:00", "1"]),
            (
                Type::Timestamp,
                &[
                    "2026-11-31",
                    "x",
                    "2026-11-21 13:45:00+99:00",
                    "日本語日本語日本語",
                ],
            ),
        ] {
            for text in texts {
                assert_eq!(written(kind, text), None, "{kind:?} {text}");
            }
        }
    }

    #[test]
    fn times_take_one_form() {
        for (kind, text, pattern, form) in [
            (Type::Date, "21.11.2026", Some("%d.%m.%Y"), "2026-11-21"),
            (Type::Time, "13:45", None, "13:45:00"),
            (
                Type::Time,
                "1:45:00.250 PM",
                Some("%I:%M:%S%.f %p"),
                "13:45:00.25",
            ),
            (
                Type::Timestamp,
                "2026-11-21T13:45:00.250Z",
                None,
                "2026-11-21 13:45:00.25+00:00",
            ),
            (Type::Timestamp, "2026-11-21", None, "2026-11-21 00:00:00"),
            (
                Type::Timestamp,
                "2026-11-21 13:45",
                None,
                "2026-11-21 13:45:00",
            ),
            (
                Type::Timestamp,
                "2026-11-21 13:45:10+0130",
                None,
                "2026-11-21 13:45:10+01:30",
            ),
            (
                Type::Timestamp,
                "20261121134500",
                Some("%Y%m%d%H%M%S"),
                "2026-11-21 13:45:00",
            ),
            (
                Type::Timestamp,
                "21/11/2026",
                Some("%d/%m/%Y"),
                "2026-11-21 00:00:00",
            ),
        ] {
            assert_eq!(
                patterned(kind, text, pattern).as_deref(),
                Some(form),
                "{kind:?} {text}"
            );
        }
    }
}
