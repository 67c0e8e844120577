//! Files from the server to here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use super::{Misses, known::Known, params, session::Session};
use crate::{
    context::Context,
    error::Error,
    moving::Then,
    state::{Changes, State},
    transfer::{
        content::hash_file,
        host::Host,
        journal::{Journal, Memory, locked},
        landing::{Landed, SMALL, Target},
        leftovers,
        message::{Message, Offer, Refusal, Wish},
        name,
        proof::Digest,
        receiver::{self, Place, Policy, Ruling},
        sender::Moved,
        tree::Tree,
    },
};

/// Fetches what is to be fetched.
pub(super) fn run(
    cx: &Context,
    session: &mut Session,
    get: &params::Get,
    misses: &mut Misses,
) -> Result<Moved, Error> {
    let wish = wish(get)?;
    if let Err(refusal) = session.begin(cx, &Message::Get(wish.clone()))? {
        misses.add(&get.from, &refusal);
        return Ok(Moved::default());
    }
    let dir = cx.path(&get.to);
    cx.disk().create_dirs(&dir)?;
    let tree = Arc::new(Tree::open(&dir)?);
    let memory: Memory = Arc::new(Mutex::new(cx.open_state()?));
    let host = session.host(cx);
    let journal = Journal::open(
        Arc::clone(&memory),
        &format!("landing {} ", get.to),
        &tree,
        &host,
    )?;
    let known = if wish.then == Then::Keep {
        let known = Known::load(&memory, format!("got {} to {}: ", get.from, get.to))?;
        Some(Mutex::new(known))
    } else {
        None
    };
    let inbox = Inbox { tree: &tree, known };
    let place = Place {
        tree: &tree,
        folder: String::new(),
        durable: get.sync,
        policy: &inbox,
        journal: &journal,
    };
    let (_never, again) = mpsc::channel();
    let moved = receiver::receive(session.ends(), place, again, &host)?;
    if moved.missed > 0 {
        let why = Refusal::new(
            crate::transfer::message::Code::Failed,
            "could not be taken; the log says why",
        );
        (0..moved.missed).for_each(|_| misses.add(&get.from, &why));
    }
    inbox.forget_others(&memory)?;
    if moved.files > 0 {
        leftovers::sweep(&tree)?;
    }
    Ok(moved)
}

/// What there is to fetch: nothing is.
pub(super) fn list(
    cx: &Context,
    session: &mut Session,
    get: &params::Get,
) -> Result<Result<Moved, Refusal>, Error> {
    let wish = Wish {
        then: Then::Keep,
        stable: 0,
        ..wish(get)?
    };
    if let Err(refusal) = session.begin(cx, &Message::Get(wish))? {
        return Ok(Err(refusal));
    }
    // nothing is taken, so nothing is written there
    let tree = Arc::new(Tree::open(&std::env::temp_dir())?);
    let memory: Memory = Arc::new(Mutex::new(State::fake(
        &crate::disk::FakeDisk::new(),
        cx.job(),
    )));
    let host = session.host(cx);
    let journal = Journal::open(memory, "landing ", &tree, &host)?;
    let census = Census(Mutex::default());
    let place = Place {
        tree: &tree,
        folder: String::new(),
        durable: false,
        policy: &census,
        journal: &journal,
    };
    let (_never, again) = mpsc::channel();
    receiver::receive(session.ends(), place, again, &host)?;
    Ok(Ok(census
        .0
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)))
}

fn wish(get: &params::Get) -> Result<Wish, Error> {
    let invalid = |text: &str, why| Error::Invalid(format!("`{text}`: {why}"));
    let then = match get.then.parse().map_err(Error::Invalid)? {
        Then::Move(to) => Then::Move(name::folder(&to).map_err(|why| invalid(&to, why))?),
        then => then,
    };
    Ok(Wish {
        folder: name::folder(&get.from).map_err(|why| invalid(&get.from, why))?,
        patterns: get.pattern.to_string(),
        recurse: get.recurse,
        then,
        stable: u32::try_from(get.stable.0.as_millis()).unwrap_or(u32::MAX),
    })
}

/// The folder that files are fetched into.
struct Inbox<'a> {
    tree: &'a Tree,
    known: Option<Mutex<Known>>,
}

impl Inbox<'_> {
    fn known(&self) -> Option<MutexGuard<'_, Known>> {
        self.known
            .as_ref()
            .map(|known| known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn forget_others(&self, memory: &Memory) -> Result<(), Error> {
        match self.known() {
            Some(mut known) if known.has_others() => known.forget_others(&mut locked(memory)),
            _ => Ok(()),
        }
    }
}

impl Policy for Inbox<'_> {
    fn judge(&self, offer: &Offer, target: &Target, host: &dyn Host) -> Result<Ruling, Error> {
        if self
            .known()
            .is_some_and(|mut known| known.has(&offer.name, offer.size, offer.mtime))
        {
            return Ok(Ruling::Skip);
        }
        let there = self.tree.look(target.name.as_str())?;
        let alike = offer.size > SMALL
            && there.is_some_and(|there| there.regular && there.size == offer.size);
        Ok(match (alike, offer.hash) {
            (false, _) => Ruling::Want,
            (true, None) => Ruling::Hash,
            (true, Some(hash)) => match hash_file(self.tree, target.name.as_str(), host) {
                Ok((own, _)) if own == hash => Ruling::Held,
                Err(error @ Error::Stopped(_)) => return Err(error),
                _ => Ruling::Want,
            },
        })
    }

    fn rows(&self, came: &[Landed], held: &[Target], changes: Changes) -> Result<Changes, Error> {
        let Some(mut known) = self.known() else {
            return Ok(changes);
        };
        let targets = came.iter().map(|file| &file.target).chain(held);
        let mut changes = changes;
        for target in targets {
            changes = known.remember(&target.offered, target.size, target.mtime, changes)?;
        }
        Ok(changes)
    }

    fn over(&self, _: &Target, _: Option<&Digest>) {}
}

/// Counts what is offered and takes nothing.
struct Census(Mutex<Moved>);

impl Policy for Census {
    fn judge(&self, offer: &Offer, _: &Target, _: &dyn Host) -> Result<Ruling, Error> {
        let mut moved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        moved.files += 1;
        moved.bytes = moved.bytes.saturating_add(offer.size);
        Ok(Ruling::Skip)
    }

    fn rows(&self, _: &[Landed], _: &[Target], changes: Changes) -> Result<Changes, Error> {
        Ok(changes)
    }

    fn over(&self, _: &Target, _: Option<&Digest>) {}
}
