//! The pure core of the supervisor: what runs when.
//!
//! [`plan`] takes what happened and what time it is, changes the [`State`] and says what to do. It
//! reads no clock, does no I/O and knows no process but by run id, so every odd case is a unit test.
//! The loop around it: wait for an event or for [`State::next_wake`], plan, carry the actions out in order.
//!
//! | file | what it decides |
//! |---|---|
//! | `due` | which schedules and timers are due, and what a cron time or `every` leads to |
//! | `starting`, `overlap`, `pools` | whether a start that fell due happens now, later or never |
//! | `stopping` | SIGTERM, SIGKILL, giving up; the end of the supervisor |
//! | `ending`, `backoff` | what a run's end leads to |
//! | `alarms` | what is worth an alarm |
//! | `reload`, `adopt` | what changed files and runs left by an earlier procctl lead to |
//! | `command`, `waiters`, `report` | what clients ask and are answered |
//! | `calendar`, `memory`, `timers`, `chance` | cron times, what outlives a procctl, due times, randomness |

pub mod action;
pub mod entry;
pub mod event;
pub mod memory;
pub mod outcome;
pub mod request;
pub mod spec;
pub mod status;

mod adopt;
mod alarms;
mod backoff;
mod calendar;
mod chance;
mod command;
mod due;
mod ending;
mod job;
mod overlap;
mod pools;
mod reload;
mod report;
mod starting;
mod state;
mod stopping;
mod timers;
mod turn;
mod waiters;

#[cfg(test)]
mod tests;

pub use action::{Action, Alarm, AlarmKind, Signal};
pub use entry::{Entry, Reason};
pub use event::{Event, Now, RunId, Token};
pub use memory::Memory;
pub use outcome::Outcome;
pub use request::{Answer, Request};
pub use spec::JobSpec;
pub use state::{State, Wake};

/// Takes one event at one moment: changes the state and returns what to do, in order.
pub fn plan(state: &mut State, event: Event, now: Now) -> Vec<Action> {
    let mut turn = turn::Turn::new(state, now);
    turn.take(event);
    turn.run_due();
    turn.leave_when_done();
    turn.actions
}
