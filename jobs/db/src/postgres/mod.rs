//! PostgreSQL 12 and newer, carried by `tokio-postgres` on a small runtime of the connection's own; nothing outside this
//! folder sees it. `postgres://user:password@host:port,host/database`; a host that begins with `/` is the folder of a
//! Unix socket. TLS by `?tls=none|prefer|require|verify`, with `ca=FILE` for a private authority.
//!
//! - **Session**: UTF-8, UTC, ISO dates, shortest floats, money without a country. A pooler between must keep sessions
//!   (pgbouncer: `pool_mode = session`), as settings and prepared statements live in them.
//! - **Values** pass as the server's own text, so that every type is exact, those of extensions among them: parameters are
//!   bound as text, rows come by the simple protocol, which answers in text. A query with parameters, or in a transaction
//!   that writes, goes through a cursor and comes in portions; any other is streamed and cancelled when it is left early.
//! - **Transactions**: a statement that [`crate::Connection::execute`] runs within a transaction has a savepoint of its own, so
//!   that a refused one leaves the transaction as it was, as on other databases. A refused query ends a transaction that writes.
//! - **Time limits**: `statement_timeout` on the server, and a limit of this side, which also notices a server that falls
//!   silent: no answer in time, and a cancel request goes out on a connection of its own; no end then either, and the
//!   connection is given up. A result set's limit is for each fetch.
//! - **Loading**: COPY, in chunks with a savepoint each; only a chunk with a bad row in it is sorted out, see `refused.rs`.
//! - **Errors**: by SQLSTATE.

mod alone;
mod cancel;
mod connection;
mod copy;
mod dialect;
pub(crate) mod dictionary;
mod doubles;
mod fault;
mod following;
mod kept;
mod kind;
mod line;
mod loader;
mod login;
mod opening;
mod param;
mod plan;
mod portion;
mod refused;
mod rows;
mod session;
mod spelling;
mod tls;
mod transactions;
mod verb;
mod watch;

use crate::Driver;

#[cfg(feature = "odbc")]
pub(crate) use {fault::kind_of, transactions::open as open_transactions};

/// The backend's line in the list.
pub const DRIVER: Driver = Driver {
    name: "postgres",
    schemes: &["postgres", "postgresql"],
    connect: connection::connect,
    dialect: &dialect::Postgres,
};
