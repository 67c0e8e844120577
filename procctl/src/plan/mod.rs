//! The pure core of the supervisor: what runs when.
//!
//! [`plan`] takes what happened and what time it is, changes the [`State`] and says what to do. It
//! reads no clock, does no I/O and knows no process but by run id, so every odd case is a unit test.
//! The loop around it: wait for an event or for [`State::next_wake`], plan, carry the actions out in order.

pub mod action;
pub mod entry;
pub mod event;
pub mod memory;
pub mod outcome;
pub mod request;
pub mod spec;
pub mod status;

use std::time::Duration;

use chrono::{DateTime, Utc};

pub use action::{Action, Alarm, AlarmKind, Signal};
pub use entry::{Entry, Reason};
pub use event::{Event, Now, RunId, Token};
pub use memory::Memory;
pub use outcome::Outcome;
pub use request::{Answer, Request};
pub use spec::JobSpec;

/// Everything the supervisor knows: jobs, runs, pools, what is due. A program that replaces this
/// one by exec takes it over through [`State::snapshot`] and [`State::restore`].
#[derive(Debug)]
pub struct State {}

/// When the plan wants to be called with [`Event::Due`] at the latest. Both `None`: only events matter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wake {
    /// Time since boot.
    pub mono: Option<Duration>,
    /// Wall time; its timer must report clock steps as [`Event::ClockStepped`].
    pub wall: Option<DateTime<Utc>>,
}

impl State {
    /// A supervisor that has just begun. `boot` is the kernel's boot id, `seed` feeds the jitter.
    pub fn new(_memory: Memory, _boot: &str, _seed: u64, _now: Now) -> State {
        State {}
    }

    /// When something falls due next.
    pub fn next_wake(&self) -> Wake {
        Wake::default()
    }

    /// The state as JSON, for the program that takes over.
    pub fn snapshot(&self) -> Result<String, serde_json::Error> {
        Ok(String::new())
    }

    /// The state that an earlier program left by [`State::snapshot`].
    pub fn restore(_text: &str) -> Result<State, serde_json::Error> {
        Ok(State {})
    }

    /// The memory file's whole text.
    pub fn memory(&self) -> String {
        String::new()
    }

    /// Ids of all live runs, for the loop to compare with what it holds.
    pub fn runs(&self) -> Vec<RunId> {
        Vec::new()
    }
}

/// Takes one event at one moment: changes the state and returns what to do, in order.
pub fn plan(_state: &mut State, _event: Event, _now: Now) -> Vec<Action> {
    Vec::new()
}
