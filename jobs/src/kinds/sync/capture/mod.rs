//! Mode `capture`: triggers of the source enter the key of every row that changes into a log beside the table; here the log is followed.
//!
//! A batch of entries is read in a snapshot, and in the same snapshot the rows of their keys as they are now. The rows go into the target by
//! their key, keys without a row are deleted, and the ledger's row goes with them, in one transaction of the target. Only then the entries are
//! deleted from the log, by their numbers. What this gives:
//!
//! - **Nothing is lost**, whoever is killed when: an entry leaves the log only when its change is committed in the target. An entry that becomes
//!   visible late, with a number below others, is still in the log when the others are gone.
//! - **Nothing old comes back**: what is written is the row's state in the snapshot, and later entries of the key are in later batches. When the
//!   log is empty, the target is the source as of the snapshot of the last batch. Many changes of a row between two runs are one.
//! - **The first run** finds the entry that `jobs capture install` has made, and copies the whole table while the log is being filled.
//! - A batch that meets a unique key whose row is changed by a later batch is taken together with all that follows.
//!
//! It ends where no trigger fires: TRUNCATE on MySQL, a single partition of PostgreSQL that is truncated, detached or dropped, foreign keys of
//! MySQL that delete or change rows by themselves, and rows loaded with triggers switched off; `jobs capture resync` mends these. A key that changes by case alone is the same key where the source holds it to be.
//! Tables are followed one by one: between two tables of a job no order is kept.

mod applying;
mod changelog;
mod ledger;
pub(crate) mod operate;
mod reading;
mod seqs;
#[cfg(test)]
mod tests;

use std::sync::atomic::Ordering;

use db::{ColumnInfo, Connection, Constraint, ErrorKind, TableInfo, TableName};

use self::changelog::{Log, Works};
use self::reading::{Entries, Portion, entries, trim};
use super::facts::Course;
use super::mapping::Origin;
use super::params::Table;
use super::pass::Pair;
use super::refresh;
use crate::context::Context;
use crate::error::Error;
use crate::job::{Count, Report, Tally};
use crate::statement::STATEMENT;

/// So many entries are a batch; all rows of a batch are one transaction.
const BATCH: u64 = 5_000;

/// What goes where, as far as following the log needs to know.
#[derive(Debug, Clone)]
pub(super) struct Way {
    log: Log,
    /// The job's condition on the source's rows.
    filter: Option<String>,
    /// SQL over the source's columns, for the target's first columns.
    fields: Vec<String>,
    /// The target's columns: those of the fields, then those of the given values.
    names: Vec<String>,
    given: Vec<String>,
    target: TableName,
    /// The target's columns that the key goes into.
    key: Vec<ColumnInfo>,
    /// The target has further unique keys: a row is deleted before it is written anew.
    strict: bool,
    /// Which of the target's rows are the job's, as ` WHERE …`; empty = all.
    scope: String,
}

/// The source's columns that tell rows apart, by the job file and the source alone: operators and the job have to see the same ones.
pub(super) fn key_of(table: &Table, source: &TableInfo) -> Result<Vec<ColumnInfo>, Error> {
    let named = table.key.as_ref().map(|list| list.0.as_slice());
    let wanted = named.unwrap_or(&source.primary_key);
    if wanted.is_empty() {
        let from = &table.from;
        return Err(Error::Invalid(format!(
            "{from} has no primary key, and no key=\"…\" is given: capture tells rows apart by one"
        )));
    }
    let renamed = |name: &String| {
        let column = table.columns.iter().find(|column| {
            column
                .to
                .as_ref()
                .is_some_and(|to| to.eq_ignore_ascii_case(name))
        });
        column.and_then(|column| column.from.as_deref())
    };
    let find = |name: &String| {
        let column = source
            .column(name)
            .or_else(|| source.column(renamed(name)?));
        column.cloned().ok_or_else(|| {
            Error::Invalid(format!(
                "the source {} has no column {name}, which shall be its key",
                table.from
            ))
        })
    };
    wanted.iter().map(find).collect()
}

impl Way {
    /// Puts together what the job file and the dictionaries say.
    fn new(cx: &Context, course: &Course<'_>) -> Result<Way, Error> {
        let (table, facts) = (course.table, course.facts);
        let mapping = &facts.mapping;
        let key = key_of(table, &facts.source)?;
        if let Some(numbered) = mapping.numbered.first() {
            let name = &numbered.to.name;
            return Err(Error::Invalid(format!(
                "capture does not number {name} by a sequence: let the column's own default do that"
            )));
        }
        if let Some(column) = key
            .iter()
            .find(|column| column.nullable && !facts.source.primary_key.contains(&column.name))
        {
            let name = &column.name;
            return Err(Error::Invalid(format!(
                "the key's column {name} may be NULL, by which no row is found again"
            )));
        }
        let lane = |column: &ColumnInfo| {
            let from_it = |origin: &Origin| matches!(origin, Origin::Column(known) if known.name == column.name);
            let lane = mapping.lanes.iter().find(|lane| from_it(&lane.from));
            lane.map(|lane| lane.to.clone()).ok_or_else(|| {
                Error::Invalid(format!(
                    "the key's column {} does not go into the target",
                    column.name
                ))
            })
        };
        let into = key
            .iter()
            .map(lane)
            .collect::<Result<Vec<ColumnInfo>, Error>>()?;
        let same = |unique: &Vec<String>| {
            unique.len() == into.len() && into.iter().all(|column| unique.contains(&column.name))
        };
        if !facts.target.keys().any(same) {
            let names: Vec<&str> = into.iter().map(|column| column.name.as_str()).collect();
            return Err(Error::Invalid(format!(
                "{} is no unique key of the table {}",
                names.join(", "),
                facts.to
            )));
        }
        Ok(Way {
            log: Log::of(cx.job(), &TableName::parse(&table.from), key),
            filter: table.condition.clone(),
            fields: facts.reading.columns().to_vec(),
            names: mapping.names(),
            given: mapping.given_texts(cx.now()),
            target: facts.to.clone(),
            strict: facts.target.keys().count() > 1,
            key: into,
            scope: facts.writing.filter(&[]),
        })
    }
}

/// Makes what the target has to have, outside any transaction.
pub(super) fn prepare(target: &mut dyn Connection) -> Result<(), Error> {
    Ok(ledger::prepare(target)?)
}

/// Has the whole table copied by the next pass, where its changes are captured: the target's table is made anew.
pub(super) fn begin_anew(
    job: &str,
    table: &Table,
    source: &mut dyn Connection,
) -> Result<(), Error> {
    let from = TableName::parse(&table.from);
    let Some(info) = source.dictionary(&from)? else {
        return Ok(());
    };
    let log = Log::of(job, &from, key_of(table, &info)?);
    if source.dictionary(&log.table)?.is_some() {
        let sql = log.ask_for_copy(source.dialect());
        source.execute(&sql, &[])?;
    }
    Ok(())
}

/// Follows the log to its end.
pub(super) fn pass(cx: &Context, course: &Course<'_>, pair: &mut Pair) -> Result<Tally, Error> {
    let way = Way::new(cx, course)?;
    if !course.facts.swept.load(Ordering::Relaxed) {
        ready(&way, &course.facts.source, &mut *pair.source)?;
        // what a killed run has brought home and not cleared away
        let left = ledger::taken(&mut *pair.target, &way.log.table.name)?;
        trim(&mut *pair.source, &way.log.table, &left)?;
        course.facts.swept.store(true, Ordering::Relaxed);
    }
    let mut tally = Tally::default();
    let mut most = BATCH;
    loop {
        cx.checkpoint()?;
        let step = cx.step("read the change log", STATEMENT);
        pair.source.begin_snapshot()?;
        let batch = entries(&mut *pair.source, &way.log, most)?;
        drop(step);
        let Some((first, last)) = batch.seqs.first().zip(batch.seqs.last()) else {
            pair.source.rollback()?;
            break;
        };
        if batch.seed {
            pair.source.rollback()?;
            tally += seed(cx, course, &way, pair, &batch)?;
            continue;
        }
        let portion = Portion {
            way: &way,
            info: &course.facts.target,
            dialect: pair.source.dialect(),
            first: *first,
            last: *last,
        };
        match applying::apply(cx, &portion, &batch, &mut *pair.source, &mut *pair.target) {
            Ok(moved) => {
                trim(&mut *pair.source, &way.log.table, &batch.seqs)?;
                tally += moved;
                most = BATCH;
            }
            // the row that holds the key may be changed by a later batch
            Err(error)
                if clashes(&error) && batch.seqs.len() as u64 == most && most < seqs::MOST =>
            {
                pair.target.rollback()?;
                pair.source.rollback()?;
                most = seqs::MOST;
            }
            Err(error) => return Err(error),
        }
    }
    if tally.read > 0 {
        let (from, changes) = (&course.table.from, Count(tally.read, "change"));
        log::info!(
            "{from} -> {}: {changes}, {} written or deleted",
            way.target,
            Count(tally.written, "row")
        );
    }
    Ok(tally)
}

/// Looks for what keeps changes from being captured; for `jobs check`.
pub(super) fn check(
    cx: &Context,
    course: &Course<'_>,
    at: usize,
    pair: &mut Pair,
    report: &mut Report,
) -> Result<(), Error> {
    let place = format!("table[{}].mode", at + 1);
    let source = &mut *pair.source;
    let way = match Way::new(cx, course) {
        Err(Error::Invalid(why)) => {
            report.problem(place, why);
            return Ok(());
        }
        way => way?,
    };
    match ready(&way, &course.facts.source, source) {
        Err(Error::Invalid(why)) => report.problem(place, why),
        ready => ready?,
    }
    Ok(())
}

/// Whether there is a log and something that fills it.
fn ready(way: &Way, info: &TableInfo, source: &mut dyn Connection) -> Result<(), Error> {
    let from = &way.log.source;
    if source.dictionary(&way.log.table)?.is_none() {
        return Err(Error::Invalid(format!(
            "changes of {from} are not captured yet: `jobs capture install FILE` makes the log and the triggers that this takes"
        )));
    }
    match way.log.works(source.dialect(), info, "", 0) {
        // MySQL shows triggers only to those who may change them
        Some(works) if source.dialect().name() != "mysql" => filled(&way.log, &works, source),
        _ => Ok(()),
    }
}

/// Whether all triggers are there that fill a log.
fn filled(log: &Log, works: &Works, source: &mut dyn Connection) -> Result<(), Error> {
    let found = operate::number(source, &works.count)?;
    if found >= works.triggers {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{found} of {} of {} are there: changes may have been lost; `jobs capture remove FILE` and then `install` mend it",
        Count(works.triggers, "trigger"),
        log.source
    )))
}

/// Copies the whole table; all entries seen before are dealt with by that, and the transaction of the copy says so: who is killed after it does not
/// copy anew what has changed a lot meanwhile.
fn seed(
    cx: &Context,
    course: &Course<'_>,
    way: &Way,
    pair: &mut Pair,
    batch: &Entries,
) -> Result<Tally, Error> {
    let taken =
        |target: &mut dyn Connection| ledger::take(target, &way.log.table.name, &batch.seqs);
    let tally = refresh::pass(cx, course, pair, &taken)?;
    trim(&mut *pair.source, &way.log.table, &batch.seqs)?;
    Ok(tally)
}

/// Whether a row met another one's unique key.
fn clashes(error: &Error) -> bool {
    matches!(error, Error::Database(error) if error.kind() == ErrorKind::Constraint(Constraint::Unique))
}
