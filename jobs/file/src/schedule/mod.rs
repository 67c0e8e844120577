//! Cron expressions: when a job falls due.
//!
//! Wraps the `cron` crate's calendar search. Meaning of fields and daylight saving are Vixie cron's: an
//! entry with fixed hour, minute and second runs once right after a gap that swallows its time, and once
//! when its time comes twice; an entry with `*` (or `*/n`) in one of these follows elapsed time: what is
//! swallowed does not run, what comes twice runs twice. Looks at no clock.

mod fields;
mod names;
mod next;
#[cfg(test)]
mod oracle;
mod zone;

pub use zone::Zone;

use crate::written::written;
use chrono::{DateTime, Timelike, Utc};
use std::fmt;
use std::str::FromStr;

/// A cron expression of five or six fields (seconds first), or `@hourly @daily @weekly @monthly @yearly`.
#[derive(Clone)]
pub struct Cron {
    text: String,
    /// No `*` in hour, minute and second: bound to the wall clock, not to elapsed time.
    fixed: bool,
    /// One, or two where day of month and day of week are both restricted: either may match.
    calendars: Vec<cron::Schedule>,
}

impl Cron {
    /// Reads an expression; the error says which field is wrong and what it may hold.
    pub fn parse(text: &str) -> Result<Cron, String> {
        let split = fields::split(text)?;
        let [second, minute, hour, day, month, weekday] = &split;
        let second = fields::SECOND.parse(second)?;
        let minute = fields::MINUTE.parse(minute)?;
        let hour = fields::HOUR.parse(hour)?;
        let day = fields::DAY.parse(day)?;
        let month = fields::MONTH.parse(month)?;
        let weekday = fields::WEEKDAY.parse(weekday)?;
        let calendar = |day: &str, weekday: &str| {
            let (second, minute, hour) = (second.list(0), minute.list(0), hour.list(0));
            let spelled = format!("{second} {minute} {hour} {day} {} {weekday}", month.list(0));
            spelled
                .parse::<cron::Schedule>()
                .map_err(|e| format!("`{text}` is not a cron expression: {e}"))
        };
        let (days, weekdays) = (day.list(0), weekday.list(1));
        let calendars = if day.star || weekday.star {
            vec![calendar(&days, &weekdays)?]
        } else {
            vec![calendar(&days, "*")?, calendar("*", &weekdays)?]
        };
        Ok(Cron {
            text: text.trim().to_string(),
            fixed: !(second.star || minute.star || hour.star),
            calendars,
        })
    }

    /// The first time after an instant, in a zone; `None` if there is none before the year 2100.
    pub fn next(&self, after: DateTime<Utc>, zone: &Zone) -> Option<DateTime<Utc>> {
        let after = after.with_nanosecond(0).unwrap_or(after);
        if self.fixed {
            next::fixed(&self.calendars, after, zone)
        } else {
            next::elapsed(&self.calendars, after, zone)
        }
    }
}

impl FromStr for Cron {
    type Err = String;

    fn from_str(text: &str) -> Result<Cron, String> {
        Cron::parse(text)
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Cron) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cron({:?})", self.text)
    }
}

written!(Cron, "cron", "^.+$");
