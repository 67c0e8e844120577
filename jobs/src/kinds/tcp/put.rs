//! Files from here to the server.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use super::{Misses, known::Known, params, session::Session};
use crate::{
    context::Context,
    error::Error,
    moving::Then,
    publish::move_all_into,
    state::Changes,
    transfer::{
        disposal,
        host::Host,
        journal::{Memory, locked},
        message::{Code, Message, Refusal},
        name::{self, Name},
        refused,
        scan::{Found, Next, Scan, Wanted},
        sender::{self, Moved, Origin},
        tree::Tree,
    },
};

/// Sends what is to be sent.
pub(super) fn run(
    cx: &Context,
    session: &mut Session,
    put: &params::Put,
    misses: &mut Misses,
) -> Result<Moved, Error> {
    let dir = cx.path(&put.from);
    let tree = Arc::new(Tree::open(&dir)?);
    let then: Then = put.then.parse().map_err(Error::Invalid)?;
    let folder =
        name::folder(&put.to).map_err(|why| Error::Invalid(format!("`{}`: {why}", put.to)))?;
    let operation = Message::Put {
        durable: put.sync,
        folder,
    };
    if let Err(refusal) = session.begin(cx, &operation)? {
        misses.add(&put.to, &refusal);
        return Ok(Moved::default());
    }
    let (memory, known) = if then == Then::Keep {
        let memory: Memory = Arc::new(Mutex::new(cx.open_state()?));
        let known = Known::load(&memory, format!("sent {} to {}: ", put.from, put.to))?;
        (Some(memory), Some(known))
    } else {
        (None, None)
    };
    let moving = match &then {
        Then::Move(to) => Some(cx.path(to)),
        Then::Keep | Then::Delete => None,
    };
    let wanted = Wanted {
        folder: String::new(),
        patterns: put.pattern.clone(),
        recurse: put.recurse,
        stable: put.stable.0,
        except: moving.as_deref().and_then(|to| below(&dir, to)),
    };
    let mut origin = Outbox {
        cx,
        scan: Scan::new(Arc::clone(&tree), wanted),
        tree: Arc::clone(&tree),
        then,
        moving,
        durable: put.sync,
        memory,
        known,
        misses,
        refused: 0,
    };
    let host = session.host(cx);
    let mut moved = sender::send(session.ends(), &tree, &mut origin, &host, true)?;
    moved.missed += origin.refused;
    origin.forget_others()?;
    Ok(moved)
}

/// The path of a folder below another one, relative to that; `None` when it is elsewhere.
fn below(dir: &Path, to: &Path) -> Option<String> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    // the last part may not be there yet
    let to = match (to.parent(), to.file_name()) {
        (Some(parent), Some(name)) if !to.exists() => real(parent).join(name),
        _ => real(to),
    };
    to.strip_prefix(real(dir))
        .ok()?
        .to_str()
        .filter(|path| !path.is_empty())
        .map(str::to_owned)
}

/// The folder that files are sent from.
struct Outbox<'a> {
    cx: &'a Context,
    scan: Scan,
    tree: Arc<Tree>,
    then: Then,
    /// Where files are moved that are safe at the server.
    moving: Option<PathBuf>,
    durable: bool,
    memory: Option<Memory>,
    known: Option<Known>,
    misses: &'a mut Misses,
    /// Files whose names cannot be sent.
    refused: u64,
}

impl Outbox<'_> {
    /// A name that cannot be sent fails for good: whoever made it has to hear of it.
    fn refuse(&mut self) {
        for refused in self.scan.refused() {
            self.refused += 1;
            let why = Refusal::new(Code::Name, refused.why);
            self.misses.add(&refused.shown, &why);
        }
    }

    fn forget_others(&mut self) -> Result<(), Error> {
        match (&mut self.known, &self.memory) {
            (Some(known), Some(memory)) if known.has_others() => {
                known.forget_others(&mut locked(memory))
            }
            _ => Ok(()),
        }
    }

    fn remember(&mut self, files: &[Found]) -> Result<(), Error> {
        let (Some(known), Some(memory)) = (&mut self.known, &self.memory) else {
            return Ok(());
        };
        let changes = files.iter().try_fold(Changes::new(), |changes, file| {
            known.remember(file.name.as_str(), file.stat.size, file.stat.mtime, changes)
        })?;
        locked(memory).commit(changes)
    }

    /// Moves files away, folder by folder, each folder synced once.
    fn shift(&mut self, files: &[Found], to: &Path) -> Result<(), Error> {
        let disk = self.cx.disk();
        let mut folders: BTreeMap<&str, Vec<PathBuf>> = BTreeMap::new();
        for file in files {
            if disposal::is_unchanged(&self.tree, &self.scan, file)? {
                folders
                    .entry(file.name.folder())
                    .or_default()
                    .push(self.tree.path(file.name.as_str()));
            }
        }
        for (folder, paths) in folders {
            let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
            move_all_into(&disk, &paths, &to.join(folder), &self.cx.author())?;
        }
        Ok(())
    }
}

impl Origin for Outbox<'_> {
    fn next(&mut self, host: &dyn Host) -> Result<Next, Error> {
        let known = &mut self.known;
        let next = self.scan.next(host, &mut |found| {
            let known = known.as_mut();
            !known.is_some_and(|known| {
                known.has(found.name.as_str(), found.stat.size, found.stat.mtime)
            })
        });
        self.refuse();
        next
    }

    fn path(&self, name: &Name) -> String {
        self.scan.path(name)
    }

    fn settle(&mut self, files: &[Found]) -> Result<(), Error> {
        if files.is_empty() {
            return Ok(());
        }
        match (&self.then, self.moving.clone()) {
            (_, Some(to)) => self.shift(files, &to),
            (Then::Delete, None) => {
                for (file, error) in disposal::delete(&self.tree, &self.scan, files, self.durable)?
                {
                    let why = Refusal::new(refused::refusal(&error).code, error.chain());
                    self.misses.add(file.name.as_str(), &why);
                }
                Ok(())
            }

            _ => self.remember(files),
        }
    }

    fn missed(&mut self, file: &Found, why: &Refusal) {
        self.misses.add(file.name.as_str(), why);
    }
}
