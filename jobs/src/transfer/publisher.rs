//! Makes files that came whole durable and visible, many at a time, and acknowledges them.
//!
//! The order, which is the guarantee: the bytes of all are synced (by one call for the file system where they are many),
//! the journal's row is committed, each file is renamed to its name, the folders are synced, then they are acknowledged. After a failed
//! sync the files are given up, never synced again. Without durability asked for, the syncs are left out, nothing else.

use std::{
    collections::BTreeSet,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Duration,
};

use super::{
    content,
    host::{Host, Silent},
    landing::{Landed, Target, drop_temporary},
    message::{Offer, Refusal},
    name::join,
    proof::Digest,
    receiver::Desk,
    refused,
};
use crate::{error::Error, state::Changes};

/// Files published in one step.
const GROUP: usize = 4096;
/// So many files are worth a step of their own while more are coming: fewer, larger steps cost less, but publishing and taking in overlap.
const ENOUGH: usize = 100;
/// From so many files on, one sync of the whole file system is cheaper than one for each.
const MANY: usize = 8;
/// How long may pass before offers that waited are looked at, and how long a group waits for its next file.
const TICK: Duration = Duration::from_millis(50);

/// What the publisher is asked to do.
pub(crate) enum Task {
    /// A file came whole.
    Landed(Landed),
    /// A file was here before.
    Held(Target),
    /// Nothing more follows at once: what there is goes its way.
    Begin,
    /// A file's bytes are here under another name.
    Copy {
        target: Target,
        from: String,
        hash: Digest,
    },
}

/// The thread that publishes.
pub(crate) struct Publisher<'a> {
    desk: &'a Desk<'a>,
    host: Silent,
}

/// Files that go one way together.
#[derive(Default)]
struct Group {
    landed: Vec<Landed>,
    held: Vec<Target>,
    failed: Vec<(Target, Option<Refusal>)>,
}

impl<'a> Publisher<'a> {
    pub(crate) fn new(desk: &'a Desk<'a>, host: Silent) -> Publisher<'a> {
        Publisher { desk, host }
    }

    /// Works until the reading thread is through: what came whole is published though the other side may be gone by then.
    /// On a failure the wire is shut, so that the reader hears of it.
    pub(crate) fn run(self, queue: &Receiver<Task>, again: &Receiver<Offer>) -> Result<(), Error> {
        let mut failure = None;
        loop {
            let first = match queue.recv_timeout(TICK) {
                Ok(task) => Some(task),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return failure.map_or(Ok(()), Err),
            };
            if let Err(error) = self.round(first, queue, again) {
                self.desk.outgoing.wire().shut();
                failure.get_or_insert(error);
            }
        }
    }

    /// Publishes what is there to be published, and looks at offers that waited.
    fn round(
        &self,
        first: Option<Task>,
        queue: &Receiver<Task>,
        again: &Receiver<Offer>,
    ) -> Result<(), Error> {
        let mut group = Group::default();
        let mut next = first;
        while let Some(task) = next {
            let begin = matches!(task, Task::Begin);
            if let Err(error) = self.host.tick().and_then(|()| self.take(&mut group, task)) {
                // it stays under its temporary name, for the next run
                group
                    .landed
                    .iter()
                    .for_each(|file| self.desk.policy.over(&file.target, None));
                return Err(error);
            }
            next = if group.landed.len() >= GROUP {
                None
            } else if begin || group.landed.len() >= ENOUGH {
                queue.try_recv().ok()
            } else {
                queue.recv_timeout(TICK).ok()
            };
        }
        self.publish(group)?;
        while let Ok(offer) = again.try_recv() {
            self.judge_again(&offer)?;
        }
        Ok(())
    }

    fn judge_again(&self, offer: &Offer) -> Result<(), Error> {
        let (verdict, task) = self.desk.rule(offer, &self.host)?;
        self.desk.answer(
            verdict
                .map(|verdict| (offer.id, verdict))
                .into_iter()
                .collect(),
            &self.host,
        )?;
        let mut group = Group::default();
        if let Some(task) = task {
            self.take(&mut group, task)?;
        }
        self.publish(group)
    }

    /// Adds to a group. What cannot be added is over.
    fn take(&self, group: &mut Group, task: Task) -> Result<(), Error> {
        match task {
            Task::Landed(landed) => group.landed.push(landed),
            Task::Held(target) => group.held.push(target),
            Task::Begin => {}
            Task::Copy { target, from, hash } => {
                let copied =
                    content::copy(self.desk.tree, &from, target.clone(), &hash, &self.host);
                match copied.inspect_err(|_| self.desk.policy.over(&target, None))? {
                    Ok(landed) => group.landed.push(landed),
                    Err(refusal) => group.failed.push((target, Some(refusal))),
                }
            }
        }
        Ok(())
    }

    fn publish(&self, group: Group) -> Result<(), Error> {
        let Group {
            landed,
            held,
            failed,
        } = group;
        if landed.is_empty() && held.is_empty() && failed.is_empty() {
            return Ok(());
        }
        let mut acks = failed;
        acks.iter()
            .for_each(|(target, _)| self.desk.policy.over(target, None));
        match self.record(&landed, &held) {
            Ok(()) => {
                acks.extend(held.into_iter().map(|target| (target, None)));
                acks.extend(self.show(landed));
            }
            Err(error) => {
                log::error!("{}", error.chain());
                let refusal = refused::refusal(&error);
                for file in landed {
                    drop_temporary(self.desk.tree, &file.target, &file.temporary);
                    self.desk.policy.over(&file.target, None);
                    acks.push((file.target, Some(refusal.clone())));
                }
                acks.extend(
                    held.into_iter()
                        .map(|target| (target, Some(refusal.clone()))),
                );
            }
        }
        self.desk.acknowledge(acks, &self.host)
    }

    /// Syncs the bytes and writes the files down.
    fn record(&self, landed: &[Landed], held: &[Target]) -> Result<(), Error> {
        if self.desk.durable && !landed.is_empty() {
            self.sync(landed)?;
        }
        let rows = self.desk.policy.rows(landed, held, Changes::new())?;
        self.desk.journal.record(landed, rows)
    }

    fn sync(&self, landed: &[Landed]) -> Result<(), Error> {
        let tree = self.desk.tree;
        if landed.len() >= MANY {
            return tree.sync_all();
        }
        for file in landed {
            let path = join(file.target.name.folder(), &file.temporary);
            let reopened;
            let open = match &file.file {
                Some(open) => open,
                None => {
                    reopened = tree.read(&path)?.0;
                    &reopened
                }
            };
            open.sync_all()
                .map_err(Error::io("sync", tree.path(&path)))?;
        }
        self.sync_folders(landed)
    }

    fn sync_folders(&self, landed: &[Landed]) -> Result<(), Error> {
        let folders: BTreeSet<&str> = landed
            .iter()
            .map(|file| file.target.name.folder())
            .collect();
        folders
            .into_iter()
            .try_for_each(|folder| self.desk.tree.sync_folder(folder))?;
        self.desk.tree.sync_made()
    }

    /// Gives the files their names and makes these durable.
    fn show(&self, landed: Vec<Landed>) -> Vec<(Target, Option<Refusal>)> {
        let tree = self.desk.tree;
        let mut shown = Vec::with_capacity(landed.len());
        let mut acks = Vec::new();
        for file in landed {
            let name = &file.target.name;
            match tree.rename(name.folder(), &file.temporary, name.leaf()) {
                Ok(()) => shown.push(file),
                Err(error) => {
                    drop_temporary(tree, &file.target, &file.temporary);
                    acks.push(self.take_back(file, &error));
                }
            }
        }
        let synced = if self.desk.durable {
            self.sync_folders(&shown)
        } else {
            Ok(())
        };
        for file in shown {
            match &synced {
                Ok(()) => {
                    self.desk.policy.over(&file.target, Some(&file.hash));
                    log::debug!("{}: {} bytes", file.target.name, file.target.size);
                    acks.push((file.target, None));
                }
                Err(error) => acks.push(self.take_back(file, error)),
            }
        }
        acks
    }

    /// A file that was written down but is not there, or not for sure.
    fn take_back(&self, file: Landed, error: &Error) -> (Target, Option<Refusal>) {
        log::error!("{}", error.chain());
        self.desk.journal.settle(&file.target.identity());
        self.desk.policy.over(&file.target, None);
        (file.target, Some(refused::refusal(error)))
    }
}
