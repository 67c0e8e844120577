//! What the job remembers of files: which version of each was moved last, and what is on its way.
//!
//! An entry is written with the plan that moves the file, before the file is seen under its name; the plan is taken
//! back when all of it was published. So a run that follows a kill finishes what was planned, and neither forgets nor repeats a file.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::listing::Stamp;
use crate::context::Context;
use crate::error::Error;
use crate::state::Changes;

/// How long a file that is no longer at its source is remembered: a listing that lacks it may be a mistake.
const REMEMBERED: TimeDelta = TimeDelta::days(7);
/// The state's name for what is on its way.
const PLAN: &str = "plan";

/// The version of a file that was moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) size: u64,
    pub(super) time: Option<Stamp>,
    /// Since when it is no longer there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gone: Option<DateTime<Utc>>,
}

impl Known {
    pub(super) fn new(size: u64, time: Option<Stamp>) -> Known {
        Known {
            size,
            time,
            gone: None,
        }
    }

    /// Whether this is the same version, as far as size and time tell.
    fn is(&self, other: &Known) -> bool {
        let same_time = match (&self.time, &other.time) {
            (Some(one), Some(other)) => one.agrees(other),
            (one, other) => one.is_none() && other.is_none(),
        };
        self.size == other.size && same_time
    }
}

/// Files that are complete under temporary names and are to be published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Plan {
    /// They lie here.
    Here { files: Vec<Planned> },
    /// They lie on the server.
    There { files: Vec<Planned> },
}

/// A complete file under its temporary name, and the name it is to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Planned {
    pub(super) draft: String,
    pub(super) target: String,
    pub(super) size: u64,
    /// Its name in this memory.
    pub(super) key: String,
}

/// The memory of one `<get>` or `<put>`.
pub(super) struct Memory {
    prefix: String,
    known: HashMap<String, Known>,
}

impl Memory {
    /// Reads it. `prefix` tells one `<get>` from another: its kind and its folders.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(super) fn load(cx: &mut Context, prefix: String) -> Result<Memory, Error> {
        let mut known = HashMap::new();
        for (name, value) in cx.state()?.all()? {
            if let Some(file) = name.strip_prefix(&prefix) {
                let version = serde_json::from_value(value).map_err(|error| {
                    Error::Data(format!(
                        "the state {name} is not what this job writes: {error}; see `jobs state`"
                    ))
                })?;
                known.insert(file.to_owned(), version);
            }
        }
        Ok(Memory { prefix, known })
    }

    /// The state's name of a file.
    pub(super) fn key(&self, file: &str) -> String {
        format!("{}{file}", self.prefix)
    }

    /// Whether this version of the file was moved already.
    pub(super) fn has(&self, file: &str, version: &Known) -> bool {
        self.known.get(file).is_some_and(|known| known.is(version))
    }

    /// Remembers these versions and what is planned for them, in one step.
    pub(super) fn plan(
        &mut self,
        cx: &mut Context,
        plan: &Plan,
        versions: Vec<(String, Known)>,
    ) -> Result<(), Error> {
        let mut changes = Changes::new();
        for (file, version) in &versions {
            changes = changes.set(&self.key(file), version)?;
        }
        // last: SQLite reads the whole of a long row each time it looks for the place of a neighbour
        cx.state()?.commit(changes.set(PLAN, plan)?)?;
        self.known.extend(versions);
        Ok(())
    }

    /// The plan is carried out; forgets files whose source is gone by this job's own doing.
    pub(super) fn settle(&mut self, cx: &mut Context, disposed: &[String]) -> Result<(), Error> {
        let mut changes = Changes::new().delete(PLAN);
        for file in disposed {
            changes = changes.delete(&self.key(file));
            self.known.remove(file);
        }
        cx.state()?.commit(changes)
    }

    /// Looks through the memory after a whole look at the source: `seen` are the files there. Where sources go after they
    /// were moved, those that are gone are forgotten at once; else after a week.
    pub(super) fn prune(
        &mut self,
        cx: &mut Context,
        seen: &HashSet<String>,
        disposes: bool,
    ) -> Result<(), Error> {
        let now = cx.now();
        let mut changes = Changes::new();
        let mut any = false;
        let prefix = &self.prefix;
        let mut forgotten = Vec::new();
        for (file, known) in &mut self.known {
            let key = format!("{prefix}{file}");
            let here = seen.contains(file);
            match known.gone {
                None if here => continue,
                _ if !here && disposes => forgotten.push(file.clone()),
                Some(since) if !here && now - since > REMEMBERED => forgotten.push(file.clone()),
                Some(_) if !here => continue,
                gone => {
                    known.gone = if gone.is_some() { None } else { Some(now) };
                    changes = changes.set(&key, known)?;
                    any = true;
                    continue;
                }
            }
            changes = changes.delete(&key);
            any = true;
        }
        for file in forgotten {
            self.known.remove(&file);
        }
        if any {
            cx.state()?.commit(changes)
        } else {
            Ok(())
        }
    }
}

/// What an earlier run had planned and not finished.
pub(super) fn unfinished(cx: &mut Context) -> Result<Option<Plan>, Error> {
    cx.state()?.get(PLAN)
}

/// Takes the plan back, and forgets files that never came to be published.
pub(super) fn dismiss(cx: &mut Context, forget: &[String]) -> Result<(), Error> {
    let changes = forget
        .iter()
        .fold(Changes::new().delete(PLAN), |changes, key| {
            changes.delete(key)
        });
    cx.state()?.commit(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_moved_is_known_until_it_has_been_gone_for_a_week() {
        let dir = tempfile::tempdir().unwrap();
        let mut cx = Context::fake(dir.path());
        let version = Known::new(3, None);
        let mut memory = Memory::load(&mut cx, "get a > b: ".to_owned()).unwrap();
        assert!(!memory.has("x", &version));
        let plan = Plan::Here { files: Vec::new() };
        memory
            .plan(&mut cx, &plan, vec![("x".to_owned(), version.clone())])
            .unwrap();
        assert_eq!(unfinished(&mut cx).unwrap(), Some(plan));
        memory.settle(&mut cx, &[]).unwrap();
        assert_eq!(unfinished(&mut cx).unwrap(), None);
        let mut memory = Memory::load(&mut cx, "get a > b: ".to_owned()).unwrap();
        assert!(memory.has("x", &version) && !memory.has("x", &Known::new(4, None)));
        memory.prune(&mut cx, &HashSet::new(), false).unwrap();
        assert!(memory.has("x", &version));
        memory
            .prune(&mut cx, &HashSet::from(["x".to_owned()]), false)
            .unwrap();
        memory.prune(&mut cx, &HashSet::new(), false).unwrap();
        cx.set_now(cx.now() + TimeDelta::days(8));
        memory.prune(&mut cx, &HashSet::new(), false).unwrap();
        assert!(!memory.has("x", &version));
        assert!(
            !Memory::load(&mut cx, "get a > b: ".to_owned())
                .unwrap()
                .has("x", &version)
        );
    }
}
