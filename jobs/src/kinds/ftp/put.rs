//! `<put>`: files to the server. Looked for, waited for until they are still, sent under temporary names, measured; then planned,
//! renamed, measured again and, where that is wished, deleted or moved here.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};

use super::crew::Crew;
use super::drafts;
use super::folder::below;
use super::listing::{Kind, Listed, Stamp};
use super::local::{self, Local, Search};
use super::memory::{Known, Memory};
use super::outcome::Outcome;
use super::params::{Put, Then};
use super::session::Session;
use crate::context::{Context, Total};
use crate::disk::folder;
use crate::error::Error;
use crate::publish::move_into;

/// How long moving a sent file away may take.
const MOVING: Duration = Duration::from_secs(600);

/// A file on its way.
pub(super) struct Item {
    pub(super) local: Local,
    /// Where it goes, and under what name it goes there.
    pub(super) target: String,
    pub(super) draft: String,
    /// Bytes that an earlier try left there, as far as a listing told.
    pub(super) there: Option<u64>,
    /// A try of this pass may have left some.
    pub(super) begun: AtomicBool,
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
        for batch in drafts::batches(items, self.connections(), |item| item.local.meta.length) {
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
        let mut folders: BTreeMap<String, Vec<Item>> = BTreeMap::new();
        for local in files {
            let target = below(&self.to, &local.file);
            let (dir, _) = target.rsplit_once('/').unwrap_or_default();
            let dir = if dir.is_empty() {
                "/".to_owned()
            } else {
                dir.to_owned()
            };
            let draft = if self.put.temporary {
                below(&dir, &self.draft(cx, &local))
            } else {
                target.clone()
            };
            let item = Item {
                local,
                target,
                draft,
                there: None,
                begun: AtomicBool::new(false),
            };
            folders.entry(dir).or_default().push(item);
        }
        let (paths, mut lots): (Vec<String>, Vec<Vec<Item>>) = folders.into_iter().unzip();
        let mut drafts: Vec<Option<HashMap<String, u64>>> = vec![None; paths.len()];
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
                .collect::<HashMap<_, _>>();
            // listings by LIST often leave out names with a dot
            Ok((!session.plain_lists).then_some(entries))
        };
        // two workers at one folder above would both make it: one at a time is soon done
        self.crew.each(cx, 1, &paths, look, |number, found| {
            match found {
                Ok(found) => drafts[number] = Some(found.unwrap_or_default()),
                Err(error) => outcome.failed(error),
            }
            Ok(())
        })?;
        let mut stale = Vec::new();
        let mut items = Vec::new();
        for ((path, lot), found) in paths.iter().zip(&mut lots).zip(drafts) {
            let Some(mut found) = found else { continue };
            for mut item in lot.drain(..) {
                let name = item.draft.rsplit('/').next().unwrap_or_default();
                item.there = found.remove(name);
                items.push(item);
            }
            stale.extend(found.into_keys().map(|name| below(path, &name)));
        }
        let remove = |cx: &Context, session: &mut Session, path: &String| session.remove(cx, path);
        self.crew.each(cx, 1, &stale, remove, |number, removed| {
            match removed {
                Ok(()) => log::info!(
                    "removed {} on the server, left by a run that was killed",
                    stale[number]
                ),
                Err(error) => log::warn!("{}", error.chain()),
            }
            Ok(())
        })?;
        Ok(items)
    }

    fn draft(&self, cx: &Context, local: &Local) -> String {
        let meta = format!("{:?}", local.meta);
        drafts::author(cx, &[&self.boot, &local.path.to_string_lossy(), &meta]).draft(&local.name)
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
