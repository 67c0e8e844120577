//! How long a job may be silent, or that nobody listens.

use crate::interval::Interval;
use crate::written::written;
use std::fmt;
use std::str::FromStr;

/// `60s`, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heartbeat {
    /// No heartbeat for this long means hung.
    Every(Interval),
    /// Unwatched.
    Off,
}

/// What a beat every so often costs must stay far below what it saves.
const SHORTEST: Interval = Interval::millis(100);

impl FromStr for Heartbeat {
    type Err = String;

    fn from_str(text: &str) -> Result<Heartbeat, String> {
        if text.trim().eq_ignore_ascii_case("off") {
            return Ok(Heartbeat::Off);
        }
        let interval: Interval = text.parse()?;
        if interval < SHORTEST {
            return Err(format!(
                "`{text}` is too short: at least {SHORTEST}, or `off`"
            ));
        }
        Ok(Heartbeat::Every(interval))
    }
}

impl fmt::Display for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Heartbeat::Every(interval) => interval.fmt(f),
            Heartbeat::Off => f.write_str("off"),
        }
    }
}

written!(Heartbeat, "heartbeat", "^(off|[0-9]+(ms|s|m|h|d))$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_and_intervals() {
        assert_eq!("off".parse(), Ok(Heartbeat::Off));
        assert_eq!("60s".parse(), Ok(Heartbeat::Every(Interval::secs(60))));
        assert!("0".parse::<Heartbeat>().is_err());
        assert!("never".parse::<Heartbeat>().is_err());
    }
}
