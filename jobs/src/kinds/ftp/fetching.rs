//! How one file of a `<get>` comes here: into a draft that outlives an interruption, and from there, with all others of its batch, to
//! its name.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chrono::NaiveDateTime;

use super::crew::Next;
use super::drafts;
use super::fault::{self, Fault};
use super::get::{Getting, Remote, SYNC};
use super::listing::{Precision, Stamp};
use super::memory::{Plan, Planned};
use super::outcome::Outcome;
use super::seam::Seam;
use super::session::Session;
use crate::context::Context;
use crate::disk::folder;
use crate::error::Error;
use crate::publish::{Author, Draft, Sealed, sweep_drafts_but};

/// What fetching came to.
pub(super) enum Fetched {
    Whole(Sealed),
    /// It is not what was listed any more; it is looked at anew in the next pass.
    Changed,
}

impl Getting<'_> {
    /// Removes drafts of versions that nobody will go on with.
    pub(super) fn sweep(&self, cx: &Context, fresh: &[Remote]) -> Result<(), Error> {
        let mut wanted: HashMap<PathBuf, HashSet<PathBuf>> = HashMap::new();
        for remote in fresh {
            let target = self.target(remote);
            let draft = target.with_file_name(self.author(cx, remote).draft(&remote.listed.name));
            wanted
                .entry(folder(&target).to_owned())
                .or_default()
                .insert(draft);
        }
        for (dir, drafts) in wanted {
            sweep_drafts_but(&*cx.disk(), &dir, &cx.author(), |path| {
                drafts.contains(path)
            })?;
        }
        Ok(())
    }

    fn target(&self, remote: &Remote) -> PathBuf {
        self.to.join(&remote.file)
    }

    fn author(&self, cx: &Context, remote: &Remote) -> Author {
        let link = self.crew.link;
        let (size, time) = (
            remote.listed.size.to_string(),
            format!("{:?}", remote.listed.stamp),
        );
        drafts::author(
            cx,
            &[
                &self.boot,
                &link.place(),
                &link.user,
                &remote.path(),
                &size,
                &time,
            ],
        )
    }

    /// Fetches one file into its draft, going on where an earlier try stopped.
    pub(super) fn fetch(
        &self,
        cx: &Context,
        session: &mut Session,
        remote: &Remote,
        next: &mut Next<'_, Remote>,
    ) -> fault::Result<Fetched> {
        let (disk, path, size) = (cx.disk(), remote.path(), remote.listed.size);
        let mut draft = self.draft(cx, session, remote)?;
        let swift =
            session.has_asked(&path) || draft.length() == 0 && self.is_swift(session, remote);
        if draft.length() < size || size == 0 {
            let received = if swift {
                self.receive_swiftly(cx, session, remote, &mut draft, next)
            } else {
                self.receive(cx, session, &path, &mut draft)
            };
            match received {
                Err(fault) => return failed(cx, session, &path, draft, fault),
                Ok(()) if draft.length() != size => {
                    return fell_short(cx, session, &path, draft, size);
                }
                Ok(()) => {}
            }
        }
        if session.agrees(cx, &path, draft.path())? == Some(false) {
            // the draft goes with it: the next try begins anew
            let why = format!("{path}: what came has another hash than what is there");
            return Err(Fault::mild(Error::TryAgain(why)));
        }
        if let Some(time) = self.time(cx, session, remote)? {
            disk.set_modified(draft.path(), time)?;
        }
        let step = cx.step("sync a file", SYNC);
        let sealed = draft.seal()?;
        drop(step);
        if swift && let Err(fault) = session.confirm(cx, self.crew.link, &path) {
            sealed.keep();
            return Err(fault);
        }
        Ok(Fetched::Whole(sealed))
    }

    /// The draft of a file, with what an earlier try put into it where that can be gone on with.
    fn draft(&self, cx: &Context, session: &Session, remote: &Remote) -> Result<Draft, Error> {
        let (disk, target, author) = (cx.disk(), self.target(remote), self.author(cx, remote));
        let draft = Draft::resume(&disk, &target, &author)?;
        if draft.length() > remote.listed.size || draft.length() > 0 && !session.can("REST") {
            drop(draft);
            return Draft::create(&disk, &target, &author);
        }
        Ok(draft)
    }

    /// Whether nothing but the file itself has to be asked for.
    fn is_swift(&self, session: &Session, remote: &Remote) -> bool {
        exact_time(remote).is_some()
            && !session.can("HASH")
            && session.is_swift(self.crew.link, &remote.path())
    }

    /// Receives a file from its first byte on, and asks for the next one. When all of this one came, the server's word on it is still to be heard.
    fn receive_swiftly(
        &self,
        cx: &Context,
        session: &mut Session,
        remote: &Remote,
        draft: &mut Draft,
        next: &mut Next<'_, Remote>,
    ) -> fault::Result<()> {
        let (link, path) = (self.crew.link, remote.path());
        session.receive_swiftly(cx, link, &path, &mut sink(draft))?;
        if draft.length() != remote.listed.size {
            return session.confirm(cx, link, &path);
        }
        if let Some(next) = next.claim()
            && self.is_swift(session, next)
            && !self.is_begun(cx, next)?
        {
            session.ask_for(cx, link, &next.path())?;
        }
        Ok(())
    }

    /// Whether an earlier try left a draft of it.
    fn is_begun(&self, cx: &Context, remote: &Remote) -> Result<bool, Error> {
        let name = self.author(cx, remote).draft(&remote.listed.name);
        let draft = self.target(remote).with_file_name(name);
        Ok(cx.disk().look(&draft)?.is_some())
    }

    /// Receives a file behind what is in its draft, if that is still a part of it; else all of it.
    fn receive(
        &self,
        cx: &Context,
        session: &mut Session,
        path: &str,
        draft: &mut Draft,
    ) -> fault::Result<()> {
        let (link, offset) = (self.crew.link, draft.length());
        if offset == 0 {
            return session.receive(cx, link, path, 0, &mut sink(draft));
        }
        let mut seam = Seam::of(cx, draft.path(), offset)?;
        let start = offset - seam.length();
        log::info!("{path}: goes on at byte {offset}");
        let mut differs = false;
        let mut write = sink(draft);
        let went = session.receive(cx, link, path, start, &mut |bytes| match seam.pass(bytes) {
            Some(new) => write(new),
            None => {
                differs = true;
                Err(Error::TryAgain(format!("{path}: another version")))
            }
        });
        drop(write);
        if !differs {
            return went;
        }
        log::info!("{path}: what is here is of another version; it begins anew");
        draft.restart()?;
        // the rest of what was asked for is still on its way on the old connection
        *session = Session::open(cx, link)?;
        session.receive(cx, link, path, 0, &mut sink(draft))
    }

    /// The time that the file here gets: the server's, as exactly as it can be had.
    fn time(
        &self,
        cx: &Context,
        session: &mut Session,
        remote: &Remote,
    ) -> fault::Result<Option<SystemTime>> {
        let exact = match exact_time(remote) {
            Some(at) => Some(at),
            None => session
                .time_of(cx, &remote.path())?
                .or(remote.listed.stamp.map(|stamp| stamp.at)),
        };
        Ok(exact.map(|at| SystemTime::from(at.and_utc())))
    }

    /// Makes the plan, then the names. Tells which files are there.
    pub(super) fn publish(
        &mut self,
        cx: &mut Context,
        fetched: Vec<(Remote, Sealed)>,
        outcome: &mut Outcome,
    ) -> Result<Vec<Remote>, Error> {
        if fetched.is_empty() {
            return Ok(Vec::new());
        }
        let mut files = Vec::with_capacity(fetched.len());
        let mut versions = Vec::with_capacity(fetched.len());
        for (remote, sealed) in &fetched {
            files.push(Planned {
                draft: text(sealed.draft())?,
                target: text(sealed.target())?,
                size: remote.listed.size,
                key: self.memory.key(&remote.file),
            });
            versions.push((remote.file.clone(), remote.version()));
        }
        self.memory.plan(
            cx,
            &Plan::Here {
                files: files.clone(),
            },
            versions,
        )?;
        let remotes: Vec<Remote> = fetched
            .into_iter()
            .map(|(remote, sealed)| {
                sealed.keep();
                remote
            })
            .collect();
        let failed = publish_here(cx, &files, outcome)?;
        let forgotten: Vec<String> = failed
            .iter()
            .map(|number| remotes[*number].file.clone())
            .collect();
        self.memory.settle(cx, &forgotten)?;
        let mut published = Vec::with_capacity(remotes.len());
        for (number, remote) in remotes.into_iter().enumerate() {
            if !failed.contains(&number) {
                outcome.moved(remote.listed.size);
                cx.progress(1, 0);
                log::info!(
                    "{}: got, {} bytes, to {}",
                    remote.path(),
                    remote.listed.size,
                    files[number].target
                );
                published.push(remote);
            }
        }
        Ok(published)
    }
}

/// The time of a file that was listed to the second.
fn exact_time(remote: &Remote) -> Option<NaiveDateTime> {
    match remote.listed.stamp? {
        Stamp {
            at,
            precision: Precision::Second,
        } => Some(at),
        _ => None,
    }
}

/// What writes the bytes that come into a draft.
fn sink(draft: &mut Draft) -> impl FnMut(&[u8]) -> Result<(), Error> {
    let place = draft.path().to_owned();
    move |bytes| std::io::Write::write_all(draft, bytes).map_err(Error::io("write", &place))
}

/// What it means that receiving failed: the draft is kept for the next try, unless the file is gone.
fn failed(
    cx: &Context,
    session: &mut Session,
    path: &str,
    draft: Draft,
    fault: Fault,
) -> fault::Result<Fetched> {
    if session_sees(cx, session, path, &fault) == Some(None) {
        return Ok(Fetched::Changed);
    }
    // a full disk needs the room; else the next try goes on from here
    if !matches!(fault.error, Error::Io { .. }) {
        draft.keep();
    }
    Err(fault)
}

/// What it means that another number of bytes came than was listed: another version, or a connection that ended early.
fn fell_short(
    cx: &Context,
    session: &mut Session,
    path: &str,
    draft: Draft,
    size: u64,
) -> fault::Result<Fetched> {
    let got = draft.length();
    if session.size(cx, path)? != Some(size) || got > size {
        return Ok(Fetched::Changed);
    }
    draft.keep();
    Err(Fault::broken(
        &format!("get {path}: {got} of {size} bytes came"),
        std::io::ErrorKind::UnexpectedEof.into(),
    ))
}

/// After a refusal: whether the server still has the file. `None` when the fault was no refusal or the server does not tell.
fn session_sees(
    cx: &Context,
    session: &mut Session,
    path: &str,
    fault: &Fault,
) -> Option<Option<u64>> {
    if session.broken || !fault.is_refusal() || !session.can("SIZE") {
        return None;
    }
    session.size(cx, path).ok()
}

/// Gives planned files their names, durably; one whose draft is gone has its name already. Tells the numbers of those that failed.
pub(super) fn publish_here(
    cx: &Context,
    files: &[Planned],
    outcome: &mut Outcome,
) -> Result<Vec<usize>, Error> {
    let disk = cx.disk();
    let mut dirs = BTreeSet::new();
    let mut failed = Vec::new();
    for (number, planned) in files.iter().enumerate() {
        let (draft, target) = (Path::new(&planned.draft), Path::new(&planned.target));
        cx.beat();
        match disk.rename(draft, target) {
            Ok(()) => {
                dirs.insert(folder(target).to_owned());
            }
            Err(_) if disk.look(draft)?.is_none() => {}
            Err(error) => {
                outcome.failed(unnamed(error, target));
                disk.remove(draft)?;
                failed.push(number);
            }
        }
    }
    let _step = cx.step("sync folders", SYNC);
    for dir in dirs {
        disk.sync_dir(&dir)?;
    }
    Ok(failed)
}

/// What it means that a file cannot have its name: the draft's, which the system was told, says nobody anything.
fn unnamed(error: Error, target: &Path) -> Error {
    match error {
        Error::Io { source, .. } => Error::io("publish", target)(source),
        other => other,
    }
}

fn text(path: &Path) -> Result<String, Error> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| Error::Invalid(format!("{}: not a path in UTF-8", path.display())))
}
