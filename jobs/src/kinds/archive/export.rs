//! Rows that leave into files. A file is written and synced under a temporary name, with a slip beside it: the key and a hash of each of its
//! rows. One commit of the job's state names both, then they get their names; then the rows leave batch by batch, each only if it is still
//! what the slip says; then the slip goes. Whoever is killed is followed by a run that goes on at that place, and no row is written twice that
//! was not changed in between.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::facts::{Facts, file_columns};
use super::key::KeyText;
use super::pace::Pace;
use super::params::Table;
use super::slip::{self, Slip};
use super::stays::Stays;
use crate::context::Context;
use crate::data::{Behind, Compression, Format, Writer};
use crate::error::Error;
use crate::job::Tally;
use crate::link::Link;
use crate::publish::{Draft, sweep_drafts};
use crate::statement::STATEMENT;

/// What the names of this room's memory begin with; the table follows.
const EXPORT: &str = "export ";
/// Rows between two checkpoints.
const STRIDE: u64 = 1000;
/// Rows a file unless the job says otherwise.
const ROWS: u64 = 100_000;

/// A file that is committed to, and its slip: temporary and final paths.
#[derive(Debug, Serialize, Deserialize)]
struct Publication {
    file: (PathBuf, PathBuf),
    slip: (PathBuf, PathBuf),
}

impl Publication {
    /// Gives both their names; what has its name already is left alone.
    fn finish(&self, cx: &Context) -> Result<(), Error> {
        let disk = cx.disk();
        for (from, to) in [&self.slip, &self.file] {
            if disk.look(from)?.is_some() {
                disk.rename(from, to)?;
            }
            disk.sync_dir(crate::disk::folder(to))?;
        }
        Ok(())
    }
}

/// Finishes the renames that an earlier run has committed to, of all tables: only then drafts may be swept.
pub(super) fn finish_all(cx: &mut Context) -> Result<(), Error> {
    let mut begun: Vec<Publication> = Vec::new();
    cx.state()?.each(EXPORT, &mut |name, text| {
        let publication = serde_json::from_str(text).map_err(|error| {
            Error::Data(format!(
                "the state {name} is not what this job writes: {error}"
            ))
        })?;
        begun.push(publication);
        Ok(())
    })?;
    for publication in &begun {
        publication.finish(cx)?;
    }
    let state = cx.home().state.clone();
    sweep_drafts(&*cx.disk(), &state, &cx.author()).map(drop)
}

/// The export of one table.
pub(super) struct Export<'a> {
    facts: &'a Facts,
    folder: PathBuf,
    word: String,
    format: Format,
    compression: Compression,
    rows: u64,
    pause: std::time::Duration,
}

/// A file that was written: how many rows and bytes, and the key of the last.
struct Written {
    rows: u64,
    bytes: u64,
    last: KeyText,
}

/// A file on its way, and its slip.
struct Open {
    file: Behind<Draft>,
    slip: Behind<Draft>,
    rows: u64,
    last: KeyText,
}

impl<'a> Export<'a> {
    pub(super) fn new(cx: &Context, facts: &'a Facts, table: &Table) -> Export<'a> {
        Export {
            facts,
            folder: cx.path(table.dir.as_deref().unwrap_or_default()),
            word: table
                .file
                .clone()
                .unwrap_or_else(|| plain(&facts.name.to_string())),
            format: table.format.unwrap_or(Format::Csv),
            compression: table.compress.unwrap_or(Compression::Gzip),
            rows: table.rows.unwrap_or(ROWS),
            pause: table.pause.0,
        }
    }

    /// A file's name, for the time at which it was begun.
    pub(super) fn name(&self, time: &str) -> String {
        let ending = self.compression.ending();
        format!("{}_{time}.{}{ending}", self.word, self.format.ending())
    }

    /// The folder of the files.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// One pass: first what an earlier run left half done, then file by file.
    pub(super) fn pass(
        &self,
        cx: &mut Context,
        db: &mut Link,
        pace: &mut Pace,
        stays: &mut Stays,
    ) -> Result<Tally, Error> {
        let mut tally = Tally::default();
        cx.disk().create_dirs(&self.folder)?;
        sweep_drafts(&*cx.disk(), &self.folder, &cx.author())?;
        if !self.leave(cx, db, pace, stays, &mut tally)? {
            return Ok(tally);
        }
        let mut last = None;
        while !pace.is_over(cx)? {
            let Some(written) = self.write(cx, db, last.as_ref())? else {
                break;
            };
            tally.read += written.rows;
            tally.bytes += written.bytes;
            tally.files += 1;
            if !self.leave(cx, db, pace, stays, &mut tally)? {
                break;
            }
            last = Some(written.last);
        }
        Ok(tally)
    }

    /// Writes the next rows into a file and publishes it; `None` when there are none.
    fn write(
        &self,
        cx: &mut Context,
        db: &mut Link,
        last: Option<&KeyText>,
    ) -> Result<Option<Written>, Error> {
        cx.phase(&format!("writing rows of {}", self.facts.name));
        let time = cx.now().format("%Y%m%dT%H%M%S%3fZ").to_string();
        let target = self.target(cx, &time)?;
        let Some(open) = self.fill(cx, db, last, &target)? else {
            return Ok(None);
        };
        let failed = |error| writing(&self.folder, error);
        let ((file, bytes), (slip, _)) = (
            open.file.finish().map_err(failed)?,
            open.slip.finish().map_err(failed)?,
        );
        let (file, slip) = (file.seal()?, slip.seal()?);
        for sealed in [&file, &slip] {
            cx.disk().sync_dir(crate::disk::folder(sealed.draft()))?;
        }
        let publication = Publication {
            file: (file.draft().to_owned(), file.target().to_owned()),
            slip: (slip.draft().to_owned(), slip.target().to_owned()),
        };
        // from here on they stay: should the commit fail in doubt, the next run finishes or sweeps them
        file.keep();
        slip.keep();
        let memory = self.memory();
        cx.state()?.set(&memory, &publication)?;
        publication.finish(cx)?;
        log::info!(
            "{} of {} written to {}",
            crate::job::Count(open.rows, "row"),
            self.facts.name,
            target.display()
        );
        Ok(Some(Written {
            rows: open.rows,
            bytes,
            last: open.last,
        }))
    }

    fn fill(
        &self,
        cx: &Context,
        db: &mut Link,
        last: Option<&KeyText>,
        target: &Path,
    ) -> Result<Option<Open>, Error> {
        let columns = self.facts.columns();
        let places = self.facts.key_places(&columns);
        let scan = self.facts.scan(&columns, last, self.rows);
        let step = cx.step("query", STATEMENT);
        let rows = db.query(&scan.sql, &scan.values);
        let mut rows = rows.map_err(|error| self.facts.unscanned(error))?;
        drop(step);
        let described = file_columns(rows.columns());
        let mut open: Option<Open> = None;
        while let Some(row) = rows.fetch()? {
            let open = match &mut open {
                Some(open) => open,
                None => open.insert(self.open(cx, target, &described)?),
            };
            let cells: Vec<db::Cell<'_>> = row.cells().collect();
            let failed = |error| writing(&self.folder, error);
            open.file.row(cells.iter().copied()).map_err(failed)?;
            open.last = self.facts.key_of(row, &places);
            slip::write(&mut open.slip, &open.last, &slip::hash(&cells)).map_err(failed)?;
            open.rows += 1;
            if open.rows.is_multiple_of(STRIDE) {
                cx.checkpoint()?;
            }
        }
        Ok(open)
    }

    fn open(
        &self,
        cx: &Context,
        target: &Path,
        columns: &[crate::data::Column],
    ) -> Result<Open, Error> {
        let draft = Draft::create(&cx.disk(), target, &cx.author())?;
        let file = Writer::new(draft, self.format, self.compression, columns)
            .map_err(|error| writing(&self.folder, error))?;
        Ok(Open {
            file: Behind::new(file, columns.len()),
            slip: slip::create(cx, &self.slip_path(cx), self.facts.key.width())?,
            rows: 0,
            last: KeyText::new(),
        })
    }

    /// Where the next file goes: no older one is replaced.
    fn target(&self, cx: &Context, time: &str) -> Result<PathBuf, Error> {
        let mut target = self.folder.join(self.name(time));
        let mut number = 1;
        while cx.disk().look(&target)?.is_some() {
            number += 1;
            target = self.folder.join(self.name(&format!("{time}_{number}")));
        }
        Ok(target)
    }

    /// Lets the rows of the file that was published last leave; `false` when the pass ends before.
    fn leave(
        &self,
        cx: &mut Context,
        db: &mut Link,
        pace: &mut Pace,
        stays: &mut Stays,
        tally: &mut Tally,
    ) -> Result<bool, Error> {
        let path = self.slip_path(cx);
        if cx.disk().look(&path)?.is_some() {
            let mut slip = Slip::open(cx, &path, self.facts)?;
            while let Some(batch) = slip.next()? {
                if pace.is_over(cx)? {
                    return Ok(false);
                }
                let left = slip.pass(cx, db, &batch, stays)?;
                tally.written += left;
                pace.rest(
                    cx,
                    self.pause,
                    left,
                    &format!("deleting exported rows of {}", self.facts.name),
                )?;
            }
        }
        cx.disk().remove(&path)?;
        cx.disk().sync_dir(crate::disk::folder(&path))?;
        let memory = self.memory();
        cx.state()?.delete(&memory)?;
        Ok(true)
    }

    fn memory(&self) -> String {
        format!("{EXPORT}{}", self.facts.name)
    }

    fn slip_path(&self, cx: &Context) -> PathBuf {
        let name = format!(
            "{}.{}.leaving.csv",
            cx.job(),
            plain(&self.facts.name.to_string())
        );
        cx.home().state.join(name)
    }
}

/// A table's name as a part of a file name; a long one as its hash.
fn plain(text: &str) -> String {
    if text.len() > 120 {
        return blake3::hash(text.as_bytes()).to_hex()[..32].to_owned();
    }
    let keep = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let name: String = text
        .chars()
        .map(|c| if keep(c) { c } else { '_' })
        .collect();
    name.trim_start_matches('.').to_owned()
}

/// What a format cannot carry is bad data; the rest is the disk's fault.
fn writing(folder: &Path, error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::InvalidData => Error::Data(error.to_string()),
        _ => Error::io("write into", folder)(error),
    }
}
