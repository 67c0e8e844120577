//! The receiving end of an operation: answers offers by its [`Policy`], takes bytes in, and hands what is whole to the
//! [`publisher`](super::publisher), which acknowledges it. The server plays it in a put, the client in a get.
//!
//! One thread reads and writes temporary files, one publishes, so that waiting for the disk and taking bytes overlap. What
//! is on its way between them is bounded; a slow disk slows the sender down by way of TCP.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
    thread,
    time::Duration,
};

use super::{
    fields::Malformed,
    host::{Host, Silent},
    journal::Journal,
    landing::{self, Landed, Landing, Target},
    link::{Frame, Incoming},
    message::{Message, Offer, Refusal, unpack},
    proof::Digest,
    publisher::{Publisher, Task},
    refused,
    sender::{Ends, Moved},
    tree::Tree,
};
use crate::{error::Error, state::Changes};

mod desk;
pub(crate) use desk::Desk;

/// Files between the two threads at most.
const QUEUE: usize = 2048;
/// Files that were answered and did not come yet, at most.
const MAX_EXPECTED: usize = 8192;
/// Large files that come in at the same time, interleaved, at most.
const MAX_LANDINGS: usize = 16;
/// Bytes taken from the socket into a file at once: few enough to stay in a processor's own memory meanwhile.
const PIECE: usize = 512 << 10;

/// What a policy says to an offer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ruling {
    /// It is wanted.
    Want,
    /// It is here, under its own name.
    Held,
    /// Its bytes are here under this name: they are copied.
    Copy(String),
    /// It was here before, or nobody wants it.
    Skip,
    /// That depends on its hash.
    Hash,
    /// It cannot be taken.
    Refused(Refusal),
    /// Not known yet; the policy gives the offer back when it is.
    Wait,
}

/// Who decides what is wanted, and remembers what came.
pub(crate) trait Policy: Sync {
    /// What is to be said to an offer.
    fn judge(&self, offer: &Offer, target: &Target, host: &dyn Host) -> Result<Ruling, Error>;
    /// What is to be remembered of files that are about to be published, and of files that were here already.
    fn rows(&self, came: &[Landed], held: &[Target], changes: Changes) -> Result<Changes, Error>;
    /// A file that was wanted, or to be copied, has been published (then with its hash), or will not be.
    fn over(&self, target: &Target, came: Option<&Digest>);
}

/// Where a receiver puts things and by which rules.
pub(crate) struct Place<'a> {
    pub(crate) tree: &'a Arc<Tree>,
    pub(crate) folder: String,
    pub(crate) durable: bool,
    pub(crate) policy: &'a dyn Policy,
    pub(crate) journal: &'a Journal,
}

/// Receives until the sender has finished. Offers that the policy made wait come back by `again`.
///
/// # Errors
/// When the connection is gone or the other side breaks the protocol; the connection is then shut.
pub(crate) fn receive(
    ends: Ends<'_>,
    place: Place<'_>,
    again: Receiver<Offer>,
    host: &dyn Host,
) -> Result<Moved, Error> {
    let Ends {
        incoming,
        outgoing,
        stop,
    } = ends;
    let desk = &Desk {
        tree: place.tree,
        policy: place.policy,
        journal: place.journal,
        outgoing,
        durable: place.durable,
        folder: place.folder,
        expected: Mutex::default(),
        acknowledged: Mutex::default(),
        files: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        missed: AtomicU64::new(0),
    };
    let result = thread::scope(|scope| {
        let (tasks, queue) = mpsc::sync_channel(QUEUE);
        let publisher = Publisher::new(desk, Silent(stop.clone()));
        let publisher = thread::Builder::new()
            .name("publisher".to_owned())
            .spawn_scoped(scope, move || publisher.run(&queue, &again))
            .map_err(|error| Error::Internal(format!("start a thread: {error}")))?;
        let mut taking = Taking {
            desk,
            host,
            tasks,
            landings: HashMap::new(),
            piece: Vec::new(),
            handed: false,
            told: 0,
        };
        let taken = taking.run(incoming);
        if let Err(error) = &taken {
            outgoing.give_up(refused::refusal(error), host);
            outgoing.wire().shut();
        }
        drop(taking);
        let published = publisher
            .join()
            .unwrap_or_else(|_| Err(Error::Internal("a thread panicked".to_owned())));
        // the publisher's failure is the cause where both failed
        published.and(taken)
    });
    for (_, target) in desk.expected().drain() {
        desk.policy.over(&target, None);
    }
    desk.journal.flush()?;
    result?;
    outgoing.send(&Message::Finished, host)?;
    Ok(desk.moved())
}

/// The thread that reads.
struct Taking<'a> {
    desk: &'a Desk<'a>,
    host: &'a dyn Host,
    tasks: SyncSender<Task>,
    landings: HashMap<u32, Landing>,
    /// Where bytes of large files pass through; made when the first of them come.
    piece: Vec<u8>,
    /// Whether the publisher got something since it was last told to begin.
    handed: bool,
    /// Published files that the host was told of.
    told: u64,
}

impl Taking<'_> {
    fn run(&mut self, incoming: &mut Incoming) -> Result<(), Error> {
        loop {
            self.tell();
            if self.handed && incoming.would_wait() {
                // a publisher that is busy finds it all by itself
                let _busy = self.tasks.try_send(Task::Begin);
                self.handed = false;
            }
            match incoming.next(self.host)? {
                Frame::Data { id, offset, length } => self.data(incoming, id, offset, length)?,
                Frame::Pack(payload) => {
                    let files = unpack(payload);
                    match files {
                        Ok(files) => {
                            for file in files {
                                self.small(file.id, file.bytes, &file.hash)?;
                            }
                        }
                        Err(error) => return Err(incoming.broken(error)),
                    }
                }
                Frame::Message(Message::Offer(offers)) => self.offers(&offers, incoming)?,
                Frame::Message(Message::End { id, size, hash }) => self.end(id, size, hash)?,
                Frame::Message(Message::Abandon(id)) => self.abandoned(id),
                Frame::Message(Message::Settled(ids)) => {
                    let mut acknowledged = self.desk.acknowledged();
                    let files = ids.iter().filter_map(|id| acknowledged.remove(id));
                    files.for_each(|file| self.desk.journal.settle(&file));
                }
                Frame::Message(Message::Finish) if self.desk.expected().is_empty() => break,
                Frame::Message(_) => {
                    return Err(incoming.broken(Malformed("a frame that has no place here")));
                }
            }
        }
        self.tell();
        Ok(())
    }

    /// Tells the host how many files were published since it was told last.
    fn tell(&mut self) {
        let files = self.desk.files.load(Ordering::Relaxed);
        if files > self.told {
            self.host.moved(files - self.told, 0);
            self.told = files;
        }
    }

    fn offers(&mut self, offers: &[Offer], incoming: &Incoming) -> Result<(), Error> {
        if self.desk.expected().len() + offers.len() > MAX_EXPECTED {
            return Err(incoming.broken(Malformed("more files offered than sent")));
        }
        let mut answers = Vec::with_capacity(offers.len());
        for offer in offers {
            self.host.tick()?;
            let (verdict, task) = self.desk.rule(offer, self.host)?;
            answers.extend(verdict.map(|verdict| (offer.id, verdict)));
            if let Some(task) = task {
                // what is acknowledged was answered before
                self.desk.answer(std::mem::take(&mut answers), self.host)?;
                self.task(task)?;
            }
        }
        self.desk.answer(answers, self.host)
    }

    /// Hands something to the publisher; waits, with signs of life, while it is busy.
    fn task(&mut self, mut task: Task) -> Result<(), Error> {
        self.handed = true;
        loop {
            match self.tasks.try_send(task) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(back)) => task = back,
                Err(TrySendError::Disconnected(_)) => {
                    return Err(Error::Internal(
                        "the publishing thread has ended".to_owned(),
                    ));
                }
            }
            self.host.tick()?;
            thread::park_timeout(Duration::from_millis(2));
        }
    }

    fn small(&mut self, id: u32, bytes: &[u8], hash: &Digest) -> Result<(), Error> {
        // one that is not expected was refused meanwhile
        let Some(target) = self.desk.expected().remove(&id) else {
            return Ok(());
        };
        self.host.moved(0, target.size);
        match landing::land_small(self.desk.tree, target.clone(), bytes, hash) {
            Ok(landed) => self.task(Task::Landed(landed)),
            Err(refusal) => self.failed(target, refusal),
        }
    }

    /// A file that cannot be taken after all.
    fn failed(&self, target: Target, refusal: Refusal) -> Result<(), Error> {
        self.desk.policy.over(&target, None);
        self.desk
            .acknowledge(vec![(target, Some(refusal))], self.host)
    }

    /// The landing of a file that is expected; none when it was refused meanwhile.
    fn landing(&mut self, id: u32) -> Result<Option<Landing>, Error> {
        if let Some(landing) = self.landings.remove(&id) {
            return Ok(Some(landing));
        }
        let target = self.desk.expected().get(&id).cloned();
        let Some(target) = target else {
            return Ok(None);
        };
        self.host.doing(&format!("receiving {}", target.name));
        match Landing::open(self.desk.tree, target.clone()) {
            Ok(landing) => Ok(Some(landing)),
            Err(refusal) => {
                self.desk.expected().remove(&id);
                self.failed(target, refusal).map(|()| None)
            }
        }
    }

    fn data(
        &mut self,
        incoming: &mut Incoming,
        id: u32,
        offset: u64,
        length: usize,
    ) -> Result<(), Error> {
        let Some(mut landing) = self.landing(id)? else {
            return Ok(());
        };
        let mut outcome = landing.expect(offset, length, self.host)?;
        self.piece.resize(PIECE, 0);
        while outcome.is_ok() {
            // whole pieces: a write of little costs as much as one of more
            let mut some = 0;
            while some < PIECE {
                match incoming.body(&mut self.piece[some..], self.host)? {
                    0 => break,
                    more => some += more,
                }
            }
            if some == 0 {
                break;
            }
            outcome = landing.write(&self.piece[..some]);
            self.host.moved(0, u64::try_from(some).unwrap_or(0));
        }
        match outcome {
            Ok(()) if self.landings.len() < MAX_LANDINGS => {
                self.landings.insert(id, landing);
                Ok(())
            }
            Ok(()) => Err(incoming.broken(Malformed("too many files at once"))),
            Err(refusal) => {
                self.desk.expected().remove(&id);
                let target = landing.target.clone();
                landing.discard(self.desk.tree);
                self.failed(target, refusal)
            }
        }
    }

    fn end(&mut self, id: u32, size: u64, hash: Digest) -> Result<(), Error> {
        let Some(landing) = self.landing(id)? else {
            return Ok(());
        };
        let target = landing.target.clone();
        self.desk.expected().remove(&id);
        match landing.finish(self.desk.tree, size, hash, self.host)? {
            Ok(landed) => self.task(Task::Landed(landed)),
            Err(refusal) => self.failed(target, refusal),
        }
    }

    fn abandoned(&mut self, id: u32) {
        if let Some(landing) = self.landings.remove(&id) {
            landing.discard(self.desk.tree);
        }
        let target = self.desk.expected().remove(&id);
        if let Some(target) = target {
            self.desk.policy.over(&target, None);
        }
    }
}
