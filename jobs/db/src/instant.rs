//! Times with a zone for columns without one: moved to UTC, as every session's zone is UTC. Pure.

use std::borrow::Cow;

/// No time with a zone is shorter: `2026-11-21 13:45Z`.
const SHORTEST: usize = 17;

/// `2026-11-21 13:45:00.25+01:00` without its zone, in UTC; without a zone it is what it was, but for spaces around it.
/// `None` if what is behind the time looks like a zone, and the whole is no such time.
pub(crate) fn to_utc(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let text = text.trim_ascii();
    if !is_zoned(text) {
        return Some(text.into());
    }
    let (time, offset) = split(text)?;
    if offset == 0 {
        return Some(time.into());
    }
    moved(time, offset).map(Cow::Owned)
}

/// A look at the tail: most times have no zone.
fn is_zoned(text: &[u8]) -> bool {
    let Some(last) = text.last().filter(|_| text.len() >= SHORTEST) else {
        return false;
    };
    let signed = || {
        let tail = &text[SHORTEST - 1..];
        tail.iter().any(|byte| matches!(byte, b'+' | b'-'))
    };
    matches!(last, b'Z' | b'z') || last.is_ascii_digit() && signed()
}

/// The time, and its zone's offset in seconds: `Z`, `+01`, `+0130`, `+01:30` or `+00:53:28`.
fn split(text: &[u8]) -> Option<(&[u8], i64)> {
    let at = text
        .iter()
        .rposition(|byte| matches!(byte, b'+' | b'-' | b'Z' | b'z'))?;
    let (time, zone) = (text[..at].trim_ascii_end(), &text[at + 1..]);
    if !time.last()?.is_ascii_digit() || !time.contains(&b':') {
        return None;
    }
    if matches!(text[at], b'Z' | b'z') {
        return zone.is_empty().then_some((time, 0));
    }
    let parts: Vec<&[u8]> = match zone.len() {
        4 => vec![&zone[..2], &zone[2..]],
        _ => zone.split(|byte| *byte == b':').collect(),
    };
    if parts.len() > 3 || parts.iter().any(|part| part.len() != 2) {
        return None;
    }
    let mut offset = 0;
    for place in 0..3 {
        let part = parts.get(place).map_or(Some(0), |part| number(part))?;
        if part > [15, 59, 59][place] {
            return None;
        }
        offset = offset * 60 + part;
    }
    Some((time, if text[at] == b'-' { -offset } else { offset }))
}

/// `2026-11-21 13:45:00.25`, earlier by so many seconds; `None` if there is no such time.
fn moved(time: &[u8], offset: i64) -> Option<Vec<u8>> {
    let dash = time.iter().position(|byte| *byte == b'-')?;
    let (year, rest) = (number(&time[..dash])?, &time[dash..]);
    // what follows the year: -11-21 13:45
    let marks = [(0, b'-'), (3, b'-'), (9, b':')];
    if dash < 4 || marks.iter().any(|(at, mark)| rest.get(*at) != Some(mark)) {
        return None;
    }
    let between = *rest.get(6)?;
    if !matches!(between, b' ' | b'T' | b't') {
        return None;
    }
    let part = |from: usize| rest.get(from..from + 2).and_then(number);
    let (month, day, hour, minute) = (part(1)?, part(4)?, part(7)?, part(10)?);
    let (second, fraction) = match rest.get(12..)? {
        [] => (0, &rest[rest.len()..]),
        [b':', ..] => (part(13)?, &rest[15..]),
        _ => return None,
    };
    let digits = fraction.strip_prefix(b".").unwrap_or_default();
    if fraction.len() != digits.len() + usize::from(!fraction.is_empty())
        || !digits.iter().all(u8::is_ascii_digit)
    {
        return None;
    }
    let date_there = date(days(year, month, day)) == (year, month, day);
    if !date_there || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let second = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    let (year, month, day) = date(second.div_euclid(86_400));
    if year < 1 {
        return None;
    }
    let second = second.rem_euclid(86_400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let between = char::from(between);
    let mut utc =
        format!("{year:04}-{month:02}-{day:02}{between}{hour:02}:{minute:02}:{second:02}")
            .into_bytes();
    utc.extend_from_slice(fraction);
    Some(utc)
}

fn number(digits: &[u8]) -> Option<i64> {
    let plain = (1..=6).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let digits = digits.iter().map(|digit| i64::from(digit - b'0'));
    plain.then(|| digits.fold(0, |number, digit| number * 10 + digit))
}

/// Days since 1970-01-01: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let in_era = year - era * 400;
    let in_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719_468
}

/// The same paper's civil_from_days.
pub(crate) fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let in_era = days - era * 146_097;
    let year = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let place = (5 * in_year + 2) / 153;
    let day = in_year - (153 * place + 2) / 5 + 1;
    let month = if place < 10 { place + 3 } else { place - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> Option<String> {
        to_utc(text.as_bytes()).map(|text| String::from_utf8_lossy(&text).into_owned())
    }

    #[test]
    fn zones_move_the_time() {
        for (text, expected) in [
            ("2026-11-21 13:45:00.25+00:00", "2026-11-21 13:45:00.25"),
            ("2026-11-21T13:45:00Z", "2026-11-21T13:45:00"),
            ("2026-01-01 00:30:00+08:00", "2025-12-31 16:30:00"),
            ("2024-02-28 23:30:00.5-0130", "2024-02-29 01:00:00.5"),
            ("2026-11-21 13:45:00-03", "2026-11-21 16:45:00"),
            ("2026-11-21 13:45:00 +01:00 ", "2026-11-21 12:45:00"),
            ("2026-11-21T13:45+01:00", "2026-11-21T12:45:00"),
            ("2026-11-21T13:45z", "2026-11-21T13:45"),
            (
                "1880-01-01 00:53:28.000001+00:53:28",
                "1880-01-01 00:00:00.000001",
            ),
            ("12345-01-01 00:00:00+01", "12344-12-31 23:00:00"),
        ] {
            assert_eq!(utc(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_has_no_zone_stays() {
        for text in [
            "2026-11-21 13:45:00",
            "2026-11-21",
            "infinity",
            "-infinity",
            "0044-03-15 00:00:00+00 BC",
            "2026-11-21 13:45:00.123456",
            "",
        ] {
            assert_eq!(utc(text).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_is_no_time_is_told() {
        for text in [
            "2026-11-21 13:45:00+1",
            "2026-02-30 13:45:00+01:00",
            "2026-11-21 25:45:00+01:00",
            "2026-11-21 13:45:00+16:00",
            "2026-11-21 13:45:00.x+01:00",
            "2026-11-21 13:45:00 Europe/Z",
            "20é6-11-21 13:45:00+01:00",
            "0001-01-01 00:00:00+01:00",
        ] {
            assert_eq!(utc(text), None, "{text}");
        }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for day in [-719_468, -1, 0, 11_016, 20_000] {
            let (year, month, date) = date(day);
            assert_eq!(days(year, month, date), day);
        }
    }
}
