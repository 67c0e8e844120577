//! What only PostgreSQL has.

mod reading;
mod rejects;
mod trouble;

use crate::place::{self, Place, cells, count, load, rows, t, value};
use db::{Connection, Constraint, ErrorKind, Load, Mode, Reject};
use std::process::Command;
use std::time::{Duration, Instant};

fn with(sql: &str) -> (Place, Box<dyn Connection>) {
    let place = place::postgres();
    let mut connection = place.connect();
    connection.batch(sql).unwrap();
    (place, connection)
}

fn flat(connection: &mut dyn Connection, sql: &str) -> Vec<String> {
    rows(connection, sql)
        .into_iter()
        .flatten()
        .flatten()
        .collect()
}
