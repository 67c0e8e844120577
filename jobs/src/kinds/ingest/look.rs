//! Looks at files and tables without touching either, and finds what is wrong with them: `jobs check`.

use db::{ColumnInfo, TableInfo, TableName};

use super::fault::Fault;
use super::mapping::Mapping;
use super::params::{Mode, Params};
use super::queue::{Next, Queue};
use super::source::{PEEK, names};
use crate::context::{Context, Link};
use crate::error::Error;
use crate::input::Input;
use crate::job::Report;

/// A look at the world that an ingest means.
pub(super) struct Look<'a> {
    pub(super) params: &'a Params,
    pub(super) cx: &'a Context,
    pub(super) report: &'a mut Report,
}

impl Look<'_> {
    /// The target; nothing where it is a database file that is yet to be made.
    pub(super) fn connect(&self) -> Result<Option<Link>, Error> {
        let url = &self.params.target.url;
        let is_file = db::Url::parse(url).is_ok_and(|url| url.scheme == "sqlite");
        match self.cx.connect(url) {
            Ok(link) => Ok(Some(link)),
            Err(Error::Database(error)) if is_file && error.kind() == db::ErrorKind::Missing => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Finds what is wrong with each table and the files that wait for it.
    pub(super) fn check(&mut self, queue: &mut Queue) -> Result<(), Error> {
        let mut link = self.connect()?;
        if link.is_none() {
            self.report
                .note("the database is not there yet; it would be made");
        }
        let mut infos = Vec::with_capacity(self.params.tables.len());
        for at in 0..self.params.tables.len() {
            infos.push(self.table(at, link.as_mut())?);
        }
        while let Next::Task(task) = queue.take() {
            queue.release(task.lane);
            if let Some(info) = &infos[task.table] {
                for input in &task.inputs {
                    self.file(task.table, info, input)?;
                }
            }
        }
        Ok(())
    }

    /// What the dictionary says of a table, with what is wrong about it.
    fn table(&mut self, at: usize, link: Option<&mut Link>) -> Result<Option<TableInfo>, Error> {
        let table = &self.params.tables[at];
        let name = TableName::parse(&table.name);
        let info = match link {
            Some(link) => link.dictionary(&name)?,
            None => None,
        };
        match &info {
            None if table.create => self.report.note(format!(
                "the table {name} is not there yet; it would be made"
            )),
            None if table.before_sql.is_some() => self.report.note(format!(
                "the table {name} is not there yet; before-sql may make it"
            )),
            None => self.problem(at, "name", format!("the database has no table {name}")),
            Some(info) => self.key(at, info),
        }
        Ok(info)
    }

    pub(super) fn problem(&mut self, at: usize, attribute: &str, message: String) {
        self.report
            .problem(format!("table[{}].{attribute}", at + 1), message);
    }

    /// Whether the key is one.
    fn key(&mut self, at: usize, info: &TableInfo) {
        let table = &self.params.tables[at];
        let key = table.key_of(info);
        for missing in key.iter().filter(|name| info.column(name).is_none()) {
            let message = format!("the table {} has no column {missing}", table.name);
            self.problem(at, "key", message);
        }
        let same = |one: &[String]| {
            !key.is_empty() && one.len() == key.len() && key.iter().all(|name| one.contains(name))
        };
        let unique = same(&info.primary_key) || info.uniques.iter().any(|unique| same(unique));
        if table.mode == Mode::Upsert && !unique {
            let message = if key.is_empty() {
                "the table has no primary key".to_owned()
            } else {
                format!("{} is no unique key of the table", key.join(", "))
            };
            self.problem(
                at,
                "mode",
                format!("upsert finds a row by a unique key: {message}"),
            );
        }
    }

    /// Compares a waiting file with its table; gives its columns.
    pub(super) fn file(
        &mut self,
        at: usize,
        info: &TableInfo,
        input: &Input,
    ) -> Result<Option<(Vec<String>, Mapping)>, Error> {
        let table = &self.params.tables[at];
        let mut mapping = Mapping::default();
        let columns = match names(self.cx, input, Some(PEEK)) {
            Ok(columns) => columns,
            Err(Fault::Other(error)) => return Err(error),
            Err(fault) => {
                self.problem(at, "match", format!("{}: {fault}", input.name));
                return Ok(None);
            }
        };
        if let Err(reason) = mapping.learn(&columns, info) {
            self.problem(at, "match", format!("{}: {reason}", input.name));
            return Ok(None);
        }
        let known = mapping.pairs(&columns).count();
        let unknown: Vec<&str> = mapping.unknown().collect();
        self.report.note(format!(
            "{} -> {}: {} columns{}",
            input.name,
            table.name,
            known,
            match unknown.as_slice() {
                [] => String::new(),
                names => format!(" (not in the table: {})", names.join(", ")),
            }
        ));
        let missing = missing(info, &mapping, &columns, &table.key_of(info), table.mode);
        if known == 0 && !columns.is_empty() {
            let message = format!(
                "{}: none of its columns is in the table {}",
                input.name, table.name
            );
            self.problem(at, "match", message);
        } else if !columns.is_empty() && !missing.is_empty() {
            let message = format!(
                "{}: the table {} must have a value in {}, and the file has no such column",
                input.name,
                table.name,
                missing.join(", ")
            );
            self.problem(at, "match", message);
        }
        Ok(Some((columns, mapping)))
    }
}

/// The table's columns that the file does not bring.
pub(super) fn absent<'i>(
    info: &'i TableInfo,
    mapping: &Mapping,
    columns: &[String],
) -> Vec<&'i ColumnInfo> {
    let brought: Vec<&str> = mapping.pairs(columns).map(|(_, to)| to).collect();
    let all = info.columns.iter().filter(|column| !column.generated);
    all.filter(|column| !brought.contains(&column.name.as_str()))
        .collect()
}

/// Columns that must have a value and get none; with `upsert` also those of the key.
fn missing<'i>(
    info: &'i TableInfo,
    mapping: &Mapping,
    columns: &[String],
    key: &[String],
    mode: Mode,
) -> Vec<&'i str> {
    let needed = |column: &&&ColumnInfo| {
        let unfilled = !column.nullable && column.default.is_none() && !column.auto;
        unfilled || mode == Mode::Upsert && key.contains(&column.name)
    };
    let absent = absent(info, mapping, columns);
    absent
        .iter()
        .filter(needed)
        .map(|column| column.name.as_str())
        .collect()
}
