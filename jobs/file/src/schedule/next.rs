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
        let instant = match zone.instants(local) {
            MappedLocalTime::Single(t) => t,
            MappedLocalTime::Ambiguous(first, _) => first,
            MappedLocalTime::None => zone.first_after(local)?,
        };
        if instant > after {
            return Some(instant);
        }
        // in the second pass of an hour that comes twice all of this minute has been
        local = local.with_second(59)?;
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
