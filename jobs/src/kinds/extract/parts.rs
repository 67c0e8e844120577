//! The files of one run: rows go into parts under temporary names, and all parts become visible together or, after a crash, one after the other.
//!
//! Publishing has two phases. First all parts are written and synced under temporary names, and one commit of the job's state both moves the cursor and
//! names the parts ([`Publication`]). Then they are renamed. A crash before the commit leaves temporary files, which the next run removes; after it, the next
//! run finishes the renames. So a range that is read twice is still published once, whatever has been inserted in between.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::data::{Behind, Column, Compression, Format, Writer};
use crate::disk::Disk;
use crate::error::Error;
use crate::publish::{Author, Draft, Sealed};

/// Where parts are written: what of the world their writers need, from whichever thread.
#[derive(Clone)]
pub(super) struct Desk {
    disk: Arc<dyn Disk>,
    author: Author,
    /// Tells the drafts of several writers apart.
    lane: usize,
}

impl Desk {
    pub(super) fn of(cx: &Context, lane: usize) -> Desk {
        Desk {
            disk: cx.disk(),
            author: cx.author(),
            lane,
        }
    }
}

/// Where parts go and what they look like.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    pub(super) folder: PathBuf,
    /// The files' first word, `file` of the job.
    pub(super) word: String,
    pub(super) format: Format,
    pub(super) compression: Compression,
    /// Rows a part; 0: all in one.
    pub(super) rows: u64,
}

/// Parts that have been committed to: temporary name, final name, both in the shelf's folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Publication(pub(super) Vec<(String, String)>);

impl Shelf {
    /// The final name of part `number` of `count`.
    pub(super) fn name(&self, range: &str, number: usize, count: usize, always: bool) -> String {
        let part = if count > 1 || always {
            format!("_{number}of{count}")
        } else {
            String::new()
        };
        format!(
            "{}_{}{part}.{}{}",
            self.word,
            plain(range),
            self.format.ending(),
            self.compression.ending()
        )
    }
}

/// A cursor's value as a part of a file name: letters, digits, `.`, `-`, `_`; a long one as its hash.
fn plain(text: &str) -> String {
    if text.len() > 120 {
        return blake3::hash(text.as_bytes()).to_hex()[..32].to_owned();
    }
    let keep = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    text.chars()
        .map(|c| if keep(c) { c } else { '_' })
        .collect()
}

/// Rows on their way into parts.
pub(super) struct Parts<'a> {
    desk: Desk,
    shelf: &'a Shelf,
    columns: Vec<Column>,
    open: Option<Behind<Draft>>,
    sealed: Vec<Sealed>,
    /// Rows and bytes that progress has been told of.
    told: (u64, u64),
    /// Rows of all parts, and bytes of those that are complete.
    pub(super) rows: u64,
    bytes: u64,
}

impl<'a> Parts<'a> {
    pub(super) fn new(desk: Desk, shelf: &'a Shelf) -> Self {
        Parts {
            desk,
            shelf,
            columns: Vec::new(),
            open: None,
            sealed: Vec::new(),
            told: (0, 0),
            rows: 0,
            bytes: 0,
        }
    }

    /// Says what rows consist of, before the first one.
    pub(super) fn describe(&mut self, columns: &[db::Column]) {
        let file_column = |column: &db::Column| Column {
            name: column.name.clone(),
            form: column.kind.into(),
        };
        self.columns = columns.iter().map(file_column).collect();
    }

    /// Writes the first cells of a row, one for each column described.
    pub(super) fn row(&mut self, row: db::Row<'_>) -> Result<(), Error> {
        if self.room() == Some(0) {
            self.seal()?;
        }
        if self.open.is_none() {
            self.open = Some(self.begin()?);
        }
        if let Some(part) = &mut self.open {
            let written = part.lent(row);
            written.map_err(|error| writing(&self.shelf.folder, error))?;
            self.rows += 1;
        }
        Ok(())
    }

    /// Writes the next rows, as many as come together, a cell for each column described. Tells how many; none at the end.
    pub(super) fn gather(&mut self, rows: &mut dyn db::Rows) -> Result<usize, Error> {
        let room = self.room().filter(|room| *room > 0);
        let (Some(part), Some(room)) = (&mut self.open, room) else {
            // no file begins for a row that never comes
            return Ok(match rows.fetch()? {
                Some(row) => self.row(row).map(|()| 1)?,
                None => 0,
            });
        };
        let count = rows.gather(room, part.batch())?;
        let written = part.laid_down(count);
        written.map_err(|error| writing(&self.shelf.folder, error))?;
        self.rows += count as u64;
        Ok(count)
    }

    /// For how many rows the open part has room.
    fn room(&self) -> Option<usize> {
        let part = self.open.as_ref()?;
        Some(match self.shelf.rows {
            0 => usize::MAX,
            most => usize::try_from(most.saturating_sub(part.rows())).unwrap_or(usize::MAX),
        })
    }

    /// A file without a row, for a full extract that found none.
    pub(super) fn none(&mut self) -> Result<(), Error> {
        self.open = Some(self.begin()?);
        Ok(())
    }

    fn begin(&self) -> Result<Behind<Draft>, Error> {
        let (shelf, desk) = (self.shelf, &self.desk);
        let target = shelf.folder.join(format!(
            "{}_{}_{}.{}{}",
            shelf.word,
            desk.lane,
            self.sealed.len() + 1,
            shelf.format.ending(),
            shelf.compression.ending()
        ));
        let draft = Draft::create(&desk.disk, &target, &desk.author)?;
        let writer = Writer::new(draft, shelf.format, shelf.compression, &self.columns)
            .map_err(|error| writing(&shelf.folder, error))?;
        Ok(Behind::new(writer, self.columns.len()))
    }

    /// Rows and bytes since the last time it was asked.
    pub(super) fn pace(&mut self) -> (u64, u64) {
        let bytes = self.bytes + self.open.as_ref().map_or(0, Behind::bytes);
        let news = (self.rows - self.told.0, bytes.saturating_sub(self.told.1));
        self.told = (self.rows, bytes);
        news
    }

    fn seal(&mut self) -> Result<(), Error> {
        if let Some(part) = self.open.take() {
            let (draft, bytes) = part
                .finish()
                .map_err(|error| writing(&self.shelf.folder, error))?;
            self.bytes += bytes;
            self.sealed.push(draft.seal()?);
        }
        Ok(())
    }

    /// Syncs the last part.
    pub(super) fn finish(mut self) -> Result<Lot, Error> {
        self.seal()?;
        Ok(Lot {
            sealed: self.sealed,
            rows: self.rows,
            bytes: self.bytes,
        })
    }
}

/// Parts that are complete and have no names yet.
#[derive(Default)]
pub(super) struct Lot {
    sealed: Vec<Sealed>,
    pub(super) rows: u64,
    bytes: u64,
}

impl Lot {
    /// Takes in the parts of another writer.
    pub(super) fn join(&mut self, other: Lot) {
        self.sealed.extend(other.sealed);
        self.rows += other.rows;
        self.bytes += other.bytes;
    }

    /// Whether there is no file in it.
    pub(super) fn is_empty(&self) -> bool {
        self.sealed.is_empty()
    }

    /// Syncs the folder and gives all parts their names. They stay on the disk from now on, so that a commit
    /// may speak of them. `always`: `_1of1` is part of the name too.
    pub(super) fn name(
        self,
        disk: &dyn Disk,
        shelf: &Shelf,
        range: &str,
        always: bool,
    ) -> Result<Written, Error> {
        if !self.sealed.is_empty() {
            disk.sync_dir(&shelf.folder)?;
        }
        let count = self.sealed.len();
        let named = |(at, part): (usize, Sealed)| {
            let temporary = part.draft().file_name().unwrap_or_default();
            let temporary = temporary.to_string_lossy().into_owned();
            part.keep();
            (temporary, shelf.name(range, at + 1, count, always))
        };
        let publication = Publication(self.sealed.into_iter().enumerate().map(named).collect());
        Ok(Written {
            publication,
            rows: self.rows,
            bytes: self.bytes,
        })
    }
}

/// Parts that are complete, durable, and not yet to be seen.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) publication: Publication,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// What a format cannot carry is bad data; the rest is the disk's fault.
fn writing(folder: &Path, error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::InvalidData => Error::Data(error.to_string()),
        std::io::ErrorKind::InvalidInput => Error::Invalid(format!("the query: {error}")),
        _ => Error::io("write into", folder)(error),
    }
}

/// Renames what has been committed to; what is renamed already is left alone. Durable at the end.
pub(super) fn publish(
    disk: &dyn Disk,
    folder: &Path,
    publication: &Publication,
) -> Result<(), Error> {
    for (temporary, name) in &publication.0 {
        let from = folder.join(temporary);
        if disk.look(&from)?.is_some() {
            disk.rename(&from, &folder.join(name))?;
        }
    }
    disk.sync_dir(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_range_and_the_part() {
        let shelf = Shelf {
            folder: PathBuf::new(),
            word: "WEATHER".into(),
            format: Format::Xml,
            compression: Compression::Gzip,
            rows: 0,
        };
        assert_eq!(shelf.name("0-500", 1, 1, false), "WEATHER_0-500.xml.gz");
        assert_eq!(
            shelf.name("0-500", 2, 3, false),
            "WEATHER_0-500_2of3.xml.gz"
        );
        assert_eq!(
            shelf.name("20261121T134500Z", 1, 1, true),
            "WEATHER_20261121T134500Z_1of1.xml.gz"
        );
        assert_eq!(
            plain("2013-01-01 06:00:00+00/x"),
            "2013-01-01_06_00_00_00_x"
        );
        assert_eq!(plain(&"x".repeat(500)).len(), 32);
    }
}
