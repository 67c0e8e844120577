//! The delay after failures: `1s..60s`, or one length for always.

use crate::interval::Interval;
use crate::written::written;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// From the delay after the first failure, doubling, to the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub min: Duration,
    /// Never longer than this.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff {
            min: Duration::from_secs(1),
            max: Duration::from_secs(60),
        }
    }
}

impl FromStr for Backoff {
    type Err = String;

    fn from_str(text: &str) -> Result<Backoff, String> {
        let (min, max) = text.split_once("..").unwrap_or((text, text));
        let (Interval(min), Interval(max)) = (min.parse()?, max.parse()?);
        if min > max {
            return Err(format!("`{text}` runs backwards"));
        }
        Ok(Backoff { min, max })
    }
}

impl fmt::Display for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (min, max) = (Interval(self.min), Interval(self.max));
        if min == max {
            return write!(f, "{min}");
        }
        write!(f, "{min}..{max}")
    }
}

written!(
    Backoff,
    "backoff",
    r"^(0|[0-9]+(ms|s|m|h|d))(\.\.(0|[0-9]+(ms|s|m|h|d)))?$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_single_values() {
        assert_eq!("1s..60s".parse(), Ok(Backoff::default()));
        let none: Backoff = "0s".parse().unwrap();
        assert_eq!((none.min, none.max), (Duration::ZERO, Duration::ZERO));
        for bad in ["", "60s..1s", "1s..", "1s-60s", "1s..2s..3s"] {
            assert!(bad.parse::<Backoff>().is_err(), "{bad}");
        }
    }
}
