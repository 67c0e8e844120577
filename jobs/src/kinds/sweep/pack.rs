//! One file into its packed form, which then takes its place.
//!
//! The packed file is written under a temporary name, given the times and permissions of the original, synced, read back and
//! compared, and only then named; the original goes last. So a kill at any moment leaves the original, or both, or the
//! packed file, each of them whole; of both, the next run compares them and removes the original.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use blake3::{Hash, Hasher};

use crate::context::Context;
use crate::data::{Compression, Packer};
use crate::disk::Entry;
use crate::error::Error;
use crate::publish::Draft;

/// Bytes read at a time.
const PIECE: usize = 256 << 10;

/// What became of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packed {
    Done,
    /// It changed meanwhile, or somebody opened it for writing.
    Busy,
    /// A packed file of that name is there, and holds something else.
    Taken(PathBuf),
}

/// Packs a file and removes it. `is_written` tells whether somebody has it open for writing now.
pub(super) fn pack(
    cx: &Context,
    file: &Entry,
    compression: Compression,
    is_written: impl Fn(&Entry) -> bool,
) -> Result<Packed, Error> {
    let disk = cx.disk();
    let mut target = file.path.clone().into_os_string();
    target.push(compression.ending());
    let target = PathBuf::from(target);
    let untouched = || -> Result<bool, Error> {
        Ok(disk.look(&file.path)? == Some(file.meta) && !is_written(file))
    };
    if disk.look(&target)?.is_some() {
        let same = content(cx, &target, compression)?
            .is_some_and(|there| Some(there) == content_plain(cx, &file.path));
        if !same {
            return Ok(Packed::Taken(target));
        }
    } else {
        let mut draft = Draft::create(&disk, &target, &cx.author())?;
        let hash = compress(cx, &file.path, &mut draft, compression)?;
        disk.dress(draft.path(), &file.path)?;
        let sealed = draft.seal()?;
        if content(cx, sealed.draft(), compression)? != Some(hash) {
            let reason = format!(
                "{}: does not read back as it was written",
                sealed.draft().display()
            );
            return Err(Error::Data(reason));
        }
        if !untouched()? {
            return Ok(Packed::Busy);
        }
        if !sealed.publish_new()? {
            return Ok(Packed::Taken(target));
        }
    }
    if !untouched()? {
        // Whatever became of the original, both stay: each may hold what the other does not.
        return Ok(Packed::Busy);
    }
    disk.remove(&file.path)?;
    Ok(Packed::Done)
}

/// Packs the bytes of a file into a draft; tells their hash.
fn compress(
    cx: &Context,
    from: &Path,
    draft: &mut Draft,
    compression: Compression,
) -> Result<Hash, Error> {
    let mut source = cx.disk().open(from)?;
    let mut hasher = Hasher::new();
    let target = draft.path().to_owned();
    let mut packer = Packer::new(draft, compression).map_err(Error::io("pack", from))?;
    let mut piece = vec![0; PIECE];
    loop {
        let length = read(&mut source, &mut piece).map_err(Error::io("read", from))?;
        if length == 0 {
            break;
        }
        hasher.update(&piece[..length]);
        packer
            .write_all(&piece[..length])
            .map_err(Error::io("write", &target))?;
        cx.progress(0, length as u64);
        cx.checkpoint()?;
    }
    packer.finish().map_err(Error::io("write", &target))?;
    Ok(hasher.finalize())
}

fn content_plain(cx: &Context, path: &Path) -> Option<Hash> {
    content(cx, path, Compression::None).ok().flatten()
}

/// The hash of what a file holds, unpacked; `None` when it cannot be unpacked.
fn content(cx: &Context, path: &Path, compression: Compression) -> Result<Option<Hash>, Error> {
    let Ok(mut source) = compression.unpack(cx.disk().open(path)?) else {
        return Ok(None);
    };
    let mut hasher = Hasher::new();
    let mut piece = vec![0; PIECE];
    loop {
        match read(&mut source, &mut piece) {
            Ok(0) => return Ok(Some(hasher.finalize())),
            Ok(length) => hasher.update(&piece[..length]),
            Err(error) if error.raw_os_error().is_some() => {
                return Err(Error::io("read", path)(error));
            }
            Err(_) => return Ok(None),
        };
        cx.checkpoint()?;
    }
}

fn read(source: &mut dyn Read, piece: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
