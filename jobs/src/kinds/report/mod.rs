//! `report`: derived data. SQL over windows of time, one after the other, into tables or files.
//!
//! **Guarantee.** Each window is done exactly once, in order, whatever is killed when: its cursor is a row beside the data (`procctl_report`), moved in the
//! transaction of its steps and rows. Windows that were missed are caught up one by one. Where rows go into another database or into files, the steps and the
//! rows have a cursor each, and the rows lie durable in a draft between the two: what the steps did and what the target got belong together. A
//! reader never sees half a file, and a file that is written again has the same name.
//! **Where it ends.** A window is what the database held when it ran: rows that come later than `delay` are not in it, until an operator runs it again
//! (`--set period.only=TIME`, or `jobs state JOB set from TIME` for all windows from there on). A step that reaches out of its transaction (another server, a sequence, a
//! table without transactions) is beyond it. `jobs state JOB reset` begins at `start` again, wherever the cursors are, and so does `set from start`;
//! a state file that was lost repeats nothing where the cursor is in a database.

mod calendar;
mod ledger;
mod look;
mod page;
mod params;
mod rows;
mod size;
mod sql;
mod window;

use std::collections::BTreeMap;

use chrono::SecondsFormat;
use db::Connection;

use crate::context::Context;
use crate::disk::folder;
use crate::error::Error;
use crate::job::{Invalid, Job, Tally};
use crate::link::Link;
use crate::publish::sweep_drafts;
use crate::state::{AFTER_RESET, Changes};
use calendar::{Line, Position, Window};
use ledger::Part;
use params::{Params, Target};
use sql::Script;
use window::{Bench, memory};

/// The job.
pub(super) struct Report {
    params: Params,
    line: Line,
    /// The time whose window alone is to be run.
    only: Option<Position>,
    /// Kept between the passes of a resident job.
    links: Option<Links>,
}

/// The databases, and the SQL as they understand it.
struct Links {
    source: Link,
    other: Option<Link>,
    script: Script,
}

impl Job for Report {
    const KIND: &'static str = "report";
    const ABOUT: &'static str =
        "runs SQL over windows of time, each exactly once, into tables or files";
    const SAMPLE: &'static str = include_str!("../../../../etc/jobs/report.xml");
    type Params = Params;

    fn new(params: Params) -> Result<Self, Invalid> {
        let (line, only) = params.validate()?;
        if let Some(dialect) = db::dialect_of(&params.database.url) {
            Script::new(&params, dialect)?;
        }
        Ok(Report {
            params,
            line,
            only,
            links: None,
        })
    }

    fn run(&mut self, cx: &mut Context) -> Result<Tally, Error> {
        let mut links = match self.links.take() {
            Some(links) => links,
            None => self.connect(cx)?,
        };
        let mut bench = Bench {
            cx,
            params: &self.params,
            line: &self.line,
            script: &links.script,
            source: &mut *links.source,
            other: links.other.as_deref_mut(),
        };
        let tally = self.work(&mut bench);
        // a connection that has met an error is not used again
        if tally.is_ok() {
            self.links = Some(links);
        }
        tally
    }

    fn check(&mut self, cx: &mut Context, report: &mut crate::job::Report) -> Result<(), Error> {
        self.look(cx, report)
    }

    fn dry_run(&mut self, cx: &mut Context, report: &mut crate::job::Report) -> Result<(), Error> {
        self.tell(cx, report)
    }
}

impl Report {
    /// Connects, and makes the cursors where there are none.
    fn connect(&self, cx: &mut Context) -> Result<Links, Error> {
        let mut source = cx.connect_source(&self.params.database.url)?;
        let script = Script::new(&self.params, source.dialect())?;
        let mut other = match self.params.target() {
            Target::Elsewhere(_, url) => Some(cx.connect(url)?),
            _ => None,
        };
        let begin = match self.params.target() {
            Target::Files(_) => cx.state()?.get::<String>(memory::UPTO)?,
            _ => None,
        };
        let begin = begin.unwrap_or_else(|| self.line.write(self.line.start()));
        remember_reset(cx)?;
        let job = cx.job();
        let _step = cx.step("preparing the cursor", rows::STEP);
        if let Some(other) = &mut other {
            ledger::prepare(&mut **other, job, Part::Rows, &begin)?;
        }
        if self.has_step_cursor() {
            // steps that are added to a report begin where its rows are
            let begin = match &mut other {
                Some(other) => ledger::look(&mut **other, job, Part::Rows)?.unwrap_or(begin),
                None => begin,
            };
            ledger::prepare(&mut *source, job, Part::Steps, &begin)?;
        }
        Ok(Links {
            source,
            other,
            script,
        })
    }

    /// Whether the database of the steps holds a cursor.
    fn has_step_cursor(&self) -> bool {
        !self.params.steps.is_empty()
            || matches!(self.params.target(), Target::Nothing | Target::Beside(_))
    }

    /// Windows, one by one, until none is due.
    fn work(&self, bench: &mut Bench<'_>) -> Result<Tally, Error> {
        self.obey(bench)?;
        let mut tally = bench.resume()?;
        self.sweep(bench.cx)?;
        if let Some(only) = self.only {
            let window = self.alone(bench.cx, only)?;
            tally += bench.run(&window, true)?.unwrap_or_default();
            log::info!("{} once more: {tally}", self.line.title(&window));
            return Ok(tally);
        }
        let mut done = 0;
        while self.params.period.most == 0 || done < self.params.period.most {
            bench.cx.checkpoint()?;
            let upto = cursor(
                bench.cx,
                &self.params,
                &self.line,
                bench.source,
                bench.other.as_deref_mut(),
            )?;
            let Some(window) = self.due(bench.cx, upto) else {
                break;
            };
            if let Some(done) = bench.run(&window, false)? {
                log::info!("{}: {done}", self.line.title(&window));
                tally += done;
            }
            done += 1;
        }
        let upto = cursor(
            bench.cx,
            &self.params,
            &self.line,
            bench.source,
            bench.other.as_deref_mut(),
        )?;
        self.mirror(bench.cx, upto)?;
        Ok(tally)
    }

    /// The window that begins at the cursor, if it is over for long enough.
    fn due(&self, cx: &Context, upto: Position) -> Option<Window> {
        let window = self.line.window(upto)?;
        let delay = chrono::TimeDelta::from_std(self.params.period.delay.0).ok()?;
        let over = self.line.over(&window)?.checked_add_signed(delay)?;
        (cx.now() >= over).then_some(window)
    }

    /// The window around a time, if it is over: its rows are not all there before.
    fn alone(&self, cx: &Context, only: Position) -> Result<Window, Error> {
        let window = self
            .line
            .around(only)
            .ok_or_else(|| Error::Invalid("period.only: there is no such window".to_owned()))?;
        match self.line.over(&window) {
            Some(over) if over <= cx.now() => Ok(window),
            over => Err(Error::Invalid(format!(
                "period.only: the window {} is not over yet{}",
                self.line.title(&window),
                over.map_or(String::new(), |over| format!(
                    ": it ends at {}",
                    over.to_rfc3339_opts(SecondsFormat::Secs, true)
                ))
            ))),
        }
    }

    /// Where an operator wants the report to go on.
    fn ordered(&self, cx: &mut Context) -> Result<Option<Position>, Error> {
        let Some(order) = cx.state()?.get::<String>(memory::FROM)? else {
            return Ok(None);
        };
        if order == memory::START {
            return Ok(Some(self.line.start()));
        }
        let position = self.line.read(&order);
        position
            .map(Some)
            .map_err(|why| Error::Invalid(format!("the state from: {why}")))
    }

    /// Puts the cursors where an operator wants them. Repeated after a crash it does the same.
    fn obey(&self, bench: &mut Bench<'_>) -> Result<(), Error> {
        let Some(position) = self.ordered(bench.cx)? else {
            return Ok(());
        };
        let upto = self.line.write(position);
        bench.forget()?;
        let (job, now) = (bench.cx.job().to_owned(), bench.cx.now());
        if self.has_step_cursor() {
            ledger::put(bench.source, &job, Part::Steps, &upto, now)?;
        }
        if let Some(other) = bench.other.as_deref_mut() {
            ledger::put(other, &job, Part::Rows, &upto, now)?;
        }
        log::info!("going on from {upto}, as ordered");
        bench.cx.state()?.commit(
            Changes::new()
                .set(memory::UPTO, &upto)?
                .delete(memory::FROM),
        )
    }

    /// Removes drafts of killed runs.
    fn sweep(&self, cx: &Context) -> Result<(), Error> {
        let author = cx.author();
        if let Target::Files(output) = self.params.target() {
            let target = cx.path(&output.dir).join(&output.file);
            sweep_drafts(&*cx.disk(), folder(&target), &author)?;
        }
        sweep_drafts(&*cx.disk(), &cx.home().state, &author).map(drop)
    }

    /// Shows operators how far the report has come, where the cursor is elsewhere.
    fn mirror(&self, cx: &mut Context, upto: Position) -> Result<(), Error> {
        let upto = self.line.write(upto);
        if cx.state()?.get::<String>(memory::UPTO)?.as_ref() == Some(&upto) {
            return Ok(());
        }
        cx.state()?.set(memory::UPTO, &upto)
    }
}

/// How far the report has come: beside the rows where these are in a database, else in the job's state.
fn cursor(
    cx: &mut Context,
    params: &Params,
    line: &Line,
    source: &mut dyn Connection,
    other: Option<&mut (dyn Connection + 'static)>,
) -> Result<Position, Error> {
    let upto = match (params.target(), other) {
        (Target::Files(_), _) => cx.state()?.get::<String>(memory::UPTO)?,
        (_, Some(other)) => ledger::look(other, cx.job(), Part::Rows)?,
        (_, None) => ledger::look(source, cx.job(), Part::Steps)?,
    };
    match upto {
        None => Ok(line.start()),
        Some(upto) => line
            .read(&upto)
            .map_err(|why| Error::Data(format!("the cursor: {why}"))),
    }
}

/// Sees to it that a reset of the job's state reaches cursors in databases, before there are any.
fn remember_reset(cx: &mut Context) -> Result<(), Error> {
    let orders = BTreeMap::from([(memory::FROM.to_owned(), memory::START.to_owned())]);
    if cx
        .state()?
        .get::<BTreeMap<String, String>>(AFTER_RESET)?
        .as_ref()
        == Some(&orders)
    {
        return Ok(());
    }
    cx.state()?.set(AFTER_RESET, &orders)
}

#[cfg(test)]
mod tests;
