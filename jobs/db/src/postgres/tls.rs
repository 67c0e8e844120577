//! TLS as the PostgreSQL driver takes it.

use crate::{Options, Result, Tls, Url};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

/// What the URL's `?tls=` is called by the driver.
pub(super) fn mode(tls: Tls) -> SslMode {
    match tls {
        Tls::None => SslMode::Disable,
        Tls::Prefer => SslMode::Prefer,
        Tls::Require | Tls::Verify => SslMode::Require,
    }
}

/// How connections are protected, as the URL says.
pub(super) fn connector(url: &Url, options: &Options) -> Result<MakeRustlsConnect> {
    crate::tls::configuration(url, options).map(MakeRustlsConnect::new)
}
