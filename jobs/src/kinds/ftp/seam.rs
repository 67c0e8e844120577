//! The seam between what an earlier try left of a file and what comes now. A server may hold another version by then that neither
//! size nor time tell from the first, so the last piece that is here comes once more, and has to be the same.

use std::io::Read as _;
use std::path::Path;

use crate::context::Context;
use crate::error::Error;

/// The most bytes that come once more.
const LONGEST: u64 = 64 << 10;
/// Bytes that are passed over at once.
const PIECE: usize = 256 << 10;

/// The last bytes that are here.
pub(super) struct Seam {
    tail: Vec<u8>,
    /// How many of them came again.
    seen: usize,
}

impl Seam {
    /// Of a file here of so many bytes.
    ///
    /// # Errors
    /// When it cannot be read, [`Error::Stopped`].
    pub(super) fn of(cx: &Context, path: &Path, length: u64) -> Result<Seam, Error> {
        let mut file = cx.disk().open(path)?;
        let mut before = length.saturating_sub(LONGEST);
        let mut piece = vec![0; PIECE];
        while before > 0 {
            let most = usize::try_from(before).map_or(PIECE, |before| before.min(PIECE));
            file.read_exact(&mut piece[..most])
                .map_err(Error::io("read", path))?;
            before -= most as u64;
            cx.checkpoint()?;
        }
        let mut tail = Vec::new();
        file.take(length.min(LONGEST))
            .read_to_end(&mut tail)
            .map_err(Error::io("read", path))?;
        Ok(Seam { tail, seen: 0 })
    }

    /// Its bytes.
    pub(super) fn length(&self) -> u64 {
        self.tail.len() as u64
    }

    /// What is new in the bytes that come; `None` when they are not those that are here.
    pub(super) fn pass<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let rest = &self.tail[self.seen..];
        let (again, new) = bytes.split_at(rest.len().min(bytes.len()));
        self.seen += again.len();
        rest.starts_with(again).then_some(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_begins_where_the_seam_ends() {
        let dir = tempfile::tempdir().unwrap();
        let cx = Context::fake(dir.path());
        let path = dir.path().join("draft");
        let bytes: Vec<u8> = (0..700_001_u32)
            .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3])
            .collect();
        for length in [1, 1000, 65_536, 65_537, 700_000] {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let mut seam = Seam::of(&cx, &path, length as u64).unwrap();
            let overlap = usize::try_from(seam.length()).unwrap();
            assert_eq!(overlap, length.min(65_536));
            let again = &bytes[length - overlap..=length];
            let mut new = Vec::new();
            for piece in again.chunks(1000) {
                new.extend_from_slice(seam.pass(piece).unwrap());
            }
            assert_eq!(new, bytes[length..=length]);
            assert_eq!(seam.pass(b"more"), Some(&b"more"[..]));

            let mut seam = Seam::of(&cx, &path, length as u64).unwrap();
            let mut other = again.to_vec();
            other[overlap - 1] ^= 1;
            assert!(other.chunks(1000).any(|piece| seam.pass(piece).is_none()));
        }
    }
}
