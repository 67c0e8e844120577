//! Proofs that a client knows the password: `mysql_native_password` and `caching_sha2_password`. Pure; opens nothing.
//! Algorithms: MySQL source documentation, "Authentication Method"; caching SHA-2 as in
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html>.

use super::fault::{Trouble, foreign};
use aws_lc_rs::digest::{Algorithm, Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;

fn digest(algorithm: &'static Algorithm, parts: &[&[u8]]) -> Vec<u8> {
    let mut context = Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

fn mask(text: &[u8], with: &[u8]) -> Vec<u8> {
    text.iter()
        .zip(with.iter().cycle())
        .map(|(one, other)| one ^ other)
        .collect()
}

/// The first answer of a way to log in; `None` if it is not known here. An empty password proves nothing.
pub(super) fn proof(
    plugin: &str,
    password: &str,
    salt: &[u8],
    secret_line: bool,
) -> Option<Vec<u8>> {
    let password = password.as_bytes();
    match plugin {
        "mysql_native_password" | "caching_sha2_password" if password.is_empty() => {
            Some(Vec::new())
        }
        "mysql_native_password" => {
            let algorithm = &SHA1_FOR_LEGACY_USE_ONLY;
            let once = digest(algorithm, &[password]);
            let twice = digest(algorithm, &[&once]);
            Some(mask(&once, &digest(algorithm, &[salt, &twice])))
        }
        "caching_sha2_password" => {
            let once = digest(&SHA256, &[password]);
            let twice = digest(&SHA256, &[&once]);
            Some(mask(&once, &digest(&SHA256, &[&twice, salt])))
        }
        // the password itself: only where nobody listens
        "mysql_clear_password" if secret_line => Some([password, b"\0"].concat()),
        _ => None,
    }
}

/// The password under the server's public key (PEM), for `caching_sha2_password` on an open line.
pub(super) fn sealed(password: &str, salt: &[u8], key: &[u8]) -> Result<Vec<u8>, Trouble> {
    let bad = || foreign("a public key that is none");
    let key = SubjectPublicKeyInfoDer::from_pem_slice(key).map_err(|_| bad())?;
    let key = PublicEncryptingKey::from_der(&key).map_err(|_| bad())?;
    let key = OaepPublicEncryptingKey::new(key).map_err(|_| bad())?;
    let plain = mask(&[password.as_bytes(), b"\0"].concat(), salt);
    let mut sealed = vec![0; key.ciphertext_size()];
    let used = key
        .encrypt(&OAEP_SHA1_MGF1SHA1, &plain, &mut sealed, None)
        .map_err(|_| bad())?
        .len();
    sealed.truncate(used);
    Ok(sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_could_check_the_native_proof() {
        // what a server stores is SHA1(SHA1(password)); the proof gives SHA1(password) back to who knows it
        let salt = b"01234567890123456789";
        let proof = proof("mysql_native_password", "secret", salt, false).unwrap();
        let stored = digest(
            &SHA1_FOR_LEGACY_USE_ONLY,
            &[&digest(&SHA1_FOR_LEGACY_USE_ONLY, &[b"secret"])],
        );
        let once = mask(&proof, &digest(&SHA1_FOR_LEGACY_USE_ONLY, &[salt, &stored]));
        assert_eq!(digest(&SHA1_FOR_LEGACY_USE_ONLY, &[&once]), stored);
    }

    #[test]
    fn clear_passwords_go_on_secret_lines_only() {
        assert_eq!(
            proof("mysql_clear_password", "p", b"", true).as_deref(),
            Some(&b"p\0"[..])
        );
        assert_eq!(proof("mysql_clear_password", "p", b"", false), None);
        assert_eq!(proof("dialog", "p", b"", true), None);
        assert_eq!(
            proof("caching_sha2_password", "", b"x", true).as_deref(),
            Some(&b""[..])
        );
    }
}
