//! Time zones: from instants to wall-clock times and back.

use crate::written::written;
use chrono::{DateTime, Local, MappedLocalTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use std::fmt;
use std::str::FromStr;

/// The zone that a schedule's times are meant in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Zone {
    /// The machine's own.
    #[default]
    Local,
    /// One of the IANA database.
    Named(Tz),
}

impl Zone {
    /// What the wall clock shows at an instant.
    pub fn local(&self, instant: DateTime<Utc>) -> NaiveDateTime {
        match self {
            Zone::Local => instant.with_timezone(&Local).naive_local(),
            Zone::Named(tz) => instant.with_timezone(tz).naive_local(),
        }
    }

    /// The instants at which the wall clock shows a time: none in a gap, two where it is set back.
    pub fn instants(&self, local: NaiveDateTime) -> MappedLocalTime<DateTime<Utc>> {
        match self {
            Zone::Local => Local.from_local_datetime(&local).map(|t| t.to_utc()),
            Zone::Named(tz) => tz.from_local_datetime(&local).map(|t| t.to_utc()),
        }
    }

    /// The first instant at which the wall clock shows a time later than `local`, to the second. For a time
    /// in a gap that is the gap's end. `None` only at the ends of the calendar.
    pub fn first_after(&self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        // the widest offsets are within 15 hours of UTC, a gap is at most a day
        let reach = TimeDelta::hours(40);
        let mut before = local.checked_sub_signed(reach)?.and_utc().timestamp();
        let mut after = local.checked_add_signed(reach)?.and_utc().timestamp();
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            if self.local(DateTime::from_timestamp(middle, 0)?) > local {
                after = middle;
            } else {
                before = middle;
            }
        }
        DateTime::from_timestamp(after, 0)
    }
}

impl FromStr for Zone {
    type Err = String;

    fn from_str(text: &str) -> Result<Zone, String> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("local") {
            return Ok(Zone::Local);
        }
        text.parse().map(Zone::Named).map_err(|_| {
            let names: Vec<&str> = chrono_tz::TZ_VARIANTS.iter().map(|tz| tz.name()).collect();
            let near = crate::de::hint(text, &names, &|n| format!("`{n}`"), false);
            format!("`{text}` is not a time zone; write it as in Europe/Berlin or UTC{near}")
        })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Zone::Local => f.write_str("local"),
            Zone::Named(tz) => f.write_str(tz.name()),
        }
    }
}

written!(Zone, "zone", "^.+$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_have_names() {
        assert_eq!("Europe/Berlin".parse(), Ok(Zone::Named(Tz::Europe__Berlin)));
        assert_eq!("local".parse(), Ok(Zone::Local));
        let error = "Europe/Berln".parse::<Zone>().unwrap_err();
        assert!(error.contains("Europe/Berlin"), "{error}");
    }
}
