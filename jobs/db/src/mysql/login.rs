//! From a URL to a session: hosts in turn, TLS, password, settings.

use super::fault::{Trouble, fault};
use super::link::Link;
use super::offer::{Answer, Offer};
use super::stop::Stopper;
use crate::{Error, ErrorKind, Host, Options, Result, Tls, Url};
use mysql_async::{Conn, DriverError, Opts, OptsBuilder, SslOpts};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

const PORT: u16 = 3306;

/// The server's own limit decides what is too large, not the driver's.
const MAX_PACKET: usize = 1 << 30;

/// A session with the first of the URL's hosts that takes it, ready for statements.
pub(super) fn open(url: &Url, options: &Options, busy: Duration) -> Result<Link> {
    let ssl = match url.tls {
        Tls::None => None,
        _ => Some(protection(url, options)?),
    };
    crate::tls::install_provider();
    url.first_host(|host| {
        enter(url, options, busy, host, ssl.as_ref()).map_err(|trouble| {
            let at = format!("connecting to {url} at {host}");
            fault(at, ErrorKind::Timeout, trouble)
        })
    })
}

fn enter(
    url: &Url,
    options: &Options,
    busy: Duration,
    host: &Host,
    ssl: Option<&SslOpts>,
) -> Result<Link, Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Trouble::Broken(ErrorKind::Other, error.into()))?;
    let offer = Arc::new(Offer::default());
    let opts = |ssl: Option<&SslOpts>| address(url, host, ssl, &offer);
    let reach = options.connect_timeout.max(Duration::from_millis(1));
    let (conn, opts) = runtime.block_on(async {
        let first = opts(ssl);
        let entering = timeout(reach, Conn::new(first.clone())).await;
        let unprotected = matches!(
            entering,
            Ok(Err(mysql_async::Error::Driver(
                DriverError::NoClientSslFlagFromServer
            )))
        );
        if unprotected && url.tls == Tls::Prefer {
            let plain = opts(None);
            let entering = timeout(reach, Conn::new(plain.clone())).await;
            return Ok((entering.map_err(late)??, plain));
        }
        Ok::<_, Trouble>((entering.map_err(late)??, first))
    })?;
    let stopper = Stopper::new(opts, conn.id(), reach, options.statement_timeout);
    let mut link = Link::new(runtime, conn, stopper, offer);
    link.settle(&settings(busy), reach)?;
    Ok(link)
}

fn late(_: tokio::time::error::Elapsed) -> Trouble {
    Trouble::Broken(
        ErrorKind::Connect,
        "no answer within the connect timeout".into(),
    )
}

/// Whom to call, and how.
fn address(url: &Url, host: &Host, ssl: Option<&SslOpts>, offer: &Arc<Offer>) -> Opts {
    let builder = OptsBuilder::default()
        .user(url.user.clone())
        .pass(url.password.clone())
        .db_name(Some(url.database.clone()).filter(|name| !name.is_empty()))
        .local_infile_handler(Some(Answer(Arc::clone(offer))))
        .stmt_cache_size(16)
        .prefer_socket(false)
        .max_allowed_packet(Some(MAX_PACKET))
        .wait_timeout(Some(28_800))
        .tcp_keepalive(Some(Duration::from_secs(60)));
    if host.name.starts_with('/') {
        // nobody can listen in between
        return builder.socket(Some(host.name.clone())).into();
    }
    builder
        .ip_or_hostname(host.name.clone())
        .tcp_port(host.port.unwrap_or(PORT))
        .ssl_opts(ssl.cloned())
        .into()
}

/// `verify` trusts `ca=FILE`, else what the system trusts; `require` and `prefer` protect against listening in alone.
fn protection(url: &Url, options: &Options) -> Result<SslOpts> {
    if url.tls != Tls::Verify {
        return Ok(SslOpts::default().with_danger_accept_invalid_certs(true));
    }
    let certificates = match url.param("ca") {
        Some(ca) => {
            let path = options.base.join(ca);
            let action = || format!("reading certificates in {}", path.display());
            let text = std::fs::read(&path)
                .map_err(|error| Error::new(ErrorKind::Invalid, action()).because(error))?;
            if !text.windows(11).any(|part| part == b"-----BEGIN ") {
                return Err(Error::new(ErrorKind::Invalid, action())
                    .because("there is no certificate in it"));
            }
            vec![text.into()]
        }
        None => {
            let known = rustls_native_certs::load_native_certs().certs;
            known.iter().map(|one| one.to_vec().into()).collect()
        }
    };
    let own = !certificates.is_empty();
    Ok(SslOpts::default()
        .with_root_certs(certificates)
        .with_disable_built_in_roots(own))
}

/// Modes of the server's own choice that would change values or what a backslash is.
const UNWANTED: [&str; 4] = [
    "NO_ZERO_IN_DATE",
    "NO_ZERO_DATE",
    "PAD_CHAR_TO_FULL_LENGTH",
    "NO_BACKSLASH_ESCAPES",
];

/// What a session must be told for exact values. Notes are no warnings: a rounded decimal is what strict mode takes, too.
/// LOCK waits are counted in whole seconds; slow readers and slow makers of rows are no reason to hang up.
pub(crate) fn settings(busy: Duration) -> String {
    let seconds = busy.as_millis().div_ceil(1000).clamp(1, 1_000_000);
    let modes = UNWANTED
        .iter()
        .fold("@@sql_mode".to_owned(), |modes, unwanted| {
            format!("REPLACE({modes}, '{unwanted}', '')")
        });
    format!(
        "SET NAMES utf8mb4, time_zone = '+00:00', autocommit = 1, innodb_lock_wait_timeout = {seconds}, \
         lock_wait_timeout = {seconds}, net_write_timeout = 3600, net_read_timeout = 3600, sql_notes = 0, \
         max_error_count = 65535, \
         sql_mode = CONCAT_WS(',', NULLIF({modes}, ''), 'STRICT_ALL_TABLES', 'NO_AUTO_VALUE_ON_ZERO')"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_with_a_slash_is_a_socket_without_tls() {
        let url = Url::parse("mysql://u:p@%2Ftmp%2Fs.sock,h:33/db?tls=require").unwrap();
        let (ssl, offer) = (SslOpts::default(), Arc::default());
        let socket = address(&url, &url.hosts[0], Some(&ssl), &offer);
        assert_eq!(
            (socket.socket(), socket.ssl_opts()),
            (Some("/tmp/s.sock"), None)
        );
        let tcp = address(&url, &url.hosts[1], Some(&ssl), &offer);
        assert_eq!((tcp.ip_or_hostname(), tcp.tcp_port()), ("h", 33));
        assert!(tcp.ssl_opts().is_some() && tcp.db_name() == Some("db") && !tcp.prefer_socket());
    }
}
