//! Whether one type holds all the values of another. Pure.

use super::types::{Digits, Type, digits_of};

/// Why `target` cannot hold, or not unchanged, all that `source` can, as a fragment; `None` = it can.
pub(super) fn lost(source: Type, target: Type) -> Option<String> {
    match target {
        Type::Text(None) => None,
        Type::Text(Some(most)) => narrow(source, most),
        Type::Bool => (source != Type::Bool).then(|| "it takes 1 and 0 alone".to_owned()),
        Type::Whole { bits, signed } => whole(source, bits, signed),
        Type::Decimal(digits) => decimal(source, digits),
        Type::Float(bits) => float(source, bits),
        Type::Bytes(most) => bytes(source, most),
        Type::Date => day(source),
        Type::Time(fraction) => match source {
            Type::Time(more) => finer(more, fraction),
            Type::Timestamp(_) | Type::Instant(_) => Some("it keeps no day".to_owned()),
            _ => Some("it takes times alone".to_owned()),
        },
        Type::Timestamp(fraction) => match source {
            Type::Timestamp(more) => finer(more, fraction),
            Type::Date => None,
            Type::Instant(more) => Some(
                finer(more, fraction)
                    .unwrap_or_else(|| "it keeps the moment in UTC, without its zone".to_owned()),
            ),
            _ => Some("it takes dates and times alone".to_owned()),
        },
        Type::Instant(fraction) => match source {
            Type::Instant(more) => finer(more, fraction),
            Type::Timestamp(_) | Type::Date => {
                Some("a time without a zone is taken for one in UTC".to_owned())
            }
            _ => Some("it takes dates and times alone".to_owned()),
        },
        Type::Json => (source != Type::Json).then(|| "it takes JSON alone".to_owned()),
        Type::Uuid => (source != Type::Uuid).then(|| "it takes UUIDs alone".to_owned()),
        Type::Bits(bits) => {
            (source != Type::Bits(bits)).then(|| format!("it takes {bits} bits, each 0 or 1"))
        }
        Type::Own(_) => Some("it takes values of its own form alone".to_owned()),
    }
}

fn narrow(source: Type, most: u64) -> Option<String> {
    match source.width() {
        Some(width) if width <= most => None,
        Some(width) => Some(format!(
            "it takes {most} characters, and there may be {width}"
        )),
        None => Some(format!("it takes {most} characters, and there may be more")),
    }
}

fn finer(more: u8, fraction: u8) -> Option<String> {
    (more > fraction).then(|| match fraction {
        0 => "it keeps whole seconds".to_owned(),
        digits => format!("it keeps {digits} decimals of a second instead of {more}"),
    })
}

fn whole(source: Type, bits: u8, signed: bool) -> Option<String> {
    let range = || {
        Some(format!(
            "it takes whole numbers of {bits} bits{}",
            if signed { "" } else { " without a sign" }
        ))
    };
    match source {
        Type::Bool => None,
        Type::Whole {
            bits: more,
            signed: sign,
        } => {
            let fits = match (sign, signed) {
                (true, true) | (false, false) => more <= bits,
                (false, true) => more < bits,
                (true, false) => false,
            };
            if fits { None } else { range() }
        }
        Type::Decimal(Some(digits)) if digits.behind == 0 => {
            if signed && digits.all < digits_of(bits, signed) {
                None
            } else {
                range()
            }
        }
        Type::Decimal(_) | Type::Float(_) => Some("it takes whole numbers alone".to_owned()),
        _ => Some("it takes numbers alone".to_owned()),
    }
}

fn decimal(source: Type, target: Option<Digits>) -> Option<String> {
    let needed = match source {
        Type::Bool => Some(Digits { all: 1, behind: 0 }),
        Type::Whole { bits, signed } => Some(Digits {
            all: digits_of(bits, signed),
            behind: 0,
        }),
        Type::Decimal(digits) => digits,
        Type::Float(_) => None,
        _ => return Some("it takes numbers alone".to_owned()),
    };
    let target = target?;
    match needed {
        None => Some(format!(
            "it rounds to {} digits behind the point",
            target.behind
        )),
        Some(digits) if digits.before() > target.before() => Some(format!(
            "it takes {} digits before the point, and there may be {}",
            target.before(),
            digits.before()
        )),
        Some(digits) if digits.behind > target.behind => Some(format!(
            "it keeps {} digits behind the point instead of {}",
            target.behind, digits.behind
        )),
        Some(_) => None,
    }
}

fn float(source: Type, bits: u8) -> Option<String> {
    let kept: u64 = if bits > 32 { 15 } else { 6 };
    let needed = match source {
        Type::Bool => return None,
        Type::Float(more) => {
            return (more > bits).then(|| "it keeps about 7 digits instead of 16".to_owned());
        }
        Type::Whole { bits, signed } => Some(digits_of(bits, signed)),
        Type::Decimal(digits) => digits.map(|digits| digits.all),
        _ => return Some("it takes numbers alone".to_owned()),
    };
    match needed {
        Some(digits) if digits <= kept => None,
        _ => Some(format!("it keeps about {kept} digits")),
    }
}

fn bytes(source: Type, most: Option<u64>) -> Option<String> {
    match (source, most) {
        (Type::Bytes(_), None) => None,
        (Type::Bytes(Some(length)), Some(most)) if length <= most => None,
        (Type::Bytes(_), Some(most)) => {
            Some(format!("it takes {most} bytes, and there may be more"))
        }
        _ => Some("it takes bytes alone, written as hex digits".to_owned()),
    }
}

fn day(source: Type) -> Option<String> {
    match source {
        Type::Date => None,
        Type::Timestamp(_) | Type::Instant(_) => Some("it keeps no time of day".to_owned()),
        _ => Some("it takes days alone".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_told() {
        let whole = |bits, signed| Type::Whole { bits, signed };
        let digits = |all, behind| Type::Decimal(Some(Digits { all, behind }));
        for (source, target, told) in [
            (whole(64, true), whole(32, true), Some("32 bits")),
            (whole(32, false), whole(32, true), Some("32 bits")),
            (whole(32, false), whole(64, true), None),
            (whole(8, true), whole(64, false), Some("without a sign")),
            (digits(9, 0), whole(32, true), None),
            (digits(10, 0), whole(32, true), Some("32 bits")),
            (digits(9, 2), whole(64, true), Some("whole numbers")),
            (digits(38, 10), digits(38, 10), None),
            (digits(38, 10), digits(38, 12), Some("26 digits before")),
            (digits(10, 3), digits(10, 2), Some("2 digits behind")),
            (whole(64, true), digits(18, 0), Some("before the point")),
            (Type::Decimal(None), digits(65, 20), Some("rounds to 20")),
            (Type::Decimal(None), Type::Decimal(None), None),
            (digits(15, 2), Type::Float(64), None),
            (digits(16, 2), Type::Float(64), Some("about 15")),
            (Type::Float(64), Type::Float(32), Some("about 7")),
            (
                Type::Text(Some(40)),
                Type::Text(Some(20)),
                Some("there may be 40"),
            ),
            (
                Type::Text(None),
                Type::Text(Some(20)),
                Some("there may be more"),
            ),
            (Type::Uuid, Type::Text(Some(36)), None),
            (digits(10, 2), Type::Text(Some(12)), None),
            (
                Type::Timestamp(6),
                Type::Timestamp(0),
                Some("whole seconds"),
            ),
            (Type::Timestamp(6), Type::Timestamp(3), Some("3 decimals")),
            (Type::Timestamp(6), Type::Date, Some("time of day")),
            (Type::Instant(0), Type::Timestamp(6), Some("UTC")),
            (Type::Date, Type::Timestamp(0), None),
            (Type::Bytes(None), Type::Bytes(Some(9)), Some("9 bytes")),
            (Type::Bytes(None), Type::Text(None), None),
            (Type::Text(None), Type::Json, Some("JSON")),
            (Type::Text(Some(9)), whole(32, true), Some("numbers alone")),
            (Type::Own(Some(3)), Type::Text(Some(3)), None),
            (Type::Bits(8), Type::Bits(9), Some("9 bits")),
        ] {
            let found = lost(source, target);
            assert_eq!(
                found.is_some(),
                told.is_some(),
                "{source:?} into {target:?}: {found:?}"
            );
            assert!(
                found.is_none_or(|text| text.contains(told.unwrap())),
                "{source:?} into {target:?}"
            );
        }
    }
}
