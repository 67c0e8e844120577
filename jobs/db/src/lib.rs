//! One face for all databases: a URL opens a connection, rows pass as borrowed text.
//!
//! A [`Cell`] is NULL or UTF-8 text in the one written form of its type ([`form`]), the same on every
//! backend: that alone makes "any database to any database" true, and `tests/conformance` is its
//! definition. This room knows no job, no file format and no schedule.
//!
//! A backend is one folder beside [`sqlite`], one line in [`DRIVERS`] and one line in the conformance suite.

mod any_certificate;
pub mod bind;
mod block;
mod broken;
mod connection;
mod dialect;
mod dictionary;
mod driver;
mod error;
pub mod form;
mod gathering;
mod instant;
mod keys;
mod lexer;
mod marks;
pub mod mssql;
pub mod mysql;
#[cfg(feature = "odbc")]
pub mod odbc;
pub mod oracle;
pub mod postgres;
mod sheaf;
mod snapshot;
pub mod sqlite;
pub mod statement;
mod suspect;
mod tabbed;
mod tls;
mod transactions;
mod url;
pub mod words;

pub use any_certificate::AnyCertificate;
pub use connection::{
    Canceller, Cell, Cells, Column, Connection, Load, Loaded, Loader, Mode, Reject, Row, Rows,
};
pub use dialect::{Change, Dialect, LOT, Lexis, Stage};
pub use dictionary::{ColumnInfo, Kind, TableInfo, TableName};
pub use driver::{DRIVERS, Driver, Options, connect, dialect_of};
pub use error::{Constraint, Error, ErrorKind};
pub use sheaf::Sheaf;
pub use snapshot::share_snapshot;
pub use transactions::{Transaction, Transactions, still_open};
pub use url::{Host, Tls, Url};

/// What every call of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;
