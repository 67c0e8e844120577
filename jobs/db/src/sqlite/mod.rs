//! SQLite, compiled in. `sqlite:PATH`, relative to the base folder; `sqlite::memory:` for tests.
//!
//! - **Durability**: `synchronous=FULL`: a commit is on disk. A database made here gets the WAL journal, in which readers
//!   and the one writer do not block each other; an existing file keeps the journal that it has (`?journal=wal` or `delete` changes it).
//! - **Locks**: a wait for other writers lasts up to `?busy-timeout=10s`, can be cancelled, and then is `Busy`.
//! - **Types**: SQLite keeps what it is given; `kind.rs` maps declared types, the loader holds rows to them.
//!   A NUMERIC column holds no more than a float can: a decimal that would change there is refused, so declare TEXT for long ones.
//! - **Errors**: by extended result codes. `SQLITE_ERROR` at prepare time covers syntax and missing names alike.

mod connection;
mod dialect;
mod dictionary;
mod fault;
mod kind;
mod loader;
mod parents;
mod rows;
#[cfg(test)]
mod tests;
mod value;
mod watch;

use crate::Driver;

#[cfg(feature = "odbc")]
pub(crate) use {
    dictionary::mark_rowid,
    kind::{kind, length},
};

/// The backend's line in the list.
pub const DRIVER: Driver = Driver {
    name: "sqlite",
    schemes: &["sqlite"],
    connect: connection::connect,
    dialect: &dialect::Sqlite,
};
