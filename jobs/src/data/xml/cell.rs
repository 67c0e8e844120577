//! Puts the text of one cell together from the pieces that XML cuts it into.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quick_xml::events::BytesRef;

use super::super::record::Record;
use super::chars::carries;

/// How the text of an element stands for the cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Plain,
    Base64,
    /// `xsi:nil="true"`: NULL, said in the open.
    Nil,
    Unknown,
}

/// Appends literal text with its line ends made one line feed each (XML 1.0 §2.11).
pub(super) fn append_literal(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    while let Some(at) = memchr::memchr(b'\r', rest) {
        out.extend_from_slice(&rest[..at]);
        out.push(b'\n');
        rest = &rest[at + 1..];
        rest = rest.strip_prefix(b"\n").unwrap_or(rest);
    }
    out.extend_from_slice(rest);
}

/// Appends what `&name;` or `&#…;` stands for; tells what is wrong with it otherwise.
pub(super) fn append_reference(out: &mut Vec<u8>, reference: &BytesRef<'_>) -> Result<(), String> {
    if let Some(c) = reference.resolve_char_ref().map_err(|e| e.to_string())? {
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        return Ok(());
    }
    let name: &str = reference;
    out.push(match name {
        "lt" => b'<',
        "gt" => b'>',
        "amp" => b'&',
        "quot" => b'"',
        "apos" => b'\'',
        _ => return Err(format!("unknown entity &{name};")),
    });
    Ok(())
}

/// Closes the record's open cell; tells what is wrong with its text, if anything is.
pub(super) fn close(
    record: &mut Record,
    column: usize,
    coding: Coding,
    scratch: &mut Vec<u8>,
) -> Result<(), String> {
    match coding {
        Coding::Plain => {
            let fine = carries(record.opened());
            record.close_text(column);
            if fine {
                Ok(())
            } else {
                Err("a character that XML 1.0 does not allow".into())
            }
        }
        Coding::Base64 => {
            scratch.clear();
            scratch.extend(record.opened().iter().filter(|b| !b.is_ascii_whitespace()));
            record.drop_opened();
            if let Err(error) = STANDARD.decode_vec(&*scratch, record.buffer()) {
                // Whoever mends the row needs to see what stood there.
                record.drop_opened();
                record.buffer().extend_from_slice(scratch);
                record.close_text(column);
                return Err(format!(
                    "not base64: {}",
                    error.to_string().trim_end_matches('.')
                ));
            }
            record.close_raw(column);
            Ok(())
        }
        Coding::Nil => {
            record.close_null(column);
            Ok(())
        }
        Coding::Unknown => {
            record.close_text(column);
            Err("an encoding other than base64".into())
        }
    }
}
