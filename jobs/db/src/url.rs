//! Database URLs: scheme, credentials, hosts, database, parameters. Parses text only; opens nothing.
//!
//! Credentials never show in `Debug`, `Display` or errors.

use crate::{Error, ErrorKind, Result};
use std::fmt;
use std::time::Duration;

/// A database URL taken apart. Its `Display` and `Debug` leave the credentials out.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// What stands before the first colon, in lower case.
    pub scheme: String,
    /// The account.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<String>,
    /// Hosts to try in turn.
    pub hosts: Vec<Host>,
    /// The database, service or file; for `odbc:` the whole connection string.
    pub database: String,
    /// How the connection is protected.
    pub tls: Tls,
    /// How long to try each host.
    pub connect_timeout: Option<Duration>,
    /// How long one statement may take; zero is for ever.
    pub statement_timeout: Option<Duration>,
    /// What only some backends know, such as `mode` (SQLite) or `ca` (servers).
    params: Vec<(String, String)>,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Name or address, IPv6 without its brackets.
    pub name: String,
    /// Port; `None` is the backend's usual one.
    pub port: Option<u16>,
}

/// How a connection is protected (`?tls=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tls {
    /// Never.
    None,
    /// If the server can; the default.
    #[default]
    Prefer,
    /// Always, whoever the server is.
    Require,
    /// Always, and the certificate must be the host's.
    Verify,
}

impl Url {
    /// What the first host gives that `enter` reaches; else the error of the last one that was tried.
    pub(crate) fn first_host<T>(&self, mut enter: impl FnMut(&Host) -> Result<T>) -> Result<T> {
        let mut last = Error::new(ErrorKind::Invalid, format!("connecting to {self}"))
            .because("the URL names no host");
        for host in &self.hosts {
            match enter(host) {
                Ok(entered) => return Ok(entered),
                Err(error) => last = error,
            }
            // another host would say the same of a wrong password or a missing database
            if !last.is_transient() && last.kind() != ErrorKind::Other {
                break;
            }
        }
        Err(last)
    }

    /// Takes a URL apart.
    ///
    /// `scheme://user:password@host:port,host:port/database?parameters`, or `scheme:rest?parameters` for files;
    /// what follows `odbc:` is left whole. Everything up to the last `@` before the parameters is credentials, so
    /// that a password may hold `@`, `/` and `:` as they are; `%` escapes are undone, a lone `%` is itself.
    pub fn parse(text: &str) -> Result<Url> {
        let (scheme, rest) = text
            .trim()
            .split_once(':')
            .filter(|(scheme, _)| is_scheme(scheme))
            .ok_or_else(|| invalid("", "it does not begin with a scheme such as sqlite:"))?;
        let mut url = Url {
            scheme: scheme.to_ascii_lowercase(),
            user: None,
            password: None,
            hosts: Vec::new(),
            database: String::new(),
            tls: Tls::default(),
            connect_timeout: None,
            statement_timeout: None,
            params: Vec::new(),
        };
        if url.scheme == "odbc" {
            url.database = rest.to_owned();
        } else if url.scheme == "sqlite" {
            let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
            url.database = decode(path.strip_prefix("//").unwrap_or(path));
            url.read_params(query)?;
        } else {
            url.read_server(rest)?;
        }
        Ok(url)
    }

    /// The URL without credentials and parameters, for messages.
    pub fn redacted(&self) -> String {
        let Url {
            scheme, database, ..
        } = self;
        match scheme.as_str() {
            "sqlite" => format!("sqlite:{database}"),
            "odbc" => "odbc:…".to_owned(),
            _ => {
                let hosts: Vec<String> = self.hosts.iter().map(ToString::to_string).collect();
                format!("{scheme}://{}/{database}", hosts.join(","))
            }
        }
    }

    /// A parameter that only some backends know.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .rev()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// A parameter that holds a duration.
    pub fn duration(&self, name: &str) -> Result<Option<Duration>> {
        self.param(name)
            .map(|value| duration(&self.scheme, name, value))
            .transpose()
    }

    /// Refuses parameters beyond those that every backend knows and `known`.
    pub fn only(&self, known: &[&str]) -> Result<()> {
        match self
            .params
            .iter()
            .find(|(name, _)| !known.contains(&name.as_str()))
        {
            None => Ok(()),
            Some((name, _)) => Err(invalid(
                &self.scheme,
                &format!(
                    "unknown parameter {name:?}; there are tls, connect-timeout, statement-timeout{}{}",
                    if known.is_empty() { "" } else { ", " },
                    known.join(", ")
                ),
            )),
        }
    }

    fn read_server(&mut self, rest: &str) -> Result<()> {
        let rest = rest
            .strip_prefix("//")
            .ok_or_else(|| invalid(&self.scheme, "// is missing after the scheme"))?;
        let (credentials, rest) = match rest.rfind('@') {
            Some(at) => (Some(&rest[..at]), &rest[at + 1..]),
            None => (None, rest),
        };
        if let Some(credentials) = credentials {
            let (user, password) = match credentials.split_once(':') {
                Some((user, password)) => (user, Some(password)),
                None => (credentials, None),
            };
            self.user = Some(decode(user)).filter(|user| !user.is_empty());
            self.password = password.map(decode);
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
        self.database = decode(database);
        for host in hosts.split(',') {
            self.hosts.push(read_host(&self.scheme, host)?);
        }
        self.read_params(query)
    }

    fn read_params(&mut self, query: &str) -> Result<()> {
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| invalid(&self.scheme, "a parameter without ="))?;
            let value = decode(value);
            match name {
                "tls" => self.tls = read_tls(&self.scheme, &value)?,
                "connect-timeout" => {
                    self.connect_timeout = Some(duration(&self.scheme, name, &value)?);
                }
                "statement-timeout" => {
                    self.statement_timeout = Some(duration(&self.scheme, name, &value)?);
                }
                _ => self.params.push((name.to_owned(), value)),
            }
        }
        Ok(())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({})", self.redacted())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]", self.name)?;
        } else {
            f.write_str(&self.name)?;
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

fn invalid(scheme: &str, why: &str) -> Error {
    let action = match scheme {
        "" => "reading a database URL".to_owned(),
        scheme => format!("reading a database URL of scheme {scheme}"),
    };
    Error::new(ErrorKind::Invalid, action).because(why)
}

fn read_host(scheme: &str, text: &str) -> Result<Host> {
    let (name, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((name, rest)) => (name, rest.strip_prefix(':')),
        None => match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        },
    };
    let port = port
        .map(|port| {
            port.parse()
                .map_err(|_| invalid(scheme, "a port that is not a number up to 65535"))
        })
        .transpose()?;
    let name = if name.is_empty() {
        "localhost".to_owned()
    } else {
        decode(name)
    };
    Ok(Host { name, port })
}

fn read_tls(scheme: &str, value: &str) -> Result<Tls> {
    match value {
        "none" => Ok(Tls::None),
        "prefer" => Ok(Tls::Prefer),
        "require" => Ok(Tls::Require),
        "verify" => Ok(Tls::Verify),
        _ => Err(invalid(scheme, "tls is none, prefer, require or verify")),
    }
}

fn duration(scheme: &str, name: &str, value: &str) -> Result<Duration> {
    let digits = value.len() - value.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = value.split_at(digits);
    let milliseconds = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        "" if number == "0" => Some(0),
        _ => None,
    };
    let number = number.parse::<u64>().ok();
    milliseconds
        .and_then(|unit| number?.checked_mul(unit))
        .map(Duration::from_millis)
        .ok_or_else(|| {
            invalid(
                scheme,
                &format!("{name} is a duration such as 500ms, 30s or 10m, or 0"),
            )
        })
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = (byte == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        plain.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8(plain).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_server_url_apart() {
        let url = Url::parse(
            "postgres://idc:p%40s/s:w@rd@db1:5433,[::1],db3/core?tls=verify&connect-timeout=5s&statement-timeout=10m&ca=x.pem",
        )
        .unwrap();
        assert_eq!(url.user.as_deref(), Some("idc"));
        assert_eq!(url.password.as_deref(), Some("p@s/s:w@rd"));
        assert_eq!(url.redacted(), "postgres://db1:5433,[::1],db3/core");
        assert_eq!(
            url.hosts[1],
            Host {
                name: "::1".into(),
                port: None
            }
        );
        assert_eq!((url.database.as_str(), url.tls), ("core", Tls::Verify));
        assert_eq!(url.connect_timeout, Some(Duration::from_secs(5)));
        assert_eq!(url.statement_timeout, Some(Duration::from_secs(600)));
        assert_eq!(url.param("ca"), Some("x.pem"));
        assert!(url.only(&["ca"]).is_ok() && url.only(&[]).is_err());
    }

    #[test]
    fn takes_a_file_url_apart() {
        let path = |text: &str| Url::parse(text).unwrap().database;
        assert_eq!(path("sqlite:data/core.db"), "data/core.db");
        assert_eq!(path("sqlite:/var/a b.db"), "/var/a b.db");
        assert_eq!(path("sqlite:///var/a%20b.db?mode=ro"), "/var/a b.db");
        assert_eq!(path("SQLite::memory:"), ":memory:");
        assert_eq!(path("sqlite:100%.db"), "100%.db");
        assert_eq!(path("odbc:Driver=X;Pwd=a?b"), "Driver=X;Pwd=a?b");
    }

    #[test]
    fn credentials_never_show() {
        for text in [
            "mysql://root:hunter2@h/db",
            "mysql://root:hunter2@h:x/db",
            "mysql://root:hunter2@h/db?tls=hunter2",
            "odbc:Pwd=hunter2",
            "hunter2",
        ] {
            let shown = format!("{:?}", Url::parse(text));
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for text in [
            "",
            "core.db",
            "postgres:db",
            "mysql://h:70000/db",
            "sqlite:x?mode",
            "mysql://h/d?connect-timeout=5",
            "mysql://h/d?connect-timeout=5w",
            "mysql://h/d?connect-timeout=99999999999999999999s",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }
}
