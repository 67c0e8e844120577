//! The runs that live: which process, slot, cgroup and tree belongs to which run.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use checkproc::Slot;
use checkproc::tree::Target;

use crate::plan::RunId;
use crate::spawn::Reaped;

/// A run with a process, or with what is left of its tree.
pub(super) struct Live {
    /// The run.
    pub(super) id: RunId,
    /// Its job.
    pub(super) job: Arc<str>,
    /// Its main process.
    pub(super) pid: i32,
    /// The main process's start time in ticks since boot: with the pid its identity.
    pub(super) start_time: u64,
    /// Only for a main process that is not our child: we hear of its end by this.
    pub(super) pidfd: Option<OwnedFd>,
    /// Its place in the heartbeat table.
    pub(super) slot: Option<Slot>,
    /// What its slot is to hold, should the table be replaced.
    pub(super) watch: Watched,
    /// Its control group.
    pub(super) cgroup: Option<PathBuf>,
    /// The main process has ended; others of its tree have not.
    pub(super) rest: bool,
}

/// How a run is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Watched {
    /// The user whose table has its slot.
    pub(super) table: u32,
    /// Interval that a beat buys; `None` = unwatched.
    pub(super) heartbeat: Option<Duration>,
    /// From SIGTERM to SIGKILL when hung.
    pub(super) hang_grace: Duration,
    /// The program takes a new slot by itself when its table is replaced, as `jobs` does.
    pub(super) attaches: bool,
}

impl Live {
    /// Its tree, for those who search it.
    pub(super) fn target(&self) -> Target {
        Target {
            pid: self.pid.unsigned_abs(),
            start_time: self.start_time,
            run: Some(self.id),
            cgroup: self.cgroup.clone(),
        }
    }
}

/// An end that is not told yet.
pub(super) struct Dying {
    /// The run.
    pub(super) run: RunId,
    /// What the kernel said, where it has.
    pub(super) reaped: Option<Reaped>,
    /// It is told at this time since boot at the latest.
    pub(super) until: Duration,
}

/// All live runs.
#[derive(Default)]
pub(super) struct Runs {
    by_id: HashMap<RunId, Live>,
    by_pid: HashMap<i32, RunId>,
    /// Ends that wait: for a daemon's `MAINPID`, or for the foreign parent that reaps.
    pub(super) dying: Vec<Dying>,
}

/// How often an end that waits is looked at.
const LOOK: Duration = Duration::from_millis(10);

impl Runs {
    /// Takes a new run.
    pub(super) fn insert(&mut self, live: Live) {
        self.by_pid.insert(live.pid, live.id);
        self.by_id.insert(live.id, live);
    }

    /// The run whose main process this is.
    pub(super) fn of_process(&self, pid: i32) -> Option<RunId> {
        self.by_pid.get(&pid).copied()
    }

    /// A run.
    pub(super) fn find(&self, run: RunId) -> Option<&Live> {
        self.by_id.get(&run)
    }

    /// A run, to be changed; its processes only by the methods here.
    pub(super) fn find_mut(&mut self, run: RunId) -> Option<&mut Live> {
        self.by_id.get_mut(&run)
    }

    /// The main process has been waited for: its number means nothing any more.
    pub(super) fn forget_process(&mut self, run: RunId) {
        if let Some(live) = self.by_id.get_mut(&run) {
            self.by_pid.remove(&live.pid);
        }
    }

    /// Another process is the main one now.
    pub(super) fn change_process(&mut self, run: RunId, pid: i32, start_time: u64) {
        if let Some(live) = self.by_id.get_mut(&run) {
            self.by_pid.remove(&live.pid);
            (live.pid, live.start_time) = (pid, start_time);
            self.by_pid.insert(pid, run);
        }
    }

    /// The run is over.
    pub(super) fn remove(&mut self, run: RunId) -> Option<Live> {
        let live = self.by_id.remove(&run)?;
        if self.by_pid.get(&live.pid) == Some(&run) {
            self.by_pid.remove(&live.pid);
        }
        Some(live)
    }

    /// All runs, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Live> {
        self.by_id.values()
    }

    /// All runs, in no order, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Live> {
        self.by_id.values_mut()
    }

    /// When an end that waits is to be looked at again.
    pub(super) fn due(&self) -> Option<Duration> {
        let soon = crate::wait::since_boot() + LOOK;
        let last = self.dying.iter().map(|dying| dying.until).min()?;
        Some(soon.min(last))
    }
}
