//! The end of one hung process: evidence, SIGTERM to its tree, SIGKILL after its grace, and word of what cannot be killed.
//! It never blocks; its owner calls [`Execution::advance`] when [`Execution::due`] has come.

use std::collections::HashSet;
use std::time::Duration;

use crate::census::Census;
use crate::process::{self, ProcStat, Signal, bounded_ns, monotonic_ns};
use crate::scan::REMIND;
use crate::tree::{Report, Target, Tree, cgroup_of};
use crate::witness::{Folders, record};
use crate::{Slot, SlotState};

/// From one look whether a signal has worked to the next, in nanoseconds.
const LOOK_AGAIN: u64 = 50_000_000;
/// A tree that has not gone this long after SIGKILL is reported as stuck, in nanoseconds.
const GIVE_UP: u64 = 3_000_000_000;
/// Until a stuck tree is looked at again, in nanoseconds.
const STUCK_LOOK: u64 = 1_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// SIGTERM is sent; SIGKILL follows at this time.
    Asked(u64),
    /// SIGKILL was first sent at this time.
    Killed(u64),
    /// SIGKILL has no effect.
    Stuck,
}

/// A process that is being killed for hanging, with its tree.
pub(crate) struct Execution {
    slot: Slot,
    job: String,
    tree: Tree,
    stage: Stage,
    begun: u64,
    due: u64,
    say_again: u64,
}

impl Execution {
    /// Writes the evidence, then asks the tree to end. `None`: it has gone, beaten after all, or another watchdog has it.
    pub(crate) fn begin(slot: Slot, late_ns: u64, folders: &Folders) -> Option<Execution> {
        let row = slot.row().filter(|row| row.state == SlotState::Active)?;
        if !slot.condemn(monotonic_ns()) {
            return None;
        }
        let place = record(&row, late_ns, folders);
        // Evidence takes a moment: a beat in that time saves it.
        if !slot.is_late(monotonic_ns()) {
            slot.pardon();
            log::warn!(
                "`{}` ({}) beat again while evidence was taken: left alone",
                row.name,
                row.pid
            );
            return None;
        }
        slot.owner().filter(|owner| owner.pid == row.pid)?;
        let leaders: HashSet<u32> = slot
            .table()
            .leaders()
            .filter(|pid| *pid != row.pid)
            .collect();
        let run = (row.run != 0).then_some(row.run);
        let cgroup = run.and_then(|run| cgroup_of(row.pid, run));
        let target = Target {
            pid: row.pid,
            start_time: row.start_time,
            run,
            cgroup,
        };
        let mut tree = Tree::new(target).only_of(row.uid).besides(leaders);
        let report = tree.signal(Signal::TERM, &Census::take());
        let begun = monotonic_ns();
        log::error!(
            "`{}` ({}) is hung: no beat for {:.1} s, {:.1} s over its deadline; SIGTERM to {} processes; {place}",
            row.name,
            row.pid,
            row.last_beat_age.as_secs_f64(),
            Duration::from_nanos(late_ns).as_secs_f64(),
            report.signalled.len(),
        );
        let execution = Execution {
            slot,
            job: row.name,
            tree,
            stage: Stage::Asked(begun + bounded_ns(row.hang_grace)),
            begun,
            due: begun,
            say_again: 0,
        };
        execution.complain(&report);
        Some(execution)
    }

    /// When to call [`Execution::advance`] next, `CLOCK_MONOTONIC` ns.
    pub(crate) fn due(&self) -> u64 {
        self.due
    }

    /// The slot that it is about: index and generation.
    pub(crate) fn handle(&self) -> (u32, u32) {
        self.slot.handle()
    }

    /// Has it come to the point where waiting longer is of no use?
    pub(crate) fn is_stuck(&self) -> bool {
        self.stage == Stage::Stuck
    }

    /// Does what is due. `true`: the whole tree is gone.
    pub(crate) fn advance(&mut self, now: u64) -> bool {
        match self.stage {
            Stage::Asked(kill_at) if now < kill_at => {
                self.due = kill_at.min(now + LOOK_AGAIN);
                return self.ended_early();
            }
            Stage::Asked(_) => {
                let report = self.tree.kill();
                log::warn!(
                    "`{}`: SIGKILL to {} processes",
                    self.job,
                    report.signalled.len()
                );
                self.complain(&report);
                self.stage = Stage::Killed(monotonic_ns());
                self.due = now + LOOK_AGAIN;
            }
            Stage::Killed(_) | Stage::Stuck if now < self.due => return false,
            Stage::Killed(since) => self.look_again(now, since),
            Stage::Stuck => {
                self.due = now + STUCK_LOOK;
                self.report_stuck(now);
            }
        }
        self.is_gone()
    }

    fn look_again(&mut self, now: u64, since: u64) {
        self.due = now + LOOK_AGAIN;
        // What forked faster than we could look gets it now.
        self.tree.kill();
        let uninterruptible = |pid: u32| ProcStat::read(pid).is_ok_and(|stat| stat.state == 'D');
        let left = self.tree.alive();
        let waiting = left.iter().any(|member| uninterruptible(member.pid))
            && now.saturating_sub(since) > LOOK_AGAIN * 4;
        if !left.is_empty() && (waiting || now.saturating_sub(since) > GIVE_UP) {
            self.stage = Stage::Stuck;
            self.due = now + STUCK_LOOK;
            self.report_stuck(now);
        }
    }

    /// SIGTERM may have been enough; then no orphan may be left either.
    fn ended_early(&mut self) -> bool {
        if !self.tree.alive().is_empty() {
            return false;
        }
        self.tree.look(&Census::take());
        self.is_gone()
    }

    fn is_gone(&self) -> bool {
        let gone = self.tree.alive().is_empty();
        if gone {
            let passed = Duration::from_nanos(monotonic_ns().saturating_sub(self.begun));
            log::warn!(
                "`{}`: gone with its whole tree {:.2} s after SIGTERM",
                self.job,
                passed.as_secs_f64()
            );
        }
        gone
    }

    fn complain(&self, report: &Report) {
        for (member, error) in &report.refused {
            log::error!(
                "`{}`: process {} cannot be signalled: {error}",
                self.job,
                member.pid
            );
        }
    }

    fn report_stuck(&mut self, now: u64) {
        if now < self.say_again {
            return;
        }
        self.say_again = now + REMIND;
        self.slot.note_stuck(now);
        for member in self.tree.alive() {
            log::error!("`{}`: {}", self.job, why_stuck(member.pid));
        }
    }
}

/// Why a process does not die, as far as the kernel says.
pub(crate) fn why_stuck(pid: u32) -> String {
    let state = ProcStat::read(pid).map_or('?', |stat| stat.state);
    let wchan = std::fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
    match state {
        'D' => format!(
            "process {pid} cannot be killed: it waits in the kernel (state D, in {wchan}); not waiting for it"
        ),
        other => format!("process {pid} is still there after SIGKILL (state {other})"),
    }
}

/// Is the process of this slot the table's owner's, alive, and what is its state? `None`: it is gone.
pub(crate) fn state_of(pid: u32, start_time: u64) -> Option<char> {
    let stat = ProcStat::read(pid).ok()?;
    (stat.start_time == start_time && !stat.is_zombie()).then_some(stat.state)
}

/// May a table of this user speak for this process?
pub(crate) fn speaks_for(table_uid: u32, pid: u32) -> bool {
    process::real_uid(pid) == Some(table_uid)
}
