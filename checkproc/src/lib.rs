//! The heartbeat table and the watchdog that judges it.
//!
//! Every watched process owns a slot of a shared-memory [`Table`] and moves that slot's deadline forward as it
//! works. Whoever reads the table sees at once which process has stopped working, though it still exists.
//! This crate knows neither jobs nor schedules, and no other crate of the workspace.

pub mod census;
mod claim;
mod error;
pub mod evidence;
mod execution;
pub mod judge;
pub mod layout;
mod opening;
mod ping;
pub mod process;
mod pulse;
mod row;
mod scan;
mod shm;
mod slot;
mod sockets;
mod system_calls;
mod table;
#[cfg(test)]
mod testing;
pub mod tree;
pub mod watchdog;
mod witness;

pub use claim::Claim;
pub use error::Error;
pub use ping::Ping;
pub use pulse::{Pulse, given_slot};
pub use row::{Hung, Outcome, Row, SlotState};
pub use scan::Sight;
pub use slot::Slot;
pub use table::Table;
pub use witness::{Folders, record};
