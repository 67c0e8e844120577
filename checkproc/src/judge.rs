//! Decides who is hung. Pure: no clock, no process, no table; what it needs to remember is in [`Memory`].
//!
//! Three rules stand between a passed deadline and a verdict. After a gap in the scans (suspend, a stopped virtual machine, a
//! starved watchdog) every deadline counts anew from the gap's end. When more than half of the live slots pass their
//! deadlines in one scan, the fault is more likely the machine's: hold fire, then condemn one a second. And nobody is
//! condemned twice.

use crate::layout::LONGEST;

/// Fewer live slots than this never put the brake on.
pub const BRAKE_MINIMUM: usize = 8;
/// With the brake on, one verdict in this many nanoseconds.
pub const BRAKE_PACE: u64 = 1_000_000_000;
/// The brake holds all fire for at most this long, in nanoseconds.
pub const BRAKE_HOLD_MAXIMUM: u64 = 300 * 1_000_000_000;
/// A clock offset that moves by more than this in nanoseconds means the machine was suspended.
const OFFSET_JUMP: u64 = 500_000_000;
/// What a scan may be late beyond twice its interval, in nanoseconds.
const SLACK: u64 = 1_000_000_000;
/// In [`Memory::every`]: there was one scan, so no distance is known yet. What lies before the first scan teaches nothing: it is
/// the age of the table, a moment or a week.
const ONE_SCAN: u64 = 1;
/// A distance up to this is learned at once, in nanoseconds: the classic watchdog comes every ten seconds.
const LEARNED_AT_ONCE: u64 = 10_000_000_000;

/// A living, watched process whose deadline has passed, not condemned before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overdue {
    /// Its slot.
    pub index: u32,
    /// The claim that is meant.
    pub generation: u32,
    /// Its process.
    pub pid: u32,
    /// The passed deadline, `CLOCK_MONOTONIC` ns.
    pub deadline: u64,
    /// Interval that a beat buys, ns.
    pub heartbeat: u64,
    /// Hash of the home that runs it; 0 = none.
    pub home: u64,
}

/// What one scan saw.
#[derive(Clone, Debug, Default)]
pub struct Glance {
    /// Watched slots in use, the overdue among them.
    pub live: usize,
    /// Those whose deadline has passed.
    pub overdue: Vec<Overdue>,
}

/// The clocks at the moment of a scan.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// `CLOCK_MONOTONIC` ns.
    pub now: u64,
    /// `CLOCK_BOOTTIME` minus `CLOCK_MONOTONIC`, ns.
    pub offset: u64,
}

/// What is remembered from scan to scan. Plain numbers, so that they can lie in the table's header and outlive the watchdog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The last scan, ns; 0 = none.
    pub last_scan: u64,
    /// Clock offset then, ns.
    pub offset: u64,
    /// The distance between scans that is to be expected, ns; 0 = not known yet.
    pub every: u64,
    /// End of the last gap, ns.
    pub amnesty: u64,
    /// When the brake was put on, ns; 0 = off.
    pub brake_since: u64,
    /// Until when it holds all fire, ns.
    pub brake_hold: u64,
    /// When a slot was last condemned under the brake, ns.
    pub last_kill: u64,
}

/// What is to be done or said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There was a gap of so many ns: everyone has a fresh grace period.
    Gap(u64),
    /// The machine was suspended, or its clocks jumped, by so many ns: the same.
    Suspended(u64),
    /// Too many at once: fire is held for so many ns.
    BrakeOn {
        /// Slots overdue in this scan.
        overdue: usize,
        /// Slots in use.
        live: usize,
        /// How long nobody is killed, ns.
        hold: u64,
    },
    /// Things are well again.
    BrakeOff,
    /// This process is hung, and by so many ns: evidence, SIGTERM, SIGKILL.
    Hung(Overdue, u64),
}

/// Judges what a scan saw. `every` is the interval that the watchdog was told to keep, 0 if it cannot know.
pub fn judge(memory: &mut Memory, glance: &Glance, moment: Moment, every: u64) -> Vec<Verdict> {
    let Moment { now, offset } = moment;
    let mut verdicts = Vec::new();
    note_gap(memory, moment, every, &mut verdicts);
    memory.last_scan = now;
    memory.offset = offset;
    // The numbers may come from shared memory: none of them may lie ahead.
    memory.amnesty = memory.amnesty.min(now);
    let mut hung: Vec<Overdue> = glance
        .overdue
        .iter()
        .copied()
        .filter(|slot| deadline(slot, memory) < now)
        .collect();
    hung.sort_by_key(|slot| slot.deadline);
    if !brake_allows(memory, &mut hung, glance.live, now, &mut verdicts) {
        return verdicts;
    }
    verdicts.extend(
        hung.into_iter()
            .map(|slot| Verdict::Hung(slot, now - deadline(&slot, memory))),
    );
    verdicts
}

/// The deadline that counts: no earlier than one heartbeat after the last gap.
fn deadline(slot: &Overdue, memory: &Memory) -> u64 {
    slot.deadline
        .max(memory.amnesty.saturating_add(slot.heartbeat.min(LONGEST)))
}

fn note_gap(memory: &mut Memory, moment: Moment, every: u64, verdicts: &mut Vec<Verdict>) {
    let Moment { now, offset } = moment;
    let passed = now.checked_sub(memory.last_scan);
    let expected = match (every, memory.every) {
        (0, ONE_SCAN) => 0,
        (0, learned) => learned,
        (given, _) => given,
    };
    let jump = offset.abs_diff(memory.offset);
    match passed {
        // The first scan of all: nothing is known of the time before.
        _ if memory.last_scan == 0 => memory.amnesty = now,
        _ if jump > OFFSET_JUMP => {
            memory.amnesty = now;
            verdicts.push(Verdict::Suspended(jump));
        }
        Some(passed)
            if expected == 0 || passed <= expected.saturating_mul(2).saturating_add(SLACK) => {}
        _ => {
            memory.amnesty = now;
            verdicts.push(Verdict::Gap(passed.unwrap_or(0)));
        }
    }
    memory.every = match (every, memory.every, passed) {
        (0, learned, Some(passed)) => learn(learned, passed),
        (0, learned, None) => learned,
        (given, ..) => given,
    };
}

/// The distance to be expected from now on, where nobody gives one. A long gap must not teach too much, and a scan out of turn,
/// by hand or by a second watchdog, must not make a gap of the distance that is kept.
fn learn(learned: u64, seen: u64) -> u64 {
    let learned = match learned {
        0 => ONE_SCAN,
        ONE_SCAN => seen,
        _ if seen > learned => seen.min(learned.saturating_mul(2).max(LEARNED_AT_ONCE)),
        _ => learned - (learned - seen) / 8,
    };
    learned.clamp(ONE_SCAN, LONGEST)
}

/// Puts the brake on or off. `false`: nobody is condemned now. With the brake on, at most one slot is left in `hung`.
fn brake_allows(
    memory: &mut Memory,
    hung: &mut Vec<Overdue>,
    live: usize,
    now: u64,
    verdicts: &mut Vec<Verdict>,
) -> bool {
    if memory.brake_since > now || memory.brake_hold > now.saturating_add(BRAKE_HOLD_MAXIMUM) {
        // Nonsense from shared memory: as if it had just been put on.
        (memory.brake_since, memory.brake_hold) = (now, now);
    }
    if memory.brake_since == 0 {
        if live < BRAKE_MINIMUM || hung.len() * 2 <= live {
            return true;
        }
        let longest = hung.iter().map(|slot| slot.heartbeat).max().unwrap_or(0);
        let hold = longest.min(BRAKE_HOLD_MAXIMUM);
        (memory.brake_since, memory.brake_hold) = (now, now.saturating_add(hold));
        verdicts.push(Verdict::BrakeOn {
            overdue: hung.len(),
            live,
            hold,
        });
        return false;
    }
    if hung.len() * 4 <= live {
        memory.brake_since = 0;
        verdicts.push(Verdict::BrakeOff);
        return true;
    }
    let paced = now
        .checked_sub(memory.last_kill)
        .is_none_or(|passed| passed >= BRAKE_PACE);
    if now < memory.brake_hold || !paced {
        return false;
    }
    memory.last_kill = now;
    hung.truncate(1);
    true
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
