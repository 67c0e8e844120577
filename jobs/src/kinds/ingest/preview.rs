//! What a run would do, told without doing it (`--dry-run`): the files in their order, the SQL, the way of each column.

use db::{ColumnInfo, Dialect, Kind, Load, TableInfo, TableName};

use super::create;
use super::fault::Fault;
use super::load::clash;
use super::look::{Look, absent};
use super::mapping::Mapping;
use super::params::{Mode, Table};
use super::queue::{Next, Queue};
use super::source::Source;
use crate::context::Link;
use crate::error::Error;
use crate::job::{Bytes, Count};
use crate::ledger::{self, Entry};

impl Look<'_> {
    /// Tells what a run would do, file after file.
    pub(super) fn dry_run(&mut self, queue: &mut Queue) -> Result<(), Error> {
        let mut link = self.connect()?;
        let ledger = match &mut link {
            Some(link) => link.dictionary(&TableName::new(ledger::TABLE))?.is_some(),
            None => false,
        };
        let target = db::Url::parse(&self.params.target.url).map(|url| url.redacted());
        self.report.note(format!(
            "into {}{}; its ledger {} {}",
            target.unwrap_or_default(),
            if link.is_some() {
                ""
            } else {
                ", which would be made"
            },
            ledger::TABLE,
            if ledger { "is there" } else { "would be made" }
        ));
        let count = u64::try_from(queue.len()).unwrap_or(u64::MAX);
        self.report.note(format!(
            "{} to be taken, in this order",
            Count(count, "transaction")
        ));
        let mut told: Vec<Option<Vec<String>>> = vec![None; self.params.tables.len()];
        while let Next::Task(task) = queue.take() {
            queue.release(task.lane);
            let mut sources = Vec::with_capacity(task.inputs.len());
            for input in task.inputs {
                sources.push(Source::of(self.cx, input)?);
            }
            let reader = link.as_mut().filter(|_| ledger);
            let fresh = self.order(task.table, &sources, reader)?;
            if fresh {
                self.plan(task.table, &sources, link.as_mut(), &mut told[task.table])?;
            }
        }
        Ok(())
    }

    /// Tells what would become of the files as wholes; whether any of them would be loaded.
    fn order(
        &mut self,
        at: usize,
        sources: &[Source],
        mut link: Option<&mut Link>,
    ) -> Result<bool, Error> {
        let mut fresh = false;
        for source in sources {
            let entry = match &mut link {
                Some(link) => ledger::look(&mut ***link, &source.key(self.cx.job()))?,
                None => None,
            };
            let fate = match entry {
                Some(Entry::Loaded) => "loaded before: would only be moved away".to_owned(),
                Some(Entry::Begun(progress)) => {
                    format!("would be loaded from row {} on", progress.position + 1)
                }
                Some(Entry::New) | None => "would be loaded".to_owned(),
            };
            fresh |= entry != Some(Entry::Loaded);
            self.report.note(format!(
                "{}, {} -> {}: {fate}",
                source.input.name,
                Bytes(source.input.meta.length),
                self.params.tables[at].name
            ));
        }
        Ok(fresh)
    }

    /// Tells the SQL and the way of each column, unless the file before had the same.
    fn plan(
        &mut self,
        at: usize,
        sources: &[Source],
        link: Option<&mut Link>,
        told: &mut Option<Vec<String>>,
    ) -> Result<(), Error> {
        let table = &self.params.tables[at];
        let name = TableName::parse(&table.name);
        let Some(dialect) = db::dialect_of(&self.params.target.url) else {
            return Ok(());
        };
        let known = match link {
            Some(link) => link.dictionary(&name)?,
            None => None,
        };
        let info = match known {
            Some(info) => info,
            None if !table.create => {
                self.problem(at, "name", format!("the database has no table {name}"));
                return Ok(());
            }
            None => match create::infer(self.cx, dialect, table, sources) {
                Ok(info) => {
                    if told.is_none() {
                        self.sql(&dialect.create_table(&name, &info));
                    }
                    info
                }
                Err(Fault::Other(error)) => return Err(error),
                Err(fault) => {
                    self.problem(at, "match", fault.to_string());
                    return Ok(());
                }
            },
        };
        for source in sources {
            let notes = self.report.notes.len();
            let Some((columns, mapping)) = self.file(at, &info, &source.input)? else {
                continue;
            };
            // the line of `check` says less than what follows
            self.report.notes.truncate(notes);
            if told.as_ref() == Some(&columns) {
                continue;
            }
            self.statements(table, &name, &info, &mapping, dialect)?;
            self.lanes(&info, &mapping, &columns, dialect);
            *told = Some(columns);
        }
        Ok(())
    }

    fn sql(&mut self, sql: &str) {
        let words: Vec<&str> = sql.split_whitespace().collect();
        self.report.note(format!("  sql: {}", words.join(" ")));
    }

    fn statements(
        &mut self,
        table: &Table,
        name: &TableName,
        info: &TableInfo,
        mapping: &Mapping,
        dialect: &dyn Dialect,
    ) -> Result<(), Error> {
        let key = table.key_of(info);
        let load = Load {
            table: name,
            columns: &mapping.columns_or_any(info),
            mode: clash(table, &key)?,
        };
        if let Some(sql) = &table.before_sql {
            self.sql(sql);
        }
        if table.mode == Mode::Replace {
            self.sql(&format!("DELETE FROM {}", dialect.qualify(name)));
        }
        self.sql(&format!("{}, for all rows in bulk", dialect.insert(&load)));
        if let Some(sql) = &table.after_sql {
            self.sql(sql);
        }
        Ok(())
    }

    /// Tells the way of each column.
    fn lanes(
        &mut self,
        info: &TableInfo,
        mapping: &Mapping,
        columns: &[String],
        dialect: &dyn Dialect,
    ) {
        for (from, to) in mapping.pairs(columns) {
            if let Some(column) = info.column(to) {
                let kind = type_of(column, dialect);
                self.report.note(format!(
                    "  {from} -> {to} {kind}{}",
                    conversion(column.kind)
                ));
            }
        }
        for unknown in mapping.unknown() {
            let why = match info.column(unknown) {
                Some(_) => "the database computes it itself",
                None => "the table has no such column",
            };
            self.report.note(format!("  {unknown}: left out, {why}"));
        }
        for column in absent(info, mapping, columns) {
            let how = match &column.default {
                _ if column.auto => "numbered by the database".to_owned(),
                Some(default) => format!("its default, {default}"),
                None if column.nullable => "NULL".to_owned(),
                None => continue,
            };
            self.report.note(format!("  {} gets {how}", column.name));
        }
    }
}

fn type_of(column: &ColumnInfo, dialect: &dyn Dialect) -> String {
    let kind = if column.declared.is_empty() {
        dialect.type_name(column.kind, column.length)
    } else {
        column.declared.clone()
    };
    if column.nullable {
        kind
    } else {
        format!("{kind} NOT NULL")
    }
}

/// What becomes of a cell's text on the way into a column of this kind, where it is not simply read.
fn conversion(kind: Kind) -> &'static str {
    match kind {
        Kind::Blob => " (bytes, from base64 or hex digits)",
        kind if kind.is_number() => " (a number; true and false are 1 and 0)",
        _ => "",
    }
}
