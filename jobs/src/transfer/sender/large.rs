//! One large file on its way out: where it begins, its pieces, its hash at the end.

use std::{
    fs::File,
    os::{fd::AsFd, unix::fs::FileExt},
};

use blake3::Hasher;

use super::{Digest, Error, Host, Message, Outgoing, Sending, Tree};
use crate::transfer::tree::Stat;

/// Bytes read, hashed and sent at once: few enough to stay in a processor's own memory meanwhile.
const PIECE: usize = 512 << 10;

/// A large file that is being sent.
pub(super) struct Large {
    pub(super) id: u32,
    file: File,
    path: String,
    stat: Stat,
    hash: Hash,
    at: u64,
    block: Vec<u8>,
}

/// The hash of a large file.
enum Hash {
    Known(Digest),
    /// Of the bytes before `at`.
    Here(Box<Hasher>),
}

impl Large {
    /// Opens the file, and begins behind what the other side has of it: behind the last of its checkpoints whose hash is
    /// that of our bytes up to there. `None` when the file is not the one that was offered.
    pub(super) fn open(
        tree: &Tree,
        id: u32,
        path: String,
        stat: &Stat,
        known: Option<Digest>,
        checkpoints: &[(u64, Digest)],
        host: &dyn Host,
    ) -> Result<Option<Large>, Error> {
        let (file, now) = tree.read(&path)?;
        if !now.is_same(stat) {
            return Ok(None);
        }
        let hash = known.map_or_else(|| Hash::Here(Box::default()), Hash::Known);
        let mut large = Large {
            id,
            file,
            path,
            stat: *stat,
            hash,
            at: 0,
            block: vec![0; PIECE],
        };
        let failed = Error::io("read", tree.path(&large.path));
        large
            .skip_what_is_there(checkpoints, host)
            .map_err(|error| match error {
                Skipped::Stopped(error) => error,
                Skipped::Failed(error) => failed(error),
            })?;
        Ok(Some(large))
    }

    fn skip_what_is_there(
        &mut self,
        checkpoints: &[(u64, Digest)],
        host: &dyn Host,
    ) -> Result<(), Skipped> {
        let (mut hasher, mut at) = (Hasher::new(), 0);
        for (offset, hash) in checkpoints {
            if *offset <= at || *offset > self.stat.size {
                break;
            }
            while at < *offset {
                host.tick().map_err(Skipped::Stopped)?;
                let most = usize::try_from(*offset - at).map_or(PIECE, |left| left.min(PIECE));
                self.file
                    .read_exact_at(&mut self.block[..most], at)
                    .map_err(Skipped::Failed)?;
                hasher.update(&self.block[..most]);
                at += u64::try_from(most).unwrap_or(0);
            }
            if hasher.finalize().as_bytes() != hash {
                break;
            }
            self.at = at;
            if let Hash::Here(known) = &mut self.hash {
                **known = hasher.clone();
            }
        }
        Ok(())
    }

    /// Whether all bytes went out.
    pub(super) fn is_done(&self) -> bool {
        self.at >= self.stat.size
    }

    /// Sends the next piece and tells its length; `None` when the file has become shorter.
    ///
    /// Bytes that are still to be hashed go out from where they were read to: the processor has them at hand, and so has the one that takes
    /// them in on this machine. That costs both less than a second way to the file.
    pub(super) fn send_block(
        &mut self,
        outgoing: &Outgoing,
        host: &dyn Host,
    ) -> Result<Option<u64>, Error> {
        let most = usize::try_from(self.stat.size - self.at).map_or(PIECE, |left| left.min(PIECE));
        let whole = if matches!(self.hash, Hash::Known(_)) && outgoing.wire().is_plain() {
            outgoing.send_file(self.id, self.at, self.file.as_fd(), most, host)?
        } else {
            let piece = &mut self.block[..most];
            if self.file.read_exact_at(piece, self.at).is_err() {
                return Ok(None);
            }
            if let Hash::Here(hasher) = &mut self.hash {
                hasher.update(piece);
            }
            outgoing.send_data(self.id, self.at, piece, host)?;
            true
        };
        let length = u64::try_from(most).unwrap_or(0);
        self.at += length;
        Ok(whole.then_some(length))
    }

    /// The last frame of the file; `None` when the file, by its name, is not what was offered any more.
    pub(super) fn end(self, tree: &Tree) -> Result<Option<Message>, Error> {
        let Large {
            id,
            path,
            stat,
            hash,
            ..
        } = self;
        let hash = match hash {
            Hash::Known(hash) => hash,
            Hash::Here(hasher) => *hasher.finalize().as_bytes(),
        };
        let now = tree.look(&path)?;
        let same = now.is_some_and(|now| now.is_same(&stat));
        Ok(same.then_some(Message::End {
            id,
            size: stat.size,
            hash,
        }))
    }
}

enum Skipped {
    Stopped(Error),
    Failed(std::io::Error),
}

impl Sending<'_> {
    /// Sends the next piece of a large file.
    pub(super) fn send_large(&mut self) -> Result<bool, Error> {
        if self.large.is_none() {
            let Some((id, checkpoints)) = self.wanted.pop_front() else {
                return Ok(false);
            };
            if !self.book.begin(id) {
                return Ok(true);
            }
            let Some(item) = self.book.file(id) else {
                return Ok(true);
            };
            let (found, hash) = (item.found.clone(), item.hash);
            let path = self.origin.path(&found.name);
            self.host.doing(&format!("sending {}", found.name));
            match Large::open(
                self.tree,
                id,
                path,
                &found.stat,
                hash,
                &checkpoints,
                self.host,
            ) {
                Ok(Some(large)) => self.large = Some(large),
                Err(error @ Error::Stopped(_)) => return Err(error),
                other => self.abandon(id, other.err())?,
            }
            return Ok(true);
        }
        let Some(mut large) = self.large.take() else {
            return Ok(false);
        };
        if !self.book.is_sending(large.id) {
            return Ok(true);
        }
        if !large.is_done() {
            match large.send_block(self.outgoing, self.host)? {
                Some(length) => {
                    self.host.moved(0, length);
                    self.large = Some(large);
                }
                None => self.abandon(large.id, None)?,
            }
            return Ok(true);
        }
        let id = large.id;
        match large.end(self.tree)? {
            Some(end) => {
                self.book.sent(id);
                self.outgoing.send(&end, self.host)?;
            }
            None => self.abandon(id, None)?,
        }
        Ok(true)
    }
}
