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
    /// Paths of values that are passed over as if they were not there.
    dropped: HashSet<String>,
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

    /// True if the value at a path is to be passed over.
    pub(super) fn is_dropped(&self, path: impl FnOnce() -> String) -> bool {
        !self.dropped.is_empty() && self.dropped.contains(&path())
    }

    /// Notes the flaw that ended a pass; false if another pass would find nothing more.
    pub(super) fn take(&mut self, flaw: Flaw) -> bool {
        let Some(site) = flaw.site else {
            self.add(flaw.pos, flaw.message);
            return false;
        };
        let member = |field: &str| match site.as_str() {
            "" => field.to_string(),
            site => format!("{site}.{field}"),
        };
        let (message, goes_on) = match flaw.about {
            // what was passed over is needed: it has been reported, so a stand-in takes its place
            About::Missing(field) if self.dropped.remove(&member(field)) => {
                (None, self.blanks.insert(member(field), 0).is_none())
            }
            About::Missing(field) => {
                let fields = self.missing.entry(site).or_default();
                let new = !fields.contains(&field);
                fields.push(field);
                (Some(flaw.message), new)
            }
            About::Twice(field) => (Some(flaw.message), self.dropped.insert(member(field))),
            About::Value => match self.blanks.get_mut(&site) {
                Some(which) => {
                    *which += 1;
                    (None, *which < STAND_INS.len())
                }
                None => (Some(flaw.message), self.go_round(site)),
            },
        };
        if let Some(message) = message.filter(|_| !flaw.silent) {
            self.add(flaw.pos, message);
        }
        goes_on && self.found.len() < MAX_PROBLEMS
    }

    /// Passes over a field, for it may have a default; an item of a list needs a stand-in, the root has none.
    fn go_round(&mut self, site: String) -> bool {
        match site.chars().last() {
            None => false,
            Some(']') => self.blanks.insert(site, 0).is_none(),
            Some(_) => self.dropped.insert(site),
        }
    }
}
