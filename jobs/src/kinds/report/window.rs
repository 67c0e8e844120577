//! One window, from its first step to its cursor.
//!
//! Where steps and rows stay in one database, they and the cursor are one transaction. Where the rows go elsewhere, they are first made
//! durable in a draft; then one commit of the job's state names it ([`Pending`]); then the steps are committed, with a cursor of their
//! own; then the draft is delivered, into a table with the cursor of the rows, or by a rename. Whoever comes after a crash finds by the
//! state what has to be delivered, and by the cursors what has been.

use std::path::{Path, PathBuf};

use db::Connection;
use serde::{Deserialize, Serialize};

use super::calendar::{Line, Window};
use super::ledger::{self, Part};
use super::page::Heading;
use super::params::{Output, Params, Target};
use super::rows::{self, Drawn, STEP, Sheet};
use super::sql::{Script, Values};
use crate::context::Context;
use crate::disk::folder;
use crate::error::Error;
use crate::job::Tally;
use crate::state::Changes;

/// Names in the job's state.
pub(super) mod memory {
    /// How far the report has come; for files this is the cursor, else a copy of the one beside the data.
    pub(in super::super) const UPTO: &str = "upto";
    /// What is drawn up and not yet delivered.
    pub(in super::super) const PENDING: &str = "pending";
    /// An operator's order: go on from here.
    pub(in super::super) const FROM: &str = "from";
    /// The order for the beginning; also what a reset of the state leaves behind.
    pub(in super::super) const START: &str = "start";
}

/// A window whose rows are durable in a draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pending {
    from: String,
    to: String,
    draft: PathBuf,
    /// Its place, for a file.
    target: Option<PathBuf>,
    rows: u64,
    bytes: u64,
    /// The draft counts only once the steps are committed.
    steps: bool,
    /// The cursors are to be left alone.
    only: bool,
}

/// What a report works with.
pub(super) struct Bench<'a> {
    pub(super) cx: &'a mut Context,
    pub(super) params: &'a Params,
    pub(super) line: &'a Line,
    pub(super) script: &'a Script,
    /// The database of steps and query.
    pub(super) source: &'a mut (dyn Connection + 'static),
    /// Another database, where the rows go there.
    pub(super) other: Option<&'a mut (dyn Connection + 'static)>,
}

impl Bench<'_> {
    /// Runs a window. `None`: a run before has done it, and its COMMIT has come through only now. `only`: once more, cursors left alone.
    pub(super) fn run(&mut self, window: &Window, only: bool) -> Result<Option<Tally>, Error> {
        self.cx.phase(&self.line.title(window));
        match self.params.target() {
            Target::Nothing | Target::Beside(_) => self.together(window, only),
            Target::Elsewhere(..) => {
                let spool = self.spool();
                self.apart(window, only, Sheet::Spool, &spool, None)
            }
            Target::Files(output) => {
                let target = self.file(output, window);
                let name = self.cx.job().to_owned();
                let heading = Heading {
                    title: output.title.as_deref().unwrap_or(&name),
                    window: &self.line.title(window),
                };
                self.apart(
                    window,
                    only,
                    Sheet::File(output, heading),
                    &target,
                    Some(&target),
                )
            }
        }
    }

    /// Where rows wait for their load.
    fn spool(&self) -> PathBuf {
        self.cx
            .home()
            .state
            .join(format!("{}.rows.csv", self.cx.job()))
    }

    fn file(&self, output: &Output, window: &Window) -> PathBuf {
        let packed = output.compress.ending();
        let name = format!(
            "{}_{}.{}{packed}",
            output.file,
            self.line.label(window),
            output.format.ending()
        );
        self.cx.path(&output.dir).join(name)
    }

    /// Steps, rows and cursor in one transaction.
    fn together(&mut self, window: &Window, only: bool) -> Result<Option<Tally>, Error> {
        let values = Values::of(self.params, self.line, window);
        let spool = self.spool();
        self.source.begin()?;
        if !only && !self.claim_steps(window)? {
            self.source.rollback()?;
            return Ok(None);
        }
        let changed = self.steps(&values)?;
        let mut tally = Tally {
            written: changed,
            ..Tally::default()
        };
        if let (Target::Beside(into), Some(select)) = (self.params.target(), &self.script.select) {
            let drawn = rows::draw(self.cx, self.source, select, &values, Sheet::Spool, &spool)?;
            let form = self.params.period.form;
            let written = rows::load(
                self.cx,
                self.source,
                into,
                form,
                &values,
                drawn.draft.draft(),
            )?;
            tally = Tally {
                read: drawn.rows,
                written,
                bytes: drawn.bytes,
                ..Tally::default()
            };
        }
        self.commit()?;
        Ok(Some(tally))
    }

    /// Steps in one transaction, rows elsewhere.
    fn apart(
        &mut self,
        window: &Window,
        only: bool,
        sheet: Sheet<'_>,
        target: &Path,
        publish: Option<&Path>,
    ) -> Result<Option<Tally>, Error> {
        let values = Values::of(self.params, self.line, window);
        let mut steps = !self.script.steps.is_empty();
        if steps {
            self.source.begin()?;
            if !only && !self.claim_steps(window)? {
                // done by a run that came no further: the rows are still to be taken
                self.source.rollback()?;
                steps = false;
            }
        }
        if steps {
            self.steps(&values)?;
        } else {
            self.source.begin_snapshot()?;
        }
        let Some(select) = &self.script.select else {
            return Err(Error::Internal(
                "a report without a query has a target".to_owned(),
            ));
        };
        let drawn = rows::draw(self.cx, self.source, select, &values, sheet, target)?;
        let pending = self.pending(window, &drawn, publish, steps, only);
        self.cx.disk().sync_dir(folder(drawn.draft.draft()))?;
        if only {
            // without a cursor nobody could tell whether the steps were committed
            self.commit()?;
            self.note(&pending, drawn)?;
        } else {
            self.note(&pending, drawn)?;
            self.commit()?;
        }
        self.deliver(&pending)
    }

    fn pending(
        &self,
        window: &Window,
        drawn: &Drawn,
        publish: Option<&Path>,
        steps: bool,
        only: bool,
    ) -> Pending {
        Pending {
            from: self.line.write(window.from),
            to: self.line.write(window.to),
            draft: drawn.draft.draft().to_owned(),
            target: publish.map(Path::to_owned),
            rows: drawn.rows,
            bytes: drawn.bytes,
            steps,
            only,
        }
    }

    /// Makes the draft known, and lets go of it: from now on it is what the state speaks of.
    fn note(&mut self, pending: &Pending, drawn: Drawn) -> Result<(), Error> {
        self.cx.state()?.set(memory::PENDING, pending)?;
        drawn.draft.keep();
        Ok(())
    }

    /// Delivers what an earlier run has drawn up, if there is something.
    pub(super) fn resume(&mut self) -> Result<Tally, Error> {
        match self.cx.state()?.get::<Pending>(memory::PENDING)? {
            Some(pending) => Ok(self.deliver(&pending)?.unwrap_or_default()),
            None => Ok(Tally::default()),
        }
    }

    /// Brings a draft to its place and moves the cursor. `None`: it was of no use, for its steps never were committed.
    fn deliver(&mut self, pending: &Pending) -> Result<Option<Tally>, Error> {
        if pending.steps && !pending.only {
            let upto = ledger::look(self.source, self.cx.job(), Part::Steps)?;
            if upto.is_none_or(|upto| upto < pending.to) {
                self.forget()?;
                return Ok(None);
            }
        }
        let mut tally = Tally {
            read: pending.rows,
            written: pending.rows,
            bytes: pending.bytes,
            ..Tally::default()
        };
        match (self.params.target(), &pending.target) {
            (Target::Files(_), Some(target)) => {
                self.publish(pending, target)?;
                tally.files = 1;
            }
            (Target::Elsewhere(..), None) => tally.written = self.hand_over(pending)?,
            _ => return Err(Error::Invalid("a window was drawn up for another target: `jobs state` shows it as `pending`, and can reset it".to_owned())),
        }
        let mut changes = Changes::new().delete(memory::PENDING);
        if !pending.only {
            changes = changes.set(memory::UPTO, &pending.to)?;
        }
        self.cx.state()?.commit(changes)?;
        self.cx.disk().remove(&pending.draft)?;
        Ok(Some(tally))
    }

    /// Renames the draft to its name; one that is renamed already is left alone.
    fn publish(&self, pending: &Pending, target: &Path) -> Result<(), Error> {
        let disk = self.cx.disk();
        if disk.look(&pending.draft)?.is_some() {
            disk.rename(&pending.draft, target)?;
        }
        disk.sync_dir(folder(target))
    }

    /// Loads the draft into the other database, unless its cursor says that this is done; tells how many rows.
    fn hand_over(&mut self, pending: &Pending) -> Result<u64, Error> {
        let (Target::Elsewhere(into, _), Some(other)) =
            (self.params.target(), self.other.as_deref_mut())
        else {
            return Err(Error::Internal(
                "the other database is not connected".to_owned(),
            ));
        };
        let read = |text: &str| {
            self.line
                .read(text)
                .map_err(|why| Error::Data(format!("the state pending: {why}")))
        };
        let window = Window {
            from: read(&pending.from)?,
            to: read(&pending.to)?,
        };
        let values = Values::of(self.params, self.line, &window);
        other.begin()?;
        if !pending.only
            && !ledger::claim(other, self.cx.job(), Part::Rows, &pending.to, self.cx.now())?
        {
            other.rollback()?;
            return Ok(0);
        }
        let written = rows::load(
            self.cx,
            other,
            into,
            self.params.period.form,
            &values,
            &pending.draft,
        )?;
        let _step = self.cx.step("commit", STEP);
        other.commit()?;
        Ok(written)
    }

    /// Drops what is drawn up.
    pub(super) fn forget(&mut self) -> Result<(), Error> {
        if let Some(pending) = self.cx.state()?.get::<Pending>(memory::PENDING)? {
            self.cx.state()?.delete(memory::PENDING)?;
            self.cx.disk().remove(&pending.draft)?;
        }
        Ok(())
    }

    fn claim_steps(&mut self, window: &Window) -> Result<bool, Error> {
        let to = self.line.write(window.to);
        let _step = self.cx.step("moving the cursor", STEP);
        Ok(ledger::claim(
            self.source,
            self.cx.job(),
            Part::Steps,
            &to,
            self.cx.now(),
        )?)
    }

    /// Runs the steps; tells how many rows they changed.
    fn steps(&mut self, values: &Values) -> Result<u64, Error> {
        let mut changed = 0;
        for statement in &self.script.steps {
            self.cx.checkpoint()?;
            let _step = self.cx.step(&statement.at, STEP);
            changed += self
                .source
                .execute(&statement.sql, &statement.cells(values))
                .map_err(|error| rows::told(statement, error))?;
            if !self.source.in_transaction() {
                return Err(Error::Invalid(format!(
                    "{}: it ended the transaction of the window",
                    statement.at
                )));
            }
        }
        Ok(changed)
    }

    fn commit(&mut self) -> Result<(), Error> {
        let _step = self.cx.step("commit", STEP);
        Ok(self.source.commit()?)
    }
}
