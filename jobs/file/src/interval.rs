//! Durations as people write them: `500ms 30s 5m 2h 1d`, and a plain `0`.

use crate::written::written;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A length of time, exact to the millisecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(pub Duration);

/// Units from long to short, in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Longer than any schedule needs, short enough that sums of a few never overflow.
const MAX_MILLIS: u64 = 100 * 366 * 86_400_000;

impl Interval {
    /// So many seconds.
    pub const fn secs(secs: u64) -> Interval {
        Interval(Duration::from_secs(secs))
    }

    /// So many milliseconds.
    pub const fn millis(millis: u64) -> Interval {
        Interval(Duration::from_millis(millis))
    }
}

impl From<Interval> for Duration {
    fn from(interval: Interval) -> Duration {
        interval.0
    }
}

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Interval, String> {
        let text = text.trim();
        if text == "0" {
            return Ok(Interval::default());
        }
        let split = text.find(|c: char| !c.is_ascii_digit());
        let (number, unit) = text.split_at(split.unwrap_or(text.len()));
        if number.is_empty() || unit.starts_with(['.', ',']) {
            return Err(format!(
                "`{text}` is not a duration: write a whole number and a unit, as in 500ms, 30s, 5m, 2h, 1d"
            ));
        }
        let Some((_, millis)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(unknown_unit(text, number, unit));
        };
        let number: Option<u64> = number.parse().ok();
        number
            .and_then(|n| n.checked_mul(*millis))
            .filter(|ms| *ms <= MAX_MILLIS)
            .map(Interval::millis)
            .ok_or_else(|| format!("`{text}` is longer than 100 years"))
    }
}

fn unknown_unit(text: &str, number: &str, unit: &str) -> String {
    let unit = unit.trim().to_lowercase();
    let meant = match unit.as_str() {
        "" => return format!("`{text}` lacks its unit: ms, s, m, h or d, as in {number}s"),
        "sec" | "secs" | "second" | "seconds" => "s",
        "min" | "mins" | "minute" | "minutes" => "m",
        "hr" | "hrs" | "hour" | "hours" => "h",
        "day" | "days" => "d",
        "msec" | "millis" | "milliseconds" => "ms",
        known if UNITS.iter().any(|(name, _)| *name == known) => known,
        "w" | "week" | "weeks" => {
            return format!("`{text}`: the longest unit is the day, as in 7d");
        }
        _ => return format!("`{text}` has an unknown unit: known are ms, s, m, h and d"),
    };
    format!("`{text}` has an unknown unit; did you mean `{number}{meant}`?")
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if millis == 0 {
            return f.write_str("0s");
        }
        for (name, unit) in UNITS {
            if millis % unit == 0 {
                return write!(f, "{}{name}", millis / unit);
            }
        }
        Ok(())
    }
}

written!(Interval, "duration", "^(0|[0-9]+(ms|s|m|h|d))$");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_and_zero_are_read() {
        for (text, millis) in [
            ("0", 0),
            ("0s", 0),
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
            (" 7s ", 7_000),
        ] {
            assert_eq!(text.parse(), Ok(Interval::millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_a_hint() {
        let error = |text: &str| text.parse::<Interval>().unwrap_err();
        assert!(error("30").contains("lacks its unit"));
        assert!(error("30").contains("30s"));
        assert!(error("5min").contains("did you mean `5m`?"));
        assert!(error("5 s").contains("did you mean `5s`?"));
        assert!(error("5S").contains("did you mean `5s`?"));
        assert!(error("2w").contains("7d"));
        assert!(error("-5s").contains("not a duration"));
        assert!(error("1.5h").contains("whole number"));
        assert!(error("").contains("not a duration"));
        assert!(error("99999999999999999999s").contains("longer than"));
        assert!(error("18446744073709551615d").contains("longer than"));
    }

    proptest! {
        #[test]
        fn written_and_read_again_is_the_same(millis in 0..MAX_MILLIS) {
            let interval = Interval::millis(millis);
            prop_assert_eq!(interval.to_string().parse(), Ok(interval));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = text.parse::<Interval>().is_ok();
        }
    }
}
