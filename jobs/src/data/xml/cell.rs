//! Puts the text of one cell together from the pieces that XML cuts it into.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quick_xml::events::BytesRef;

use super::super::record::Record;
use super::chars::carries;

/// Characters of base64 that are decoded at a time.
const STEP: usize = 4096;

/// How the text of an element stands for the cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Plain,
    Base64,
    /// `xsi:nil="true"`: NULL, said in the open.
    Nil,
    Unknown,
}

/// Appends pieces of literal text with their line ends made one line feed each (XML 1.0 §2.11).
#[derive(Debug, Default)]
pub(super) struct Literal {
    /// Whether the last piece ended with a carriage return, for which a line feed was appended already.
    returned: bool,
}

impl Literal {
    /// A piece that is `fresh` does not go on where the last one ended.
    pub(super) fn append(&mut self, out: &mut Vec<u8>, piece: &[u8], fresh: bool) {
        let mut rest = piece;
        if std::mem::take(&mut self.returned) && !fresh {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(at) = memchr::memchr(b'\r', rest) {
            out.extend_from_slice(&rest[..at]);
            out.push(b'\n');
            rest = &rest[at + 1..];
            self.returned = rest.is_empty();
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        out.extend_from_slice(rest);
    }
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
pub(super) fn close(record: &mut Record, column: usize, coding: Coding) -> Result<(), String> {
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
            let read = decode(record.opened_mut());
            match read {
                Ok(length) => {
                    record.shorten_opened(length);
                    record.close_raw(column);
                    Ok(())
                }
                Err(reason) => {
                    // Whoever mends the row needs to see what stood there.
                    record.close_text(column);
                    Err(reason)
                }
            }
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

/// Decodes base64 in place, white space left out; tells the length of the bytes. Of text that is none, nothing is changed
/// but white space, which moves to the end.
fn decode(text: &mut [u8]) -> Result<usize, String> {
    let mut length = 0;
    for at in 0..text.len() {
        if !text[at].is_ascii_whitespace() {
            text.swap(at, length);
            length += 1;
        }
    }
    let wrong = |e: base64::DecodeSliceError| {
        format!("not base64: {}", e.to_string().trim_end_matches('.'))
    };
    // A first look, so that a fault at the end finds the text as it was.
    let mut bytes = [0; STEP / 4 * 3 + 3];
    for (i, piece) in text[..length].chunks(STEP).enumerate() {
        let got = STANDARD.decode_slice(piece, &mut bytes).map_err(wrong)?;
        if got % 3 != 0 && (i + 1) * STEP < length {
            return Err("not base64: padding in the middle".to_owned());
        }
    }
    let mut written = 0;
    for from in (0..length).step_by(STEP) {
        let piece = &text[from..length.min(from + STEP)];
        let got = STANDARD.decode_slice(piece, &mut bytes).map_err(wrong)?;
        text[written..written + got].copy_from_slice(&bytes[..got]);
        written += got;
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_one_whatever_the_pieces() {
        for cut in 0..8 {
            let (mut out, mut literal) = (Vec::new(), Literal::default());
            let text = b"a\r\nb\r\rc\r";
            literal.append(&mut out, &text[..cut], true);
            literal.append(&mut out, &text[cut..], false);
            assert_eq!(out, b"a\nb\n\nc\n", "{cut}");
        }
        let (mut out, mut literal) = (Vec::new(), Literal::default());
        literal.append(&mut out, b"a\r", true);
        literal.append(&mut out, b"\nb", true);
        assert_eq!(out, b"a\n\nb");
    }

    #[test]
    fn base64_of_any_length_is_decoded_in_place() {
        for length in [0, 1, 2, 3, 4, 3071, 3072, 3073, 10_000] {
            let bytes: Vec<u8> = (0..length).map(|i: u32| i.to_le_bytes()[0]).collect();
            let mut text = STANDARD.encode(&bytes).into_bytes();
            text.insert(text.len() / 2, b'\n');
            let got = decode(&mut text).unwrap();
            assert_eq!(&text[..got], &bytes[..]);
        }
        // Padding belongs to the end alone, also where a piece ends.
        let mut text = [b"A".repeat(STEP - 2), b"==".to_vec(), b"AAAA".to_vec()].concat();
        assert!(decode(&mut text).is_err());
        let mut text = b"AA A*".to_vec();
        assert!(decode(&mut text).unwrap_err().starts_with("not base64"));
        assert_eq!(text, b"AAA* ");
    }
}
