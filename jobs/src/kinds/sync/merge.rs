//! Two streams of rows in the order of their keys, held against each other: what is new, what has changed, what is gone.

use std::cmp::Ordering;

use db::Cell;

use super::compare::{Likeness, Order};
use super::flow::{Lot, OneRow, Stream};
use crate::context::Context;
use crate::error::Error;

/// By what rows are told apart and compared.
#[derive(Debug)]
pub(super) struct Rules {
    /// The lanes of the key.
    pub(super) key: Vec<(usize, Order)>,
    /// Further lanes.
    pub(super) compared: Vec<(usize, Likeness)>,
    /// Cells of the target's rows that have one value for all.
    pub(super) constant: Vec<(usize, Likeness, String)>,
    /// On one side an empty text is NULL.
    pub(super) empty_is_null: bool,
}

/// A row that is not the same on both sides.
pub(super) enum Found<'r> {
    /// The source's row, which is new or has changed.
    Wanted(OneRow<'r>),
    /// The target's row, which is gone from the source.
    Gone(OneRow<'r>),
}

/// How many rows were held against each other.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) there: u64,
    pub(super) here: u64,
}

/// Walks both streams to their ends and shows each row that differs, in the order of the keys.
pub(super) fn merge(
    cx: &Context,
    rules: &Rules,
    there: &mut Stream<'_>,
    here: &mut Stream<'_>,
    take: &mut dyn FnMut(Found<'_>) -> Result<(), Error>,
) -> Result<Seen, Error> {
    let (mut there, mut here) = (Head::new(there, "source"), Head::new(here, "target"));
    let (mut more, mut others) = (there.settle(cx)?, here.settle(cx)?);
    loop {
        let order = match (more, others) {
            (false, false) => break,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (true, true) => rules.order(there.row(), here.row())?,
        };
        match order {
            Ordering::Less => take(Found::Wanted(there.row()))?,
            Ordering::Greater => take(Found::Gone(here.row()))?,
            Ordering::Equal if rules.differ(there.row(), here.row()) => {
                take(Found::Wanted(there.row()))?;
            }
            Ordering::Equal => {}
        }
        if order != Ordering::Greater {
            more = there.step(cx, rules)?;
        }
        if order != Ordering::Less {
            others = here.step(cx, rules)?;
        }
    }
    Ok(Seen {
        there: there.rows,
        here: here.rows,
    })
}

impl Rules {
    fn order(&self, one: OneRow<'_>, other: OneRow<'_>) -> Result<Ordering, Error> {
        for (lane, order) in &self.key {
            let (Some(one), Some(other)) = (one.get(*lane), other.get(*lane)) else {
                return Err(Error::Data("a row has no value in its key".to_owned()));
            };
            let found = order.compare(one, other);
            if found != Ordering::Equal {
                return Ok(found);
            }
        }
        Ok(Ordering::Equal)
    }

    fn differ(&self, there: OneRow<'_>, here: OneRow<'_>) -> bool {
        let same = |likeness: &Likeness, there: Cell<'_>, here: Cell<'_>| {
            let counts = |text: &&[u8]| !self.empty_is_null || !text.is_empty();
            likeness.same(there.filter(counts), here.filter(counts))
        };
        let lanes = |(lane, likeness): &(usize, Likeness)| {
            !same(likeness, there.get(*lane), here.get(*lane))
        };
        let constant = |(cell, likeness, text): &(usize, Likeness, String)| {
            !same(likeness, Some(text.as_bytes()), here.get(*cell))
        };
        self.compared.iter().any(lanes) || self.constant.iter().any(constant)
    }

    fn key_of(&self, row: OneRow<'_>) -> Vec<Vec<u8>> {
        self.key
            .iter()
            .map(|(lane, _)| row.get(*lane).unwrap_or_default().to_vec())
            .collect()
    }
}

/// Where one of the streams is.
struct Head<'s, 'scope> {
    stream: &'s mut Stream<'scope>,
    side: &'static str,
    lot: Lot,
    at: usize,
    rows: u64,
}

impl<'s, 'scope> Head<'s, 'scope> {
    fn new(stream: &'s mut Stream<'scope>, side: &'static str) -> Self {
        Head {
            stream,
            side,
            lot: Lot::default(),
            at: 0,
            rows: 0,
        }
    }

    fn row(&self) -> OneRow<'_> {
        self.lot.row(self.at)
    }

    /// Sees to it that there is a row; whether there is.
    fn settle(&mut self, cx: &Context) -> Result<bool, Error> {
        while self.at >= self.lot.len() {
            let Some(next) = self.stream.lot(cx)? else {
                return Ok(false);
            };
            cx.progress(next.len() as u64, next.size());
            self.stream
                .give_back(std::mem::replace(&mut self.lot, next));
            self.at = 0;
        }
        Ok(true)
    }

    /// Goes on to the next row; whether there is one.
    fn step(&mut self, cx: &Context, rules: &Rules) -> Result<bool, Error> {
        self.rows += 1;
        self.at += 1;
        if self.at < self.lot.len() {
            let order = rules.order(self.lot.row(self.at - 1), self.row())?;
            return self.ascending(order).map(|()| true);
        }
        let last = rules.key_of(self.lot.row(self.at - 1));
        if !self.settle(cx)? {
            return Ok(false);
        }
        let pairs = rules
            .key
            .iter()
            .zip(last.iter().zip(rules.key_of(self.row())));
        let order = pairs
            .map(|((_, order), (last, next))| order.compare(last, &next))
            .find(|order| *order != Ordering::Equal);
        self.ascending(order.unwrap_or(Ordering::Equal))
            .map(|()| true)
    }

    /// Rows that come in another order than was asked for, or twice, would be taken for what they are not.
    fn ascending(&self, order: Ordering) -> Result<(), Error> {
        if order == Ordering::Less {
            return Ok(());
        }
        Err(Error::Data(format!(
            "the {} has two rows of one key, or sorts its keys in an order of its own: mode=\"refresh\" needs no order",
            self.side
        )))
    }
}
