//! What a connection broke of, in words for who reads them instead of the TLS library's. Looks at types, never at messages.

use crate::ErrorKind;
use rustls::{CertificateError, Error as TlsError};
use std::error::Error as StdError;
use std::io;

/// The kind and the words for an error below a driver, where its own say too little.
pub(crate) fn words(error: &(dyn StdError + 'static)) -> Option<(ErrorKind, String)> {
    if let Some(tls) = error.downcast_ref::<TlsError>() {
        let TlsError::InvalidCertificate(why) = tls else {
            return None;
        };
        let elsewhere = matches!(
            why,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
        );
        let hint = if elsewhere {
            ""
        } else {
            " (ca=FILE names the certificate of who signed it)"
        };
        return Some((ErrorKind::Permission, format!("{tls}{hint}")));
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            let closed = "the server closed the connection".to_owned();
            return Some((ErrorKind::Connect, closed));
        }
        // its own source would be the source of what is within
        return error.get_ref().and_then(|within| words(within));
    }
    error.source().and_then(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_and_ends_are_told() {
        let of = |why| {
            let error = io::Error::new(
                io::ErrorKind::InvalidData,
                TlsError::InvalidCertificate(why),
            );
            words(&error).unwrap()
        };
        let (kind, text) = of(CertificateError::UnknownIssuer);
        assert_eq!(kind, ErrorKind::Permission);
        assert!(text.contains("ca=FILE"), "{text}");
        assert!(!of(CertificateError::NotValidForName).1.contains("ca="));
        let ended = io::Error::new(io::ErrorKind::UnexpectedEof, "peer closed");
        let told = "the server closed the connection".to_owned();
        assert_eq!(words(&ended), Some((ErrorKind::Connect, told)));
        assert_eq!(words(&io::Error::other("x")), None);
    }
}
