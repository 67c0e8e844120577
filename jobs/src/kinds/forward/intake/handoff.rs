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
struct Desk {
    ready: Option<Group>,
    settled: Vec<Settled>,
    spare: Option<Group>,
    closed: bool,
    /// The writer has nothing to do.
    idle: bool,
}

/// The place where groups change hands.
pub(crate) struct Handoff {
    desk: Mutex<Desk>,
    bell: Bell,
    /// Readable when groups are settled.
    wake: OwnedFd,
}

impl Handoff {
    /// # Errors
    /// When the system gives no descriptor.
    pub(crate) fn new() -> io::Result<Handoff> {
        Ok(Handoff {
            desk: Mutex::default(),
            bell: Bell::default(),
            wake: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
        })
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Readable when groups were settled since the last [`Handoff::settled`].
    pub(crate) fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Whether a group can be handed on now.
    pub(crate) fn is_free(&self) -> bool {
        self.desk().ready.is_none()
    }

    /// Hands on a group, made from an empty one that was used before.
    pub(crate) fn hand_on(&self, make: impl FnOnce(Group) -> Group) {
        let mut desk = self.desk();
        let spare = desk.spare.take().unwrap_or_default();
        desk.ready = Some(make(spare));
        drop(desk);
        self.bell.ring();
    }

    /// What was settled since the last look.
    pub(crate) fn settled(&self) -> Vec<Settled> {
        let mut count = [0; 8];
        // Nothing to read: nothing was settled since.
        let _empty = rustix::io::read(&self.wake, &mut count);
        std::mem::take(&mut self.desk().settled)
    }

    /// Nothing more will be handed on.
    pub(crate) fn close(&self) {
        self.desk().closed = true;
        self.bell.ring();
    }

    /// For the writer: whether nothing more will come.
    pub(crate) fn is_closed(&self) -> bool {
        self.desk().closed
    }

    /// Whether all that was handed on is settled.
    pub(crate) fn is_idle(&self) -> bool {
        let desk = self.desk();
        desk.idle && desk.ready.is_none()
    }

    /// For the writer: the next group, waiting so long at most.
    pub(crate) fn take(&self, seen: &mut u64, long: Duration) -> Option<Group> {
        let take = || {
            let mut desk = self.desk();
            let group = desk.ready.take();
            desk.idle = group.is_none();
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
        self.desk().settled.push(settled);
        // The counter cannot be full: it would take 2^64 groups.
        let _woken = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    /// For the writer: an empty group to be used again.
    pub(crate) fn give_back(&self, group: Group) {
        self.desk().spare = Some(group);
    }
}
