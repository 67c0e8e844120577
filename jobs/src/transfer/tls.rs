//! TLS for the transfer: version 1.3 alone, by the provider that the whole program uses.
//!
//! The login is bound to the TLS session, so a false server in between is found by the account's key, whatever its
//! certificate says. A client may demand a certificate that leads to its own authority besides.

use std::{path::Path, sync::Arc};

use db::AnyCertificate;
use rustls::{
    ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    version::TLS13,
};

use crate::error::Error;

/// A client's side of TLS.
#[derive(Clone)]
pub(crate) struct ClientTls(Arc<ClientConfig>, ServerName<'static>);

impl ClientTls {
    /// With `ca`, the server's certificate must lead to one in that PEM file and be made out to `name`.
    ///
    /// # Errors
    /// When the file holds no certificate, or `name` is no host name.
    pub(crate) fn new(ca: Option<&Path>, name: &str) -> Result<ClientTls, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| Error::Internal(format!("prepare TLS: {error}")))?;
        let config = match ca {
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots
                        .add(certificate)
                        .map_err(|error| Error::Invalid(format!("{}: {error}", path.display())))?;
                }
                builder.with_root_certificates(roots)
            }
            // the login that follows proves who the server is
            None => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))),
        };
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| Error::Invalid(format!("`{name}` is not the name of a host")))?;
        Ok(ClientTls(Arc::new(config.with_no_client_auth()), name))
    }

    /// A session that has not begun.
    pub(crate) fn begin(&self) -> Result<Connection, Error> {
        ClientConnection::new(Arc::clone(&self.0), self.1.clone())
            .map(Connection::Client)
            .map_err(|error| Error::Internal(format!("begin TLS: {error}")))
    }
}

/// A server's side of TLS.
#[derive(Clone)]
pub(crate) struct ServerTls(Arc<ServerConfig>);

impl ServerTls {
    /// With the certificates and the key in these PEM files.
    ///
    /// # Errors
    /// When they cannot be read or do not belong together.
    pub(crate) fn new(certificate: &Path, key: &Path) -> Result<ServerTls, Error> {
        let chain = certificates(certificate)?;
        let secret = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| Error::Invalid(format!("{}: {error}", key.display())))?;
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| Error::Internal(format!("prepare TLS: {error}")))?
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .map_err(|error| Error::Invalid(format!("{}: {error}", certificate.display())))?;
        Ok(ServerTls(Arc::new(config)))
    }

    /// A session that has not begun.
    pub(crate) fn begin(&self) -> Result<Connection, Error> {
        ServerConnection::new(Arc::clone(&self.0))
            .map(Connection::Server)
            .map_err(|error| Error::Internal(format!("begin TLS: {error}")))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let wrong =
        |error: &dyn std::fmt::Display| Error::Invalid(format!("{}: {error}", path.display()));
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|error| wrong(&error))?
        .collect();
    let found = found.map_err(|error| wrong(&error))?;
    if found.is_empty() {
        return Err(wrong(&"there is no certificate in it"));
    }
    Ok(found)
}
