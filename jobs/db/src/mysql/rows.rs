//! A result set: text is lent where it lies in the input buffer, all else is written into one buffer a row.

use super::fault::{Trouble, fault, foreign};
use super::kind::Shape;
use super::statement::{Prepared, columns, drain, prepare};
use super::value::{Spelled, spell};
use super::wire::{Packet, Wire};
use crate::{Cell, Cells, Column, Error, Result, Row, Rows};
use std::ops::Range;

/// What is read of a result that nobody wants before its statement is stopped instead.
const LEFT_OVER: u32 = 2000;

#[derive(Debug)]
enum Place {
    Null,
    /// From the row's packet.
    Lent(Range<usize>),
    Written(Range<usize>),
}

#[derive(Debug)]
pub(super) struct MysqlRows<'c> {
    wire: &'c mut Wire,
    action: String,
    statement: Option<Prepared>,
    columns: Vec<Column>,
    shapes: Vec<Shape>,
    places: Vec<Place>,
    buffer: Vec<u8>,
    /// The row that is lent.
    row: Option<Packet>,
    /// The first row is taken before anybody asks, so that a query fails where it is made.
    ahead: bool,
    over: bool,
}

impl<'c> MysqlRows<'c> {
    /// Runs a query up to its first row.
    pub(super) fn start(
        wire: &'c mut Wire,
        sql: &str,
        params: &[Cell<'_>],
        action: String,
    ) -> Result<Self> {
        let mut rows = MysqlRows {
            wire,
            action,
            statement: None,
            columns: Vec::new(),
            shapes: Vec::new(),
            places: Vec::new(),
            buffer: Vec::new(),
            row: None,
            ahead: true,
            over: true,
        };
        match rows.begin(sql, params) {
            Ok(()) => {}
            Err(trouble) => return Err(rows.fail(trouble)),
        }
        Ok(rows)
    }

    fn begin(&mut self, sql: &str, params: &[Cell<'_>]) -> Result<(), Trouble> {
        self.wire.start()?;
        let statement = prepare(self.wire, sql)?;
        self.statement = Some(statement);
        statement.execute(self.wire, params)?;
        match columns(self.wire)? {
            Err(done) => {
                if done.more {
                    drain(self.wire)?;
                }
            }
            Ok(columns) => {
                (self.columns, self.shapes) = columns.into_iter().unzip();
                self.over = false;
                self.step()?;
            }
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), Trouble> {
        self.row = None;
        let packet = self.wire.answer().inspect_err(|_| self.over = true)?;
        match self.wire.ends(&packet) {
            None => self.row = Some(packet),
            Some(more) => {
                self.over = true;
                if more {
                    drain(self.wire)?;
                }
                self.wire.watch.rest();
            }
        }
        Ok(())
    }

    fn fail(&mut self, trouble: Trouble) -> Error {
        self.over = true;
        self.wire.watch.rest();
        fault(&self.action, &self.wire.watch, trouble)
    }

    fn place_cells(&mut self, packet: &Packet) -> Result<(), Trouble> {
        self.places.clear();
        self.buffer.clear();
        let torn = || foreign("a row that breaks off");
        let whole = self.wire.body(packet);
        let nulls = whole
            .get(1..1 + (self.columns.len() + 9) / 8)
            .ok_or_else(torn)?;
        let mut rest = &whole[1 + nulls.len()..];
        for (index, (shape, column)) in self.shapes.iter().zip(&self.columns).enumerate() {
            if nulls[(index + 2) / 8] >> ((index + 2) % 8) & 1 == 1 {
                self.places.push(Place::Null);
                continue;
            }
            let from = self.buffer.len();
            self.places.push(
                match spell(*shape, column.kind, &mut rest, &mut self.buffer).ok_or_else(torn)? {
                    Spelled::Written => Place::Written(from..self.buffer.len()),
                    Spelled::Lent(text) => {
                        let end = whole.len() - rest.len();
                        Place::Lent(end - text.len()..end)
                    }
                },
            );
        }
        Ok(())
    }

    /// Makes the connection ready for the next statement.
    fn end(&mut self) -> Result<(), Trouble> {
        let mut left = 0;
        while !self.over {
            self.step()?;
            left += 1;
            if left == LEFT_OVER {
                self.wire.stopper.stop(&self.wire.watch, |_| {});
            }
        }
        self.wire.watch.rest();
        match self.statement.take() {
            Some(statement) => statement.close(self.wire),
            None => Ok(()),
        }
    }
}

impl Rows for MysqlRows<'_> {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn fetch(&mut self) -> Result<Option<Row<'_>>> {
        if !std::mem::take(&mut self.ahead) && !self.over {
            self.step().map_err(|trouble| self.fail(trouble))?;
        }
        let Some(packet) = self.row.clone().filter(|_| !self.over) else {
            return Ok(None);
        };
        self.place_cells(&packet)
            .map_err(|trouble| self.fail(trouble))?;
        Ok(Some(Row::new(self)))
    }
}

impl Cells for MysqlRows<'_> {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn cell(&self, index: usize) -> Cell<'_> {
        match &self.places[index] {
            Place::Null => None,
            Place::Written(range) => Some(&self.buffer[range.clone()]),
            Place::Lent(range) => self
                .row
                .as_ref()
                .map(|packet| &self.wire.body(packet)[range.clone()]),
        }
    }
}

impl Drop for MysqlRows<'_> {
    fn drop(&mut self) {
        match self.end() {
            // stopped by ourselves
            Ok(()) | Err(Trouble::Refused(_)) => {}
            Err(trouble) => log::debug!("{}, leaving it early: {trouble:?}", self.action),
        }
        if let Some(statement) = self.statement.take()
            && let Err(trouble) = statement.close(self.wire)
        {
            log::debug!("{}: {trouble:?}", self.action);
        }
    }
}
