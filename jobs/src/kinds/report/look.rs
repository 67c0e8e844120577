//! What `jobs check` and `--dry-run` tell of a report: statements planned by the database, never run; windows that are due. Changes nothing.

use db::{Connection, ErrorKind};

use super::params::{Mode, Target};
use super::rows::{columns_of, key_of, table_of};
use super::sql::{Script, Statement, Values};
use super::{Report, cursor};
use crate::context::Context;
use crate::error::Error;
use crate::job;

/// Windows that a dry run shows with their SQL.
const SHOWN: usize = 20;

impl Report {
    /// Lets the databases plan every statement, and holds the query's columns against the table.
    pub(super) fn look(&self, cx: &mut Context, report: &mut job::Report) -> Result<(), Error> {
        let mut source = cx.connect_source(&self.params.database.url)?;
        let script = match Script::new(&self.params, source.dialect()) {
            Ok(script) => script,
            Err(wrong) => {
                report.problem(wrong.at, wrong.message);
                return Ok(());
            }
        };
        if !script.all().any(Statement::is_windowed) {
            report.note("no statement speaks of :from or :to: each window would do the same");
        }
        let Some(window) = self.line.window(self.line.start()) else {
            return Ok(());
        };
        let values = Values::of(&self.params, &self.line, &window);
        source.begin_snapshot()?;
        let columns = plan(&mut *source, &script, &values, report)?;
        source.rollback()?;
        match self.params.target() {
            Target::Beside(into) => self.fits(&mut *source, into, columns, report),
            Target::Elsewhere(into, url) => {
                self.fits(&mut *cx.connect(url)?, into, columns, report)
            }
            Target::Nothing | Target::Files(_) => Ok(()),
        }
    }

    /// Holds the query's columns against the table that they go into.
    fn fits(
        &self,
        db: &mut dyn Connection,
        into: &super::params::Into,
        columns: Option<Vec<String>>,
        report: &mut job::Report,
    ) -> Result<(), Error> {
        let mut wrong = |error: Error| match error {
            Error::Invalid(text) => {
                let (at, why) = text.split_once(": ").unwrap_or(("", &text));
                report.problem(at, why);
                Ok(())
            }
            other => Err(other),
        };
        let info = match table_of(db, into) {
            Ok(info) => info,
            Err(error) => return wrong(error),
        };
        if let Some(columns) = columns {
            columns_of(into, &info, &columns)
                .map(drop)
                .or_else(&mut wrong)?;
        }
        if into.mode == Mode::Upsert {
            key_of(into, &info).map(drop).or_else(&mut wrong)?;
        }
        match &into.by {
            Some(by) if info.column(by).is_none() => wrong(Error::Invalid(format!(
                "into.by: the table {} has no column {by}",
                into.table
            ))),
            _ => Ok(()),
        }
    }

    /// Tells which windows are due, and the SQL with its values.
    pub(super) fn tell(&self, cx: &mut Context, report: &mut job::Report) -> Result<(), Error> {
        self.look(cx, report)?;
        let mut source = cx.connect_source(&self.params.database.url)?;
        let Ok(script) = Script::new(&self.params, source.dialect()) else {
            return Ok(());
        };
        let mut other = match self.params.target() {
            Target::Elsewhere(_, url) => Some(cx.connect(url)?),
            _ => None,
        };
        let mut upto = cursor(
            cx,
            &self.params,
            &self.line,
            &mut *source,
            other.as_deref_mut(),
        )?;
        let mut windows = Vec::new();
        match self.only {
            Some(only) => windows.extend(self.line.around(only)),
            None => {
                let most = usize::try_from(self.params.period.most)
                    .ok()
                    .filter(|most| *most > 0);
                while most.is_none_or(|most| windows.len() < most) {
                    let Some(window) = self.due(cx, upto) else {
                        break;
                    };
                    upto = window.to;
                    windows.push(window);
                }
            }
        }
        report.note(format!(
            "{} due",
            job::Count(windows.len() as u64, "window")
        ));
        for window in windows.iter().take(SHOWN) {
            report.note(format!("window {}", self.line.title(window)));
            let values = Values::of(&self.params, &self.line, window);
            for statement in script.all() {
                report.note(format!("  {}: {}", statement.at, statement.sql.trim()));
                report.note(format!("  with {}", statement.shown(&values)));
            }
            if let Target::Files(output) = self.params.target() {
                report.note(format!(
                    "  would write {}/{}_{}.{}",
                    cx.path(&output.dir).display(),
                    output.file,
                    self.line.label(window),
                    output.format.ending()
                ));
            }
        }
        if windows.len() > SHOWN {
            report.note(format!("and {} more", windows.len() - SHOWN));
        }
        Ok(())
    }
}

/// Lets the database plan the statements; tells the query's columns. A statement that makes something for later ones (a temporary table)
/// cannot be planned, nor can what comes behind it.
fn plan(
    db: &mut dyn Connection,
    script: &Script,
    values: &Values,
    report: &mut job::Report,
) -> Result<Option<Vec<String>>, Error> {
    for step in &script.steps {
        if !step.is_explainable() {
            report.note(format!("{}: not looked at, nor what comes behind it: no database plans it without running it", step.at));
            return Ok(None);
        }
        let explained = db
            .query(&format!("EXPLAIN {}", step.sql), &step.cells(values))
            .and_then(|mut rows| rows.fetch().map(drop));
        if let Err(error) = explained {
            wrong(step, error, report)?;
            return Ok(None);
        }
    }
    let Some(select) = &script.select else {
        return Ok(None);
    };
    let none = format!("SELECT * FROM ({}\n) q WHERE 1 = 0", select.sql);
    let columns = db.query(&none, &select.cells(values)).map(|rows| {
        rows.columns()
            .iter()
            .map(|column| column.name.clone())
            .collect::<Vec<_>>()
    });
    match columns {
        Ok(columns) => {
            report.note(format!(
                "{} of <select>: {}",
                job::Count(columns.len() as u64, "column"),
                columns.join(", ")
            ));
            Ok(Some(columns))
        }
        Err(error) => wrong(select, error, report).map(|()| None),
    }
}

/// A statement that the database refuses is the job file's fault; a broken connection is not.
fn wrong(statement: &Statement, error: db::Error, report: &mut job::Report) -> Result<(), Error> {
    match error.kind() {
        ErrorKind::Connect | ErrorKind::Timeout | ErrorKind::Cancelled | ErrorKind::Busy => {
            Err(error.into())
        }
        _ => {
            report.problem(statement.at.clone(), Error::from(error).chain());
            Ok(())
        }
    }
}
