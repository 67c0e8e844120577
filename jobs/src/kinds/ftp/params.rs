//! The parameters of `ftp`, as a job file says them.

use jobfile::{Interval, Patterns, Size, Zone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::encoding_of;
use crate::job::Invalid;
use crate::moving::{Then, every_name, keep, two_seconds, yes};

/// Connections that one server may be asked for.
const MOST_CONNECTIONS: u32 = 64;

/// Files go between folders here and folders of the server, each version once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Params {
    /// The server.
    pub(super) server: Server,
    /// Files that come from the server. All `<get>` are worked on before the first `<put>`.
    #[serde(rename = "get", default)]
    pub(super) gets: Vec<Get>,
    /// Files that go to the server.
    #[serde(rename = "put", default)]
    pub(super) puts: Vec<Put>,
}

/// The server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Server {
    /// Name or address, and a port where it is not 21: `ftp.example`, `10.0.0.1:2121`, `[::1]:21`.
    pub(super) host: String,
    /// The account.
    #[serde(default = "anonymous")]
    pub(super) user: String,
    /// Its password; better `${file:PATH}` or `${env:NAME}` than the word itself.
    #[serde(default)]
    pub(super) password: Option<String>,
    /// `none`: as it always was, readable on the wire; `explicit`: FTPS, commands and data are encrypted.
    #[serde(default)]
    pub(super) tls: Tls,
    /// With `tls="explicit"`: a PEM file of the authorities that the server's certificate may come from, or of the
    /// server's own certificate. The system's authorities unless given.
    #[serde(default)]
    pub(super) ca: Option<String>,
    /// Who opens data connections: the client (`passive`, by PASV; `extended`, by EPSV), the server (`active`); `auto` is
    /// `extended` where the server offers it, else `passive`.
    #[serde(default)]
    pub(super) mode: Mode,
    /// The encoding of file names, any WHATWG name: `gbk`, `big5`, `windows-1252`. UTF-8 unless given.
    #[serde(default)]
    pub(super) encoding: Option<String>,
    /// How folders are listed: `mlsd`, `list`, or `auto`: by MLSD where the server offers it.
    #[serde(default)]
    pub(super) listing: Listing,
    /// The zone of the times in a listing by LIST, `Asia/Shanghai` say. Unless given it is found out by MDTM, else UTC.
    #[serde(default)]
    pub(super) server_tz: Option<Zone>,
    /// How long the server may be silent.
    #[serde(default = "half_a_minute")]
    pub(super) timeout: Interval,
    /// How often a step is tried again after the connection broke or the server was busy, 1s, 2s, 4s and so on apart.
    #[serde(default = "three")]
    pub(super) retries: u32,
    /// Bytes a second at most, all connections together.
    #[serde(default)]
    pub(super) rate: Option<Size>,
}

/// How the connection is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Tls {
    /// Not at all.
    #[default]
    None,
    /// By AUTH TLS on the usual port.
    Explicit,
}

/// Who opens data connections, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// The client: EPSV where it is offered or IPv6 asks for it, else PASV.
    #[default]
    Auto,
    /// The client, by PASV.
    Passive,
    /// The client, by EPSV.
    Extended,
    /// The server, by PORT or EPRT.
    Active,
}

/// How folders are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Listing {
    /// By MLSD where it is offered, else by LIST.
    #[default]
    Auto,
    /// By MLSD.
    Mlsd,
    /// By LIST.
    List,
}

/// Files that come from the server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Get {
    /// The folder on the server; relative to the one that the login leads to unless it begins with `/`.
    pub(super) from: String,
    /// The folder here; it is made.
    pub(super) to: String,
    /// Patterns of the names, comma-separated. Names that begin with a dot are left alone.
    #[serde(rename = "match", default = "every_name")]
    pub(super) pattern: Patterns,
    /// Whether folders in the folder are looked into, too; they are made here.
    #[serde(default)]
    pub(super) recurse: bool,
    /// What becomes of the file on the server: `keep` (only new and changed files are fetched), `delete`, `move:DIR` (a folder there).
    #[serde(default = "keep")]
    pub(super) then: String,
    /// How many files at a time, each over a connection of its own.
    #[serde(default = "one")]
    pub(super) connections: u32,
    /// A file is taken when two listings so far apart show the same size and time. Zero: at once.
    #[serde(default = "two_seconds")]
    pub(super) stable: Interval,
}

/// Files that go to the server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Put {
    /// The folder here.
    pub(super) from: String,
    /// The folder on the server; relative to the one that the login leads to unless it begins with `/`. It is made.
    pub(super) to: String,
    /// Patterns of the names, comma-separated. Names that begin with a dot are left alone.
    #[serde(rename = "match", default = "every_name")]
    pub(super) pattern: Patterns,
    /// Whether folders in the folder are looked into, too; they are made there.
    #[serde(default)]
    pub(super) recurse: bool,
    /// What becomes of the file here: `keep` (only new and changed files are sent), `delete`, `move:DIR`.
    #[serde(default = "keep")]
    pub(super) then: String,
    /// How many files at a time, each over a connection of its own.
    #[serde(default = "one")]
    pub(super) connections: u32,
    /// How long a file must have been unchanged. Files that are open for writing are never taken.
    #[serde(default = "two_seconds")]
    pub(super) stable: Interval,
    /// Whether files are sent under a temporary name (leading dot) and renamed when they are complete. `false` is for servers
    /// that allow no renaming: there, others see files grow.
    #[serde(default = "yes")]
    pub(super) temporary: bool,
}

fn anonymous() -> String {
    "anonymous".to_owned()
}
const fn half_a_minute() -> Interval {
    Interval::secs(30)
}
const fn one() -> u32 {
    1
}
const fn three() -> u32 {
    3
}

impl Server {
    /// Host and port.
    pub(super) fn place(&self) -> Result<(&str, u16), String> {
        let bad = || format!("`{}` is no HOST or HOST:PORT", self.host);
        let (host, port) = if let Some(rest) = self.host.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').ok_or_else(bad)?;
            match rest.strip_prefix(':') {
                Some(port) => (host, port.parse().map_err(|_| bad())?),
                None if rest.is_empty() => (host, 21),
                None => return Err(bad()),
            }
        } else {
            match self.host.split_once(':') {
                // more than one colon: an address of IPv6 without brackets
                Some((_, port)) if port.contains(':') => (self.host.as_str(), 21),
                Some((host, port)) => (host, port.parse().map_err(|_| bad())?),
                None => (self.host.as_str(), 21),
            }
        };
        if host.is_empty() || port == 0 || host.contains(['/', '@', ' ']) {
            return Err(bad());
        }
        Ok((host, port))
    }
}

impl Params {
    /// Whether the parameters fit together.
    pub(super) fn check(&self) -> Result<(), Invalid> {
        self.server
            .place()
            .map_err(|why| Invalid::new("server.host", why))?;
        self.check_server()?;
        if self.gets.is_empty() && self.puts.is_empty() {
            return Err(Invalid::new(
                "",
                "names nothing to <get> and nothing to <put>",
            ));
        }
        for (i, get) in self.gets.iter().enumerate() {
            check_move(
                &format!("get[{}]", i + 1),
                &get.from,
                &get.to,
                &get.then,
                get.connections,
            )?;
        }
        for (i, put) in self.puts.iter().enumerate() {
            check_move(
                &format!("put[{}]", i + 1),
                &put.from,
                &put.to,
                &put.then,
                put.connections,
            )?;
        }
        Ok(())
    }

    fn check_server(&self) -> Result<(), Invalid> {
        let server = &self.server;
        if let Some(name) = &server.encoding
            && encoding_of(name).is_none()
        {
            return Err(Invalid::new(
                "server.encoding",
                format!("`{name}` is no encoding that is known"),
            ));
        }
        if server.ca.is_some() && server.tls == Tls::None {
            return Err(Invalid::new(
                "server.ca",
                "a certificate proves nothing without tls=\"explicit\"",
            ));
        }
        if server.timeout.0.is_zero() {
            return Err(Invalid::new(
                "server.timeout",
                "no server answers in no time",
            ));
        }
        if server.rate.is_some_and(|rate| rate.0 == 0) {
            return Err(Invalid::new(
                "server.rate",
                "at 0 bytes a second nothing would ever move",
            ));
        }
        Ok(())
    }
}

fn check_move(at: &str, from: &str, to: &str, then: &str, connections: u32) -> Result<(), Invalid> {
    for (name, dir) in [("from", from), ("to", to)] {
        if dir.is_empty() || dir.contains(['\r', '\n', '\0']) {
            return Err(Invalid::new(format!("{at}.{name}"), "names no folder"));
        }
    }
    then.parse::<Then>()
        .map_err(|why| Invalid::new(format!("{at}.then"), why))?;
    if !(1..=MOST_CONNECTIONS).contains(&connections) {
        return Err(Invalid::new(
            format!("{at}.connections"),
            format!("must be between 1 and {MOST_CONNECTIONS}"),
        ));
    }
    Ok(())
}
