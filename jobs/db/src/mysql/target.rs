//! A column that rows are loaded into: its text as MySQL reads it, and what MySQL would bend is refused here.

use crate::{Kind, form};
use std::borrow::Cow;

/// A column that rows are loaded into.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) required: bool,
    pub(super) bits: bool,
}

impl Target {
    /// Whether its text can go into the column as it is.
    pub(super) fn is_plain(&self) -> bool {
        self.kind != Kind::Blob && !self.bits
    }

    /// The expression that makes the column's value of text.
    pub(super) fn converted(&self, text: &str) -> String {
        if self.kind == Kind::Blob {
            format!("UNHEX({text})")
        } else if self.bits {
            format!("CAST(CONV({text}, 2, 10) AS UNSIGNED)")
        } else {
            text.to_owned()
        }
    }

    /// The text as MySQL reads it; an error where MySQL would take something else than what was meant.
    pub(super) fn readable<'t>(&self, text: &'t [u8]) -> Result<Cow<'t, [u8]>, &'static str> {
        let trimmed = text.trim_ascii();
        match self.kind {
            Kind::Integer => {
                if form::is_whole(trimmed) {
                    Ok(trimmed.into())
                } else {
                    Err("not a whole number")
                }
            }
            Kind::Decimal | Kind::Real => match form::read_number(trimmed) {
                Some(_) => Ok(trimmed.into()),
                None => Err("not a number that the column can hold"),
            },
            Kind::Bool if matches!(text, b"0" | b"1") => Ok(text.into()),
            Kind::Bool if text.eq_ignore_ascii_case(b"true") || text.eq_ignore_ascii_case(b"t") => {
                Ok(b"1".into())
            }
            Kind::Bool
                if text.eq_ignore_ascii_case(b"false") || text.eq_ignore_ascii_case(b"f") =>
            {
                Ok(b"0".into())
            }
            // it is a small number, whose range the server knows
            Kind::Bool => {
                if form::is_whole(trimmed) {
                    Ok(trimmed.into())
                } else {
                    Err("neither true nor false nor a whole number")
                }
            }
            Kind::Blob => {
                if form::is_hex(text) {
                    Ok(text.into())
                } else {
                    Err("not pairs of hex digits")
                }
            }
            Kind::Instant => crate::instant::to_utc(text).ok_or("not a time with a zone"),
            // what cannot be moved the server refuses
            Kind::Timestamp => Ok(crate::instant::to_utc(text).unwrap_or(text.into())),
            Kind::Text if self.bits => {
                let bits = !text.is_empty() && text.iter().all(|bit| matches!(bit, b'0' | b'1'));
                if bits {
                    Ok(text.into())
                } else {
                    Err("not binary digits")
                }
            }
            _ => Ok(text.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_as_it_was_meant_or_not_at_all() {
        let read = |kind, text: &str| {
            let target = Target {
                name: String::new(),
                kind,
                required: false,
                bits: false,
            };
            target
                .readable(text.as_bytes())
                .ok()
                .map(|text| String::from_utf8_lossy(&text).into_owned())
        };
        assert_eq!(read(Kind::Integer, " +5 ").as_deref(), Some("+5"));
        assert_eq!(
            (read(Kind::Integer, "1.5"), read(Kind::Integer, "")),
            (None, None)
        );
        assert_eq!(
            (
                read(Kind::Bool, "True").as_deref(),
                read(Kind::Bool, "maybe")
            ),
            (Some("1"), None)
        );
        assert_eq!(
            (read(Kind::Bool, "-1").as_deref(), read(Kind::Bool, "")),
            (Some("-1"), None)
        );
        assert_eq!(
            (read(Kind::Blob, "0A"), read(Kind::Blob, "0g")),
            (Some("0A".to_owned()), None)
        );
        assert_eq!(read(Kind::Real, "1e5 ").as_deref(), Some("1e5"));
        let zoned = "2026-11-21 13:45:00+01:00";
        assert_eq!(
            read(Kind::Timestamp, zoned).as_deref(),
            Some("2026-11-21 12:45:00")
        );
    }
}
