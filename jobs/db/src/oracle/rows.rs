//! A result set. The driver fetches rows by arrays; texts are lent where it left them, all else is written into one buffer a row.
//!
//! The statement is run before any row is fetched, for its columns: what the driver cannot read (times of the local zone, JSON, XML,
//! vectors) the server then spells, by the same query within another one.

use super::dialect::Oracle;
use super::fault::Trouble;
use super::kind::{Shape, is_long};
use super::link::{Link, Open, bound, sendable, texts};
use super::name::shown;
use super::value::{Spelled, spell};
use crate::{Cell, Cells, Column, Dialect, Error, ErrorKind, Result, Row, Rows};
use oracledb::{Cursor, Metadata, ToDbValue};
use std::collections::VecDeque;
use std::ops::Range;

/// How many rows are fetched at once, and how many where a value may be long.
const ROWS: u32 = 500;
const LONG_ROWS: u32 = 8;

#[derive(Debug)]
enum Place {
    Null,
    /// The driver's own text.
    Lent,
    Written(Range<usize>),
}

pub(super) struct OracleRows<'c> {
    link: &'c Link,
    cursor: Cursor,
    action: String,
    columns: Vec<Column>,
    shapes: Vec<Shape>,
    /// How many rows are taken from the driver at once: as many as it fetches, so that one wait is for one fetch.
    rows: u32,
    ready: VecDeque<oracledb::Row>,
    /// What came after the last row that is ready.
    failed: Option<Trouble>,
    over: bool,
    row: Option<oracledb::Row>,
    places: Vec<Place>,
    buffer: Vec<u8>,
}

impl<'c> OracleRows<'c> {
    /// Runs a query up to its first row.
    pub(super) fn start(
        link: &'c mut Link,
        sql: &str,
        params: &[Cell<'_>],
        action: String,
    ) -> Result<Self> {
        if link.open == Open::Snapshot(false) {
            link.open = Open::Snapshot(true);
        }
        let link = &*link;
        let fault = |trouble| link.fault(&action, trouble);
        let texts = texts(params).map_err(fault)?;
        let names: Vec<String> = (1..=texts.len()).map(|n| n.to_string()).collect();
        let bound = bound(&names, &texts);
        let sql = sendable(sql).map_err(fault)?;
        let mut cursor = run(link, sql, &bound, ROWS).map_err(fault)?;
        let (columns, mut shapes) = describe(cursor.columns());
        let long = cursor
            .columns()
            .iter()
            .any(|column| is_long(column.db_type().name()));
        let spelled = spelled(sql, &columns, &shapes, &action)?;
        let mut rows = ROWS;
        if long || spelled.is_some() {
            rows = LONG_ROWS;
            drop(cursor);
            cursor = run(link, spelled.as_deref().unwrap_or(sql), &bound, rows).map_err(fault)?;
        }
        if spelled.is_some() {
            shapes = describe(cursor.columns()).1;
        }
        Ok(OracleRows {
            link,
            cursor,
            action,
            columns,
            shapes,
            rows,
            ready: VecDeque::new(),
            failed: None,
            over: false,
            row: None,
            places: Vec::new(),
            buffer: Vec::new(),
        })
    }

    /// Waits for the next rows.
    fn fill(&mut self) {
        if self.over {
            return;
        }
        if let Some(end) = self.link.gate.end() {
            self.failed = Some(Trouble::Over(end));
            return;
        }
        self.link.gate.begin();
        let mut done = Ok(());
        for _ in 0..self.rows {
            match self.cursor.next() {
                Some(Ok(row)) => self.ready.push_back(row),
                Some(Err(error)) => done = Err(error),
                None => self.over = true,
            }
            if self.over || done.is_err() {
                break;
            }
        }
        self.failed = self.link.settle(done).err();
        self.over |= self.failed.is_some();
    }

    fn place_cells(&mut self) -> Result<(), Trouble> {
        self.places.clear();
        self.buffer.clear();
        let Some(row) = &self.row else { return Ok(()) };
        for (index, shape) in self.shapes.iter().enumerate() {
            let from = self.buffer.len();
            let spelled = spell(*shape, row, index, &mut self.buffer);
            let spelled = spelled.map_err(|error| Trouble::Unable(error.to_string()))?;
            self.places.push(match spelled {
                Spelled::Null => Place::Null,
                Spelled::Lent => Place::Lent,
                Spelled::Written => Place::Written(from..self.buffer.len()),
            });
        }
        Ok(())
    }
}

fn run(
    link: &Link,
    sql: &str,
    bound: &[(&str, &dyn ToDbValue)],
    rows: u32,
) -> Result<Cursor, Trouble> {
    link.call(|driver| {
        let statement = driver.statement(sql)?.exclude_from_cache();
        let statement = statement.prefetch_rows(0).fetch_array_size(rows).build()?;
        statement.query_named(bound)
    })
}

/// The columns as the driver describes them, and how their values are written.
pub(super) fn describe(columns: &[Metadata]) -> (Vec<Column>, Vec<Shape>) {
    let both = columns.iter().map(|column| {
        let name = column.db_type().name();
        let shape = Shape::new(name, column.precision(), column.scale());
        let described = Column {
            name: shown(column.name()),
            kind: shape.kind(name),
            // the driver asks for long values as if they were of the old long types
            declared: match name {
                "DB_TYPE_LONG" => "CLOB".to_owned(),
                "DB_TYPE_LONG_NVARCHAR" => "NCLOB".to_owned(),
                "DB_TYPE_LONG_RAW" => "BLOB".to_owned(),
                _ => column.data_type(),
            },
        };
        (described, shape)
    });
    both.unzip()
}

/// The query with the columns that the server must spell, if there are any.
fn spelled(
    sql: &str,
    columns: &[Column],
    shapes: &[Shape],
    action: &str,
) -> Result<Option<String>> {
    let unable = |column: &Column, why: String| {
        Error::new(ErrorKind::Type, action)
            .at_column(&column.name)
            .because(why)
    };
    let both = || columns.iter().zip(shapes);
    if let Some((column, _)) = both().find(|(_, shape)| **shape == Shape::Unknown) {
        let why = format!("a value of type {} has no written form", column.declared);
        return Err(unable(column, why));
    }
    let Some((first, _)) = both().find(|(_, shape)| matches!(shape, Shape::Spelled(_))) else {
        return Ok(None);
    };
    let double = |name: &str| columns.iter().filter(|column| column.name == name).count() > 1;
    if let Some(column) = columns.iter().find(|column| double(&column.name)) {
        let why = format!(
            "two columns have this name, and the type {} of {} needs that each has its own",
            first.declared, first.name
        );
        return Err(unable(column, why));
    }
    let list = both().map(|(column, shape)| {
        let name = Oracle.quote(&column.name);
        match shape {
            Shape::Spelled(how) => format!("{} AS {name}", how.replace("{}", &format!("q.{name}"))),
            _ => format!("q.{name}"),
        }
    });
    let list: Vec<String> = list.collect();
    Ok(Some(format!("SELECT {} FROM ({sql}\n) q", list.join(", "))))
}

impl Rows for OracleRows<'_> {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn fetch(&mut self) -> Result<Option<Row<'_>>> {
        if self.ready.is_empty() {
            if self.failed.is_none() {
                self.fill();
            }
            if self.ready.is_empty()
                && let Some(trouble) = self.failed.take()
            {
                return Err(self.link.fault(&self.action, trouble));
            }
        }
        self.row = self.ready.pop_front();
        if self.row.is_none() {
            return Ok(None);
        }
        self.place_cells()
            .map_err(|trouble| self.link.fault(&self.action, trouble))?;
        Ok(Some(Row::new(self)))
    }
}

impl Cells for OracleRows<'_> {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn cell(&self, index: usize) -> Cell<'_> {
        match &self.places[index] {
            Place::Null => None,
            Place::Written(range) => Some(&self.buffer[range.clone()]),
            Place::Lent => {
                let row = self.row.as_ref()?;
                let text = row.get::<Option<&str>>(index).ok().flatten();
                text.map(str::as_bytes)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn columns(list: &[(&str, &str, Shape)]) -> (Vec<Column>, Vec<Shape>) {
        let one = |(name, declared, shape): &(&str, &str, Shape)| {
            let column = Column {
                name: (*name).to_owned(),
                kind: Kind::Other,
                declared: (*declared).to_owned(),
            };
            (column, *shape)
        };
        list.iter().map(one).unzip()
    }

    #[test]
    fn the_server_spells_what_the_driver_cannot() {
        let local = Shape::new("DB_TYPE_TIMESTAMP_LTZ", 0, 6);
        let spell = |list: &[(&str, &str, Shape)]| {
            let (columns, shapes) = columns(list);
            spelled("SELECT * FROM t", &columns, &shapes, "querying")
        };
        assert_eq!(
            spell(&[("id", "NUMBER(9)", Shape::Number(Some(0)))]).unwrap(),
            None
        );
        let sql = spell(&[
            ("id", "NUMBER", Shape::Number(None)),
            ("Seen", "TIMESTAMP(6) WITH LOCAL TIME ZONE", local),
        ]);
        assert_eq!(
            sql.unwrap().as_deref(),
            Some(
                "SELECT q.\"ID\", CAST(q.\"Seen\" AS TIMESTAMP(9) WITH TIME ZONE) AS \"Seen\" FROM (SELECT * FROM t\n) q"
            )
        );
        let error = spell(&[("a", "X", local), ("a", "X", Shape::Text)]).unwrap_err();
        assert_eq!((error.kind(), error.column()), (ErrorKind::Type, Some("a")));
        let error = spell(&[("o", "BFILE", Shape::Unknown)]).unwrap_err();
        assert_eq!((error.kind(), error.column()), (ErrorKind::Type, Some("o")));
    }
}
