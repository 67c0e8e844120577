//! One JSON object into one record.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::super::Limits;
use super::super::record::{Columns, Record};

/// Arrays and objects inside each other in one value.
pub(super) const DEPTH: usize = 127;

/// Reads the object that `text` holds into the record; tells what is wrong with it otherwise.
pub(super) fn read(
    text: &str,
    record: &mut Record,
    columns: &mut Columns,
    limits: Limits,
) -> Result<(), String> {
    let mut json = serde_json::Deserializer::from_str(text);
    let seed = Object {
        record,
        columns,
        limits,
    };
    seed.deserialize(&mut json)
        .and_then(|()| json.end())
        .map_err(|e| without_line(&e))
}

/// The error's text without its line number, which counts from the row and not from the file.
fn without_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((what, _)) if error.column() > 0 => format!("{what} at character {}", error.column()),
        Some((what, _)) => what.to_owned(),
        None => text,
    }
}

/// The error's text alone, for an error inside another one that tells the place.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ")
        .map_or(text.clone(), |(what, _)| what.to_owned())
}

/// Whether `text` is a JSON number as it stands (RFC 8259 §6).
pub(super) fn is_number(text: &[u8]) -> bool {
    let digits = |t: &[u8]| t.iter().take_while(|b| b.is_ascii_digit()).count();
    let mut rest = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return false;
    }
    rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let length = digits(fraction);
        if length == 0 {
            return false;
        }
        rest = &fraction[length..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = match exponent {
            [b'+' | b'-', unsigned @ ..] => unsigned,
            _ => exponent,
        };
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

struct Object<'a> {
    record: &'a mut Record,
    columns: &'a mut Columns,
    limits: Limits,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut guess = 0;
        // The record shows NULL and absent alike, so doubles are told by the names met in this row.
        let mut met = vec![false; self.columns.names().len()];
        while let Some(Key(name)) = map.next_key()? {
            let column = match self.columns.find(&name, guess) {
                Some(column) => column,
                None if self.columns.names().len() >= self.limits.columns => {
                    return Err(A::Error::custom(format_args!(
                        "more than {} columns",
                        self.limits.columns
                    )));
                }
                None if name.is_empty() || name.len() > self.limits.name => {
                    return Err(A::Error::custom("a name is empty or too long"));
                }
                None => {
                    met.push(false);
                    self.columns.add(&name)
                }
            };
            if std::mem::replace(&mut met[column], true) {
                return Err(A::Error::custom(format_args!(
                    "the name {name} stands twice"
                )));
            }
            guess = column + 1;
            let raw: &'de RawValue = map.next_value()?;
            self.record.open_cell();
            append_value(self.record, column, raw.get()).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

/// A name, borrowed where it holds no escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        json.deserialize_str(Text)
    }
}

fn append_value(record: &mut Record, column: usize, json: &str) -> Result<(), String> {
    match json.as_bytes().first() {
        Some(b'n') => record.close_null(column),
        Some(b'"') => {
            let Key(text) = serde_json::from_str(json).map_err(|e| without_place(&e))?;
            record.buffer().extend_from_slice(text.as_bytes());
            record.close_text(column);
        }
        Some(b'{' | b'[') => {
            let deepest = append_compact(record.buffer(), json.as_bytes());
            record.close_text(column);
            if deepest > DEPTH {
                return Err(format!(
                    "more than {DEPTH} arrays and objects inside each other"
                ));
            }
        }
        Some(first) => {
            let text = match first {
                b't' => "1",
                b'f' => "0",
                _ => json,
            };
            record.buffer().extend_from_slice(text.as_bytes());
            record.close_text(column);
        }
        None => return Err("no value".into()),
    }
    Ok(())
}

/// Appends a nested value without the white space around its tokens; tells how deep it goes.
fn append_compact(out: &mut Vec<u8>, json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut quoted = false;
    let mut escaped = false;
    for &byte in json {
        if quoted {
            quoted = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if byte.is_ascii_whitespace() {
            continue;
        } else {
            quoted = byte == b'"';
            match byte {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            deepest = deepest.max(depth);
        }
        out.push(byte);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Place;

    fn cells(text: &str) -> Result<Vec<Option<String>>, String> {
        let (mut record, mut columns) = (Record::new(), Columns::default());
        record.restart(Place::START);
        read(text, &mut record, &mut columns, Limits::default())?;
        let cell = |i| {
            record
                .cell(i)
                .map(|c| String::from_utf8(c.to_vec()).unwrap())
        };
        Ok((0..columns.names().len()).map(cell).collect())
    }

    #[test]
    fn values_keep_their_text() {
        let row = r#"{"a":1.10,"b":12345678901234567890123,"c":true,"d":null,"e":"x\ny \u4e2d","f":{"k" : [1, "a b\" c"]}}"#;
        let expected = [
            "1.10",
            "12345678901234567890123",
            "1",
            "",
            "x\ny 中",
            r#"{"k":[1,"a b\" c"]}"#,
        ];
        let cells = cells(row).unwrap();
        assert_eq!(cells[3], None);
        for (i, text) in expected.iter().enumerate().filter(|(i, _)| *i != 3) {
            assert_eq!(cells[i].as_deref(), Some(*text));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (row, word) in [
            (r#"{"a":1,"a":2}"#, "twice"),
            (r#"[1]"#, "object"),
            (r#"{"a":1} x"#, "trailing"),
            (r#"{"a":"\ud800"}"#, "hex escape"),
            (r#"{"a":1"#, "EOF"),
            (r#"{"":1}"#, "empty"),
            (r#"{"a":01}"#, ""),
        ] {
            let reason = cells(row).unwrap_err();
            assert!(reason.contains(word), "{row}: {reason}");
        }
        for (depth, fine) in [(127, true), (128, false), (100_000, false)] {
            let value = "[".repeat(depth) + &"]".repeat(depth);
            assert_eq!(
                cells(&format!("{{\"a\":{value}}}")).is_ok(),
                fine,
                "{depth}"
            );
        }
    }

    #[test]
    fn knows_numbers() {
        for good in [
            "0",
            "-0",
            "1.10",
            "10e+5",
            "1E9",
            "123456789012345678901234567890",
        ] {
            assert!(is_number(good.as_bytes()), "{good}");
        }
        for bad in ["", "-", "007", "+1", "1.", ".5", "1e", "NaN", "1 ", "0x1"] {
            assert!(!is_number(bad.as_bytes()), "{bad}");
        }
    }
}
