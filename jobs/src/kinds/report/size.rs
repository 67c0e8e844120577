//! How long windows of time are, as people write it.

use std::fmt;
use std::str::FromStr;

use jobfile::Interval;
use serde::Deserialize;

/// How long windows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) enum Size {
    /// So long, counted from the start.
    Fixed(Interval),
    Hour,
    Day,
    /// From Monday to Monday.
    Week,
    Month,
    Quarter,
    Year,
}

impl Size {
    /// Whether windows begin at midnight.
    pub(super) fn is_days(self) -> bool {
        !matches!(self, Size::Fixed(_) | Size::Hour)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        Ok(match text.trim() {
            "hour" => Size::Hour,
            "day" => Size::Day,
            "week" => Size::Week,
            "month" => Size::Month,
            "quarter" => Size::Quarter,
            "year" => Size::Year,
            other => {
                let fixed: Interval = other.parse().map_err(|why| {
                    format!(
                        "{why}; or a unit of the calendar: hour, day, week, month, quarter, year"
                    )
                })?;
                if fixed.0.is_zero() || fixed.0.subsec_nanos() != 0 {
                    return Err(format!(
                        "`{other}`: a window lasts whole seconds, one at least"
                    ));
                }
                Size::Fixed(fixed)
            }
        })
    }
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Size, String> {
        text.parse()
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Size::Fixed(length) => write!(f, "{length}"),
            Size::Hour => f.write_str("hour"),
            Size::Day => f.write_str("day"),
            Size::Week => f.write_str("week"),
            Size::Month => f.write_str("month"),
            Size::Quarter => f.write_str("quarter"),
            Size::Year => f.write_str("year"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_durations_or_units() {
        for wrong in ["0", "0s", "500ms", "1500ms", "fortnight", "-1h", ""] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
        let why = "2w".parse::<Size>().unwrap_err();
        assert!(why.contains("week"), "{why}");
        assert_eq!("day".parse::<Size>().unwrap().to_string(), "day");
    }
}
