//! The bulk path on the caller's side: rows are gathered, and go to the driver's thread some at a time.

use super::engine::Engine;
use super::fault::{Trouble, fault};
use super::insert::insert;
use super::plan::Plan;
use super::worker::Worker;
use crate::block::Block;
use crate::{Cell, Error, ErrorKind, Load, Loaded, Loader, Reject, Result, TableInfo};
use std::sync::Arc;

/// How many rows and bytes go to the thread at once.
const ROWS: usize = 1000;
const BYTES: usize = 1 << 20;
/// The savepoint that an unfinished load returns to.
const LOAD: &str = "procctl_load";

pub(super) struct OdbcLoader<'c> {
    worker: &'c mut Worker,
    plan: Arc<Plan>,
    block: Block,
    /// Which push brought the block's first row.
    first: u64,
    pushed: u64,
    rows: u64,
    skipped: u64,
    rejects: Vec<Reject>,
    /// The transaction is the loader's own, not its caller's.
    own: bool,
    /// The database knows savepoints.
    savepoints: bool,
    open: bool,
}

impl<'c> OdbcLoader<'c> {
    /// `within` is whether a transaction is open.
    pub(super) fn start(
        worker: &'c mut Worker,
        engine: Engine,
        dialect: &'static dyn crate::Dialect,
        into: &Load<'_>,
        info: &TableInfo,
        action: String,
        within: bool,
    ) -> Result<Self> {
        let plan = Plan::new(into, info, engine, dialect, action)?;
        let known = engine != Engine::Other;
        let begun = worker.call(move |session| {
            if !within {
                session.autocommit(false)?;
            }
            match session.savepoint(LOAD) {
                Ok(()) => Ok(true),
                Err(Trouble::Refused(_)) if !known && !within => {
                    session.rollback()?;
                    Ok(false)
                }
                Err(trouble) => Err(trouble),
            }
        });
        let verdict = worker.stop.verdict();
        let savepoints = begun.map_err(|trouble| fault(&plan.action, engine, verdict, trouble))?;
        Ok(OdbcLoader {
            worker,
            block: Block::new(plan.targets.len()),
            plan: Arc::new(plan),
            first: 0,
            pushed: 0,
            rows: 0,
            skipped: 0,
            rejects: Vec::new(),
            own: !within,
            savepoints,
            open: true,
        })
    }

    fn fault(&self, trouble: Trouble) -> Error {
        let verdict = self.worker.stop.verdict();
        fault(&self.plan.action, self.plan.engine, verdict, trouble)
    }

    fn flush(&mut self) -> Result<()> {
        if self.block.rows() == 0 {
            return Ok(());
        }
        let block = Arc::new(std::mem::replace(
            &mut self.block,
            Block::new(self.plan.targets.len()),
        ));
        let (plan, sent, arrays) = (Arc::clone(&self.plan), Arc::clone(&block), self.savepoints);
        let done = self
            .worker
            .call(move |session| insert(session, &plan, &sent, arrays));
        let outcome = done.map_err(|trouble| self.fault(trouble))?;
        self.rows += outcome.rows;
        self.skipped += outcome.skipped;
        for (place, error) in outcome.rejects {
            let ordinal = self.first + u64::try_from(place).unwrap_or(0);
            self.rejects
                .push(Reject::new(ordinal, &block.row(place), error));
        }
        self.first = self.pushed;
        Ok(())
    }

    fn end(&mut self, keep: bool) -> Result<()> {
        let (own, savepoints) = (self.own, self.savepoints);
        let done = self.worker.call(move |session| {
            match (own, keep) {
                (true, true) => session.commit()?,
                (true, false) => session.rollback()?,
                (false, true) => session.release(LOAD)?,
                (false, false) if savepoints => {
                    session.undo_to(LOAD)?;
                    session.release(LOAD)?;
                }
                (false, false) => {}
            }
            if own {
                session.autocommit(true)
            } else {
                Ok(())
            }
        });
        done.map_err(|trouble| self.fault(trouble))
    }
}

impl Loader for OdbcLoader<'_> {
    fn push(&mut self, row: &[Cell<'_>]) -> Result<()> {
        if row.len() != self.plan.targets.len() {
            return Err(
                Error::new(ErrorKind::Invalid, &self.plan.action).because(format!(
                    "a row of {} cells for {} columns",
                    row.len(),
                    self.plan.targets.len()
                )),
            );
        }
        self.block.push(row);
        self.pushed += 1;
        if self.block.rows() >= ROWS || self.block.size() >= BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn rejects(&mut self) -> Vec<Reject> {
        std::mem::take(&mut self.rejects)
    }

    fn finish(mut self: Box<Self>) -> Result<Loaded> {
        self.flush()?;
        self.end(true)?;
        self.open = false;
        Ok(Loaded {
            rows: self.rows,
            skipped: self.skipped,
            rejects: std::mem::take(&mut self.rejects),
        })
    }
}

impl Drop for OdbcLoader<'_> {
    fn drop(&mut self) {
        if !self.open || self.worker.stop.gone() {
            return;
        }
        if let Err(error) = self.end(false) {
            log::error!(
                "{error}, taking back an unfinished load: {:?}",
                std::error::Error::source(&error)
            );
        }
    }
}
