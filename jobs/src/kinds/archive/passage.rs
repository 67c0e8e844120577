//! How a batch passes, whatever it passes to: again after a deadlock, in halves where a row is refused.

use std::time::Duration;

use db::{Constraint, ErrorKind};

use super::batch::Batch;
use super::stays::Stays;
use crate::context::Context;
use crate::error::Error;
use crate::link::Link;
use crate::statement::STATEMENT;

/// How often a batch is tried that meets locks of others, and the rest before the second time; it doubles.
const TRIES: u32 = 8;
const REST: Duration = Duration::from_millis(50);

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Passed {
    /// Rows that left.
    pub(super) left: u64,
}

/// A way out of the table.
pub(super) trait Passage {
    /// Lets the rows of a batch leave that are still what they were, durably. After an error nothing of it has left; a transaction may be open.
    fn pass(
        &mut self,
        cx: &Context,
        db: &mut Link,
        batch: &Batch,
        stays: &mut Stays,
    ) -> Result<Passed, Error>;

    /// Ends what a failed batch left open elsewhere than on the source's connection.
    fn give_up(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// Lets a batch pass. Rows that the database refuses stay, and are told.
pub(super) fn pass(
    cx: &Context,
    db: &mut Link,
    passage: &mut dyn Passage,
    batch: &Batch,
    stays: &mut Stays,
) -> Result<u64, Error> {
    let refused = match patiently(cx, db, passage, batch, stays) {
        Ok(passed) => return Ok(passed.left),
        Err(Error::Database(error)) if error.is_row_error() => error,
        Err(error) => return Err(error),
    };
    if let [only] = batch.keys.as_slice() {
        stays.refused(only, refused.into());
        return Ok(0);
    }
    log::debug!("one by one: {}", Error::from(refused).chain());
    let mut left = 0;
    for half in batch.halves() {
        cx.checkpoint()?;
        left += pass(cx, db, passage, &half, stays)?;
    }
    Ok(left)
}

fn patiently(
    cx: &Context,
    db: &mut Link,
    passage: &mut dyn Passage,
    batch: &Batch,
    stays: &mut Stays,
) -> Result<Passed, Error> {
    let mut rest = REST;
    for left in (0..TRIES).rev() {
        let step = cx.step("archive rows", STATEMENT);
        let passed = passage.pass(cx, db, batch, stays);
        drop(step);
        let error = match passed {
            Ok(passed) => return Ok(passed),
            Err(error) => error,
        };
        // a connection that is lost has nothing open any more
        if !is_cut(&error) {
            db.rollback()?;
            passage.give_up()?;
        }
        if left == 0 || !is_busy(&error) {
            return Err(error);
        }
        log::debug!("again in {rest:?}: {}", error.chain());
        cx.wait(rest)?;
        rest *= 2;
    }
    Err(Error::TryAgain("locked by others".to_owned()))
}

fn is_busy(error: &Error) -> bool {
    match error {
        Error::Database(error) => error.kind() == ErrorKind::Busy,
        Error::TryAgain(_) => true,
        _ => false,
    }
}

fn is_cut(error: &Error) -> bool {
    matches!(error, Error::Database(error) if error.kind() == ErrorKind::Connect)
}

/// Whether a row of that key is there already.
pub(super) fn is_clash(error: &db::Error) -> bool {
    error.kind() == ErrorKind::Constraint(Constraint::Unique)
}
