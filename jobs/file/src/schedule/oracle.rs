//! A naive cron that walks minute by minute, written apart from the search, and random comparisons with it.

use super::{Cron, Zone, fields};
use chrono::{DateTime, Datelike, NaiveDateTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;

const MINUTE: TimeDelta = TimeDelta::minutes(1);

/// Vixie cron's `find_jobs`, for one minute of the wall clock.
struct Naive {
    minute: fields::Values,
    hour: fields::Values,
    day: fields::Values,
    month: fields::Values,
    weekday: fields::Values,
}

impl Naive {
    fn parse(text: &str) -> Naive {
        let parts: Vec<_> = text.split_whitespace().collect();
        Naive {
            minute: fields::MINUTE.parse(parts[0]).unwrap(),
            hour: fields::HOUR.parse(parts[1]).unwrap(),
            day: fields::DAY.parse(parts[2]).unwrap(),
            month: fields::MONTH.parse(parts[3]).unwrap(),
            weekday: fields::WEEKDAY.parse(parts[4]).unwrap(),
        }
    }

    fn matches(&self, t: NaiveDateTime) -> bool {
        let day = self.day.values.contains(&t.day());
        let weekday = self
            .weekday
            .values
            .contains(&t.weekday().num_days_from_sunday());
        let days = if self.day.star || self.weekday.star {
            day && weekday
        } else {
            day || weekday
        };
        days && self.month.values.contains(&t.month())
            && self.hour.values.contains(&t.hour())
            && self.minute.values.contains(&t.minute())
    }

    /// All starts after `begin`, found by living through `minutes` minutes.
    fn starts(&self, zone: &Zone, begin: DateTime<Utc>, minutes: i32) -> Vec<DateTime<Utc>> {
        let fixed = !(self.minute.star || self.hour.star);
        // live through the hours before too, to know what has been shown already
        let mut now = begin - MINUTE * 240;
        let mut latest = zone.local(now);
        let mut starts = Vec::new();
        while now < begin + MINUTE * minutes {
            now += MINUTE;
            let local = zone.local(now);
            let due = match fixed {
                false => self.matches(local),
                true => {
                    // every minute that is shown for the first time, or was jumped over, counts here
                    let mut due = false;
                    while latest < local {
                        latest += MINUTE;
                        due |= self.matches(latest);
                    }
                    due
                }
            };
            if due && now > begin {
                starts.push(now);
            }
        }
        starts
    }
}

fn field(min: u32, max: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("*".to_string()),
        2 => (2..=max.min(11)).prop_map(|step| format!("*/{step}")),
        3 => (min..=max).prop_map(|n| n.to_string()),
        2 => (min..=max, min..=max).prop_map(|(a, b)| format!("{},{}", a, b)),
        2 => (min..=max, min..=max).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    // hours near the changes of the clock more often than others
    let hour = prop_oneof![field(0, 23), field(0, 4)];
    let month = prop_oneof![4 => Just("*".to_string()), 1 => field(3, 11)];
    (field(0, 59), hour, field(1, 31), month, field(0, 7)).prop_map(
        |(minute, hour, day, month, weekday)| format!("{minute} {hour} {day} {month} {weekday}"),
    )
}

fn moment() -> impl Strategy<Value = (Zone, DateTime<Utc>)> {
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let near = prop_oneof![
        Just((Tz::Europe__Berlin, at("2026-03-29T01:00:00Z"))),
        Just((Tz::Europe__Berlin, at("2026-10-25T01:00:00Z"))),
        Just((Tz::America__New_York, at("2026-03-08T07:00:00Z"))),
        Just((Tz::America__New_York, at("2026-11-01T06:00:00Z"))),
        Just((Tz::Australia__Lord_Howe, at("2026-04-04T15:00:00Z"))),
        Just((Tz::Australia__Lord_Howe, at("2026-10-03T15:30:00Z"))),
        Just((Tz::Asia__Kolkata, at("2026-06-01T00:00:00Z"))),
    ];
    (near, -3000..300_i32, 0..60_i64).prop_map(|((tz, change), minutes, seconds)| {
        let begin = change + MINUTE * minutes + TimeDelta::seconds(seconds);
        (Zone::Named(tz), begin)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nothing_is_skipped_and_nothing_made_up(text in expression(), (zone, begin) in moment()) {
        let horizon = 5000;
        let whole = begin.with_second(0).unwrap();
        let expected: Vec<_> = Naive::parse(&text)
            .starts(&zone, whole, horizon)
            .into_iter()
            .filter(|t| *t > begin)
            .collect();
        let cron = Cron::parse(&text).unwrap();
        let next = |t: &DateTime<Utc>| cron.next(*t, &zone);
        let end = whole + MINUTE * horizon;
        let mut last = begin;
        let mut found = Vec::new();
        while let Some(t) = next(&last).filter(|t| *t <= end) {
            prop_assert!(t > last, "{} goes back from {} to {}", text, last, t);
            found.push(t);
            last = t;
        }
        prop_assert_eq!(found, expected, "{} in {} after {}", text, zone, begin);
    }
}
