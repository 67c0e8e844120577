//! What the two threads of a receiver work on: what is expected, what was acknowledged, and what is said to an offer.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{Policy, Ruling};
use crate::{
    error::Error,
    transfer::{
        content,
        host::Host,
        journal::Journal,
        landing::{Identity, Target},
        link::Outgoing,
        message::{Code, Message, Offer, Refusal, Verdict},
        name::Name,
        publisher::Task,
        sender::Moved,
        tree::Tree,
    },
};

/// Answers in one frame: so many fit, whatever they hold.
const IN_A_FRAME: usize = 200;
/// Acknowledgements in one frame that say nothing but yes.
const PLAIN_IN_A_FRAME: usize = 2000;

/// What both threads of a receiver work on.
pub(crate) struct Desk<'a> {
    pub(crate) tree: &'a Arc<Tree>,
    pub(crate) policy: &'a dyn Policy,
    pub(crate) journal: &'a Journal,
    pub(crate) outgoing: &'a Outgoing,
    /// Whether files are synced before they are acknowledged.
    pub(crate) durable: bool,
    /// Below the tree's root: what offered names are relative to.
    pub(super) folder: String,
    /// Files that were answered with "wanted" and are not whole yet.
    pub(super) expected: Mutex<HashMap<u32, Target>>,
    /// Files that were acknowledged and are not settled.
    pub(super) acknowledged: Mutex<HashMap<u32, Identity>>,
    pub(super) files: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) missed: AtomicU64,
}

impl Desk<'_> {
    pub(super) fn expected(&self) -> MutexGuard<'_, HashMap<u32, Target>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn acknowledged(&self) -> MutexGuard<'_, HashMap<u32, Identity>> {
        self.acknowledged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn moved(&self) -> Moved {
        Moved {
            files: self.files.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            missed: self.missed.load(Ordering::Relaxed),
        }
    }

    /// What is to be said to an offer, if that is known already, and what is to be done.
    pub(crate) fn rule(
        &self,
        offer: &Offer,
        host: &dyn Host,
    ) -> Result<(Option<Verdict>, Option<Task>), Error> {
        let name = match Name::new(offer.name.as_str()).and_then(|name| name.below(&self.folder)) {
            Ok(name) => name,
            Err(why) => {
                let text: String = offer.name.chars().take(80).collect();
                log::warn!("{}: offered {text:?}: {why}", self.outgoing.wire().peer());
                self.missed.fetch_add(1, Ordering::Relaxed);
                return Ok((Some(Verdict::Refused(Refusal::new(Code::Name, why))), None));
            }
        };
        let target = Target::new(offer, name);
        if self.journal.holds(&target) {
            return Ok((Some(Verdict::Held), Some(Task::Held(target))));
        }
        Ok(match self.policy.judge(offer, &target, host)? {
            Ruling::Want => {
                let checkpoints = content::checkpoints(self.tree, &target, host)?;
                self.expected().insert(target.id, target);
                (Some(Verdict::Want(checkpoints)), None)
            }
            Ruling::Held => (Some(Verdict::Held), Some(Task::Held(target))),
            Ruling::Copy(from) => match offer.hash {
                Some(hash) => (Some(Verdict::Held), Some(Task::Copy { target, from, hash })),
                None => (Some(Verdict::Hash), None),
            },
            Ruling::Skip => (Some(Verdict::Skip), None),
            Ruling::Hash => (Some(Verdict::Hash), None),
            Ruling::Refused(refusal) => {
                self.missed.fetch_add(1, Ordering::Relaxed);
                log::warn!("{}: {}", target.name, refusal.reason);
                (Some(Verdict::Refused(refusal)), None)
            }
            Ruling::Wait => (None, None),
        })
    }

    /// Sends answers, in frames that are not too long.
    pub(crate) fn answer(
        &self,
        mut answers: Vec<(u32, Verdict)>,
        host: &dyn Host,
    ) -> Result<(), Error> {
        while !answers.is_empty() {
            let rest = answers.split_off(answers.len().min(IN_A_FRAME));
            self.outgoing.send(&Message::Answer(answers), host)?;
            answers = rest;
        }
        Ok(())
    }

    /// Acknowledges files that are published, and says which ones are not.
    pub(crate) fn acknowledge(
        &self,
        acks: Vec<(Target, Option<Refusal>)>,
        host: &dyn Host,
    ) -> Result<(), Error> {
        let mut told: Vec<(u32, Option<Refusal>)> = Vec::with_capacity(acks.len());
        for (target, refusal) in acks {
            match &refusal {
                None => {
                    self.files.fetch_add(1, Ordering::Relaxed);
                    self.bytes.fetch_add(target.size, Ordering::Relaxed);
                    self.acknowledged().insert(target.id, target.identity());
                }
                Some(refusal) => {
                    self.missed.fetch_add(1, Ordering::Relaxed);
                    log::warn!("{}: {}", target.name, refusal.reason);
                }
            }
            told.push((target.id, refusal));
        }
        while !told.is_empty() {
            let plain = told
                .iter()
                .take_while(|(_, refusal)| refusal.is_none())
                .count();
            let most = plain.clamp(IN_A_FRAME, PLAIN_IN_A_FRAME);
            let rest = told.split_off(told.len().min(most));
            self.outgoing.send(&Message::Ack(told), host)?;
            told = rest;
        }
        Ok(())
    }
}
