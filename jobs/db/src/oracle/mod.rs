//! Oracle Database 12 and newer, by Oracle's own thin driver `oracledb`: no client libraries.
//! `oracle://user:password@host:port,host/service`; `tls=require` or `verify` speaks TCPS, whose listener has a port of its own (2484
//! unless the URL says otherwise).
//!
//! **Never run against a live server.** SQL, type forms and error numbers are tested as text, what happens to connections is tested
//! against a listener of the tests' own; the rest is the word of Oracle's documentation and of the driver's.
//!
//! - **The line**: the driver speaks to the server through a relay in this process, see `wire.rs`: that gives every wait an end, lets
//!   statements be stopped, and brings TLS. Server answers that are no packets end the connection; what is inside packets the driver
//!   trusts, so a forged server could still make it break down.
//! - **Names** of one case mean any case, see `name.rs`.
//! - **Empty texts are NULL** to Oracle: so they are loaded, and a NOT NULL column refuses them.
//! - **Session**: UTC, texts compare by bytes, numbers have a point. A DATE has a time, so it is a timestamp here. There is no type
//!   for a time of day alone.
//! - **Character sets**: what the database's own does not hold is refused, never bent; see `charset.rs`.
//! - **Loading**: array binds. The driver does not ask for the errors of single rows, so a refused batch is taken back and halved until
//!   the bad rows stand alone. Upserts are MERGEs, see `plan.rs`.
//! - **Transactions** begin by themselves; each statement outside one of ours is committed. DDL commits.
//! - **Time limits**: a statement is interrupted, then the line is cut. Locks of rows know no limit of their own: `busy-timeout`
//!   counts for DDL, a locked row is waited for as long as a statement may take.
//! - **Errors**: by ORA numbers.

mod batch;
mod charset;
mod connection;
mod dialect;
mod dictionary;
mod fault;
mod frame;
mod gate;
mod kind;
mod link;
mod loader;
mod login;
mod name;
mod plan;
mod redirect;
mod rows;
mod script;
mod target;
mod transactions;
mod value;
mod wire;

use crate::Driver;

/// The backend's line in the list.
pub const DRIVER: Driver = Driver {
    name: "oracle",
    schemes: &["oracle"],
    connect: connection::connect,
    dialect: &dialect::Oracle,
};
