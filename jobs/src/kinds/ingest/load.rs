//! One unit of files into one table, in one transaction (or in several, `commit` rows at a time).
//!
//! The order is what makes it exactly once: ledger row, rows, reject file published, COMMIT; the caller moves the input only then.
//! This file decides nothing about folders beyond the reject file's name.

use std::path::{Path, PathBuf};
use std::time::Duration;

use db::{Connection, ErrorKind, Load, Mode as Clash, TableInfo, TableName};

use super::bad::{Bad, Held};
use super::create;
use super::fault::{Fault, of_its_end, of_rows};
use super::mapping::{Growth, Mapping};
use super::params::{Mode, Table};
use super::reading::Reading;
use super::source::{PEEK, Source, broken, names, open_ahead};
use crate::context::Context;
use crate::data::{Record, Rows};
use crate::error::Error;
use crate::job::Tally;
use crate::ledger::{self, Entry, Progress};
use crate::rejects::Parts;

/// What one statement that cannot beat may take.
pub(super) const STEP: Duration = Duration::from_secs(600);

/// What became of a unit.
#[derive(Debug)]
pub(super) enum Fate {
    /// Its rows are in the table, durably; so many of them were there already and stayed as they were.
    Loaded(Tally, u64),
    /// The ledger has it already.
    Known,
    /// It is another one than when the pass began: a matter for the next pass.
    Changed,
    /// It is not there any more.
    Gone,
    /// It cannot be loaded as it is; nothing of it is in the table but what earlier transactions of `commit="N"` hold.
    Bad(String),
}

/// Whether an error came from outside of what was asked for: it tells nothing about it.
fn is_outer(kind: ErrorKind) -> bool {
    use ErrorKind::{Busy, Cancelled, Connect, Timeout};
    matches!(kind, Busy | Cancelled | Connect | Timeout)
}

/// The load of one unit.
pub(super) struct Unit<'a> {
    pub(super) cx: &'a Context,
    pub(super) db: &'a mut dyn Connection,
    pub(super) table: &'a Table,
    pub(super) sources: &'a [Source],
    /// Where reject files go.
    pub(super) rejects: &'a Path,
    /// What the dictionary said of the table, from one file to the next.
    pub(super) known: &'a mut Option<TableInfo>,
    /// The file's rows up to this one are dealt with by transactions that are committed (`commit="N"`, which loads files singly).
    pub(super) stays: u64,
    /// Why rules are checked row by row that are otherwise checked at the end: then one spoke up, and some row is to be found.
    pub(super) at_once: Option<String>,
    /// Reject files of this attempt.
    pub(super) published: Vec<PathBuf>,
}

impl Unit<'_> {
    /// Loads the unit, and tells what became of it.
    ///
    /// # Errors
    /// What has nothing to do with the files: the database, a stop request, a full disk. Nothing is loaded then, and a repeat is safe.
    pub(super) fn load(mut self) -> Result<Fate, Error> {
        let mut columns = self.scan(Some(PEEK));
        loop {
            let result = columns.and_then(|names| self.attempt(&names));
            match result {
                Ok(fate) => {
                    let disk = self.cx.disk();
                    self.parts().try_for_each(|parts| parts.remove(&*disk))?;
                    return Ok(fate);
                }
                Err(fault) => {
                    *self.known = None;
                    let undone = self.db.rollback();
                    // of a connection that broke, what broke it tells more than that nothing can be undone by it
                    if let Fault::Other(error) = fault {
                        return Err(error);
                    }
                    undone?;
                    match fault {
                        Fault::Grown => columns = self.scan(None),
                        Fault::Late(reason) if self.at_once.is_none() => {
                            self.at_once = Some(reason);
                            self.unpublish()?;
                            columns = self.scan(None);
                        }
                        Fault::Refused(reason) | Fault::Late(reason) => {
                            return self.refused(reason);
                        }
                        Fault::Changed => return Ok(Fate::Changed),
                        Fault::Other(error) => return Err(error),
                    }
                }
            }
        }
    }

    /// The end of a file that cannot be loaded: its rejects so far are published, and what of it stays is told.
    fn refused(&self, mut reason: String) -> Result<Fate, Error> {
        let disk = self.cx.disk();
        self.parts()
            .try_for_each(|parts| parts.join(self.cx).map(drop))?;
        self.parts().try_for_each(|parts| parts.remove(&*disk))?;
        if self.stays > 0 {
            let (last, next) = (self.stays, self.stays + 1);
            reason.push_str(&format!(
                "; rows 1 to {last} are loaded and stay (bad ones of them are in the reject file): \
                 mend the file from row {next} on, and leave those before out"
            ));
        }
        Ok(Fate::Bad(reason))
    }

    /// Removes the reject files of an attempt that is made anew, and will have more rows in them.
    fn unpublish(&mut self) -> Result<(), Error> {
        let disk = self.cx.disk();
        for path in self.published.drain(..) {
            disk.remove(&path)?;
        }
        disk.sync_dir(self.rejects)
    }

    /// What is kept of the files' bad rows while their load takes several transactions.
    fn parts(&self) -> impl Iterator<Item = Parts<'_>> {
        self.sources.iter().map(|source| source.parts(self.rejects))
    }

    /// The names of each file's columns, from its first rows or from all.
    fn scan(&self, most: Option<u64>) -> Result<Vec<Vec<String>>, Fault> {
        self.sources
            .iter()
            .map(|source| names(self.cx, &source.input, most))
            .collect()
    }

    fn open(&self, source: &Source) -> Result<Box<dyn Rows>, Fault> {
        open_ahead(self.cx, &source.input)?.map_err(|error| broken(&source.input, error))
    }

    /// One try, in a transaction of its own.
    fn attempt(&mut self, columns: &[Vec<String>]) -> Result<Fate, Fault> {
        let name = TableName::parse(&self.table.name);
        let makes = self.table.create && self.known.is_none();
        // DDL that commits comes before the transaction, or there would be none
        if makes && self.db.dialect().ddl_commits() && self.db.dictionary(&name)?.is_none() {
            let _step = self.cx.step("making the table", STEP);
            create::make(self.cx, self.db, self.table, &name, self.sources)?;
        }
        let entries = {
            // another transaction may be in the way for a while
            let _step = self.cx.step("begin", STEP);
            self.db.begin()?;
            self.enter()?
        };
        if entries.iter().all(|entry| *entry == Entry::Loaded) {
            self.db.rollback()?;
            return Ok(Fate::Known);
        }
        self.run_sql("before-sql", self.table.before_sql.as_deref())?;
        let info = self.target(&name)?;
        if self.table.mode == Mode::Replace {
            self.empty(&name, &info)?;
        }
        self.check_at_once()?;
        let (mut tally, mut kept) = (Tally::default(), 0);
        for ((source, columns), entry) in self.sources.iter().zip(columns).zip(entries) {
            let begun = match entry {
                // the parts of a set were loaded together, and are again if one of them is another
                Entry::Loaded if self.table.mode != Mode::Replace => continue,
                Entry::Loaded | Entry::New => Progress::default(),
                Entry::Begun(progress) => progress,
            };
            let (loaded, skipped) = self.file(source, &name, &info, columns, begun)?;
            tally += loaded;
            kept += skipped;
        }
        self.run_sql("after-sql", self.table.after_sql.as_deref())?;
        self.look_again()?;
        let _step = self.cx.step("commit", STEP);
        // a constraint that is deferred speaks up here
        self.db.commit().map_err(of_its_end)?;
        *self.known = Some(info);
        Ok(Fate::Loaded(tally, kept))
    }

    /// Has each row checked at once by what would be checked at the end, where that is wanted and the database can.
    fn check_at_once(&mut self) -> Result<(), Fault> {
        let Some(reason) = &self.at_once else {
            return Ok(());
        };
        let _step = self.cx.step("checking constraints", STEP);
        if self.db.check_at_once().map_err(of_rows)? {
            return Ok(());
        }
        Err(Fault::Refused(reason.clone()))
    }

    /// Enters the files into the ledger.
    fn enter(&mut self) -> Result<Vec<Entry>, Fault> {
        let mut entries = Vec::with_capacity(self.sources.len());
        for source in self.sources {
            let key = source.key(self.cx.job());
            let entry = ledger::enter(self.db, &key, self.cx.now())?;
            // the table shall hold what a name last brought, also when that is an earlier content again
            if entry == Entry::New && matches!(self.table.mode, Mode::Upsert | Mode::Replace) {
                ledger::forget_others(self.db, &key)?;
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    /// What `replace` does before the rows: readers go on to see the old ones until the commit, as TRUNCATE would not let them.
    /// The bulk path is opened once before, for it refuses tables that could not take the rows back.
    fn empty(&mut self, name: &TableName, info: &TableInfo) -> Result<(), Fault> {
        let columns = Mapping::default().columns_or_any(info);
        let probe = Load {
            table: name,
            columns: &columns,
            mode: Clash::Append,
        };
        drop(self.db.load(&probe)?);
        let sql = format!("DELETE FROM {}", self.db.dialect().qualify(name));
        let _step = self.cx.step("emptying the table", STEP);
        Ok(self.db.execute(&sql, &[]).map(drop)?)
    }

    /// Whether each file is still the one whose hash the ledger has.
    fn look_again(&self) -> Result<(), Fault> {
        let disk = self.cx.disk();
        for source in self.sources {
            if !source.input.is_unchanged(&*disk)? {
                return Err(Fault::Changed);
            }
        }
        Ok(())
    }

    /// Runs the job's own SQL. A savepoint stands under it: where that is gone afterwards, so is the transaction.
    fn run_sql(&mut self, what: &str, sql: Option<&str>) -> Result<(), Fault> {
        let Some(sql) = sql.filter(|sql| !sql.trim().is_empty()) else {
            return Ok(());
        };
        let action = format!("{what} of the table {}", self.table.name);
        let _step = self.cx.step(what, STEP);
        self.db.batch("SAVEPOINT procctl_sql")?;
        self.db.batch(sql).map_err(|error| {
            of_rows(db::Error::new(error.kind(), action.clone()).because(error))
        })?;
        match self.db.batch("RELEASE SAVEPOINT procctl_sql") {
            Err(error) if !is_outer(error.kind()) => Err(Fault::Other(Error::Invalid(format!(
                "{action}: it has ended the transaction of the file (a procedure that commits, or a statement that does)"
            )))),
            done => Ok(done?),
        }
    }

    /// The table's description; the table is made to fit the files where the job says so.
    fn target(&mut self, name: &TableName) -> Result<TableInfo, Fault> {
        let own_sql = self.table.before_sql.is_some() || self.table.after_sql.is_some();
        if let Some(info) = self.known.take().filter(|_| !own_sql) {
            return Ok(info);
        }
        match self.db.dictionary(name)? {
            Some(info) => Ok(info),
            None if self.table.create => {
                create::make(self.cx, self.db, self.table, name, self.sources)
            }
            None => Err(Fault::Other(Error::Invalid(format!(
                "the database has no table {name} (create=\"true\" would make it)"
            )))),
        }
    }

    /// Loads one file, from where earlier transactions left it.
    fn file(
        &mut self,
        source: &Source,
        name: &TableName,
        info: &TableInfo,
        columns: &[String],
        begun: Progress,
    ) -> Result<(Tally, u64), Fault> {
        self.stays = begun.position;
        let mut mapping = Mapping::default();
        let growth = mapping.learn(columns, info).map_err(Fault::Refused)?;
        if growth == Growth::None && !columns.is_empty() {
            let reason = format!(
                "none of its columns ({}) is in the table {name}",
                columns.join(", ")
            );
            return Err(Fault::Refused(reason));
        }
        let names = mapping.columns_or_any(info);
        let key = self.table.key_of(info);
        let clash = clash(self.table, &key)?;
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
                folder: self.rejects,
                most: self.table.max_bad,
                total: begun.rejected,
                batch: None,
                out: None,
                held: Held::default(),
                names: &names,
            },
            mapping,
            info,
            begun,
            position: 0,
            told: (0, 0),
            again: None,
            kept: 0,
            tally: Tally::default(),
        };
        loop {
            // rows that an earlier run has dealt with are passed over
            file.bad.batch = self
                .table
                .batch()
                .map(|_| file.position.max(begun.position) + 1);
            let more = {
                let loader = self.db.load_known(&into, info)?;
                file.batch(self.cx, loader, self.table.batch())?
            };
            self.published.extend(file.bad.publish()?);
            let progress = Progress {
                position: file.position,
                rejected: file.bad.total,
            };
            ledger::advance(self.db, &source.key(self.cx.job()), progress, !more)?;
            if !more {
                let whole = source.parts(self.rejects).join(self.cx)?;
                self.published.extend(whole);
                break;
            }
            self.look_again()?;
            self.db.commit().map_err(of_its_end)?;
            self.stays = progress.position;
            self.db.begin()?;
            self.check_at_once()?;
        }
        if let Some(left_out) = file.mapping.left_out() {
            log::warn!(
                "{}: the table {name} takes no value for {left_out}",
                source.input.name
            );
        }
        file.tally.files = 1;
        file.tally.bytes = source.input.meta.length;
        Ok((file.tally, file.kept))
    }
}

/// What a row means whose key is there already.
///
/// # Errors
/// When there is no key to go by.
pub(super) fn clash<'k>(table: &Table, key: &'k [String]) -> Result<Clash<'k>, Error> {
    match table.mode {
        Mode::Insert | Mode::Replace => Ok(Clash::Append),
        Mode::Skip => Ok(Clash::Skip),
        Mode::Upsert if key.is_empty() => Err(Error::Invalid(format!(
            "the table {} has no primary key: upsert needs key=\"…\"",
            table.name
        ))),
        Mode::Upsert => Ok(Clash::Upsert { key }),
    }
}
