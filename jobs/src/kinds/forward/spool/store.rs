//! The writing end of a spool: batches wait, are written, and are durable after a sync that all of them share.
//!
//! A write that fails is taken back by cutting the file. A sync that fails is never tried again on that file: what was not
//! durable is written anew, under the same numbers, to a new segment. Nothing is dropped: what cannot be written waits.
//!
//! What is written first after a sync begins with an empty note: whoever reads it knows that all before it was durable.

use std::{collections::VecDeque, io::Write as _, sync::Arc};

use super::{
    record::{Found, NOTE, Seal},
    reserve,
    room::Plan,
    segment::{self, Start},
    sessions::{News, Sessions, append_note},
    shelf::Shelf,
};
use crate::{disk::Written, error::Error};

/// Records that go to the disk together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    /// The records, and notes about new sessions, in their wire form.
    pub(crate) bytes: Vec<u8>,
    /// The first number.
    pub(crate) first: u64,
    /// The number after the last one.
    pub(crate) next: u64,
    /// What it tells of sessions.
    pub(crate) news: Vec<News>,
}

impl Batch {
    /// Two batches of about half its records each; `None` when it has only one.
    fn halves(&self, seal: &Seal) -> Option<(Batch, Batch)> {
        let (mut at, mut next, mut reached) = (0, self.first, Vec::new());
        while at < self.bytes.len() / 2 {
            let Found::Record(head, whole) = seal.read(&self.bytes[at..]) else {
                return None;
            };
            if head.session != NOTE {
                next = head.seq + 1;
            }
            if head.session != NOTE && head.session != 0 {
                let second = head.time / 1_000_000;
                reached.push(News::Reached(head.session, head.number, second));
            }
            at += whole;
        }
        if next == self.first || next >= self.next {
            return None;
        }
        let opened = self
            .news
            .iter()
            .filter(|item| !matches!(item, News::Reached(..)));
        let one = Batch {
            bytes: self.bytes[..at].to_vec(),
            first: self.first,
            next,
            news: opened.cloned().chain(reached).collect(),
        };
        let other = Batch {
            bytes: self.bytes[at..].to_vec(),
            first: next,
            next: self.next,
            news: self.news.clone(),
        };
        Some((one, other))
    }
}

/// The segment that is being written.
pub(super) struct Active {
    pub(super) file: Box<dyn Written>,
    /// Bytes that are in the file.
    pub(super) written: u64,
    /// Bytes that are durable.
    pub(super) synced: u64,
    /// Whether there are records in it.
    pub(super) filled: bool,
    /// Nothing more goes into it.
    pub(super) closed: bool,
    /// Bytes of zeros that are laid out behind what was written.
    pub(super) room: u64,
}

/// The writing end.
pub(crate) struct Store {
    pub(super) shelf: Arc<Shelf>,
    pub(super) sessions: Sessions,
    pub(super) active: Option<Active>,
    pub(super) next: u64,
    /// A segment is closed before it is longer than this.
    pub(crate) segment: u64,
    waiting: VecDeque<Batch>,
    unsynced: VecDeque<Batch>,
    unsynced_bytes: u64,
    spare: Option<Batch>,
    plan: Plan,
}

impl Store {
    pub(super) fn new(
        shelf: Arc<Shelf>,
        sessions: Sessions,
        active: Option<Active>,
        next: u64,
        segment: u64,
    ) -> Store {
        Store {
            shelf,
            sessions,
            active,
            next,
            segment,
            waiting: VecDeque::new(),
            unsynced: VecDeque::new(),
            unsynced_bytes: 0,
            spare: None,
            plan: Plan::new(segment),
        }
    }

    /// The number that the next record gets.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// The sessions, as far as they are durable.
    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The segments, for readers.
    pub(crate) fn shelf(&self) -> &Arc<Shelf> {
        &self.shelf
    }

    /// Takes a batch; its numbers follow those of the one before.
    pub(crate) fn push(&mut self, batch: Batch) {
        assert!(
            batch.first == self.next && batch.first < batch.next,
            "numbers go on where they ended: {} to {} after {}",
            batch.first,
            batch.next,
            self.next
        );
        self.next = batch.next;
        self.waiting.push_back(batch);
    }

    /// A batch that is durable, to be filled again.
    pub(crate) fn spare(&mut self) -> Option<Batch> {
        self.spare.take()
    }

    /// Bytes that are not written yet.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.waiting.iter().map(|b| b.bytes.len() as u64).sum()
    }

    /// Bytes that are written and not durable yet.
    pub(crate) fn unsynced_bytes(&self) -> u64 {
        self.unsynced_bytes
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// When the disk refuses: what was not written still waits.
    pub(crate) fn write(&mut self) -> Result<(), Error> {
        while let Some(batch) = self.waiting.front() {
            let (first, length) = (batch.first, batch.bytes.len() as u64);
            let full = self.active.as_ref().is_some_and(|active| {
                active.closed || (active.filled && active.written + length > self.segment)
            });
            if full {
                self.close()?;
                continue; // what waits now may begin elsewhere
            }
            let path = segment::path(&self.shelf.dir, self.shelf.newest());
            let active = match &mut self.active {
                Some(active) => active,
                None => self
                    .active
                    .insert(begin(&self.shelf, &self.sessions, first)?),
            };
            let mut note = Vec::new();
            if self.unsynced.is_empty() {
                append_note(&mut note, &self.shelf.seal, first, 0, &[]);
            }
            let Some(batch) = self.waiting.pop_front() else {
                break;
            };
            let written = active.file.write_all(&note);
            if let Err(error) = written.and_then(|()| active.file.write_all(&batch.bytes)) {
                active.closed = active.filled;
                active.room = 0;
                self.shelf.lay(0);
                if active.file.cut(active.written).is_err() {
                    self.give_up();
                }
                let error = Error::io("write", path)(error);
                let halves = segment::is_full(&error).then(|| batch.halves(&self.shelf.seal));
                match halves.flatten() {
                    // half of it may find room, and what becomes durable can be delivered and go
                    Some((one, other)) => {
                        self.waiting.push_front(other);
                        self.waiting.push_front(one);
                    }
                    None => self.waiting.push_front(batch),
                }
                return Err(error);
            }
            let length = length + note.len() as u64;
            active.written += length;
            active.room = active.room.saturating_sub(length);
            active.filled = true;
            self.unsynced_bytes += length;
            self.unsynced.push_back(batch);
        }
        Ok(())
    }

    /// Makes durable what was written; gives the number of the first record that is not.
    ///
    /// # Errors
    /// When the disk refuses: what was not durable waits to be written anew.
    pub(crate) fn sync(&mut self) -> Result<u64, Error> {
        let Some(last) = self.unsynced.back().map(|batch| batch.next) else {
            return Ok(self.shelf.durable());
        };
        let active = self.active.as_mut().expect("what was written is in a file");
        if let Err(error) = active.file.sync_data() {
            let path = segment::path(&self.shelf.dir, self.shelf.newest());
            self.give_up();
            return Err(Error::io("sync", path)(error));
        }
        active.synced = active.written;
        for batch in self.unsynced.drain(..) {
            self.sessions.apply(&batch.news);
            self.spare = Some(batch);
        }
        self.plan.synced(self.unsynced_bytes);
        self.unsynced_bytes = 0;
        self.shelf.grow(active.synced, last);
        Ok(last)
    }

    /// Lays room out for what comes, if that seems worth it and takes no more than so many bytes. A disk that refuses costs the room alone.
    pub(crate) fn prepare(&mut self, free: u64) {
        let Some(active) = &mut self.active else {
            return;
        };
        let bytes = self.plan.wanted(active, self.segment, free);
        if bytes == 0 || !self.unsynced.is_empty() {
            return;
        }
        match active.file.lay_room(bytes) {
            Ok(()) => {
                active.room = bytes;
                self.plan.laid();
                self.shelf.lay(active.written + bytes);
            }
            Err(error) => {
                log::debug!("no room laid out: {error}");
                self.plan.refused();
                // if it was the sync that failed: all records are durable, the next ones go elsewhere
                active.closed = !segment::is_no_room(&error);
                self.cut_room();
            }
        }
    }

    /// Gives back the room that is left.
    fn cut_room(&mut self) {
        if let Some(active) = &mut self.active {
            active.room = 0;
            self.shelf.lay(0);
            // Zeros that stay behind the records do no harm.
            let _left = active.file.cut(active.written);
        }
    }

    /// Puts room aside again that was given up when the disk was full.
    pub(crate) fn restore_reserve(&self) {
        reserve::keep(&*self.shelf.disk, &self.shelf.dir, self.segment);
    }

    /// Makes durable what was written and ends the segment, so that it can be removed when all of it is confirmed.
    ///
    /// # Errors
    /// As [`Store::sync`].
    pub(crate) fn close(&mut self) -> Result<(), Error> {
        self.sync()?;
        if self.active.as_ref().is_some_and(|active| active.room > 0) {
            self.cut_room();
        }
        self.active = None;
        Ok(())
    }

    /// Begins a new segment if the one that is written has records, so that the old one can go.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn roll(&mut self) -> Result<(), Error> {
        if self.active.as_ref().is_some_and(|active| !active.filled) {
            return Ok(());
        }
        self.close()?;
        let first = self.waiting.front().map_or(self.next, |batch| batch.first);
        self.active = Some(begin(&self.shelf, &self.sessions, first)?);
        Ok(())
    }

    /// Leaves the segment behind: nobody knows what of its unsynced bytes is on the disk.
    fn give_up(&mut self) {
        if let Some(mut active) = self.active.take() {
            // Only to free room: what stands behind the durable part is never read.
            let _cut = active.file.cut(active.synced);
            self.shelf.lay(0);
        }
        while let Some(batch) = self.unsynced.pop_back() {
            self.waiting.push_front(batch);
        }
        self.unsynced_bytes = 0;
    }
}

/// Makes a new segment, durable, with notes of all sessions.
fn begin(shelf: &Shelf, sessions: &Sessions, base: u64) -> Result<Active, Error> {
    let bytes = beginning(shelf, sessions, base);
    let name = format!("{base:020}.seg");
    let file = reserve::with_room(&*shelf.disk, &shelf.dir, || {
        segment::put(&*shelf.disk, &shelf.dir, &name, &bytes)
    })?;
    let length = bytes.len() as u64;
    shelf.begin(base, length);
    Ok(Active {
        file,
        written: length,
        synced: length,
        filled: false,
        closed: false,
        room: 0,
    })
}

/// The first bytes of a segment that begins now.
fn beginning(shelf: &Shelf, sessions: &Sessions, base: u64) -> Vec<u8> {
    let made = u64::try_from(chrono::Utc::now().timestamp_micros()).unwrap_or(0);
    let start = Start {
        id: shelf.seal.id(),
        base,
        made,
    };
    let mut bytes = start.to_bytes().to_vec();
    sessions.append_all(&mut bytes, &shelf.seal, base, made);
    bytes
}
