//! One file: its rows into the output's draft, its bad rows into a reject file.

use std::path::PathBuf;
use std::time::Duration;

use super::columns::{Mapping, Target};
use super::settings::Settings;
use crate::context::Context;
use crate::data::{
    BadFile, BadRow, Compression, Format, Place, Record, Rejects, Rows, Step, Writer,
};
use crate::error::Error;
use crate::input::Input;
use crate::publish::{Draft, Sealed};

/// Rows between two looks for a stop.
const STRIDE: u64 = 1000;
/// Bad rows that are written out of a file that has too many of them.
const SHOWN: u64 = 1000;

/// What it may take to open a file.
const OPENING: Duration = Duration::from_secs(600);

/// What the rows of a file go into.
pub(super) struct Order<'a> {
    pub(super) settings: &'a Settings,
    pub(super) format: Format,
    pub(super) compress: Compression,
    /// Where the output is to be.
    pub(super) target: PathBuf,
    /// Where the reject file is to be.
    pub(super) rejects: PathBuf,
    pub(super) max_bad: u64,
}

/// What became of a file.
pub(super) struct Converted {
    /// The output, complete; `None` when the file is bad as a whole, or has no columns at all.
    pub(super) output: Option<Sealed>,
    /// The rows that were bad; `None` when none was.
    pub(super) rejects: Option<Sealed>,
    pub(super) read: u64,
    pub(super) written: u64,
    pub(super) rejected: u64,
    /// Why the file is bad as a whole.
    pub(super) bad: Option<String>,
}

/// Converts a file as far as its drafts.
pub(super) fn convert(cx: &Context, input: &Input, order: &Order<'_>) -> Result<Converted, Error> {
    let mut work = Work {
        cx,
        order,
        bad: None,
        rejects: None,
        rejected: 0,
        read: 0,
    };
    let output = match work.rows(input) {
        Ok(output) => output,
        Err(Trouble::File(error @ BadFile::Content { .. })) => {
            work.reject_file(&error)?;
            None
        }
        Err(Trouble::File(error)) => return Err(error.of(&input.path)),
        Err(Trouble::Job(error)) => return Err(error),
    };
    let rejects = match work.rejects {
        None => None,
        Some(rejects) => rejects
            .finish()
            .map_err(Error::io("write", &order.rejects))?
            .map(Draft::seal)
            .transpose()?,
    };
    let (output, written) = output.map_or((None, 0), |(sealed, rows)| (Some(sealed), rows));
    Ok(Converted {
        output,
        rejects,
        read: work.read,
        written,
        rejected: work.rejected,
        bad: work.bad,
    })
}

/// What ends the work on a file early.
enum Trouble {
    File(BadFile),
    Job(Error),
}

impl From<BadFile> for Trouble {
    fn from(error: BadFile) -> Trouble {
        Trouble::File(error)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Job(error)
    }
}

struct Work<'a> {
    cx: &'a Context,
    order: &'a Order<'a>,
    bad: Option<String>,
    rejects: Option<Rejects<Draft>>,
    rejected: u64,
    read: u64,
}

impl Work<'_> {
    /// Reads, maps and writes every row; `None` when there are too many bad ones or no columns.
    fn rows(&mut self, input: &Input) -> Result<Option<(Sealed, u64)>, Trouble> {
        let mut mapping = Mapping::new(self.targets(input)?, self.order.settings.na.clone());
        let columns = mapping.columns();
        if columns.is_empty() {
            return Ok(None);
        }
        let mut rows = self.open(input)?;
        mapping.learn(rows.columns());
        if self.order.settings.has_fixed_columns() && !mapping.missing().is_empty() {
            let reason = format!("there is no column {}", mapping.missing().join(", "));
            return Err(BadFile::content(Place::START, reason).into());
        }
        let draft = Draft::create(&self.cx.disk(), &self.order.target, &self.cx.author())?;
        let failed = || Error::io("write", &self.order.target);
        let mut writer = Writer::new(draft, self.order.format, self.order.compress, &columns)
            .map_err(failed())?;
        let mut record = Record::new();
        let mut before = 0;
        loop {
            let step = rows.read(&mut record)?;
            self.read += u64::from(!matches!(step, Step::End));
            if self.read.is_multiple_of(STRIDE) {
                self.cx.checkpoint()?;
                self.cx
                    .progress(self.read.min(STRIDE), rows.place().byte - before);
                before = rows.place().byte;
            }
            let bad = match step {
                Step::End => break,
                Step::Bad(bad) => *bad,
                Step::Row => {
                    mapping.learn(rows.columns());
                    match mapping.take(&record) {
                        Ok(()) => {
                            writer
                                .row(&mapping.cells(&record))
                                .map_err(Error::io("write", &self.order.target))?;
                            continue;
                        }
                        Err(bad) => bad,
                    }
                }
            };
            if !self.reject(&bad, rows.columns(), &record)? {
                return Ok(None);
            }
        }
        self.cx
            .progress(self.read % STRIDE, rows.place().byte - before);
        for name in mapping.missing() {
            log::warn!("{}: no row has a column {name}", input.path.display());
        }
        let written = writer.rows();
        let draft = writer
            .finish()
            .map_err(Error::io("write", &self.order.target))?;
        Ok(if self.bad.is_some() {
            None
        } else {
            Some((draft.seal()?, written))
        })
    }

    /// The columns to be written: those of the job file, else all that the input has, for which a file that brings
    /// its columns row by row is read twice.
    fn targets(&self, input: &Input) -> Result<Vec<Target>, Trouble> {
        if let Some(targets) = &self.order.settings.targets {
            return Ok(targets.clone());
        }
        let mut rows = self.open(input)?;
        if !self.order.settings.has_fixed_columns() {
            let mut record = Record::new();
            let mut count = 0_u64;
            while !matches!(rows.read(&mut record)?, Step::End) {
                count += 1;
                if count.is_multiple_of(STRIDE) {
                    self.cx.checkpoint()?;
                }
            }
        }
        Ok(rows
            .columns()
            .iter()
            .map(|name| Target::same(name))
            .collect())
    }

    fn open(&self, input: &Input) -> Result<Box<dyn Rows>, Trouble> {
        self.order.settings.check_length(input.meta.length)?;
        // Of a workbook, all is unpacked once before the first row.
        let _step = self.cx.step("open the file", OPENING);
        let reading = self.order.settings.reading(&input.name);
        let file = self.cx.disk().open(&input.path)?;
        Ok(reading.open(file)?)
    }

    /// Writes a bad row out; `false` when the file has had enough of them.
    fn reject(&mut self, bad: &BadRow, columns: &[String], record: &Record) -> Result<bool, Error> {
        self.rejected += 1;
        self.write_reject(bad, columns, record)?;
        if self.rejected > self.order.max_bad && self.bad.is_none() {
            self.bad = Some(match self.order.max_bad {
                0 => bad.to_string(),
                most => format!("more bad rows than max-bad=\"{most}\" allows, the last one {bad}"),
            });
        }
        Ok(self.bad.is_none() || self.rejected < SHOWN)
    }

    /// Writes down why the whole file is bad.
    fn reject_file(&mut self, error: &BadFile) -> Result<(), Error> {
        let BadFile::Content { place, reason } = error else {
            return Ok(());
        };
        self.bad = Some(error.to_string());
        self.write_reject(
            &BadRow::new(*place, format!("the file: {reason}")),
            &[],
            &Record::new(),
        )
    }

    fn write_reject(
        &mut self,
        bad: &BadRow,
        columns: &[String],
        record: &Record,
    ) -> Result<(), Error> {
        let rejects = match &mut self.rejects {
            Some(rejects) => rejects,
            none => {
                let draft = Draft::create(&self.cx.disk(), &self.order.rejects, &self.cx.author())?;
                none.insert(Rejects::new(draft))
            }
        };
        rejects
            .push(bad, columns, record)
            .map_err(Error::io("write", &self.order.rejects))
    }
}
