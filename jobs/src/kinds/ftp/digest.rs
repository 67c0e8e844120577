//! Content compared across the wire, with servers that know HASH (draft-bryan-ftpext-hash): what SIZE cannot see.

use std::path::Path;

use sha2::{Digest as _, Sha256};
use suppaftp::Status;

use super::fault::Result;
use super::session::Session;
use crate::context::Context;
use crate::error::Error;

impl Session {
    /// Whether a file on the server holds the same bytes as one here; `None` when the server does not tell.
    pub(super) fn agrees(
        &mut self,
        cx: &Context,
        path: &str,
        local: &Path,
    ) -> Result<Option<bool>> {
        if !self.can("HASH") {
            return Ok(None);
        }
        let chosen = self.lenient(cx, "choose SHA-256", |ftp| {
            ftp.opts("HASH", Some("SHA-256"))
        })?;
        if chosen.is_none() {
            return Ok(None);
        }
        let command = format!("HASH {path}");
        let told = self.lenient(cx, &format!("ask for the hash of {path}"), |ftp| {
            ftp.custom_command(&command, &[Status::File, Status::RequestedFileActionOk])
        })?;
        let Some(there) = told.and_then(|reply| hash_in(&String::from_utf8_lossy(&reply.body)))
        else {
            return Ok(None);
        };
        Ok(Some(there == hash_of(cx, local)?))
    }
}

/// The hash in `213 SHA-256 0-49 6bf1… name`, in lower case.
fn hash_in(reply: &str) -> Option<String> {
    let mut words = reply
        .split_whitespace()
        .skip_while(|word| !word.eq_ignore_ascii_case("SHA-256"));
    words.next()?;
    let hash =
        words.find(|word| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    Some(hash.to_ascii_lowercase())
}

fn hash_of(cx: &Context, path: &Path) -> std::result::Result<String, Error> {
    let mut file = cx.disk().open(path)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 256 << 10];
    loop {
        let length = file.read(&mut piece).map_err(Error::io("read", path))?;
        if length == 0 {
            break;
        }
        hasher.update(&piece[..length]);
        cx.checkpoint()?;
    }
    let bytes = hasher.finalize();
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_found_and_made() {
        let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        assert_eq!(
            hash_in(&format!("213 SHA-256 0-4 {} name", hash.to_uppercase())).as_deref(),
            Some(hash)
        );
        for other in ["213 SHA-1 0-4 abc name", "213", "", "213 SHA-256"] {
            assert_eq!(hash_in(other), None);
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, "test").unwrap();
        assert_eq!(hash_of(&Context::fake(dir.path()), &path).unwrap(), hash);
    }
}
