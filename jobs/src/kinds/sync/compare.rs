//! Whether two values are one and the same although two databases may spell them differently, and which of two keys comes first. Pure.

use std::cmp::Ordering;

use db::{Cell, Kind};

/// The order in which keys come, see `Dialect::in_form_order`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// By size.
    Number,
    /// By the bytes of the written form.
    Bytes,
}

impl Order {
    pub(super) fn of(kind: Kind) -> Order {
        if kind.is_number() {
            Order::Number
        } else {
            Order::Bytes
        }
    }

    /// Which comes first.
    pub(super) fn compare(self, one: &[u8], other: &[u8]) -> Ordering {
        match self {
            Order::Bytes => one.cmp(other),
            Order::Number => numbers(one, other).unwrap_or_else(|| one.cmp(other)),
        }
    }
}

/// How the values of one column are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Likeness {
    /// By their texts alone.
    Text,
    /// Spaces at the end do not count.
    Padded,
    Number,
    Time,
    Json,
}

impl Likeness {
    /// The way for two columns; `padded`: one of them fills up with spaces.
    pub(super) fn of(one: Kind, other: Kind, padded: bool) -> Likeness {
        let time = |kind| {
            matches!(
                kind,
                Kind::Date | Kind::Time | Kind::Timestamp | Kind::Instant
            )
        };
        match (one, other) {
            (Kind::Json, _) | (_, Kind::Json) => Likeness::Json,
            _ if one.is_number() || other.is_number() => Likeness::Number,
            _ if time(one) || time(other) => Likeness::Time,
            _ if padded => Likeness::Padded,
            _ => Likeness::Text,
        }
    }

    /// Whether two values are the same.
    pub(super) fn same(self, one: Cell<'_>, other: Cell<'_>) -> bool {
        let (one, other) = match (one, other) {
            (Some(one), Some(other)) => (one, other),
            (one, other) => return one.is_none() && other.is_none(),
        };
        if one == other {
            return true;
        }
        match self {
            Likeness::Text => false,
            Likeness::Padded => one.trim_ascii_end() == other.trim_ascii_end(),
            Likeness::Number => numbers(one, other) == Some(Ordering::Equal),
            Likeness::Time => plain_time(one) == plain_time(other),
            Likeness::Json => json(one, other),
        }
    }
}

fn json(one: &[u8], other: &[u8]) -> bool {
    let read = |text| serde_json::from_slice::<serde_json::Value>(text).ok();
    read(one).is_some_and(|one| read(other) == Some(one))
}

/// A time without what may be left out of it: a zone that is UTC, zeros at the end of a fraction, a midnight.
fn plain_time(text: &[u8]) -> &[u8] {
    let mut text = text.strip_suffix(b"+00:00").unwrap_or(text);
    if text.contains(&b'.') {
        while let Some(rest) = text.strip_suffix(b"0") {
            text = rest;
        }
        text = text.strip_suffix(b".").unwrap_or(text);
    }
    match text.strip_suffix(b" 00:00:00") {
        Some(day) if day.len() >= 10 => day,
        _ => text,
    }
}

/// A decimal number: its sign, its digits before the point and behind it, without zeros at either end.
struct Decimal<'t> {
    negative: bool,
    whole: &'t [u8],
    fraction: &'t [u8],
}

fn decimal(text: &[u8]) -> Option<Decimal<'_>> {
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    let point = digits
        .iter()
        .position(|byte| *byte == b'.')
        .unwrap_or(digits.len());
    let (mut whole, rest) = digits.split_at(point);
    let mut fraction = rest.get(1..).unwrap_or_default();
    let plain = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    if whole.is_empty() && fraction.is_empty() || !plain(whole) || !plain(fraction) {
        return None;
    }
    while let Some(rest) = whole.strip_prefix(b"0") {
        whole = rest;
    }
    while let Some(rest) = fraction.strip_suffix(b"0") {
        fraction = rest;
    }
    let zero = whole.is_empty() && fraction.is_empty();
    Some(Decimal {
        negative: negative && !zero,
        whole,
        fraction,
    })
}

/// Which of two numbers is the greater one; `None` if one of them is none.
fn numbers(one: &[u8], other: &[u8]) -> Option<Ordering> {
    let (Some(one), Some(other)) = (decimal(one), decimal(other)) else {
        // with an exponent, or no number at all
        let read = |text: &[u8]| db::form::read_float(text);
        return read(one)?.partial_cmp(&read(other)?);
    };
    let size = one
        .whole
        .len()
        .cmp(&other.whole.len())
        .then_with(|| one.whole.cmp(other.whole))
        .then_with(|| one.fraction.cmp(other.fraction));
    Some(match (one.negative, other.negative) {
        (false, true) => Ordering::Greater,
        (true, false) => Ordering::Less,
        (true, true) => size.reverse(),
        (false, false) => size,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn same(likeness: Likeness, one: &str, other: &str) -> bool {
        likeness.same(Some(one.as_bytes()), Some(other.as_bytes()))
    }

    #[test]
    fn spellings_of_one_value_are_the_same() {
        for (likeness, one, other) in [
            (Likeness::Number, "1.50", "1.5"),
            (Likeness::Number, "-0", "0"),
            (Likeness::Number, "1e3", "1000"),
            (
                Likeness::Number,
                "12345678901234567890.10",
                "12345678901234567890.1",
            ),
            (
                Likeness::Time,
                "2026-11-21 13:45:00.2500+00:00",
                "2026-11-21 13:45:00.25",
            ),
            (Likeness::Time, "2026-11-21 00:00:00", "2026-11-21"),
            (Likeness::Time, "13:45:00.000", "13:45:00"),
            (
                Likeness::Json,
                r#"{"a": [1, 2.50], "b": null}"#,
                r#"{"b":null,"a":[1,2.5]}"#,
            ),
            (Likeness::Padded, "ab  ", "ab"),
        ] {
            assert!(same(likeness, one, other), "{one} {other}");
        }
        for (likeness, one, other) in [
            (
                Likeness::Number,
                "12345678901234567890.1",
                "12345678901234567890.2",
            ),
            (Likeness::Number, "1", "a"),
            (Likeness::Number, "1", "-1"),
            (Likeness::Time, "10:00:00", "10:00:00.5"),
            (Likeness::Time, "00:00:00", ""),
            (Likeness::Text, "a ", "a"),
            (Likeness::Json, "{}", "["),
        ] {
            assert!(!same(likeness, one, other), "{one} {other}");
        }
        assert!(Likeness::Text.same(None, None) && !Likeness::Text.same(None, Some(b"")));
    }

    proptest! {
        #[test]
        fn numbers_are_ordered_as_numbers_are(one: i64, other: i64, cut in 0_u32..10) {
            let spell = |number: i64| {
                let scale = 10_i128.pow(cut);
                let (number, sign) = (i128::from(number).abs(), if number < 0 { "-" } else { "" });
                format!("{sign}{}.{:0width$}", number / scale, number % scale, width = cut as usize)
            };
            let found = Order::Number.compare(spell(one).as_bytes(), spell(other).as_bytes());
            prop_assert_eq!(found, one.cmp(&other));
        }

        #[test]
        fn no_text_breaks_it(one: Vec<u8>, other: Vec<u8>) {
            let _ = numbers(&one, &other);
            prop_assert!(plain_time(&one).len() <= one.len());
        }
    }
}
