//! What `jobs check` and `--dry-run` tell of a report: statements prepared by the database, never run; windows that are due. Changes nothing.

use db::{Connection, ErrorKind};

use super::calendar::Window;
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
    /// Lets the databases prepare every statement, and holds the query's columns against the table.
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
        let columns = prepare(&mut *source, &script, report)?;
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
        if let Some(ordered) = self.ordered(cx)? {
            upto = ordered;
        }
        let mut windows = Vec::new();
        match self.only {
            Some(only) => windows.push(self.alone(cx, only)?),
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
                if statement.count() > 0 {
                    report.note(format!("  with {}", statement.shown(&values)));
                }
            }
            if let Some(told) = self.destination(cx, window) {
                report.note(format!("  would write {told}"));
            }
        }
        if windows.len() > SHOWN {
            report.note(format!("and {} more", windows.len() - SHOWN));
        }
        Ok(())
    }

    /// Where the rows of a window go, for people.
    fn destination(&self, cx: &Context, window: &Window) -> Option<String> {
        let into = match self.params.target() {
            Target::Nothing => return None,
            Target::Files(output) => {
                return Some(format!(
                    "{}/{}_{}.{}",
                    cx.path(&output.dir).display(),
                    output.file,
                    self.line.label(window),
                    output.format.ending()
                ));
            }
            Target::Beside(into) | Target::Elsewhere(into, _) => into,
        };
        let place = match self.params.target() {
            Target::Elsewhere(_, url) => match db::Url::parse(url) {
                Ok(url) => format!(" of {}", url.redacted()),
                Err(_) => " of another database".to_owned(),
            },
            _ => String::new(),
        };
        let mode = match into.mode {
            Mode::Insert => "insert".to_owned(),
            Mode::Upsert => "upsert".to_owned(),
            Mode::Replace => format!("replace by {}", into.by.as_deref().unwrap_or_default()),
        };
        Some(format!("into the table {}{place}, mode {mode}", into.table))
    }
}

/// Lets the database prepare the statements; tells the query's columns. What an earlier step makes (a temporary table) is not there yet: a
/// statement that misses something may be right all the same, and the report says so.
fn prepare(
    db: &mut dyn Connection,
    script: &Script,
    report: &mut job::Report,
) -> Result<Option<Vec<String>>, Error> {
    let mut maker: Option<&Statement> = None;
    let mut columns = None;
    for statement in script.all() {
        match db.describe(&statement.sql, statement.count()) {
            Ok(found) => columns = Some(found),
            Err(error) => match maker {
                Some(maker) if may_lack(&*db, &error) => {
                    report.note(format!(
                        "{}: cannot be looked at before {} has run",
                        statement.at, maker.at
                    ));
                    columns = None;
                }
                _ => {
                    wrong(statement, error, report)?;
                    columns = None;
                }
            },
        }
        if statement.makes() {
            maker = Some(statement);
        }
    }
    let Some(columns) = columns.filter(|columns| script.select.is_some() && !columns.is_empty())
    else {
        return Ok(None);
    };
    let columns: Vec<String> = columns.into_iter().map(|column| column.name).collect();
    report.note(format!(
        "{} of <select>: {}",
        job::Count(columns.len() as u64, "column"),
        columns.join(", ")
    ));
    Ok(Some(columns))
}

/// Whether it may be that something is missing. SQLite's codes do not tell that from bad grammar.
fn may_lack(db: &dyn Connection, error: &db::Error) -> bool {
    match error.kind() {
        ErrorKind::Missing => true,
        ErrorKind::Syntax => !db.dialect().tells_missing(),
        _ => false,
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
