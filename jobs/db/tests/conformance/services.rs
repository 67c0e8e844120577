//! The servers that backends are tried on: those that the environment names (`POSTGRES_URL`, `MARIADB_URL`, an account that
//! may create databases), else private ones of `scripts/services`, which end when this process does.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

pub(crate) fn postgres() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| find("POSTGRES_URL", "postgres"))
}

pub(crate) fn mariadb() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| find("MARIADB_URL", "mariadb"))
}

fn find(variable: &str, service: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| start(service, variable))
}

/// Starts one server, held by a pipe that closes with this process.
fn start(service: &str, variable: &str) -> String {
    static HELD: OnceLock<std::sync::Mutex<Vec<Child>>> = OnceLock::new();
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
    HELD.get_or_init(Default::default).lock().unwrap().push(child);
    told.remove(variable).unwrap_or_else(|| panic!("scripts/services started no {service}"))
}
