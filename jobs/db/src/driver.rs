//! The list of backends, and the way from a URL to a connection.

#[cfg(feature = "odbc")]
use crate::odbc;
use crate::{
    Connection, Dialect, Error, ErrorKind, Result, Url, mssql, mysql, oracle, postgres, sqlite,
};
use std::path::PathBuf;
use std::time::Duration;

/// A backend: how it is called and how it connects.
pub struct Driver {
    /// Its name in messages.
    pub name: &'static str,
    /// The URL schemes that it answers to.
    pub schemes: &'static [&'static str],
    /// Opens a connection.
    pub connect: fn(&Url, &Options) -> Result<Box<dyn Connection>>,
    /// How it writes SQL.
    pub dialect: &'static dyn Dialect,
}

/// Every backend there is. A new one is one line here.
pub static DRIVERS: &[Driver] = &[
    sqlite::DRIVER,
    postgres::DRIVER,
    mysql::DRIVER,
    mssql::DRIVER,
    #[cfg(feature = "odbc")]
    odbc::DRIVER,
    oracle::DRIVER,
];

/// What a connection needs to know beside its URL. What the URL says itself goes before it.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder that relative file names start from.
    pub base: PathBuf,
    /// Whether a file database that is not there is made; otherwise it is [`ErrorKind::Missing`].
    pub create: bool,
    /// How long to try each host.
    pub connect_timeout: Duration,
    /// How long one statement may take; zero is for ever.
    pub statement_timeout: Duration,
    /// How long to wait for locks of others.
    pub busy_timeout: Duration,
    /// What the server shows as this connection's program.
    pub program: String,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            base: PathBuf::new(),
            create: true,
            connect_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(600),
            busy_timeout: Duration::from_secs(10),
            program: "jobs".to_owned(),
        }
    }
}

/// Opens a connection to the database that `url` names. Errors show the URL without its credentials.
pub fn connect(url: &str, options: &Options) -> Result<Box<dyn Connection>> {
    let parsed = Url::parse(url);
    let scheme = url
        .trim()
        .split_once(':')
        .map(|(scheme, _)| scheme.to_ascii_lowercase());
    if let (Err(_), Some(scheme)) = (&parsed, scheme) {
        backend(&scheme)
            .map_err(|why| Error::new(ErrorKind::Invalid, "reading a database URL").because(why))?;
    }
    let url = parsed?;
    let mut options = options.clone();
    if let Some(timeout) = url.connect_timeout {
        options.connect_timeout = timeout;
    }
    if let Some(timeout) = url.statement_timeout {
        options.statement_timeout = timeout;
    }
    (driver(&url)?.connect)(&url, &options)
}

fn driver(url: &Url) -> Result<&'static Driver> {
    backend(&url.scheme)
        .map_err(|why| Error::new(ErrorKind::Invalid, format!("connecting to {url}")).because(why))
}

/// How the database that `url` names writes SQL, without a connection; `None` where the scheme tells of no database.
pub fn dialect_of(url: &str) -> Option<&'static dyn Dialect> {
    let (scheme, _) = url.trim().split_once(':')?;
    let driver = backend(&scheme.to_ascii_lowercase()).ok()?;
    Some(driver.dialect)
}

/// The driver for a scheme, or which ones there are.
fn backend(scheme: &str) -> std::result::Result<&'static Driver, String> {
    let found = DRIVERS
        .iter()
        .find(|driver| driver.schemes.contains(&scheme));
    found.ok_or_else(|| {
        if scheme == "odbc" {
            return "this program was built without ODBC; `cargo build --release --features jobs/odbc` builds one with it, which needs \
                    unixODBC (the package unixodbc-dev) to link and libodbc to run"
                .to_owned();
        }
        let all = DRIVERS
            .iter()
            .flat_map(|driver| driver.schemes.iter().copied());
        let known: Vec<&str> = all.collect();
        format!(
            "no database is reached by `{scheme}:`, only by {}",
            known.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn an_unknown_scheme_is_told_before_what_else_is_wrong() {
        let error = connect("foo:secret", &Options::default())
            .err()
            .expect("no such backend");
        let cause = error.source().expect("has a cause").to_string();
        assert!(
            cause.contains("`foo:`") && cause.contains("sqlite") && !cause.contains("secret"),
            "{cause}"
        );
    }

    #[cfg(not(feature = "odbc"))]
    #[test]
    fn without_odbc_its_urls_say_how_to_get_it() {
        let error = connect("odbc:DRIVER=x;PWD=hunter2", &Options::default())
            .err()
            .expect("not built");
        let cause = error.source().expect("has a cause").to_string();
        assert!(cause.contains("--features jobs/odbc"), "{cause}");
        assert!(!format!("{error}{cause}").contains("hunter2"));
    }

    #[test]
    fn an_unknown_scheme_names_the_known_ones_and_no_password() {
        let error = connect("foxpro://u:secret@h/db", &Options::default())
            .err()
            .expect("no such backend");
        let text = format!("{error}: {}", error.source().expect("has a cause"));
        assert!(
            text.contains("sqlite") && !text.contains("secret"),
            "{text}"
        );
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}
