//! When a run should end by itself at its next safe point: its window closes, or it has lasted as long as it may. Looks at no clock.
//!
//! procctl starts runs inside windows only, and ends by force those that last too long; a kind that can stop between two rows asks here
//! first, so that it ends in good order.

use std::time::Duration;

use chrono::{DateTime, Utc};
use jobfile::{Root, Windows, Zone};

/// The most that a run ends before `max-run`, at which procctl would stop it.
const MARGIN: Duration = Duration::from_secs(5);

/// What a job file says of hours.
#[derive(Clone, Debug, Default)]
pub struct Hours {
    windows: Windows,
    zone: Zone,
    longest: Option<Duration>,
}

impl Hours {
    /// Those of a job's root element.
    #[must_use]
    pub fn of(root: &Root) -> Hours {
        Hours {
            windows: root.windows.clone(),
            zone: root.tz,
            longest: root.max_run.map(|longest| longest.0),
        }
    }

    /// Work that begins at this time.
    #[must_use]
    pub fn begin(&self, now: DateTime<Utc>) -> Shift {
        Shift {
            inside: self.windows.is_open(now, &self.zone),
            hours: self.clone(),
            begun: now,
        }
    }
}

/// One run's hours.
#[derive(Clone, Debug)]
pub struct Shift {
    hours: Hours,
    begun: DateTime<Utc>,
    /// Whether it has been inside its window: one that is started outside, by hand, does not mind.
    inside: bool,
}

impl Shift {
    /// Why the run should end now; `None` while it may go on.
    pub fn over(&mut self, now: DateTime<Utc>) -> Option<&'static str> {
        let Hours {
            windows,
            zone,
            longest,
        } = &self.hours;
        let open = windows.is_open(now, zone);
        if self.inside && !open {
            return Some("the window has closed");
        }
        self.inside |= open;
        let lasted = (now - self.begun).to_std().unwrap_or_default();
        let spent = longest.is_some_and(|longest| lasted >= longest - (longest / 10).min(MARGIN));
        spent.then_some("max-run is reached")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(attributes: &str) -> Hours {
        let text = format!("<exec tz='UTC' {attributes}><command>x</command></exec>");
        let file = jobfile::JobFile::from_text("a.xml".as_ref(), text.as_bytes()).unwrap();
        Hours::of(&file.root)
    }

    fn at(time: &str) -> DateTime<Utc> {
        format!("2026-11-21T{time}Z").parse().unwrap()
    }

    #[test]
    fn a_run_ends_with_its_window() {
        let mut shift = hours("window='01:00-05:00'").begin(at("04:59:59"));
        assert_eq!(shift.over(at("04:59:59")), None);
        assert_eq!(shift.over(at("05:00:00")), Some("the window has closed"));
    }

    #[test]
    fn one_that_begins_outside_goes_on_until_it_has_been_inside() {
        let mut shift = hours("window='01:00-05:00'").begin(at("00:30:00"));
        assert_eq!(shift.over(at("00:59:00")), None);
        assert_eq!(shift.over(at("01:00:00")), None);
        assert_eq!(shift.over(at("05:00:00")), Some("the window has closed"));
    }

    #[test]
    fn a_run_ends_a_little_before_it_would_be_stopped() {
        let mut shift = hours("max-run='10s'").begin(at("00:00:00"));
        assert_eq!(shift.over(at("00:00:08")), None);
        assert_eq!(shift.over(at("00:00:09")), Some("max-run is reached"));
        let mut shift = hours("max-run='1h'").begin(at("00:00:00"));
        assert_eq!(shift.over(at("00:59:54")), None);
        assert_eq!(shift.over(at("00:59:55")), Some("max-run is reached"));
        assert_eq!(hours("").begin(at("00:00:00")).over(at("23:00:00")), None);
    }
}
