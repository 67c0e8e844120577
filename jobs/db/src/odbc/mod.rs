//! Any database that has an ODBC driver, by `odbc-api`. `odbc:` and the driver manager's connection string:
//! `odbc:DRIVER=/usr/lib/x86_64-linux-gnu/odbc/psqlodbcw.so;SERVER=127.0.0.1;DATABASE=app;UID=app;PWD=…`. A cargo feature, off by
//! default, since the program then needs libodbc to start.
//!
//! - **Who is behind it** is asked by SQLGetInfo. PostgreSQL, MySQL, MariaDB, SQLite and SQL Server are spoken to in their own SQL,
//!   with the dictionary and the list of open transactions of their own backends (`engine.rs`). Of all others SQLColumns and
//!   SQLPrimaryKeys tell columns and primary keys, no unique keys and no computed columns; their SQL is plain (`dialect.rs`).
//! - **Values**: text goes both ways as UTF-16, so that no locale matters; floats come as doubles, bytes as bytes. Columns of a
//!   known small size are fetched by blocks; as soon as one has none, cells are fetched one by one: nothing is ever cut, and a driver
//!   that told a wrong size is an error.
//! - **Names of a result's columns** are what the driver tells, and MariaDB's cuts some that are not ASCII: `AS` gives them others.
//! - **SQL that is not ASCII** is refused where it would not come through whole: unixODBC translates it for drivers without Unicode
//!   (SQLite's) by the locale of the process, or by `IconvEncoding=UTF-8` in the driver's section of odbcinst.ini.
//! - **Kinds of a result** are what the driver tells of it. It has no word for a time with a zone, nor for JSON; the dictionary has.
//! - **Loading**: arrays of rows in one INSERT, within a savepoint; what is refused is split until each bad row stands alone.
//! - **Waiting**: the connection lives on a thread of its own, as a driver's call cannot be given a deadline. PostgreSQL and MySQL are told
//!   by a second connection to end a statement; with other drivers the connection is given up, and its transaction with it.
//! - **Memory**: PostgreSQL's driver keeps whole results unless the string says `UseDeclareFetch=1`, MariaDB's unless it says
//!   `FORWARDONLY=1;NO_CACHE=1`.
//! - **Errors**: by the server's own code where the driver hands it over, else by SQLSTATE.

mod catalog;
mod connection;
mod dialect;
mod engine;
mod fault;
mod fetch;
mod insert;
mod lite;
mod loader;
mod long;
mod pieces;
mod plan;
mod rows;
mod session;
mod shape;
mod stop;
mod value;
mod worker;

use crate::Driver;

/// The backend's line in the list.
pub const DRIVER: Driver = Driver {
    name: "odbc",
    schemes: &["odbc"],
    connect: connection::connect,
    dialect: &dialect::QUOTED,
};
