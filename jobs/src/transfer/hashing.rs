//! Hashes of large files, made by a thread of their own while the bytes move: on two processors hashing costs no time then. And the
//! buffers that pass between the two.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::mpsc::{self, SyncSender, TrySendError},
    thread::{self, JoinHandle},
    time::Duration,
};

use blake3::Hasher;

use super::{host::Host, proof::Digest};
use crate::error::Error;

/// From so many bytes on a thread is worth it.
pub(crate) const LONG: u64 = 4 << 20;
/// Pieces that may wait for the thread.
const WAITING: usize = 8;
/// Bytes read and hashed at once: they stay in the processor's own memory.
const PIECE: usize = 256 << 10;
/// Buffers that one who takes bytes in has at most.
const BUFFERS: usize = 6;
/// The longest wait for a buffer before the host is told.
const TICK: Duration = Duration::from_millis(100);
/// How long a wait for the thread lasts at most before the host is told.
const LOOK: Duration = Duration::from_micros(200);

/// A hash under way, fed with pieces. Dropped, it comes to nothing.
pub(crate) struct Hashing<T> {
    pieces: SyncSender<T>,
    thread: JoinHandle<io::Result<Hasher>>,
}

impl<T: Send + 'static> Hashing<T> {
    /// Goes on with `hasher`; `step` adds a piece to it.
    fn start(
        mut hasher: Hasher,
        mut step: impl FnMut(&mut Hasher, T) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Hashing<T>> {
        let (pieces, queue) = mpsc::sync_channel(WAITING);
        let thread = thread::Builder::new()
            .name("hash".to_owned())
            .spawn(move || {
                for piece in queue {
                    step(&mut hasher, piece)?;
                }
                Ok(hasher)
            })?;
        Ok(Hashing { pieces, thread })
    }

    /// Adds a piece; waits while too many wait. A thread that failed takes no more: [`Hashing::finish`] tells why.
    pub(crate) fn feed(&self, mut piece: T, host: &dyn Host) -> Result<(), Error> {
        loop {
            match self.pieces.try_send(piece) {
                Ok(()) | Err(TrySendError::Disconnected(_)) => return Ok(()),
                Err(TrySendError::Full(back)) => piece = back,
            }
            host.tick()?;
            thread::park_timeout(LOOK);
        }
    }

    /// The hash of everything that was added.
    pub(crate) fn finish(self, host: &dyn Host) -> Result<io::Result<Digest>, Error> {
        drop(self.pieces);
        while !self.thread.is_finished() {
            host.tick()?;
            thread::park_timeout(LOOK);
        }
        let ended = self
            .thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the hashing thread panicked")));
        Ok(ended.map(|hasher| *hasher.finalize().as_bytes()))
    }
}

/// Hashes pieces from memory; each is a buffer and how much of it counts, and goes back when it is done with.
pub(crate) fn of_pieces(
    hasher: Hasher,
    back: mpsc::Sender<Vec<u8>>,
) -> io::Result<Hashing<(Vec<u8>, usize)>> {
    Hashing::start(hasher, move |hasher, (piece, length): (Vec<u8>, usize)| {
        hasher.update(&piece[..length]);
        // nobody needs it where the connection has ended
        let _unneeded = back.send(piece);
        Ok(())
    })
}

/// Hashes a file from `at` on; a piece is how far it may be read by now.
pub(crate) fn of_file(hasher: Hasher, file: &File, mut at: u64) -> io::Result<Hashing<u64>> {
    let file = file.try_clone()?;
    let mut piece = vec![0; PIECE];
    Hashing::start(hasher, move |hasher, upto: u64| {
        while at < upto {
            let most = usize::try_from(upto - at).map_or(PIECE, |left| left.min(PIECE));
            file.read_exact_at(&mut piece[..most], at)?;
            hasher.update(&piece[..most]);
            at += u64::try_from(most).unwrap_or(0);
        }
        Ok(())
    })
}

/// The buffers of one that takes bytes in: few, and each of them used again and again.
pub(crate) struct Buffers {
    back: mpsc::Sender<Vec<u8>>,
    spare: mpsc::Receiver<Vec<u8>>,
    made: usize,
    length: usize,
}

impl Buffers {
    /// None is made yet; each will have this length.
    pub(crate) fn new(length: usize) -> Buffers {
        let (back, spare) = mpsc::channel();
        Buffers {
            back,
            spare,
            made: 0,
            length,
        }
    }

    /// A buffer that nobody uses.
    pub(crate) fn take(&mut self, host: &dyn Host) -> Result<Vec<u8>, Error> {
        loop {
            if let Ok(piece) = self.spare.try_recv() {
                return Ok(piece);
            }
            if self.made < BUFFERS {
                self.made += 1;
                return Ok(vec![0; self.length]);
            }
            host.tick()?;
            if let Ok(piece) = self.spare.recv_timeout(TICK) {
                return Ok(piece);
            }
        }
    }

    /// Takes one back.
    pub(crate) fn put(&self, piece: Vec<u8>) {
        // it is received at our own other end
        let _kept = self.back.send(piece);
    }

    /// Where others give them back.
    pub(crate) fn back(&self) -> &mpsc::Sender<Vec<u8>> {
        &self.back
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{stop::Stop, transfer::host::Silent};
    use std::io::Write;

    #[test]
    fn a_thread_comes_to_the_same_hash() {
        let host = Silent(Stop::new().unwrap());
        let bytes: Vec<u8> = (0..3 * PIECE + 77).map(|n| n.to_le_bytes()[1]).collect();
        let whole = *blake3::hash(&bytes).as_bytes();
        let mut begun = Hasher::new();
        begun.update(&bytes[..100]);
        let (back, spare) = mpsc::channel();
        let hashing = of_pieces(begun.clone(), back).unwrap();
        for piece in bytes[100..].chunks(5000) {
            hashing.feed((piece.to_vec(), piece.len()), &host).unwrap();
        }
        assert_eq!(hashing.finish(&host).unwrap().unwrap(), whole);
        assert_eq!(spare.try_iter().count(), bytes[100..].len().div_ceil(5000));

        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let hashing = of_file(begun.clone(), &file, 100).unwrap();
        let size = u64::try_from(bytes.len()).unwrap();
        for upto in [100, 101, 1_000_000_u64.min(size), size] {
            hashing.feed(upto, &host).unwrap();
        }
        assert_eq!(hashing.finish(&host).unwrap().unwrap(), whole);
        let hashing = of_file(begun, &file, 100).unwrap();
        hashing.feed(size + 1, &host).unwrap();
        assert!(
            hashing.finish(&host).unwrap().is_err(),
            "it has become shorter"
        );
    }
}
