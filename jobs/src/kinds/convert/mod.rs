//! `convert`: files of any format become data files that the other kinds read.
//!
//! **Guarantee**: the rows of every input file appear in exactly one published output file, or in the reject file, or
//! the input goes to `bad` as a whole; SIGKILL or power loss at any point changes nothing in that. The output is durable
//! before its input moves away, and a run that follows a killed one finishes its last file without publishing it again, be
//! the output long taken by whoever waits for it. An output replaces no file of the same name that is still waiting.
//!
//! **Its end**: an input that is put there twice is converted twice; a reject file may be written again, with the same
//! name and content, after a kill. On a file system that renames in two steps a power loss may leave an output under two
//! names; it is published again if it was taken before this job ran. Moving to a `done` on another file system copies, and
//! a kill there may leave a second copy in `done`.
//!
//! Files go their way in this order: draft of the output and of the rejects written and synced; rejects published; then, for
//! a group of files together, the journal made durable ([`journal`]), outputs published, inputs moved to `done`.

mod columns;
mod file;
mod journal;
mod params;
mod pass;
mod probe;
mod settings;
#[cfg(test)]
mod tests;
mod value;

use std::path::PathBuf;

use params::Params;
use pass::Pass;
use settings::Settings;

use crate::context::{Context, Total};
use crate::error::Error;
use crate::input::Inbox;
use crate::job::{Invalid, Job, Report, Tally};
use crate::publish::sweep_drafts;

/// A `convert` job.
pub(crate) struct Convert {
    params: Params,
    settings: Settings,
}

impl Job for Convert {
    const KIND: &'static str = "convert";
    const ABOUT: &'static str =
        "turns files of any format and encoding into XML, CSV or JSON Lines";
    const SAMPLE: &'static str = include_str!("../../../../etc/jobs/convert.xml");
    type Params = Params;

    fn new(params: Params) -> Result<Convert, Invalid> {
        let settings = params.settle()?;
        Ok(Convert { params, settings })
    }

    fn run(&mut self, cx: &mut Context) -> Result<Tally, Error> {
        let inbox = self.inbox(cx);
        journal::finish(cx, &inbox)?;
        let (disk, author) = (cx.disk(), cx.author());
        sweep_drafts(&*disk, &cx.path(&self.params.output.dir), &author)?;
        sweep_drafts(&*disk, &self.rejects_dir(cx), &author)?;
        let inputs = inbox.ready(cx, |name| self.params.input.pattern.matches(name))?;
        if !inputs.is_empty() {
            let bytes = inputs.iter().map(|input| input.meta.length).sum();
            cx.expect_total(Total::Bytes(bytes));
        }
        Pass::new(self, cx, inbox).run(inputs)
    }

    fn check(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error> {
        probe::look(cx, &self.inbox(cx), &self.params, &self.settings, report)
    }
}

impl Convert {
    fn inbox(&self, cx: &Context) -> Inbox {
        let input = &self.params.input;
        let inbox = Inbox::new(
            cx,
            &input.dir,
            input.done.as_deref(),
            input.bad.as_deref(),
            input.stable.0,
        );
        Inbox {
            marker: self.settings.marker.clone(),
            ..inbox
        }
    }

    fn rejects_dir(&self, cx: &Context) -> PathBuf {
        let input = &self.params.input;
        input
            .rejects
            .as_ref()
            .map_or_else(|| self.inbox(cx).bad, |dir| cx.path(dir))
    }
}
