//! Whose certificates an HTTP client trusts: the system's authorities, or those of a PEM file.

use std::path::Path;

use ureq::tls::{PemItem, RootCerts, parse_pem};

use crate::error::Error;

/// The authorities in a PEM file, or the system's where none is named.
///
/// # Errors
/// When the file cannot be read, or holds no certificate.
pub(crate) fn trusted(ca: Option<&Path>) -> Result<RootCerts, Error> {
    match ca {
        None => Ok(RootCerts::PlatformVerifier),
        Some(path) => read(path),
    }
}

fn read(path: &Path) -> Result<RootCerts, Error> {
    let pem = std::fs::read(path).map_err(Error::io("read", path))?;
    let mut found = Vec::new();
    for item in parse_pem(&pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(error) => {
                return Err(Error::Invalid(format!(
                    "certificates in {}: {error}",
                    path.display()
                )));
            }
        }
    }
    if found.is_empty() {
        return Err(Error::Invalid(format!(
            "certificates in {}: there is none",
            path.display()
        )));
    }
    Ok(RootCerts::from(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused() {
        assert!(trusted(None).is_ok());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        assert!(matches!(trusted(Some(&path)), Err(Error::Io { .. })));
        std::fs::write(&path, "no certificate").unwrap();
        let refused = trusted(Some(&path)).unwrap_err().chain();
        assert!(refused.ends_with("ca.pem: there is none"), "{refused}");
    }
}
