//! PostgreSQL 12 and newer, by its own protocol (version 3), without a driver in between.
//! `postgres://user:password@host:port,host/database`; a host that begins with `/` is the folder of a Unix socket.
//!
//! - **Why no driver**: Rust's drivers ask for binary results only, so that each type, every extension's among them, would
//!   have to be spelled out here. The protocol's text results are the written form of nearly all types, can be lent from the
//!   input buffer, and parameters go as text, to be understood as the statement needs them.
//! - **Session**: UTF-8, UTC, ISO dates, shortest floats. Rows are fetched in portions, the next one asked for ahead; a result
//!   set that is dropped early costs what is under way.
//! - **Transactions**: a statement that [`crate::Connection::execute`] runs within a transaction has a savepoint of its own, so
//!   that a refused one leaves the transaction as it was, as on other databases. A refused query ends it.
//! - **Time limits** are kept here: no answer within the statement timeout, and a cancel request goes out on a connection of its own.
//! - **Loading**: COPY, in chunks with a savepoint each; only a chunk with a bad row in it is sorted out, see `loader.rs`.
//! - **Errors**: by SQLSTATE.

mod connection;
mod dialect;
mod dictionary;
mod fault;
mod kind;
mod loader;
mod login;
mod plan;
mod refused;
mod rows;
mod transactions;
mod wire;

use crate::Driver;

/// The backend's line in the list.
pub const DRIVER: Driver = Driver {
    name: "postgres",
    schemes: &["postgres", "postgresql"],
    connect: connection::connect,
    dialect: &dialect::Postgres,
};
