//! Alarms: what they are about and where they go.

use crate::de;
use crate::written::written;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Where an alarm goes: a command or a URL. Both may hold secrets, so `Debug` and JSON leave them out.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Notify {
    /// What it is told of, comma-separated.
    #[serde(default)]
    pub on: Occasions,
    /// A command, split into words as a shell does.
    #[serde(skip_serializing)]
    pub command: Option<String>,
    /// A URL that is posted to.
    #[serde(skip_serializing)]
    pub url: Option<String>,
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.url.is_some() { "url" } else { "command" };
        write!(f, "Notify({}, {way})", self.on)
    }
}

/// What an alarm is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum On {
    /// A run failed.
    Failed,
    /// A job hung.
    Hung,
    /// A start was missed.
    Missed,
    /// A run went well after one that did not.
    Recovered,
}

const OCCASIONS: [(&str, On); 4] = [
    ("failed", On::Failed),
    ("hung", On::Hung),
    ("missed", On::Missed),
    ("recovered", On::Recovered),
];

impl On {
    /// As in `on="…"`.
    pub fn name(self) -> &'static str {
        let found = OCCASIONS.iter().find(|(_, on)| *on == self);
        found.map_or("", |(name, _)| name)
    }
}

/// A choice of occasions; all of them if none is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occasions(pub Vec<On>);

impl Occasions {
    /// True if the alarm is wanted.
    pub fn contains(&self, on: On) -> bool {
        self.0.contains(&on)
    }
}

impl Default for Occasions {
    fn default() -> Occasions {
        Occasions(OCCASIONS.iter().map(|(_, on)| *on).collect())
    }
}

impl FromStr for Occasions {
    type Err = String;

    fn from_str(text: &str) -> Result<Occasions, String> {
        let one = |word: &str| {
            let found = OCCASIONS.iter().find(|(name, _)| *name == word.trim());
            found.map(|(_, on)| *on).ok_or_else(|| {
                let names = OCCASIONS.map(|(name, _)| name);
                let near = de::hint(word.trim(), &names, &|n| format!("`{n}`"), false);
                format!(
                    "expected some of {}, found `{}`{near}",
                    de::quoted(&names),
                    word.trim()
                )
            })
        };
        text.split(',')
            .map(one)
            .collect::<Result<_, _>>()
            .map(Occasions)
    }
}

impl fmt::Display for Occasions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|on| on.name()).collect();
        f.write_str(&names.join(","))
    }
}

written!(
    Occasions,
    "occasions",
    "^(failed|hung|missed|recovered)(, *(failed|hung|missed|recovered))*$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occasions_are_chosen_by_name() {
        let some: Occasions = "failed, hung".parse().unwrap();
        assert!(some.contains(On::Failed) && some.contains(On::Hung));
        assert!(!some.contains(On::Missed));
        assert_eq!(some.to_string(), "failed,hung");
        assert_eq!(
            Occasions::default().to_string(),
            "failed,hung,missed,recovered"
        );
        for bad in ["", "fail", "failed,"] {
            assert!(bad.parse::<Occasions>().is_err(), "{bad}");
        }
    }
}
