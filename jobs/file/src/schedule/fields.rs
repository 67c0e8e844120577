//! The text of a cron expression: five or six fields with the meaning that Unix users expect.
//!
//! Each field becomes the plain list of its values. That list is what the `cron` crate is given, so that
//! none of its own readings (1 is Sunday, a bare `5/15`) can slip in.

use super::names::number;
use std::collections::BTreeSet;

/// A field's range and names.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) min: u32,
    pub(super) max: u32,
    pub(super) names: &'static [&'static str],
}

pub(super) const SECOND: Field = plain("second", 0, 59);
pub(super) const MINUTE: Field = plain("minute", 0, 59);
pub(super) const HOUR: Field = plain("hour", 0, 23);
pub(super) const DAY: Field = plain("day of month", 1, 31);
pub(super) const MONTH: Field = Field {
    name: "month",
    min: 1,
    max: 12,
    names: &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
};
/// 0 and 7 are Sunday.
pub(super) const WEEKDAY: Field = Field {
    name: "day of week",
    min: 0,
    max: 7,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

const fn plain(name: &'static str, min: u32, max: u32) -> Field {
    Field {
        name,
        min,
        max,
        names: &[],
    }
}

/// What a field says.
#[derive(Debug, PartialEq)]
pub(super) struct Values {
    /// The values, sorted; for weekdays 0 to 6.
    pub(super) values: BTreeSet<u32>,
    /// True if the text begins with `*`: Vixie cron's test for "not restricted".
    pub(super) star: bool,
}

impl Values {
    /// As the `cron` crate reads them, each moved by `shift`.
    pub(super) fn list(&self, shift: u32) -> String {
        let all: Vec<_> = self
            .values
            .iter()
            .map(|v| (v + shift).to_string())
            .collect();
        all.join(",")
    }
}

impl Field {
    /// Reads one field: a list of `*`, `a`, `a-b`, each with an optional `/step`.
    pub(super) fn parse(&self, text: &str) -> Result<Values, String> {
        let mut values = BTreeSet::new();
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, Some(self.step(part, step)?)),
                None => (part, None),
            };
            let (from, to) = self.range(part, range, step.is_some())?;
            values.extend((from..=to).step_by(step.unwrap_or(1)));
        }
        // Sunday may be written 7
        if self.max == WEEKDAY.max && values.remove(&7) {
            values.insert(0);
        }
        Ok(Values {
            values,
            star: text.starts_with('*'),
        })
    }

    fn range(&self, part: &str, range: &str, stepped: bool) -> Result<(u32, u32), String> {
        if range == "*" {
            // a step over all weekdays must not meet Sunday twice
            let last = if self.max == WEEKDAY.max { 6 } else { self.max };
            return Ok((self.min, last));
        }
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (self.number(part, from)?, self.number(part, to)?),
            None => {
                let from = self.number(part, range)?;
                (from, if stepped { self.max } else { from })
            }
        };
        // sat-sun: Sunday as the end of a week
        let to = if self.max == WEEKDAY.max && to == 0 && from > 0 {
            7
        } else {
            to
        };
        if from > to {
            return Err(format!("{} `{part}` runs backwards", self.name));
        }
        Ok((from, to))
    }

    fn number(&self, part: &str, text: &str) -> Result<u32, String> {
        number(text, self.min, self.names)
            .filter(|n| (self.min..=self.max).contains(n))
            .ok_or_else(|| {
                let (name, min, max) = (self.name, self.min, self.max);
                let names = match self.names {
                    [] => String::new(),
                    names => format!(" or {}", names.join(" ")),
                };
                format!("{name} `{part}`: expected {min} to {max}{names}")
            })
    }

    fn step(&self, part: &str, text: &str) -> Result<usize, String> {
        let step = text.parse::<usize>().ok();
        step.filter(|s| *s > 0 && *s <= self.max as usize)
            .ok_or_else(|| {
                format!(
                    "{} `{part}`: expected a step from 1 to {}",
                    self.name, self.max
                )
            })
    }
}

/// The six fields behind a nickname or the text itself.
pub(super) fn split(text: &str) -> Result<[String; 6], String> {
    let text = text.trim();
    let spelled = match text.to_ascii_lowercase().as_str() {
        "@hourly" => "0 0 * * * *",
        "@daily" | "@midnight" => "0 0 0 * * *",
        "@weekly" => "0 0 0 * * 0",
        "@monthly" => "0 0 0 1 * *",
        "@yearly" | "@annually" => "0 0 0 1 1 *",
        nickname if nickname.starts_with('@') => {
            return Err(format!(
                "`{text}` is not known; known are @hourly @daily @weekly @monthly @yearly"
            ));
        }
        _ => text,
    };
    let mut fields: Vec<String> = spelled.split_whitespace().map(str::to_string).collect();
    if fields.len() == 5 {
        fields.insert(0, "0".to_string());
    }
    <[String; 6]>::try_from(fields).map_err(|fields| {
        let count = fields.len();
        format!("`{text}` has {count} fields; expected 5 (minute hour day month weekday) or 6 (second first)")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(field: &Field, text: &str) -> Vec<u32> {
        field.parse(text).unwrap().values.into_iter().collect()
    }

    #[test]
    fn fields_mean_what_unix_users_expect() {
        assert_eq!(values(&WEEKDAY, "1-5"), [1, 2, 3, 4, 5]);
        assert_eq!(values(&WEEKDAY, "0"), [0]);
        assert_eq!(values(&WEEKDAY, "7"), [0]);
        assert_eq!(values(&WEEKDAY, "5-7"), [0, 5, 6]);
        assert_eq!(values(&WEEKDAY, "sat-sun"), [0, 6]);
        assert_eq!(values(&WEEKDAY, "MON,Fri"), [1, 5]);
        assert_eq!(values(&WEEKDAY, "*/2"), [0, 2, 4, 6]);
        assert_eq!(values(&MONTH, "jan,dec,6"), [1, 6, 12]);
        assert_eq!(values(&MINUTE, "*/15"), [0, 15, 30, 45]);
        assert_eq!(values(&MINUTE, "5/15"), [5, 20, 35, 50]);
        assert_eq!(values(&HOUR, "8-18/5,23"), [8, 13, 18, 23]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (field, text) in [
            (&MINUTE, "60"),
            (&MINUTE, "-1"),
            (&MINUTE, ""),
            (&MINUTE, "1,,2"),
            (&MINUTE, "*/0"),
            (&MINUTE, "1-"),
            (&MINUTE, "a"),
            (&HOUR, "24"),
            (&DAY, "0"),
            (&DAY, "L"),
            (&MONTH, "13"),
            (&WEEKDAY, "8"),
            (&HOUR, "18-8"),
            (&HOUR, "+5"),
            (&MINUTE, "99999999999999999999"),
        ] {
            assert!(field.parse(text).is_err(), "{text}");
        }
    }
}
