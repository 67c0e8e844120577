//! Mode `batch`: the target's rows become the source's, key by key, so many rows a transaction.
//!
//! First both sides are compared, each in a snapshot: by fingerprints of spans of the key that both servers compute (`chunks`), and then row by row within the
//! spans that differ (`merge`); where servers cannot be compared, row by row throughout, in the order of the key. What differs is gathered in a temporary table of the
//! target, deletes with numbers below zero. Only when all is known, and the guard has nothing against it, lot after lot is carried over.

use std::thread;

use db::{Connection, ErrorKind, Load, Loader};

use super::carry::{finish, refuse};
use super::chunks::{Chunks, Span};
use super::compare::{Likeness, Order};
use super::facts::{Course, number};
use super::flow::Stream;
use super::mapping::{Lane, Mapping, Origin};
use super::merge::{Found, Rules, Seen, merge};
use super::refresh::{commit, guard};
use super::stage::Staging;
use crate::context::Context;
use crate::error::Error;
use crate::job::{Count, Tally};

/// So many spans are read by one statement.
const SPANS: usize = 100;

/// The connections of a pass.
pub(super) struct Sides<'a> {
    pub(super) source: &'a mut dyn Connection,
    /// The target, read in a snapshot.
    pub(super) reader: &'a mut dyn Connection,
    pub(super) target: &'a mut dyn Connection,
}

/// What was found.
#[derive(Debug, Default)]
struct Differences {
    wanted: u64,
    gone: u64,
    seen: Seen,
}

/// One pass.
pub(super) fn pass(cx: &Context, course: &Course<'_>, sides: Sides<'_>) -> Result<Tally, Error> {
    let Sides {
        source,
        reader,
        target,
    } = sides;
    let facts = course.facts;
    let (spans, read) = suspects(cx, course, source, reader)?;
    let mut tally = Tally {
        read,
        ..Tally::default()
    };
    if spans.as_ref().is_some_and(Vec::is_empty) {
        source.rollback()?;
        reader.rollback()?;
        log::info!(
            "{} -> {}: {}, no difference",
            course.table.from,
            facts.to,
            Count(read, "row")
        );
        return Ok(tally);
    }
    let stage = Staging::make(course, target, true, true)?;
    target.begin()?;
    let found = gather(
        cx,
        course,
        &stage,
        (source, reader),
        target,
        spans.as_deref(),
    )?;
    // a file of SQLite that is both sides takes no commit, be it of a temporary table, while somebody reads
    source.rollback()?;
    reader.rollback()?;
    commit(cx, target)?;
    if spans.is_none() {
        tally.read = found.seen.there;
    }
    let counts = apply(cx, course, &stage, target, &found)?;
    stage.drop(target)?;
    let [inserted, updated, deleted] = counts;
    tally.written = inserted + updated + deleted;
    log::info!(
        "{} -> {}: {}, {inserted} inserted, {updated} updated, {deleted} deleted",
        course.table.from,
        facts.to,
        Count(tally.read, "row")
    );
    Ok(tally)
}

/// Whether the rows of both sides come in one order by their key.
pub(super) fn is_comparable(course: &Course<'_>) -> bool {
    key_orders(&course.facts.mapping, course).is_ok()
}

/// What a pass would do: how many rows it would write, and how many delete. Changes nothing.
pub(super) fn rehearse(
    cx: &Context,
    course: &Course<'_>,
    source: &mut dyn Connection,
    reader: &mut dyn Connection,
) -> Result<(u64, u64), Error> {
    let (spans, _) = suspects(cx, course, source, reader)?;
    let given = course.facts.mapping.given_texts(cx.now());
    let mut gathering = Gathering {
        course,
        given: &given,
        loader: None,
        found: Differences::default(),
    };
    gathering.all(cx, (source, reader), spans.as_deref())?;
    source.rollback()?;
    reader.rollback()?;
    Ok((gathering.found.wanted, gathering.found.gone))
}

/// Begins the snapshots, and finds the spans that may differ; none: all. With the number of the source's rows where it is known.
fn suspects(
    cx: &Context,
    course: &Course<'_>,
    source: &mut dyn Connection,
    reader: &mut dyn Connection,
) -> Result<(Option<Vec<Span>>, u64), Error> {
    key_orders(&course.facts.mapping, course)?;
    source.begin_snapshot()?;
    reader.begin_snapshot()?;
    cx.phase("comparing");
    let Some(chunks) = Chunks::new(cx, course) else {
        return Ok((None, 0));
    };
    let (spans, read) = match chunks.differing(source, reader) {
        Err(Error::Database(error)) if error.kind() == ErrorKind::Missing => {
            log::info!(
                "{} -> {}: all rows are compared one by one, as a server cannot sum them up: {}",
                course.table.from,
                course.facts.to,
                Error::from(error).chain()
            );
            source.rollback()?;
            reader.rollback()?;
            source.begin_snapshot()?;
            reader.begin_snapshot()?;
            return Ok((None, 0));
        }
        found => found?,
    };
    // what is left to be read is little; one sort of server is on both sides
    if let Some(sql) = source.dialect().unshared() {
        source.batch(sql)?;
        reader.batch(sql)?;
    }
    Ok((Some(spans), read))
}

/// Whether rows come in the order of the texts of this number: the other side has text.
fn is_spelt(from: db::Kind, to: db::Kind) -> bool {
    let spelt = |one: db::Kind, other: db::Kind| {
        matches!(one, db::Kind::Integer | db::Kind::Decimal) && !other.is_number()
    };
    spelt(from, to) || spelt(to, from)
}

/// The order of each lane of the key.
fn key_orders(mapping: &Mapping, course: &Course<'_>) -> Result<Vec<(usize, Order)>, Error> {
    let order = |lane: &usize| match &mapping.lanes[*lane] {
        Lane {
            to,
            from: Origin::Column(from),
        } if Order::of(to.kind) == Order::of(from.kind) => Ok((*lane, Order::of(to.kind))),
        Lane {
            to,
            from: Origin::Column(from),
        } if is_spelt(from.kind, to.kind) => Ok((*lane, Order::Bytes)),
        Lane { to, .. } => Err(Error::Invalid(format!(
            "{} -> {}: the key's column {} is not of one sort on both sides, so that rows come in different orders: mode=\"refresh\" needs none",
            course.table.from, course.facts.to, to.name
        ))),
    };
    mapping.key.iter().map(order).collect()
}

/// Holds both sides against each other, and loads what differs into the stage.
fn gather(
    cx: &Context,
    course: &Course<'_>,
    stage: &Staging<'_>,
    sides: (&mut dyn Connection, &mut dyn Connection),
    target: &mut dyn Connection,
    spans: Option<&[Span]>,
) -> Result<Differences, Error> {
    let (names, info) = (stage.names(), stage.info());
    let into = stage.load(&names);
    let given = course.facts.mapping.given_texts(cx.now());
    let loader = target.load_known(&into, &info)?;
    let mut gathering = Gathering {
        course,
        given: &given,
        loader: Some((loader, &into)),
        found: Differences::default(),
    };
    gathering.all(cx, sides, spans)?;
    if let Some((loader, into)) = gathering.loader {
        finish(cx, course, into, loader)?;
    }
    Ok(gathering.found)
}

/// Rows that differ, on their way into the stage.
struct Gathering<'a, 't> {
    course: &'a Course<'a>,
    /// The values that are the same for all rows.
    given: &'a [String],
    /// None: they are only counted.
    loader: Option<(Box<dyn Loader + 't>, &'a Load<'a>)>,
    found: Differences,
}

impl Gathering<'_, '_> {
    /// Compares all rows, or those of the spans.
    fn all(
        &mut self,
        cx: &Context,
        (source, reader): (&mut dyn Connection, &mut dyn Connection),
        spans: Option<&[Span]>,
    ) -> Result<(), Error> {
        let whole: [&[Span]; 1] = [&[]];
        let parts: Vec<&[Span]> = match spans {
            Some(spans) => spans.chunks(SPANS).collect(),
            None => whole.to_vec(),
        };
        for part in parts {
            self.compare(cx, &mut *source, &mut *reader, part)?;
            if let Some((loader, into)) = &mut self.loader {
                refuse(self.course, into, loader.rejects())?;
            }
        }
        Ok(())
    }

    /// Compares all rows, or those of some spans.
    fn compare(
        &mut self,
        cx: &Context,
        source: &mut dyn Connection,
        reader: &mut dyn Connection,
        spans: &[Span],
    ) -> Result<(), Error> {
        let (facts, course) = (self.course.facts, self.course);
        let mapping = &facts.mapping;
        let orders = key_orders(mapping, course)?;
        let kinds = |of: fn(&Lane) -> db::Kind| -> Vec<(usize, db::Kind)> {
            mapping
                .key
                .iter()
                .map(|lane| {
                    let (way, kind) = (&mapping.lanes[*lane], of(&mapping.lanes[*lane]));
                    let spelt = is_spelt(source_kind(way), way.to.kind);
                    // by its text, whatever it is
                    (*lane, if spelt { db::Kind::Other } else { kind })
                })
                .collect()
        };
        let there = facts.reading.ordered(&kinds(source_kind), spans);
        let here = facts.writing.ordered(&kinds(|lane| lane.to.kind), spans);
        thread::scope(|scope| {
            let mut there = Stream::start(scope, cx, source, there)?;
            let mut here = Stream::start(scope, cx, reader, here)?;
            there.prepare(cx)?;
            here.prepare(cx)?;
            let sides = [facts.reading.dialect, facts.writing.dialect];
            let rules = Rules {
                empty_is_null: sides.iter().any(|dialect| dialect.empty_is_null()),
                ..rules(mapping, orders, &there.columns, &here.columns)
            };
            let seen = merge(cx, &rules, &mut there, &mut here, &mut |found| {
                self.take(found)
            })?;
            self.found.seen.there += seen.there;
            self.found.seen.here += seen.here;
            Ok(())
        })
    }

    /// Loads a row into the stage, with its turn.
    fn take(&mut self, found: Found<'_>) -> Result<(), Error> {
        let batch = self.course.table.batch;
        let lanes = self.course.facts.mapping.lanes.len();
        let (row, turn) = match found {
            Found::Wanted(row) => {
                self.found.wanted += 1;
                (row, lot_of(self.found.wanted, batch))
            }
            Found::Gone(row) => {
                self.found.gone += 1;
                (row, -lot_of(self.found.gone, batch))
            }
        };
        let Some((loader, _)) = &mut self.loader else {
            return Ok(());
        };
        let turn_text = turn.to_string();
        let mut cells: Vec<db::Cell<'_>> = (0..lanes).map(|at| row.get(at)).collect();
        if turn > 0 {
            cells.extend(self.given.iter().map(|text| Some(text.as_bytes())));
        } else {
            cells.extend((0..self.given.len()).map(|at| row.get(lanes + at)));
        }
        cells.push(Some(turn_text.as_bytes()));
        Ok(loader.push(&cells)?)
    }
}

/// The turn of the n-th row, from 1.
fn lot_of(row: u64, batch: u64) -> i64 {
    i64::try_from(row.div_ceil(batch)).unwrap_or(i64::MAX)
}

fn source_kind(lane: &Lane) -> db::Kind {
    match &lane.from {
        Origin::Column(column) => column.kind,
        Origin::Expression(_) => lane.to.kind,
    }
}

/// How rows are compared whose columns are these.
fn rules(
    mapping: &Mapping,
    key: Vec<(usize, Order)>,
    there: &[db::Column],
    here: &[db::Column],
) -> Rules {
    let is_padded = |declared: &str| {
        let declared = declared.to_ascii_lowercase();
        declared.starts_with("char") || declared.starts_with("nchar")
    };
    let lanes = mapping
        .lanes
        .iter()
        .enumerate()
        .filter(|(at, _)| !mapping.key.contains(at));
    let compared = lanes.map(|(at, lane)| {
        let of =
            |columns: &[db::Column]| columns.get(at).map_or(lane.to.kind, |column| column.kind);
        let from = match &lane.from {
            Origin::Column(column) => column.declared.as_str(),
            Origin::Expression(_) => "",
        };
        let fixed = |declared: &str| is_padded(declared) && !declared.contains("varying");
        let padded = fixed(from) || fixed(&lane.to.declared);
        (at, Likeness::of(of(there), of(here), padded))
    });
    let constant = mapping.given.iter().enumerate().filter_map(|(at, given)| {
        let likeness = Likeness::of(given.to.kind, given.to.kind, false);
        Some((mapping.lanes.len() + at, likeness, given.text.clone()?))
    });
    Rules {
        key,
        compared: compared.collect(),
        constant: constant.collect(),
        empty_is_null: false,
    }
}

/// Carries lot after lot over: how many rows were inserted, updated, deleted.
fn apply(
    cx: &Context,
    course: &Course<'_>,
    stage: &Staging<'_>,
    target: &mut dyn Connection,
    found: &Differences,
) -> Result<[u64; 3], Error> {
    if found.gone > 0 {
        let before = number(cx, target, &course.facts.writing.count())?;
        guard(course, found.gone, before)?;
    }
    stage.measure(target)?;
    let batch = course.table.batch;
    let [mut inserted, mut updated, mut deleted] = [0; 3];
    for lot in 1..=lot_of(found.gone, batch) {
        cx.checkpoint()?;
        target.begin()?;
        deleted += stage.delete(cx, target, -lot)?;
        commit(cx, target)?;
    }
    for lot in 1..=lot_of(found.wanted, batch) {
        cx.checkpoint()?;
        target.begin()?;
        updated += stage.update(cx, target, Some(lot))?;
        inserted += stage.insert(cx, target, Some(lot))?;
        commit(cx, target)?;
    }
    Ok([inserted, updated, deleted])
}
