//! One value of a result: from the driver's value to the written form.

use super::kind::Shape;
use crate::{Kind, form};
use mysql_async::Value;
use std::io::Write;

/// Writes the value's form; `false` for NULL, which has none.
#[inline(always)]
pub(super) fn spell(shape: Shape, kind: Kind, value: &Value, out: &mut Vec<u8>) -> bool {
    match value {
        Value::NULL => return false,
        Value::Int(number) => form::write_integer(out, *number),
        // most texts are their own form
        Value::Bytes(bytes) if kind == Kind::Text && shape.bits().is_none() => {
            out.extend_from_slice(bytes);
        }
        rarer => spell_rarer(shape, kind, rarer, out),
    }
    true
}

/// What most tables have less of, apart from what they are full of.
#[inline(never)]
fn spell_rarer(shape: Shape, kind: Kind, value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::NULL => {}
        Value::Int(number) => form::write_integer(out, *number),
        Value::UInt(number) => write_plain(out, format_args!("{number}")),
        Value::Bytes(bytes) => spell_bytes(shape, kind, bytes, out),
        Value::Float(number) => {
            // the shortest digits of the narrow number, not of its wide twin
            let text = format!("{number:e}");
            form::write_float(out, text.parse().unwrap_or(f64::from(*number)));
        }
        Value::Double(number) => form::write_float(out, *number),
        Value::Date(year, month, day, hour, minute, second, micros) => {
            let rest = [*month, *day, *hour, *minute, *second];
            spell_date(kind, *year, rest, *micros, out);
        }
        Value::Time(negative, days, hours, minutes, seconds, micros) => {
            let sign = if *negative { "-" } else { "" };
            let hours = u64::from(*days) * 24 + u64::from(*hours);
            write_plain(
                out,
                format_args!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
            );
            write_fraction(*micros, out);
        }
    }
}

/// A date, and what follows down to the second, by month.
fn spell_date(kind: Kind, year: u16, rest: [u8; 5], micros: u32, out: &mut Vec<u8>) {
    let year = [year / 100 % 100, year % 100]
        .map(|part| u8::try_from(part).expect("a remainder of a hundred is small"));
    let mut text = *b"yyyy-mm-dd hh:mm:ss";
    let parts = year.into_iter().chain(rest);
    for (at, part) in [0, 2, 5, 8, 11, 14, 17].into_iter().zip(parts) {
        text[at..at + 2].copy_from_slice(&two_digits(part));
    }
    if kind == Kind::Date {
        out.extend_from_slice(&text[..10]);
    } else {
        out.extend_from_slice(&text);
        write_fraction(micros, out);
    }
    if kind == Kind::Instant {
        out.extend_from_slice(b"+00:00");
    }
}

/// Strings, decimals, bits and bytes; and whatever a statement that cannot be prepared gives, as text.
fn spell_bytes(shape: Shape, kind: Kind, bytes: &[u8], out: &mut Vec<u8>) {
    if let Some(bits) = shape.bits() {
        let digits: Vec<u8> = bytes
            .iter()
            .flat_map(|byte| (0..8).rev().map(move |bit| b'0' + (byte >> bit & 1)))
            .collect();
        out.extend_from_slice(&digits[digits.len().saturating_sub(bits)..]);
        return;
    }
    match kind {
        Kind::Blob => form::write_hex(out, bytes),
        Kind::Real => match form::read_float(bytes) {
            Some(number) => form::write_float(out, number),
            None => out.extend_from_slice(bytes),
        },
        Kind::Time | Kind::Timestamp | Kind::Instant => {
            let zeros = match bytes.iter().rposition(|byte| *byte != b'0') {
                Some(last) if bytes.contains(&b'.') => last + usize::from(bytes[last] != b'.'),
                _ => bytes.len(),
            };
            out.extend_from_slice(&bytes[..zeros]);
            if kind == Kind::Instant {
                out.extend_from_slice(b"+00:00");
            }
        }
        _ => out.extend_from_slice(bytes),
    }
}

/// The last two digits. Times are in every row: formatting them costs more than fetching them.
fn two_digits(value: u8) -> [u8; 2] {
    [b'0' + value / 10 % 10, b'0' + value % 10]
}

fn write_plain(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a vector takes every byte");
}

fn write_fraction(micros: u32, out: &mut Vec<u8>) {
    if micros > 0 {
        write_plain(out, format_args!(".{micros:06}"));
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(code: u8, kind: Kind, value: Value, form: &str) {
        let (shape, mut out) = (Shape::new(code, 0, 63, 5, 0), Vec::new());
        assert!(spell(shape, kind, &value, &mut out));
        assert_eq!(String::from_utf8_lossy(&out), form);
    }

    #[test]
    fn values_take_their_form() {
        let bytes = |text: &[u8]| Value::Bytes(text.to_vec());
        case(
            8,
            Kind::Integer,
            Value::UInt(u64::MAX),
            "18446744073709551615",
        );
        case(8, Kind::Integer, Value::Int(-1), "-1");
        case(4, Kind::Real, Value::Float(0.1), "0.1");
        case(5, Kind::Real, Value::Double(1e300), "1e300");
        let date = Value::Date(2026, 11, 21, 13, 45, 0, 250_000);
        case(12, Kind::Timestamp, date, "2026-11-21 13:45:00.25");
        let date = || Value::Date(2026, 11, 21, 0, 0, 0, 0);
        case(7, Kind::Instant, date(), "2026-11-21 00:00:00+00:00");
        case(10, Kind::Date, date(), "2026-11-21");
        case(
            10,
            Kind::Date,
            Value::Date(0, 0, 0, 0, 0, 0, 0),
            "0000-00-00",
        );
        case(
            11,
            Kind::Time,
            Value::Time(true, 1, 2, 3, 4, 0),
            "-26:03:04",
        );
        case(16, Kind::Text, bytes(b"\x05"), "00101");
        case(252, Kind::Blob, bytes(b"\x00\xff"), "00ff");
        case(253, Kind::Text, bytes(b"hi"), "hi");
    }

    #[test]
    fn texts_of_values_take_their_form_too() {
        let text = |text: &str| Value::Bytes(text.as_bytes().to_vec());
        case(5, Kind::Real, text("1.50"), "1.5");
        case(
            12,
            Kind::Timestamp,
            text("2026-11-21 13:45:00.250000"),
            "2026-11-21 13:45:00.25",
        );
        case(11, Kind::Time, text("10:00:00"), "10:00:00");
        case(
            7,
            Kind::Instant,
            text("2026-11-21 10:00:00.000"),
            "2026-11-21 10:00:00+00:00",
        );
    }
}
