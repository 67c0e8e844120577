//! Times with a zone: MySQL's TIMESTAMP takes none, so they are moved to UTC, the session's zone. Pure.

use std::borrow::Cow;

/// `2026-11-21 13:45:00.25+01:00` without its zone, in UTC; `None` if it is no such time. Without a zone it is UTC.
pub(super) fn to_utc(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let text = text.trim_ascii();
    let plain = ["+00:00", "+0000", "+00", "-00:00", "Z", "z"]
        .iter()
        .find_map(|zone| text.strip_suffix(zone.as_bytes()));
    if let Some(plain) = plain {
        return Some(plain.into());
    }
    let Some(at) = text
        .iter()
        .skip(19)
        .position(|byte| matches!(byte, b'+' | b'-'))
        .map(|at| at + 19)
    else {
        return Some(text.into());
    };
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text
            .get(from..to)
            .filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    };
    let minutes = match text.len() - at {
        3 => 0,
        5 => number(at + 3, at + 5)?,
        6 => number(at + 4, at + 6)?,
        _ => return None,
    };
    let offset = (number(at + 1, at + 3)? * 60 + minutes) * if text[at] == b'-' { -1 } else { 1 };
    let days = days(number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let moved = days * 1440 + number(11, 13)? * 60 + number(14, 16)? - offset;
    let (year, month, day) = date(moved.div_euclid(1440));
    let minute = moved.rem_euclid(1440);
    let mut utc = format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}",
        minute / 60,
        minute % 60
    )
    .into_bytes();
    utc.extend_from_slice(&text[16..at]);
    Some(utc.into())
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
fn date(days: i64) -> (i64, i64, i64) {
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

    #[test]
    fn zones_move_the_time() {
        let utc = |text: &str| {
            to_utc(text.as_bytes()).map(|text| String::from_utf8_lossy(&text).into_owned())
        };
        for (text, expected) in [
            ("2026-11-21 13:45:00.25+00:00", "2026-11-21 13:45:00.25"),
            ("2026-11-21T13:45:00Z", "2026-11-21T13:45:00"),
            ("2026-01-01 00:30:00+08:00", "2025-12-31 16:30:00"),
            ("2024-02-28 23:30:00.5-0130", "2024-02-29 01:00:00.5"),
            ("2026-11-21 13:45:00-03", "2026-11-21 16:45:00"),
            ("2026-11-21 13:45:00", "2026-11-21 13:45:00"),
        ] {
            assert_eq!(utc(text).as_deref(), Some(expected));
        }
        assert_eq!(utc("2026-11-21 13:45:00+x"), None);
        assert_eq!(utc("20é6-11-21 13:45:00+01:00"), None);
        for day in [-719_468, -1, 0, 11_016, 20_000] {
            let (year, month, date) = date(day);
            assert_eq!(days(year, month, date), day);
        }
    }
}
