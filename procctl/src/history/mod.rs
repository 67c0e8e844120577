//! The history: one entry for each run that has ended. The recorder stores them, `procctl
//! history` shows them. Only this room uses SQLite.

pub mod list;
mod reading;
mod store;
mod tables;

pub use reading::{History, Unreadable};
pub use store::{Retention, Store};
