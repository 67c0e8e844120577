//! `<put>`: files to the server. Looked for, waited for until they are still, sent under temporary names, measured; then planned,
//! renamed, measured again and, where that is wished, deleted or moved here.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};

use super::crew::Crew;
use super::drafts;
use super::folder::below;
use super::listing::{Kind, Listed, Stamp};
use super::litter;
use super::local::{self, Local, Search};
use super::memory::{Known, Memory};
use super::outcome::Outcome;
use super::params::Put;
use super::session::Session;
use crate::context::{Context, Total};
use crate::disk::folder;
use crate::error::Error;
use crate::moving::Then;
use crate::publish::move_into;

/// How long moving a sent file away may take.
const MOVING: Duration = Duration::from_secs(600);
/// Files that are published together.
const MOST: usize = 1000;

/// Drafts in a folder on the server, with their lengths.
type Found = HashMap<String, u64>;

/// A file on its way.
pub(super) struct Item {
    pub(super) local: Local,
    /// Where it goes.
    pub(super) target: String,
    /// Under what name it goes there, and before it those that earlier tries of this pass have given up.
    names: Mutex<Vec<String>>,
    /// Bytes that an earlier try left there, as far as a listing told.
    pub(super) there: Option<u64>,
    /// A try of this pass may have left some.
    pub(super) begun: AtomicBool,
}

impl Item {
    /// Under what name it goes to the server now.
    pub(super) fn draft(&self) -> String {
        self.names().last().cloned().unwrap_or_default()
    }

    /// Goes on under another name: the server may still store to this one, from its first byte, when nobody waits for it any more.
    pub(super) fn rename(&self, draft: String) {
        self.names().push(draft);
    }

    /// The names that were given up.
    fn given_up(&self) -> Vec<String> {
        let names = self.names();
        names[..names.len().saturating_sub(1)].to_vec()
    }

    fn names(&self) -> MutexGuard<'_, Vec<String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One `<put>` at work.
pub(super) struct Putting<'a> {
    pub(super) crew: &'a Crew<'a>,
    pub(super) put: &'a Put,
    then: Then,
    from: PathBuf,
    /// The folder on the server, from the root.
    to: String,
    aside: Option<PathBuf>,
    boot: String,
    pub(super) memory: Memory,
}

impl<'a> Putting<'a> {
    pub(super) fn new(
        cx: &mut Context,
        crew: &'a Crew<'a>,
        put: &'a Put,
    ) -> Result<Putting<'a>, Error> {
        let then: Then = put.then.parse().map_err(Error::Invalid)?;
        let aside = match &then {
            Then::Move(dir) => Some(cx.path(dir)),
            Then::Keep | Then::Delete => None,
        };
        let memory = Memory::load(cx, format!("put {} > {}: ", put.from, put.to))?;
        Ok(Putting {
            crew,
            put,
            then,
            from: cx.path(&put.from),
            to: String::new(),
            aside,
            boot: drafts::boot(),
            memory,
        })
    }

    /// Every file that the patterns take.
    pub(super) fn survey(&self, cx: &Context, outcome: &mut Outcome) -> Result<Vec<Local>, Error> {
        let search = Search {
            root: &self.from,
            pattern: &self.put.pattern,
            recurse: self.put.recurse,
            aside: self.aside.as_deref(),
        };
        local::survey(cx, &search, outcome)
    }

    /// Those of the files that were not sent in this version yet.
    pub(super) fn fresh(&self, found: &[Local]) -> Vec<Local> {
        found
            .iter()
            .filter(|local| !self.memory.has(&local.file, &version(local)))
            .cloned()
            .collect()
    }

    pub(super) fn connections(&self) -> usize {
        usize::try_from(self.put.connections).unwrap_or(1)
    }

    /// The whole of it. The server is not asked for anything while there is nothing to send.
    pub(super) fn run(&mut self, cx: &mut Context, outcome: &mut Outcome) -> Result<(), Error> {
        cx.phase(&format!("looking into {}", self.from.display()));
        let failures = outcome.failures();
        let found = self.survey(cx, outcome)?;
        let seen: HashSet<String> = found.iter().map(|local| local.file.clone()).collect();
        // what could not be looked into is not gone
        if outcome.failures() == failures {
            self.memory.prune(cx, &seen, self.then != Then::Keep)?;
        }
        let fresh = self.fresh(&found);
        if self.then != Then::Keep {
            let left = found
                .into_iter()
                .filter(|local| self.memory.has(&local.file, &version(local)))
                .collect();
            self.dispose(cx, left, outcome)?;
        }
        let fresh = local::still(cx, fresh, self.put.stable.0)?;
        if fresh.is_empty() {
            return Ok(());
        }
        cx.expect_total(Total::Bytes(
            fresh.iter().map(|local| local.meta.length).sum(),
        ));
        self.to = self
            .crew
            .one(cx, |_, session| Ok(session.whole(&self.put.to)))?;
        let items = self.prepare(cx, fresh, outcome)?;
        let size = |item: &Item| item.local.meta.length;
        for batch in drafts::batches(items, MOST, self.connections(), size) {
            self.batch(cx, batch, outcome)?;
        }
        Ok(())
    }

    /// Makes the folders there, and finds what earlier tries left in them: what can be gone on with stays, the rest goes.
    fn prepare(
        &self,
        cx: &Context,
        files: Vec<Local>,
        outcome: &mut Outcome,
    ) -> Result<Vec<Item>, Error> {
        let mut folders: BTreeMap<String, Vec<Local>> = BTreeMap::new();
        for local in files {
            let target = below(&self.to, &local.file);
            let (dir, _) = target.rsplit_once('/').unwrap_or_default();
            let dir = if dir.is_empty() { "/" } else { dir };
            folders.entry(dir.to_owned()).or_default().push(local);
        }
        let (paths, lots): (Vec<String>, Vec<Vec<Local>>) = folders.into_iter().unzip();
        let mut drafts: Vec<Option<Option<Found>>> = vec![None; paths.len()];
        let (put, author, link) = (self.put, cx.author(), self.crew.link);
        let ours =
            |entry: &Listed| entry.kind == Kind::File && put.temporary && author.wrote(&entry.name);
        let look = |cx: &Context, session: &mut Session, path: &String| {
            session.make_folders(cx, path)?;
            let content = session.list(cx, link, path, &ours)?.unwrap_or_default();
            let entries = content
                .entries
                .into_iter()
                .map(|entry| (entry.name, entry.size))
                .collect::<Found>();
            // listings by LIST often leave out names with a dot
            Ok((!session.plain_lists).then_some(entries))
        };
        // two workers at one folder above would both make it: one at a time is soon done
        self.crew.each(cx, 1, &paths, look, |number, found| {
            match found {
                Ok(found) => drafts[number] = Some(found),
                Err(error) => outcome.failed(error),
            }
            Ok(())
        })?;
        let mut stale = Vec::new();
        let mut items = Vec::new();
        for ((path, lot), found) in paths.iter().zip(lots).zip(drafts) {
            let Some(found) = found else { continue };
            let (named, left) = self.name(cx, path, lot, found);
            items.extend(named);
            stale.extend(left.into_iter().map(|name| below(path, &name)));
        }
        litter::remove(cx, self.crew, &stale)?;
        Ok(items)
    }

    /// Gives the files of one folder the names that they go under: those of earlier tries that had come to something, else fresh ones.
    /// Tells the names of earlier tries that nobody goes on with. `found` is `None` where a listing does not tell.
    fn name(
        &self,
        cx: &Context,
        dir: &str,
        lot: Vec<Local>,
        found: Option<Found>,
    ) -> (Vec<Item>, Vec<String>) {
        // where they cannot be listed, only a name that does not change is found again
        let fresh = if found.is_some() {
            drafts::any_try()
        } else {
            0
        };
        let mut tries: HashMap<String, Vec<(u64, String)>> = HashMap::new();
        for (name, size) in found.into_iter().flatten() {
            let version = drafts::version_of(&name).unwrap_or_default();
            tries.entry(version).or_default().push((size, name));
        }
        let mut items = Vec::with_capacity(lot.len());
        for local in lot {
            let target = below(&self.to, &local.file);
            let name = self.draft_name(cx, &local, fresh);
            let (draft, there) = match drafts::version_of(&name).and_then(|it| tries.get_mut(&it)) {
                _ if !self.put.temporary => (target.clone(), None),
                Some(tried) => {
                    tried.sort_unstable();
                    // an empty one may be stored to yet, by a server that is late
                    match tried.pop_if(|(size, _)| *size > 0) {
                        Some((size, name)) => (below(dir, &name), Some(size)),
                        None => (below(dir, &name), None),
                    }
                }
                None => (below(dir, &name), None),
            };
            items.push(Item {
                local,
                target,
                names: Mutex::new(vec![draft]),
                there,
                begun: AtomicBool::new(false),
            });
        }
        let left = tries.into_values().flatten().map(|(_, name)| name);
        (items, left.collect())
    }

    /// The name that a try of this version has in its folder.
    pub(super) fn draft_name(&self, cx: &Context, local: &Local, number: u32) -> String {
        let meta = format!("{:?}", local.meta);
        let version = drafts::author(cx, &[&self.boot, &local.path.to_string_lossy(), &meta]);
        drafts::at_try(&version, number).draft(&local.name)
    }

    /// Sends, plans, renames, disposes.
    fn batch(
        &mut self,
        cx: &mut Context,
        batch: Vec<Item>,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        cx.phase(&format!("putting files into {}", self.to));
        let mut sent = vec![false; batch.len()];
        let work = |cx: &Context, session: &mut Session, item: &Item| self.send(cx, session, item);
        self.crew
            .each(cx, self.connections(), &batch, work, |number, result| {
                match result {
                    Ok(true) => sent[number] = true,
                    Ok(false) => log::info!(
                        "{}: changed while it was sent; left for the next pass",
                        batch[number].local.path.display()
                    ),
                    Err(error) => outcome.failed(error),
                }
                Ok(())
            })?;
        let given_up: Vec<String> = batch.iter().flat_map(Item::given_up).collect();
        litter::note(cx, &given_up)?;
        let mut whole = Vec::new();
        for (item, sent) in batch.into_iter().zip(sent) {
            if sent {
                whole.push(item);
            }
        }
        let published = self.publish(cx, whole, outcome)?;
        let disposed = if self.then == Then::Keep {
            Vec::new()
        } else {
            published
        };
        self.dispose(cx, disposed, outcome)
    }

    /// Deletes or moves here what is safe on the server, unless it was changed meanwhile.
    fn dispose(
        &mut self,
        cx: &mut Context,
        files: Vec<Local>,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let disk = cx.disk();
        let mut disposed = Vec::new();
        let mut dirs = BTreeSet::new();
        for local in files {
            cx.beat();
            let now = disk.look(&local.path)?;
            if now.is_some_and(|now| now != local.meta) {
                log::info!(
                    "{}: was changed after it was sent; left for the next pass",
                    local.path.display()
                );
                continue;
            }
            let gone = match (&self.aside, now) {
                (_, None) => Ok(()),
                (None, Some(_)) => disk.remove(&local.path).map(|_| ()),
                (Some(aside), Some(_)) => {
                    let _step = cx.step("move a file away", MOVING);
                    let place = aside.join(&local.file);
                    move_into(&disk, &local.path, folder(&place), &cx.author()).map(|_| ())
                }
            };
            match gone {
                Ok(()) => {
                    dirs.insert(folder(&local.path).to_owned());
                    disposed.push(local.file);
                }
                Err(error) => outcome.failed(error),
            }
        }
        for dir in dirs {
            disk.sync_dir(&dir)?;
        }
        if disposed.is_empty() {
            Ok(())
        } else {
            self.memory.settle(cx, &disposed)
        }
    }
}

pub(super) fn version(local: &Local) -> Known {
    Known::new(local.meta.length, time(local).map(Stamp::exact))
}

/// When the file was last written, in UTC.
pub(super) fn time(local: &Local) -> Option<NaiveDateTime> {
    Some(DateTime::<Utc>::from(local.meta.modified).naive_utc())
}
