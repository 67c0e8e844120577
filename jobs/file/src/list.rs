//! Lists in one attribute: names (`a,b`) and patterns of file names (`A_*.xml,B_*.csv`).

use crate::written::written;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use std::fmt;
use std::str::FromStr;

/// How many entries a list may have.
const MAX_ENTRIES: usize = 1000;

fn split(text: &str) -> Result<Vec<String>, String> {
    let parts: Vec<String> = text.split(',').map(|p| p.trim().to_string()).collect();
    if parts.len() > MAX_ENTRIES {
        return Err(format!("more than {MAX_ENTRIES} entries"));
    }
    if parts.len() > 1 && parts.iter().any(String::is_empty) {
        return Err(format!("`{text}` has an empty entry"));
    }
    Ok(parts.into_iter().filter(|p| !p.is_empty()).collect())
}

/// Names separated by commas; blanks round them do not count. Empty text is an empty list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List(pub Vec<String>);

impl FromStr for List {
    type Err = String;

    fn from_str(text: &str) -> Result<List, String> {
        split(text).map(List)
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

written!(List, "list", "^.*$");

/// Patterns of file names separated by commas: `*`, `?`, `[a-z]`, `{a,b}` is not known. They match names,
/// not paths, upper and lower case apart.
#[derive(Clone, Debug)]
pub struct Patterns {
    texts: Vec<String>,
    set: GlobSet,
}

impl Patterns {
    /// True if any of the patterns matches the whole of a file name.
    pub fn matches(&self, name: &str) -> bool {
        self.set.is_match(name)
    }

    /// The index of the first pattern that matches.
    pub fn first_match(&self, name: &str) -> Option<usize> {
        self.set.matches(name).into_iter().min()
    }

    /// The patterns as written.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }
}

impl FromStr for Patterns {
    type Err = String;

    fn from_str(text: &str) -> Result<Patterns, String> {
        let texts = split(text)?;
        if texts.is_empty() {
            return Err("names no pattern; `*` takes every file".to_string());
        }
        let mut set = GlobSetBuilder::new();
        for pattern in &texts {
            if pattern.contains('/') {
                return Err(format!(
                    "`{pattern}`: a pattern matches file names, without `/`"
                ));
            }
            let glob = GlobBuilder::new(pattern)
                .literal_separator(true)
                .build()
                .map_err(|e| format!("`{pattern}` is not a pattern: {}", e.kind()))?;
            set.add(glob);
        }
        let set = set.build().map_err(|e| format!("`{text}`: {}", e.kind()))?;
        Ok(Patterns { texts, set })
    }
}

impl PartialEq for Patterns {
    fn eq(&self, other: &Patterns) -> bool {
        self.texts == other.texts
    }
}

impl fmt::Display for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts.join(","))
    }
}

written!(Patterns, "patterns", "^.+$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_split_and_trimmed() {
        assert_eq!("a, b".parse(), Ok(List(vec!["a".into(), "b".into()])));
        assert_eq!("".parse(), Ok(List::default()));
        assert!("a,,b".parse::<List>().is_err());
    }

    #[test]
    fn patterns_match_whole_names() {
        let p: Patterns = "WEATHER_*.xml, STATION_?.csv".parse().unwrap();
        assert!(p.matches("WEATHER_1-2.xml"));
        assert_eq!(p.first_match("STATION_7.csv"), Some(1));
        assert!(!p.matches("STATION_77.csv"));
        assert!(!p.matches("weather_1.xml"));
        assert!(!p.matches("xWEATHER_1.xml"));
        for bad in ["", "a[", "in/*.xml"] {
            assert!(bad.parse::<Patterns>().is_err(), "{bad}");
        }
    }
}
