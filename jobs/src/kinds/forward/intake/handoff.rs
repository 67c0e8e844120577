//! Between the intake, which gathers, and the writer, which waits for the disk: one group is on its way while the next
//! one grows, so that all who came meanwhile share the next sync.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::event::{EventfdFlags, eventfd};

use super::desk::{Group, Taker};
use crate::kinds::forward::spool::{Bell, News};

/// Groups that are acknowledged: who waited, and what it means for sessions.
pub(crate) struct Settled {
    pub(crate) takers: Vec<Taker>,
    pub(crate) news: Vec<News>,
}

#[derive(Default)]
struct Table {
    ready: Option<Group>,
    settled: Vec<Settled>,
    spare: Option<Group>,
    closed: bool,
    /// The writer has nothing to do.
    idle: bool,
}

/// The place where groups change hands.
pub(crate) struct Handoff {
    table: Mutex<Table>,
    bell: Bell,
    /// Readable when groups are settled.
    wake: OwnedFd,
}

impl Handoff {
    /// # Errors
    /// When the system gives no descriptor.
    pub(crate) fn new() -> io::Result<Handoff> {
        Ok(Handoff {
            table: Mutex::default(),
            bell: Bell::default(),
            wake: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Readable when groups were settled since the last [`Handoff::settled`].
    pub(crate) fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Hands on a group of so many bytes, made from an empty one that was used before. While the one before still waits, it becomes part of
    /// that if both have no more than `most` bytes together, so that nobody waits for two syncs of others; else it waits where it is.
    pub(crate) fn hand_on(&self, bytes: usize, most: usize, make: impl FnOnce(Group) -> Group) {
        let mut table = self.table();
        let fits = |waiting: &Group| waiting.batch.bytes.len() + bytes <= most;
        if table.ready.as_ref().is_some_and(|waiting| !fits(waiting)) {
            return;
        }
        let mut group = make(table.spare.take().unwrap_or_default());
        match &mut table.ready {
            Some(waiting) => {
                waiting.join(&mut group);
                table.spare = Some(group);
            }
            None => {
                table.ready = Some(group);
                drop(table);
                self.bell.ring();
            }
        }
    }

    /// What was settled since the last look.
    pub(crate) fn settled(&self) -> Vec<Settled> {
        let mut count = [0; 8];
        // Nothing to read: nothing was settled since.
        let _empty = rustix::io::read(&self.wake, &mut count);
        std::mem::take(&mut self.table().settled)
    }

    /// Nothing more will be handed on.
    pub(crate) fn close(&self) {
        self.table().closed = true;
        self.bell.ring();
    }

    /// For the writer: whether nothing more will come.
    pub(crate) fn is_closed(&self) -> bool {
        self.table().closed
    }

    /// Whether all that was handed on is settled.
    pub(crate) fn is_idle(&self) -> bool {
        let table = self.table();
        table.idle && table.ready.is_none()
    }

    /// For the writer: the next group, waiting so long at most.
    pub(crate) fn take(&self, seen: &mut u64, long: Duration) -> Option<Group> {
        let take = || {
            let mut table = self.table();
            let group = table.ready.take();
            table.idle = group.is_none();
            group
        };
        if let Some(group) = take() {
            return Some(group);
        }
        self.bell.wait(seen, long);
        take()
    }

    /// For the writer: sleeps so long, or until the intake closes.
    pub(crate) fn pause(&self, seen: &mut u64, long: Duration) {
        if !self.is_closed() {
            self.bell.wait(seen, long);
        }
    }

    /// For the writer: these are acknowledged.
    pub(crate) fn settle(&self, settled: Settled) {
        self.table().settled.push(settled);
        // The counter cannot be full: it would take 2^64 groups.
        let _woken = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    /// For the writer: an empty group to be used again.
    pub(crate) fn give_back(&self, group: Group) {
        self.table().spare = Some(group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::forward::spool::Batch;

    /// A group of the records from `first` up to, not including, `next`, for one connection.
    fn group(first: u64, next: u64, bytes: usize) -> Group {
        let batch = Batch {
            bytes: vec![b'x'; bytes],
            first,
            next,
            ..Batch::default()
        };
        Group {
            batch,
            takers: vec![Taker::new(first, next)],
        }
    }

    #[test]
    fn small_groups_join_the_one_that_waits_and_large_ones_stay() {
        let handoff = Handoff::new().unwrap();
        let mut seen = 0;
        handoff.hand_on(10, 20, |_| group(1, 3, 10));
        handoff.hand_on(5, 20, |_| group(3, 4, 5));
        handoff.hand_on(6, 20, |_| panic!("it does not fit"));
        let got = handoff.take(&mut seen, Duration::ZERO).unwrap();
        assert_eq!((got.batch.first, got.batch.next), (1, 4));
        assert_eq!((got.batch.bytes.len(), got.takers.len()), (15, 2));
        handoff.hand_on(99, 20, |spare| {
            assert!(spare.batch.bytes.is_empty(), "a used group comes empty");
            group(4, 9, 99)
        });
        let got = handoff.take(&mut seen, Duration::ZERO).unwrap();
        assert_eq!((got.batch.first, got.batch.next), (4, 9));
        assert!(handoff.take(&mut seen, Duration::ZERO).is_none());
    }
}
