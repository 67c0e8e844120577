//! The bulk path: LOAD DATA LOCAL in chunks, each under a savepoint, sent while the caller makes its rows.
//!
//! LOAD DATA LOCAL bends bad values and skips doubled keys, and only counts warnings. A chunk without any is exact, and costs
//! a savepoint; one with a warning is taken back and inserted in strict statements of many rows, which are split in
//! halves until each bad row stands alone. From then on rows that look wrong are set aside before they are sent.
//! Skip and upsert, and servers that forbid LOCAL, use the strict statements from the start.
//! Tables without transactions (MyISAM) cannot take a chunk back and are refused.

use super::connection::run;
use super::fault::{Trouble, fault, forbids_local, is_of_a_row};
use super::load_data;
use super::plan::{Plan, check_key};
use super::statement::Prepared;
use super::target::Target;
use super::wire::Wire;
use crate::suspect::Suspicion;
use crate::tabbed::Chunk;
use crate::{
    Cell, ColumnInfo, Error, ErrorKind, Kind, Load, Loaded, Loader, Mode, Reject, Result, TableInfo,
};
use std::collections::HashMap;

/// A row's cells, copied.
type Owned = Vec<Option<Vec<u8>>>;

/// How much is gathered before it is sent.
const SEND: usize = 128 * 1024;

#[derive(Debug)]
pub(super) struct MysqlLoader<'c> {
    pub(super) wire: &'c mut Wire,
    pub(super) action: String,
    pub(super) info: TableInfo,
    pub(super) targets: Vec<Target>,
    /// All text: lines of LOAD DATA have no mark for bytes.
    pub(super) kinds: Vec<Kind>,
    pub(super) suspicion: Suspicion,
    pub(super) plan: Plan,
    pub(super) chunk: Chunk,
    /// How much of the chunk is on its way; `None` before its LOAD DATA has begun.
    pub(super) sent: Option<usize>,
    /// Rows that look wrong, to be tried alone after the chunk.
    pub(super) aside: Chunk,
    /// Rows whose text was changed to what MySQL reads, as they were pushed.
    pub(super) pushed_as: HashMap<u64, Owned>,
    /// The single-row statement.
    pub(super) alone: Option<Prepared>,
    pub(super) wary: bool,
    pub(super) pushed: u64,
    pub(super) rows: u64,
    pub(super) skipped: u64,
    pub(super) rejects: Vec<Reject>,
    /// The transaction is the loader's own, not its caller's.
    pub(super) own: bool,
    pub(super) open: bool,
}

impl<'c> MysqlLoader<'c> {
    pub(super) fn start(
        wire: &'c mut Wire,
        into: &Load<'_>,
        info: TableInfo,
        action: String,
    ) -> Result<Self> {
        let columns = info.resolve(into.columns, &action)?;
        let suspicion = Suspicion::new(&columns);
        let target = |column: &&ColumnInfo| Target {
            name: column.name.clone(),
            kind: column.kind,
            required: !column.nullable && !column.auto,
            bits: column.declared.starts_with("bit("),
        };
        let targets: Vec<Target> = columns.iter().map(target).collect();
        if let Mode::Upsert { key } = into.mode {
            check_key(key, &info, &action)?;
        }
        let own = !wire.in_transaction();
        let mut loader = MysqlLoader {
            kinds: vec![Kind::Text; targets.len()],
            plan: Plan::new(into, &targets),
            suspicion,
            wire,
            action,
            info,
            targets,
            chunk: Chunk::default(),
            sent: None,
            aside: Chunk::default(),
            pushed_as: HashMap::new(),
            alone: None,
            wary: false,
            pushed: 0,
            rows: 0,
            skipped: 0,
            rejects: Vec::new(),
            own,
            open: true,
        };
        loader.run(if own {
            "START TRANSACTION"
        } else {
            "SAVEPOINT load_all"
        })?;
        Ok(loader)
    }

    fn run(&mut self, sql: &str) -> Result<()> {
        run(self.wire, sql)
            .map(drop)
            .map_err(|trouble| self.fault(trouble))
    }

    pub(super) fn fault(&self, trouble: Trouble) -> Error {
        fault(&self.action, &self.wire.watch, trouble)
    }

    /// Sends what has gathered; the first piece of a chunk begins its LOAD DATA. Where the server forbids that, rows gather on.
    fn send(&mut self) -> Result<(), Trouble> {
        if !self.plan.local {
            return Ok(());
        }
        let from = match self.sent {
            Some(from) => from,
            None => {
                run(self.wire, "SAVEPOINT load_chunk")?;
                match load_data::begin(self.wire, &self.plan.load_data) {
                    Ok(()) => 0,
                    Err(Trouble::Refused(complaint)) if forbids_local(complaint.code) => {
                        log::info!(
                            "{}: the server forbids LOAD DATA LOCAL ({complaint}), inserting rows instead",
                            self.action
                        );
                        self.plan.local = false;
                        return Ok(());
                    }
                    Err(trouble) => return Err(trouble),
                }
            }
        };
        self.sent = Some(self.chunk.bytes.len());
        load_data::send(self.wire, &self.chunk.bytes[from..])
    }

    /// Whether the server took the whole chunk as it was.
    fn end_chunk(&mut self) -> Result<bool, Trouble> {
        self.send()?;
        if self.sent.take().is_none() {
            return Ok(false);
        }
        let rows = u64::try_from(self.chunk.rows.len()).unwrap_or(u64::MAX);
        let taken = match load_data::end(self.wire) {
            Ok(done) => done.warnings == 0 && done.changed == rows,
            Err(Trouble::Refused(complaint)) if is_of_a_row(complaint.code) => false,
            Err(trouble) => return Err(trouble),
        };
        if taken {
            self.rows += rows;
        } else {
            run(self.wire, "ROLLBACK TO SAVEPOINT load_chunk")?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> Result<()> {
        if !self.chunk.rows.is_empty() {
            let taken = self.end_chunk().map_err(|trouble| self.fault(trouble))?;
            let mut chunk = std::mem::take(&mut self.chunk);
            if !taken {
                self.sort_out(&chunk)?;
            }
            chunk.clear();
            self.chunk = chunk;
        }
        if !self.aside.rows.is_empty() {
            let mut aside = std::mem::take(&mut self.aside);
            for row in 0..aside.rows.len() {
                self.settle_rows(&aside, &[row])?;
            }
            aside.clear();
            self.aside = aside;
        }
        self.pushed_as.clear();
        Ok(())
    }

    /// Ends what is under way without its rows counting.
    fn abandon(&mut self) -> Result<(), Trouble> {
        if self.sent.take().is_some() {
            match load_data::end(self.wire) {
                Ok(_) | Err(Trouble::Refused(_)) => {}
                Err(broken) => return Err(broken),
            }
        }
        match self.alone.take() {
            Some(statement) => statement.close(self.wire),
            None => Ok(()),
        }
    }

    /// The row as MySQL reads it, or the column and why it cannot.
    fn readable(&self, row: &[Cell<'_>]) -> Result<Option<Owned>, (String, &'static str)> {
        let mut changed: Option<Owned> = None;
        for (index, (target, cell)) in self.targets.iter().zip(row).enumerate() {
            let Some(text) = cell else { continue };
            let readable = target
                .readable(text)
                .map_err(|why| (target.name.clone(), why))?;
            if *readable != **text {
                let owned = || row.iter().map(|cell| cell.map(<[u8]>::to_vec)).collect();
                changed.get_or_insert_with(owned)[index] = Some(readable.into_owned());
            }
        }
        Ok(changed)
    }
}

impl Loader for MysqlLoader<'_> {
    fn push(&mut self, row: &[Cell<'_>]) -> Result<()> {
        if row.len() != self.targets.len() {
            return Err(
                Error::new(ErrorKind::Invalid, &self.action).because(format!(
                    "a row of {} cells for {} columns",
                    row.len(),
                    self.targets.len()
                )),
            );
        }
        let ordinal = self.pushed;
        self.pushed += 1;
        match self.readable(row) {
            Err((column, why)) => {
                let error = Error::new(ErrorKind::Type, &self.action)
                    .at_column(column)
                    .because(why);
                self.rejects.push(Reject::new(ordinal, row, error));
                return Ok(());
            }
            Ok(changed) => {
                let read: Option<Vec<Cell<'_>>> = changed
                    .as_ref()
                    .map(|row| row.iter().map(Option::as_deref).collect());
                let read = read.as_deref().unwrap_or(row);
                let aside = self.wary && self.suspicion.of(read).is_some();
                let chunk = if aside {
                    &mut self.aside
                } else {
                    &mut self.chunk
                };
                chunk.add(ordinal, &self.kinds, read);
                if changed.is_some() {
                    self.pushed_as.insert(
                        ordinal,
                        row.iter().map(|cell| cell.map(<[u8]>::to_vec)).collect(),
                    );
                }
            }
        }
        if self.chunk.is_full() || self.aside.is_full() {
            return self.flush();
        }
        if self.chunk.bytes.len() - self.sent.unwrap_or(0) >= SEND {
            return self.send().map_err(|trouble| self.fault(trouble));
        }
        Ok(())
    }

    fn rejects(&mut self) -> Vec<Reject> {
        std::mem::take(&mut self.rejects)
    }

    fn finish(mut self: Box<Self>) -> Result<Loaded> {
        self.flush()?;
        self.abandon().map_err(|trouble| self.fault(trouble))?;
        self.run(if self.own {
            "COMMIT"
        } else {
            "RELEASE SAVEPOINT load_all"
        })?;
        self.open = false;
        self.rejects.sort_by_key(|reject| reject.ordinal);
        Ok(Loaded {
            rows: self.rows,
            skipped: self.skipped,
            rejects: std::mem::take(&mut self.rejects),
        })
    }
}

impl Drop for MysqlLoader<'_> {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        let undone = self
            .abandon()
            .map_err(|trouble| self.fault(trouble))
            .and_then(|()| match self.wire.in_transaction() {
                false => Ok(()),
                true if self.own => self.run("ROLLBACK"),
                true => self.run("ROLLBACK TO SAVEPOINT load_all"),
            });
        if let Err(error) = undone {
            log::error!(
                "{error}, taking back an unfinished load: {:?}",
                std::error::Error::source(&error)
            );
        }
    }
}
