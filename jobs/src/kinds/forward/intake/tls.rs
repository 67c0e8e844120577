//! The server's certificate and key, from PEM files.

use std::sync::Arc;

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use crate::{context::Context, error::Error, kinds::forward::params::Tls};

/// What a TLS server needs to know.
///
/// # Errors
/// When a file cannot be read, or does not hold what it should.
pub(super) fn config(cx: &Context, tls: &Tls) -> Result<Arc<ServerConfig>, Error> {
    let bad = |what: &str, path: &str, why: String| {
        Error::Invalid(format!("{what} in {}: {why}", cx.path(path).display()))
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cx.path(&tls.cert))
        .and_then(Iterator::collect)
        .map_err(|error| bad("the certificate", &tls.cert, error.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(cx.path(&tls.key))
        .map_err(|error| bad("the private key", &tls.key, error.to_string()))?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| bad("the certificate", &tls.cert, error.to_string()))?;
    Ok(Arc::new(config))
}
