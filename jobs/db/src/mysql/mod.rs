//! MySQL 5.7 and newer, MariaDB 10.4 and newer, by the `mysql_async` driver behind a small runtime of each connection's own.
//! `mysql://user:password@host:port,host/database`; a host that begins with `/` is the path of a Unix socket.
//!
//! - **Values**: queries are prepared, as binary results keep every digit of a FLOAT, which text results cut to six; what cannot
//!   be prepared runs as text.
//! - **Session**: utf8mb4, UTC, strict: what a column cannot hold is refused, never bent. 0 is 0 also in a numbered column.
//! - **Time limits**: every wait ends. A statement that takes too long is stopped by KILL QUERY on a second connection; MariaDB
//!   counts the time of what is no query by itself, too. A server that does not even answer that is given up.
//! - **Loading**: LOAD DATA LOCAL from memory, see `offer.rs` for what a server can ask for and `sorter.rs` for how bad rows are
//!   found; strict rows where the server forbids it. Upserts go through a temporary table, see `stage.rs`.
//! - **Tables without transactions** (MyISAM, Aria) are refused before anything is loaded.
//! - **DDL commits** the transaction that it stands in.
//! - **Errors**: by the server's error number.

mod block;
mod connection;
mod dialect;
pub(crate) mod dictionary;
mod fault;
mod kind;
mod link;
mod loader;
mod login;
mod offer;
mod plan;
mod refused;
mod rows;
mod sorter;
mod stage;
mod stop;
mod target;
mod transactions;
mod value;
mod warnings;

use crate::Driver;

#[cfg(feature = "odbc")]
pub(crate) use {fault::kind_of, login::settings, transactions::open as open_transactions};

/// The backend's line in the list.
pub const DRIVER: Driver = Driver {
    name: "mysql",
    schemes: &["mysql", "mariadb"],
    connect: connection::connect,
    dialect: &dialect::Mysql,
};
