//! `extract`: database -> files.
//!
//! **Guarantee.** Incremental: every row of the query is in exactly one published file, whatever is killed when, the server too, as long as rows are
//! only added. Rows that are committed late are found: gaps in whole numbers are read again until every transaction that was open when the
//! gap was seen has ended, other values are read only up to a maximum of which the same is true; and `settle` is waited for besides. Rows
//! with equal times are told apart by their content. Full: the files of one run are one snapshot. A reader never sees half a file.
//! **Where it ends.** Rows whose cursor is NULL, infinite or no number are never read (their number is logged), nor rows that are changed later.
//! A time that has not come yet moves the cursor to it, and a warning says so: what comes later with a lower one is not read. With `settle`, times
//! with a zone wait until they have come. Late rows that nothing tells of
//! are found only within `settle`: numbers that were drawn before their transaction had touched a table (MariaDB's `NEXTVAL`), in an earlier
//! transaction, or in blocks (`CACHE` of a sequence); times that clients set; servers that hide their transactions, where `settle` is required.

mod course;
mod facts;
mod full;
mod increment;
mod memory;
mod notices;
mod params;
mod parts;
mod query;
mod reading;
mod rehearse;
mod split;

use crate::context::Context;
use crate::error::Error;
use crate::job::{Invalid, Job, Report, Tally};
use crate::link::Link;
use crate::publish::sweep_drafts;
use course::Course;
use facts::Facts;
use notices::Notices;
use params::Params;
use parts::Shelf;
use query::Along;

/// More connections than this help nobody.
const MOST_PARTS: u32 = 64;

/// The job.
pub(super) struct Extract {
    params: Params,
    /// Kept between the passes of a resident job.
    connection: Option<(Link, Facts)>,
    notices: Notices,
}

impl Extract {
    fn connect(&mut self, cx: &Context) -> Result<(Link, Facts), Error> {
        let mut db = cx.connect_source(&self.params.source.url)?;
        let facts = Facts::learn(&mut *db, &self.params)?;
        facts.spell(&mut self.params, db.dialect());
        Ok((db, facts))
    }

    /// As [`Extract::connect`], for a run: a column that the database cannot walk along is told in plain words.
    fn connect_to_run(&mut self, cx: &Context) -> Result<(Link, Facts), Error> {
        let (mut db, facts) = self.connect(cx)?;
        if let Some(increment) = &self.params.increment {
            let along = Along {
                params: &self.params,
                column: &increment.column,
                kind: facts.kind(&mut *db, &self.params, &increment.column)?,
                dialect: db.dialect(),
            };
            if let Some(why) = facts::unwalkable(cx, &mut *db, along)? {
                return Err(Error::Invalid(format!("increment.column: {why}")));
            }
        }
        Ok((db, facts))
    }

    /// One pass over a connection, which is kept if all goes well.
    fn pass(
        &mut self,
        cx: &mut Context,
        shelf: &Shelf,
        (mut db, facts): (Link, Facts),
    ) -> Result<Tally, Error> {
        let params = &self.params;
        let Some(increment) = &params.increment else {
            let tally = full::pass(cx, params, &facts, shelf, &mut db)?;
            self.connection = Some((db, facts));
            return Ok(tally);
        };
        let course = Course {
            params,
            increment,
            shelf,
            facts: &facts,
            kind: facts.kind(&mut *db, params, &increment.column)?,
        };
        let along = Along {
            params,
            column: &increment.column,
            kind: course.kind,
            dialect: db.dialect(),
        };
        self.notices.outside(cx, &mut *db, along, &facts)?;
        let tally = course.pass(cx, &mut *db, &mut self.notices)?;
        self.connection = Some((db, facts));
        Ok(tally)
    }
}

/// Whether an error means that the connection is gone, so that a new one may do better.
fn is_cut(error: &Error) -> bool {
    matches!(error, Error::Database(error) if error.kind() == db::ErrorKind::Connect)
}

impl Job for Extract {
    const KIND: &'static str = "extract";
    const ABOUT: &'static str = "writes the rows of a query into files, in full or what is new";
    const SAMPLE: &'static str = include_str!("../../../../etc/jobs/extract.xml");
    type Params = Params;

    fn new(params: Params) -> Result<Self, Invalid> {
        match (&params.sql, &params.table) {
            (Some(_), Some(_)) => {
                return Err(Invalid::new("table", "either <sql> or <table>, not both"));
            }
            (None, None) => return Err(Invalid::new("", "extract needs <sql> or <table>")),
            _ => {}
        }
        let file = &params.output.file;
        if file.is_empty() || file.starts_with('.') || file.contains('/') {
            return Err(Invalid::new(
                "output.file",
                "the first word of a file name: not empty, no leading dot, no slash",
            ));
        }
        if !(1..=MOST_PARTS).contains(&params.source.parts) {
            return Err(Invalid::new(
                "source.parts",
                format!("from 1 to {MOST_PARTS}"),
            ));
        }
        if params.source.parts > 1 && params.increment.is_some() {
            return Err(Invalid::new(
                "source.parts",
                "only a full result is read in parts; with <increment> leave it out",
            ));
        }
        query::validate(&params)?;
        Ok(Extract {
            params,
            connection: None,
            notices: Notices::default(),
        })
    }

    fn run(&mut self, cx: &mut Context) -> Result<Tally, Error> {
        let shelf = self.params.output.shelf(cx);
        cx.disk().create_dirs(&shelf.folder)?;
        memory::finish_publication(cx, &shelf.folder)?;
        sweep_drafts(&*cx.disk(), &shelf.folder, &cx.author())?;
        if let Some(kept) = self.connection.take() {
            match self.pass(cx, &shelf, kept) {
                // it may have been cut long ago, when nobody looked
                Err(error) if is_cut(&error) => {
                    log::info!("connecting anew: {}", error.chain());
                    sweep_drafts(&*cx.disk(), &shelf.folder, &cx.author())?;
                }
                done => return done,
            }
        }
        let fresh = self.connect_to_run(cx)?;
        for line in query::unused(&self.params) {
            log::warn!("{line}");
        }
        self.pass(cx, &shelf, fresh)
    }

    fn check(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error> {
        let (mut db, facts) = self.connect(cx)?;
        rehearse::check(cx, &self.params, &facts, &mut *db, report)
    }

    fn dry_run(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error> {
        let (mut db, facts) = self.connect(cx)?;
        rehearse::check(cx, &self.params, &facts, &mut *db, report)?;
        if !report.problems.is_empty() {
            return Ok(());
        }
        let shelf = self.params.output.shelf(cx);
        rehearse::dry_run(cx, &self.params, &facts, &shelf, &mut *db, report)
    }
}

#[cfg(test)]
mod tests;
