//! One value of a binary row: from MySQL's bytes to the written form.
//! Format: <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html>.

use super::kind::Shape;
use super::lengths::read_text;
use crate::{Kind, form};
use std::io::Write;

/// What becomes of a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spelled<'b> {
    /// It is the form as it lies.
    Lent(&'b [u8]),
    /// It was written into the buffer.
    Written,
}

/// Reads one value of a binary row and steps over it; `None` where the row breaks off.
pub(super) fn spell<'b>(
    shape: Shape,
    kind: Kind,
    row: &mut &'b [u8],
    out: &mut Vec<u8>,
) -> Option<Spelled<'b>> {
    match shape.code {
        1 | 2 | 3 | 8 | 9 | 13 => write_whole(shape, row, out)?,
        4 => {
            let value = f32::from_le_bytes(take(row)?);
            // the shortest digits of the narrow number, not of its wide twin
            let text = format!("{value:e}");
            form::write_float(out, text.parse().unwrap_or(f64::from(value)));
        }
        5 => form::write_float(out, f64::from_le_bytes(take(row)?)),
        7 | 10 | 12 | 14 => {
            write_moment(shape.code, read_text(row)?, out)?;
            if kind == Kind::Instant {
                out.extend_from_slice(b"+00:00");
            }
        }
        11 => write_time(read_text(row)?, out)?,
        _ => {
            let text = read_text(row)?;
            if let Some(bits) = shape.bits() {
                let digits: Vec<u8> = text
                    .iter()
                    .flat_map(|byte| (0..8).rev().map(move |bit| b'0' + (byte >> bit & 1)))
                    .collect();
                out.extend_from_slice(&digits[digits.len().saturating_sub(bits)..]);
            } else if kind == Kind::Blob {
                form::write_hex(out, text);
            } else {
                return Some(Spelled::Lent(text));
            }
        }
    }
    Some(Spelled::Written)
}

fn take<const N: usize>(row: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, rest) = row.split_first_chunk::<N>()?;
    *row = rest;
    Some(*bytes)
}

fn write_whole(shape: Shape, row: &mut &[u8], out: &mut Vec<u8>) -> Option<()> {
    let unsigned = shape.unsigned || shape.code == 13;
    let value = match (shape.code, unsigned) {
        (1, true) => i64::from(u8::from_le_bytes(take(row)?)),
        (1, false) => i64::from(i8::from_le_bytes(take(row)?)),
        (2 | 13, true) => i64::from(u16::from_le_bytes(take(row)?)),
        (2 | 13, false) => i64::from(i16::from_le_bytes(take(row)?)),
        (3 | 9, true) => i64::from(u32::from_le_bytes(take(row)?)),
        (3 | 9, false) => i64::from(i32::from_le_bytes(take(row)?)),
        (_, true) => {
            let value = u64::from_le_bytes(take(row)?);
            match i64::try_from(value) {
                Ok(value) => value,
                Err(_) => return write!(out, "{value}").ok(),
            }
        }
        (_, false) => i64::from_le_bytes(take(row)?),
    };
    form::write_integer(out, value);
    Some(())
}

/// `2026-11-21`, `2026-11-21 13:45:00.25`; of no length is the zero date.
fn write_moment(code: u8, parts: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (year, month, day) = match *parts {
        [] => (0, 0, 0),
        [low, high, month, day, ..] => (u16::from_le_bytes([low, high]), month, day),
        _ => return None,
    };
    write!(out, "{year:04}-{month:02}-{day:02}").ok()?;
    if matches!(code, 10 | 14) {
        return Some(());
    }
    let [hour, minute, second] = *parts.get(4..7).unwrap_or(&[0; 3]) else {
        return None;
    };
    write!(out, " {hour:02}:{minute:02}:{second:02}").ok()?;
    write_fraction(parts.get(7..11), out)
}

/// `13:45:00.25`; days are hours, as MySQL writes them.
fn write_time(parts: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let Some((negative, rest)) = parts.split_first() else {
        out.extend_from_slice(b"00:00:00");
        return Some(());
    };
    let (days, rest) = rest.split_first_chunk::<4>()?;
    let [hour, minute, second] = *rest.first_chunk::<3>()?;
    let hours = u64::from(u32::from_le_bytes(*days)) * 24 + u64::from(hour);
    let sign = if *negative == 0 { "" } else { "-" };
    write!(out, "{sign}{hours:02}:{minute:02}:{second:02}").ok()?;
    write_fraction(rest.get(3..7), out)
}

fn write_fraction(micros: Option<&[u8]>, out: &mut Vec<u8>) -> Option<()> {
    let micros = micros
        .and_then(|bytes| bytes.first_chunk::<4>())
        .map_or(0, |bytes| u32::from_le_bytes(*bytes));
    if micros > 0 {
        write!(out, ".{micros:06}").ok()?;
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(code: u8, unsigned: bool, kind: Kind, bytes: &[u8]) -> Option<String> {
        let shape = Shape::new(code, if unsigned { 0x20 } else { 0 }, 63, 5, 0);
        let (mut row, mut out) = (bytes, Vec::new());
        let spelled = spell(shape, kind, &mut row, &mut out)?;
        assert!(row.is_empty());
        Some(match spelled {
            Spelled::Lent(text) => String::from_utf8_lossy(text).into_owned(),
            Spelled::Written => String::from_utf8_lossy(&out).into_owned(),
        })
    }

    #[test]
    fn values_take_their_form() {
        let case = |code, unsigned, kind, bytes: &[u8], form: &str| {
            assert_eq!(spelled(code, unsigned, kind, bytes).as_deref(), Some(form));
            for end in 0..bytes.len() {
                let _ = spell(
                    Shape::new(code, 0, 63, 5, 0),
                    kind,
                    &mut &bytes[..end],
                    &mut Vec::new(),
                );
            }
        };
        case(8, true, Kind::Integer, &[255; 8], "18446744073709551615");
        case(8, false, Kind::Integer, &[255; 8], "-1");
        case(1, false, Kind::Integer, &[128], "-128");
        case(4, false, Kind::Real, &0.1_f32.to_le_bytes(), "0.1");
        case(5, false, Kind::Real, &1e300_f64.to_le_bytes(), "1e300");
        case(
            12,
            false,
            Kind::Timestamp,
            b"\x0b\xea\x07\x0b\x15\x0d\x2d\0\x90\xd0\x03\0",
            "2026-11-21 13:45:00.25",
        );
        case(
            7,
            false,
            Kind::Instant,
            b"\x04\xea\x07\x0b\x15",
            "2026-11-21 00:00:00+00:00",
        );
        case(10, false, Kind::Date, b"\0", "0000-00-00");
        case(
            11,
            false,
            Kind::Time,
            b"\x08\x01\x01\0\0\0\x02\x03\x04",
            "-26:03:04",
        );
        case(11, false, Kind::Time, b"\0", "00:00:00");
        case(16, false, Kind::Text, b"\x01\x05", "00101");
        case(252, false, Kind::Blob, b"\x02\x00\xff", "00ff");
        case(253, false, Kind::Text, b"\x02hi", "hi");
    }
}
