//! What an extract remembers in its job's state, and the one commit between writing files and renaming them.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::parts::{self, Publication, Shelf, Written};
use crate::context::Context;
use crate::error::Error;
use crate::job::Tally;
use crate::state::Changes;

pub(super) const CURSOR: &str = "cursor";
/// Where an operator wants the cursor; taken up by the next run.
pub(super) const LAST: &str = "last";
pub(super) const PLAN: &str = "plan";
pub(super) const COUNTED: &str = "counted";
const PUBLISHING: &str = "publishing";

/// A range whose publication has begun: repeated, with the same name, until it has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// Rows are read up to and with this value.
    pub(super) upto: String,
}

/// Finishes the renames that an earlier run has committed to.
pub(super) fn finish_publication(cx: &mut Context, folder: &Path) -> Result<(), Error> {
    let begun: Option<Publication> = cx.state()?.get(PUBLISHING)?;
    if let Some(publication) = begun {
        parts::publish(&*cx.disk(), folder, &publication)?;
        cx.state()?.delete(PUBLISHING)?;
    }
    Ok(())
}

/// The one commit between writing and renaming, then the renames.
pub(super) fn publish(
    cx: &mut Context,
    shelf: &Shelf,
    written: &Written,
    changes: Changes,
) -> Result<Tally, Error> {
    let changes = changes.delete(PLAN).set(PUBLISHING, &written.publication)?;
    cx.state()?.commit(changes)?;
    finish_publication(cx, &shelf.folder)?;
    Ok(Tally {
        read: written.rows,
        written: written.rows,
        bytes: written.bytes,
        files: written.publication.0.len() as u64,
        ..Tally::default()
    })
}
