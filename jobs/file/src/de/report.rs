//! What has been found so far, and what the next pass must go round.

use super::flaw::{About, Flaw};
use crate::problem::Pos;
use std::collections::{HashMap, HashSet};

/// Enough for anyone to mend before the next try.
const MAX_PROBLEMS: usize = 100;

/// Texts that stand in for a value that could not be read: most types take one of them.
pub(super) const STAND_INS: [&str; 9] = [
    "1",
    "x",
    "1s",
    "*",
    "true",
    "/x",
    "a=b",
    "* * * * *",
    "http://x/",
];

/// Problems of all passes, each once, and the stand-ins of the next.
pub(super) struct Report {
    pub(super) found: Vec<(Pos, String)>,
    /// Names known on the root beside the type's own.
    pub(super) beside: Vec<String>,
    /// Path of a value -> which stand-in takes its place.
    blanks: HashMap<String, usize>,
    /// Path of a struct -> fields that it lacks.
    missing: HashMap<String, Vec<&'static str>>,
    /// Path of a struct and name of a field that is passed over.
    dropped: HashSet<(String, &'static str)>,
}

impl Report {
    pub(super) fn new(beside: &[&str]) -> Report {
        Report {
            found: Vec::new(),
            beside: beside.iter().map(|n| n.to_string()).collect(),
            blanks: HashMap::new(),
            missing: HashMap::new(),
            dropped: HashSet::new(),
        }
    }

    pub(super) fn add(&mut self, pos: Pos, message: String) {
        let problem = (pos, message);
        if self.found.len() < MAX_PROBLEMS && !self.found.contains(&problem) {
            self.found.push(problem);
        }
    }

    /// The stand-in for the value at a path, if it needs one.
    pub(super) fn blank(&self, path: impl FnOnce() -> String) -> Option<usize> {
        if self.blanks.is_empty() {
            return None;
        }
        self.blanks.get(&path()).copied()
    }

    /// The fields that the struct at a path lacks.
    pub(super) fn missing(&self, path: impl FnOnce() -> String) -> Vec<&'static str> {
        if self.missing.is_empty() {
            return Vec::new();
        }
        self.missing.get(&path()).cloned().unwrap_or_default()
    }

    /// True if the field of the struct at a path is to be passed over.
    pub(super) fn is_dropped(&self, path: impl FnOnce() -> String, field: &str) -> bool {
        if self.dropped.is_empty() {
            return false;
        }
        let path = path();
        self.dropped.iter().any(|(p, f)| *p == path && *f == field)
    }

    /// Notes the flaw that ended a pass; false if another pass would find nothing more.
    pub(super) fn take(&mut self, flaw: Flaw) -> bool {
        if !flaw.silent {
            let known = flaw
                .site
                .as_ref()
                .is_some_and(|s| self.blanks.contains_key(s));
            if flaw.about != About::Value || !known {
                self.add(flaw.pos, flaw.message);
            }
        }
        if self.found.len() == MAX_PROBLEMS {
            return false;
        }
        let Some(site) = flaw.site else { return false };
        match flaw.about {
            About::Missing(field) => {
                let fields = self.missing.entry(site).or_default();
                let new = !fields.contains(&field);
                fields.push(field);
                new
            }
            About::Twice(field) => self.dropped.insert((site, field)),
            About::Value => match self.blanks.get_mut(&site) {
                Some(which) => {
                    *which += 1;
                    *which < STAND_INS.len()
                }
                None => !site.is_empty() && self.blanks.insert(site, 0).is_none(),
            },
        }
    }
}
