//! Windows of time: where each begins and ends, when it is over, and how its ends are written. Pure: no clock.
//!
//! A [`Position`] lies on one of two lines. On the line of instants it is a moment in UTC: windows of fixed length never
//! overlap there, and a day is as long as the zone makes it. On the line of the wall clock it is what a clock in the zone
//! shows: the hour that a clock shows twice is one window, the hour that it skips is an empty one.

use chrono::{
    DateTime, Datelike, Days, MappedLocalTime, Months, NaiveDate, NaiveDateTime, NaiveTime,
    TimeDelta, Timelike, Utc,
};
use jobfile::Zone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::size::Size;

/// How the ends of a window are written where the SQL says `:from` and `:to`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Form {
    /// `2026-01-01 00:00:00` in UTC: for columns with a zone on every database (sessions are in UTC), and for those that hold UTC.
    #[default]
    Utc,
    /// `2026-01-01 00:00:00` as clocks in `tz` show it: for columns that hold local time. Windows are cut on that clock.
    Local,
    /// `2026-01-01T00:00:00Z`, bound as it stands: for text of that form.
    Iso,
    /// `2026-01-01` in `tz`: for columns of dates. Windows are days or longer.
    Date,
    /// Seconds since 1970.
    Unix,
}

impl Form {
    /// Every form by its name.
    pub(super) const ALL: [(&str, Form); 5] = [
        ("utc", Form::Utc),
        ("local", Form::Local),
        ("iso", Form::Iso),
        ("date", Form::Date),
        ("unix", Form::Unix),
    ];

    /// Whether windows are cut on the wall clock.
    fn on_wall(self) -> bool {
        matches!(self, Form::Local | Form::Date)
    }
}

/// A place on the line of windows, to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position(NaiveDateTime);

/// A window: from here, up to but without there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from: Position,
    pub(super) to: Position,
}

/// All windows of a report.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    size: Size,
    form: Form,
    zone: Zone,
    start: Position,
}

impl Line {
    /// The windows from `start` on, which is a time as [`Line::read`] takes it.
    pub(super) fn new(size: Size, form: Form, zone: Zone, start: &str) -> Result<Line, String> {
        let start = read(start, form, zone)?;
        Ok(Line {
            size,
            form,
            zone,
            start,
        })
    }

    /// Where the first window begins.
    pub(super) fn start(&self) -> Position {
        self.start
    }

    /// Reads a time: an instant with its zone (`2026-01-01T00:00:00Z`), or what clocks in the report's zone show
    /// (`2026-01-01T00:00:00`, `2026-01-01`).
    pub(super) fn read(&self, text: &str) -> Result<Position, String> {
        read(text, self.form, self.zone)
    }

    /// Writes a position so that [`Line::read`] finds it again, also after `form` was changed; later ones sort behind earlier ones.
    pub(super) fn write(&self, position: Position) -> String {
        let text = position.0.format("%Y-%m-%dT%H:%M:%S");
        if self.form.on_wall() {
            text.to_string()
        } else {
            format!("{text}Z")
        }
    }

    /// The window that begins at a position; `None` at the end of the calendar.
    pub(super) fn window(&self, from: Position) -> Option<Window> {
        self.next(from.0).map(|to| Window {
            from,
            to: Position(to),
        })
    }

    /// The window that a time lies in; `None` before the start.
    pub(super) fn around(&self, time: Position) -> Option<Window> {
        if time < self.start {
            return None;
        }
        let mut window = self.window(Position(self.floor(time.0)?.max(self.start.0)))?;
        // where clocks were changed, the floor may lie a window too early
        while window.to <= time {
            window = self.window(window.to)?;
        }
        Some(window)
    }

    /// The instant at which a window is over: where a clock shows its end twice, the later one.
    pub(super) fn over(&self, window: &Window) -> Option<DateTime<Utc>> {
        if !self.form.on_wall() {
            return Some(window.to.0.and_utc());
        }
        match self.zone.instants(window.to.0) {
            MappedLocalTime::Single(instant) | MappedLocalTime::Ambiguous(_, instant) => {
                Some(instant)
            }
            MappedLocalTime::None => self.zone.first_after(window.to.0),
        }
    }

    /// A position as the SQL gets it in the report's own form.
    pub(super) fn bound(&self, position: Position) -> String {
        self.bound_as(position, self.form)
    }

    /// A position as the SQL gets it in a form. Of a time on the wall clock that comes twice, the first is meant.
    pub(super) fn bound_as(&self, position: Position, form: Form) -> String {
        let at = match (form.on_wall(), self.form.on_wall()) {
            (true, _) => self.local(position.0),
            (false, true) => instant(position.0, self.zone).unwrap_or(position.0),
            (false, false) => position.0,
        };
        match form {
            Form::Utc | Form::Local => at.format("%Y-%m-%d %H:%M:%S").to_string(),
            Form::Iso => at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            Form::Date => at.format("%Y-%m-%d").to_string(),
            Form::Unix => at.and_utc().timestamp().to_string(),
        }
    }

    /// A window as a part of a file name.
    pub(super) fn label(&self, window: &Window) -> String {
        let local = self.local(window.from.0);
        match self.size {
            Size::Fixed(_) | Size::Hour if self.form.on_wall() => {
                local.format("%Y%m%dT%H%M%S").to_string()
            }
            Size::Fixed(_) | Size::Hour => window.from.0.format("%Y%m%dT%H%M%SZ").to_string(),
            Size::Day => local.format("%Y-%m-%d").to_string(),
            Size::Week => local.format("%G-W%V").to_string(),
            Size::Month => local.format("%Y-%m").to_string(),
            Size::Quarter => format!("{}-Q{}", local.year(), local.month0() / 3 + 1),
            Size::Year => local.format("%Y").to_string(),
        }
    }

    /// A window for people, by the clock of the zone.
    pub(super) fn title(&self, window: &Window) -> String {
        let shown = |position: Position| {
            self.local(position.0)
                .format("%Y-%m-%d %H:%M:%S")
                .to_string()
        };
        let plain = |text: String| {
            text.strip_suffix(" 00:00:00")
                .unwrap_or(text.strip_suffix(":00").unwrap_or(&text))
                .to_owned()
        };
        format!(
            "{} to {} ({})",
            plain(shown(window.from)),
            plain(shown(window.to)),
            self.zone
        )
    }

    /// What clocks in the zone show at a position.
    fn local(&self, at: NaiveDateTime) -> NaiveDateTime {
        if self.form.on_wall() {
            at
        } else {
            self.zone.local(at.and_utc())
        }
    }

    /// The first boundary behind `at`.
    fn next(&self, at: NaiveDateTime) -> Option<NaiveDateTime> {
        let local = self.local(at);
        match self.size {
            Size::Fixed(length) => {
                let length = i64::try_from(length.0.as_secs()).ok()?;
                let passed = (at - self.start.0).num_seconds().div_euclid(length);
                let ahead = TimeDelta::try_seconds((passed + 1).checked_mul(length)?)?;
                self.start.0.checked_add_signed(ahead)
            }
            Size::Hour => {
                let rest = 3600 - local.num_seconds_from_midnight() % 3600;
                at.checked_add_signed(TimeDelta::seconds(i64::from(rest)))
            }
            _ => {
                let mut day = self.day(local.date())?;
                loop {
                    day = self.following(day)?;
                    let next = self.midnight(day)?;
                    if next > at {
                        return Some(next);
                    }
                }
            }
        }
    }

    /// The last boundary at or before `at`.
    fn floor(&self, at: NaiveDateTime) -> Option<NaiveDateTime> {
        let local = self.local(at);
        match self.size {
            Size::Fixed(length) => {
                let length = i64::try_from(length.0.as_secs()).ok()?;
                let passed = (at - self.start.0).num_seconds().div_euclid(length);
                self.start
                    .0
                    .checked_add_signed(TimeDelta::try_seconds(passed.checked_mul(length)?)?)
            }
            Size::Hour => {
                let past = local.num_seconds_from_midnight() % 3600;
                at.checked_sub_signed(TimeDelta::seconds(i64::from(past)))
            }
            _ => self.midnight(self.day(local.date())?),
        }
    }

    /// The first day of the week, month and so on that a day belongs to.
    fn day(&self, day: NaiveDate) -> Option<NaiveDate> {
        match self.size {
            Size::Week => {
                day.checked_sub_days(Days::new(u64::from(day.weekday().num_days_from_monday())))
            }
            Size::Month => day.with_day(1),
            Size::Quarter => day.with_day(1)?.with_month0(day.month0() / 3 * 3),
            Size::Year => day.with_day(1)?.with_month0(0),
            Size::Fixed(_) | Size::Hour | Size::Day => Some(day),
        }
    }

    /// The first day of the next one.
    fn following(&self, day: NaiveDate) -> Option<NaiveDate> {
        match self.size {
            Size::Week => day.checked_add_days(Days::new(7)),
            Size::Month => day.checked_add_months(Months::new(1)),
            Size::Quarter => day.checked_add_months(Months::new(3)),
            Size::Year => day.checked_add_months(Months::new(12)),
            Size::Fixed(_) | Size::Hour | Size::Day => day.succ_opt(),
        }
    }

    /// Where a day begins: its midnight, or what comes after it where clocks skip that.
    fn midnight(&self, day: NaiveDate) -> Option<NaiveDateTime> {
        let local = day.and_time(NaiveTime::MIN);
        if self.form.on_wall() {
            Some(local)
        } else {
            instant(local, self.zone)
        }
    }
}

/// The first instant at which a clock shows a time, or something later where it skips it; in UTC.
fn instant(local: NaiveDateTime, zone: Zone) -> Option<NaiveDateTime> {
    let instant = match zone.instants(local) {
        MappedLocalTime::Single(instant) | MappedLocalTime::Ambiguous(instant, _) => Some(instant),
        MappedLocalTime::None => zone.first_after(local),
    };
    instant.map(|instant| instant.naive_utc())
}

fn read(text: &str, form: Form, zone: Zone) -> Result<Position, String> {
    let text = text.trim();
    let wrong = || {
        format!(
            "`{text}` is not a time: write it as 2026-01-01T00:00:00Z, 2026-01-01T00:00:00 (in `tz`) or 2026-01-01"
        )
    };
    let position = if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        let time = time.to_utc();
        if form.on_wall() {
            Some(zone.local(time))
        } else {
            Some(time.naive_utc())
        }
    } else {
        let local = [
            "%Y-%m-%dT%H:%M:%S",
            "%Y-%m-%d %H:%M:%S",
            "%Y-%m-%dT%H:%M",
            "%Y-%m-%d %H:%M",
        ]
        .iter()
        .find_map(|pattern| NaiveDateTime::parse_from_str(text, pattern).ok())
        .or_else(|| {
            NaiveDate::parse_from_str(text, "%Y-%m-%d")
                .ok()
                .map(|day| day.and_time(NaiveTime::MIN))
        });
        let local = local.ok_or_else(wrong)?;
        if form.on_wall() {
            Some(local)
        } else {
            instant(local, zone)
        }
    };
    position
        .filter(|at| at.nanosecond() == 0 && (1..=9999).contains(&at.year()))
        .map(Position)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(size: &str, form: Form, zone: &str, start: &str) -> Line {
        Line::new(size.parse().unwrap(), form, zone.parse().unwrap(), start).unwrap()
    }

    /// The first windows of a line, their ends as the SQL gets them.
    fn windows(line: &Line, count: usize) -> Vec<(String, String)> {
        let mut from = line.start();
        let mut step = || {
            let window = line.window(from).unwrap();
            from = window.to;
            (line.bound(window.from), line.bound(window.to))
        };
        (0..count).map(|_| step()).collect()
    }

    fn pairs(ends: &[&str]) -> Vec<(String, String)> {
        ends.windows(2)
            .map(|pair| (pair[0].to_owned(), pair[1].to_owned()))
            .collect()
    }

    #[test]
    fn a_day_is_as_long_as_the_zone_makes_it() {
        let days = line("day", Form::Utc, "Europe/Berlin", "2026-03-28");
        let ends = [
            "2026-03-27 23:00:00",
            "2026-03-28 23:00:00",
            "2026-03-29 22:00:00",
            "2026-03-30 22:00:00",
        ];
        assert_eq!(windows(&days, 3), pairs(&ends));
        let dates = line("day", Form::Date, "Europe/Berlin", "2026-03-28");
        assert_eq!(
            windows(&dates, 2),
            pairs(&["2026-03-28", "2026-03-29", "2026-03-30"])
        );
    }

    #[test]
    fn an_hour_that_comes_twice_is_two_instants_and_one_on_the_wall() {
        let hours = line("hour", Form::Utc, "Europe/Berlin", "2026-10-24T23:00:00Z");
        let ends = [
            "2026-10-24 23:00:00",
            "2026-10-25 00:00:00",
            "2026-10-25 01:00:00",
            "2026-10-25 02:00:00",
        ];
        assert_eq!(windows(&hours, 3), pairs(&ends));
        let wall = line("hour", Form::Local, "Europe/Berlin", "2026-10-25T01:00:00");
        let ends = [
            "2026-10-25 01:00:00",
            "2026-10-25 02:00:00",
            "2026-10-25 03:00:00",
        ];
        assert_eq!(windows(&wall, 2), pairs(&ends));
        let first = wall.window(wall.start()).unwrap();
        // two o'clock comes at 00:00 and 01:00 UTC; the window before it ends with the second one
        assert_eq!(
            wall.over(&first).unwrap().to_rfc3339(),
            "2026-10-25T01:00:00+00:00"
        );
        let gap = line("hour", Form::Local, "Europe/Berlin", "2026-03-29T01:00:00");
        let skipped = gap.window(gap.start()).unwrap();
        assert_eq!(
            gap.over(&skipped).unwrap().to_rfc3339(),
            "2026-03-29T01:00:00+00:00"
        );
    }

    #[test]
    fn half_hours_of_zones_and_of_summer_time_are_cut_by_the_local_hour() {
        let india = line("hour", Form::Utc, "Asia/Kolkata", "2026-01-01T00:00:00Z");
        assert_eq!(
            windows(&india, 2),
            pairs(&[
                "2026-01-01 00:00:00",
                "2026-01-01 00:30:00",
                "2026-01-01 01:30:00"
            ])
        );
        // Lord Howe sets its clocks back by half an hour
        let howe = line(
            "hour",
            Form::Utc,
            "Australia/Lord_Howe",
            "2026-04-04T14:00:00Z",
        );
        let ends = [
            "2026-04-04 14:00:00",
            "2026-04-04 15:00:00",
            "2026-04-04 15:30:00",
            "2026-04-04 16:30:00",
        ];
        assert_eq!(windows(&howe, 3), pairs(&ends));
    }

    #[test]
    fn a_midnight_that_is_skipped_begins_a_day_all_the_same() {
        let days = line("day", Form::Utc, "America/Sao_Paulo", "2018-11-03");
        let ends = [
            "2018-11-03 03:00:00",
            "2018-11-04 03:00:00",
            "2018-11-05 02:00:00",
        ];
        assert_eq!(windows(&days, 2), pairs(&ends));
    }

    #[test]
    fn calendar_units_begin_where_the_calendar_says() {
        let names = |size: &str, start: &str| {
            let line = line(size, Form::Utc, "UTC", start);
            let first = line.window(line.start()).unwrap();
            let second = line.window(first.to).unwrap();
            (
                line.label(&first),
                line.label(&second),
                line.bound(second.to),
            )
        };
        let of = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(
            names("week", "2026-01-01"),
            of("2026-W01", "2026-W02", "2026-01-12 00:00:00")
        );
        assert_eq!(
            names("month", "2026-01-31"),
            of("2026-01", "2026-02", "2026-03-01 00:00:00")
        );
        assert_eq!(
            names("quarter", "2026-05-01"),
            of("2026-Q2", "2026-Q3", "2026-10-01 00:00:00")
        );
        assert_eq!(
            names("year", "2023-01-01"),
            of("2023", "2024", "2025-01-01 00:00:00")
        );
        assert_eq!(
            names("90m", "2026-01-01"),
            of(
                "20260101T000000Z",
                "20260101T013000Z",
                "2026-01-01 03:00:00"
            )
        );
    }

    #[test]
    fn times_are_read_in_the_zone_and_written_back() {
        let berlin = line("day", Form::Utc, "Europe/Berlin", "2026-06-01");
        assert_eq!(berlin.write(berlin.start()), "2026-05-31T22:00:00Z");
        assert_eq!(berlin.read("2026-05-31T22:00:00Z"), Ok(berlin.start()));
        assert_eq!(berlin.read("2026-06-01 00:00"), Ok(berlin.start()));
        let wall = line("day", Form::Local, "Europe/Berlin", "2026-05-31T22:00:00Z");
        assert_eq!(wall.write(wall.start()), "2026-06-01T00:00:00");
        for text in [
            "",
            "yesterday",
            "2026-13-01",
            "2026-01-01T00:00:00.5Z",
            "10000-01-01",
            "2026-02-30",
        ] {
            assert!(berlin.read(text).is_err(), "{text}");
        }
        assert_eq!(
            line("1h", Form::Unix, "UTC", "1970-01-02").bound(Position(
                NaiveDate::from_ymd_opt(1970, 1, 2)
                    .unwrap()
                    .and_time(NaiveTime::MIN)
            )),
            "86400"
        );
        assert_eq!(berlin.bound_as(berlin.start(), Form::Date), "2026-06-01");
        assert_eq!(
            wall.bound_as(wall.start(), Form::Iso),
            "2026-05-31T22:00:00Z"
        );
        let title = |line: &Line| line.title(&line.window(line.start()).unwrap());
        assert_eq!(title(&berlin), "2026-06-01 to 2026-06-02 (Europe/Berlin)");
        assert_eq!(
            title(&line("90m", Form::Utc, "UTC", "2026-06-01")),
            "2026-06-01 to 2026-06-01 01:30 (UTC)"
        );
    }

    proptest! {
        /// Windows follow each other without gap or overlap, and each moment lies in exactly one.
        #[test]
        fn every_moment_is_in_one_window(size in 0_usize..8, zone in 0_usize..6, wall: bool, days in 0_u64..9000, seconds in 0_i64..86_400) {
            let sizes = ["hour", "day", "week", "month", "quarter", "year", "1h", "7h"];
            let zones = ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kolkata", "America/Havana"];
            let form = if wall { Form::Local } else { Form::Utc };
            let line = line(sizes[size], form, zones[zone], "2000-01-01");
            let day = NaiveDate::from_ymd_opt(2000, 1, 2).unwrap().checked_add_days(Days::new(days)).unwrap();
            let time = Position(day.and_time(NaiveTime::MIN) + TimeDelta::seconds(seconds));
            let window = line.around(time).unwrap();
            prop_assert!(window.from <= time && time < window.to);
            let next = line.window(window.to).unwrap();
            prop_assert!(next.to > next.from);
            prop_assert_eq!(line.around(next.from).unwrap(), next);
            prop_assert_eq!(line.read(&line.write(time)), Ok(time));
            prop_assert!(line.over(&next) >= line.over(&window));
        }
    }
}
