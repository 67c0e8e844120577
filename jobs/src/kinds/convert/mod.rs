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
//! A file goes its way in this order: draft of the output and of the rejects written and synced; rejects published; the
//! journal entry made durable ([`journal`]); output published; input moved to `done`.

mod columns;
mod file;
mod journal;
mod params;
mod probe;
#[cfg(test)]
mod tests;
mod value;

use std::io::Read;
use std::path::{Path, PathBuf};

use file::{Converted, Order};
use params::{Params, Settings};

use crate::context::{Context, Total};
use crate::error::Error;
use crate::input::{Inbox, Input};
use crate::job::{Invalid, Job, Report, Tally};
use crate::publish::{Sealed, publish_all, sweep_drafts};

/// The longest name that file systems of Linux take, in bytes.
const LONGEST: usize = 255;

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
            cx.expect_total(Total::Bytes(
                inputs.iter().map(|input| input.meta.length).sum(),
            ));
        }
        let mut tally = Tally::default();
        let mut bad = Vec::new();
        for input in &inputs {
            cx.checkpoint()?;
            cx.phase(&format!("converting {}", input.name));
            tally += self.convert(cx, &inbox, input, &mut bad)?;
        }
        journal::forget(cx)?;
        match bad.first() {
            None => Ok(tally),
            Some(first) => {
                let (count, all) = (bad.len(), inputs.len());
                Err(Error::Data(format!(
                    "{count} of {all} files are bad and now in {}: {first}",
                    inbox.bad.display()
                )))
            }
        }
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

    /// Brings one file all the way; a file that is bad as a whole is noted in `bad`.
    fn convert(
        &self,
        cx: &mut Context,
        inbox: &Inbox,
        input: &Input,
        bad: &mut Vec<String>,
    ) -> Result<Tally, Error> {
        let order = Order {
            settings: &self.settings,
            format: self.params.output.format,
            compress: self.params.output.compress,
            target: self.target(cx, input)?,
            rejects: self
                .rejects_dir(cx)
                .join(format!("{}.rejects.xml", input.name)),
            max_bad: self.params.input.max_bad,
        };
        let converted = file::convert(cx, input, &order)?;
        if !input.is_unchanged(&*cx.disk())? {
            log::info!(
                "{}: changed while it was read; left for the next run",
                input.path.display()
            );
            return Ok(Tally::default());
        }
        let mut tally = Tally {
            read: converted.read,
            rejected: converted.rejected,
            files: 1,
            ..Tally::default()
        };
        let Converted {
            output,
            rejects,
            written,
            bad: reason,
            ..
        } = converted;
        if let Some(rejects) = rejects {
            publish_rejects(cx, rejects, input)?;
        }
        if let Some(reason) = reason {
            let to = inbox.move_to_bad(cx, input)?;
            log::error!(
                "{}: {reason}; moved to {}",
                input.path.display(),
                to.display()
            );
            bad.push(format!("{}: {reason}", input.name));
            return Ok(tally);
        }
        if let Some(output) = output {
            let name = output.target().display().to_string();
            tally.bytes = journal::publish(cx, inbox, input, output)?;
            tally.written = written;
            log::info!(
                "{}: {written} rows into {name}, {} rejected",
                input.name,
                tally.rejected
            );
        } else {
            inbox.move_to_done(cx, input)?;
            log::info!("{}: no columns and no rows", input.name);
        }
        Ok(tally)
    }

    /// Where the output goes: a name made of the input's, and of its content too when that name is waiting there already.
    fn target(&self, cx: &Context, input: &Input) -> Result<PathBuf, Error> {
        let dir = cx.path(&self.params.output.dir);
        let target = dir.join(self.params.output_name(input.stem()));
        let fits = target.file_name().is_some_and(|name| name.len() <= LONGEST);
        if fits && cx.disk().look(&target)?.is_none() {
            return Ok(target);
        }
        let hash = file::hash(cx, &input.path)?.to_hex();
        let stem = if fits {
            format!("{}_{}", input.stem(), &hash[..8])
        } else {
            hash[..32].to_owned()
        };
        Ok(dir.join(self.params.output_name(&stem)))
    }
}

/// Publishes a reject file; beside one of the same name and other content it gets a name of its own.
fn publish_rejects(cx: &Context, rejects: Sealed, input: &Input) -> Result<(), Error> {
    let disk = cx.disk();
    let named = if disk.look(rejects.target())?.is_some()
        && !same_bytes(cx, rejects.draft(), rejects.target())?
    {
        let hash = file::hash(cx, rejects.draft())?.to_hex();
        rejects.named(&format!("{}.{}.rejects.xml", input.name, &hash[..8]))
    } else {
        rejects
    };
    publish_all(&*disk, vec![named]).map(|_| ())
}

fn same_bytes(cx: &Context, one: &Path, other: &Path) -> Result<bool, Error> {
    let open = |path: &Path| -> Result<_, Error> {
        Ok(std::io::BufReader::new(cx.disk().open(path)?).bytes())
    };
    let (mut left, mut right) = (open(one)?, open(other)?);
    loop {
        match (left.next().transpose(), right.next().transpose()) {
            (Ok(None), Ok(None)) => return Ok(true),
            (Ok(a), Ok(b)) if a == b => {}
            (Ok(_), Ok(_)) => return Ok(false),
            (Err(e), _) | (_, Err(e)) => return Err(Error::io("compare", one)(e)),
        }
    }
}
