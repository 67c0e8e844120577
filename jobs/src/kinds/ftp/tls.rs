//! TLS by rustls: who proves the server, and sessions that data connections may resume.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

use crate::error::Error;

/// How connections to one server are protected. Each control connection has a memory of sessions of its own: servers want a data
/// connection to resume the session of the control connection that it belongs to.
#[derive(Clone)]
pub(super) struct Guard {
    verifier: Arc<dyn ServerCertVerifier>,
    provider: Arc<CryptoProvider>,
}

impl Guard {
    /// With the certificates of a PEM file, or with the system's.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the file holds none, [`Error::Io`] when it cannot be read.
    pub(super) fn new(ca: Option<&Path>) -> Result<Guard, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let invalid =
            |error: &dyn std::fmt::Display| Error::Invalid(format!("prepare TLS: {error}"));
        let verifier: Arc<dyn ServerCertVerifier> = match ca {
            None => {
                Arc::new(Verifier::new(Arc::clone(&provider)).map_err(|error| invalid(&error))?)
            }
            Some(path) => Arc::new(Known::read(path, &provider)?),
        };
        Ok(Guard { verifier, provider })
    }

    /// A configuration for one control connection and its data connections. A session of TLS 1.2 can be resumed as often as
    /// one likes, while a ticket of TLS 1.3 serves once and comes late: so 1.3 is for servers alone that speak nothing else.
    ///
    /// # Errors
    /// When the provider has no such version.
    pub(super) fn config(&self, newest: bool) -> Result<Arc<ClientConfig>, Error> {
        let versions = if newest { [&TLS13] } else { [&TLS12] };
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&versions)
            .map_err(|error| Error::Internal(format!("prepare TLS: {error}")))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&self.verifier))
            .with_no_client_auth();
        config.resumption = Resumption::in_memory_sessions(64);
        Ok(Arc::new(config))
    }
}

/// Takes a server whose very certificate is in the file, or that one of the file's authorities vouches for.
#[derive(Debug)]
struct Known {
    certificates: Vec<CertificateDer<'static>>,
    authorities: Arc<WebPkiServerVerifier>,
}

impl Known {
    fn read(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Known, Error> {
        let text = std::fs::read(path).map_err(Error::io("read", path))?;
        let bad = |why: &dyn std::fmt::Display| {
            Error::Invalid(format!("certificates in {}: {why}", path.display()))
        };
        let mut roots = RootCertStore::empty();
        let mut certificates = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(&text) {
            let certificate = certificate.map_err(|error| bad(&error))?;
            roots
                .add(certificate.clone())
                .map_err(|error| bad(&error))?;
            certificates.push(certificate);
        }
        if certificates.is_empty() {
            return Err(bad(&"there is none"));
        }
        let authorities =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
                .build()
                .map_err(|error| bad(&error))?;
        Ok(Known {
            certificates,
            authorities,
        })
    }
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.certificates.iter().any(|known| known == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        self.authorities
            .verify_server_cert(end_entity, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}
