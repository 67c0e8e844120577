//! TLS by rustls: `require` and `prefer` protect against listening in, `verify` also against a false server.

use crate::{Error, ErrorKind, Options, Result, Tls, Url};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_platform_verifier::BuilderVerifierExt;
use std::io;
use std::sync::Arc;

/// How a backend's connections are protected.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    pub(crate) tls: Tls,
    config: Arc<ClientConfig>,
}

impl Guard {
    /// As the URL says: `?tls=`, and `?ca=FILE` for a private authority's certificate (PEM).
    pub(crate) fn new(url: &Url, options: &Options) -> Result<Self> {
        let action = || format!("preparing TLS for {url}");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::new(ErrorKind::Invalid, action()).because(error))?;
        let config = match (url.tls, url.param("ca")) {
            (Tls::Verify, Some(ca)) => {
                let path = options.base.join(ca);
                let roots = read_roots(&path).map_err(|why| {
                    Error::new(
                        ErrorKind::Invalid,
                        format!("reading certificates in {}", path.display()),
                    )
                    .because(why)
                })?;
                builder.with_root_certificates(roots)
            }
            (Tls::Verify, None) => builder
                .with_platform_verifier()
                .map_err(|error| Error::new(ErrorKind::Invalid, action()).because(error))?,
            _ => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anybody(provider))),
        };
        Ok(Guard {
            tls: url.tls,
            config: Arc::new(config.with_no_client_auth()),
        })
    }

    /// A session with `host`, not yet begun.
    pub(super) fn session(&self, host: &str) -> io::Result<ClientConnection> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        ClientConnection::new(Arc::clone(&self.config), name).map_err(io::Error::other)
    }
}

fn read_roots(path: &std::path::Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    Ok(roots)
}

/// Takes any certificate: `tls=require` asks for secrecy alone, as servers' own certificates are rarely signed.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
