//! The one written form of each type: how numbers and bytes look as text on every backend.
//!
//! | type | form |
//! |---|---|
//! | integer | decimal digits, `-` in front: `-42` |
//! | boolean | `1` or `0` |
//! | decimal | plain digits with a point as its scale says: `12.50`; never an exponent |
//! | float | the fewest digits that read back as the same number; from 1e-5 to below 1e16 plain (`0.1`, `12`), else with an exponent (`1e300`); `Infinity`, `-Infinity`, `NaN` |
//! | date and time | ISO 8601 with a space: `2026-11-21 13:45:00.25`, zone as `+01:00` |
//! | bytes | lower-case hex digits, two a byte, nothing in front |
//! | text | itself, in UTF-8 |

use std::io::Write;

/// Writes an integer.
#[inline]
pub fn write_integer(out: &mut Vec<u8>, value: i64) {
    match u16::try_from(value.unsigned_abs()) {
        Ok(size) if size < 10_000 => write_short_integer(out, value < 0, size),
        _ => write_long_integer(out, value),
    }
}

/// Writes up to four digits, as most numbers of most tables have: without a branch on sign and length, which nobody can foretell.
#[inline]
fn write_short_integer(out: &mut Vec<u8>, negative: bool, size: u16) {
    let digits = 1 + u8::from(size > 9) + u8::from(size > 99) + u8::from(size > 999);
    let [first, second] = PAIRS[usize::from(size / 100)];
    let [third, fourth] = PAIRS[usize::from(size % 100)];
    // the first digit lowest, so that zeros in front are shifted out
    let text = u32::from_le_bytes([first, second, third, fourth]) >> (8 * (4 - digits));
    let sign = u8::from(negative);
    let text = u64::from(text) << (8 * sign) | u64::from(sign * b'-');
    let end = out.len() + usize::from(digits + sign);
    out.extend_from_slice(&text.to_le_bytes());
    out.truncate(end);
}

/// The digits of the numbers below 100.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut at: u8 = 0;
    while at < 100 {
        pairs[at as usize] = [b'0' + at / 10, b'0' + at % 10];
        at += 1;
    }
    pairs
};

#[inline(never)]
fn write_long_integer(out: &mut Vec<u8>, value: i64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    while rest > 9 {
        at -= 2;
        let pair = usize::try_from(rest % 100).expect("a remainder of a hundred is small");
        digits[at..at + 2].copy_from_slice(&PAIRS[pair]);
        rest /= 100;
    }
    if rest > 0 || at == digits.len() {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest).expect("what is below ten is small");
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// Writes a float.
pub fn write_float(out: &mut Vec<u8>, value: f64) {
    let size = value.abs();
    let written = if value.is_nan() {
        out.write_all(b"NaN")
    } else if value.is_infinite() {
        out.write_all(if value > 0.0 {
            b"Infinity"
        } else {
            b"-Infinity"
        })
    } else if value == 0.0 || (1e-5..1e16).contains(&size) {
        write!(out, "{value}")
    } else {
        write!(out, "{value:e}")
    };
    written.expect("a vector takes every byte");
}

/// Writes bytes as hex digits.
pub fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// Reads hex digits of either case into bytes; `None` if they are not.
pub fn read_hex(text: &[u8], into: &mut Vec<u8>) -> Option<()> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    into.clear();
    into.reserve(pairs.len());
    for &[high, low] in pairs {
        into.push((digit(high)? << 4) | digit(low)?);
    }
    Some(())
}

/// Whether text is pairs of hex digits of either case.
pub(crate) fn is_hex(text: &[u8]) -> bool {
    text.len().is_multiple_of(2) && text.iter().all(u8::is_ascii_hexdigit)
}

/// Whether text is a whole number of any length: digits, with a sign or none.
pub(crate) fn is_whole(text: &[u8]) -> bool {
    let digits = text
        .strip_prefix(b"-")
        .or(text.strip_prefix(b"+"))
        .unwrap_or(text);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// The written form of a boolean that came as `1`, `t` or `true`, or their opposites, in either case.
pub(crate) fn plain_bool(text: &[u8]) -> Option<&'static [u8]> {
    let among = |words: [&[u8]; 3]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if among([b"1", b"true", b"t"]) {
        Some(b"1")
    } else if among([b"0", b"false", b"f"]) {
        Some(b"0")
    } else {
        None
    }
}

/// A number that was read from text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A whole number that fits 64 bits.
    Integer(i64),
    /// Any other, as the nearest float.
    Float {
        /// The float.
        value: f64,
        /// Whether the text meant exactly this float's shortest form, so that nothing is lost.
        exact: bool,
    },
}

/// Reads a number: digits with an optional sign, point and exponent, spaces around it allowed;
/// `None` for anything else, infinities and NaN included.
pub fn read_number(text: &[u8]) -> Option<Number> {
    if let Some(value) = read_short(text) {
        return Some(Number::Integer(value));
    }
    let text = text.trim_ascii();
    let shape = shape(text)?;
    let text = std::str::from_utf8(text).ok()?;
    if shape.whole
        && let Ok(value) = text.parse()
    {
        return Some(Number::Integer(value));
    }
    let value: f64 = text.parse().ok()?;
    if !value.is_finite() {
        return None;
    }
    let exact = shape.digits <= 15 || same_digits(text, value);
    Some(Number::Float { value, exact })
}

/// The usual case, a whole number of up to 18 digits, in one pass.
fn read_short(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.split_first()? {
        (b'-', digits) => (true, digits),
        _ => (false, text),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value = 0_i64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

/// Reads a float as [`read_number`] does, with `Infinity`, `-Infinity` and `NaN`.
pub fn read_float(text: &[u8]) -> Option<f64> {
    match text {
        b"Infinity" => Some(f64::INFINITY),
        b"-Infinity" => Some(f64::NEG_INFINITY),
        b"NaN" => Some(f64::NAN),
        _ => {
            let text = text.trim_ascii();
            shape(text)?;
            std::str::from_utf8(text)
                .ok()?
                .parse()
                .ok()
                .filter(|value: &f64| value.is_finite())
        }
    }
}

struct Shape {
    whole: bool,
    digits: usize,
}

/// Checks the text's grammar and counts its significant digits.
fn shape(text: &[u8]) -> Option<Shape> {
    let unsigned = match text.first()? {
        b'+' | b'-' => &text[1..],
        _ => text,
    };
    let end = unsigned
        .iter()
        .position(|b| matches!(b, b'e' | b'E'))
        .unwrap_or(unsigned.len());
    let (mantissa, exponent) = unsigned.split_at(end);
    if let Some((_, exponent)) = exponent.split_first() {
        let digits = match exponent.first()? {
            b'+' | b'-' => &exponent[1..],
            _ => exponent,
        };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
    }
    let mut points = 0;
    let (mut all, mut digits) = (0, 0);
    for byte in mantissa {
        match byte {
            b'.' => points += 1,
            b'0'..=b'9' => {
                all += 1;
                if digits > 0 || *byte != b'0' {
                    digits += 1;
                }
            }
            _ => return None,
        }
    }
    (all > 0 && points <= 1).then_some(Shape {
        whole: points == 0 && exponent.is_empty(),
        digits,
    })
}

/// Whether the text's significant digits and magnitude are those of the float's shortest form.
fn same_digits(text: &str, value: f64) -> bool {
    significant(text) == significant(&format!("{value:e}"))
}

/// Digits without zeros at either end, and the power of ten of the first.
fn significant(text: &str) -> Option<(String, i64)> {
    let text = text.trim_start_matches(['+', '-']).to_ascii_lowercase();
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let leading = all.len() - all.trim_start_matches('0').len();
    let digits = all.trim_matches('0').to_owned();
    let first = i64::try_from(whole.len()).ok()? - i64::try_from(leading).ok()?;
    let power = if digits.is_empty() {
        0
    } else {
        exponent + first
    };
    Some((digits, power))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn float(value: f64) -> String {
        let mut out = Vec::new();
        write_float(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn integers_of_every_length_are_written() {
        let edges = (0..19).flat_map(|power| {
            let ten = 10_i64.pow(power);
            [ten - 1, ten, ten + 1, -ten, 1 - ten, 4321 * (ten / 1000)]
        });
        for value in (-10_001..=10_001).chain(edges).chain([i64::MIN, i64::MAX]) {
            let mut out = b"x".to_vec();
            write_integer(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), format!("x{value}"));
        }
    }

    #[test]
    fn floats_are_short_and_plain_where_people_expect_it() {
        for (value, text) in [
            (0.1, "0.1"),
            (12.0, "12"),
            (-0.0, "-0"),
            (1e15, "1000000000000000"),
            (1e16, "1e16"),
            (1e-5, "0.00001"),
            (9.9e-6, "9.9e-6"),
            (f64::MAX, "1.7976931348623157e308"),
            (5e-324, "5e-324"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::NAN, "NaN"),
            (0.1 + 0.2, "0.30000000000000004"),
        ] {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn numbers_are_told_from_text() {
        let exact = |value| Some(Number::Float { value, exact: true });
        assert_eq!(read_number(b" 12 "), Some(Number::Integer(12)));
        assert_eq!(read_number(b"+7"), Some(Number::Integer(7)));
        assert_eq!(
            read_number(b"-9223372036854775808"),
            Some(Number::Integer(i64::MIN))
        );
        assert_eq!(read_number(b"1.50"), exact(1.5));
        assert_eq!(read_number(b".5e1"), exact(5.0));
        assert_eq!(read_number(b"0.30000000000000004"), exact(0.1 + 0.2));
        assert!(matches!(
            read_number(b"12345678901234567890.12"),
            Some(Number::Float { exact: false, .. })
        ));
        for text in [
            "", " ", "-", ".", "1e", "1e+", "0x10", "1.2.3", "inf", "NaN", "1_000", "abc", "1e999",
            "１",
        ] {
            assert_eq!(read_number(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn floats_read_back_as_themselves(bits: u64) {
            let value = f64::from_bits(bits);
            let back = read_float(float(value).as_bytes()).unwrap();
            prop_assert!(back == value || (back.is_nan() && value.is_nan()));
            if value.is_finite() {
                let exact = !matches!(read_number(float(value).as_bytes()), Some(Number::Float { exact: false, .. }) | None);
                prop_assert!(exact);
            }
        }

        #[test]
        fn integers_look_as_usual(value: i64, shift in 0..64) {
            let value = value >> shift;
            let mut out = Vec::new();
            write_integer(&mut out, value);
            prop_assert_eq!(String::from_utf8_lossy(&out), value.to_string());
            prop_assert_eq!(read_number(&out), Some(Number::Integer(value)));
        }

        #[test]
        fn hex_comes_back(bytes: Vec<u8>) {
            let (mut hex, mut back) = (Vec::new(), Vec::new());
            write_hex(&mut hex, &bytes);
            prop_assert_eq!(read_hex(&hex, &mut back), Some(()));
            prop_assert_eq!(back, bytes);
        }

        #[test]
        fn no_text_breaks_the_reader(text: Vec<u8>) {
            let _ = read_number(&text);
            let _ = read_float(&text);
        }
    }
}
