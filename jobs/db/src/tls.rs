//! TLS by rustls: `require` and `prefer` protect against listening in, `verify` also against a false server.
//! Shared by backends that take a ready configuration; connects to nobody.

use crate::{AnyCertificate, Error, ErrorKind, Options, Result, Tls, Url};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use std::path::Path;
use std::sync::Arc;

/// How connections are protected, as the URL says: `?tls=`, and `?ca=FILE` for a private authority's certificate (PEM).
pub(crate) fn configuration(url: &Url, options: &Options) -> Result<ClientConfig> {
    let invalid = |error: rustls::Error| {
        Error::new(ErrorKind::Invalid, format!("preparing TLS for {url}")).because(error)
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(invalid)?;
    let config = match (url.tls, url.param("ca")) {
        (Tls::Verify, Some(ca)) => {
            let path = options.base.join(ca);
            let roots = read_roots(&path).map_err(|why| {
                let action = format!("reading certificates in {}", path.display());
                Error::new(ErrorKind::Invalid, action).because(why)
            })?;
            builder.with_root_certificates(roots)
        }
        (Tls::Verify, None) => builder.with_platform_verifier().map_err(invalid)?,
        _ => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))),
    };
    Ok(config.with_no_client_auth())
}

/// Sets the process's provider, of which some drivers make their TLS; where main did it, that one stays.
pub(crate) fn install_provider() {
    if aws_lc_rs::default_provider().install_default().is_err() {
        log::trace!("the process has its TLS provider already");
    }
}

fn read_roots(path: &Path) -> Result<RootCertStore, String> {
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
