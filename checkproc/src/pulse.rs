//! What a running program uses to beat: finds its slot, keeps it, and gets a new one when the table was replaced.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::process::{self, monotonic_ns};
use crate::row::Outcome;
use crate::{Claim, Error, Slot, Table};

/// The longest step of a process that claimed its own slot.
const MAX_STEP: Duration = Duration::from_secs(24 * 3600);
/// A lost slot is looked for at most this often, in nanoseconds.
const RETRY_NS: u64 = 1_000_000_000;

/// The heartbeat of this process. Clones beat the same slot; beats belong into the work loop, never into a thread
/// that does nothing else.
#[derive(Clone)]
pub struct Pulse {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    heartbeat: Option<Duration>,
    hang_grace: Duration,
    place: Mutex<Place>,
}

struct Place {
    slot: Slot,
    /// We claimed it for ourselves and nobody else reads it: free it at the end.
    own: bool,
    retry_at: u64,
    rows: u64,
    bytes: u64,
    rejected: u64,
    phase: String,
}

impl Pulse {
    /// Takes the slot that `PROCCTL_SLOT` names if it was claimed for this process under this name, else claims one.
    pub fn attach_or_claim(
        name: &str,
        heartbeat: Option<Duration>,
        hang_grace: Duration,
    ) -> Result<Pulse, Error> {
        Pulse::in_table(&Table::open_own()?, name, heartbeat, hang_grace)
    }

    /// The same in a given table, for tests.
    pub fn in_table(
        table: &Table,
        name: &str,
        heartbeat: Option<Duration>,
        hang_grace: Duration,
    ) -> Result<Pulse, Error> {
        let (slot, own) = match attach(table, name) {
            Some(slot) => (slot, false),
            None => claim(table, name, heartbeat, hang_grace)?,
        };
        let place = Place {
            slot,
            own,
            retry_at: 0,
            rows: 0,
            bytes: 0,
            rejected: 0,
            phase: String::new(),
        };
        let shared = Shared {
            name: name.to_owned(),
            heartbeat,
            hang_grace,
            place: Mutex::new(place),
        };
        let pulse = Pulse {
            shared: Arc::new(shared),
        };
        pulse.beat();
        Ok(pulse)
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.shared
            .place
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot as it is now; another one after the table was replaced.
    pub fn slot(&self) -> Slot {
        self.place().slot.clone()
    }

    /// This process is at work.
    pub fn beat(&self) {
        let mut place = self.place();
        if !place.slot.beat() || place.slot.table().retired() {
            self.reattach(&mut place);
        }
    }

    /// Gets a new slot, at most once a second; until then the process goes on unwatched.
    fn reattach(&self, place: &mut Place) {
        let now = monotonic_ns();
        if now < place.retry_at {
            return;
        }
        place.retry_at = now + RETRY_NS;
        let (name, shared) = (&self.shared.name, &self.shared);
        let table = place.slot.table().reopen();
        match table.and_then(|table| claim(&table, name, shared.heartbeat, shared.hang_grace)) {
            Ok((slot, own)) => {
                slot.progress(place.rows, place.bytes);
                slot.rejected(place.rejected);
                slot.phase(&place.phase);
                place.slot.release();
                (place.slot, place.own) = (slot, own);
                log::warn!(
                    "`{name}` lost its heartbeat slot and has a new one, {}",
                    place.slot.handle().0
                );
            }
            Err(error) => log::warn!("`{name}` has no heartbeat slot: {error}"),
        }
    }

    /// Declares that no beat will come for up to `budget`; see [`Slot::step`].
    pub fn step(&self, what: &str, budget: Duration) {
        self.beat();
        self.place().slot.step(what, budget);
    }

    /// Ends the declared step and beats.
    pub fn step_done(&self) {
        self.place().slot.step_done();
        self.beat();
    }

    /// Sets rows and bytes moved so far (absolute numbers). Not a beat.
    pub fn progress(&self, rows: u64, bytes: u64) {
        let mut place = self.place();
        (place.rows, place.bytes) = (rows, bytes);
        place.slot.progress(rows, bytes);
    }

    /// Sets how many rows were put aside as bad so far. Not a beat.
    pub fn rejected(&self, rows: u64) {
        let mut place = self.place();
        place.rejected = rows;
        place.slot.rejected(rows);
    }

    /// Says what is being done now. Not a beat.
    pub fn phase(&self, text: &str) {
        let mut place = self.place();
        text.clone_into(&mut place.phase);
        place.slot.phase(text);
    }

    /// Leaves word of how the process ends.
    pub fn end(&self, outcome: Outcome) {
        self.place().slot.end(outcome);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let place = self.place.get_mut().unwrap_or_else(PoisonError::into_inner);
        if place.own {
            place.slot.release();
        }
    }
}

/// A number in the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The slot in `PROCCTL_SLOT` (`INDEX:GENERATION`), whoever it was claimed for.
pub fn given_slot(table: &Table) -> Option<Slot> {
    let value = std::env::var("PROCCTL_SLOT").ok()?;
    let (index, generation) = value.split_once(':')?;
    let slot = table.slot(index.parse().ok()?, generation.parse().ok()?)?;
    // A slot of another run has taken the place of ours if the numbers only happen to fit; one claimed by hand has no run.
    let run = slot.row()?.run;
    number("PROCCTL_RUN")
        .is_none_or(|ours| run == 0 || ours == run)
        .then_some(slot)
}

/// The given slot, if it is for this process and not for a parent that passed its environment on.
fn attach(table: &Table, name: &str) -> Option<Slot> {
    let slot = given_slot(table)?;
    let row = slot.row()?;
    let (pid, start) = process::own_identity();
    let for_us = row.state == crate::SlotState::Reserved || row.pid == pid;
    (row.name == name && for_us && slot.activate(pid, start)).then_some(slot)
}

/// Claims a slot for this process; under procctl with its run and home, so that it is found again.
fn claim(
    table: &Table,
    name: &str,
    heartbeat: Option<Duration>,
    grace: Duration,
) -> Result<(Slot, bool), Error> {
    let supervised = std::env::var("PROCCTL_JOB").is_ok_and(|job| job == name);
    let run = number("PROCCTL_RUN").filter(|_| supervised).unwrap_or(0);
    let home = std::env::var_os("PROCCTL_HOME")
        .filter(|_| run != 0)
        .map_or(0, |home| process::home_hash(home.as_ref()));
    let pid = Some(std::process::id());
    let claim = Claim {
        name,
        home,
        run,
        pid,
        heartbeat,
        hang_grace: grace,
        max_step: MAX_STEP,
    };
    Ok((table.claim(&claim)?, run == 0))
}
