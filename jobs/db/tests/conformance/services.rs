//! The servers that backends are tried on: those that the environment names (`POSTGRES_URL`, `MARIADB_URL`, an account that
//! may create databases), else private ones of `scripts/services`, which end when this process does.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

/// What is known of a server.
pub(crate) struct Server {
    pub(crate) url: String,
    /// The certificate that proves it.
    pub(crate) ca: Option<String>,
    pub(crate) socket: Option<String>,
}

pub(crate) fn postgres() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| find("POSTGRES", "postgres"))
}

pub(crate) fn mariadb() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| find("MARIADB", "mariadb"))
}

fn find(prefix: &str, service: &str) -> Server {
    let mut told = match std::env::var(format!("{prefix}_URL")) {
        Ok(_) => std::env::vars().collect(),
        Err(_) => start(service),
    };
    Server {
        url: told
            .remove(&format!("{prefix}_URL"))
            .unwrap_or_else(|| panic!("scripts/services started no {service}")),
        ca: told.remove(&format!("{prefix}_CA")),
        socket: told.remove(&format!("{prefix}_SOCKET")),
    }
}

/// Starts one server, held by a pipe that closes with this process.
fn start(service: &str) -> HashMap<String, String> {
    static HELD: Mutex<Vec<Child>> = Mutex::new(Vec::new());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/services");
    let mut child = Command::new(script)
        .args(["hold", service])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = HashMap::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line == "ready" {
            break;
        }
        if let Some((name, value)) = line.split_once('=') {
            told.insert(name.to_owned(), value.to_owned());
        }
    }
    HELD.lock().unwrap().push(child);
    told
}
