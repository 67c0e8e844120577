//! MySQL 5.7 and newer, MariaDB 10.4 and newer, by their own protocol, without a driver in between.
//! `mysql://user:password@host:port,host/database`; a host that begins with `/` is the path of a Unix socket.
//!
//! - **Why no driver**: a cell is lent from the input buffer, time limits hold for each wait and can change, and rows that are
//!   loaded go out while they are made. Queries are prepared: their binary results keep every digit of a FLOAT, which the
//!   text results cut to six.
//! - **Session**: utf8mb4, UTC, strict: what a column cannot hold is refused, never bent. 0 is 0 also in a numbered column.
//! - **Loading**: LOAD DATA LOCAL from memory. The server asks for the file by name; nothing but the rows of our own running
//!   statement is ever sent, and no file is ever opened. The server bends bad values there and only counts warnings, so a chunk
//!   with a warning is taken back and inserted in strict rows, see `loader.rs`; the same where it forbids LOCAL.
//! - **DDL commits** the transaction that it stands in.
//! - **Errors**: by the server's error number.

mod auth;
mod connection;
mod dialect;
mod dictionary;
mod fault;
mod instant;
mod kind;
mod lengths;
mod load_data;
mod loader;
mod login;
mod plan;
mod refused;
mod rows;
mod statement;
mod target;
mod transactions;
mod value;
mod wire;

use crate::Driver;

/// The backend's line in the list.
pub const DRIVER: Driver = Driver {
    name: "mysql",
    schemes: &["mysql", "mariadb"],
    connect: connection::connect,
    dialect: &dialect::Mysql,
};
