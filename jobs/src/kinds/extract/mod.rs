//! `extract`: database -> files.
//!
//! **Guarantee.** Incremental: every row of the query is in exactly one published file, whatever is killed when, as long as rows are only added and
//! the cursor's values grow in the order of commits, or rows come late by no more than `settle`. Full: the files of one run are one snapshot of the result. A reader never sees half a file.
//! **Where it ends.** Rows whose cursor value is NULL are never read. Without `settle`, a row that becomes visible below the highest published value is not seen: on
//! SQLite, which has one writer at a time, that takes numbers handed out by hand. Rows that are changed later are not read again.

mod holes;
mod params;
mod parts;
mod pass;
mod query;
mod range;

use db::Kind;

use crate::context::Context;
use crate::error::Error;
use crate::job::{Invalid, Job, Report, Tally};
use crate::link::Link;
use crate::publish::sweep_drafts;
use params::Params;
use pass::{
    columns_of, finish_publication, full_pass, highest, increment_pass, invalid, kind_of,
    remembered,
};

/// The job.
pub(super) struct Extract {
    params: Params,
    /// Kept between the passes of a resident job.
    connection: Option<Link>,
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
        query::validate(&params)?;
        Ok(Extract {
            params,
            connection: None,
        })
    }

    fn run(&mut self, cx: &mut Context) -> Result<Tally, Error> {
        let shelf = self.params.output.shelf(cx);
        cx.disk().create_dirs(&shelf.folder)?;
        finish_publication(cx, &shelf.folder)?;
        sweep_drafts(&*cx.disk(), &shelf.folder, &cx.author())?;
        let mut db = match self.connection.take() {
            Some(db) => db,
            None => cx.connect(&self.params.source.url)?,
        };
        let tally = match &self.params.increment {
            Some(increment) => increment_pass(cx, &self.params, increment, &shelf, &mut *db),
            None => full_pass(cx, &self.params, &shelf, &mut *db),
        };
        // a connection that has met an error is not used again
        if tally.is_ok() {
            self.connection = Some(db);
        }
        tally
    }

    fn check(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error> {
        let mut db = cx.connect(&self.params.source.url)?;
        let shape = query::shape(&self.params, db.dialect()).map_err(invalid)?;
        let columns = columns_of(&mut *db, &shape)?;
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        report.note(format!("{} columns: {}", names.len(), names.join(", ")));
        if let Some(increment) = &self.params.increment {
            match columns
                .iter()
                .find(|column| column.name == increment.column)
            {
                None => report.problem(
                    "increment.column",
                    format!("the query has no column {}", increment.column),
                ),
                Some(column) if column.kind != Kind::Integer && increment.settle.0.is_zero() => {
                    report.note(format!("{} is not a whole number: rows that come later with the same or a lower value are found only with settle", increment.column));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn dry_run(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error> {
        self.check(cx, report)?;
        let mut db = cx.connect(&self.params.source.url)?;
        let shelf = self.params.output.shelf(cx);
        let statement = match &self.params.increment {
            None => query::full(&self.params, db.dialect()).map_err(invalid)?,
            Some(increment) => {
                let cursor = remembered(cx, increment)?;
                let kind = kind_of(&mut *db, &self.params, increment)?;
                let upto = highest(&mut *db, &self.params, increment, &cursor.last, kind)?;
                let Some(upto) = upto else {
                    report.note(format!(
                        "nothing is new: {} is not above {}",
                        increment.column, cursor.last
                    ));
                    return Ok(());
                };
                query::range(
                    &self.params,
                    increment,
                    &cursor.last,
                    &upto,
                    kind,
                    db.dialect(),
                )
                .map_err(invalid)?
            }
        };
        report.note(format!("would run: {}", statement.sql));
        report.note(format!("with: {}", statement.values.join(", ")));
        report.note(format!(
            "would write: {}/{}_….{}{}",
            shelf.folder.display(),
            shelf.word,
            shelf.format.ending(),
            shelf.compression.ending()
        ));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
