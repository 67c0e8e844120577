//! A result set: text is lent as SQLite holds it, numbers and bytes are written into one buffer a row.

use super::fault::fault;
use super::kind::kind;
use super::watch::Watch;
use crate::{Cell, Cells, Column, Error, ErrorKind, Kind, Result, Row, Rows, form};
use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator;
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Statement};
use self_cell::{MutBorrow, self_cell};
use std::ops::Range;

type Steps<'s> = rusqlite::Rows<'s>;

self_cell!(
    /// A statement, and the rows that borrow it.
    struct Running<'c> {
        owner: MutBorrow<CachedStatement<'c>>,

        #[covariant]
        dependent: Steps,
    }
);

/// Where a cell's text is.
enum Place {
    Null,
    /// In SQLite's own memory, until the next step.
    Lent,
    /// In the buffer.
    Written(Range<usize>),
}

pub(super) struct SqliteRows<'c> {
    running: Running<'c>,
    watch: &'c Watch,
    action: String,
    columns: Vec<Column>,
    places: Vec<Place>,
    buffer: Vec<u8>,
    /// The first row is stepped to before anybody asks, so that a query fails where it is made.
    ahead: bool,
    over: bool,
}

impl<'c> SqliteRows<'c> {
    /// Runs a statement whose parameters are bound up to its first row.
    pub(super) fn start(
        statement: CachedStatement<'c>,
        watch: &'c Watch,
        action: String,
    ) -> Result<Self> {
        let columns = columns(&statement);
        let running = Running::new(MutBorrow::new(statement), |statement| {
            statement.borrow_mut().raw_query()
        });
        let mut rows = SqliteRows {
            running,
            watch,
            action,
            places: Vec::with_capacity(columns.len()),
            columns,
            buffer: Vec::new(),
            ahead: true,
            over: false,
        };
        rows.step()?;
        rows.learn_kinds();
        Ok(rows)
    }

    fn step(&mut self) -> Result<()> {
        let stepped = self.running.with_dependent_mut(|_, steps| steps.advance());
        stepped.map_err(|error| {
            self.over = true;
            fault(&self.action, self.watch, error)
        })?;
        self.over = self.running.borrow_dependent().get().is_none();
        Ok(())
    }

    /// An expression has no declared type; its first value's storage tells what it is.
    fn learn_kinds(&mut self) {
        let Some(row) = self.running.borrow_dependent().get() else {
            return;
        };
        for (index, column) in self.columns.iter_mut().enumerate() {
            if !column.declared.is_empty() {
                continue;
            }
            column.kind = match row.get_ref(index) {
                Ok(ValueRef::Integer(_)) => Kind::Integer,
                Ok(ValueRef::Real(_)) => Kind::Real,
                Ok(ValueRef::Text(_)) => Kind::Text,
                Ok(ValueRef::Blob(_)) => Kind::Blob,
                Ok(ValueRef::Null) | Err(_) => Kind::Other,
            };
        }
    }

    /// Finds or writes the text of every cell of the row that was stepped to.
    fn place_cells(&mut self) -> Result<()> {
        self.places.clear();
        self.buffer.clear();
        let Some(row) = self.running.borrow_dependent().get() else {
            return Ok(());
        };
        for (index, column) in self.columns.iter().enumerate() {
            let value = row
                .get_ref(index)
                .map_err(|error| fault(&self.action, self.watch, error))?;
            let from = self.buffer.len();
            match value {
                ValueRef::Null => {
                    self.places.push(Place::Null);
                    continue;
                }
                ValueRef::Text(text) if column.kind != Kind::Blob => {
                    if std::str::from_utf8(text).is_err() {
                        return Err(Error::new(ErrorKind::Type, &self.action)
                            .at_column(&column.name)
                            .because("the text is not UTF-8"));
                    }
                    self.places.push(Place::Lent);
                    continue;
                }
                ValueRef::Integer(value) => form::write_integer(&mut self.buffer, value),
                ValueRef::Real(value) => form::write_float(&mut self.buffer, value),
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                    form::write_hex(&mut self.buffer, bytes)
                }
            }
            self.places.push(Place::Written(from..self.buffer.len()));
        }
        Ok(())
    }
}

pub(super) fn columns(statement: &Statement<'_>) -> Vec<Column> {
    let of = |column: rusqlite::Column<'_>| {
        let declared = column.decl_type().unwrap_or_default().to_owned();
        Column {
            name: column.name().to_owned(),
            kind: kind(&declared),
            declared,
        }
    };
    statement.columns().map(of).collect()
}

impl Rows for SqliteRows<'_> {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn fetch(&mut self) -> Result<Option<Row<'_>>> {
        if !std::mem::take(&mut self.ahead) && !self.over {
            self.watch.again();
            self.step()?;
        }
        if self.over {
            return Ok(None);
        }
        self.place_cells()?;
        Ok(Some(Row::new(self)))
    }
}

impl Cells for SqliteRows<'_> {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn cell(&self, index: usize) -> Cell<'_> {
        match &self.places[index] {
            Place::Null => None,
            Place::Written(range) => Some(&self.buffer[range.clone()]),
            Place::Lent => match self.running.borrow_dependent().get()?.get_ref(index) {
                Ok(ValueRef::Text(text)) => Some(text),
                _ => None,
            },
        }
    }
}
