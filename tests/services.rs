//! The database servers that stories play on: those that the environment names (`POSTGRES_URL`, `MARIADB_URL`, an account that may create
//! databases), else private ones of `scripts/services`, started once for all stories, which end when this process does.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

/// URL of a PostgreSQL server.
pub(crate) fn postgres() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| find("POSTGRES_URL", "postgres"))
}

/// URL of a MariaDB server.
pub(crate) fn mariadb() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| find("MARIADB_URL", "mariadb"))
}

fn find(variable: &str, service: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        let told = start(service);
        told.get(variable)
            .unwrap_or_else(|| panic!("scripts/services told no {variable}"))
            .clone()
    })
}

/// Starts one server, held by a pipe that closes with this process.
fn start(service: &str) -> HashMap<String, String> {
    static HELD: Mutex<Vec<Child>> = Mutex::new(Vec::new());
    let mut child = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/services"))
        .args(["hold", service])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starting scripts/services");
    let told = child.stdout.take().expect("its output is piped");
    let lines = BufReader::new(told).lines().map_while(Result::ok);
    let variables = lines
        .take_while(|line| line != "ready")
        .filter_map(|line| {
            line.split_once('=')
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        })
        .collect();
    HELD.lock()
        .expect("nobody panics with the list")
        .push(child);
    variables
}

/// The URL of a fresh database of that name on the server, which replaces an older one.
pub(crate) fn database(server: &str, name: &str) -> String {
    ask(server, &format!("DROP DATABASE IF EXISTS {name}"));
    ask(server, &format!("CREATE DATABASE {name}"));
    let (rest, _) = server.rsplit_once('/').expect("a URL with a database");
    format!("{rest}/{name}")
}

/// Runs SQL by the server's own client; rows come as lines, fields apart by `|`.
pub(crate) fn ask(url: &str, sql: &str) -> String {
    let mut client = if url.starts_with("postgres:") {
        let mut psql = Command::new("psql");
        psql.args(["-qAtX", "-v", "ON_ERROR_STOP=1", url, "-c", sql]);
        psql
    } else {
        mariadb_client(url, sql)
    };
    let output = client.output().expect("running the server's client");
    assert!(
        output.status.success(),
        "{sql}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .expect("UTF-8")
        .replace('\t', "|")
}

fn mariadb_client(url: &str, sql: &str) -> Command {
    let rest = url.strip_prefix("mysql://").expect("a URL of MySQL");
    let (account, place) = rest.split_once('@').expect("an account");
    let (user, password) = account.split_once(':').expect("a password");
    let (host, database) = place.split_once('/').expect("a database");
    let (host, port) = host.split_once(':').expect("a port");
    let mut client = Command::new("mariadb");
    client
        .args([
            "--no-defaults",
            "-N",
            "-B",
            "-h",
            host,
            "-P",
            port,
            "-u",
            user,
        ])
        .args(["-e", sql, database])
        .env("MYSQL_PWD", password);
    client
}
