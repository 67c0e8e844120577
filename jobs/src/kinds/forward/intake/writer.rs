//! The thread that waits for the disk: writes each group, syncs once for all who wait, and acknowledges. While the disk is
//! full or fails it tries again, and the intake, which gets no free hand-off, stops reading from senders.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    desk::Group,
    handoff::{Handoff, Settled},
};
use crate::{
    error::Error,
    kinds::forward::{
        params::SyncPolicy,
        spool::{Beside, Store, is_full},
        trouble::Trouble,
        vitals::Vital,
    },
};

/// How long a write or a sync may take before the job counts as hung.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two attempts on a disk that refuses.
const PAUSE: Duration = Duration::from_millis(500);
/// So many bytes at most are not synced, whatever the window.
const UNSYNCED: u64 = 32 << 20;
/// How long the writer sleeps at most.
const NAP: Duration = Duration::from_millis(500);

/// How often it sees to the room that is put aside.
const TENDED: Duration = Duration::from_secs(10);

/// What the writer keeps to.
pub(crate) struct Writer {
    pub(crate) store: Store,
    pub(crate) handoff: Arc<Handoff>,
    pub(crate) sync: SyncPolicy,
    /// Bytes that the spool may take on the disk.
    pub(crate) quota: u64,
    /// What of them its segments do not take.
    pub(crate) beside: Beside,
    pub(crate) vital: Vital,
    pub(crate) trouble: Arc<Trouble>,
}

impl Writer {
    /// Works until the hand-off is closed and empty.
    pub(crate) fn run(mut self) {
        let (mut seen, mut tended) = (0, Instant::now());
        let mut due: Option<Instant> = None;
        loop {
            self.vital.alive_for(PATIENCE);
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            match self.handoff.take(&mut seen, left.unwrap_or(NAP).min(NAP)) {
                Some(group) => self.keep(group, &mut seen, &mut due),
                None if self.handoff.is_closed() => break,
                None if tended.elapsed() > TENDED => {
                    tended = Instant::now();
                    self.store.restore_reserve();
                }
                None => {}
            }
            let over = self.store.unsynced_bytes() > UNSYNCED;
            if over || due.is_some_and(|due| due <= Instant::now()) {
                due = None;
                self.insist(&mut seen, |writer| writer.store.sync().map(drop));
            }
        }
        if let Err(error) = self.store.close() {
            log::error!("at the end: {}", error.chain());
        }
    }

    /// Sees a group to the disk.
    fn keep(&mut self, mut group: Group, seen: &mut u64, due: &mut Option<Instant>) {
        let news = group.batch.news.clone();
        let takers = std::mem::take(&mut group.takers);
        self.store.push(std::mem::take(&mut group.batch));
        let always = matches!(self.sync, SyncPolicy::Always);
        let kept = self.insist(seen, |writer| {
            writer.make_room()?;
            let written = writer.store.write();
            if always || written.is_err() {
                // what did find room can be delivered, and make room for the rest
                writer.store.sync()?;
            }
            written
        });
        if !kept {
            return;
        }
        if let SyncPolicy::Every(window) = self.sync {
            due.get_or_insert_with(|| Instant::now() + window);
        }
        self.handoff.settle(Settled { takers, news });
        if let Some(batch) = self.store.spare() {
            group.batch = batch;
            self.handoff.give_back(group);
        }
        if always {
            let shelf = Arc::clone(self.store.shelf());
            let taken = shelf.bytes() + self.beside.bytes(&shelf);
            self.store.prepare(self.quota.saturating_sub(taken));
        }
    }

    /// Does something until the disk lets it be done; `false` when the job stops before that.
    fn insist(
        &mut self,
        seen: &mut u64,
        mut act: impl FnMut(&mut Writer) -> Result<(), Error>,
    ) -> bool {
        loop {
            self.vital.alive_for(PATIENCE);
            match act(self) {
                Ok(()) => {
                    self.trouble.over("disk");
                    return true;
                }
                Err(error) => {
                    let what = match is_full(&error) {
                        true => "the disk is full, senders wait",
                        false => "the disk refuses, senders wait",
                    };
                    self.trouble
                        .tell("disk", format!("{what}: {}", error.chain()));
                }
            }
            if self.handoff.is_closed() {
                return false;
            }
            self.handoff.pause(seen, PAUSE);
        }
    }

    /// Waits until the spool may take what is to be written.
    fn make_room(&mut self) -> Result<(), Error> {
        let shelf = Arc::clone(self.store.shelf());
        let (mut seen, mut rolled) = (0, false);
        loop {
            let more = self.store.waiting_bytes() + self.store.unsynced_bytes();
            let beside = self.beside.bytes(&shelf);
            // alone in the spool, a batch larger than the quota has its room: nothing can go that would make more
            let alone = rolled && shelf.segments().len() <= 1;
            if alone || shelf.bytes() + beside + more <= self.quota {
                self.trouble.over("quota");
                return Ok(());
            }
            if shelf.reclaim(None)? > 0 {
                continue;
            }
            if !rolled {
                // the segment that is written can go only when it is no more written
                self.store.roll()?;
                rolled = true;
                continue;
            }
            let mut text = format!("the quota of {} bytes is full, senders wait", self.quota);
            if beside > self.quota / 4 {
                text = format!(
                    "{text}; {beside} bytes of it are dead letters, quarantine and the like"
                );
            }
            self.trouble.tell("quota", text);
            if self.handoff.is_closed() {
                return Err(Error::TryAgain("the quota is full".to_owned()));
            }
            self.vital.alive_for(PATIENCE);
            shelf.room.wait(&mut seen, NAP);
        }
    }
}
