//! Everything the supervisor knows, and how it passes to the program that takes over at a re-exec.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::calendar::Lived;
use super::chance::Chance;
use super::event::{Now, RunId, Settings, Token};
use super::job::Job;
use super::memory::Memory;
use super::pools::Pools;
use super::spec::{JobSpec, Start};
use super::timers::Timers;
use super::waiters::Waiters;

/// Everything the supervisor knows: jobs, runs, pools, what is due. A program that replaces this
/// one by exec takes it over through [`State::snapshot`] and [`State::restore`].
#[derive(Debug, Serialize, Deserialize)]
pub struct State {
    /// Since when there is supervision.
    pub(super) since: DateTime<Utc>,
    /// The kernel's boot id.
    pub(super) boot: Box<str>,
    /// Every run that was left is known: starts may happen.
    pub(super) booted: bool,
    /// The supervisor ends; clients to be told when it is done.
    pub(super) leaving: Option<Vec<Token>>,
    /// The last action is out.
    pub(super) left: bool,
    pub(super) settings: Settings,
    pub(super) jobs: BTreeMap<Arc<str>, Job>,
    /// Files that are no job.
    pub(super) misfits: BTreeMap<PathBuf, Misfit>,
    /// Jobs whose success an earlier procctl did not see.
    pub(super) unseen: Vec<Arc<str>>,
    pub(super) memory: Memory,
    pub(super) pools: Pools,
    pub(super) lived: Lived,
    pub(super) chance: Chance,
    /// The newest run id given or seen.
    pub(super) last_run: RunId,

    /// Live runs.
    #[serde(skip)]
    pub(super) runs: BTreeMap<RunId, Arc<str>>,
    /// How many of them survive SIGKILL.
    #[serde(skip)]
    pub(super) stuck: usize,
    /// Whose file is whose.
    #[serde(skip)]
    pub(super) files: BTreeMap<Arc<PathBuf>, Arc<str>>,
    /// Which jobs come after which.
    #[serde(skip)]
    pub(super) successors: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    #[serde(skip)]
    pub(super) timers: Timers,
    /// Clients do not outlive the exec.
    #[serde(skip)]
    pub(super) waiters: Waiters,
}

/// A file that is no job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Misfit {
    /// The name it would have.
    pub(super) name: Option<Arc<str>>,
    /// What is wrong.
    pub(super) text: Box<str>,
    /// The job it would be, had not another file its name.
    pub(super) spec: Option<Arc<JobSpec>>,
    /// Since when.
    pub(super) since: DateTime<Utc>,
}

/// When the plan wants to be called with [`Event::Due`](super::Event::Due) at the latest. Both
/// `None`: only events matter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wake {
    /// Time since boot.
    pub mono: Option<Duration>,
    /// Wall time; its timer must report clock steps as [`Event::ClockStepped`](super::Event::ClockStepped).
    pub wall: Option<DateTime<Utc>>,
}

impl State {
    /// A supervisor that has just begun. `boot` is the kernel's boot id, `seed` feeds splays and jitter.
    pub fn new(memory: Memory, boot: &str, seed: u64, now: Now) -> State {
        State {
            since: now.wall,
            boot: boot.into(),
            booted: false,
            leaving: None,
            left: false,
            settings: Settings::default(),
            jobs: BTreeMap::new(),
            misfits: BTreeMap::new(),
            unseen: Vec::new(),
            memory,
            pools: Pools::default(),
            lived: Lived::new(now),
            chance: Chance::new(seed),
            last_run: 0,
            runs: BTreeMap::new(),
            stuck: 0,
            files: BTreeMap::new(),
            successors: BTreeMap::new(),
            timers: Timers::default(),
            waiters: Waiters::default(),
        }
    }

    /// When something falls due next.
    pub fn next_wake(&self) -> Wake {
        let (mono, wall) = self.timers.first();
        Wake { mono, wall }
    }

    /// The state as JSON, for the program that takes over.
    pub fn snapshot(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// The state that an earlier program left by [`State::snapshot`].
    pub fn restore(text: &str) -> Result<State, serde_json::Error> {
        let mut state: State = serde_json::from_str(text)?;
        for (name, job) in &mut state.jobs {
            job.share_spec();
            if let Some(run) = &job.run {
                state.runs.insert(run.id, name.clone());
            }
            state.stuck += usize::from(job.is_stuck());
            if job.has_file() {
                state.files.insert(job.spec.file.clone(), name.clone());
            }
            if let Some(after) = &job.spec.policy.after {
                let all = state.successors.entry(after.clone()).or_default();
                all.insert(name.clone());
            }
            state.timers.index(name, job);
        }
        Ok(state)
    }

    /// The memory file's whole text.
    pub fn memory(&self) -> String {
        self.memory.text()
    }

    /// Live runs, for the loop to compare with what it holds.
    pub fn runs(&self) -> Vec<RunId> {
        self.runs.keys().copied().collect()
    }

    /// The version of the job that a live run was started from.
    pub fn spec_of(&self, run: RunId) -> Option<&Arc<JobSpec>> {
        let job = self.jobs.get(self.runs.get(&run)?)?;
        job.run.as_ref().map(|run| &run.spec)
    }
}

impl Job {
    /// Whether a file stands behind it.
    pub(super) fn has_file(&self) -> bool {
        !self.removed && self.spec.start != Start::Lost
    }

    /// One copy of the spec again, where job and run had the same.
    fn share_spec(&mut self) {
        if let Some(run) = &mut self.run
            && run.spec == self.spec
        {
            run.spec = self.spec.clone();
        }
    }
}
