//! The hours in which a job may start: `22:00-05:30,12:00-13:00`. Looks at no clock.

use crate::schedule::Zone;
use crate::written::written;
use chrono::{DateTime, MappedLocalTime, NaiveDateTime, NaiveTime, TimeDelta, Timelike, Utc};
use std::fmt;
use std::str::FromStr;

const DAY: u32 = 24 * 60;

/// From begin to before end, in minutes of the wall clock since midnight. An end before its begin is on
/// the next day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    begin: u32,
    end: u32,
}

/// Windows of the wall clock, the same every day. None at all means always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows(Vec<Window>);

impl Windows {
    /// True if a job may start at this time of day.
    pub fn contains(&self, time: NaiveTime) -> bool {
        let minute = time.hour() * 60 + time.minute();
        self.0.is_empty()
            || self.0.iter().any(|w| {
                if w.begin < w.end {
                    (w.begin..w.end).contains(&minute)
                } else {
                    minute >= w.begin || minute < w.end
                }
            })
    }

    /// True if a job may start at this instant.
    pub fn is_open(&self, at: DateTime<Utc>, zone: &Zone) -> bool {
        self.contains(zone.local(at).time())
    }

    /// The first instant at or after `from` at which a job may start: `from` itself if it is inside.
    /// A begin in a gap of the clock is the gap's end, if the window is open then.
    pub fn next_open(&self, from: DateTime<Utc>, zone: &Zone) -> DateTime<Utc> {
        if self.is_open(from, zone) {
            return from;
        }
        let today = zone.local(from).date();
        let begins = |day: i64| {
            self.0.iter().filter_map(move |w| {
                let midnight = today.and_time(NaiveTime::MIN);
                let since = TimeDelta::days(day) + TimeDelta::minutes(i64::from(w.begin));
                midnight.checked_add_signed(since)
            })
        };
        // a gap may swallow a short window of one day or two, never of four in a row
        (0..4)
            .flat_map(begins)
            .flat_map(|begin| instants(begin, zone))
            .filter(|t| *t > from && self.is_open(*t, zone))
            .min()
            .unwrap_or(from)
    }
}

/// The instants that a begin stands for.
fn instants(local: NaiveDateTime, zone: &Zone) -> Vec<DateTime<Utc>> {
    match zone.instants(local) {
        MappedLocalTime::Single(t) => vec![t],
        MappedLocalTime::Ambiguous(first, second) => vec![first, second],
        MappedLocalTime::None => zone.first_after(local).into_iter().collect(),
    }
}

fn minutes(text: &str) -> Result<u32, String> {
    let wrong = || format!("`{text}` is not a time of day; write it as in 05:30");
    let (hour, minute) = text.trim().split_once(':').ok_or_else(wrong)?;
    let number = |t: &str| {
        let plain = matches!(t.len(), 1 | 2) && t.bytes().all(|b| b.is_ascii_digit());
        plain
            .then(|| t.parse::<u32>().ok())
            .flatten()
            .ok_or_else(wrong)
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let total = hour * 60 + minute;
    if minute > 59 || total > DAY {
        return Err(wrong());
    }
    Ok(total)
}

impl FromStr for Windows {
    type Err = String;

    fn from_str(text: &str) -> Result<Windows, String> {
        let window = |part: &str| {
            let (begin, end) = part
                .split_once('-')
                .ok_or_else(|| format!("`{part}` is not a window; write it as in 22:00-05:30"))?;
            let (begin, end) = (minutes(begin)? % DAY, minutes(end)?);
            if begin == end {
                return Err(format!(
                    "`{part}` is empty; for always leave the window out"
                ));
            }
            Ok(Window { begin, end })
        };
        text.split(',')
            .map(|part| window(part.trim()))
            .collect::<Result<_, _>>()
            .map(Windows)
    }
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, w) in self.0.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            let (b, e) = (w.begin, w.end);
            write!(
                f,
                "{comma}{:02}:{:02}-{:02}:{:02}",
                b / 60,
                b % 60,
                e / 60,
                e % 60
            )?;
        }
        Ok(())
    }
}

written!(Windows, "windows", "^.+$");

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::Tz;

    const BERLIN: Zone = Zone::Named(Tz::Europe__Berlin);

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn time(text: &str) -> NaiveTime {
        text.parse().unwrap()
    }

    #[test]
    fn windows_may_wrap_midnight() {
        let w: Windows = "22:00-05:30, 12:00-13:00".parse().unwrap();
        for inside in ["22:00:00", "23:59:59", "00:00:00", "05:29:59", "12:30:00"] {
            assert!(w.contains(time(inside)), "{inside}");
        }
        for outside in ["05:30:00", "11:59:59", "13:00:00", "21:59:59"] {
            assert!(!w.contains(time(outside)), "{outside}");
        }
        assert_eq!(w.to_string(), "22:00-05:30,12:00-13:00");
        assert!(Windows::default().contains(time("03:00:00")));
        assert!(
            "18:00-24:00"
                .parse::<Windows>()
                .unwrap()
                .contains(time("23:59:00"))
        );
    }

    #[test]
    fn next_open_is_the_next_begin() {
        let w: Windows = "22:00-05:30".parse().unwrap();
        // noon in Berlin, winter
        assert_eq!(
            w.next_open(utc("2026-01-10T11:00:00Z"), &BERLIN),
            utc("2026-01-10T21:00:00Z")
        );
        let inside = utc("2026-01-10T23:00:00Z");
        assert_eq!(w.next_open(inside, &BERLIN), inside);
    }

    #[test]
    fn gaps_and_repeats_of_the_clock() {
        // 29 March 2026 has no 02:xx: a window that begins there opens at 03:00
        let w: Windows = "02:15-04:00".parse().unwrap();
        assert_eq!(
            w.next_open(utc("2026-03-29T00:30:00Z"), &BERLIN),
            utc("2026-03-29T01:00:00Z")
        );
        // one that lies in it whole waits for the next day
        let w: Windows = "02:15-02:45".parse().unwrap();
        assert_eq!(
            w.next_open(utc("2026-03-29T00:30:00Z"), &BERLIN),
            utc("2026-03-30T00:15:00Z")
        );
        // 25 October 2026 has 02:xx twice
        assert_eq!(
            w.next_open(utc("2026-10-25T00:50:00Z"), &BERLIN),
            utc("2026-10-25T01:15:00Z")
        );
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for bad in [
            "",
            "22:00",
            "22-05",
            "24:01-01:00",
            "10:60-11:00",
            "10:00-10:00",
            "a:b-c:d",
            "10:00-11:00,",
        ] {
            assert!(bad.parse::<Windows>().is_err(), "{bad}");
        }
    }
}
