//! An account: its key, its rights, its folder, and what comes in there. One value for all sessions of the account.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc::Sender},
};

use super::{
    contents::Contents,
    flights::{Flights, Sight},
    quota::Quota,
};
use crate::{
    error::Error,
    state::Changes,
    transfer::{
        content::hash_file,
        host::Host,
        journal::{Journal, Memory},
        landing::{Landed, SMALL, Target},
        leftovers,
        login::Rights,
        message::{Offer, Refusal},
        proof::{Digest, Key},
        receiver::{Policy, Ruling},
        tree::Tree,
    },
};

/// An account.
pub(super) struct Account {
    pub(super) name: String,
    pub(super) key: Key,
    pub(super) rights: Rights,
    pub(super) root: PathBuf,
    pub(super) quota: Option<Quota>,
    pub(super) journal: Journal,
    contents: Mutex<Contents>,
    flights: Mutex<Flights>,
}

impl Account {
    /// Opens an account: what a killed server left unfinished is finished.
    pub(super) fn open(
        name: &str,
        key: &str,
        rights: Rights,
        root: PathBuf,
        quota: Option<Quota>,
        memory: &Memory,
        host: &dyn Host,
    ) -> Result<Account, Error> {
        let tree = Tree::open(&root)?;
        leftovers::sweep(&tree)?;
        Ok(Account {
            name: name.to_owned(),
            key: Key::new(key),
            rights,
            quota,
            journal: Journal::open(Arc::clone(memory), &format!("landing {name} "), &tree, host)?,
            contents: Mutex::new(Contents::load(Arc::clone(memory), name, &tree)?),
            flights: Mutex::default(),
            root,
        })
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flights(&self) -> MutexGuard<'_, Flights> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks after what is remembered, after an operation.
    pub(super) fn tidy(&self, tree: &Tree) -> Result<(), Error> {
        self.contents().tidy(tree)
    }
}

/// What one session's offers to an account are judged by.
pub(super) struct Keeping<'a> {
    pub(super) account: &'a Account,
    pub(super) tree: &'a Tree,
    /// Where offers come back that had to wait.
    pub(super) again: Mutex<Sender<Offer>>,
}

impl Keeping<'_> {
    /// What is here of an offered file, by its content.
    fn here(&self, offer: &Offer, target: &Target, host: &dyn Host) -> Result<Ruling, Error> {
        let name = target.name.as_str();
        let large = offer.size > SMALL;
        let alike = self
            .tree
            .look(name)?
            .is_some_and(|there| there.regular && there.size == offer.size);
        let Some(hash) = offer.hash else {
            let unsure =
                large && (alike || self.account.contents().has_size(self.tree, offer.size)?);
            return Ok(if unsure { Ruling::Hash } else { Ruling::Want });
        };
        if alike {
            match hash_file(self.tree, name, host) {
                Ok((own, _)) if own == hash => return Ok(Ruling::Held),
                Err(error @ Error::Stopped(_)) => return Err(error),
                _ => {}
            }
        }
        let found = self.account.contents().find(self.tree, offer.size, &hash)?;
        Ok(found.map_or(Ruling::Want, Ruling::Copy))
    }

    fn again(&self) -> MutexGuard<'_, Sender<Offer>> {
        self.again.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserve(&self, size: u64) -> Result<Result<(), Refusal>, Error> {
        let Some(quota) = &self.account.quota else {
            return Ok(Ok(()));
        };
        quota.reserve(self.tree, size, &|path| self.account.flights().has(path))
    }
}

impl Policy for Keeping<'_> {
    fn judge(&self, offer: &Offer, target: &Target, host: &dyn Host) -> Result<Ruling, Error> {
        let name = target.name.as_str();
        let sight = |flights: &mut Flights| {
            let sight = flights.look(name, offer, offer.size > SMALL);
            if sight == Sight::Wait {
                flights.wait(name, offer, &self.again());
            }
            sight
        };
        match sight(&mut self.account.flights()) {
            Sight::Wait => return Ok(Ruling::Wait),
            Sight::Unsure => return Ok(Ruling::Hash),
            Sight::Clear => {}
        }
        let ruling = self.here(offer, target, host)?;
        if !matches!(ruling, Ruling::Want | Ruling::Copy(_)) {
            return Ok(ruling);
        }
        if let Err(refusal) = self.reserve(offer.size)? {
            let quota = self.account.quota.as_ref();
            let later = quota.is_some_and(|quota| quota.may_come_later(offer.size));
            let waits = later && self.account.flights().wait_for_any(offer, &self.again());
            return Ok(if waits {
                Ruling::Wait
            } else {
                Ruling::Refused(refusal)
            });
        }
        // looked at once more: another session may have begun the same meanwhile
        let mut flights = self.account.flights();
        match sight(&mut flights) {
            Sight::Clear => {
                flights.begin(name, offer);
                Ok(ruling)
            }
            other => {
                if let Some(quota) = &self.account.quota {
                    quota.release(offer.size, false);
                }
                Ok(if other == Sight::Wait {
                    Ruling::Wait
                } else {
                    Ruling::Hash
                })
            }
        }
    }

    fn rows(&self, came: &[Landed], _: &[Target], changes: Changes) -> Result<Changes, Error> {
        self.account.contents().enter(came, changes)
    }

    fn over(&self, target: &Target, came: Option<&Digest>) {
        let mut flights = self.account.flights();
        if flights.has(target.name.as_str()) {
            // the room first: whoever waits for it looks as soon as the flight has ended
            if let Some(quota) = &self.account.quota {
                quota.release(target.size, came.is_some());
            }
            flights.end(target.name.as_str());
        }
    }
}
