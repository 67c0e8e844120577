//! Which type holds every value of a column, for a table that is yet to be made. Pure.
//!
//! Nothing may be lost: a type is taken only where each value comes out of it again as it went in, a trailing zero of a
//! decimal and the spelling of a time apart. Leading zeros, signs, spaces and mixtures make text.

use chrono::NaiveDate;
use db::{ColumnInfo, Dialect, Kind};

/// Digits of a decimal that every database keeps exactly.
const DIGITS: u64 = 65;
/// Digits behind the point that every database has.
const SCALE: u64 = 30;
/// More digits than this are a floating-point number where that holds them: databases without decimals (SQLite) keep no more.
const SHORT: u64 = 15;

/// What a column may be besides text, the narrowest first.
const TYPES: [Kind; 9] = [
    Kind::Bool,
    Kind::Integer,
    Kind::Decimal,
    Kind::Real,
    Kind::Date,
    Kind::Time,
    Kind::Timestamp,
    Kind::Instant,
    Kind::Blob,
];

/// What the cells of one column have been so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Guess {
    /// Which of [`TYPES`] some cell did not fit.
    out: [bool; TYPES.len()],
    seen: bool,
    /// Most digits before the point of a number, and behind it.
    whole: u64,
    scale: u64,
    /// Most characters of a text.
    longest: u64,
}

impl Guess {
    /// Takes in one more cell that is not NULL; `raw` when it came as base64.
    pub(super) fn learn(&mut self, cell: &[u8], raw: bool) {
        self.seen = true;
        let text = std::str::from_utf8(cell).ok();
        self.longest = self
            .longest
            .max(text.map_or(0, |text| length(text.chars().count())));
        for (out, kind) in self.out.iter_mut().zip(TYPES) {
            let fits = match text {
                _ if kind == Kind::Blob => raw,
                Some(text) if !raw => *out || fits(text, kind),
                _ => false,
            };
            *out |= !fits;
        }
        if let Some(number) = text.filter(|_| !raw).and_then(Number::read) {
            self.whole = self.whole.max(length(number.whole.len()));
            self.scale = self.scale.max(length(number.fraction.len()));
        }
    }

    fn may_be(&self, kind: Kind) -> bool {
        TYPES
            .iter()
            .zip(self.out)
            .any(|(one, out)| *one == kind && !out)
    }

    /// The kind of column that holds all that was seen.
    pub(super) fn kind(&self) -> Kind {
        let digits = self.whole + self.scale;
        let fits = |kind: &&Kind| match kind {
            Kind::Decimal => {
                digits <= DIGITS
                    && self.scale <= SCALE
                    && (digits <= SHORT || !self.may_be(Kind::Real))
            }
            _ => true,
        };
        let mut narrowest = TYPES.iter().filter(|kind| self.may_be(**kind));
        match narrowest.find(fits) {
            Some(kind) if self.seen => *kind,
            _ => Kind::Text,
        }
    }

    /// The column for it.
    pub(super) fn column(&self, name: &str, key: bool, dialect: &dyn Dialect) -> ColumnInfo {
        let kind = self.kind();
        let mut column = ColumnInfo::new(name, kind);
        column.nullable = !key;
        match kind {
            Kind::Decimal => column.declared = dialect.decimal(self.whole + self.scale, self.scale),
            Kind::Text if dialect.bounds_text() => column.length = bound(self.longest, key),
            _ => {}
        }
        column
    }
}

/// A round number of characters with room for later texts; none for long ones.
fn bound(longest: u64, key: bool) -> Option<u64> {
    match longest {
        0..=255 => Some(255),
        _ if key => Some(longest),
        256..=1000 => Some(1000),
        _ => None,
    }
}

fn length(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn fits(text: &str, kind: Kind) -> bool {
    match kind {
        Kind::Bool => matches!(text, "true" | "false"),
        Kind::Integer => {
            Number::read(text).is_some_and(|number| number.is_plain() && number.fraction.is_empty())
                && text.parse::<i64>().is_ok()
        }
        Kind::Decimal => Number::read(text).is_some_and(|number| number.is_plain()),
        Kind::Real => Number::read(text).is_some_and(|number| number.is_a_double(text)),
        Kind::Date => is_date(text),
        Kind::Time => is_time(text),
        Kind::Timestamp => is_timestamp(text),
        Kind::Instant => split_zone(text).is_some_and(is_timestamp),
        Kind::Text | Kind::Blob | Kind::Json | Kind::Other => false,
    }
}

/// A number as people and programs write it: `-12.50e-3`, no leading zeros, no plus, digits on both sides of the point.
struct Number<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: bool,
}

impl Number<'_> {
    fn read(text: &str) -> Option<Number<'_>> {
        let (negative, size) = text
            .strip_prefix('-')
            .map_or((false, text), |size| (true, size));
        let (mantissa, exponent) = match size.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (size, None),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) if is_digits(fraction) => (whole, fraction),
            Some(_) => return None,
            None => (mantissa, ""),
        };
        let padded = whole.len() > 1 && whole.starts_with('0');
        let power =
            exponent.is_none_or(|text| is_digits(text.strip_prefix(['-', '+']).unwrap_or(text)));
        (is_digits(whole) && !padded && power).then_some(Number {
            negative,
            whole,
            fraction,
            exponent: exponent.is_some(),
        })
    }

    /// Its digits without zeros at either end.
    fn digits(&self) -> String {
        let all = format!("{}{}", self.whole, self.fraction);
        all.trim_matches('0').to_owned()
    }

    /// Whether exact types hold it: no exponent, and no sign that they would drop.
    fn is_plain(&self) -> bool {
        !(self.exponent || self.negative && self.digits().is_empty())
    }

    /// Whether a double gives the same digits back.
    fn is_a_double(&self, text: &str) -> bool {
        let Some(value) = text.parse::<f64>().ok().filter(|value| value.is_finite()) else {
            return false;
        };
        let shortest = format!("{:e}", value.abs());
        Number::read(&shortest).is_some_and(|short| short.digits() == self.digits())
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The numbers between the marks of a pattern such as `dddd-dd-dd`, if the text has its shape.
fn shaped(text: &str, pattern: &str) -> bool {
    text.len() == pattern.len()
        && text
            .bytes()
            .zip(pattern.bytes())
            .all(|(byte, mark)| match mark {
                b'd' => byte.is_ascii_digit(),
                _ => byte == mark,
            })
}

fn is_date(text: &str) -> bool {
    shaped(text, "dddd-dd-dd")
        && NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
        && !text.starts_with("0000")
}

/// `13:45:00`, with up to six digits of a second's fraction.
fn is_time(text: &str) -> bool {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let below = |range: std::ops::Range<usize>, limit: u32| {
        clock
            .get(range)
            .and_then(|part| part.parse::<u32>().ok())
            .is_some_and(|part| part < limit)
    };
    shaped(clock, "dd:dd:dd")
        && below(0..2, 24)
        && below(3..5, 60)
        && below(6..8, 60)
        && is_digits(fraction)
        && fraction.len() <= 6
}

fn is_timestamp(text: &str) -> bool {
    let halves = text.split_once([' ', 'T']);
    halves.is_some_and(|(date, time)| is_date(date) && is_time(time))
}

/// What stands before the zone of a time: `Z`, `+08`, `+0800` or `+08:00`.
fn split_zone(text: &str) -> Option<&str> {
    if let Some(local) = text.strip_suffix('Z') {
        return Some(local);
    }
    let at = text.rfind(['+', '-'])?;
    let zone = &text[at + 1..];
    let known = ["dd", "dddd", "dd:dd"]
        .iter()
        .any(|pattern| shaped(zone, pattern));
    (known && zone[..2].parse::<u32>().is_ok_and(|hours| hours <= 14)).then(|| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(cells: &[&str]) -> Guess {
        let mut guess = Guess::default();
        cells
            .iter()
            .for_each(|cell| guess.learn(cell.as_bytes(), false));
        guess
    }

    #[test]
    fn the_narrowest_type_that_loses_nothing() {
        for (cells, kind) in [
            (&["1", "-20", "0"][..], Kind::Integer),
            (&["9223372036854775807"], Kind::Integer),
            (&["9223372036854775808"], Kind::Decimal),
            (&["1", "2.50"], Kind::Decimal),
            (&["0.1", "1e-7"], Kind::Real),
            (&["23.000000000000004"], Kind::Real),
            (&["12345678901234567890.123456789"], Kind::Decimal),
            (&["1", "1e400"], Kind::Text),
            (&["-0.0"], Kind::Real),
            (&["true", "false"], Kind::Bool),
            (&["true", "1"], Kind::Text),
            (&["2013-01-01", "2024-02-29"], Kind::Date),
            (&["2013-01-01", "2023-02-29"], Kind::Text),
            (&["13:45:00", "00:00:00.25"], Kind::Time),
            (
                &["2013-01-01 05:00:00", "2013-01-01T05:00:00.5"],
                Kind::Timestamp,
            ),
            (
                &["2013-01-01T05:00:00Z", "2013-01-01 05:00:00+08:00"],
                Kind::Instant,
            ),
            (&["2013-01-01", "2013-01-01 05:00:00"], Kind::Text),
            (&[], Kind::Text),
        ] {
            assert_eq!(guess(cells).kind(), kind, "{cells:?}");
        }
        for text in [
            "007",
            "+4930",
            "1 ",
            "",
            "-",
            "nan",
            "inf",
            "0x10",
            "1.",
            ".5",
            "1e",
            "1,5",
            "0000-00-00",
            "24:00:00",
        ] {
            assert_eq!(guess(&["1", text]).kind(), Kind::Text, "{text}");
            assert_eq!(guess(&[text]).kind(), Kind::Text, "{text}");
        }
    }

    #[test]
    fn bytes_are_a_blob_only_where_all_are() {
        let mut all = Guess::default();
        all.learn(b"\xff\0", true);
        assert_eq!(all.kind(), Kind::Blob);
        all.learn(b"text", false);
        assert_eq!(all.kind(), Kind::Text);
    }

    #[test]
    fn columns_fit_their_database() {
        let on = |url, cells: &[&str], key| {
            let dialect = db::dialect_of(url).unwrap();
            let column = guess(cells).column("c", key, dialect);
            let declared = column.declared.clone();
            if declared.is_empty() {
                dialect.type_name(column.kind, column.length)
            } else {
                declared
            }
        };
        assert_eq!(on("mysql:", &["1.50", "100.255"], false), "DECIMAL(38,15)");
        let long = format!("{}.5", "9".repeat(30));
        assert_eq!(on("mysql:", &[&long], false), "DECIMAL(38,8)");
        let longer = format!("{}.5", "9".repeat(40));
        assert_eq!(on("mysql:", &[&longer], false), "DECIMAL(41,1)");
        assert_eq!(on("postgres:", &["1.50"], false), "NUMERIC");
        assert_eq!(on("sqlite:", &["1.50"], false), "NUMERIC");
        assert_eq!(on("mysql:", &["x"], true), "VARCHAR(255)");
        assert_eq!(on("mysql:", &[&"x".repeat(2000)], false), "LONGTEXT");
        assert_eq!(on("postgres:", &["x"], true), "TEXT");
    }
}
