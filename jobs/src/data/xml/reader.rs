//! Reads rows from XML, in the forms that data files come in:
//!
//! ```xml
//! <data><row><a>1</a><b enc="base64">AAE=</b></row></data>
//! <data><a>1</a><b>2</b><endl/></data>
//! <resultset><row><field name="a">1</field><field name="b" xsi:nil="true"/></row></resultset>
//! <mysqldump><database name="d"><table_data name="t"><row><field name="a">1</field></row></table_data></database></mysqldump>
//! ```
//!
//! and, told the way down, rows at any place of a foreign file. The grammar is quick-xml's business (`markup`), what is
//! inside a row that of `row` and `foreign`; this file finds the rows. What is wrong inside a row is the row's fault alone as
//! long as the markup holds.

use std::mem;

use quick_xml::events::{BytesStart, Event};

use super::super::fault::{BadFile, BadRow, Place};
use super::super::record::{Columns, Record};
use super::super::text::Text;
use super::super::{Limits, Rows, Step, XmlLayout};
use super::chars::is_qualified_name;
use super::foreign::Nest;
use super::markup::{Markup, Next};
use super::plain;

/// Rows of one XML file.
pub(crate) struct Reader {
    pub(super) markup: Markup,
    pub(super) columns: Columns,
    /// Of each column, whether its name can be that of an element.
    pub(super) elements: Vec<bool>,
    pub(super) limits: Limits,
    way: Option<Vec<String>>,
    /// How many names of `way` are open, from the root on.
    matched: usize,
    rows: u64,
    /// Where the row begins whose start tag has been taken already.
    pub(super) entered: Option<Place>,
    pub(super) nest: Nest,
    event: Vec<u8>,
    /// Of the dump of a database, the table whose rows are read.
    dump: Option<Dump>,
}

/// What is known of a dump in XML: the table of its rows, once that has begun.
#[derive(Debug, Default)]
struct Dump {
    table: Option<String>,
}

/// The first thing wrong with the row being read.
pub(super) type Fault = Option<Box<BadRow>>;

impl Reader {
    pub(crate) fn open(text: Text, layout: &XmlLayout, limits: Limits) -> Result<Reader, BadFile> {
        let mut reader = Reader {
            markup: Markup::new(text, limits),
            columns: Columns::default(),
            elements: Vec::new(),
            limits,
            way: layout.row.clone(),
            matched: 0,
            rows: 0,
            entered: None,
            nest: Nest::default(),
            event: Vec::new(),
            dump: None,
        };
        if !reader.is_anywhere() {
            reader.open_root()?;
        }
        Ok(reader)
    }

    /// Whether rows are told by their name alone, so that even the root may be one.
    fn is_anywhere(&self) -> bool {
        self.way.as_ref().is_some_and(|way| way.len() == 1)
    }

    /// Reads up to the root's start tag, so that a file of another sort is told at once.
    fn open_root(&mut self) -> Result<(), BadFile> {
        let mut event = Vec::new();
        loop {
            if self.markup.skip_blank()? == Next::Text {
                return Err(self.markup.stray());
            }
            if let Event::Start(tag) = self.markup.next(&mut event)? {
                let root = tag.name();
                if let Some(expected) = self.way.as_ref().and_then(|way| way.first()) {
                    if root.as_ref() != expected.as_str() {
                        let found: &str = root.as_ref();
                        return Err(self
                            .markup
                            .broken(format!("the root element is <{found}>, not <{expected}>")));
                    }
                    self.matched = 1;
                } else if root.as_ref() == "mysqldump" {
                    self.dump = Some(Dump::default());
                }
                return Ok(());
            }
        }
    }

    pub(super) fn here(&self) -> Place {
        Place {
            row: self.rows + 1,
            ..self.markup.place()
        }
    }

    /// Looks for the next row below the root.
    fn seek(&mut self, record: &mut Record, event: &mut Vec<u8>) -> Result<Step, BadFile> {
        let mut fault: Fault = None;
        // In the classic form, the row that is being gathered.
        let mut gathering = false;
        loop {
            self.skip_between()?;
            self.markup.source().count_newlines();
            let before = self.here();
            match self.markup.next(event)? {
                Event::Start(tag) => {
                    if !gathering {
                        record.restart(before);
                    }
                    match self.role(&tag) {
                        Role::Row if gathering => {
                            return Err(self
                                .markup
                                .broken("a row begins among columns without <endl/>"));
                        }
                        Role::Row => {
                            let past = self.past(&tag)?;
                            return self.read_row(record, event, past);
                        }
                        Role::Foreign => {
                            let step = self.read_foreign(&tag, record)?;
                            self.matched = self.matched.min(self.markup.depth());
                            return Ok(step);
                        }
                        Role::Table => self.enter_table(&tag)?,
                        Role::Aside => self.skip(event)?,
                        Role::Endl => {
                            self.skip(event)?;
                            return Ok(self.close_row(record, fault));
                        }
                        Role::Column => {
                            gathering = true;
                            let (column, coding) = self.heading(&tag, record, &mut fault)?;
                            self.read_cell(record, column, coding, event, &mut fault)?;
                            self.take_plain(record)?;
                        }
                        Role::Way => self.matched = self.markup.depth(),
                        Role::Other => {}
                    }
                }
                Event::End(_) => self.matched = self.matched.min(self.markup.depth()),
                Event::Eof if gathering => {
                    note(&mut fault, record, "the root ends before <endl/>");
                    return Ok(self.close_row(record, fault));
                }
                Event::Eof => return Ok(Step::End),
                Event::GeneralRef(_) if self.way.is_none() => {
                    return Err(self.markup.broken("there is text between rows"));
                }
                _ => {}
            }
        }
    }

    /// Takes what stands between rows: white space, and in foreign files any text.
    fn skip_between(&mut self) -> Result<(), BadFile> {
        if self.markup.skip_blank()? == Next::Markup {
            return Ok(());
        }
        if self.markup.depth() == 0 {
            return Err(self.markup.stray());
        }
        if self.way.is_none() {
            return Err(self.markup.broken("there is text between rows"));
        }
        self.markup.skip_text()
    }

    /// Goes among the rows of a dump's table.
    ///
    /// # Errors
    /// When the rows before were those of another: one file is one table's.
    fn enter_table(&mut self, tag: &BytesStart<'_>) -> Result<(), BadFile> {
        let mut name = String::new();
        self.markup.attributes(tag, |attribute, value| {
            if attribute == "name" {
                value.clone_into(&mut name);
            }
        })?;
        let dump = self.dump.get_or_insert_default();
        let first = dump.table.get_or_insert_with(|| name.clone());
        if *first == name {
            return Ok(());
        }
        let reason =
            format!("a dump of two tables, {first} and {name}: dump each into a file of its own");
        Err(self.markup.broken(reason))
    }

    /// What a start tag outside of rows means.
    fn role(&self, tag: &BytesStart<'_>) -> Role {
        let name = tag.name();
        let name: &str = name.as_ref();
        let depth = self.markup.depth();
        match &self.way {
            Some(way) if self.is_anywhere() => {
                if way.iter().any(|row| row == name) {
                    Role::Foreign
                } else {
                    Role::Other
                }
            }
            Some(way)
                if depth == self.matched + 1
                    && way.get(self.matched).is_some_and(|next| next == name) =>
            {
                if depth == way.len() {
                    Role::Foreign
                } else {
                    Role::Way
                }
            }
            Some(_) => Role::Other,
            None => match name {
                "row" => Role::Row,
                "database" if self.dump.is_some() => Role::Other,
                "table_data" if self.dump.is_some() => Role::Table,
                _ if self.dump.is_some() => Role::Aside,
                "endl" => Role::Endl,
                _ => Role::Column,
            },
        }
    }

    /// Whether the row says that it was rejected once, and has to be mended.
    fn past(&mut self, tag: &BytesStart<'_>) -> Result<Past, BadFile> {
        let (mut rejected, mut unmended) = (false, false);
        if !tag.attributes_raw().is_empty() {
            self.markup.attributes(tag, |name, value| {
                rejected |= name == "reason";
                unmended |= name == "mended" && value == "no";
            })?;
        }
        Ok(match (rejected, unmended) {
            (false, _) => Past::Clean,
            (true, false) => Past::Rejected,
            (true, true) => Past::Unmended,
        })
    }

    /// The place of a column's name among the columns, which is likely to be `guess`.
    pub(super) fn column(&mut self, name: &str, guess: usize) -> Result<usize, BadFile> {
        if let Some(column) = self.columns.find(name, guess) {
            return Ok(column);
        }
        if self.columns.names().len() >= self.limits.columns {
            return Err(self
                .markup
                .broken(format!("more than {} columns", self.limits.columns)));
        }
        if name.is_empty() || name.len() > self.limits.name {
            return Err(self.markup.broken("a column's name is empty or too long"));
        }
        self.elements.push(is_qualified_name(name));
        Ok(self.columns.add(name))
    }

    /// Takes plain cells that come now.
    pub(super) fn take_plain(&mut self, record: &mut Record) -> Result<(), BadFile> {
        let begin = record.place();
        let (columns, elements) = (&self.columns, &self.elements[..]);
        plain::take_cells(self.markup.source(), record, columns, elements, self.limits)
            .map_err(|e| BadFile::reading(begin, e))
    }

    /// Skips to the end of the element that has just begun.
    fn skip(&mut self, event: &mut Vec<u8>) -> Result<(), BadFile> {
        let outside = self.markup.depth() - 1;
        while self.markup.depth() > outside {
            self.markup.skip_text()?;
            self.markup.next(event)?;
        }
        Ok(())
    }

    /// Counts the row and weighs what is wrong with it.
    pub(super) fn close_row(&mut self, record: &Record, mut fault: Fault) -> Step {
        self.rows += 1;
        let text = self.markup.source();
        if let Some(byte) = text.undecodable_since(record.place().byte) {
            let reason = format!(
                "bytes that are not {} at byte {byte} of the file",
                text.encoding()
            );
            note(&mut fault, record, &reason);
        }
        match fault {
            Some(mut bad) => {
                bad.inexact = !record.is_empty();
                Step::Bad(bad)
            }
            None => Step::Row,
        }
    }
}

/// What a row says of its own past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Past {
    Clean,
    /// It was rejected, and may be mended.
    Rejected,
    /// It was rejected for what its cells do not show, and says that nobody has mended it.
    Unmended,
}

/// What a start tag outside of rows means.
enum Role {
    Row,
    /// A row of a foreign file.
    Foreign,
    Endl,
    Column,
    /// A step further down the way that was told.
    Way,
    /// The rows of one table of a dump.
    Table,
    /// What a dump says beside its rows.
    Aside,
    Other,
}

/// Keeps the first reason.
pub(super) fn note(fault: &mut Fault, record: &Record, reason: &str) {
    fault.get_or_insert_with(|| Box::new(BadRow::new(record.place(), reason)));
}

impl Rows for Reader {
    fn columns(&self) -> &[String] {
        self.columns.names()
    }

    fn read(&mut self, record: &mut Record) -> Result<Step, BadFile> {
        let mut event = mem::take(&mut self.event);
        let step = match self.entered.take() {
            Some(begin) => {
                record.restart(begin);
                self.read_row(record, &mut event, Past::Clean)
            }
            None => self.seek(record, &mut event),
        };
        self.event = event;
        step
    }

    fn place(&self) -> Place {
        Place {
            row: self.rows,
            ..self.markup.place()
        }
    }
}
