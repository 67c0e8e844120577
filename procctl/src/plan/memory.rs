//! What must outlive a procctl: enabled or disabled by an operator, stopped by one, up to when cron
//! times are accounted for, the end of the last run of jobs with a long `every`.
//!
//! A file of JSON lines, one job a line, the last line of a job counts. The loop reads it at its
//! start, appends the lines of [`Action::Remember`](super::Action::Remember), and now and then (at
//! its start, and when the file has grown past [`LARGE`]) replaces it by [`Memory::text`].

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Bytes from which the loop should replace the file by [`Memory::text`].
pub const LARGE: u64 = 1 << 20;

/// All that is remembered, by job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    jobs: BTreeMap<Arc<str>, Remembered>,
}

/// What is remembered of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    /// An operator's `enable` or `disable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) enabled: Option<Override>,
    /// An operator's `stop`, as the id of the boot it was given in; void after the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stopped: Option<Box<str>>,
    /// Cron times up to this are accounted for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<Box<Until>>,
    /// End of the last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ended: Option<DateTime<Utc>>,
}

/// An operator's word, and the file's at that time: when the file's changes, the operator's is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Override {
    /// What the operator wants.
    pub(super) word: bool,
    /// What the file said.
    pub(super) file: bool,
}

/// How far a cron rule is accounted for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Until {
    /// The rule: another one has nothing to catch up with.
    pub(super) cron: Box<str>,
    /// Times up to and with this one.
    pub(super) at: DateTime<Utc>,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    job: Arc<str>,
    #[serde(flatten)]
    what: Remembered,
}

impl Memory {
    /// Reads the file's text. Lines that are torn or not understood are left out.
    pub fn parse(text: &str) -> Memory {
        let mut memory = Memory::default();
        for line in text.lines() {
            if let Ok(Line { job, what }) = serde_json::from_str(line) {
                memory.set(job, what);
            }
        }
        memory
    }

    /// The whole memory, one line a job.
    pub fn text(&self) -> String {
        let lines = self.jobs.iter().map(|(job, what)| line(job, what) + "\n");
        lines.collect()
    }

    /// What is remembered of a job.
    pub(super) fn of(&self, job: &str) -> Option<&Remembered> {
        self.jobs.get(job)
    }

    /// Takes a new memory of a job, and gives the line to append if it differs.
    pub(super) fn change(&mut self, job: &Arc<str>, what: Remembered) -> Option<String> {
        if self.jobs.get(job).cloned().unwrap_or_default() == what {
            return None;
        }
        let line = line(job, &what);
        self.set(job.clone(), what);
        Some(line)
    }

    /// The jobs something is remembered of.
    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.jobs.keys()
    }

    fn set(&mut self, job: Arc<str>, what: Remembered) {
        if what == Remembered::default() {
            self.jobs.remove(&job);
        } else {
            self.jobs.insert(job, what);
        }
    }
}

fn line(job: &Arc<str>, what: &Remembered) -> String {
    let line = Line {
        job: job.clone(),
        what: what.clone(),
    };
    serde_json::to_string(&line).expect("strings, booleans and times are always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disabled() -> Remembered {
        Remembered {
            enabled: Some(Override {
                word: false,
                file: true,
            }),
            ..Remembered::default()
        }
    }

    #[test]
    fn the_last_line_counts_and_torn_ones_do_not() {
        let mut memory = Memory::default();
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let first = memory.change(&a, disabled()).unwrap();
        assert_eq!(memory.change(&a, disabled()), None);
        let second = memory.change(&b, disabled()).unwrap();
        let third = memory.change(&b, Remembered::default()).unwrap();
        let text = format!("{first}\nrubbish\n{second}\n{third}\n{{\"job\":\"a\",\"enab");
        let read = Memory::parse(&text);
        assert_eq!(read, memory);
        assert_eq!(read.names().count(), 1);
        assert_eq!(Memory::parse(&read.text()), read);
    }

    #[test]
    fn every_field_comes_back() {
        let at = "2026-03-01T10:00:00Z".parse().unwrap();
        let what = Remembered {
            stopped: Some("boot".into()),
            until: Some(Box::new(Until {
                cron: "0 3 * * *".into(),
                at,
            })),
            ended: Some(at),
            ..disabled()
        };
        let mut memory = Memory::default();
        let line = memory.change(&"x".into(), what.clone()).unwrap();
        assert_eq!(Memory::parse(&line).of("x"), Some(&what));
    }
}
