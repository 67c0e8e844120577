//! SQL Server 2016 and newer, Azure SQL, by the `tiberius` driver behind a small runtime of each connection's own.
//! `mssql://user:password@host:port,host/database`; parameters `ca`, `busy-timeout`, `packet-size`.
//!
//! **Not run against a live server**: its SQL, types, forms and error numbers are tested by themselves, its connections
//! against peers that refuse, fall silent or speak nonsense.
//!
//! - **Values** come as the protocol's own types and are written in the one form here. `money` comes as a float: what a float does
//!   not hold exactly is refused, a CAST to DECIMAL(19,4) tells it.
//! - **Session**: ANSI settings, ISO dates, READ COMMITTED; an error undoes its statement, not the transaction.
//! - **Time limits**: every wait ends. A statement that takes too long, or is cancelled, is ended by the protocol's attention
//!   signal; a server that does not even answer that is given up.
//! - **Loading**: rows go by bulk insert as text into a temporary table, are converted there by TRY_CONVERT, which tells bad values
//!   row by row and column by column, and from there in one statement into the table (`plan.rs`). What a rule refuses is split until each
//!   bad row stands alone.
//! - **Snapshots** need `ALTER DATABASE … SET ALLOW_SNAPSHOT_ISOLATION ON`.
//! - **Late commits** are seen with the right VIEW SERVER STATE (`transactions.rs`).
//! - **Text** of `char` and `varchar` columns must fit the column's code page; what does not is refused, never a question mark.
//! - **Statements** of one text are told apart by semicolons alone, where a statement that ends the transaction is looked for.
//! - **TLS** by the process's provider; `tls=prefer` encrypts where the server can.

mod carry;
mod connection;
mod dialect;
mod dictionary;
mod fault;
mod kind;
mod link;
mod loader;
mod login;
mod order;
mod plan;
mod rows;
mod stage;
mod stop;
mod target;
mod transactions;
mod value;

use crate::Driver;

/// The backend's line in the list.
pub const DRIVER: Driver = Driver {
    name: "mssql",
    schemes: &["mssql", "sqlserver"],
    connect: connection::connect,
    dialect: &dialect::Mssql,
};

#[cfg(feature = "odbc")]
pub(crate) use fault::kind_of;
