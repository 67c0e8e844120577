//! `ingest`: files -> database.
//!
//! **Guarantee.** A file is loaded exactly once, whatever is killed when: its ledger row (job, name, content hash) goes first into the
//! transaction that carries its rows, and only then is the input moved; a repeat meets the ledger row and just moves the file. With `commit="N"` the position
//! goes along with each batch. A connection that breaks, a deadlock, a COMMIT whose answer is lost: the load is tried again, and the ledger knows
//! whether it went through. A file that changes while it is read is left for the next run. A bad row goes to the reject file, which is durable before the COMMIT that leaves the row out.
//! `replace` empties the table by DELETE inside the transaction: readers see the old rows or the new ones, never half.
//! A constraint that is deferred speaks up at the COMMIT and names no row: the file is then loaded anew with such constraints checked row by row, rows
//! without a parent tried again after all others. So parents may come later in the file; rows that refer to one another in a circle count as bad then.
//! **Order.** Files are taken by table (the first `<table>` first), then by name, where numbers count: `A_9` comes before `A_10`. With several workers the files of one table keep that order unless its mode is `insert`, where
//! it changes nothing but which of two files brings a doubled key first.
//! **Where it ends.** A file that turns out to be bad with `commit="N"` (more than `max-bad` bad rows, broken in the middle) leaves the rows of its
//! committed transactions in the table; the message says up to which row, the bad rows up to there are in the reject file, and the
//! file in `bad` is to be mended from the next row on, without those before: under any content of its own it is a new file. With `commit="N"` a file that is replaced by another while it is loaded leaves what was committed of it. A file delivered again under the same name with the same content counts as loaded; with `upsert` and `replace`
//! only as long as the name has not brought another content since. In mode `insert` without any unique key the
//! table cannot tell rows apart; the ledger alone keeps them single. An operator who empties the ledger takes the guarantee with it, and
//! so does SQL of the job's own that commits inside a procedure, out of sight; it is found out afterwards, and told.

mod bad;
mod create;
mod crew;
mod fault;
mod guess;
mod load;
mod look;
mod mapping;
mod params;
mod pass;
mod preview;
mod queue;
mod reading;
mod sets;
mod source;

use std::sync::Mutex;

use crate::context::{Context, Link};
use crate::error::Error;
use crate::input::{Inbox, Input, Marker};
use crate::job::{Invalid, Job, Report, Tally};
use crate::publish::sweep_drafts;
use look::Look;
use params::{Commit, Mode, Params, Table};
use pass::Shared;
use queue::Queue;

/// More workers than that help nobody.
const MOST_WORKERS: u32 = 64;

/// The job.
pub(super) struct Ingest {
    params: Params,
    /// Kept between the passes of a resident job.
    links: Vec<Link>,
    /// Whether it has been said that the input folder is not there.
    missed: bool,
}

impl Job for Ingest {
    const KIND: &'static str = "ingest";
    const ABOUT: &'static str = "loads files into database tables, each exactly once";
    const SAMPLE: &'static str = include_str!("../../../../etc/jobs/ingest.xml");
    type Params = Params;

    fn new(params: Params) -> Result<Self, Invalid> {
        if params.tables.is_empty() {
            return Err(Invalid::new("", "ingest needs at least one <table>"));
        }
        if let Some(Err(message)) = params.input.marker.as_deref().map(str::parse::<Marker>) {
            return Err(Invalid::new("input.marker", message));
        }
        if !(1..=MOST_WORKERS).contains(&params.workers) {
            let message = format!("there can be 1 to {MOST_WORKERS} workers");
            return Err(Invalid::new("workers", message));
        }
        for (at, table) in params.tables.iter().enumerate() {
            acceptable(&params, at, table)?;
        }
        Ok(Ingest {
            params,
            links: Vec::new(),
            missed: false,
        })
    }

    fn run(&mut self, cx: &mut Context) -> Result<Tally, Error> {
        let inbox = self.params.input.inbox(cx);
        let rejects = self.params.input.rejects(cx);
        sweep_drafts(&*cx.disk(), &rejects, &cx.author())?;
        let there = is_there(cx, &inbox)?;
        if !there && !self.missed {
            log::warn!("there is no folder {}", inbox.dir.display());
        }
        self.missed = !there;
        let mut queue = self.waiting(cx)?;
        if queue.is_empty() {
            return Ok(Tally::default());
        }
        let workers = self.workers(cx, &mut queue)?;
        let shared = Shared {
            params: &self.params,
            inbox: &inbox,
            rejects: &rejects,
            single: queue.len() == 1,
            queue: Mutex::new(queue),
        };
        crew::work(cx, &shared, workers, &mut self.links).answer()
    }

    fn check(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error> {
        let inbox = self.params.input.inbox(cx);
        if !is_there(cx, &inbox)? {
            let message = format!("there is no folder {}", inbox.dir.display());
            report.problem("input.dir", message);
        }
        let mut queue = self.waiting(cx)?;
        let params = &self.params;
        Look { params, cx, report }.check(&mut queue)
    }

    fn dry_run(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error> {
        let mut queue = self.waiting(cx)?;
        let params = &self.params;
        Look { params, cx, report }.dry_run(&mut queue)
    }
}

/// Whether there is a folder to take files from.
fn is_there(cx: &Context, inbox: &Inbox) -> Result<bool, Error> {
    Ok(cx.disk().look(&inbox.dir)?.is_some_and(|meta| meta.folder))
}

/// What is wrong with a `<table>` by itself.
fn acceptable(params: &Params, at: usize, table: &Table) -> Result<(), Invalid> {
    let wrong = |attribute: &str, message: String| {
        Err(Invalid::new(
            format!("table[{}].{attribute}", at + 1),
            message,
        ))
    };
    if table.mode == Mode::Replace && table.commit != Commit::File {
        let message = "mode replace is one transaction: commit must be `file`";
        return wrong("commit", message.to_owned());
    }
    // a URL that is not known before the run is looked at then
    let Some(dialect) = db::dialect_of(&params.target.url) else {
        return Ok(());
    };
    for (attribute, sql) in [
        ("before-sql", &table.before_sql),
        ("after-sql", &table.after_sql),
    ] {
        let ends = sql
            .as_deref()
            .and_then(|sql| db::statement::ending_transaction(sql, dialect));
        if let Some(head) = ends {
            let message = format!(
                "`{head}` would end the transaction that the file is loaded in ({}); it has to run apart from the load",
                dialect.name()
            );
            return wrong(attribute, message);
        }
    }
    Ok(())
}

impl Ingest {
    /// The first table that takes a file of this name.
    fn table_of(&self, name: &str) -> Option<usize> {
        self.params
            .tables
            .iter()
            .position(|table| table.matching.matches(name))
    }

    /// The files that may be taken now, in their lanes.
    fn waiting(&self, cx: &Context) -> Result<Queue, Error> {
        let inbox = self.params.input.inbox(cx);
        let mut waiting: Vec<Vec<Input>> = self.params.tables.iter().map(|_| Vec::new()).collect();
        for input in inbox.ready(cx, |name| self.table_of(name).is_some())? {
            if let Some(at) = self.table_of(&input.name) {
                waiting[at].push(input);
            }
        }
        let mut queue = Queue::default();
        for (at, (table, inputs)) in self.params.tables.iter().zip(waiting).enumerate() {
            for set in queue.add(at, table, inputs) {
                log::info!("{set}");
            }
        }
        Ok(queue)
    }

    /// How many workers are of use; a table that has to be made first is made by one of them.
    fn workers(&mut self, cx: &Context, queue: &mut Queue) -> Result<usize, Error> {
        let one_writer =
            db::dialect_of(&self.params.target.url).is_some_and(|dialect| !dialect.commits_late());
        if self.params.workers < 2 || one_writer {
            return Ok(1);
        }
        for table in self.params.tables.iter().filter(|table| table.create) {
            if self.links.is_empty() {
                self.links.push(pass::connect(cx, &self.params)?);
            }
            let link = &mut self.links[0];
            if link
                .dictionary(&db::TableName::parse(&table.name))?
                .is_none()
            {
                queue.keep_order(&table.name);
            }
        }
        Ok(usize::try_from(self.params.workers).unwrap_or(1))
    }
}

#[cfg(test)]
mod tests;
