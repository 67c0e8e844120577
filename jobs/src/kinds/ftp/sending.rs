//! How one file of a `<put>` gets there: under a temporary name, going on where an earlier try stopped, measured; and from there, with
//! all others of its batch, to its name.

use std::io::{self, Read as _};
use std::sync::atomic::Ordering::Relaxed;

use super::crew::Crew;
use super::drafts;
use super::fault::{self, Fault};
use super::folder::below;
use super::local::Local;
use super::memory::{Plan, Planned};
use super::outcome::Outcome;
use super::put::{Item, Putting, time, version};
use super::session::Session;
use crate::context::Context;
use crate::error::Error;

impl Putting<'_> {
    /// Sends one file under its temporary name; `false` when it changed meanwhile.
    pub(super) fn send(
        &self,
        cx: &Context,
        session: &mut Session,
        item: &Item,
    ) -> fault::Result<bool> {
        let (disk, length, draft) = (cx.disk(), item.local.meta.length, item.draft());
        let again = item.begun.swap(true, Relaxed);
        let there = match item.there {
            _ if !self.put.temporary => 0,
            known if !again && !session.plain_lists => known.unwrap_or(0),
            _ => session.size(cx, &draft)?.unwrap_or(0),
        };
        let start = if there <= length { there } else { 0 };
        if start < length || length == 0 {
            match self.send_from(cx, session, item, start) {
                Err(fault) if start > 0 && fault.is_refusal() => {
                    self.send_from(cx, session, item, 0)?
                }
                other => other?,
            }
        }
        if disk.look(&item.local.path)? != Some(item.local.meta) {
            if self.put.temporary {
                session.remove(cx, &draft)?;
            }
            return Ok(false);
        }
        measure(cx, session, &draft, length)?;
        if session.agrees(cx, &draft, &item.local.path)? == Some(false) {
            session.remove(cx, &draft)?;
            let why = format!("{draft}: what is there has another hash than what was sent");
            return Err(Fault::mild(Error::TryAgain(why)));
        }
        if let Some(time) = time(&item.local) {
            session.set_time(cx, &draft, time)?;
        }
        Ok(true)
    }

    fn send_from(
        &self,
        cx: &Context,
        session: &mut Session,
        item: &Item,
        start: u64,
    ) -> fault::Result<()> {
        let path = &item.local.path;
        let mut file = cx.disk().open(path)?;
        if start > 0 {
            log::info!("{}: goes on at byte {start}", path.display());
            io::copy(&mut file.by_ref().take(start), &mut io::sink())
                .map_err(Error::io("read", path))?;
        }
        // what is written behind the length that was seen belongs to the next version
        let mut file = file.take(item.local.meta.length - start);
        let draft = item.draft();
        let sent = session.send(cx, self.crew.link, &draft, start, &mut |piece| {
            file.read(piece).map_err(Error::io("read", path))
        });
        sent.inspect_err(|fault| {
            if fault.unanswered && self.put.temporary {
                let (dir, _) = draft.rsplit_once('/').unwrap_or_default();
                let name = self.draft_name(cx, &item.local, drafts::any_try());
                item.rename(below(dir, &name));
            }
        })
    }

    /// Makes the plan, then the names. Tells which files are there.
    pub(super) fn publish(
        &mut self,
        cx: &mut Context,
        items: Vec<Item>,
        outcome: &mut Outcome,
    ) -> Result<Vec<Local>, Error> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let memory = &self.memory;
        let plan = |item: &Item| Planned {
            draft: item.draft(),
            target: item.target.clone(),
            size: item.local.meta.length,
            key: memory.key(&item.local.file),
        };
        let files: Vec<Planned> = items.iter().map(plan).collect();
        let versions = items
            .iter()
            .map(|item| (item.local.file.clone(), version(&item.local)))
            .collect();
        self.memory.plan(
            cx,
            &Plan::There {
                files: files.clone(),
            },
            versions,
        )?;
        let failed = publish_there(cx, self.crew, self.connections(), &files, outcome)?;
        let forgotten: Vec<String> = failed
            .iter()
            .map(|number| items[*number].local.file.clone())
            .collect();
        self.memory.settle(cx, &forgotten)?;
        let mut published = Vec::with_capacity(items.len());
        for (number, item) in items.into_iter().enumerate() {
            if !failed.contains(&number) {
                outcome.moved(item.local.meta.length);
                cx.progress(1, 0);
                log::info!(
                    "{}: put, {} bytes, to {}",
                    item.local.path.display(),
                    item.local.meta.length,
                    item.target
                );
                published.push(item.local);
            }
        }
        Ok(published)
    }
}

/// Gives planned files their names on the server; one whose draft is gone has its name already. Tells the numbers of those that failed.
pub(super) fn publish_there(
    cx: &Context,
    crew: &Crew<'_>,
    connections: usize,
    files: &[Planned],
    outcome: &mut Outcome,
) -> Result<Vec<usize>, Error> {
    let mut failed = Vec::new();
    let name = |cx: &Context, session: &mut Session, sent: &Planned| {
        if sent.draft != sent.target {
            let renamed = session.rename(cx, &sent.draft, &sent.target);
            // a try that broke may have renamed it
            if let Err(fault) = renamed
                && (!fault.is_refusal() || session.size(cx, &sent.draft)?.is_some())
            {
                return Err(fault);
            }
        }
        measure(cx, session, &sent.target, sent.size)
    };
    crew.each(cx, connections, files, name, |number, named| {
        if let Err(error) = named {
            outcome.failed(error);
            failed.push(number);
        }
        Ok(())
    })?;
    Ok(failed)
}

/// Whether a file on the server is as long as it has to be.
fn measure(cx: &Context, session: &mut Session, path: &str, length: u64) -> fault::Result<()> {
    match session.size(cx, path)? {
        Some(size) if size == length => Ok(()),
        None if !session.can("SIZE") => Ok(()),
        size => {
            let seen = size.map_or_else(
                || "nothing is there".to_owned(),
                |size| format!("{size} bytes are there"),
            );
            let why = format!("{path}: {seen} after {length} bytes were sent");
            Err(Fault::mild(Error::TryAgain(why)))
        }
    }
}
