//! The next time of an expression, across changes of the clock.
//!
//! The calendar search runs on wall-clock times; what an instant each of them is decides the rest. All
//! comparing is done in UTC, so that a result is always later than what it was asked after.

use super::Zone;
use chrono::{DateTime, MappedLocalTime, NaiveDateTime, TimeDelta, Timelike, Utc};

const SECOND: TimeDelta = TimeDelta::seconds(1);

/// The first matching wall-clock time after `local`.
fn calendar_next(calendars: &[cron::Schedule], local: NaiveDateTime) -> Option<NaiveDateTime> {
    calendars
        .iter()
        .filter_map(|c| c.after(&local.and_utc()).next())
        .min()
        .map(|t| t.naive_utc())
}

/// For entries bound to the wall clock: each of their times is one instant, also where the clock skips it
/// or shows it twice.
pub(super) fn fixed(
    calendars: &[cron::Schedule],
    after: DateTime<Utc>,
    zone: &Zone,
) -> Option<DateTime<Utc>> {
    let mut local = zone.local(after);
    loop {
        local = calendar_next(calendars, local)?;
        match zone.instants(local) {
            MappedLocalTime::Ambiguous(first, second) if first <= after => {
                // in the second pass: all that it shows has been, so go on at its end
                local = zone.local(instant_set_back(first, second, zone) - SECOND);
            }
            MappedLocalTime::Single(t) | MappedLocalTime::Ambiguous(t, _) => return Some(t),
            MappedLocalTime::None => return zone.first_after(local),
        }
    }
}

/// For entries that follow elapsed time: every instant at which the wall clock shows one of their times.
pub(super) fn elapsed(
    calendars: &[cron::Schedule],
    after: DateTime<Utc>,
    zone: &Zone,
) -> Option<DateTime<Utc>> {
    let now = zone.local(after);
    let ahead = first_shown(calendars, now, after, zone);
    // in the first pass of an hour that comes twice, its second pass holds times that `now` is beyond
    if let MappedLocalTime::Ambiguous(_, second) = zone.instants(now)
        && second > after
    {
        let set_back = instant_set_back(after, second, zone);
        let begin = zone.local(set_back) - SECOND;
        let again = first_shown(calendars, begin, set_back - SECOND, zone);
        return [ahead, again].into_iter().flatten().min();
    }
    ahead
}

/// The first instant after `after` whose wall-clock time matches and is later than `local`.
fn first_shown(
    calendars: &[cron::Schedule],
    mut local: NaiveDateTime,
    after: DateTime<Utc>,
    zone: &Zone,
) -> Option<DateTime<Utc>> {
    loop {
        local = calendar_next(calendars, local)?;
        match zone.instants(local) {
            MappedLocalTime::Single(t) if t > after => return Some(t),
            MappedLocalTime::Ambiguous(first, _) if first > after => return Some(first),
            MappedLocalTime::Ambiguous(_, second) if second > after => return Some(second),
            MappedLocalTime::None => local = zone.local(zone.first_after(local)?) - SECOND,
            _ => {}
        }
    }
}

/// The first instant of the second pass, given one in each pass.
fn instant_set_back(first: DateTime<Utc>, second: DateTime<Utc>, zone: &Zone) -> DateTime<Utc> {
    let offset = |t: DateTime<Utc>| zone.local(t) - t.naive_utc();
    let old = offset(first);
    let (mut before, mut after) = (first, second);
    while after - before > SECOND {
        let middle = before + TimeDelta::seconds((after - before).num_seconds() / 2);
        if offset(middle) == old {
            before = middle;
        } else {
            after = middle;
        }
    }
    // changes of the clock fall on whole seconds
    after.with_nanosecond(0).unwrap_or(after)
}

#[cfg(test)]
mod tests {
    use super::super::{Cron, Zone};
    use chrono::{DateTime, Utc};
    use chrono_tz::Tz;
    use std::time::Instant;

    const BERLIN: Zone = Zone::Named(Tz::Europe__Berlin);
    const NEW_YORK: Zone = Zone::Named(Tz::America__New_York);
    const UTC: Zone = Zone::Named(Tz::UTC);

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// The next times, as the wall clock shows them.
    fn times(cron: &str, zone: Zone, after: &str, count: usize) -> Vec<String> {
        let cron = Cron::parse(cron).unwrap();
        let next = |t: &DateTime<Utc>| cron.next(*t, &zone);
        std::iter::successors(next(&utc(after)), next)
            .take(count)
            .map(|t| zone.local(t).format("%m-%d %H:%M:%S").to_string())
            .collect()
    }

    #[test]
    fn a_fixed_time_in_the_gap_runs_once_right_after_it() {
        // 29 March 2026, 02:00 -> 03:00
        let expected = ["03-28 02:30:00", "03-29 03:00:00", "03-30 02:30:00"];
        assert_eq!(
            times("30 2 * * *", BERLIN, "2026-03-27T12:00:00Z", 3),
            expected
        );
        assert_eq!(
            times("0 30 2 * * *", BERLIN, "2026-03-27T12:00:00Z", 3),
            expected
        );
        // 8 March 2026
        let expected = ["03-07 02:30:00", "03-08 03:00:00", "03-09 02:30:00"];
        assert_eq!(
            times("30 2 * * *", NEW_YORK, "2026-03-06T12:00:00Z", 3),
            expected
        );
        // several in the gap, and one right at its end: still once
        let expected = ["03-29 03:00:00", "03-29 03:30:00", "03-30 02:00:00"];
        assert_eq!(
            times("0,20,40 2 29 3 *", BERLIN, "2026-03-28T12:00:00Z", 1),
            expected[..1]
        );
        assert_eq!(
            times("0,30 2-3 * * *", BERLIN, "2026-03-29T00:00:00Z", 3),
            expected
        );
        // with seconds
        let expected = ["03-29 03:00:00", "03-30 02:30:15"];
        assert_eq!(
            times("15 30 2 * * *", BERLIN, "2026-03-29T00:00:00Z", 2),
            expected
        );
    }

    #[test]
    fn a_fixed_time_that_comes_twice_runs_once_at_its_first() {
        // 25 October 2026, 03:00 -> 02:00
        let cron = Cron::parse("30 2 * * *").unwrap();
        let first = utc("2026-10-25T00:30:00Z");
        assert_eq!(cron.next(utc("2026-10-24T12:00:00Z"), &BERLIN), Some(first));
        let next = Some(utc("2026-10-26T01:30:00Z"));
        assert_eq!(cron.next(first, &BERLIN), next);
        assert_eq!(
            cron.next(utc("2026-10-25T01:10:00Z"), &BERLIN),
            next,
            "asked in the second pass"
        );
        // 1 November 2026
        let cron = Cron::parse("15 30 1 * * *").unwrap();
        let first = utc("2026-11-01T05:30:15Z");
        assert_eq!(
            cron.next(utc("2026-10-31T12:00:00Z"), &NEW_YORK),
            Some(first)
        );
        assert_eq!(
            cron.next(first, &NEW_YORK),
            Some(utc("2026-11-02T06:30:15Z"))
        );
    }

    #[test]
    fn wildcards_follow_elapsed_time() {
        let spring = ["03-29 01:30:00", "03-29 03:00:00", "03-29 03:30:00"];
        assert_eq!(
            times("*/30 * * * *", BERLIN, "2026-03-29T00:00:00Z", 3),
            spring
        );
        let autumn = [
            "10-25 02:00:00",
            "10-25 02:30:00",
            "10-25 02:00:00",
            "10-25 02:30:00",
            "10-25 03:00:00",
        ];
        assert_eq!(
            times("*/30 * * * *", BERLIN, "2026-10-24T23:59:00Z", 5),
            autumn
        );
        let autumn = [
            "11-01 01:00:00",
            "11-01 01:30:00",
            "11-01 01:00:00",
            "11-01 01:30:00",
            "11-01 02:00:00",
        ];
        assert_eq!(
            times("*/30 * * * *", NEW_YORK, "2026-11-01T04:59:00Z", 5),
            autumn
        );
        let spring = ["03-08 01:30:00", "03-08 03:00:00"];
        assert_eq!(
            times("*/30 * * * *", NEW_YORK, "2026-03-08T06:00:00Z", 2),
            spring
        );
        // the hour is a wildcard too
        let spring = ["03-29 00:00:00", "03-29 04:00:00", "03-29 06:00:00"];
        assert_eq!(
            times("0 */2 * * *", BERLIN, "2026-03-28T22:30:00Z", 3),
            spring
        );
        let autumn = [
            "10-25 00:00:00",
            "10-25 02:00:00",
            "10-25 02:00:00",
            "10-25 04:00:00",
        ];
        assert_eq!(
            times("0 */2 * * *", BERLIN, "2026-10-24T21:30:00Z", 4),
            autumn
        );
        // seconds through the end of the first pass
        let autumn = ["10-25 02:59:40", "10-25 02:00:00", "10-25 02:00:20"];
        assert_eq!(
            times("*/20 * * * * *", BERLIN, "2026-10-25T00:59:39Z", 3),
            autumn
        );
    }

    #[test]
    fn odd_changes_of_the_clock() {
        // Lord Howe Island goes by half an hour: 4 October 2026, 02:00 -> 02:30
        let zone = Zone::Named(Tz::Australia__Lord_Howe);
        assert_eq!(
            times("15 2 * * *", zone, "2026-10-03T12:00:00Z", 1),
            ["10-04 02:30:00"]
        );
        // Samoa had no 30 December 2011
        let zone = Zone::Named(Tz::Pacific__Apia);
        let expected = ["12-29 08:00:00", "12-31 00:00:00", "12-31 08:00:00"];
        assert_eq!(
            times("0 8 * * *", zone, "2011-12-29T12:00:00Z", 3),
            expected
        );
        // a change at midnight: Cairo, 24 April 2026, 00:00 -> 01:00
        let zone = Zone::Named(Tz::Africa__Cairo);
        assert_eq!(
            times("@daily", zone, "2026-04-23T12:00:00Z", 2),
            ["04-24 01:00:00", "04-25 00:00:00"]
        );
    }

    #[test]
    fn days_combine_as_in_vixie_cron() {
        // both restricted: either; 13 February 2026 is a Friday
        let expected = ["02-06 00:00:00", "02-13 00:00:00", "02-20 00:00:00"];
        assert_eq!(
            times("0 0 13 * 5", UTC, "2026-02-01T00:00:00Z", 3),
            expected
        );
        let expected = ["03-06 00:00:00", "03-13 00:00:00", "03-15 00:00:00"];
        assert_eq!(
            times("0 0 15 * fri", UTC, "2026-03-01T00:00:00Z", 3),
            expected
        );
        // a field that begins with `*` does not restrict: both must match
        let expected = ["06-01 00:00:00", "06-15 00:00:00", "06-29 00:00:00"];
        assert_eq!(
            times("0 0 */2 * 1", UTC, "2026-05-31T00:00:00Z", 3),
            expected
        );
        // Sunday by both numbers, Monday to Friday
        let sunday = ["06-07 00:00:00", "06-14 00:00:00"];
        assert_eq!(times("0 0 * * 0", UTC, "2026-06-01T00:00:00Z", 2), sunday);
        assert_eq!(times("0 0 * * 7", UTC, "2026-06-01T00:00:00Z", 2), sunday);
        let expected = ["06-05 00:00:00", "06-08 00:00:00"];
        assert_eq!(
            times("0 0 * * 1-5", UTC, "2026-06-04T12:00:00Z", 2),
            expected
        );
    }

    #[test]
    fn nicknames_and_leap_years() {
        assert_eq!(
            times("@hourly", UTC, "2026-06-07T01:30:00Z", 1),
            ["06-07 02:00:00"]
        );
        assert_eq!(
            times("@weekly", UTC, "2026-06-07T01:00:00Z", 1),
            ["06-14 00:00:00"]
        );
        assert_eq!(
            times("@monthly", UTC, "2026-06-07T00:00:00Z", 1),
            ["07-01 00:00:00"]
        );
        let leap = Cron::parse("0 0 29 2 *").unwrap();
        assert_eq!(
            leap.next(utc("2026-01-01T00:00:00Z"), &UTC),
            Some(utc("2028-02-29T00:00:00Z"))
        );
        let yearly = Cron::parse("@yearly").unwrap();
        assert_eq!(
            yearly.next(utc("2026-01-01T00:00:00Z"), &UTC),
            Some(utc("2027-01-01T00:00:00Z"))
        );
        let between = utc("2026-06-07T01:59:59Z") + chrono::TimeDelta::milliseconds(500);
        let every = Cron::parse("* * * * * *").unwrap();
        assert_eq!(every.next(between, &UTC), Some(utc("2026-06-07T02:00:00Z")));
    }

    #[test]
    fn what_never_comes_is_none() {
        for text in ["0 0 30 2 *", "0 0 31 4,6,9,11 *"] {
            let begin = Instant::now();
            assert_eq!(
                Cron::parse(text)
                    .unwrap()
                    .next(utc("2026-01-01T00:00:00Z"), &BERLIN),
                None
            );
            assert!(begin.elapsed().as_millis() < 50, "{:?}", begin.elapsed());
        }
        // but with a weekday beside it, the weekdays of that month come
        let cron = Cron::parse("0 0 30 2 1").unwrap();
        let monday = utc("2027-02-01T00:00:00Z");
        assert_eq!(cron.next(utc("2026-06-01T12:00:00Z"), &UTC), Some(monday));
    }

    #[test]
    fn the_worst_case_is_still_fast() {
        let cron = Cron::parse("0-59 0-59 2 * * *").unwrap();
        let second_pass = utc("2026-10-25T01:00:00Z");
        let begin = Instant::now();
        for _ in 0..10 {
            assert_eq!(
                cron.next(second_pass, &BERLIN),
                Some(utc("2026-10-26T01:00:00Z"))
            );
        }
        assert!(begin.elapsed().as_millis() < 100, "{:?}", begin.elapsed());
    }
}
