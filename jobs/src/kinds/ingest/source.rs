//! A file to be loaded: its hash, its rows, the names of its columns.

use std::path::Path;

use super::fault::Fault;
use crate::content;
use crate::context::Context;
use crate::data::{BadFile, Format, Place, Reading as Layout, Record, Rows, Step, ahead};
use crate::error::Error;
use crate::input::Input;
use crate::ledger;
use crate::rejects::Parts;

/// Rows read for the names of columns before the load begins; a name that turns up later costs a second pass.
pub(super) const PEEK: u64 = 1_000;

/// Rows between two looks at stop requests and progress.
pub(super) const STRIDE: u64 = 256;

/// So many bytes of a file are worth a thread that reads it ahead.
const LONG: u64 = 512 << 10;

/// Opens a file for its rows; the outer error is the disk's, the inner one the file's.
pub(super) fn open(cx: &Context, input: &Input) -> Result<Result<Box<dyn Rows>, BadFile>, Error> {
    let Some(format) = Format::of(&input.name) else {
        let reason =
            "its name does not tell the format: .xml, .csv or .jsonl, also with .gz or .zst";
        return Ok(Err(BadFile::content(Place::START, reason)));
    };
    let file = cx.disk().open(&input.path)?;
    Ok(Layout::of(format, &input.name).open(file))
}

/// Opens a file for its load: as [`open`], but a long one is read ahead by a thread, while its rows go to the database.
pub(super) fn open_ahead(
    cx: &Context,
    input: &Input,
) -> Result<Result<Box<dyn Rows>, BadFile>, Error> {
    match Format::of(&input.name) {
        Some(format) if input.meta.length >= LONG => {
            let file = cx.disk().open(&input.path)?;
            Ok(ahead::open(Layout::of(format, &input.name), file))
        }
        _ => open(cx, input),
    }
}

/// The names of a file's columns, from its first rows or from all.
pub(super) fn names(cx: &Context, input: &Input, most: Option<u64>) -> Result<Vec<String>, Fault> {
    let mut rows = open(cx, input)?.map_err(|error| broken(input, error))?;
    let mut record = Record::new();
    // the header of such a file names them all
    let most = match Format::of(&input.name) {
        Some(Format::Csv) => Some(1),
        _ => most,
    };
    let mut read = 0;
    while most.is_none_or(|most| read < most) {
        // a row that cannot be read is met again by the load itself
        match rows.read(&mut record) {
            Ok(Step::End) | Err(BadFile::Content { .. }) => break,
            Ok(_) => read += 1,
            Err(error) => return Err(broken(input, error)),
        }
        if read % STRIDE == 0 {
            cx.checkpoint()?;
        }
    }
    Ok(rows.columns().to_vec())
}

/// A file to be loaded, with the hash of its content.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) input: Input,
    /// BLAKE3 in hex.
    pub(super) hash: String,
}

impl Source {
    /// Hashes a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn of(cx: &Context, input: Input) -> Result<Source, Error> {
        let hash = content::hash(cx, &input.path)?.to_hex().to_string();
        Ok(Source { input, hash })
    }

    pub(super) fn parts<'p>(&'p self, rejects: &'p Path) -> Parts<'p> {
        Parts::of(rejects, &self.input.name, &self.hash)
    }

    pub(super) fn key<'k>(&'k self, job: &'k str) -> ledger::Key<'k> {
        ledger::Key {
            job,
            file: &self.input.name,
            hash: &self.hash,
        }
    }
}

/// A broken file is its own fault; a disk that cannot be read is not.
pub(super) fn broken(input: &Input, error: BadFile) -> Fault {
    match error {
        BadFile::Io { source, .. } => Fault::Other(Error::io("read", &input.path)(source)),
        content @ BadFile::Content { .. } => Fault::Refused(content.to_string()),
    }
}
