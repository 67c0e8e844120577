//! What an answer means, and when to try again. Pure but for chance.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use chrono::{DateTime, Utc};

/// The first pause, and the longest.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
/// What a server may ask for at most by `Retry-After`.
const LONGEST_WISH: Duration = Duration::from_secs(600);

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has the records.
    Confirmed,
    /// It may take them later.
    Later,
    /// It does not take these records.
    Refused,
}

/// The meaning of a status.
pub(super) fn verdict(status: u16) -> Verdict {
    match status {
        200..=299 => Verdict::Confirmed,
        408 | 425 | 429 | 500.. => Verdict::Later,
        _ => Verdict::Refused,
    }
}

/// Pauses between attempts: each twice as long as the one before, up to a limit, each up to a quarter shorter by chance.
#[derive(Debug, Default)]
pub(super) struct Backoff(u32);

impl Backoff {
    pub(super) fn next(&mut self) -> Duration {
        let long = FIRST.saturating_mul(1 << self.0.min(10)).min(LONGEST);
        self.0 = self.0.saturating_add(1);
        let chance = u32::try_from(RandomState::new().hash_one(self.0) % 256).unwrap_or(0);
        long - long / 4 * chance / 256
    }
}

/// What a `Retry-After` header asks for: seconds, or a date of HTTP.
pub(super) fn wish(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let text = text.trim();
    let long = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = DateTime::parse_from_rfc2822(text).ok()?;
            (date.to_utc() - now).to_std().unwrap_or_default()
        }
    };
    Some(long.min(LONGEST_WISH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_mean_what_the_contract_says() {
        for status in [200, 204, 299] {
            assert_eq!(verdict(status), Verdict::Confirmed);
        }
        for status in [408, 425, 429, 500, 503, 599, 600] {
            assert_eq!(verdict(status), Verdict::Later);
        }
        for status in [301, 400, 404, 413, 422] {
            assert_eq!(verdict(status), Verdict::Refused);
        }
    }

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let mut backoff = Backoff::default();
        let pauses: Vec<Duration> = (0..100).map(|_| backoff.next()).collect();
        assert!(pauses[0] <= FIRST && pauses[0] >= FIRST * 3 / 4);
        assert!(pauses[3] > pauses[0]);
        assert!(
            pauses[20..]
                .iter()
                .all(|p| *p <= LONGEST && *p >= LONGEST * 3 / 4)
        );
    }

    #[test]
    fn wishes_are_seconds_or_dates() {
        let now = "1994-11-06T08:49:30Z".parse().unwrap();
        assert_eq!(wish(" 7 ", now), Some(Duration::from_secs(7)));
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(wish(date, now), Some(Duration::from_secs(7)));
        assert_eq!(
            wish("Sun, 06 Nov 1994 08:49:07 GMT", now),
            Some(Duration::ZERO)
        );
        assert_eq!(wish("99999999", now), Some(LONGEST_WISH));
        assert_eq!(wish("soon", now), None);
    }
}
