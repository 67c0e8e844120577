//! The bad rows of a file: counted against what the job tolerates, and kept in a reject file that can be loaded again.

use std::path::Path;

use db::Reject;

use super::load::Fault;
use super::source::Source;
use crate::context::Context;
use crate::data::{BadRow, Place, Record, Rejects};
use crate::error::Error;
use crate::job::Count;
use crate::publish::Draft;
use crate::rejects;

/// The bad rows of a file, on their way into its reject file.
pub(super) struct Bad<'a> {
    pub(super) cx: &'a Context,
    pub(super) source: &'a Source,
    pub(super) folder: &'a Path,
    pub(super) most: u64,
    pub(super) total: u64,
    /// The first row of this transaction, where a file takes several: each has a part of the reject file.
    pub(super) batch: Option<u64>,
    pub(super) out: Option<Rejects<Draft>>,
    pub(super) names: &'a [String],
}

impl Bad<'_> {
    /// Keeps a row; refuses the file once there are too many.
    pub(super) fn keep(
        &mut self,
        bad: &BadRow,
        columns: &[String],
        record: &Record,
    ) -> Result<(), Fault> {
        self.total += 1;
        let out = match &mut self.out {
            Some(out) => out,
            none => {
                let target = match self.batch {
                    Some(row) => self.source.parts(self.folder).path(row),
                    None => self.folder.join(rejects::name_of(&self.source.input.name)),
                };
                none.insert(Rejects::new(Draft::create(
                    &self.cx.disk(),
                    &target,
                    &self.cx.author(),
                )?))
            }
        };
        out.push(bad, columns, record)
            .map_err(Error::io("write into", self.folder))?;
        if self.total > self.most {
            self.publish()?;
            let count = Count(self.total, "bad row");
            let reason = format!("{count}, and max-bad is {}; the last: {bad}", self.most);
            return Err(Fault::Refused(reason));
        }
        Ok(())
    }

    /// What is wrong with a row that the database refused.
    pub(super) fn word_on(&self, row: u64, reject: &Reject) -> BadRow {
        let at = reject
            .error
            .column()
            .and_then(|column| self.names.iter().position(|name| name == column));
        let mut reason = reject.error.kind().to_string();
        let mut source = std::error::Error::source(&reject.error);
        while let Some(inner) = source {
            reason.push_str(&format!(": {inner}"));
            source = inner.source();
        }
        let bad = BadRow::new(Place::of_row(row), reason);
        match reject.error.column() {
            Some(column) => bad.at(column, at.and_then(|at| reject.cells[at].as_deref())),
            None => bad,
        }
    }

    /// Publishes what was kept, durably; before the transaction that speaks of it.
    pub(super) fn publish(&mut self) -> Result<(), Fault> {
        if let Some(out) = self.out.take()
            && let Some(draft) = out.finish().map_err(Error::io("write into", self.folder))?
        {
            match self.batch {
                Some(_) => draft.publish().map(|_| ())?,
                None => rejects::publish(self.cx, draft.seal()?)?,
            }
        }
        Ok(())
    }
}
