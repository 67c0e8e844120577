//! The bulk path: rows are gathered and go to the server some thousands at a time, within a savepoint or a transaction of their own.

use super::fault::Trouble;
use super::link::Link;
use super::plan::{POINT, Plan};
use super::stage::load;
use crate::block::Block;
use crate::{Cell, Error, ErrorKind, Loaded, Loader, Reject, Result};

/// How many rows and bytes go to the server at once.
const ROWS: usize = 10_000;
const BYTES: usize = 4 << 20;

pub(super) struct MssqlLoader<'c> {
    link: &'c mut Link,
    plan: Plan,
    block: Block,
    /// Which push brought the block's first row.
    first: u64,
    pushed: u64,
    rows: u64,
    skipped: u64,
    rejects: Vec<Reject>,
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
            block: Block::new(plan.targets.len()),
            plan,
            first: 0,
            pushed: 0,
            rows: 0,
            skipped: 0,
            rejects: Vec::new(),
            own: !within,
            open: true,
        })
    }

    fn fault(&self, trouble: Trouble) -> Error {
        self.link.fault(&self.plan.action, trouble)
    }

    fn flush(&mut self) -> Result<()> {
        if self.block.rows() == 0 {
            return Ok(());
        }
        let block = std::mem::replace(&mut self.block, Block::new(self.plan.targets.len()));
        let outcome = load(self.link, &self.plan, &block).map_err(|trouble| self.fault(trouble))?;
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
}

impl Loader for MssqlLoader<'_> {
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
        if self.own {
            let done = self.link.say("COMMIT TRANSACTION");
            done.map_err(|trouble| self.fault(trouble))?;
        }
        self.open = false;
        Ok(Loaded {
            rows: self.rows,
            skipped: self.skipped,
            rejects: std::mem::take(&mut self.rejects),
        })
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
            let error = self.fault(trouble);
            log::error!(
                "{error}, taking back an unfinished load: {:?}",
                std::error::Error::source(&error)
            );
        }
    }
}
