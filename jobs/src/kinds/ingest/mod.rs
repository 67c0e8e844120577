//! `ingest`: files -> database.
//!
//! **Guarantee.** A file is loaded exactly once, whatever is killed when: its ledger row (job, name, content hash) goes first into the
//! transaction that carries its rows, and only then is the input moved; a repeat meets the ledger row and just moves the file. With `commit="N"` the position
//! goes along with each batch. A bad row goes to the reject file, which is durable before the COMMIT that leaves the row out.
//! **Where it ends.** A file delivered again under the same name with the same content counts as loaded. In mode `insert` without any unique key the
//! table cannot tell rows apart; the ledger alone keeps them single. An operator who empties the ledger takes the guarantee with it.

mod bad;
mod load;
mod mapping;
mod params;
mod pass;
mod reading;
mod sets;

use db::TableInfo;

use crate::context::Context;
use crate::data::{Record, Rows};
use crate::error::Error;
use crate::input::{Input, Marker};
use crate::job::{Invalid, Job, Report, Tally};
use crate::ledger;
use crate::link::Link;
use crate::publish::sweep_drafts;
use params::{Commit, Mode, Params};
use pass::Pass;

/// The job.
pub(super) struct Ingest {
    params: Params,
    /// Kept between the passes of a resident job.
    connection: Option<Link>,
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
        for (at, table) in params.tables.iter().enumerate() {
            if table.mode == Mode::Replace && table.commit != Commit::File {
                return Err(Invalid::new(
                    format!("table[{}].commit", at + 1),
                    "mode replace is one transaction: commit must be `file`",
                ));
            }
        }
        Ok(Ingest {
            params,
            connection: None,
        })
    }

    fn run(&mut self, cx: &mut Context) -> Result<Tally, Error> {
        let inbox = self.params.input.inbox(cx);
        let rejects = self.params.input.rejects(cx);
        sweep_drafts(&*cx.disk(), &rejects, &cx.author())?;
        let mut waiting: Vec<Vec<Input>> = self.params.tables.iter().map(|_| Vec::new()).collect();
        for input in inbox.ready(cx, |name| self.table_of(name).is_some())? {
            if let Some(at) = self.table_of(&input.name) {
                waiting[at].push(input);
            }
        }
        if waiting.iter().all(Vec::is_empty) {
            return Ok(Tally::default());
        }
        let mut db = match self.connection.take() {
            Some(db) => db,
            None => {
                let mut db = cx.connect(&self.params.target.url)?;
                ledger::prepare(&mut *db)?;
                db
            }
        };
        let mut pass = Pass {
            cx,
            db: &mut db,
            inbox: &inbox,
            rejects,
            tally: Tally::default(),
            bad: Vec::new(),
        };
        for (table, inputs) in self.params.tables.iter().zip(waiting) {
            pass.table(table, inputs)?;
        }
        let (tally, bad) = (pass.tally, pass.bad);
        self.connection = Some(db);
        match bad.as_slice() {
            [] => Ok(tally),
            [only] => Err(Error::Data(only.clone())),
            [first, rest @ ..] => Err(Error::Data(format!("{first}; and {} more", rest.len()))),
        }
    }

    fn check(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error> {
        let mut db = cx.connect(&self.params.target.url)?;
        for (at, table) in self.params.tables.iter().enumerate() {
            let name = db::TableName::parse(&table.name);
            match db.dictionary(&name)? {
                None if table.create => report.note(format!(
                    "the table {name} is not there yet; it would be made"
                )),
                None if table.before_sql.is_some() => report.note(format!(
                    "the table {name} is not there yet; before-sql may make it"
                )),
                None => report.problem(
                    format!("table[{}].name", at + 1),
                    format!("the database has no table {name}"),
                ),
                Some(info) => self.compare(cx, at, &info, report)?,
            }
        }
        Ok(())
    }
}

impl Ingest {
    /// The first table that takes a file of this name.
    fn table_of(&self, name: &str) -> Option<usize> {
        self.params
            .tables
            .iter()
            .position(|table| table.matching.matches(name))
    }

    /// Compares a table with its key and with the files that wait for it.
    fn compare(
        &self,
        cx: &Context,
        at: usize,
        info: &TableInfo,
        report: &mut Report,
    ) -> Result<(), Error> {
        let table = &self.params.tables[at];
        let key = table.key_of(info);
        for missing in key.iter().filter(|name| info.column(name).is_none()) {
            report.problem(
                format!("table[{}].key", at + 1),
                format!("the table {} has no column {missing}", table.name),
            );
        }
        let same = |one: &[String]| {
            !key.is_empty() && one.len() == key.len() && key.iter().all(|name| one.contains(name))
        };
        if table.mode == Mode::Upsert
            && !same(&info.primary_key)
            && !info.uniques.iter().any(|unique| same(unique))
        {
            let message = if key.is_empty() {
                "the table has no primary key".to_owned()
            } else {
                format!("{} is no unique key of the table", key.join(", "))
            };
            report.problem(
                format!("table[{}].mode", at + 1),
                format!("upsert finds a row by a unique key: {message}"),
            );
        }
        for input in self
            .params
            .input
            .inbox(cx)
            .ready(cx, |name| self.table_of(name) == Some(at))?
        {
            let first = |mut rows: Box<dyn Rows>| {
                rows.read(&mut Record::new())
                    .map(|_| rows.columns().to_vec())
            };
            let columns = match load::open(cx, &input)?.and_then(first) {
                Ok(columns) => columns,
                Err(error) => {
                    report.problem(
                        format!("table[{}].match", at + 1),
                        format!("{}: {error}", input.name),
                    );
                    continue;
                }
            };
            let (known, unknown): (Vec<_>, Vec<_>) = columns
                .iter()
                .partition(|name| info.column(name).is_some_and(|column| !column.generated));
            report.note(format!(
                "{} -> {}: {} columns{}",
                input.name,
                table.name,
                known.len(),
                list_of(" (not in the table: ", &unknown)
            ));
        }
        Ok(())
    }
}

fn list_of(lead: &str, names: &[&String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    format!("{lead}{})", names.join(", "))
}

#[cfg(test)]
mod tests;
