//! How one file of a `<get>` comes here: into a draft that outlives an interruption, and from there, with all others of its batch, to
//! its name.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::drafts;
use super::fault::{self, Fault};
use super::get::{Getting, Remote, SYNC};
use super::listing::{Precision, Stamp};
use super::memory::{Plan, Planned};
use super::outcome::Outcome;
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
    ) -> fault::Result<Fetched> {
        let (disk, path, size) = (cx.disk(), remote.path(), remote.listed.size);
        let (target, author) = (self.target(remote), self.author(cx, remote));
        let mut draft = Draft::resume(&disk, &target, &author)?;
        if draft.length() > size || draft.length() > 0 && !session.can("REST") {
            drop(draft);
            draft = Draft::create(&disk, &target, &author)?;
        }
        if draft.length() < size || size == 0 {
            let received = self.receive(cx, session, &path, &mut draft);
            let lacking = received.is_ok() && draft.length() != size;
            if let Err(fault) = received {
                return match session_sees(cx, session, &path, &fault) {
                    Some(None) => Ok(Fetched::Changed),
                    _ => {
                        // a full disk needs the room; else the next try goes on from here
                        if !matches!(fault.error, Error::Io { .. }) {
                            draft.keep();
                        }
                        Err(fault)
                    }
                };
            }
            if lacking {
                if session.size(cx, &path)? != Some(size) || draft.length() > size {
                    return Ok(Fetched::Changed);
                }
                let got = draft.length();
                draft.keep();
                return Err(Fault::broken(
                    &format!("get {path}: {got} of {size} bytes came"),
                    std::io::ErrorKind::UnexpectedEof.into(),
                ));
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
        let _step = cx.step("sync a file", SYNC);
        Ok(Fetched::Whole(draft.seal()?))
    }

    fn receive(
        &self,
        cx: &Context,
        session: &mut Session,
        path: &str,
        draft: &mut Draft,
    ) -> fault::Result<()> {
        let offset = draft.length();
        if offset > 0 {
            log::info!("{path}: goes on at byte {offset}");
        }
        let place = draft.path().to_owned();
        session.receive(cx, self.crew.link, path, offset, &mut |bytes| {
            std::io::Write::write_all(draft, bytes).map_err(Error::io("write", &place))
        })
    }

    /// The time that the file here gets: the server's, as exactly as it can be had.
    fn time(
        &self,
        cx: &Context,
        session: &mut Session,
        remote: &Remote,
    ) -> fault::Result<Option<SystemTime>> {
        let exact = match remote.listed.stamp {
            Some(Stamp {
                at,
                precision: Precision::Second,
            }) => Some(at),
            listed => session
                .time_of(cx, &remote.path())?
                .or(listed.map(|stamp| stamp.at)),
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
        if disk.look(draft)?.is_none() {
            continue;
        }
        cx.beat();
        match disk.rename(draft, target) {
            Ok(()) => {
                dirs.insert(folder(target).to_owned());
            }
            Err(error) => {
                outcome.failed(error);
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

fn text(path: &Path) -> Result<String, Error> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| Error::Invalid(format!("{}: not a path in UTF-8", path.display())))
}
