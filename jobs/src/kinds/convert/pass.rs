//! One pass over the input folder: files one after the other, published in small groups so that many small files
//! share what it costs to make names durable.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::file::{self, Converted, Order};
use super::{Convert, journal};
use crate::content;
use crate::context::Context;
use crate::error::Error;
use crate::input::{Inbox, Input};
use crate::job::{Count, Tally};
use crate::publish::Sealed;
use crate::rejects;

/// The longest name that file systems of Linux take, in bytes.
const LONGEST: usize = 255;
/// Files published together at most.
const GROUP: usize = 64;
/// Bytes of output published together: once there are as many, nothing waits any longer.
const GROUP_BYTES: u64 = 16 << 20;

/// What a pass has come to.
pub(super) struct Pass<'a> {
    job: &'a Convert,
    cx: &'a mut Context,
    inbox: Inbox,
    /// Complete outputs with their inputs, not yet published.
    ready: Vec<(Input, Sealed)>,
    tally: Tally,
    /// What the files that are bad as a whole suffer from.
    bad: Vec<String>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(job: &'a Convert, cx: &'a mut Context, inbox: Inbox) -> Pass<'a> {
        Pass {
            job,
            cx,
            inbox,
            ready: Vec::new(),
            tally: Tally::default(),
            bad: Vec::new(),
        }
    }

    pub(super) fn run(mut self, inputs: Vec<Input>) -> Result<Tally, Error> {
        let all = inputs.len();
        let done = inputs.into_iter().try_for_each(|input| self.convert(input));
        // What is complete is published, whatever ended the pass.
        self.publish()?;
        done?;
        journal::forget(self.cx)?;
        match self.bad.first() {
            None => Ok(self.tally),
            Some(first) => {
                let count = u64::try_from(self.bad.len()).unwrap_or(u64::MAX);
                let (count, dir) = (Count(count, "file"), self.inbox.bad.display());
                Err(Error::Data(format!(
                    "{count} of {all} moved to {dir} as bad: {first}"
                )))
            }
        }
    }

    /// Brings one file as far as its sealed output, or to `bad`.
    fn convert(&mut self, input: Input) -> Result<(), Error> {
        self.cx.checkpoint()?;
        self.cx.phase(&format!("converting {}", input.name));
        let order = Order {
            settings: &self.job.settings,
            format: self.job.params.output.format,
            compress: self.job.params.output.compress,
            target: self.target(&input)?,
            rejects: self
                .job
                .rejects_dir(self.cx)
                .join(rejects::name_of(&input.name)),
            max_bad: self.job.params.input.max_bad,
        };
        let Converted {
            output,
            rejects,
            read,
            written,
            rejected,
            bad,
        } = file::convert(self.cx, &input, &order)?;
        if !input.is_unchanged(&*self.cx.disk())? {
            log::info!(
                "{}: changed while it was read; left for the next run",
                input.path.display()
            );
            return Ok(());
        }
        self.tally += Tally {
            read,
            rejected,
            files: 1,
            ..Tally::default()
        };
        if let Some(rejects) = rejects {
            drop(rejects::publish(self.cx, rejects)?);
        }
        match (bad, output) {
            (Some(reason), _) => {
                let to = self.inbox.move_to_bad(self.cx, &input)?;
                log::error!(
                    "{}: {reason}; moved to {}",
                    input.path.display(),
                    to.display()
                );
                self.bad.push(format!("{}: {reason}", input.name));
            }
            (None, Some(output)) => {
                let name = output.target().file_name().unwrap_or_default().display();
                log::info!(
                    "{}: {} into {name}, {rejected} rejected",
                    input.name,
                    Count(written, "row")
                );
                self.tally += Tally {
                    written,
                    bytes: output.length(),
                    ..Tally::default()
                };
                self.ready.push((input, output));
            }
            (None, None) => {
                self.inbox.move_to_done(self.cx, &input)?;
                log::info!("{}: no columns and no rows", input.name);
            }
        }
        let bytes: u64 = self.ready.iter().map(|(_, output)| output.length()).sum();
        if self.ready.len() >= GROUP || bytes >= GROUP_BYTES {
            self.publish()?;
        }
        Ok(())
    }

    fn publish(&mut self) -> Result<(), Error> {
        journal::publish(self.cx, &self.inbox, std::mem::take(&mut self.ready))
    }

    /// Where the output goes: a name made of the input's, and of its content too when that name is waiting there already.
    fn target(&self, input: &Input) -> Result<PathBuf, Error> {
        let dir = self.cx.path(&self.job.params.output.dir);
        let named = |stem: &str| dir.join(self.job.params.output_name(stem));
        let fits = |target: &Path| target.file_name().is_some_and(|name| name.len() <= LONGEST);
        let planned: HashSet<&Path> = self
            .ready
            .iter()
            .map(|(_, output)| output.target())
            .collect();
        let is_free = |target: &Path| -> Result<bool, Error> {
            Ok(!planned.contains(target) && self.cx.disk().look(target)?.is_none())
        };
        let plain = named(input.stem());
        if fits(&plain) && is_free(&plain)? {
            return Ok(plain);
        }
        let hash = content::hash(self.cx, &input.path)?.to_hex();
        let stem = if fits(&plain) {
            format!("{}_{}", input.stem(), &hash[..8])
        } else {
            hash[..32].to_owned()
        };
        let mut target = named(&stem);
        // The same content over and over: each delivery keeps an output of its own.
        for number in 2.. {
            if is_free(&target)? {
                break;
            }
            target = named(&format!("{stem}_{number}"));
        }
        Ok(target)
    }
}
