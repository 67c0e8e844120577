//! What MySQL's types mean: by the numbers of the protocol, and by the dictionary's words.

use crate::Kind;

/// A column as the server describes it with a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// `enum_field_types` of the protocol.
    pub(super) code: u8,
    pub(super) unsigned: bool,
    /// Character set 63: bytes.
    binary: bool,
    length: u32,
    decimals: u8,
}

impl Shape {
    pub(super) fn new(code: u8, flags: u16, charset: u16, length: u32, decimals: u8) -> Self {
        Shape {
            code,
            unsigned: flags & 0x20 != 0,
            binary: charset == 63,
            length,
            decimals,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self.code {
            // the usual mark of a boolean
            1 if self.length == 1 => Kind::Bool,
            1 | 2 | 3 | 8 | 9 | 13 => Kind::Integer,
            0 | 246 => Kind::Decimal,
            4 | 5 => Kind::Real,
            7 => Kind::Instant,
            10 | 14 => Kind::Date,
            11 => Kind::Time,
            12 => Kind::Timestamp,
            245 => Kind::Json,
            255 => Kind::Blob,
            249..=254 | 15 if self.binary && !self.is_word() => Kind::Blob,
            6 => Kind::Other,
            _ => Kind::Text,
        }
    }

    /// Enum and set travel as what they are called.
    fn is_word(&self) -> bool {
        matches!(self.code, 247 | 248)
    }

    /// How many bits a BIT column has.
    pub(super) fn bits(&self) -> Option<usize> {
        (self.code == 16).then_some(usize::try_from(self.length).unwrap_or(64))
    }

    /// The type in MySQL's words, as far as a result tells.
    pub(super) fn declared(&self) -> String {
        let word = match self.code {
            1 if self.length == 1 => return "tinyint(1)".to_owned(),
            1 => "tinyint",
            2 => "smallint",
            3 => "int",
            8 => "bigint",
            9 => "mediumint",
            13 => return "year".to_owned(),
            0 | 246 => {
                // the length counts sign and point
                let point = u32::from(self.decimals > 0);
                let digits = self
                    .length
                    .saturating_sub(point + u32::from(!self.unsigned));
                return format!("decimal({digits},{})", self.decimals);
            }
            4 => return "float".to_owned(),
            5 => return "double".to_owned(),
            7 => return "timestamp".to_owned(),
            10 | 14 => return "date".to_owned(),
            11 => return "time".to_owned(),
            12 => return "datetime".to_owned(),
            245 => return "json".to_owned(),
            _ => return String::new(),
        };
        if self.unsigned {
            format!("{word} unsigned")
        } else {
            word.to_owned()
        }
    }
}

/// The kind of a table's column by its type's name and its whole type: `tinyint`, `tinyint(1)`.
pub(super) fn kind(name: &str, whole: &str) -> Kind {
    match name {
        "tinyint" if whole.starts_with("tinyint(1)") => Kind::Bool,
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" => Kind::Integer,
        "decimal" => Kind::Decimal,
        "float" | "double" => Kind::Real,
        "date" => Kind::Date,
        "time" => Kind::Time,
        "datetime" => Kind::Timestamp,
        "timestamp" => Kind::Instant,
        "json" => Kind::Json,
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set"
        | "bit" | "uuid" | "inet4" | "inet6" => Kind::Text,
        _ => Kind::Blob,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_mean_the_same() {
        let shape = |code, charset, length| Shape::new(code, 0, charset, length, 2);
        assert_eq!(shape(1, 63, 1).kind(), kind("tinyint", "tinyint(1)"));
        assert_eq!(shape(252, 63, 9).kind(), kind("blob", "blob"));
        assert_eq!(shape(252, 45, 9).kind(), kind("text", "text"));
        assert_eq!(shape(16, 63, 5).kind(), kind("bit", "bit(5)"));
        assert_eq!(
            (
                shape(246, 63, 12).declared().as_str(),
                shape(16, 63, 5).bits()
            ),
            ("decimal(10,2)", Some(5))
        );
    }
}
