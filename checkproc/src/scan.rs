//! What a watchdog reads from a table and writes to it: one pass over the hot lines, the memory in the header, the words that
//! mark a slot as hung, stuck or ended.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::judge::{Glance, Memory, Overdue};
use crate::layout::{self, Cold, Hot, LONGEST, NEVER, Owner, State, header};
use crate::{Slot, Table, process};

/// A slot whose run has ended is kept this long for a supervisor to read, in nanoseconds.
const LINGER: u64 = 600 * 1_000_000_000;
/// A condemned process that still lives this long after its grace may be condemned again: the first watchdog is gone.
const PATIENCE: u64 = 10 * 1_000_000_000;
/// A standing trouble is said again after this long, in nanoseconds.
pub(crate) const REMIND: u64 = 600 * 1_000_000_000;

/// What the slots say at one moment.
#[derive(Debug, Default)]
pub struct Sight {
    /// What the judge needs.
    pub glance: Glance,
    /// Slots in use that hold values no program of ours writes.
    pub odd: Vec<u32>,
}

impl Table {
    /// Looks at every slot in use, or at those of a home and of none: one cache line each, no system call.
    pub fn look(&self, now: u64, home: Option<u64>) -> Sight {
        let mut sight = Sight::default();
        for (index, line) in layout::hot_lines(self.words(), self.high_water()) {
            let word = |part: Hot| line[part as usize].load(Ordering::Acquire);
            let owner = Owner::unpack(word(Hot::Owner));
            if owner.state != State::Active {
                if owner.state == State::Corrupt {
                    sight.odd.push(index);
                }
                continue;
            }
            let (deadline, heartbeat) = (word(Hot::Deadline), word(Hot::Heartbeat));
            let theirs = home.is_some_and(|home| ![0, home].contains(&word(Hot::Home)));
            if heartbeat == 0 || deadline == NEVER || theirs {
                continue;
            }
            sight.glance.live += 1;
            if deadline < now {
                let (generation, pid, home) = (owner.generation, owner.pid, word(Hot::Home));
                sight.glance.overdue.push(Overdue {
                    index,
                    generation,
                    pid,
                    deadline,
                    heartbeat,
                    home,
                });
            } else if deadline - now > 2 * LONGEST {
                sight.odd.push(index);
            }
        }
        sight
    }

    /// Puts a slot with impossible values right: frees it, or gives it the deadline of a beat now.
    pub fn repair(&self, index: u32) {
        if self.owner(index).state == State::Corrupt {
            self.reap(index);
        } else {
            let heartbeat =
                self.words()[layout::hot(index, Hot::Heartbeat)].load(Ordering::Acquire);
            let deadline = process::monotonic_ns() + heartbeat.min(LONGEST);
            self.words()[layout::hot(index, Hot::Deadline)].store(deadline, Ordering::Release);
        }
    }

    /// Frees a slot whose process is gone, unless a supervisor is to read it first: those of runs are kept for ten minutes.
    pub fn settle(&self, index: u32, now: u64) {
        let owner = self.owner(index);
        let cold = |part| &self.words()[layout::cold(index, part)];
        if owner.state != State::Active {
            self.reap(index);
            return;
        }
        if process::is_alive(owner.pid, cold(Cold::StartTime).load(Ordering::Acquire)) {
            return;
        }
        if cold(Cold::Run).load(Ordering::Acquire) == 0 {
            self.reap(index);
            return;
        }
        // Nobody beats here any more, so nobody need look whether it is late.
        self.words()[layout::hot(index, Hot::Deadline)].store(NEVER, Ordering::Release);
        let ended = cold(Cold::Ended).load(Ordering::Acquire);
        if ended == 0 || ended > now {
            cold(Cold::Ended).store(now, Ordering::Release);
        } else if now - ended > LINGER {
            self.reap(index);
        }
    }

    /// Leaders of all slots in use.
    pub fn leaders(&self) -> impl Iterator<Item = u32> {
        let owners = (0..self.high_water()).map(|index| self.owner(index));
        owners
            .filter(|owner| owner.state == State::Active)
            .map(|owner| owner.pid)
    }

    fn owner(&self, index: u32) -> Owner {
        Owner::unpack(self.words()[layout::hot(index, Hot::Owner)].load(Ordering::Acquire))
    }

    /// What the last scan left in the header. Before the first scan that is the making of the table.
    pub fn memory(&self) -> Memory {
        let word = |position: usize| self.words()[position].load(Ordering::Acquire);
        let memory = Memory {
            last_scan: word(header::LAST_SCAN),
            offset: word(header::CLOCK_OFFSET),
            every: word(header::SCAN_EVERY),
            amnesty: word(header::AMNESTY),
            brake_since: word(header::BRAKE_SINCE),
            brake_hold: word(header::BRAKE_HOLD),
            last_kill: word(header::LAST_KILL),
        };
        if memory.last_scan != 0 {
            return memory;
        }
        Memory {
            last_scan: word(header::CREATED),
            offset: process::suspended_ns(),
            ..Memory::default()
        }
    }

    /// Leaves what this scan knows for the next one, which may be another process's.
    pub fn remember(&self, memory: &Memory) {
        let words = [
            (header::LAST_SCAN, memory.last_scan),
            (header::CLOCK_OFFSET, memory.offset),
            (header::SCAN_EVERY, memory.every),
            (header::AMNESTY, memory.amnesty),
            (header::BRAKE_SINCE, memory.brake_since),
            (header::BRAKE_HOLD, memory.brake_hold),
            (header::LAST_KILL, memory.last_kill),
        ];
        words
            .iter()
            .for_each(|(position, value)| self.words()[*position].store(*value, Ordering::Release));
    }
}

/// What a watchdog does to a slot that is not its own.
impl Slot {
    fn word(&self, part: Cold) -> &AtomicU64 {
        &self.table().words()[layout::cold(self.handle().0, part)]
    }

    /// Marks the slot as hung. Only one watchdog gets `true`; another one may follow when the first has died over it.
    pub(crate) fn condemn(&self, now: u64) -> bool {
        let hung = self.word(Cold::Hung);
        let seen = hung.load(Ordering::Acquire);
        self.owner().is_some()
            && !self.is_condemned(now)
            && hung
                .compare_exchange(seen, now, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
    }

    /// Is a watchdog at work on it?
    pub(crate) fn is_condemned(&self, now: u64) -> bool {
        let seen = self.word(Cold::Hung).load(Ordering::Acquire);
        let grace = self
            .word(Cold::HangGrace)
            .load(Ordering::Acquire)
            .min(LONGEST);
        seen != 0 && seen <= now && now - seen <= grace.saturating_add(PATIENCE)
    }

    /// Takes the mark back: it has beaten after all.
    pub(crate) fn pardon(&self) {
        if self.owner().is_some() {
            self.word(Cold::Hung).store(0, Ordering::Release);
        }
    }

    /// Has its deadline passed?
    pub(crate) fn is_late(&self, now: u64) -> bool {
        self.table().words()[layout::hot(self.handle().0, Hot::Deadline)].load(Ordering::Acquire)
            < now
    }

    /// Marks that killing has no effect. `true`: it is time to say so (again).
    pub(crate) fn note_stuck(&self, now: u64) -> bool {
        let stuck = self.word(Cold::Stuck);
        let seen = stuck.load(Ordering::Acquire);
        let due = self.owner().is_some() && (seen == 0 || seen > now || now - seen > REMIND);
        due && stuck
            .compare_exchange(seen, now, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Has killing it been found to have no effect?
    pub(crate) fn is_stuck(&self) -> bool {
        self.word(Cold::Stuck).load(Ordering::Acquire) != 0
    }
}
