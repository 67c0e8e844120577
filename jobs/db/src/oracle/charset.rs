//! Which texts a database's character set holds. The server would put a question mark for the others without a word, so they are
//! refused here.

use encoding_rs::{
    BIG5, EUC_JP, EUC_KR, Encoding, GB18030, GBK, ISO_8859_2, ISO_8859_5, ISO_8859_7, ISO_8859_15,
    SHIFT_JIS, WINDOWS_1250, WINDOWS_1251, WINDOWS_1252, WINDOWS_1253, WINDOWS_1254,
};

/// What a character set holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Charset {
    /// Every text.
    All,
    /// Of a set that is not known here only ASCII is certain.
    Ascii,
    /// The first 256 characters of Unicode.
    Latin1,
    Encoded(&'static Encoding),
}

impl Charset {
    /// By Oracle's name, as in NLS_CHARACTERSET.
    pub(super) fn new(name: &str) -> Charset {
        let encoding = match name {
            "AL32UTF8" | "UTF8" | "UTFE" | "AL16UTF16" => return Charset::All,
            "WE8ISO8859P1" => return Charset::Latin1,
            "WE8MSWIN1252" => WINDOWS_1252,
            "WE8ISO8859P15" => ISO_8859_15,
            "EE8MSWIN1250" => WINDOWS_1250,
            "EE8ISO8859P2" => ISO_8859_2,
            "CL8MSWIN1251" => WINDOWS_1251,
            "CL8ISO8859P5" => ISO_8859_5,
            "EL8MSWIN1253" => WINDOWS_1253,
            "EL8ISO8859P7" => ISO_8859_7,
            "TR8MSWIN1254" => WINDOWS_1254,
            "ZHS16GBK" => GBK,
            "ZHS32GB18030" => GB18030,
            "ZHT16MSWIN950" | "ZHT16BIG5" => BIG5,
            "JA16SJIS" | "JA16SJISTILDE" => SHIFT_JIS,
            "JA16EUC" | "JA16EUCTILDE" => EUC_JP,
            "KO16MSWIN949" => EUC_KR,
            _ => return Charset::Ascii,
        };
        Charset::Encoded(encoding)
    }

    pub(super) fn holds(self, text: &str) -> bool {
        text.is_ascii()
            || match self {
                Charset::All => true,
                Charset::Ascii => false,
                Charset::Latin1 => text.chars().all(|c| u32::from(c) < 256),
                Charset::Encoded(encoding) => !encoding.encode(text).2,
            }
    }
}

/// The text in ASCII as UNISTR takes it: a backslash and four hex digits for each unit of UTF-16. For columns of the national
/// character set, whose texts would else pass through the database's.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if c.is_ascii() && c != '\\' {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            out.push_str(&format!("\\{unit:04x}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_its_own_characters() {
        for (name, text, holds) in [
            ("AL32UTF8", "站点 😀", true),
            ("ZHS16GBK", "站点", true),
            ("ZHS16GBK", "😀", false),
            ("WE8ISO8859P1", "é", true),
            ("WE8ISO8859P1", "€", false),
            ("WE8MSWIN1252", "€", true),
            ("US7ASCII", "é", false),
            ("XX8UNKNOWN", "plain", true),
        ] {
            assert_eq!(Charset::new(name).holds(text), holds, "{name} {text}");
        }
    }

    #[test]
    fn national_text_travels_as_ascii() {
        assert_eq!(escaped("a\\站😀"), "a\\005c\\7ad9\\d83d\\de00");
    }
}
