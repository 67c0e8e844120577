//! From a URL to a session: hosts in turn, each address of a name in turn, then the session's settings.

use super::cancel::{Address, Key};
use super::fault::{Trouble, fault, io_error};
use super::session::{Driver, Session};
use super::tls;
use super::watch::Watch;
use crate::{Error, ErrorKind, Host, Options, Result, Tls, Url};
use std::future::poll_fn;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::lookup_host;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::config::SslMode;
use tokio_postgres::{AsyncMessage, Client, Config, Connection};
use tokio_postgres_rustls::MakeRustlsConnect;

const PORT: u16 = 5432;

/// A session on the first host that takes us.
pub(super) fn log_in(url: &Url, options: &Options) -> Result<Session> {
    let invalid = || Error::new(ErrorKind::Invalid, format!("connecting to {url}"));
    let Some(user) = url.user.as_deref() else {
        return Err(invalid().because("the URL names no account"));
    };
    let busy = url
        .duration("busy-timeout")?
        .unwrap_or(options.busy_timeout);
    let plan = Plan {
        url,
        tls: tls::connector(url, options)?,
        config: configure(url, user, options),
        settings: settings(options.statement_timeout, busy),
        options,
    };
    url.first_host(|host| {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| {
                Error::new(ErrorKind::Other, format!("connecting to {url}")).because(error)
            })?;
        match plan.try_host(&runtime, host) {
            Ok((client, driver, key, any_bytes)) => {
                let watch = Watch::new(options.statement_timeout);
                let session = Session::new(runtime, client, driver, watch, key, any_bytes);
                Ok(session)
            }
            Err(error) => {
                // a name that is still being looked up is not waited for
                runtime.shutdown_background();
                Err(error)
            }
        }
    })
}

fn configure(url: &Url, user: &str, options: &Options) -> Config {
    let mut config = Config::new();
    config
        .user(user)
        .dbname(if url.database.is_empty() {
            user
        } else {
            &url.database
        })
        .application_name(&options.program)
        // a server that vanished without a word is noticed within a minute, also without a statement timeout
        .keepalives(true)
        .keepalives_idle(Duration::from_secs(30))
        .keepalives_interval(Duration::from_secs(10))
        .keepalives_retries(3);
    if let Some(password) = &url.password {
        config.password(password);
    }
    config
}

/// Said after the start-up, as poolers between refuse what they do not know there.
fn settings(statement: Duration, busy: Duration) -> String {
    let statement = Watch::new(statement).server_limit();
    let busy = busy.as_millis().clamp(1, 2_147_483_647);
    format!(
        "SET DateStyle = 'ISO'; SET TimeZone = 'UTC'; SET IntervalStyle = 'postgres'; SET extra_float_digits = 1; \
         SET bytea_output = 'hex'; SET standard_conforming_strings = on; SET lc_monetary = 'C'; \
         SET cursor_tuple_fraction = 1; SET lock_timeout = {busy}; SET statement_timeout = {statement}"
    )
}

type Found = (Client, Driver, Key, bool);

/// What is the same for each host.
struct Plan<'a> {
    url: &'a Url,
    tls: MakeRustlsConnect,
    config: Config,
    settings: String,
    options: &'a Options,
}

impl Plan<'_> {
    fn try_host(&self, runtime: &Runtime, host: &Host) -> Result<Found> {
        let action = format!("connecting to {} at {host}", self.url);
        let patience = self.options.connect_timeout.max(Duration::from_millis(1));
        let within = async { tokio::time::timeout(patience, self.try_addresses(host)).await };
        match runtime.block_on(within) {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(failed)) => Err(self.fault(action, failed)),
            Err(_) => Err(Error::new(ErrorKind::Connect, action)
                .because(format!("no answer within {patience:?}"))),
        }
    }

    async fn try_addresses(&self, host: &Host) -> Result<Found, Failed> {
        let port = host.port.unwrap_or(PORT);
        if host.name.starts_with('/') {
            let address = Address::Unix(host.name.clone().into(), port);
            return self.try_address(address).await;
        }
        let mut last = Failed::Name(io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address",
        ));
        for at in lookup_host((host.name.as_str(), port))
            .await
            .map_err(Failed::Name)?
        {
            match self.try_address(Address::Tcp(host.name.clone(), at)).await {
                Err(failed) if failed.is_unreachable() => last = failed,
                other => return other,
            }
        }
        Err(last)
    }

    async fn try_address(&self, address: Address) -> Result<Found, Failed> {
        let mut config = self.config.clone();
        match &address {
            Address::Tcp(name, at) => {
                config.host(name).hostaddr(at.ip()).port(at.port());
                config.ssl_mode(tls::mode(self.url.tls));
            }
            // nobody can listen in there
            Address::Unix(folder, port) => {
                config.host_path(folder).port(*port);
                config.ssl_mode(SslMode::Disable);
            }
        }
        let (client, connection) = config
            .connect(self.tls.clone())
            .await
            .map_err(Failed::Login)?;
        let any_bytes = connection.parameter("server_encoding") == Some("SQL_ASCII");
        let driver = tokio::spawn(drive(connection));
        client
            .batch_execute(&self.settings)
            .await
            .map_err(Failed::Login)?;
        let key = Key {
            address,
            token: client.cancel_token(),
            tls: self.tls.clone(),
        };
        Ok((client, driver, key, any_bytes))
    }

    fn fault(&self, action: String, failed: Failed) -> Error {
        match failed {
            Failed::Name(error) => Error::new(ErrorKind::Connect, action).because(error),
            Failed::Login(error) => {
                if let Some(refusal) = error.as_db_error() {
                    let complaint = Box::new(refusal.into());
                    let watch = Watch::new(Duration::ZERO);
                    return fault(action, &watch, Trouble::Refused(complaint));
                }
                let watch = Watch::new(Duration::ZERO);
                let known = io_error(&error).is_some() || error.is_closed();
                let asked = matches!(self.url.tls, Tls::Require | Tls::Verify);
                let found = fault(action, &watch, Trouble::Broken(error));
                match (known, &self.url.password) {
                    (true, _) => found,
                    // the driver finds that a password is missing
                    (false, None) if !asked => found.with_kind(ErrorKind::Permission),
                    (false, _) => found.with_kind(ErrorKind::Invalid),
                }
            }
        }
    }
}

/// Why a host does not take us.
enum Failed {
    Name(io::Error),
    Login(tokio_postgres::Error),
}

impl Failed {
    /// Whether nobody listens at this address, so that another one of the name is worth a try.
    fn is_unreachable(&self) -> bool {
        match self {
            Failed::Name(_) => true,
            Failed::Login(error) => {
                io_error(error).is_some_and(|cause| cause.kind() != io::ErrorKind::InvalidData)
            }
        }
    }
}

/// Carries the connection until it ends; the server's notices go into the log.
async fn drive<S, T>(mut connection: Connection<S, T>) -> Option<tokio_postgres::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notice(notice))) => log::debug!("postgres: {}", notice.message()),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Some(error),
            None => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_bounded() {
        let said = settings(Duration::ZERO, Duration::ZERO);
        assert!(said.contains("lock_timeout = 1;") && said.ends_with("statement_timeout = 0"));
        let said = settings(Duration::MAX, Duration::MAX);
        assert!(said.contains("lock_timeout = 2147483647;") && said.ends_with("= 2147483647"));
    }
}
