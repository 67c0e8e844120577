//! What a column can hold, in words that all databases share. Pure.

/// A column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// True or false.
    Bool,
    /// A whole number of so many bits.
    Whole {
        /// 8, 16, 24, 32 or 64.
        bits: u8,
        /// Whether one of the bits is the sign.
        signed: bool,
    },
    /// An exact decimal number; `None` = without bounds.
    Decimal(Option<Digits>),
    /// A binary floating-point number of 32 or 64 bits.
    Float(u8),
    /// Text of at most so many characters.
    Text(Option<u64>),
    /// At most so many bytes.
    Bytes(Option<u64>),
    /// A day.
    Date,
    /// A time of day, with so many decimals of a second.
    Time(u8),
    /// Date and time without a zone, with so many decimals of a second.
    Timestamp(u8),
    /// Date and time with their zone, with so many decimals of a second.
    Instant(u8),
    /// JSON.
    Json,
    /// A UUID.
    Uuid,
    /// So many bits, each a digit `0` or `1` of its text.
    Bits(u64),
    /// Text in a form that the column's own database insists on (a list of words, an interval, a network address), of at most
    /// so many characters.
    Own(Option<u64>),
}

/// Bounds of a decimal number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digits {
    /// Digits before and behind the point.
    pub all: u64,
    /// Digits behind it.
    pub behind: u64,
}

impl Digits {
    /// Digits before the point.
    pub(super) fn before(self) -> u64 {
        self.all.saturating_sub(self.behind)
    }
}

impl Type {
    /// How many characters its text may have; `None` = the type sets no limit.
    pub(super) fn width(self) -> Option<u64> {
        let with_fraction = |plain: u64, fraction: u8| match fraction {
            0 => Some(plain),
            digits => Some(plain + 1 + u64::from(digits)),
        };
        match self {
            Type::Bool => Some(1),
            Type::Whole { bits, signed } => Some(digits_of(bits, signed) + u64::from(signed)),
            Type::Decimal(digits) => {
                digits.map(|digits| digits.all + 2 + u64::from(digits.before() == 0))
            }
            Type::Float(_) => Some(24),
            Type::Text(length) | Type::Own(length) => length,
            Type::Bytes(length) => length.map(|bytes| bytes.saturating_mul(2)),
            Type::Date => Some(10),
            // MySQL counts hours to 838, with a sign
            Type::Time(fraction) => with_fraction(10, fraction),
            Type::Timestamp(fraction) => with_fraction(19, fraction),
            Type::Instant(fraction) => with_fraction(25, fraction),
            Type::Json => None,
            Type::Uuid => Some(36),
            Type::Bits(bits) => Some(bits),
        }
    }
}

/// Decimal digits of the greatest whole number of so many bits.
pub(super) fn digits_of(bits: u8, signed: bool) -> u64 {
    match (bits, signed) {
        (..=8, _) => 3,
        (..=16, _) => 5,
        (..=24, true) => 7,
        (..=24, false) => 8,
        (..=32, _) => 10,
        (_, true) => 19,
        (_, false) => 20,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_count_sign_and_point() {
        let digits = |all, behind| Type::Decimal(Some(Digits { all, behind }));
        for (of, width) in [
            (
                Type::Whole {
                    bits: 64,
                    signed: true,
                },
                Some(20),
            ), // -9223372036854775808
            (
                Type::Whole {
                    bits: 64,
                    signed: false,
                },
                Some(20),
            ), // 18446744073709551615
            (digits(10, 2), Some(12)), // -12345678.90
            (digits(2, 2), Some(5)),   // -0.12
            (Type::Time(6), Some(17)),
            (Type::Timestamp(0), Some(19)),
            (Type::Bytes(Some(4)), Some(8)),
            (Type::Json, None),
        ] {
            assert_eq!(of.width(), width, "{of:?}");
        }
    }
}
