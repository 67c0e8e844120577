//! What a run killed between "the output is complete" and "the input is away" leaves for the next one to finish.
//!
//! The entry is made durable when the draft of the output is, and before the draft gets its name. So, as long as the input is
//! where it was: a draft that is there has not been published yet, and one that is gone has been, even if
//! whoever waits for the output has taken it already.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::disk::{Meta, folder};
use crate::error::Error;
use crate::input::{Inbox, Input};
use crate::publish::Sealed;

/// The entry's name in the job's state.
const ENTRY: &str = "converting";

/// A file on its way from input to done.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    input: PathBuf,
    inode: (u64, u64),
    length: u64,
    modified: SystemTime,
    draft: PathBuf,
    target: PathBuf,
}

/// Publishes `output` and moves its input to done, so that a kill at any point is finished by [`finish`].
pub(super) fn publish(
    cx: &mut Context,
    inbox: &Inbox,
    input: &Input,
    output: Sealed,
) -> Result<u64, Error> {
    let disk = cx.disk();
    let dir = folder(output.target()).to_owned();
    let _step = cx.step("publish the output", std::time::Duration::from_secs(600));
    // The draft's name must last as long as the entry that speaks of it.
    disk.sync_dir(&dir)?;
    let entry = Entry {
        input: input.path.clone(),
        inode: input.meta.inode,
        length: input.meta.length,
        modified: input.meta.modified,
        draft: output.draft().to_owned(),
        target: output.target().to_owned(),
    };
    let length = output.length();
    cx.state()?.set(ENTRY, &entry)?;
    // From here on a draft that is gone means a published one: it may go by being renamed only.
    output.keep();
    disk.rename(&entry.draft, &entry.target)?;
    disk.sync_dir(&dir)?;
    inbox.move_to_done(cx, input)?;
    Ok(length)
}

/// Finishes what a killed run left. To be called before drafts are swept.
pub(super) fn finish(cx: &mut Context, inbox: &Inbox) -> Result<(), Error> {
    let Some(entry) = cx.state()?.get::<Entry>(ENTRY)? else {
        return Ok(());
    };
    let disk = cx.disk();
    if let Some(meta) = disk.look(&entry.input)?.filter(|meta| entry.is_of(meta)) {
        if disk.look(&entry.draft)?.is_some() {
            disk.rename(&entry.draft, &entry.target)?;
            disk.sync_dir(folder(&entry.target))?;
        }
        log::info!(
            "{}: finished what a killed run began",
            entry.input.display()
        );
        inbox.move_to_done(
            cx,
            &Input {
                name: name_of(&entry.input),
                path: entry.input,
                meta,
            },
        )?;
    }
    forget(cx)
}

/// Forgets the last file: it is away.
pub(super) fn forget(cx: &mut Context) -> Result<(), Error> {
    let state = cx.state()?;
    if state.get::<Entry>(ENTRY)?.is_some() {
        state.delete(ENTRY)?;
    }
    Ok(())
}

impl Entry {
    /// Whether the file at the input's place is still the one that was converted.
    fn is_of(&self, meta: &Meta) -> bool {
        (self.inode, self.length, self.modified) == (meta.inode, meta.length, meta.modified)
    }
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
        .to_owned()
}
