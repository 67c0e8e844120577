//! From a URL to a session: hosts in turn, TLS, password, settings.

use super::charset::Charset;
use super::fault::{End, Trouble, fault};
use super::gate::Gate;
use super::link::Link;
use super::wire::Wire;
use crate::{Error, ErrorKind, Host, Options, Result, Tls, Url};
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::Duration;

const CHARSET: &str =
    "SELECT value FROM nls_database_parameters WHERE parameter = 'NLS_CHARACTERSET'";

/// A session with the first of the URL's hosts that takes it, ready for statements.
pub(super) fn open(url: &Url, options: &Options, busy: Duration) -> Result<Link> {
    let account = account(url)?;
    let service = service(url)?;
    // a listener has a port of its own for TLS: there is nothing to be agreed on at another
    let tls = match url.tls {
        Tls::None | Tls::Prefer => None,
        Tls::Require | Tls::Verify => Some(Arc::new(crate::tls::configuration(url, options)?)),
    };
    let settings = settings(busy);
    url.first_host(|host| {
        let gate = Arc::new(Gate::new(options.statement_timeout));
        gate.begin_or_cut(options.connect_timeout.max(Duration::from_millis(1)));
        let call = Call {
            account,
            service,
            settings: &settings,
            tls: tls.as_ref(),
            program: &options.program,
        };
        call.enter(host, &gate).map_err(|trouble| {
            let at = format!("connecting to {url} at {host}");
            match trouble {
                Trouble::Over(End::Silent) => Error::new(ErrorKind::Connect, at)
                    .because(format!("no answer within {:?}", options.connect_timeout)),
                trouble => fault(at, ErrorKind::Timeout, trouble),
            }
        })
    })
}

/// What is the same for each host.
struct Call<'a> {
    account: (&'a str, &'a str),
    service: &'a str,
    settings: &'a [String],
    tls: Option<&'a Arc<ClientConfig>>,
    program: &'a str,
}

impl Call<'_> {
    fn enter(&self, host: &Host, gate: &Arc<Gate>) -> Result<Link, Trouble> {
        let wire = Wire::lay(host, self.tls.cloned(), Arc::clone(gate)).map_err(Trouble::Over)?;
        let address = format!(
            "(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT={}))(CONNECT_DATA=(SERVICE_NAME={})))",
            wire.port, self.service
        );
        let told = |error: oracledb::Error| Trouble::of(&error, gate);
        let (user, password) = self.account;
        let config = oracledb::Config::default()
            .set_credentials(user, password)
            .set_connect_string(&address)
            .and_then(|config| config.set_program(program(self.program)))
            .map_err(told)?;
        let driver = oracledb::connect(config).map_err(told)?;
        for sql in self.settings {
            driver.execute(sql, &[]).map_err(told)?;
        }
        let row = driver.query_row(CHARSET, &[]).map_err(told)?;
        let charset: Option<String> = row.get(0).map_err(told)?;
        gate.rest();
        let mut link = Link::new(driver, Arc::clone(gate), wire);
        link.charset = Charset::new(charset.as_deref().unwrap_or_default());
        Ok(link)
    }
}

fn account(url: &Url) -> Result<(&str, &str)> {
    let lacking = |kind, why: &str| {
        let error = Error::new(kind, format!("connecting to {url}"));
        error.because(why.to_owned())
    };
    let user = url.user.as_deref().filter(|user| !user.is_empty());
    let user = user.ok_or_else(|| lacking(ErrorKind::Invalid, "the URL names no account"))?;
    let password = url.password.as_deref().filter(|word| !word.is_empty());
    let password =
        password.ok_or_else(|| lacking(ErrorKind::Permission, "the URL gives no password"))?;
    Ok((user, password))
}

/// The service's name, which becomes part of a description in brackets.
fn service(url: &Url) -> Result<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '$' | '#');
    let name = url.database.as_str();
    let why = if name.is_empty() {
        "the URL names no service: oracle://user:password@host:1521/SERVICE"
    } else if name.chars().all(plain) {
        return Ok(name);
    } else {
        "a service's name is letters, digits and . _ - $ #"
    };
    Err(Error::new(ErrorKind::Invalid, format!("connecting to {url}")).because(why))
}

/// The program's name without what a description in brackets cannot hold.
fn program(name: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    name.chars().filter(plain).collect()
}

/// What a session must be told for exact values: how texts become times and numbers by themselves, UTC, and that texts compare by
/// their bytes. Locks of rows have no time limit of their own in Oracle, so `busy` counts for DDL alone.
fn settings(busy: Duration) -> Vec<String> {
    use super::dialect::{DATE, TIMESTAMP};
    let seconds = busy.as_millis().div_ceil(1000).min(1_000_000);
    vec![
        format!(
            "ALTER SESSION SET NLS_DATE_FORMAT = '{DATE}' NLS_TIMESTAMP_FORMAT = '{TIMESTAMP}' \
             NLS_TIMESTAMP_TZ_FORMAT = '{TIMESTAMP}TZH:TZM' NLS_NUMERIC_CHARACTERS = '.,' \
             NLS_SORT = BINARY NLS_COMP = BINARY"
        ),
        "ALTER SESSION SET TIME_ZONE = '+00:00'".to_owned(),
        format!("ALTER SESSION SET DDL_LOCK_TIMEOUT = {seconds}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_url_lacks_is_told_without_its_password() {
        for (url, kind) in [
            ("oracle://h/s", ErrorKind::Invalid),
            ("oracle://u@h/s", ErrorKind::Permission),
            ("oracle://u:secret@h", ErrorKind::Invalid),
            ("oracle://u:secret@h/s)(HOST=x", ErrorKind::Invalid),
        ] {
            let url = Url::parse(url).unwrap();
            let error = open(&url, &Options::default(), Duration::ZERO).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(!format!("{error:?}").contains("secret"));
        }
    }

    #[test]
    fn settings_are_whole_seconds() {
        let said = settings(Duration::from_millis(1500)).join(";");
        assert!(said.contains("DDL_LOCK_TIMEOUT = 2") && said.contains("TIME_ZONE = '+00:00'"));
        assert_eq!(program("jobs (x)=y"), "jobsxy");
    }
}
