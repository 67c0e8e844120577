//! One unit of files into one table, in one transaction (or in several, `commit` rows at a time).
//!
//! The order is what makes it exactly once: ledger row, rows, reject file published, COMMIT; the caller moves the input only then.
//! This file decides nothing about folders beyond the reject file's name.

use std::path::{Path, PathBuf};
use std::time::Duration;

use db::{Connection, Load, Mode as Clash, TableInfo, TableName};

use super::bad::Bad;
use super::mapping::{Growth, Guess, Mapping};
use super::params::{Mode, Table};
use super::reading::Reading;
use crate::context::Context;
use crate::data::{BadFile, Format, Place, Reading as Layout, Record, Rows, Step};
use crate::error::Error;
use crate::input::Input;
use crate::job::Tally;
use crate::ledger::{self, Entry, Progress};
use crate::rejects::Parts;

/// Rows read for the names of columns before the load begins; a name that turns up later costs a second pass.
const PEEK: u64 = 1_000;

/// Rows between two looks at stop requests and progress.
pub(super) const STRIDE: u64 = 256;

/// What one statement that cannot beat may take.
const STEP: Duration = Duration::from_secs(600);

/// What became of a unit.
#[derive(Debug)]
pub(super) enum Fate {
    /// Its rows are in the table, durably.
    Loaded(Tally),
    /// The ledger has it already.
    Known,
    /// It cannot be loaded as it is; nothing of it is in the table but what earlier transactions of `commit="N"` hold.
    Bad(String),
}

/// Why a load was given up.
pub(super) enum Fault {
    /// A column turned up that the load was not opened for.
    Grown,
    /// The file is at fault.
    Refused(String),
    /// Something else is.
    Other(Error),
}

impl<E: Into<Error>> From<E> for Fault {
    fn from(error: E) -> Fault {
        Fault::Other(error.into())
    }
}

/// A broken file is its own fault; a disk that cannot be read is not.
pub(super) fn broken(input: &Input, error: BadFile) -> Fault {
    match error {
        BadFile::Io { source, .. } => Fault::Other(Error::io("read", &input.path)(source)),
        content @ BadFile::Content { .. } => Fault::Refused(content.to_string()),
    }
}

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

/// A file to be loaded, with the hash of its content.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) input: Input,
    /// BLAKE3 in hex.
    pub(super) hash: String,
}

/// The load of one unit.
pub(super) struct Unit<'a> {
    pub(super) cx: &'a Context,
    pub(super) db: &'a mut dyn Connection,
    pub(super) table: &'a Table,
    pub(super) sources: &'a [Source],
    /// Where reject files go.
    pub(super) rejects: PathBuf,
}

impl Unit<'_> {
    /// Loads the unit, and tells what became of it.
    ///
    /// # Errors
    /// What has nothing to do with the files: the database, a stop request, a full disk. Nothing is loaded then, and a repeat is safe.
    pub(super) fn load(mut self) -> Result<Fate, Error> {
        let mut columns = self.scan(Some(PEEK));
        loop {
            let result = match columns {
                Ok(names) => self.attempt(&names),
                Err(fault) => Err(fault),
            };
            match result {
                Ok(fate) => {
                    let disk = self.cx.disk();
                    self.parts().try_for_each(|parts| parts.remove(&*disk))?;
                    return Ok(fate);
                }
                Err(fault) => {
                    self.db.rollback()?;
                    match fault {
                        Fault::Grown => columns = self.scan(None),
                        Fault::Refused(reason) => {
                            self.parts().try_for_each(|parts| parts.join(self.cx))?;
                            return Ok(Fate::Bad(reason));
                        }
                        Fault::Other(error) => return Err(error),
                    }
                }
            }
        }
    }

    /// What is kept of the files' bad rows while their load takes several transactions.
    fn parts(&self) -> impl Iterator<Item = Parts<'_>> {
        self.sources
            .iter()
            .map(|source| source.parts(&self.rejects))
    }

    /// The names of each file's columns, from its first rows or from all.
    fn scan(&self, most: Option<u64>) -> Result<Vec<Vec<String>>, Fault> {
        self.sources
            .iter()
            .map(|source| self.names(source, most))
            .collect()
    }

    fn names(&self, source: &Source, most: Option<u64>) -> Result<Vec<String>, Fault> {
        let mut rows = self.open(source)?;
        let mut record = Record::new();
        let mut read = 0;
        while most.is_none_or(|most| read < most) {
            // a row that cannot be read is met again by the load itself
            match rows.read(&mut record) {
                Ok(Step::End) | Err(BadFile::Content { .. }) => break,
                Ok(_) => read += 1,
                Err(error) => return Err(broken(&source.input, error)),
            }
            if read % STRIDE == 0 {
                self.cx.checkpoint()?;
            }
        }
        Ok(rows.columns().to_vec())
    }

    fn open(&self, source: &Source) -> Result<Box<dyn Rows>, Fault> {
        open(self.cx, &source.input)?.map_err(|error| broken(&source.input, error))
    }

    /// One try, in a transaction of its own.
    fn attempt(&mut self, columns: &[Vec<String>]) -> Result<Fate, Fault> {
        self.db.begin()?;
        let mut entries = Vec::with_capacity(self.sources.len());
        for source in self.sources {
            entries.push(ledger::enter(
                self.db,
                &source.key(self.cx.job()),
                self.cx.now(),
            )?);
        }
        if entries.iter().all(|entry| *entry == Entry::Loaded) {
            self.db.rollback()?;
            return Ok(Fate::Known);
        }
        self.run_sql("before-sql", self.table.before_sql.as_deref())?;
        let name = TableName::parse(&self.table.name);
        let info = self.target(&name)?;
        if self.table.mode == Mode::Replace {
            let sql = format!("DELETE FROM {}", self.db.dialect().qualify(&name));
            let _step = self.cx.step("emptying the table", STEP);
            self.db.execute(&sql, &[])?;
        }
        let mut tally = Tally::default();
        for ((source, columns), entry) in self.sources.iter().zip(columns).zip(entries) {
            let begun = match entry {
                Entry::Loaded => continue,
                Entry::New => Progress::default(),
                Entry::Begun(progress) => progress,
            };
            tally += self.file(source, &name, &info, columns, begun)?;
        }
        self.run_sql("after-sql", self.table.after_sql.as_deref())?;
        let _step = self.cx.step("commit", STEP);
        self.db.commit()?;
        Ok(Fate::Loaded(tally))
    }

    fn run_sql(&mut self, what: &str, sql: Option<&str>) -> Result<(), Fault> {
        let Some(sql) = sql else { return Ok(()) };
        let _step = self.cx.step(what, STEP);
        Ok(self.db.batch(sql)?)
    }

    /// The table's description; made to fit the files where the job says so.
    fn target(&mut self, name: &TableName) -> Result<TableInfo, Fault> {
        if let Some(info) = self.db.dictionary(name)? {
            return Ok(info);
        }
        if !self.table.create {
            return Err(Fault::Other(Error::Invalid(format!(
                "the database has no table {name} (create=\"true\" would make it)"
            ))));
        }
        let info = self.infer()?;
        self.db
            .execute(&self.db.dialect().create_table(name, &info), &[])?;
        Ok(self.db.dictionary(name)?.unwrap_or(info))
    }

    /// Columns with types that hold every cell of all files of the unit.
    fn infer(&self) -> Result<TableInfo, Fault> {
        let mut names: Vec<String> = Vec::new();
        let mut guesses: Vec<Guess> = Vec::new();
        for source in self.sources {
            let mut rows = self.open(source)?;
            let mut record = Record::new();
            loop {
                match rows
                    .read(&mut record)
                    .map_err(|error| broken(&source.input, error))?
                {
                    Step::End => break,
                    Step::Bad(_) => continue,
                    Step::Row => self.cx.checkpoint()?,
                }
                for (at, name) in rows.columns().iter().enumerate() {
                    let place = names
                        .iter()
                        .position(|known| known == name)
                        .unwrap_or_else(|| {
                            names.push(name.clone());
                            guesses.push(Guess::Nothing);
                            names.len() - 1
                        });
                    guesses[place] = guesses[place].and(record.cell(at));
                }
            }
        }
        if names.is_empty() {
            return Err(Fault::Refused(
                "no table can be made from a file without a row".to_owned(),
            ));
        }
        let columns = names
            .iter()
            .zip(guesses)
            .map(|(name, guess)| db::ColumnInfo::new(name.clone(), guess.kind()))
            .collect();
        Ok(TableInfo {
            columns,
            primary_key: self.table.key(),
            ..TableInfo::default()
        })
    }

    /// Loads one file, from where earlier transactions left it.
    fn file(
        &mut self,
        source: &Source,
        name: &TableName,
        info: &TableInfo,
        columns: &[String],
        begun: Progress,
    ) -> Result<Tally, Fault> {
        let mut mapping = Mapping::default();
        if mapping.learn(columns, info) == Growth::None && !columns.is_empty() {
            let reason = format!(
                "none of its columns ({}) is in the table {name}",
                columns.join(", ")
            );
            return Err(Fault::Refused(reason));
        }
        let names = mapping.columns_or_any(info);
        let key = self.table.key_of(info);
        let clash = match self.table.mode {
            Mode::Insert | Mode::Replace => Clash::Append,
            Mode::Skip => Clash::Skip,
            Mode::Upsert if key.is_empty() => {
                return Err(Fault::Other(Error::Invalid(format!(
                    "the table {name} has no primary key: upsert needs key=\"…\""
                ))));
            }
            Mode::Upsert => Clash::Upsert { key: &key },
        };
        let into = Load {
            table: name,
            columns: &names,
            mode: clash,
        };
        let mut file = Reading {
            rows: self.open(source)?,
            record: Record::new(),
            bad: Bad {
                cx: self.cx,
                source,
                folder: &self.rejects,
                most: self.table.max_bad,
                total: begun.rejected,
                batch: None,
                out: None,
                names: &names,
            },
            mapping,
            info,
            begun,
            position: 0,
            told: (0, 0),
            tally: Tally::default(),
        };
        loop {
            // rows that an earlier run has dealt with are passed over
            file.bad.batch = self
                .table
                .batch()
                .map(|_| file.position.max(begun.position) + 1);
            let more = {
                let loader = self.db.load(&into)?;
                file.batch(self.cx, loader, self.table.batch())?
            };
            file.bad.publish()?;
            let progress = Progress {
                position: file.position,
                rejected: file.bad.total,
            };
            ledger::advance(self.db, &source.key(self.cx.job()), progress, !more)?;
            if !more {
                source.parts(&self.rejects).join(self.cx)?;
                break;
            }
            self.db.commit()?;
            self.db.begin()?;
        }
        if let Some(left_out) = file.mapping.left_out() {
            log::warn!(
                "{}: the table {name} has no column for {left_out}",
                source.input.name
            );
        }
        file.tally.files = 1;
        file.tally.bytes = source.input.meta.length;
        Ok(file.tally)
    }
}

impl Source {
    pub(super) fn parts<'p>(&'p self, rejects: &'p Path) -> Parts<'p> {
        Parts::of(rejects, &self.input.name, &self.hash)
    }

    fn key<'k>(&'k self, job: &'k str) -> ledger::Key<'k> {
        ledger::Key {
            job,
            file: &self.input.name,
            hash: &self.hash,
        }
    }
}
