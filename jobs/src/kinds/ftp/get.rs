//! `<get>`: files from the server. Looked for, waited for until they are still, fetched into drafts, looked at once more; then planned,
//! published and, where that is wished, deleted or moved on the server.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use super::crew::{Crew, Next};
use super::drafts;
use super::fault;
use super::fetching::Fetched;
use super::folder::below;
use super::listing::{Kind, Listed, Stamp};
use super::memory::{Known, Memory};
use super::outcome::Outcome;
use super::params::Get;
use super::session::Session;
use crate::context::{Context, Total};
use crate::error::Error;
use crate::moving::Then;

/// Folders inside each other that are looked into.
const MAX_DEPTH: usize = 32;
/// Files that one look may find.
const MAX_FILES: usize = 5_000_000;
/// Files that are published together: each batch costs a look at the whole of every folder that its files are in.
const MOST: usize = 10_000;
/// How long syncing a file may take.
pub(super) const SYNC: Duration = Duration::from_secs(600);

/// A file on the server.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    /// The folder it is in, from the root.
    folder: String,
    /// Its path below the folder of the `<get>`; what it is remembered by.
    pub(super) file: String,
    pub(super) listed: Listed,
}

impl Remote {
    pub(super) fn path(&self) -> String {
        below(&self.folder, &self.listed.name)
    }

    pub(super) fn version(&self) -> Known {
        Known::new(self.listed.size, self.listed.stamp)
    }
}

/// A folder to be listed: its path, and its path below the `<get>`'s own with a slash behind it.
type Folder = (String, String);

/// One `<get>` at work.
pub(super) struct Getting<'a> {
    pub(super) crew: &'a Crew<'a>,
    get: &'a Get,
    then: Then,
    pub(super) to: PathBuf,
    pub(super) boot: String,
    /// The folders, from the root.
    from: String,
    aside: Option<String>,
    pub(super) memory: Memory,
}

impl<'a> Getting<'a> {
    pub(super) fn new(
        cx: &mut Context,
        crew: &'a Crew<'a>,
        get: &'a Get,
    ) -> Result<Getting<'a>, Error> {
        let then: Then = get.then.parse().map_err(Error::Invalid)?;
        let aside = match &then {
            Then::Move(dir) => Some(dir.as_str()),
            Then::Keep | Then::Delete => None,
        };
        let (from, aside) = crew.one(cx, |_, session| {
            Ok((
                session.whole(&get.from),
                aside.map(|dir| session.whole(dir)),
            ))
        })?;
        let memory = Memory::load(cx, format!("get {from} > {}: ", get.to))?;
        Ok(Getting {
            crew,
            get,
            to: cx.path(&get.to),
            boot: drafts::boot(),
            from,
            aside,
            memory,
            then,
        })
    }

    /// Every file that the patterns take, in name order.
    pub(super) fn survey(&self, cx: &Context, outcome: &mut Outcome) -> Result<Vec<Remote>, Error> {
        cx.phase(&format!("listing {}", self.from));
        let mut found = Vec::new();
        let mut wave: Vec<Folder> = vec![(self.from.clone(), String::new())];
        for _ in 0..MAX_DEPTH {
            if wave.is_empty() {
                break;
            }
            wave = self.list(cx, &wave, &mut found, outcome)?;
        }
        found.sort_by(|one, other| one.file.cmp(&other.file));
        found.dedup_by(|one, other| one.file == other.file);
        Ok(found)
    }

    /// Lists folders; adds their files to `found` and tells the folders in them.
    fn list(
        &self,
        cx: &Context,
        wave: &[Folder],
        found: &mut Vec<Remote>,
        outcome: &mut Outcome,
    ) -> Result<Vec<Folder>, Error> {
        let wanted = |entry: &Listed| match entry.kind {
            Kind::File => !entry.name.starts_with('.') && self.get.pattern.matches(&entry.name),
            Kind::Folder => self.get.recurse && !entry.name.starts_with('.'),
            Kind::Other => false,
        };
        let mut below_them = Vec::new();
        let link = self.crew.link;
        let look = |cx: &Context, session: &mut Session, (path, _): &Folder| {
            session.list(cx, link, path, &wanted)
        };
        self.crew
            .each(cx, self.connections(), wave, look, |number, content| {
                let (path, prefix) = &wave[number];
                let content = match content {
                    Ok(Some(content)) => content,
                    // one that went away, or may not be read, is no reason to leave the others alone
                    Ok(None) if !prefix.is_empty() => return Ok(()),
                    Ok(None) => {
                        return Err(Error::Data(format!(
                            "there is no folder {path} on the server"
                        )));
                    }
                    Err(error) if prefix.is_empty() => return Err(error),
                    Err(error) => {
                        outcome.failed(error);
                        return Ok(());
                    }
                };
                outcome.refused(path, &content.refused);
                for listed in content.entries {
                    let file = format!("{prefix}{}", listed.name);
                    if listed.kind == Kind::File {
                        found.push(Remote {
                            folder: path.clone(),
                            file,
                            listed,
                        });
                        continue;
                    }
                    let folder = below(path, &listed.name);
                    if self.aside.as_deref() != Some(&folder) {
                        below_them.push((folder, format!("{file}/")));
                    }
                }
                if found.len() > MAX_FILES {
                    return Err(Error::Data(format!(
                        "{}: more than {MAX_FILES} files",
                        self.from
                    )));
                }
                Ok(())
            })?;
        Ok(below_them)
    }

    fn connections(&self) -> usize {
        usize::try_from(self.get.connections).unwrap_or(1)
    }

    /// Those of the files that were not fetched in this version yet.
    pub(super) fn fresh(&self, found: &[Remote]) -> Vec<Remote> {
        found
            .iter()
            .filter(|remote| !self.memory.has(&remote.file, &remote.version()))
            .cloned()
            .collect()
    }

    /// The whole of it.
    pub(super) fn run(&mut self, cx: &mut Context, outcome: &mut Outcome) -> Result<(), Error> {
        let failures = outcome.failures();
        let found = self.survey(cx, outcome)?;
        let seen: HashSet<String> = found.iter().map(|remote| remote.file.clone()).collect();
        // what could not be looked into is not gone
        if outcome.failures() == failures {
            self.memory.prune(cx, &seen, self.then != Then::Keep)?;
        }
        let fresh = self.fresh(&found);
        if self.then != Then::Keep {
            let left = found
                .into_iter()
                .filter(|remote| self.memory.has(&remote.file, &remote.version()));
            self.dispose(cx, left.collect(), outcome)?;
        }
        let fresh = self.still(cx, fresh)?;
        if fresh.is_empty() {
            return Ok(());
        }
        cx.expect_total(Total::Bytes(
            fresh.iter().map(|remote| remote.listed.size).sum(),
        ));
        self.sweep(cx, &fresh)?;
        let size = |remote: &Remote| remote.listed.size;
        for batch in drafts::batches(fresh, MOST, self.connections(), size) {
            self.batch(cx, batch, outcome)?;
        }
        Ok(())
    }

    /// Those of the files that a second look, `stable` later, shows unchanged.
    fn still(&self, cx: &Context, files: Vec<Remote>) -> Result<Vec<Remote>, Error> {
        let stable = self.get.stable.0;
        if files.is_empty() || stable.is_zero() {
            return Ok(files);
        }
        cx.phase("waiting whether files still change");
        cx.wait(stable)?;
        self.unchanged(cx, files, |remote| remote)
    }

    /// Those of the things that are still on the server as they were listed.
    fn unchanged<T>(
        &self,
        cx: &Context,
        things: Vec<T>,
        of: impl Fn(&T) -> &Remote,
    ) -> Result<Vec<T>, Error> {
        let folders: BTreeSet<Folder> = things
            .iter()
            .map(|thing| {
                let remote = of(thing);
                let prefix = remote
                    .file
                    .strip_suffix(&remote.listed.name)
                    .unwrap_or_default();
                (remote.folder.clone(), prefix.to_owned())
            })
            .collect();
        let folders: Vec<Folder> = folders.into_iter().collect();
        let mut now = Vec::new();
        self.list(cx, &folders, &mut now, &mut Outcome::of_another_look())?;
        let now: HashMap<String, Listed> = now
            .into_iter()
            .map(|remote| (remote.file, remote.listed))
            .collect();
        let (same, changed): (Vec<T>, Vec<T>) = things
            .into_iter()
            .partition(|thing| now.get(&of(thing).file) == Some(&of(thing).listed));
        for thing in &changed {
            log::info!(
                "{}: still changes; left for the next pass",
                of(thing).path()
            );
        }
        Ok(same)
    }

    /// Fetches, looks again, plans, publishes, disposes.
    fn batch(
        &mut self,
        cx: &mut Context,
        batch: Vec<Remote>,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        cx.phase(&format!("getting files from {}", self.from));
        let mut fetched = Vec::new();
        let work =
            |cx: &Context, session: &mut Session, remote: &Remote, next: &mut Next<'_, Remote>| {
                self.fetch(cx, session, remote, next)
            };
        let ended = self
            .crew
            .each_ahead(cx, self.connections(), &batch, work, |number, result| {
                match result {
                    Ok(Fetched::Whole(sealed)) => fetched.push((batch[number].clone(), sealed)),
                    Ok(Fetched::Changed) => log::info!(
                        "{}: changed while it was fetched; left for the next pass",
                        batch[number].path()
                    ),
                    Err(error) => outcome.failed(error),
                }
                Ok(())
            });
        if let Err(error) = ended {
            // what is complete already is found again under its draft's name
            fetched.into_iter().for_each(|(_, sealed)| sealed.keep());
            return Err(error);
        }
        let fetched = self.unchanged(cx, fetched, |(remote, _)| remote)?;
        let published = self.publish(cx, fetched, outcome)?;
        let disposed = if self.then == Then::Keep {
            Vec::new()
        } else {
            published
        };
        self.dispose(cx, disposed, outcome)
    }

    /// Deletes or moves on the server what is safe here, unless it was changed meanwhile.
    fn dispose(
        &mut self,
        cx: &mut Context,
        files: Vec<Remote>,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        if files.is_empty() {
            return Ok(());
        }
        cx.phase(&format!("clearing {}", self.from));
        let mut disposed = Vec::new();
        let work = |cx: &Context, session: &mut Session, remote: &Remote| {
            self.dispose_one(cx, session, remote)
        };
        let ended = self
            .crew
            .each(cx, self.connections(), &files, work, |number, result| {
                match result {
                    Ok(true) => disposed.push(files[number].file.clone()),
                    Ok(false) => log::info!(
                        "{}: was changed after it was fetched; left for the next pass",
                        files[number].path()
                    ),
                    Err(error) => outcome.failed(error),
                }
                Ok(())
            });
        self.memory.settle(cx, &disposed)?;
        ended
    }

    fn dispose_one(
        &self,
        cx: &Context,
        session: &mut Session,
        remote: &Remote,
    ) -> fault::Result<bool> {
        let path = remote.path();
        let Some((size, time)) = session.look(cx, &path)? else {
            // gone already
            return Ok(true);
        };
        let same_time = match (time, &remote.listed.stamp) {
            (Some(time), Some(listed)) => listed.agrees(&Stamp::exact(time)),
            _ => true,
        };
        if size != remote.listed.size || !same_time {
            return Ok(false);
        }
        let Some(aside) = &self.aside else {
            return session.remove(cx, &path).map(|()| true);
        };
        let place = below(aside, &remote.file);
        if let Some((dir, _)) = place.rsplit_once('/') {
            session.make_folders(cx, dir)?;
        }
        let mut free = place.clone();
        for number in 1..10_000 {
            if session.size(cx, &free)?.is_none() {
                break;
            }
            free = format!("{place}.{number}");
        }
        session.rename(cx, &path, &free).map(|()| true)
    }
}
