//! The rows of a query on their way: out of the database into a draft, and from a draft into a table by the bulk path.
//!
//! A connection does one thing at a time, and rows may be many: they wait in a file between the query and the load. That file is the
//! report itself where the rows go into files.

use std::path::Path;
use std::time::Duration;

use db::{Connection, Load, Mode as Clash, TableInfo, TableName};

use super::page::{Heading, Page};
use super::params::{Into, Layout, Mode, Output};
use super::sql::{Statement, Values, place};
use crate::context::Context;
use crate::data::{BadFile, Column, Compression, Format, Reading, Record, Step, Writer};
use crate::error::Error;
use crate::publish::{Draft, Sealed};

/// Rows between two looks at stop requests and progress.
const STRIDE: u64 = 256;

/// What one statement that cannot beat may take.
pub(super) const STEP: Duration = Duration::from_secs(600);

/// How rows lie in a draft.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sheet<'a> {
    /// To be loaded.
    Spool,
    /// To be published, with what stands above a page.
    File(&'a Output, Heading<'a>),
}

/// Rows being written.
enum Pen {
    Rows(Writer<Draft>),
    Page(Page<Draft>),
}

/// A draft that is complete and durable, and what is in it.
pub(super) struct Drawn {
    pub(super) draft: Sealed,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// Runs the query and writes its rows into a draft of `target`.
pub(super) fn draw(
    cx: &Context,
    db: &mut dyn Connection,
    select: &Statement,
    values: &Values,
    sheet: Sheet<'_>,
    target: &Path,
) -> Result<Drawn, Error> {
    cx.beat();
    let mut rows = {
        let _step = cx.step("select", STEP);
        db.query(&select.sql, &select.cells(values))
            .map_err(|error| told(select, error))?
    };
    let columns: Vec<Column> = rows
        .columns()
        .iter()
        .map(|column| Column {
            name: column.name.clone(),
            form: column.kind.into(),
        })
        .collect();
    let draft = Draft::create(&cx.disk(), target, &cx.author())?;
    let mut pen = Pen::new(draft, sheet, &columns).map_err(|error| writing(target, error))?;
    let (mut count, mut bytes) = (0, 0);
    while let Some(row) = rows.fetch()? {
        let cells: Vec<db::Cell<'_>> = row.cells().collect();
        pen.row(&cells).map_err(|error| writing(target, error))?;
        count += 1;
        if count % STRIDE == 0 {
            cx.progress(STRIDE, pen.bytes() - bytes);
            bytes = pen.bytes();
            cx.checkpoint()?;
        }
    }
    cx.progress(count % STRIDE, pen.bytes() - bytes);
    let bytes = pen.bytes();
    let draft = pen.finish(cx).map_err(|error| writing(target, error))?;
    Ok(Drawn {
        draft: draft.seal()?,
        rows: count,
        bytes,
    })
}

impl Pen {
    fn new(draft: Draft, sheet: Sheet<'_>, columns: &[Column]) -> std::io::Result<Pen> {
        let format = match sheet {
            Sheet::Spool => {
                return Writer::new(draft, Format::Csv, Compression::None, columns).map(Pen::Rows);
            }
            Sheet::File(output, heading) => match output.format {
                Layout::Html => {
                    return Page::new(draft, output.compress, heading, columns).map(Pen::Page);
                }
                Layout::Csv => (Format::Csv, output.compress),
                Layout::Xml => (Format::Xml, output.compress),
                Layout::Jsonl => (Format::Jsonl, output.compress),
            },
        };
        Writer::new(draft, format.0, format.1, columns).map(Pen::Rows)
    }

    fn row(&mut self, cells: &[db::Cell<'_>]) -> std::io::Result<()> {
        match self {
            Pen::Rows(writer) => writer.row(cells),
            Pen::Page(page) => page.row(cells),
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Pen::Rows(writer) => writer.bytes(),
            Pen::Page(page) => page.bytes(),
        }
    }

    fn finish(self, cx: &Context) -> std::io::Result<Draft> {
        match self {
            Pen::Rows(writer) => writer.finish(),
            Pen::Page(page) => page.finish(cx.now()),
        }
    }
}

/// What a format cannot carry is bad data; columns that make no file are the query's fault; the rest is the disk's.
fn writing(target: &Path, error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::InvalidData => Error::Data(format!("the rows of <select>: {error}")),
        std::io::ErrorKind::InvalidInput => Error::Invalid(format!("select: {error}")),
        _ => Error::io("write", target)(error),
    }
}

/// A database's error with the place of the statement in the job file.
pub(super) fn told(statement: &Statement, error: db::Error) -> Error {
    match error.kind() {
        db::ErrorKind::Syntax | db::ErrorKind::Missing | db::ErrorKind::Invalid => {
            Error::Invalid(format!("{}: {}", statement.at, Error::from(error).chain()))
        }
        _ => error.into(),
    }
}

/// The target table.
pub(super) fn table_of(db: &mut dyn Connection, into: &Into) -> Result<TableInfo, Error> {
    let name = TableName::parse(&into.table);
    db.dictionary(&name)?
        .ok_or_else(|| Error::Invalid(format!("into.table: the database has no table {name}")))
}

/// The table's names for a query's columns.
pub(super) fn columns_of(
    into: &Into,
    info: &TableInfo,
    names: &[String],
) -> Result<Vec<String>, Error> {
    let column = |name: &String| match info.column(name) {
        Some(column) if column.generated => Err(Error::Invalid(format!(
            "select: the table {} computes its column {name} itself",
            into.table
        ))),
        Some(column) => Ok(column.name.clone()),
        None => Err(Error::Invalid(format!(
            "select: the table {} has no column {name}",
            into.table
        ))),
    };
    names.iter().map(column).collect()
}

/// The columns that find a row for an upsert.
pub(super) fn key_of(into: &Into, info: &TableInfo) -> Result<Vec<String>, Error> {
    let key = into
        .key
        .as_ref()
        .map_or_else(|| info.primary_key.clone(), |list| list.0.clone());
    if key.is_empty() {
        return Err(Error::Invalid(format!(
            "into.mode: the table {} has no primary key: upsert needs key=\"…\"",
            into.table
        )));
    }
    match key.iter().find(|name| info.column(name).is_none()) {
        Some(missing) => Err(Error::Invalid(format!(
            "into.key: the table {} has no column {missing}",
            into.table
        ))),
        None => Ok(key),
    }
}

/// Loads a spool into the table, in the transaction that is open; tells how many rows went in.
pub(super) fn load(
    cx: &Context,
    db: &mut dyn Connection,
    into: &Into,
    form: super::calendar::Form,
    values: &Values,
    spool: &Path,
) -> Result<u64, Error> {
    let info = table_of(db, into)?;
    let broken = |error: BadFile| Error::Internal(format!("{}: {error}", spool.display()));
    let mut rows = Reading::of(Format::Csv, "rows.csv")
        .open(cx.disk().open(spool)?)
        .map_err(broken)?;
    let columns = columns_of(into, &info, rows.columns())?;
    let name = TableName::parse(&into.table);
    if let (Mode::Replace, Some(by)) = (into.mode, &into.by) {
        let column = info.column(by).ok_or_else(|| {
            Error::Invalid(format!(
                "into.by: the table {} has no column {by}",
                into.table
            ))
        })?;
        let dialect = db.dialect();
        let (table, column) = (dialect.qualify(&name), dialect.quote(&column.name));
        let sql = format!(
            "DELETE FROM {table} WHERE {column} >= {} AND {column} < {}",
            place(dialect, form, 1),
            place(dialect, form, 2)
        );
        let _step = cx.step("removing the window's former rows", STEP);
        db.execute(&sql, &values.ends())?;
    }
    let key = if into.mode == Mode::Upsert {
        key_of(into, &info)?
    } else {
        Vec::new()
    };
    let mode = if into.mode == Mode::Upsert {
        Clash::Upsert { key: &key }
    } else {
        Clash::Append
    };
    let mut loader = db.load(&Load {
        table: &name,
        columns: &columns,
        mode,
    })?;
    let mut record = Record::new();
    let mut count: u64 = 0;
    loop {
        match rows.read(&mut record).map_err(broken)? {
            Step::End => break,
            Step::Bad(bad) => return Err(Error::Internal(format!("{}: {bad:?}", spool.display()))),
            Step::Row => {}
        }
        let cells: Vec<db::Cell<'_>> = (0..columns.len()).map(|at| record.cell(at)).collect();
        loader.push(&cells)?;
        refuse(into, loader.rejects().into_iter().next())?;
        count += 1;
        if count.is_multiple_of(STRIDE) {
            cx.checkpoint()?;
        }
    }
    let _step = cx.step("loading", STEP);
    let loaded = loader.finish()?;
    refuse(into, loaded.rejects.into_iter().next())?;
    Ok(loaded.rows)
}

/// A derived row that its table refuses is a fault of the report: the window is not done.
fn refuse(into: &Into, reject: Option<db::Reject>) -> Result<(), Error> {
    let Some(reject) = reject else { return Ok(()) };
    let row = reject.ordinal + 1;
    Err(Error::Data(format!(
        "row {row} of <select> for the table {}: {}",
        into.table,
        Error::from(reject.error).chain()
    )))
}
