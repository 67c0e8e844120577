//! The heartbeat table and the watchdog that judges it.
//!
//! Every watched process owns a slot of a shared-memory [`Table`] and moves that slot's deadline forward as it
//! works. Whoever reads the table sees at once which process has stopped working, though it still exists.
//! This crate knows neither jobs nor schedules, and no other crate of the workspace.

pub mod census;
mod error;
pub mod evidence;
pub mod judge;
pub mod layout;
pub mod process;
mod pulse;
mod row;
mod shm;
mod slot;
mod sockets;
mod table;
pub mod tree;

pub use error::Error;
pub use pulse::Pulse;
pub use row::{Hung, Outcome, Row, SlotState};
pub use slot::Slot;
pub use table::{Claim, Table};
