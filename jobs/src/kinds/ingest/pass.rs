//! One pass over the files that are there: what belongs together is loaded together, then moved to where it goes.

use std::path::PathBuf;

use super::load::{Fate, Source, Unit};
use super::params::{Mode, Table};
use super::sets;
use crate::content;
use crate::context::Context;
use crate::error::Error;
use crate::input::{Inbox, Input};
use crate::job::Tally;
use crate::link::Link;

/// One pass over the files that are there.
pub(super) struct Pass<'a> {
    pub(super) cx: &'a Context,
    pub(super) db: &'a mut Link,
    pub(super) inbox: &'a Inbox,
    pub(super) rejects: PathBuf,
    pub(super) tally: Tally,
    /// What could not be loaded, and why.
    pub(super) bad: Vec<String>,
}

impl Pass<'_> {
    /// Loads all files of one table, in the order of their names.
    pub(super) fn table(&mut self, table: &Table, inputs: Vec<Input>) -> Result<(), Error> {
        for unit in self.units(table, inputs) {
            self.cx.checkpoint()?;
            self.unit(table, unit)?;
        }
        Ok(())
    }

    /// What is loaded together: single files, and with `replace` the complete sets.
    fn units(&self, table: &Table, inputs: Vec<Input>) -> Vec<Vec<Input>> {
        if table.mode != Mode::Replace {
            return inputs.into_iter().map(|input| vec![input]).collect();
        }
        let grouped = sets::group(inputs.iter().map(|input| input.name.clone()).collect());
        for waiting in &grouped.waiting {
            log::info!("{waiting}");
        }
        let find = |name: &String| inputs.iter().find(|input| input.name == *name).cloned();
        grouped
            .ready
            .iter()
            .map(|unit| unit.files.iter().filter_map(find).collect())
            .collect()
    }

    fn unit(&mut self, table: &Table, inputs: Vec<Input>) -> Result<(), Error> {
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        let names = names.join(", ");
        self.cx.phase(&names);
        let mut sources = Vec::with_capacity(inputs.len());
        for input in inputs {
            let hash = content::hash(self.cx, &input.path)?.to_hex().to_string();
            sources.push(Source { input, hash });
        }
        let load = Unit {
            cx: self.cx,
            db: &mut **self.db,
            table,
            sources: &sources,
            rejects: self.rejects.clone(),
        };
        match load.load()? {
            Fate::Loaded(tally) => {
                log::info!("{names} -> {}: {tally}", table.name);
                self.tally += tally;
                self.finish(&sources, Inbox::move_to_done)
            }
            Fate::Known => {
                log::info!("{names}: already loaded, moved away");
                self.finish(&sources, Inbox::move_to_done)
            }
            Fate::Bad(reason) => {
                log::error!("{names}: {reason}; moved to {}", self.inbox.bad.display());
                self.bad.push(format!("{names}: {reason}"));
                self.finish(&sources, Inbox::move_to_bad)
            }
        }
    }

    fn finish(
        &self,
        sources: &[Source],
        put: fn(&Inbox, &Context, &Input) -> Result<PathBuf, Error>,
    ) -> Result<(), Error> {
        sources
            .iter()
            .try_for_each(|source| put(self.inbox, self.cx, &source.input).map(|_| ()))
    }
}
