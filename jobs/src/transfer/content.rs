//! What both ends ask of a file's content: its hash, the hashes of its beginnings, its bytes where it is small.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
};

use blake3::Hasher;

use super::{
    frame::BLOCK,
    host::Host,
    landing::{Landed, Landing, SMALL, Target},
    message::CHECKPOINTS,
    name::join,
    proof::Digest,
    refused::{Refused, io_refusal, refusal},
    tree::{Stat, Tree},
};
use crate::error::Error;

/// Bytes read at once where a whole file is read.
const PIECE: usize = 256 << 10;

/// What a broken transfer left of a file: hashes of its first bytes, up to points on the way, the last one as far as there
/// are whole blocks. None when nothing worth it is there.
pub(crate) fn checkpoints(
    tree: &Tree,
    target: &Target,
    host: &dyn Host,
) -> Result<Vec<(u64, Digest)>, Error> {
    if target.size <= SMALL {
        return Ok(Vec::new());
    }
    let path = join(target.name.folder(), &target.temporary());
    let Ok(Some(stat)) = tree.look(&path) else {
        return Ok(Vec::new());
    };
    let block = u64::try_from(BLOCK).unwrap_or(u64::MAX);
    let blocks = stat.size.min(target.size) / block;
    if blocks == 0 {
        return Ok(Vec::new());
    }
    let Ok((file, _)) = tree.read(&path) else {
        return Ok(Vec::new());
    };
    let most = u64::try_from(CHECKPOINTS).unwrap_or(1);
    let points: Vec<u64> = (1..=most.min(blocks))
        .map(|n| n * blocks / most.min(blocks) * block)
        .collect();
    let mut found = Vec::new();
    let hashed = hash_range(
        &file,
        blocks * block,
        &mut Hasher::new(),
        host,
        &mut |at, hasher| {
            if points.contains(&at) {
                found.push((at, *hasher.finalize().as_bytes()));
            }
        },
    )?;
    if let Err(error) = hashed {
        log::warn!("{}: cannot be continued: {error}", target.name);
    }
    Ok(found)
}

/// Hashes the first bytes of a file; `at_block` is told the hasher after each block.
pub(crate) fn hash_range(
    file: &File,
    length: u64,
    hasher: &mut Hasher,
    host: &dyn Host,
    at_block: &mut dyn FnMut(u64, &Hasher),
) -> Result<io::Result<()>, Error> {
    let (mut piece, mut at) = (vec![0; BLOCK], 0);
    while at < length {
        host.tick()?;
        let most = usize::try_from(length - at).map_or(BLOCK, |left| left.min(BLOCK));
        if let Err(error) = file.read_exact_at(&mut piece[..most], at) {
            return Ok(Err(error));
        }
        hasher.update(&piece[..most]);
        at += u64::try_from(most).unwrap_or(0);
        at_block(at, hasher);
    }
    Ok(Ok(()))
}

/// The hash of a whole file, and what was known of it when its last byte was read.
pub(crate) fn hash_file(tree: &Tree, path: &str, host: &dyn Host) -> Result<(Digest, Stat), Error> {
    let (mut file, _) = tree.read(path)?;
    let (mut hasher, mut piece) = (Hasher::new(), vec![0; PIECE]);
    loop {
        host.tick()?;
        match file.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => hasher.update(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::io("read", tree.path(path))(error)),
        };
    }
    Ok((*hasher.finalize().as_bytes(), tree.stat(&file, path)?))
}

/// The bytes of a small file; `None` when it is not the one that was found.
pub(crate) fn read_small(tree: &Tree, path: &str, stat: &Stat) -> Result<Option<Vec<u8>>, Error> {
    let (file, _) = tree.read(path)?;
    let mut bytes = vec![0; usize::try_from(stat.size).unwrap_or(0)];
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(Error::io("read", tree.path(path))(error)),
    }
    // what is longer by now is not the same
    Ok(tree.stat(&file, path)?.is_same(stat).then_some(bytes))
}

/// Copies a file of our own to where another one is wanted, if it still has the hash.
pub(crate) fn copy(
    tree: &Tree,
    from: &str,
    target: Target,
    wanted: &Digest,
    host: &dyn Host,
) -> Result<Refused<Landed>, Error> {
    let (mut source, _) = match tree.read(from) {
        Ok(opened) => opened,
        Err(error) => return Ok(Err(refusal(&error))),
    };
    let mut landing = match Landing::open(tree, target) {
        Ok(landing) => landing,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Err(refusal) = landing.expect(0, 0, host)? {
        return Ok(Err(refusal));
    }
    let mut piece = vec![0; PIECE];
    loop {
        host.tick()?;
        let length = match source.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                landing.discard(tree);
                return Ok(Err(io_refusal("read", &error)));
            }
        };
        if let Err(refusal) = landing.write(&piece[..length]) {
            landing.discard(tree);
            return Ok(Err(refusal));
        }
    }
    let size = landing.target.size;
    landing.finish(tree, size, *wanted, host)
}
