//! The sending end of an operation: offers what its [`Origin`] finds, sends what is wanted, and tells the origin what is
//! durable at the other side. The client plays it in a put, the server in a get.
//!
//! Offers and bytes go out without waiting for answers, so a long way costs nothing but time; what is on its way is bounded
//! in files and in bytes. A file that changes while it is sent is abandoned.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    book::{Book, Effect},
    content,
    fields::Malformed,
    frame::Type,
    host::{Host, Silent},
    landing::SMALL,
    link::{self, Incoming, Outgoing},
    message::{Code, Message, Offer, Packed, Refusal, put_packed},
    name::Name,
    proof::Digest,
    refused,
    scan::{Found, Next},
    tree::Tree,
};
use crate::{error::Error, stop::Stop};

mod answers;
mod large;
mod small;

use large::Large;
use small::Pack;

/// Files on their way at most.
const MAX_FILES: usize = 4096;
/// Files in one offer.
const OFFERS: usize = 240;
/// Files in one frame of offers: so many with the longest names fit.
const IN_A_FRAME: usize = 60;
/// Files up to so many bytes are hashed before they are offered, where it is worth it; and so many bytes at a time.
const HASHED: u64 = 64 << 20;
/// Bytes of small files kept in memory until they are answered.
const KEPT: usize = 8 << 20;
/// Bytes of small files that make a pack worth sending, and the files in one.
const PACK: usize = 1 << 20;
const PACK_FILES: usize = 512;
/// Files that are settled in one step: as many as have been acknowledged meanwhile, up to this.
const SETTLED: usize = 2048;
/// Bytes of answers that may wait to be read before the other side counts as hostile.
const CHATTER: usize = 16 << 20;
/// The longest wait for an answer between two looks round.
const TICK: Duration = Duration::from_millis(100);

/// Where files come from, and what becomes of them.
pub(crate) trait Origin {
    /// The next file to offer.
    fn next(&mut self, host: &dyn Host) -> Result<Next, Error>;
    /// A file's path below the root of the tree.
    fn path(&self, name: &Name) -> String;
    /// These files are safe at the other side: they are remembered, deleted or moved.
    ///
    /// # Errors
    /// What makes going on pointless; one file that cannot be deleted is not.
    fn settle(&mut self, files: &[Found]) -> Result<(), Error>;
    /// This file did not get there, and why.
    fn missed(&mut self, file: &Found, why: &Refusal);
}

/// What an operation moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    /// Files that are safe at the other side.
    pub(crate) files: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Files that could not be sent.
    pub(crate) missed: u64,
}

/// A file on its way.
struct Item {
    found: Found,
    /// A small file's bytes, if they were read already.
    bytes: Option<Vec<u8>>,
    hash: Option<Digest>,
}

/// The two halves of a link, and the wish to stop.
pub(crate) struct Ends<'a> {
    pub(crate) incoming: &'a mut Incoming,
    pub(crate) outgoing: &'a Outgoing,
    pub(crate) stop: &'a Stop,
}

/// Sends everything that the origin finds. `eager` reads and hashes files before they are offered unless they are very
/// large: one round trip less where they are most likely wanted, and the other side knows at once what it has.
///
/// # Errors
/// When the connection is gone or the other side breaks the protocol; the connection is then shut.
pub(crate) fn send(
    ends: Ends<'_>,
    tree: &Arc<Tree>,
    origin: &mut dyn Origin,
    host: &dyn Host,
    eager: bool,
) -> Result<Moved, Error> {
    let Ends {
        incoming,
        outgoing,
        stop,
    } = ends;
    let unread = &AtomicUsize::new(0);
    thread::scope(|scope| {
        let (told, tell) = mpsc::channel();
        let ears = thread::Builder::new()
            .name("answers".to_owned())
            .spawn_scoped(scope, move || {
                let silent = Silent(stop.clone());
                loop {
                    let message = incoming.message(&silent);
                    let last = !matches!(&message, Ok(message) if *message != Message::Finished);
                    let length = incoming.payload().len();
                    let full = unread.fetch_add(length, Ordering::Relaxed) > CHATTER;
                    let message = if full {
                        Err(incoming.broken(Malformed("more answers than questions")))
                    } else {
                        message
                    };
                    if told.send((message, length)).is_err() || last || full {
                        return;
                    }
                }
            });
        let ears = ears.map_err(|error| Error::Internal(format!("start a thread: {error}")))?;
        let mut sending = Sending {
            outgoing,
            tree,
            origin,
            host,
            eager,
            book: Book::default(),
            kept: 0,
            pack: Pack::default(),
            wanted: VecDeque::new(),
            small: VecDeque::new(),
            large: None,
            found_all: false,
            rest: None,
            unread,
            done: Vec::new(),
            moved: Moved::default(),
        };
        let result = sending.run(&tell);
        if let Err(error) = &result {
            outgoing.give_up(refused::refusal(error), host);
            outgoing.wire().shut();
        }
        drop(tell);
        let moved = sending.moved;
        // it returns as soon as the wire is shut, or the other side has finished
        let _ended = ears.join();
        result.map(|()| moved)
    })
}

type Told = (Result<Message, Error>, usize);

struct Sending<'a> {
    outgoing: &'a Outgoing,
    tree: &'a Arc<Tree>,
    origin: &'a mut dyn Origin,
    host: &'a dyn Host,
    eager: bool,
    book: Book<Item>,
    /// Bytes of small files in memory.
    kept: usize,
    pack: Pack,
    /// Large files that are wanted, with what the other side has of them.
    wanted: VecDeque<(u32, Vec<(u64, Digest)>)>,
    small: VecDeque<u32>,
    large: Option<Large>,
    found_all: bool,
    /// When the origin wants to be asked again.
    rest: Option<Instant>,
    unread: &'a AtomicUsize,
    /// Files that are safe at the other side and not settled yet.
    done: Vec<(u32, Found)>,
    moved: Moved,
}

impl Sending<'_> {
    fn run(&mut self, tell: &Receiver<Told>) -> Result<(), Error> {
        loop {
            self.host.tick()?;
            while self.done.len() < SETTLED
                && let Ok(told) = tell.try_recv()
            {
                self.hear(told)?;
            }
            self.settle()?;
            // small files first: a large one must not keep them waiting
            if self.send_small()? || self.offer()? || self.send_large()? {
                continue;
            }
            if self.found_all && self.book.len() == 0 {
                break;
            }
            match tell.recv_timeout(TICK) {
                Ok(told) => self.hear(told)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.broken(Malformed("it finished too early")));
                }
            }
        }
        self.outgoing.send(&Message::Finish, self.host)?;
        loop {
            self.host.tick()?;
            match tell.recv_timeout(TICK) {
                Ok((Ok(Message::Finished), _)) => return Ok(()),
                Ok((Err(error), _)) => return Err(error),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(_) | Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.broken(Malformed("it did not finish")));
                }
            }
        }
    }

    fn broken(&self, why: Malformed) -> Error {
        link::broken(self.outgoing.wire(), why)
    }

    /// A file that is not what it was: it stays for the next pass. One that cannot be read is told.
    fn abandon(&mut self, id: u32, why: Option<Error>) -> Result<(), Error> {
        if let Some(item) = self.book.abandon(id) {
            match why {
                Some(error) if !is_gone(&error) => {
                    self.miss(item, &Refusal::new(Code::Failed, error.chain()))
                }
                _ => {
                    log::info!(
                        "{}: changed while it was sent; left for the next pass",
                        item.found.name
                    );
                    self.forget(item.bytes);
                }
            }
        }
        self.outgoing.send(&Message::Abandon(id), self.host)
    }

    /// Offers the next files, if there is room for more on the way.
    fn offer(&mut self) -> Result<bool, Error> {
        let resting = self.rest.is_some_and(|until| Instant::now() < until);
        if self.found_all || resting || self.book.len() >= MAX_FILES || self.kept >= KEPT {
            return Ok(false);
        }
        self.rest = None;
        let (mut offers, mut hashed) = (Vec::new(), 0);
        while offers.len() < OFFERS && self.kept < KEPT && hashed < HASHED {
            self.host.tick()?;
            match self.origin.next(self.host)? {
                Next::End => {
                    self.found_all = true;
                    break;
                }
                Next::Wait(pause) => {
                    self.rest = Some(Instant::now() + pause.min(TICK));
                    break;
                }
                Next::File(found) => {
                    hashed += found.stat.size.saturating_sub(SMALL);
                    if let Some(item) = self.item(found)? {
                        let has_hash = item.hash.is_some();
                        let id = self.book.offer(item, has_hash);
                        offers.extend(self.book.file(id).map(|item| offer(id, item)));
                    }
                }
            }
        }
        self.outgoing_offers(&offers)?;
        Ok(!offers.is_empty())
    }

    /// A file as it is offered; `None` when it changed just now or cannot be read.
    fn item(&mut self, found: Found) -> Result<Option<Item>, Error> {
        let size = found.stat.size;
        if !self.eager || size > HASHED {
            let (bytes, hash) = (None, None);
            return Ok(Some(Item { found, bytes, hash }));
        }
        let path = self.origin.path(&found.name);
        let read = if size <= SMALL {
            content::read_small(self.tree, &path, &found.stat)
                .map(|bytes| bytes.map(|bytes| (*blake3::hash(&bytes).as_bytes(), Some(bytes))))
        } else {
            content::hash_file(self.tree, &path, self.host)
                .map(|(hash, now)| now.is_same(&found.stat).then_some((hash, None)))
        };
        match read {
            Ok(Some((hash, bytes))) => {
                self.kept += bytes.as_ref().map_or(0, Vec::len);
                let hash = Some(hash);
                Ok(Some(Item { found, bytes, hash }))
            }
            Ok(None) => Ok(None),
            Err(error @ Error::Stopped(_)) => Err(error),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => {
                self.moved.missed += 1;
                let why = Refusal::new(Code::Failed, error.chain());
                self.origin.missed(&found, &why);
                Ok(None)
            }
        }
    }
}

fn offer(id: u32, item: &Item) -> Offer {
    Offer {
        id,
        size: item.found.stat.size,
        mtime: item.found.stat.mtime,
        mode: item.found.stat.mode,
        hash: item.hash,
        name: item.found.name.to_string(),
    }
}

/// A file that went away is nobody's fault.
fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}
