//! What a run killed between "the output is complete" and "the input is away" leaves for the next one to finish.
//!
//! Entries are made durable when the drafts of the outputs are, and before a draft gets its name. So, as long as the input is
//! where it was: a draft that is there has not been published yet, and one that is gone has been, even if
//! whoever waits for the output has taken it already.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

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

/// Publishes outputs and moves their inputs to done, so that a kill at any point is finished by [`finish`]. All outputs
/// are in one folder.
pub(super) fn publish(
    cx: &mut Context,
    inbox: &Inbox,
    ready: Vec<(Input, Sealed)>,
) -> Result<(), Error> {
    let disk = cx.disk();
    let Some(dir) = ready
        .first()
        .map(|(_, output)| folder(output.target()).to_owned())
    else {
        return Ok(());
    };
    let _step = cx.step("publish outputs", Duration::from_secs(600));
    // The drafts' names must last as long as the entries that speak of them.
    disk.sync_dir(&dir)?;
    let entries: Vec<Entry> = ready
        .iter()
        .map(|(input, output)| Entry::new(input, output))
        .collect();
    cx.state()?.set(ENTRY, &entries)?;
    // From here on a draft that is gone means a published one: it may go by being renamed only.
    let (inputs, outputs): (Vec<Input>, Vec<Sealed>) = ready.into_iter().unzip();
    outputs.into_iter().for_each(Sealed::keep);
    for entry in &entries {
        disk.rename(&entry.draft, &entry.target)?;
    }
    disk.sync_dir(&dir)?;
    inbox.move_all_to_done(cx, &inputs)
}

/// Finishes what a killed run left. To be called before drafts are swept.
pub(super) fn finish(cx: &mut Context, inbox: &Inbox) -> Result<(), Error> {
    let entries: Vec<Entry> = cx.state()?.get(ENTRY)?.unwrap_or_default();
    let disk = cx.disk();
    let mut inputs = Vec::new();
    for entry in entries {
        let Some(meta) = disk.look(&entry.input)?.filter(|meta| entry.is_of(meta)) else {
            continue;
        };
        if disk.look(&entry.draft)?.is_some() {
            disk.rename(&entry.draft, &entry.target)?;
            disk.sync_dir(folder(&entry.target))?;
        }
        log::info!(
            "{}: finished what a killed run began",
            entry.input.display()
        );
        inputs.push(Input {
            name: name_of(&entry.input),
            path: entry.input,
            meta,
        });
    }
    if !inputs.is_empty() {
        inbox.move_all_to_done(cx, &inputs)?;
    }
    forget(cx)
}

/// Forgets the last files: they are away.
pub(super) fn forget(cx: &mut Context) -> Result<(), Error> {
    let state = cx.state()?;
    if state.get::<Vec<Entry>>(ENTRY)?.is_some() {
        state.delete(ENTRY)?;
    }
    Ok(())
}

impl Entry {
    fn new(input: &Input, output: &Sealed) -> Entry {
        Entry {
            input: input.path.clone(),
            inode: input.meta.inode,
            length: input.meta.length,
            modified: input.meta.modified,
            draft: output.draft().to_owned(),
            target: output.target().to_owned(),
        }
    }

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
