//! A handle on one slot of a table: what its owner writes. Every method checks the generation first and does nothing
//! when the slot is no longer ours.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::layout::{
    self, Cold, Hot, LONGEST, NEVER, Owner, PHASE_BYTES, STEP_BYTES, State, header,
};
use crate::process::{bounded_ns, monotonic_ns};
use crate::row::{self, Outcome, Row};
use crate::table::Table;

/// A handle on a slot: table, index and generation. Cheap to clone; dropping it frees nothing.
#[derive(Clone)]
pub struct Slot {
    table: Table,
    index: u32,
    generation: u32,
}

impl Slot {
    /// `index` must be below [`layout::SLOTS`].
    pub(crate) fn new(table: Table, index: u32, generation: u32) -> Slot {
        Slot {
            table,
            index,
            generation,
        }
    }

    /// Index and generation, as `PROCCTL_SLOT` carries them.
    pub fn handle(&self) -> (u32, u32) {
        (self.index, self.generation)
    }

    /// The table it lies in.
    pub fn table(&self) -> &Table {
        &self.table
    }

    fn hot(&self, word: Hot) -> &AtomicU64 {
        &self.table.words()[layout::hot(self.index, word)]
    }

    fn cold(&self, word: Cold) -> &AtomicU64 {
        &self.table.words()[layout::cold(self.index, word)]
    }

    /// The owner word, if the slot is still that of our claim.
    pub(crate) fn owner(&self) -> Option<Owner> {
        let owner = Owner::unpack(self.hot(Hot::Owner).load(Ordering::Acquire));
        let held = matches!(
            owner.state,
            State::Claiming | State::Reserved | State::Active
        );
        (held && owner.generation == self.generation).then_some(owner)
    }

    fn swap(&self, from: Owner, to: Owner) -> bool {
        self.hot(Hot::Owner)
            .compare_exchange(from.pack(), to.pack(), Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Hands the slot to a process: from the claim to the child that was started, or on to a new main process.
    ///
    /// Parent and child may both call it with the same values. The deadline starts anew. `false`: the slot is lost.
    pub fn activate(&self, pid: u32, start_time: u64) -> bool {
        let Some(owner) = self.owner() else {
            return false;
        };
        if owner.state == State::Active && owner.pid == pid {
            return self.cold(Cold::StartTime).load(Ordering::Acquire) == start_time;
        }
        // Pid and start time are two words: nobody may judge the slot until both are written.
        let between = Owner {
            state: State::Claiming,
            pid: std::process::id(),
            ..owner
        };
        if self.swap(owner, between) {
            self.cold(Cold::StartTime)
                .store(start_time, Ordering::Release);
            self.extend(monotonic_ns());
            if self.swap(
                between,
                Owner {
                    state: State::Active,
                    pid,
                    ..owner
                },
            ) {
                return true;
            }
        }
        // The other side was faster, or is about to be: fine if it does the same.
        self.owner()
            .is_some_and(|now| now.pid == pid || now.state == State::Claiming)
    }

    /// The process is at work: its deadline moves to now + heartbeat. `false`: the slot is lost.
    pub fn beat(&self) -> bool {
        if self.owner().is_none() {
            return false;
        }
        let now = monotonic_ns();
        self.extend(now);
        self.hot(Hot::Beat).store(now, Ordering::Release);
        // Only the owner writes it: a load and a store are cheaper than a locked addition.
        let beats = self.hot(Hot::Beats);
        beats.store(
            beats.load(Ordering::Relaxed).wrapping_add(1),
            Ordering::Relaxed,
        );
        self.stay_visible();
        true
    }

    /// Moves the deadline; a declared step is never shortened by a beat.
    fn extend(&self, now: u64) {
        let heartbeat = self.hot(Hot::Heartbeat).load(Ordering::Relaxed);
        let step = self.hot(Hot::StepUntil).load(Ordering::Relaxed);
        let deadline = if heartbeat == 0 {
            NEVER
        } else {
            (now + heartbeat.min(LONGEST)).max(step.min(now + LONGEST))
        };
        self.hot(Hot::Deadline).store(deadline, Ordering::Release);
    }

    /// Puts the high-water mark right if something has lowered it: nobody looks above it.
    fn stay_visible(&self) {
        let mark = &self.table.words()[header::HIGH_WATER];
        if mark.load(Ordering::Relaxed) <= u64::from(self.index) {
            mark.fetch_max(u64::from(self.index) + 1, Ordering::AcqRel);
        }
    }

    /// Changes the interval that a beat buys, from now on; `None` = unwatched.
    pub fn set_heartbeat(&self, heartbeat: Option<Duration>) {
        if self.owner().is_some() {
            self.hot(Hot::Heartbeat)
                .store(heartbeat.map_or(0, bounded_ns), Ordering::Release);
            self.extend(monotonic_ns());
        }
    }

    /// Changes the time between SIGTERM and SIGKILL if the process is found hung.
    pub fn set_hang_grace(&self, grace: Duration) {
        if self.owner().is_some() {
            self.cold(Cold::HangGrace)
                .store(bounded_ns(grace), Ordering::Release);
        }
    }

    /// Declares that no beat will come for up to `budget` (at most the claim's `max_step`): one long statement, a rename
    /// on a slow share. One step at a time: a second one replaces the first.
    pub fn step(&self, what: &str, budget: Duration) {
        if self.owner().is_none() {
            return;
        }
        let budget = bounded_ns(budget).min(self.cold(Cold::MaxStep).load(Ordering::Relaxed));
        let now = monotonic_ns();
        row::write_text(self.table.words(), self.index, Cold::Step, STEP_BYTES, what);
        self.hot(Hot::StepUntil)
            .store(now + budget, Ordering::Release);
        self.beat();
    }

    /// Ends the declared step and beats.
    pub fn step_done(&self) {
        if self.owner().is_some() {
            self.hot(Hot::StepUntil).store(0, Ordering::Release);
            self.beat();
        }
    }

    /// Sets rows and bytes moved so far (absolute numbers). Not a beat.
    pub fn progress(&self, rows: u64, bytes: u64) {
        if self.owner().is_some() {
            self.cold(Cold::Rows).store(rows, Ordering::Relaxed);
            self.cold(Cold::Bytes).store(bytes, Ordering::Relaxed);
        }
    }

    /// Sets how many rows were put aside as bad so far. Not a beat.
    pub fn rejected(&self, rows: u64) {
        if self.owner().is_some() {
            self.cold(Cold::Rejected).store(rows, Ordering::Relaxed);
        }
    }

    /// Says what is being done now; at most 127 bytes are kept. Not a beat.
    pub fn phase(&self, text: &str) {
        if self.owner().is_some() {
            row::write_text(
                self.table.words(),
                self.index,
                Cold::Phase,
                PHASE_BYTES,
                text,
            );
        }
    }

    /// Leaves word of how the process ends. The slot stays until it is released, so that others can read it.
    pub fn end(&self, outcome: Outcome) {
        if self.owner().is_some() {
            self.cold(Cold::Ended)
                .store(monotonic_ns(), Ordering::Release);
            self.cold(Cold::Outcome)
                .store(outcome.pack(), Ordering::Release);
        }
    }

    /// Frees the slot. `false`: it was no longer ours.
    pub fn release(&self) -> bool {
        self.owner().is_some_and(|owner| {
            self.swap(
                owner,
                Owner {
                    state: State::Free,
                    pid: 0,
                    ..owner
                },
            )
        })
    }

    /// A copy of the slot, if it is still that of our claim.
    pub fn row(&self) -> Option<Row> {
        self.owner()?;
        Row::read(self.table.words(), self.table.uid(), self.index)
            .filter(|row| row.generation == self.generation)
    }
}
