//! The bulk path on the caller's side: rows are gathered, and go to the driver's thread some at a time.

use super::engine::Engine;
use super::fault::{Trouble, fault};
use super::insert::insert;
use super::plan::Plan;
use super::worker::Worker;
use crate::gathering::{Gathering, log_left_behind};
use crate::{Cell, Error, Load, Loaded, Loader, Reject, Result, TableInfo};
use std::sync::Arc;

/// How many rows and bytes go to the thread at once.
const ROWS: usize = 1000;
const BYTES: usize = 1 << 20;
/// The savepoint that an unfinished load returns to.
const LOAD: &str = "procctl_load";

pub(super) struct OdbcLoader<'c> {
    worker: &'c mut Worker,
    plan: Arc<Plan>,
    gathering: Gathering,
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
            gathering: Gathering::new(plan.targets.len()),
            plan: Arc::new(plan),
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
        let Some(block) = self.gathering.take().map(Arc::new) else {
            return Ok(());
        };
        let (plan, sent, arrays) = (Arc::clone(&self.plan), Arc::clone(&block), self.savepoints);
        let done = self
            .worker
            .call(move |session| insert(session, &plan, &sent, arrays));
        let outcome = done.map_err(|trouble| self.fault(trouble))?;
        self.gathering.settle(&block, outcome);
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
        self.gathering.push(row, &self.plan.action)?;
        if self.gathering.has(ROWS, BYTES) {
            self.flush()?;
        }
        Ok(())
    }

    fn rejects(&mut self) -> Vec<Reject> {
        self.gathering.rejects()
    }

    fn finish(mut self: Box<Self>) -> Result<Loaded> {
        self.flush()?;
        self.end(true)?;
        self.open = false;
        Ok(self.gathering.loaded())
    }
}

impl Drop for OdbcLoader<'_> {
    fn drop(&mut self) {
        if !self.open || self.worker.stop.gone() {
            return;
        }
        if let Err(error) = self.end(false) {
            log_left_behind(&error);
        }
    }
}
