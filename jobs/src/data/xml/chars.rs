//! Which characters XML 1.0 can carry, and how they are escaped (XML 1.0, fifth edition, §2.2, §2.3, §2.11).

/// Bytes that stand for themselves in the text of an element: ASCII without control characters and without `<`, `>` and `&`.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte: u8 = 0x20;
    while byte < 0x80 {
        plain[byte as usize] = !matches!(byte, b'<' | b'>' | b'&');
        byte += 1;
    }
    plain[b'\t' as usize] = true;
    plain[b'\n' as usize] = true;
    plain
};

/// Whether a text can be written into an element as it stands. It is so for nearly every cell, and this is all that is then asked of it.
pub(super) fn is_plain(text: &[u8]) -> bool {
    // without a branch a byte: cells are short
    text.iter()
        .fold(true, |plain, byte| plain & PLAIN[usize::from(*byte)])
}

/// The same for many cells at a time: compared rather than looked up, as that is done with many bytes at once.
pub(super) fn are_plain(text: &[u8]) -> bool {
    let odd = text.iter().fold(0, |odd, &byte| {
        let control = (byte < 0x20) & (byte != b'\t') & (byte != b'\n');
        let mark = (byte == b'<') | (byte == b'>') | (byte == b'&');
        odd | u8::from(control | mark | (byte >= 0x80))
    });
    odd == 0
}

/// Whether XML 1.0 can carry this text: UTF-8 without control characters (but tab, line feed, carriage return) and
/// without U+FFFE and U+FFFF.
pub(crate) fn is_text(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok() && carries(text)
}

/// The same for text that is known to be UTF-8.
pub(super) fn carries(text: &[u8]) -> bool {
    // One pass without branches over what is nearly always clean; the rare lead byte of U+FFFx gets a second look.
    let suspect = text.iter().fold(0_u8, |seen, &byte| {
        seen | u8::from(is_control(byte)) | (u8::from(byte == 0xEF) << 1)
    });
    match suspect {
        0 => true,
        2 => !text
            .windows(3)
            .any(|w| w == [0xEF, 0xBF, 0xBE] || w == [0xEF, 0xBF, 0xBF]),
        _ => false,
    }
}

fn is_control(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')
}

/// Whether `name` can be an element's name without a prefix.
pub(super) fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(starts_name) && chars.all(continues_name)
}

/// Whether `name` can be the name of an element or attribute in a file, prefixes and all.
pub(super) fn is_qualified_name(name: &str) -> bool {
    let mut chars = name.chars();
    let begins = |c: char| starts_name(c) || c == ':';
    chars.next().is_some_and(begins) && chars.all(|c| continues_name(c) || c == ':')
}

fn starts_name(c: char) -> bool {
    matches!(c, 'A'..='Z' | 'a'..='z' | '_' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
        | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}'
        | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}'
        | '\u{10000}'..='\u{EFFFF}')
}

fn continues_name(c: char) -> bool {
    starts_name(c)
        || matches!(c, '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

/// Appends text of an element. A carriage return must be a reference, else a parser makes a line feed of it.
pub(super) fn append_text(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some(at) = rest
        .iter()
        .position(|b| matches!(b, b'<' | b'>' | b'&' | b'\r'))
    {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(match rest[at] {
            b'<' => b"&lt;",
            b'>' => b"&gt;",
            b'&' => b"&amp;",
            _ => b"&#13;",
        });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// Appends ` name="value"`; white space that a parser would turn into blanks is written as references, what XML
/// cannot carry as U+FFFD.
pub(super) fn append_attribute(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    for c in value.chars() {
        match c {
            '<' => out.extend_from_slice(b"&lt;"),
            '&' => out.extend_from_slice(b"&amp;"),
            '"' => out.extend_from_slice(b"&quot;"),
            '\t' => out.extend_from_slice(b"&#9;"),
            '\n' => out.extend_from_slice(b"&#10;"),
            '\r' => out.extend_from_slice(b"&#13;"),
            '\0'..='\x1F' | '\u{FFFE}' | '\u{FFFF}' => out.extend_from_slice("\u{FFFD}".as_bytes()),
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_xml_carries() {
        assert!(is_text(
            "tab\tline\ncr\r ünï 中文 \u{FFFD} \u{10FFFF}".as_bytes()
        ));
        for bad in ["\0", "\x01", "\x1F", "a\u{FFFE}", "\u{FFFF}b"] {
            assert!(!is_text(bad.as_bytes()), "{bad:?}");
        }
        assert!(!is_text(b"\xFF"));
    }

    #[test]
    fn plain_text_is_what_is_written_as_it_stands() {
        for byte in 0..=255 {
            let mut out = Vec::new();
            append_text(&mut out, &[byte]);
            let stands = is_text(&[byte]) && out == [byte];
            assert_eq!(is_plain(&[b'a', byte]), stands, "{byte}");
            let mut many = [b'a'; 99];
            many[usize::from(byte) % 99] = byte;
            assert_eq!(are_plain(&many), stands, "{byte}");
        }
    }

    #[test]
    fn knows_names() {
        assert!(is_name("obtid") && is_name("站号") && is_name("_a-b.c9"));
        for bad in ["", "9a", "a b", "count(*)", "a:b", "-a", "a<"] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }
}
