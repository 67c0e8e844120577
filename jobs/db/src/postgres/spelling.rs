//! What the server's text lacks to be the written form of [`crate::form`].

use crate::form;

/// How the server's text becomes the written form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// It is the form.
    Same,
    /// `t` and `f`.
    Truth,
    /// `\x` in front.
    Bytes,
    /// Exponents as `e+06`, and another choice between two shortest texts of one number.
    Float,
    /// A zone without minutes.
    Zone,
}

/// From so many characters on, two texts of a float may be equally short and near.
const LONG: usize = 15;

/// How a type's text is to be respelled.
pub(super) fn spelling(oid: u32) -> Spelling {
    match oid {
        16 => Spelling::Truth,
        17 => Spelling::Bytes,
        700 | 701 => Spelling::Float,
        1184 | 1266 => Spelling::Zone,
        _ => Spelling::Same,
    }
}

impl Spelling {
    /// Whether a text may need another one in its place, and not only a part of itself.
    pub(super) fn rewrites(self) -> bool {
        matches!(self, Spelling::Float | Spelling::Zone)
    }

    /// The text's written form where it is lent; `Float` and `Zone` need [`Spelling::rewrite`] first.
    pub(super) fn lend(self, text: &[u8]) -> &[u8] {
        match self {
            Spelling::Truth if text == b"t" => b"1",
            Spelling::Truth => b"0",
            Spelling::Bytes => text.strip_prefix(b"\\x").unwrap_or(text),
            Spelling::Same | Spelling::Float | Spelling::Zone => text,
        }
    }

    /// Appends another text to `buffer`, if the text itself is not the written form.
    pub(super) fn rewrite(self, text: &[u8], buffer: &mut Vec<u8>) -> bool {
        match self {
            // infinity has no zone, a year before Christ has its mark behind it
            Spelling::Zone if text.len() > 3 && matches!(text[text.len() - 3], b'+' | b'-') => {
                buffer.extend_from_slice(text);
                buffer.extend_from_slice(b":00");
                true
            }
            Spelling::Float if text.len() >= LONG || text.contains(&b'e') => {
                match form::read_float(text) {
                    Some(value) => form::write_float(buffer, value),
                    None => return false,
                }
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_respelled_where_it_must() {
        let spelled = |spelling: Spelling, text: &str| {
            let mut buffer = Vec::new();
            if spelling.rewrite(text.as_bytes(), &mut buffer) {
                return String::from_utf8(buffer).unwrap();
            }
            String::from_utf8_lossy(spelling.lend(text.as_bytes())).into_owned()
        };
        assert_eq!(spelled(Spelling::Truth, "t"), "1");
        assert_eq!(spelled(Spelling::Bytes, "\\x00ff"), "00ff");
        for (zoned, form) in [
            ("2026-11-21 13:45:00.25+00", "2026-11-21 13:45:00.25+00:00"),
            ("13:45:00-08", "13:45:00-08:00"),
            ("13:45:00+05:30", "13:45:00+05:30"),
            ("infinity", "infinity"),
            ("0044-03-15 00:00:00+00 BC", "0044-03-15 00:00:00+00 BC"),
        ] {
            assert_eq!(spelled(Spelling::Zone, zoned), form);
        }
        for (float, form) in [
            ("1e+15", "1000000000000000"),
            ("1.5e-05", "0.000015"),
            ("-Infinity", "-Infinity"),
            ("0.1", "0.1"),
            // exactly between two texts of the same length
            ("763305920491941.2", "763305920491941.3"),
        ] {
            assert_eq!(spelled(Spelling::Float, float), form);
        }
    }
}
