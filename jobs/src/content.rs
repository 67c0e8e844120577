//! What is in a file, as far as names must tell it apart: its hash, and whether another one holds the same.

use std::io::{BufReader, Read};
use std::path::Path;

use crate::context::Context;
use crate::error::Error;

/// The BLAKE3 hash of a file's bytes.
///
/// # Errors
/// When it cannot be read; [`Error::Stopped`] in the middle of a long one.
pub(crate) fn hash(cx: &Context, path: &Path) -> Result<blake3::Hash, Error> {
    let mut file = cx.disk().open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; 256 << 10];
    loop {
        let length = file.read(&mut piece).map_err(Error::io("read", path))?;
        if length == 0 {
            return Ok(hasher.finalize());
        }
        hasher.update(&piece[..length]);
        cx.checkpoint()?;
    }
}

/// Whether two files hold the same bytes.
///
/// # Errors
/// When one cannot be read.
pub(crate) fn is_same(cx: &Context, one: &Path, other: &Path) -> Result<bool, Error> {
    let open =
        |path: &Path| -> Result<_, Error> { Ok(BufReader::new(cx.disk().open(path)?).bytes()) };
    let (mut left, mut right) = (open(one)?, open(other)?);
    loop {
        match (left.next().transpose(), right.next().transpose()) {
            (Ok(None), Ok(None)) => return Ok(true),
            (Ok(a), Ok(b)) if a == b => {}
            (Ok(_), Ok(_)) => return Ok(false),
            (Err(e), _) | (_, Err(e)) => return Err(Error::io("compare", one)(e)),
        }
    }
}
