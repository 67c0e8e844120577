//! Claiming slots and freeing those of the dead. Every change of hands is one CAS on the owner word, so a claimer may die at
//! any point without holding anyone up.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::layout::{self, Cold, Hot, Owner, SLOTS, State, header};
use crate::process::{self, bounded_ns, monotonic_ns};
use crate::row;
use crate::table::Table;
use crate::{Error, Slot};

/// What a new slot is to hold.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// Name of the job: 1 to 63 of letters, digits, `.`, `_`, `-`.
    pub name: &'a str,
    /// Hash of the home that runs it ([`process::home_hash`]); 0 = none.
    pub home: u64,
    /// Run id; 0 = by hand.
    pub run: u64,
    /// The process; `None` = reserved for one that [`Slot::activate`] will name.
    pub pid: Option<u32>,
    /// Interval that a beat buys; `None` = unwatched.
    pub heartbeat: Option<Duration>,
    /// From SIGTERM to SIGKILL once it is found hung.
    pub hang_grace: Duration,
    /// Longest step that may be declared.
    pub max_step: Duration,
}

impl Table {
    /// Takes a free slot and fills it. Lock-free; [`Error::Full`] if none is left, even after dead ones were freed.
    pub fn claim(&self, claim: &Claim) -> Result<Slot, Error> {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if claim.name.is_empty() || claim.name.len() > 63 || !claim.name.chars().all(good) {
            return Err(Error::Name {
                name: claim.name.to_owned(),
            });
        }
        let start = match claim.pid {
            // Init is nobody's job: its tree is the machine.
            Some(pid @ (0 | 1)) => return Err(Error::NoProcess { pid }),
            Some(pid) => Some((
                pid,
                process::start_time(pid).ok_or(Error::NoProcess { pid })?,
            )),
            None => None,
        };
        if let Some(slot) = self.take(claim, start)? {
            return Ok(slot);
        }
        self.sweep();
        self.take(claim, start)?.ok_or_else(|| Error::Full {
            path: self.path(),
            slots: SLOTS,
        })
    }

    fn take(&self, claim: &Claim, process: Option<(u32, u64)>) -> Result<Option<Slot>, Error> {
        let (claimer, claimer_start) = process::own_identity();
        for index in 0..SLOTS {
            if index >= self.high_water() {
                for range in layout::ranges(index) {
                    let reserved = self.reserve(range);
                    reserved.map_err(|error| {
                        Error::io("get memory for heartbeat table", self.path(), error)
                    })?;
                }
                self.words()[header::HIGH_WATER].fetch_max(u64::from(index) + 1, Ordering::AcqRel);
            }
            let word = &self.words()[layout::hot(index, Hot::Owner)];
            let old = Owner::unpack(word.load(Ordering::Acquire));
            if old.state != State::Free {
                continue;
            }
            let generation = old.next_generation();
            let claiming = Owner {
                state: State::Claiming,
                generation,
                pid: claimer,
            };
            if word
                .compare_exchange(
                    old.pack(),
                    claiming.pack(),
                    Ordering::AcqRel,
                    Ordering::Acquire,
                )
                .is_err()
            {
                continue;
            }
            self.fill(index, claim, (claimer, claimer_start), process);
            let (state, pid) =
                process.map_or((State::Reserved, claimer), |(pid, _)| (State::Active, pid));
            let ready = Owner {
                state,
                generation,
                pid,
            };
            // Fails only if we were stopped for so long that a watchdog gave the slot up.
            if word
                .compare_exchange(
                    claiming.pack(),
                    ready.pack(),
                    Ordering::AcqRel,
                    Ordering::Acquire,
                )
                .is_ok()
            {
                return Ok(Some(Slot::new(self.clone(), index, generation)));
            }
        }
        Ok(None)
    }

    fn fill(&self, index: u32, claim: &Claim, claimer: (u32, u64), process: Option<(u32, u64)>) {
        let words = self.words();
        for word in &words[layout::cold(index, Cold::StartTime)..layout::cold(index, Cold::Name)] {
            word.store(0, Ordering::Relaxed);
        }
        let now = monotonic_ns();
        let heartbeat = claim.heartbeat.map_or(0, bounded_ns);
        let hot = |word, value| words[layout::hot(index, word)].store(value, Ordering::Relaxed);
        hot(
            Hot::Deadline,
            if heartbeat == 0 {
                layout::NEVER
            } else {
                now + heartbeat
            },
        );
        hot(Hot::Beat, now);
        hot(Hot::Beats, 0);
        hot(Hot::Heartbeat, heartbeat);
        hot(Hot::StepUntil, 0);
        hot(Hot::Home, claim.home);
        let cold = |word, value| words[layout::cold(index, word)].store(value, Ordering::Relaxed);
        cold(Cold::StartTime, process.map_or(0, |(_, start)| start));
        cold(Cold::Claimer, u64::from(claimer.0));
        cold(Cold::ClaimerStart, claimer.1);
        cold(Cold::Run, claim.run);
        cold(Cold::Claimed, now);
        cold(Cold::ClaimedWall, process::wall_us());
        cold(Cold::HangGrace, bounded_ns(claim.hang_grace));
        cold(Cold::MaxStep, bounded_ns(claim.max_step));
        row::write_text(words, index, Cold::Name, layout::NAME_BYTES, claim.name);
        row::write_text(words, index, Cold::Phase, layout::PHASE_BYTES, "");
        row::write_text(words, index, Cold::Step, layout::STEP_BYTES, "");
    }

    /// Frees slots of processes that are gone: first those that nobody will read, then, if need be, those that a supervisor
    /// has not read yet. Called when a claim finds the table full.
    fn sweep(&self) {
        let run = |index| self.words()[layout::cold(index, Cold::Run)].load(Ordering::Acquire);
        for unread in [false, true] {
            let dead = (0..self.high_water()).filter(|index| (run(*index) != 0) == unread);
            if dead.filter(|index| self.reap(*index)).count() > 0 {
                return;
            }
        }
    }

    /// Frees a slot if the process it belongs to is gone; a reserved one only when its claimer is.
    pub(crate) fn reap(&self, index: u32) -> bool {
        let word = &self.words()[layout::hot(index, Hot::Owner)];
        let owner = Owner::unpack(word.load(Ordering::Acquire));
        let cold = |part| self.words()[layout::cold(index, part)].load(Ordering::Acquire);
        let gone = match owner.state {
            State::Free => false,
            State::Corrupt => true,
            // Its start time may not be written yet, so a claimer counts as gone only when its pid is.
            State::Claiming => process::start_time(owner.pid).is_none(),
            State::Reserved => !process::is_alive(owner.pid, cold(Cold::ClaimerStart)),
            State::Active => !process::is_alive(owner.pid, cold(Cold::StartTime)),
        };
        let free = Owner {
            state: State::Free,
            pid: 0,
            ..owner
        };
        // `old` keeps the bits of a corrupt word as they are.
        let old = if owner.state == State::Corrupt {
            word.load(Ordering::Acquire)
        } else {
            owner.pack()
        };
        gone && word
            .compare_exchange(old, free.pack(), Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}
