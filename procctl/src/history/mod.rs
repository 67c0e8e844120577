//! The history: one entry for each run that has ended. The recorder stores them, `procctl
//! history` shows them. Only this room uses SQLite.

pub mod list;
mod reading;
mod retention;
mod store;
mod tables;

pub use reading::{History, Unreadable};
pub use retention::Retention;
pub use store::Store;
