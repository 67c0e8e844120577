//! The way through a table: keys of rows that are to leave, read some batches ahead without any lock, in the key's order.
//! What a key's row is by then is looked at again, under lock, when its turn comes.

use std::collections::VecDeque;

use chrono::NaiveDate;
use db::Connection;

use super::batch::Batch;
use super::facts::Facts;
use super::key::KeyText;
use super::period::{Pattern, date_of};
use super::stays::Stays;
use crate::context::Context;
use crate::error::Error;
use crate::statement::STATEMENT;

/// So many batches are read ahead with one query, and so many keys at most.
const AHEAD: usize = 20;
const MOST: usize = 20_000;

/// A key, with the text that chooses its target.
type Found = (KeyText, Option<String>);

/// A way through a table.
pub(super) struct Walk<'a> {
    facts: &'a Facts,
    /// Where rows go; without dates in it, one table.
    to: Option<Pattern>,
    ahead: VecDeque<Found>,
    last: Option<KeyText>,
    over: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(facts: &'a Facts, to: Option<Pattern>) -> Walk<'a> {
        Walk {
            facts,
            to,
            ahead: VecDeque::new(),
            last: None,
            over: false,
        }
    }

    /// The next rows, a batch a target; none at the end.
    pub(super) fn next(
        &mut self,
        cx: &Context,
        db: &mut dyn Connection,
        stays: &mut Stays,
    ) -> Result<Vec<Batch>, Error> {
        loop {
            if self.ahead.is_empty() && !self.over {
                self.look_ahead(cx, db)?;
            }
            let count = self.facts.batch.min(self.ahead.len());
            if count == 0 {
                return Ok(Vec::new());
            }
            let found: Vec<Found> = self.ahead.drain(..count).collect();
            let batches = self.sort(found, stays);
            if !batches.is_empty() {
                return Ok(batches);
            }
        }
    }

    fn look_ahead(&mut self, cx: &Context, db: &mut dyn Connection) -> Result<(), Error> {
        let facts = self.facts;
        let most = (facts.batch * AHEAD).clamp(facts.batch, MOST.max(facts.batch));
        let mut columns = facts.key.names();
        let width = columns.len();
        columns.extend(facts.by.as_ref().map(|by| by.name.clone()));
        let scan = facts.scan(&columns, self.last.as_ref(), most as u64);
        let _step = cx.step("look for rows", STATEMENT);
        let rows = db.query(&scan.sql, &scan.values);
        let mut rows = rows.map_err(|error| facts.unscanned(error))?;
        let places: Vec<usize> = (0..width).collect();
        while let Some(row) = rows.fetch()? {
            let by = (row.len() > width).then(|| row.cell(width)).flatten();
            let by = by.map(|text| String::from_utf8_lossy(text).into_owned());
            self.ahead.push_back((facts.key_of(row, &places), by));
        }
        self.over = self.ahead.len() < most;
        if let Some((last, _)) = self.ahead.back() {
            self.last = Some(last.clone());
        }
        Ok(())
    }

    /// Rows by the table that they go to, in the order in which tables turn up.
    fn sort(&self, found: Vec<Found>, stays: &mut Stays) -> Vec<Batch> {
        let plain = |to: String| Batch {
            to,
            ..Batch::default()
        };
        let Some(pattern) = &self.to else {
            let keys = found.into_iter().map(|(key, _)| key).collect();
            return vec![Batch {
                keys,
                ..plain(String::new())
            }];
        };
        if !pattern.is_dated() {
            let keys = found.into_iter().map(|(key, _)| key).collect();
            return vec![Batch {
                keys,
                ..plain(pattern.name(NaiveDate::default()))
            }];
        }
        let mut batches: Vec<Batch> = Vec::new();
        for (key, by) in found {
            let date = by.as_deref().and_then(date_of);
            let Some((date, span)) = date.and_then(|date| Some((date, pattern.span(date)?))) else {
                let shown = by.as_deref().unwrap_or("NULL");
                let shown: String = shown.chars().take(40).collect();
                stays.undated(&key, &shown);
                continue;
            };
            let to = pattern.name(date);
            match batches.iter_mut().find(|batch| batch.to == to) {
                Some(batch) => batch.keys.push(key),
                None => batches.push(Batch {
                    keys: vec![key],
                    span: Some(span),
                    ..plain(to)
                }),
            }
        }
        batches
    }
}
