//! One value between a driver's form and the written form. Pure.

use super::engine::Engine;
use crate::{Kind, form};
use std::borrow::Cow;

/// Text in UTF-16; `None` if it is not UTF-8.
pub(super) fn wide(text: &[u8]) -> Option<Vec<u16>> {
    if text.is_ascii() {
        return Some(text.iter().map(|byte| u16::from(*byte)).collect());
    }
    Some(std::str::from_utf8(text).ok()?.encode_utf16().collect())
}

/// Appends UTF-16 as UTF-8; `None` where a half of a pair stands alone.
pub(super) fn write_narrow(wide: &[u16], out: &mut Vec<u8>) -> Option<()> {
    let mut utf8 = [0; 4];
    for unit in char::decode_utf16(wide.iter().copied()) {
        let c = unit.ok()?;
        out.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
    }
    Some(())
}

/// Makes the driver's text of a value, which begins at `from`, the written form.
pub(super) fn settle(kind: Kind, out: &mut Vec<u8>, from: usize) {
    match kind {
        Kind::Time | Kind::Timestamp | Kind::Instant => {
            if let Some(point) = out[from..].iter().position(|byte| *byte == b'.')
                && out[from + point + 1..].iter().all(u8::is_ascii_digit)
            {
                while out.last() == Some(&b'0') {
                    out.pop();
                }
                if out.last() == Some(&b'.') {
                    out.pop();
                }
            }
        }
        Kind::Real => {
            if let Some(number) = form::read_float(&out[from..]) {
                out.truncate(from);
                form::write_float(out, number);
            }
        }
        Kind::Bool => {
            let truth = match &out[from..] {
                b"t" | b"true" | b"TRUE" => b'1',
                b"f" | b"false" | b"FALSE" => b'0',
                _ => return,
            };
            out.truncate(from);
            out.push(truth);
        }
        _ => {}
    }
}

/// The text as the database reads it; an error where it would take something else than what was meant.
pub(super) fn readable(
    engine: Engine,
    kind: Kind,
    text: &[u8],
) -> Result<Cow<'_, [u8]>, &'static str> {
    let trimmed = text.trim_ascii();
    match kind {
        Kind::Integer => {
            if !form::is_whole(trimmed) {
                return Err("not a whole number");
            }
            if engine == Engine::Sqlite
                && !matches!(form::read_number(trimmed), Some(form::Number::Integer(_)))
            {
                return Err("not a number that 64 bits hold");
            }
            Ok(trimmed.into())
        }
        Kind::Decimal => match form::read_number(trimmed) {
            Some(form::Number::Float { exact: false, .. }) if engine == Engine::Sqlite => {
                Err("more digits than SQLite keeps in a NUMERIC column; declare it TEXT")
            }
            Some(_) => Ok(trimmed.into()),
            None => Err("not a number that the column can hold"),
        },
        Kind::Real => match form::read_float(trimmed) {
            Some(number) if number.is_finite() || engine == Engine::Postgres => Ok(trimmed.into()),
            _ => Err("not a number that the column can hold"),
        },
        Kind::Bool => form::plain_bool(trimmed)
            .map(Into::into)
            .ok_or("neither 1 nor 0"),
        Kind::Blob => {
            if form::is_hex(text) {
                Ok(text.into())
            } else {
                Err("not pairs of hex digits")
            }
        }
        Kind::Instant if matches!(engine, Engine::Mysql | Engine::Other) => {
            crate::instant::to_utc(text).ok_or("not a time with a zone")
        }
        Kind::Timestamp if !engine.keeps_zones() => {
            Ok(crate::instant::to_utc(text).unwrap_or(text.into()))
        }
        _ if std::str::from_utf8(text).is_err() => Err("not UTF-8"),
        _ => Ok(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_texts_take_their_form() {
        let settled = |kind, text: &str| {
            let mut out = b"x".to_vec();
            out.extend_from_slice(text.as_bytes());
            settle(kind, &mut out, 1);
            String::from_utf8(out[1..].to_vec()).unwrap()
        };
        let stamp = "2026-11-21 13:45:00";
        assert_eq!(
            settled(Kind::Timestamp, &format!("{stamp}.250000")),
            format!("{stamp}.25")
        );
        assert_eq!(settled(Kind::Timestamp, &format!("{stamp}.000")), stamp);
        assert_eq!(settled(Kind::Time, "10:20:30"), "10:20:30");
        assert_eq!(settled(Kind::Real, "1.50E+5"), "150000");
        assert_eq!(settled(Kind::Bool, "true"), "1");
        assert_eq!(settled(Kind::Decimal, "1.50"), "1.50");
    }

    #[test]
    fn text_passes_through_utf_16() {
        for text in ["", "abc", "站 😀"] {
            let mut out = Vec::new();
            write_narrow(&wide(text.as_bytes()).unwrap(), &mut out).unwrap();
            assert_eq!(out, text.as_bytes());
        }
        assert!(wide(b"\xff").is_none());
        assert!(write_narrow(&[0xd83d], &mut Vec::new()).is_none());
    }

    #[test]
    fn text_is_read_as_it_was_meant_or_not_at_all() {
        let read = |engine, kind, text: &'static str| {
            readable(engine, kind, text.as_bytes())
                .ok()
                .map(|text| String::from_utf8(text.to_vec()).unwrap())
        };
        assert_eq!(
            read(Engine::Sqlite, Kind::Integer, " 12 ").as_deref(),
            Some("12")
        );
        assert_eq!(
            read(Engine::Sqlite, Kind::Integer, "9223372036854775808"),
            None
        );
        assert_eq!(read(Engine::Mysql, Kind::Integer, "1.5"), None);
        assert_eq!(
            read(Engine::Mysql, Kind::Bool, "True").as_deref(),
            Some("1")
        );
        assert_eq!(
            read(Engine::Postgres, Kind::Real, "NaN").as_deref(),
            Some("NaN")
        );
        assert_eq!(read(Engine::Mysql, Kind::Real, "NaN"), None);
        let zoned = "2026-11-21 13:45:00+01:00";
        assert_eq!(
            read(Engine::Sqlite, Kind::Timestamp, zoned).as_deref(),
            Some(zoned)
        );
        assert_eq!(
            read(Engine::Postgres, Kind::Timestamp, zoned).as_deref(),
            Some("2026-11-21 12:45:00")
        );
    }
}
