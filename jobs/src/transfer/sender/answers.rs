//! What the other side says to offers, and what follows from it.

use std::sync::atomic::Ordering;

use super::{
    Effect, Error, IN_A_FRAME, Item, Malformed, Message, Offer, Refusal, SMALL, Sending, Told,
    offer,
};
use crate::transfer::{content, scan::Found};

impl Sending<'_> {
    pub(super) fn hear(&mut self, (message, length): Told) -> Result<(), Error> {
        self.unread.fetch_sub(length, Ordering::Relaxed);
        match message? {
            Message::Answer(answers) => {
                let mut again = Vec::new();
                for (id, verdict) in answers {
                    let effect = self
                        .book
                        .answer(id, verdict)
                        .map_err(|error| self.broken(error))?;
                    self.act(id, effect, &mut again)?;
                }
                self.outgoing_offers(&again)
            }
            Message::Ack(acks) => self.acknowledged(acks),
            _ => Err(self.broken(Malformed("a frame that has no place here"))),
        }
    }

    fn act(&mut self, id: u32, effect: Effect<Item>, again: &mut Vec<Offer>) -> Result<(), Error> {
        match effect {
            Effect::Send(checkpoints) => {
                let Some(item) = self.book.file(id) else {
                    return Ok(());
                };
                if item.found.stat.size <= SMALL {
                    self.small.push_back(id);
                } else {
                    self.wanted.push_back((id, checkpoints));
                }
            }
            Effect::Wait => self.let_go(id),
            Effect::Hash => self.hash(id, again)?,
            Effect::Skipped(item) => self.forget(item.bytes),
            Effect::Missed(item, refusal) => self.miss(item, &refusal),
        }
        Ok(())
    }

    /// A file whose bytes may be there already is read once for its hash, and offered again.
    fn hash(&mut self, id: u32, again: &mut Vec<Offer>) -> Result<(), Error> {
        let Some(item) = self.book.file(id) else {
            return Ok(());
        };
        let found = item.found.clone();
        let path = self.origin.path(&found.name);
        self.host.doing(&format!("hashing {}", found.name));
        let hashed = content::hash_file(self.tree, &path, self.host);
        match hashed {
            Ok((hash, stat)) if stat.is_same(&found.stat) => {
                if let Some(item) = self.book.file(id) {
                    item.hash = Some(hash);
                    again.push(offer(id, item));
                }
                Ok(())
            }
            Err(error @ Error::Stopped(_)) => Err(error),
            other => self.abandon(id, other.err()),
        }
    }

    pub(super) fn outgoing_offers(&self, offers: &[Offer]) -> Result<(), Error> {
        for part in offers.chunks(IN_A_FRAME) {
            self.outgoing
                .send(&Message::Offer(part.to_vec()), self.host)?;
        }
        Ok(())
    }

    fn acknowledged(&mut self, acks: Vec<(u32, Option<Refusal>)>) -> Result<(), Error> {
        for (id, refusal) in acks {
            let item = self
                .book
                .ack(id, refusal.is_some())
                .map_err(|error| self.broken(error))?;
            match (item, refusal) {
                (Some(item), None) => {
                    self.moved.files += 1;
                    self.moved.bytes += item.found.stat.size;
                    self.host.moved(1, 0);
                    self.forget(item.bytes);
                    self.done.push((id, item.found));
                }
                (Some(item), Some(refusal)) => self.miss(item, &refusal),
                (None, _) => {}
            }
        }
        Ok(())
    }

    /// Draws the consequences of what was acknowledged, and says so.
    pub(super) fn settle(&mut self) -> Result<(), Error> {
        if self.done.is_empty() {
            return Ok(());
        }
        let (ids, files): (Vec<u32>, Vec<Found>) = self.done.drain(..).unzip();
        self.origin.settle(&files)?;
        self.outgoing.send(&Message::Settled(ids), self.host)
    }

    pub(super) fn miss(&mut self, item: Item, why: &Refusal) {
        self.moved.missed += 1;
        self.origin.missed(&item.found, why);
        self.forget(item.bytes);
    }

    pub(super) fn forget(&mut self, bytes: Option<Vec<u8>>) {
        self.kept -= bytes.map_or(0, |bytes| bytes.len());
    }

    /// The bytes of a small file are not needed any more.
    fn let_go(&mut self, id: u32) {
        let bytes = self.book.file(id).and_then(|item| item.bytes.take());
        self.forget(bytes);
    }
}
