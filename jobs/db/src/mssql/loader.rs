//! The bulk path: rows are gathered and go to the server some thousands at a time, within a savepoint or a transaction of their own.

use super::fault::Trouble;
use super::link::Link;
use super::plan::{POINT, Plan};
use super::stage::load;
use crate::gathering::{Gathering, log_left_behind};
use crate::{Cell, Error, Loaded, Loader, Reject, Result};

/// How many rows and bytes go to the server at once.
const ROWS: usize = 10_000;
const BYTES: usize = 4 << 20;

pub(super) struct MssqlLoader<'c> {
    link: &'c mut Link,
    plan: Plan,
    gathering: Gathering,
    /// The transaction is the loader's own, not its caller's.
    own: bool,
    open: bool,
}

impl<'c> MssqlLoader<'c> {
    /// `within` is whether a transaction is open.
    pub(super) fn start(link: &'c mut Link, plan: Plan, within: bool) -> Result<Self> {
        let point = format!("SAVE TRANSACTION {POINT}");
        let open = if within { &point } else { "BEGIN TRANSACTION" };
        let begun = link.say(&plan.make()).and_then(|()| link.say(open));
        begun.map_err(|trouble| link.fault(&plan.action, trouble))?;
        Ok(MssqlLoader {
            link,
            gathering: Gathering::new(plan.targets.len()),
            plan,
            own: !within,
            open: true,
        })
    }

    fn fault(&self, trouble: Trouble) -> Error {
        self.link.fault(&self.plan.action, trouble)
    }

    fn flush(&mut self) -> Result<()> {
        let Some(block) = self.gathering.take() else {
            return Ok(());
        };
        let outcome = load(self.link, &self.plan, &block).map_err(|trouble| self.fault(trouble))?;
        self.gathering.settle(&block, outcome);
        Ok(())
    }
}

impl Loader for MssqlLoader<'_> {
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
        if self.own {
            let done = self.link.say("COMMIT TRANSACTION");
            done.map_err(|trouble| self.fault(trouble))?;
        }
        self.open = false;
        Ok(self.gathering.loaded())
    }
}

impl Drop for MssqlLoader<'_> {
    fn drop(&mut self) {
        // without a connection the server has rolled back by itself
        if !self.open || self.link.client.is_none() {
            return;
        }
        let undo = if self.own {
            "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION".to_owned()
        } else {
            // a transaction that an error has doomed cannot go back to a savepoint: its owner will see that it has ended
            format!("IF XACT_STATE() = 1 ROLLBACK TRANSACTION {POINT}")
        };
        if let Err(trouble) = self.link.say(&undo) {
            log_left_behind(&self.fault(trouble));
        }
    }
}
