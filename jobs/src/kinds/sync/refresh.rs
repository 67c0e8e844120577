//! Mode `refresh`: the target's rows become the source's, in one transaction.
//!
//! An empty target is loaded straight. Otherwise the source's rows are gathered in a temporary table beside the target; then rows that are gone are
//! deleted, rows that differ updated, rows that are new inserted, each by one statement, and all of it committed at once.

use super::carry::carry;
use super::facts::{Course, number};
use super::link;
use super::params::Share;
use super::pass::Pair;
use super::stage::Staging;
use crate::context::Context;
use crate::error::Error;
use crate::job::{Count, Tally};
use crate::statement::STATEMENT;
use db::{Connection, Load, Mode, TableInfo};

/// What is to be committed together with the rows.
type Also<'a> = &'a dyn Fn(&mut dyn Connection) -> db::Result<()>;

/// One pass; `also` writes what the same transaction of the target carries beside the rows.
pub(super) fn pass(
    cx: &Context,
    course: &Course<'_>,
    pair: &mut Pair,
    also: Also<'_>,
) -> Result<Tally, Error> {
    let (source, target) = (&mut *pair.source, &mut *pair.target);
    let facts = course.facts;
    let empty = facts.writing.any().first_row(cx, target)?.is_empty();
    // the target's server reads by itself
    if !facts.linked {
        source.begin_snapshot()?;
    }
    let tally = if empty && facts.mapping.numbered.is_empty() && !pair.one_file {
        fill(cx, course, (source, target), also)?
    } else {
        renew(cx, course, (source, target), also)?
    };
    source.rollback()?;
    Ok(tally)
}

/// Loads an empty target.
fn fill(
    cx: &Context,
    course: &Course<'_>,
    (source, target): (&mut dyn Connection, &mut dyn Connection),
    also: Also<'_>,
) -> Result<Tally, Error> {
    let facts = course.facts;
    let names = facts.mapping.names();
    let into = Load {
        table: &facts.to,
        columns: &names,
        mode: Mode::Append,
    };
    target.begin()?;
    let mut tally = bring(cx, course, source, target, (&into, &facts.target))?;
    also(target)?;
    commit(cx, target)?;
    tally.written = tally.read;
    log::info!(
        "{} -> {}: {} into the empty table",
        course.table.from,
        facts.to,
        Count(tally.written, "row")
    );
    Ok(tally)
}

/// Makes a target that has rows what the source is.
fn renew(
    cx: &Context,
    course: &Course<'_>,
    (source, target): (&mut dyn Connection, &mut dyn Connection),
    also: Also<'_>,
) -> Result<Tally, Error> {
    let facts = course.facts;
    let keyed = !facts.mapping.key.is_empty();
    let stage = Staging::make(course, target, keyed, false)?;
    let names = stage.names();
    target.begin()?;
    let into = (&stage.load(&names), &stage.info());
    let mut tally = bring(cx, course, source, target, into)?;
    // what is left to do needs no source, and may take its time
    source.rollback()?;
    commit(cx, target)?;
    stage.measure(target)?;
    cx.checkpoint()?;
    target.begin()?;
    let before = number(cx, target, &facts.writing.count())?;
    let deleted = stage.delete_others(cx, target)?;
    // without a key all rows are written anew: what counts is how many fewer there will be
    let fewer = if keyed {
        deleted
    } else {
        deleted.saturating_sub(tally.read)
    };
    guard(course, fewer, before)?;
    cx.checkpoint()?;
    let updated = if keyed {
        stage.update(cx, target, None)?
    } else {
        0
    };
    cx.checkpoint()?;
    let inserted = stage.insert(cx, target, None)?;
    also(target)?;
    commit(cx, target)?;
    stage.drop(target)?;
    tally.written = deleted + updated + inserted;
    log::info!(
        "{} -> {}: {} read, {inserted} inserted, {updated} updated, {deleted} deleted",
        course.table.from,
        facts.to,
        Count(tally.read, "row")
    );
    Ok(tally)
}

/// Brings all rows of the source into a table of the target: by us, or by the target's server itself.
fn bring(
    cx: &Context,
    course: &Course<'_>,
    source: &mut dyn Connection,
    target: &mut dyn Connection,
    into: (&Load<'_>, &TableInfo),
) -> Result<Tally, Error> {
    if course.facts.linked {
        return link::fetch(cx, course, target, (into.0.table, into.0.columns));
    }
    carry(cx, course, course.facts.reading.all(), source, target, into)
}

/// Makes the target's transaction durable.
pub(super) fn commit(cx: &Context, target: &mut dyn Connection) -> Result<(), Error> {
    let _step = cx.step("commit", STATEMENT);
    Ok(target.commit()?)
}

/// Stops a run that would delete too much.
pub(super) fn guard(course: &Course<'_>, deleted: u64, before: u64) -> Result<(), Error> {
    let Share(most) = course.table.max_delete;
    if u128::from(deleted) * 100 <= u128::from(before) * u128::from(most) {
        return Ok(());
    }
    Err(Error::Data(format!(
        "{} of {before} rows of {} are not in the source any more and would be deleted, which is more than max-delete=\"{most}%\" allows: nothing was changed",
        deleted, course.facts.to
    )))
}
