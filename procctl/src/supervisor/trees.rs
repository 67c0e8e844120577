//! Signals to whole process trees, and the question whether anything is left of one. Many trees are served by one
//! look at the machine's processes; nothing here waits for a process to end.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use checkproc::census::Census;
use checkproc::process;
use checkproc::tree::{Member, Tree};
use rustix::process::Signal as Number;

use super::Supervisor;
use crate::cgroup;
use crate::plan::{Event, RunId, Signal};
use crate::wait::since_boot;

/// After members were killed, the next look for those that they forked meanwhile.
const SOON: Duration = Duration::from_millis(10);

/// The first look at whether the rest of a tree is gone; later ones come ever less often.
const FIRST_LOOK: Duration = Duration::from_millis(50);

/// The longest time between two looks.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// A tree that is being taken down, or whose rest is waited for.
struct Felling {
    tree: Tree,
    /// SIGKILL was ordered: whoever shows up gets it, too.
    killing: bool,
    killed: HashSet<Member>,
    /// When to look again, and how long after that.
    next: Option<Duration>,
    pause: Duration,
}

/// All trees under the axe.
#[derive(Default)]
pub(super) struct Trees {
    felled: HashMap<RunId, Felling>,
    census: Option<Census>,
}

impl Trees {
    /// When to look again.
    pub(super) fn due(&self) -> Option<Duration> {
        self.felled
            .values()
            .filter_map(|felling| felling.next)
            .min()
    }

    /// A look at the processes holds for one batch of orders only.
    pub(super) fn forget_census(&mut self) {
        self.census = None;
    }

    /// Whether SIGKILL was ordered.
    pub(super) fn is_killing(&self, run: RunId) -> bool {
        self.felled.get(&run).is_some_and(|felling| felling.killing)
    }

    /// The run is over.
    pub(super) fn forget(&mut self, run: RunId) {
        self.felled.remove(&run);
    }
}

impl Supervisor {
    /// SIGTERM or SIGKILL to all of a run's tree.
    pub(super) fn signal_tree(&mut self, run: RunId, signal: Signal) {
        let Some(felling) = self.felling(run) else {
            return;
        };
        match signal {
            Signal::Kill => {
                felling.killing = true;
                felling.next = Some(since_boot());
                if let Some(group) = &felling.tree.target().cgroup
                    && let Err(error) = cgroup::kill(group)
                {
                    log::warn!("kill {}: {error}", group.display());
                }
                self.fell(run);
            }
            Signal::Term | Signal::Pass => {
                let census = self.trees.census.get_or_insert_with(Census::take);
                let Some(felling) = self.trees.felled.get_mut(&run) else {
                    return;
                };
                let report = felling.tree.signal(Number::TERM, census);
                for (member, error) in report.refused {
                    log::warn!("SIGTERM to process {} of run {run}: {error}", member.pid);
                }
            }
        }
    }

    /// SIGUSR1 to the main process alone.
    pub(super) fn signal_main(&self, run: RunId) {
        if let Some(live) = self.runs.find(run)
            && let Err(error) =
                process::send_signal(live.pid.unsigned_abs(), live.start_time, Number::USR1)
        {
            log::warn!("SIGUSR1 to {}: {error}", live.job);
        }
    }

    fn felling(&mut self, run: RunId) -> Option<&mut Felling> {
        let target = self.runs.find(run)?.target();
        Some(self.trees.felled.entry(run).or_insert_with(|| Felling {
            tree: Tree::new(target),
            killing: false,
            killed: HashSet::new(),
            next: None,
            pause: FIRST_LOOK,
        }))
    }

    /// One look at a tree: kills who has not been killed yet, if that is the order.
    fn fell(&mut self, run: RunId) {
        let census = self.trees.census.get_or_insert_with(Census::take);
        let Some(felling) = self.trees.felled.get_mut(&run) else {
            return;
        };
        felling.tree.look(census);
        if !felling.killing {
            return;
        }
        let mut fresh = false;
        for member in felling.tree.alive() {
            if !felling.killed.insert(member) {
                continue;
            }
            fresh = true;
            if let Err(error) = process::send_signal(member.pid, member.start_time, Number::KILL) {
                log::warn!("SIGKILL to process {} of run {run}: {error}", member.pid);
            }
        }
        felling.next = match (fresh, felling.next) {
            (true, _) => Some(since_boot() + SOON),
            (false, next) => next,
        };
    }

    /// The main process of a run has ended and others of its tree have not: `orphans` are known.
    pub(super) fn watch_rest(&mut self, run: RunId, orphans: Vec<Member>) {
        if let Some(live) = self.runs.find_mut(run) {
            live.rest = true;
        }
        if let Some(felling) = self.felling(run) {
            felling.tree.remember(orphans);
            felling.pause = FIRST_LOOK;
            felling.next = Some(since_boot() + FIRST_LOOK);
        }
    }

    /// Looks at the trees that are due.
    pub(super) fn serve_trees(&mut self, now: Duration) {
        if self.trees.due().is_some_and(|due| due <= now) {
            self.trees.forget_census();
            self.look_at_trees(now, false);
        }
    }

    /// Looks at every rest now: a child of ours has ended, it may have been the last one.
    pub(super) fn look_at_rests(&mut self) {
        if self.runs.iter().any(|live| live.rest) {
            self.trees.forget_census();
            self.look_at_trees(since_boot(), true);
        }
    }

    fn look_at_trees(&mut self, now: Duration, all: bool) {
        let due = |felling: &Felling| all || felling.next.is_some_and(|next| next <= now);
        let runs = self.trees.felled.iter().filter(|(_, felling)| due(felling));
        let runs: Vec<RunId> = runs.map(|(run, _)| *run).collect();
        for run in runs {
            let rest = self.runs.find(run).is_some_and(|live| live.rest);
            if let Some(felling) = self.trees.felled.get_mut(&run) {
                felling.next = rest.then(|| now + felling.pause);
                felling.pause = (felling.pause * 2).min(LAST_LOOK);
            }
            self.fell(run);
            if rest && self.is_gone(run) {
                if let Some(live) = self.runs.find_mut(run) {
                    live.rest = false;
                }
                self.trees.forget(run);
                self.events.push_back(Event::TreeGone { run });
            }
        }
    }

    /// Whether the last look found nobody alive.
    fn is_gone(&self, run: RunId) -> bool {
        let Some(felling) = self.trees.felled.get(&run) else {
            return true;
        };
        let group = felling.tree.target().cgroup.as_deref();
        felling.tree.alive().is_empty() && group.is_none_or(cgroup::is_empty)
    }
}
