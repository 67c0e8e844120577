//! `sweep`: old files are deleted or packed.
//!
//! **Guarantee**: a file goes only when its name matches, it was last written longer ago than `older`, it did not change
//! while it was worked on, and nobody has it open for writing. Packing loses nothing: SIGKILL or power loss at any point
//! leaves the file or its packed form, whole, and the next run goes on from there. What was added to a file while it was packed keeps it.
//! Symbolic links are not followed, dot files and folders stay.
//!
//! **Its end**: other users' open files show to root alone; a file that is opened and not written to in the instant between
//! the last look and its removal goes, as with every tool of this sort. Extended attributes and ACLs are not packed along. As root,
//! sweep no folder in which others may put links in the place of folders.

mod pack;
mod params;
#[cfg(test)]
mod tests;
mod walk;

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use pack::Packed;
use params::{Files, Params};

use crate::context::Context;
use crate::disk::Entry;
use crate::error::Error;
use crate::job::{Count, Invalid, Job, Report, Tally};
use crate::publish::sweep_drafts;
use crate::writers::Writers;

/// How long a look at all processes is good for.
const FRESH: Duration = Duration::from_secs(2);

/// A `sweep` job.
pub(crate) struct Sweep {
    params: Params,
}

impl Job for Sweep {
    const KIND: &'static str = "sweep";
    const ABOUT: &'static str = "deletes or packs files that were written long ago";
    const SAMPLE: &'static str = include_str!("../../../../etc/jobs/sweep.xml");
    type Params = Params;

    fn new(params: Params) -> Result<Sweep, Invalid> {
        params.check()?;
        Ok(Sweep { params })
    }

    fn run(&mut self, cx: &mut Context) -> Result<Tally, Error> {
        let mut pass = Pass {
            cx,
            open: RefCell::default(),
            tally: Tally::default(),
            failed: 0,
            first: None,
        };
        for files in &self.params.files {
            let root = walk::root(cx, files)?;
            cx.phase(&format!("sweeping {}", root.display()));
            walk::folders(cx, &root, files, |dir, due| pass.folder(dir, due, files))?;
        }
        match pass.first {
            None => Ok(pass.tally),
            Some(error) if pass.failed == 1 => Err(error),
            Some(error) => {
                log::error!(
                    "{} files could not be swept, the first one: {}",
                    pass.failed,
                    error.chain()
                );
                Err(error)
            }
        }
    }

    fn check(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error> {
        for (i, files) in self.params.files.iter().enumerate() {
            let root = walk::root(cx, files)?;
            if !cx.disk().look(&root)?.is_some_and(|meta| meta.folder) {
                report.problem(
                    format!("files[{}].dir", i + 1),
                    format_args!("there is no folder {}", root.display()),
                );
                continue;
            }
            let (mut count, mut bytes) = (0_u64, 0);
            walk::folders(cx, &root, files, |_, due| {
                count += due.len() as u64;
                bytes += due.iter().map(|entry| entry.meta.length).sum::<u64>();
                Ok(())
            })?;
            report.note(format_args!(
                "{}: {}, {bytes} bytes, to {}",
                root.display(),
                Count(count, "file"),
                word(files)
            ));
        }
        Ok(())
    }

    fn dry_run(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error> {
        for files in &self.params.files {
            let root = walk::root(cx, files)?;
            walk::folders(cx, &root, files, |_, due| {
                for entry in due {
                    report.note(format_args!("{} {}", word(files), entry.path.display()));
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

fn word(files: &Files) -> &'static str {
    match files.action {
        params::Action::Delete => "delete",
        params::Action::Gzip => "gzip",
        params::Action::Zstd => "zstd",
    }
}

/// One pass over the files.
struct Pass<'a> {
    cx: &'a Context,
    /// Files open for writing, and when that was seen.
    open: RefCell<Option<(Instant, Writers)>>,
    tally: Tally,
    failed: u64,
    first: Option<Error>,
}

impl Pass<'_> {
    fn folder(&mut self, dir: &Path, due: Vec<Entry>, files: &Files) -> Result<(), Error> {
        if files.action.packing().is_some() {
            sweep_drafts(&*self.cx.disk(), dir, &self.cx.author())?;
        }
        for entry in due {
            self.cx.checkpoint()?;
            match self.file(&entry, files) {
                Ok(true) => {
                    self.tally.files += 1;
                    self.tally.bytes += entry.meta.length;
                    self.cx.progress(1, 0);
                    log::info!(
                        "{}: {} done, {} bytes",
                        entry.path.display(),
                        word(files),
                        entry.meta.length
                    );
                }
                Ok(false) => {}
                Err(error) if is_final(&error) => return Err(error),
                Err(error) => {
                    log::warn!("{}", error.chain());
                    self.failed += 1;
                    self.first.get_or_insert(error);
                }
            }
        }
        Ok(())
    }

    /// Does what is to be done to one file; `false` when it was left alone.
    fn file(&self, entry: &Entry, files: &Files) -> Result<bool, Error> {
        let disk = self.cx.disk();
        if disk.look(&entry.path)? != Some(entry.meta) || self.is_written(entry) {
            log::debug!("{}: in use", entry.path.display());
            return Ok(false);
        }
        let Some(compression) = files.action.packing() else {
            return disk.remove(&entry.path);
        };
        match pack::pack(self.cx, entry, compression, |entry| self.is_written(entry))? {
            Packed::Done => Ok(true),
            Packed::Busy => {
                log::info!(
                    "{}: changed while it was packed; left for the next run",
                    entry.path.display()
                );
                Ok(false)
            }
            Packed::Taken(target) => {
                log::warn!(
                    "{}: left alone, for {} holds something else",
                    entry.path.display(),
                    target.display()
                );
                Ok(false)
            }
        }
    }

    /// Whether somebody has the file open for writing, by a look that is at most two seconds old.
    fn is_written(&self, entry: &Entry) -> bool {
        let mut open = self.open.borrow_mut();
        let fresh = open.take().filter(|(seen, _)| seen.elapsed() < FRESH);
        let (_, writers) =
            open.insert(fresh.unwrap_or_else(|| (Instant::now(), self.cx.disk().writers())));
        writers.has(entry.meta.inode)
    }
}

/// Whether an error means that no other file will fare better.
fn is_final(error: &Error) -> bool {
    match error {
        Error::Io { source, .. } => {
            matches!(
                source.kind(),
                io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::ReadOnlyFilesystem
            )
        }
        other => matches!(other, Error::Stopped(_)),
    }
}
