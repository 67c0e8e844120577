//! What only MySQL and MariaDB have.

mod keys;
mod loading;
mod silence;

use crate::place::{self, Place, load, rows, t};
use db::{Connection, Constraint, ErrorKind, Kind, Load, Mode, Options};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

fn with(sql: &str) -> (Place, Box<dyn Connection>) {
    let place = place::mysql();
    let mut connection = place.connect();
    connection.batch(sql).unwrap();
    (place, connection)
}

fn flat(connection: &mut dyn Connection, sql: &str) -> Vec<String> {
    let null = || "NULL".to_owned();
    let cells = rows(connection, sql).into_iter().flatten();
    cells.map(|cell| cell.unwrap_or_else(null)).collect()
}
