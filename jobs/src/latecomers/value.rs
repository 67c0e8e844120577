//! What a cursor's value says by itself: whether it is one of its column at all, and whether it is a time that has not come yet. Pure.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use db::Kind;

/// Times without a zone may be of any: the farthest one is so many milliseconds ahead of UTC.
const FARTHEST_ZONE: i64 = 14 * 3_600_000;

/// A time as text says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    /// Milliseconds since 1970, in UTC if it names no zone.
    at: i64,
    zoned: bool,
}

/// `2026-11-21`, with a time of the day behind a space or a `T`, with a zone behind that.
fn moment(text: &str) -> Option<Moment> {
    let naive = |time: NaiveDateTime| Moment {
        at: time.and_utc().timestamp_millis(),
        zoned: false,
    };
    let day = NaiveDate::parse_from_str(text.get(..10)?, "%Y-%m-%d").ok()?;
    if text.len() == 10 {
        return Some(naive(day.and_hms_opt(0, 0, 0)?));
    }
    let clock = text[10..].strip_prefix([' ', 'T'])?.trim_end();
    let plain = format!("{day} {clock}");
    let shapes = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"];
    for shape in shapes {
        if let Ok(time) = NaiveDateTime::parse_from_str(&plain, shape) {
            return Some(naive(time));
        }
        let zoned = format!("{shape}%#z");
        if let Ok(time) = DateTime::parse_from_str(&plain.replace(['Z', 'z'], "+00:00"), &zoned) {
            let at = time.timestamp_millis();
            return Some(Moment { at, zoned: true });
        }
    }
    None
}

/// Digits and the marks that stand in times, a digit first: the beginning of a time is a good bound of text.
fn begins_a_time(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
        && text
            .chars()
            .all(|c| c.is_ascii_digit() || "-:+. /TZ".contains(c))
}

/// What `value` ought to be and is not, as a value of a column of this kind; none if it may be one. `example` is a value of the column, where
/// there is one: it tells what text means.
pub(crate) fn misfit(value: &str, kind: Kind, example: Option<&str>) -> Option<&'static str> {
    let time = "time such as 2026-01-31 or 2026-01-31 12:00:00";
    let of_times = example.is_some_and(|text| moment(text).is_some());
    let (fits, what) = match kind {
        Kind::Integer => (value.parse::<i128>().is_ok(), "whole number"),
        Kind::Decimal | Kind::Real => {
            let number = value.parse::<f64>();
            (number.is_ok_and(f64::is_finite), "number")
        }
        Kind::Date | Kind::Timestamp | Kind::Instant if of_times => (moment(value).is_some(), time),
        Kind::Date | Kind::Timestamp | Kind::Instant => (begins_a_time(value), time),
        Kind::Text | Kind::Other if of_times => (begins_a_time(value), time),
        Kind::Bool | Kind::Text | Kind::Time | Kind::Blob | Kind::Json | Kind::Other => (true, ""),
    };
    (!fits).then_some(what)
}

/// Whether `value` of a column of this kind is a time that lies ahead of `now` by more than `margin`, both in milliseconds; a time without
/// a zone only if it does so in every zone.
pub(crate) fn is_ahead(value: &str, kind: Kind, now: i64, margin: i64) -> bool {
    if kind.is_number() {
        return false;
    }
    moment(value).is_some_and(|moment| {
        let exact = moment.zoned || kind == Kind::Instant;
        let slack = if exact { 0 } else { FARTHEST_ZONE };
        moment.at > now.saturating_add(margin).saturating_add(slack)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_769_860_800_000;

    #[test]
    fn times_are_read_in_all_their_spellings() {
        for (text, zoned) in [
            ("2026-01-31 12:00:00", false),
            ("2026-01-31T12:00", false),
            ("2026-01-31T12:00:00.000Z", true),
            ("2026-01-31 13:00:00+01:00", true),
            ("2026-01-31 13:00:00.000+01", true),
            ("2026-01-31T07:00-0500", true),
        ] {
            assert_eq!(moment(text), Some(Moment { at: NOON, zoned }), "{text}");
        }
        assert!(moment("2026-01-31").is_some_and(|day| day.at == NOON - 43_200_000));
        for text in [
            "",
            "noon",
            "2026",
            "2026-13-01",
            "2026-01-31x",
            "infinity",
            "äöüäöüäöü",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    #[test]
    fn a_value_has_to_be_one_of_its_column() {
        let time = Some("2026-01-31 12:00:00");
        for (value, kind, example, fits) in [
            ("12", Kind::Integer, None, true),
            ("-1", Kind::Integer, None, true),
            ("abc", Kind::Integer, None, false),
            ("0x10", Kind::Integer, None, false),
            ("1.5", Kind::Integer, None, false),
            ("1.5", Kind::Decimal, None, true),
            ("NaN", Kind::Decimal, None, false),
            ("Infinity", Kind::Real, None, false),
            ("2026-01-31", Kind::Timestamp, time, true),
            ("2026-01", Kind::Timestamp, time, false),
            ("infinity", Kind::Instant, None, false),
            ("1700000000", Kind::Timestamp, Some("1700000005"), true),
            ("2026-01", Kind::Text, time, true),
            ("zzz", Kind::Text, time, false),
            ("zzz", Kind::Text, Some("abc"), true),
            ("zzz", Kind::Text, None, true),
        ] {
            assert_eq!(
                misfit(value, kind, example).is_none(),
                fits,
                "{value} {kind:?}"
            );
        }
    }

    #[test]
    fn a_time_without_a_zone_is_ahead_only_if_it_is_so_everywhere() {
        let ahead = |value: &str, kind| is_ahead(value, kind, NOON, 1_000);
        assert!(!ahead("2026-01-31 12:00:01Z", Kind::Text));
        assert!(ahead("2026-01-31 12:00:02Z", Kind::Text));
        assert!(ahead("2026-01-31 12:00:02", Kind::Instant));
        assert!(!ahead("2026-02-01 02:00:00", Kind::Timestamp));
        assert!(ahead("2026-02-01 12:00:00", Kind::Timestamp));
        assert!(ahead("2030-01-01", Kind::Date));
        assert!(!ahead("99999999999", Kind::Integer) && !ahead("zzz", Kind::Text));
    }
}
