//! What operators do about captures, `jobs capture …`: make the change logs of a job's tables with their triggers, look at them, have a table
//! copied anew, take everything away again. The job itself makes and removes none: both change a database that is not its own.

use std::io::Write;
use std::path::Path;

use chrono::Utc;
use db::{Connection, TableInfo, TableName};
use jobfile::JobFile;

use super::super::params::{Mode, Params, Table};
use super::changelog::{Log, Works};
use super::{filled, key_of, ledger};
use crate::context::Context;
use crate::error::Error;
use crate::home;
use crate::job::Count;
use crate::link::Link;
use crate::world::World;

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Logs and triggers are made.
    Install,
    /// They are taken away.
    Remove,
    /// They are told of.
    Show,
    /// The next run copies the tables anew.
    Resync,
}

/// Rules that change rows of a MySQL table without its triggers being asked.
const SILENT: &str = "SELECT constraint_name FROM information_schema.referential_constraints \
    WHERE constraint_schema = COALESCE(?, DATABASE()) AND table_name = ? \
    AND (delete_rule IN ('CASCADE', 'SET NULL') OR update_rule IN ('CASCADE', 'SET NULL'))";

/// The schema of a PostgreSQL table that is named without one.
const SCHEMA: &str = "SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.oid = CAST(pg_catalog.to_regclass($1) AS oid)";

/// Does it for every table of a job file that is captured.
///
/// # Errors
/// [`Error::Usage`] when there is none; what the databases have against it.
pub(crate) fn obey(
    home: Option<&Path>,
    path: &Path,
    order: Order,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let home = home::find(home)?;
    let mut file = JobFile::read(path)?;
    crate::logging::hide(file.resolve(&home.root)?);
    if file.kind != "sync" {
        let path = path.display();
        return Err(Error::Usage(format!(
            "{path} is no <sync>: only that captures changes"
        )));
    }
    let params: Params = file.params()?;
    let cx = Context::new(World::to_look_at(&home, &file.name)?);
    let url = params.source.as_ref().map(|source| source.url.as_str());
    let captured: Vec<&Table> = params
        .tables
        .iter()
        .filter(|table| table.mode == Mode::Capture)
        .collect();
    let (Some(url), false) = (url, captured.is_empty()) else {
        return Err(Error::Usage(format!(
            "no <table> of {} has mode=\"capture\", and a <source> to capture from",
            path.display()
        )));
    };
    let mut source = cx.connect_source(url)?;
    for table in captured {
        let place = Place::find(&mut source, file.name.as_str(), table, order)?;
        let told = match order {
            Order::Install => place.install(&mut source)?,
            Order::Show => place.show(&mut source)?,
            Order::Resync => place.resync(&mut source)?,
            Order::Remove => {
                let told = place.remove(&mut source)?;
                let mut target = cx.connect_source(&params.target.url)?;
                ledger::forget(&mut *target, &place.log.table.name)?;
                told
            }
        };
        for line in told {
            writeln!(out, "{line}").map_err(Error::io("write", "standard output"))?;
        }
    }
    Ok(())
}

/// A table whose changes are captured, and the log that it has or shall have.
struct Place {
    name: String,
    log: Log,
    works: Works,
}

impl Place {
    fn find(source: &mut Link, job: &str, table: &Table, order: Order) -> Result<Place, Error> {
        let from = TableName::parse(&table.from);
        let mut log = Log::of(job, &from, Vec::new());
        let info = match source.dictionary(&from)? {
            Some(info) => info,
            // the table went before its log
            None if order == Order::Remove && source.dictionary(&log.table)?.is_some() => {
                TableInfo::default()
            }
            None => {
                let why = format!("the source has no table {}", table.from);
                return Err(Error::Invalid(why));
            }
        };
        if info.view {
            return Err(Error::Invalid(format!(
                "{} is a view: changes of a view are not captured",
                table.from
            )));
        }
        if !info.columns.is_empty() {
            log.key = key_of(table, &info)?;
        }
        let schema = schema_of(&mut **source, &from)?;
        let first = u64::try_from(Utc::now().timestamp_micros()).unwrap_or(1);
        let dialect = source.dialect();
        let works = log.works(dialect, &info, &schema, first).ok_or_else(|| {
            Error::Invalid(format!(
                "changes are captured from SQLite, PostgreSQL, MySQL and MariaDB, not from {}",
                dialect.name()
            ))
        })?;
        Ok(Place {
            name: table.from.clone(),
            log,
            works,
        })
    }

    fn is_there(&self, source: &mut Link) -> Result<bool, Error> {
        Ok(source.dictionary(&self.log.table)?.is_some())
    }

    fn triggers(&self, source: &mut Link) -> Result<u64, Error> {
        number(&mut **source, &self.works.count)
    }

    fn install(&self, source: &mut Link) -> Result<Vec<String>, Error> {
        let (name, log) = (&self.name, &self.log.table);
        if self.is_there(source)? {
            filled(&self.log, &self.works, &mut **source)?;
            return Ok(vec![format!(
                "{name}: its changes are captured already, in {log}"
            )]);
        }
        let made = self.make(source);
        if let Err(error) = made {
            // the first error is the one to tell
            let _first = self.unmake(source);
            return Err(error);
        }
        let mut told = vec![format!(
            "{name}: changes are captured in {log} from now on; the next run of the job copies the whole table first"
        )];
        told.extend(self.silent(source)?);
        Ok(told)
    }

    fn make(&self, source: &mut Link) -> Result<(), Error> {
        let whole = !source.dialect().ddl_commits();
        if whole {
            source.begin()?;
        }
        for sql in &self.works.install {
            source.batch(sql)?;
        }
        if whole {
            source.commit()?;
        }
        Ok(())
    }

    fn unmake(&self, source: &mut Link) -> Result<(), Error> {
        if source.in_transaction() {
            source.rollback()?;
        }
        for sql in &self.works.remove {
            source.batch(sql)?;
        }
        Ok(())
    }

    fn remove(&self, source: &mut Link) -> Result<Vec<String>, Error> {
        let (name, there) = (&self.name, self.is_there(source)?);
        self.unmake(source)?;
        Ok(vec![if there {
            format!(
                "{name}: its changes are captured no more; {} and its triggers are gone",
                self.log.table
            )
        } else {
            format!("{name}: its changes were not captured")
        }])
    }

    fn show(&self, source: &mut Link) -> Result<Vec<String>, Error> {
        let name = &self.name;
        if !self.is_there(source)? {
            return Ok(vec![format!("{name}: its changes are not captured")]);
        }
        let table = source.dialect().qualify(&self.log.table);
        let entries = number(&mut **source, &format!("SELECT count(*) FROM {table}"))?;
        let seeds = number(
            &mut **source,
            &format!("SELECT count(*) FROM {table} WHERE op = 'S'"),
        )?;
        let oldest = text(&mut **source, &format!("SELECT MIN(at) FROM {table}"), &[])?;
        let triggers = self.triggers(source)?;
        let mut line = format!("{name}: {} in {}", Count(entries, "change"), self.log.table);
        if let Some(oldest) = oldest {
            line.push_str(&format!(", the oldest of {oldest}"));
        }
        let mut told = vec![line];
        if seeds > 0 {
            told.push(format!("{name}: the next run copies the whole table"));
        }
        if triggers < self.works.triggers {
            told.push(format!(
                "{name}: {triggers} of {} are seen: without them changes are lost (or this account may not see them); remove and install mends it",
                Count(self.works.triggers, "trigger")
            ));
        }
        told.extend(self.silent(source)?);
        Ok(told)
    }

    fn resync(&self, source: &mut Link) -> Result<Vec<String>, Error> {
        if !self.is_there(source)? {
            return Err(Error::Usage(format!(
                "changes of {} are not captured: `jobs capture install` first",
                self.name
            )));
        }
        let sql = self.log.ask_for_copy(source.dialect());
        source.execute(&sql, &[])?;
        Ok(vec![format!(
            "{}: the next run of the job copies the whole table",
            self.name
        )])
    }

    /// What changes rows and fires no trigger.
    fn silent(&self, source: &mut Link) -> Result<Vec<String>, Error> {
        let mut told = Vec::new();
        if source.dialect().name() == "mysql" {
            let wanted = [
                self.log.source.schema.as_ref().map(String::as_bytes),
                Some(self.log.source.name.as_bytes()),
            ];
            if let Some(rule) = text(&mut **source, SILENT, &wanted)? {
                told.push(format!(
                    "{}: rows that the foreign key {rule} changes or deletes by itself fire no trigger on MySQL: they are not captured",
                    self.name
                ));
            }
        }
        Ok(told)
    }
}

/// The schema that a table of PostgreSQL is in; of no matter elsewhere.
fn schema_of(source: &mut dyn Connection, table: &TableName) -> Result<String, Error> {
    if let Some(schema) = &table.schema {
        return Ok(schema.clone());
    }
    if source.dialect().name() != "postgres" {
        return Ok(String::new());
    }
    let quoted = source.dialect().qualify(table);
    Ok(text(source, SCHEMA, &[Some(quoted.as_bytes())])?.unwrap_or_default())
}

fn text(
    source: &mut dyn Connection,
    sql: &str,
    params: &[db::Cell<'_>],
) -> Result<Option<String>, Error> {
    let mut rows = source.query(sql, params)?;
    let row = rows.fetch()?;
    Ok(row.and_then(|row| {
        row.cell(0)
            .map(|text| String::from_utf8_lossy(text).into_owned())
    }))
}

/// The number that a query yields.
pub(super) fn number(source: &mut dyn Connection, sql: &str) -> Result<u64, Error> {
    Ok(text(source, sql, &[])?
        .and_then(|text| text.parse().ok())
        .unwrap_or(0))
}
