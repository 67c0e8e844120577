//! The database servers that stories play on: those that the environment names (`POSTGRES_URL`, `MARIADB_URL`, an account that may create
//! databases), else private ones of `scripts/services`, started once for all stories, which end when this process does.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/services");

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

/// What `scripts/services` tells of a server for all stories: `proftpd`, `nginx`.
pub(crate) fn variables(service: &str) -> HashMap<String, String> {
    start(service)
}

/// Starts one server for all stories.
fn start(service: &str) -> HashMap<String, String> {
    static HELD: Mutex<Vec<Child>> = Mutex::new(Vec::new());
    let (told, holder) = hold(service);
    HELD.lock()
        .expect("nobody panics with the list")
        .push(holder);
    told
}

/// Starts one server, held by a pipe that closes with this process; what it tells of itself.
fn hold(service: &str) -> (HashMap<String, String>, Child) {
    let mut child = Command::new(SCRIPT)
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
    (variables, child)
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
    try_ask(url, sql).unwrap_or_else(|why| panic!("{sql}: {why}"))
}

/// As [`ask`], where the server may be down.
pub(crate) fn try_ask(url: &str, sql: &str) -> Result<String, String> {
    let option = if url.starts_with("postgres:") {
        "-c"
    } else {
        "-e"
    };
    let output = client(url)
        .args([option, sql])
        .output()
        .expect("running the server's client");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let told = String::from_utf8(output.stdout).expect("UTF-8");
    Ok(told.replace('\t', "|"))
}

/// The server's own client, which takes SQL from its standard input unless it is given some.
pub(crate) fn client(url: &str) -> Command {
    if url.starts_with("postgres:") {
        let mut psql = Command::new("psql");
        psql.args(["-qAtX", "-v", "ON_ERROR_STOP=1", url]);
        return psql;
    }
    let rest = url.strip_prefix("mysql://").expect("a URL of MySQL");
    let (account, place) = rest.split_once('@').expect("an account");
    let (user, password) = account.split_once(':').expect("a password");
    let (host, database) = place.split_once('/').expect("a database");
    let (host, port) = host.split_once(':').expect("a port");
    let mut client = Command::new("mariadb");
    client
        .args(["--no-defaults", "-N", "-B", "-n", "-h", host, "-P", port])
        .args(["-u", user, "-D", database])
        .env("MYSQL_PWD", password);
    client
}

/// A server for one story alone, which may do to it what it likes; it ends with this.
pub(crate) struct Private {
    pub(crate) url: String,
    service: &'static str,
    folder: String,
    holder: Child,
}

impl Private {
    /// Starts one: `postgres`, `mariadb` or `proftpd`, whose URL is its host and port alone.
    pub(crate) fn start(service: &'static str) -> Private {
        let (mut told, holder) = hold(service);
        let url = match service {
            "proftpd" => "FTP_HOST".to_owned(),
            _ => format!("{}_URL", service.to_uppercase()),
        };
        let mut take = |name: &str| told.remove(name).expect("scripts/services tells it");
        Private {
            url: take(&url),
            service,
            folder: take("SERVICES_DIR"),
            holder,
        }
    }

    /// The folder with all that is the server's.
    pub(crate) fn folder(&self) -> &str {
        &self.folder
    }

    /// Kills the server with SIGKILL.
    pub(crate) fn kill(&self) {
        self.script("kill");
    }

    /// Starts it again, on the same port, with what it had made durable.
    pub(crate) fn revive(&self) {
        self.script("revive");
    }

    fn script(&self, command: &str) {
        let ended = Command::new(SCRIPT)
            .args([command, &self.folder, self.service])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("running scripts/services");
        assert!(
            ended.success(),
            "{command} {} in {}",
            self.service,
            self.folder
        );
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // the end of its input is the end of the server
        drop(self.holder.stdin.take());
        let _reaped = self.holder.wait();
    }
}
