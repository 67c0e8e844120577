//! Reads rows from XML, in the forms that data files come in:
//!
//! ```xml
//! <data><row><a>1</a><b enc="base64">AAE=</b></row></data>
//! <data><a>1</a><b>2</b><endl/></data>
//! <resultset><row><field name="a">1</field><field name="b" xsi:nil="true"/></row></resultset>
//! ```
//!
//! and, told the way down, rows at any place of a foreign file. The grammar is quick-xml's business (`markup`); this
//! file knows rows and columns. What is wrong inside a row is the row's fault alone as long as the markup holds.

use std::mem;

use quick_xml::events::{BytesStart, Event};

use super::super::fault::{BadFile, BadRow, Place};
use super::super::record::{Columns, Record};
use super::super::text::Text;
use super::super::{Limits, Rows, Step, XmlLayout};
use super::cell::{self, Coding};
use super::markup::{Markup, is_blank};
use super::plain;

/// Rows of one XML file.
pub(crate) struct Reader {
    markup: Markup,
    columns: Columns,
    limits: Limits,
    way: Option<Vec<String>>,
    /// How many names of `way` are open, from the root on.
    matched: usize,
    rows: u64,
    event: Vec<u8>,
    scratch: Vec<u8>,
}

/// The first thing wrong with the row being read.
type Fault = Option<Box<BadRow>>;

impl Reader {
    pub(crate) fn open(text: Text, layout: &XmlLayout, limits: Limits) -> Result<Reader, BadFile> {
        let mut reader = Reader {
            markup: Markup::new(text, limits),
            columns: Columns::default(),
            limits,
            way: layout.row.clone(),
            matched: 0,
            rows: 0,
            event: Vec::new(),
            scratch: Vec::new(),
        };
        reader.open_root()?;
        Ok(reader)
    }

    /// Reads up to the root's start tag, so that a file of another sort is told at once.
    fn open_root(&mut self) -> Result<(), BadFile> {
        let mut event = Vec::new();
        loop {
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
                }
                return Ok(());
            }
        }
    }

    fn here(&self) -> Place {
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
            self.markup.text().count_newlines();
            let before = self.here();
            match self.markup.next(event)? {
                Event::Start(tag) => {
                    if !gathering {
                        record.restart(before);
                    }
                    match self.role(&tag) {
                        Role::Row if !gathering => {
                            let rejected = self.row_attributes(&tag, record)?;
                            return self.read_row(record, event, rejected);
                        }
                        Role::Row => {
                            return Err(self
                                .markup
                                .broken("a row begins among columns without <endl/>"));
                        }
                        Role::Endl => {
                            self.skip(event)?;
                            return Ok(self.close_row(record, fault));
                        }
                        Role::Column => {
                            gathering = true;
                            let (column, coding) = self.heading(&tag, record, &mut fault)?;
                            self.read_cell(record, column, coding, event, &mut fault)?;
                            plain::take_cells(
                                self.markup.text(),
                                record,
                                &self.columns,
                                self.limits,
                            );
                        }
                        Role::Way => self.matched = self.markup.depth(),
                        Role::Other => {}
                    }
                }
                Event::End(_) => self.matched = self.matched.min(self.markup.depth()),
                Event::Eof if gathering => {
                    fault = Some(Box::new(BadRow::new(
                        record.place(),
                        "the root ends before <endl/>",
                    )));
                    return Ok(self.close_row(record, fault));
                }
                Event::Eof => return Ok(Step::End),
                Event::Text(text)
                    if self.way.is_none() && self.markup.depth() > 0 && !is_blank(&text) =>
                {
                    return Err(self.markup.broken("there is text between rows"));
                }
                Event::CData(_) | Event::GeneralRef(_) if self.way.is_none() => {
                    return Err(self.markup.broken("there is text between rows"));
                }
                _ => {}
            }
        }
    }

    /// What a start tag outside of rows means.
    fn role(&self, tag: &BytesStart<'_>) -> Role {
        let name = tag.name();
        let name: &str = name.as_ref();
        let depth = self.markup.depth();
        match &self.way {
            Some(way)
                if depth == self.matched + 1
                    && way.get(self.matched).is_some_and(|next| next == name) =>
            {
                if depth == way.len() {
                    Role::Row
                } else {
                    Role::Way
                }
            }
            Some(_) => Role::Other,
            None => match name {
                "row" => Role::Row,
                "endl" => Role::Endl,
                _ => Role::Column,
            },
        }
    }

    /// Takes the attributes of a row: columns where the way to the row was told; else only the mark of a reject counts.
    fn row_attributes(
        &mut self,
        tag: &BytesStart<'_>,
        record: &mut Record,
    ) -> Result<bool, BadFile> {
        if tag.attributes_raw().is_empty() {
            return Ok(false);
        }
        let mut rejected = false;
        let mut pairs = Vec::new();
        let told = self.way.is_some();
        self.markup.attributes(tag, |name, value| {
            rejected |= name == "reason" && !told;
            if told {
                pairs.push((format!("@{name}"), value.to_owned()));
            }
        })?;
        for (name, value) in pairs {
            let column = self.column(&name, record.len())?;
            record.open_cell();
            record.buffer().extend_from_slice(value.as_bytes());
            record.close_text(column);
        }
        Ok(rejected)
    }

    /// Reads the columns of a row up to its end tag.
    fn read_row(
        &mut self,
        record: &mut Record,
        event: &mut Vec<u8>,
        rejected: bool,
    ) -> Result<Step, BadFile> {
        let mut fault: Fault = None;
        loop {
            plain::take_cells(self.markup.text(), record, &self.columns, self.limits);
            match self.markup.next(event)? {
                Event::Start(tag) => {
                    let (column, coding) = self.heading(&tag, record, &mut fault)?;
                    self.read_cell(record, column, coding, event, &mut fault)?;
                }
                Event::End(_) => break,
                Event::Text(text) if !is_blank(&text) => {
                    note(&mut fault, record, "text between columns")
                }
                Event::CData(_) | Event::GeneralRef(_) => {
                    note(&mut fault, record, "text between columns")
                }
                _ => {}
            }
        }
        self.matched = self.matched.min(self.markup.depth());
        if rejected && record.is_empty() {
            note(
                &mut fault,
                record,
                "a rejected row that has not been mended: it has no columns",
            );
        }
        Ok(self.close_row(record, fault))
    }

    /// Which column a start tag opens, and how its text is to be taken.
    fn heading(
        &mut self,
        tag: &BytesStart<'_>,
        record: &Record,
        fault: &mut Fault,
    ) -> Result<(usize, Coding), BadFile> {
        let mut coding = Coding::Plain;
        let mut named = None;
        let element = tag.name();
        let element: &str = element.as_ref();
        if !tag.attributes_raw().is_empty() {
            self.markup
                .attributes(tag, |name, value| match (name, value) {
                    ("enc", "base64") => coding = Coding::Base64,
                    ("enc", _) => coding = Coding::Unknown,
                    ("xsi:nil" | "nil", "true" | "1") => coding = Coding::Nil,
                    ("name", _) if element == "field" => named = Some(value.to_owned()),
                    _ => {}
                })?;
        }
        let column = self.column(named.as_deref().unwrap_or(element), record.len())?;
        if record.has(column) && fault.is_none() {
            let bad = BadRow::new(record.place(), "the column stands twice in the row");
            *fault = Some(Box::new(bad.at(&self.columns.names()[column], None)));
        }
        Ok((column, coding))
    }

    /// The place of a column's name among the columns, which is likely to be `guess`.
    fn column(&mut self, name: &str, guess: usize) -> Result<usize, BadFile> {
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
        Ok(self.columns.add(name))
    }

    /// Reads the text of a column up to its end tag.
    fn read_cell(
        &mut self,
        record: &mut Record,
        column: usize,
        coding: Coding,
        event: &mut Vec<u8>,
        fault: &mut Fault,
    ) -> Result<(), BadFile> {
        let mut reason = None;
        let mut inner = 0;
        record.open_cell();
        loop {
            match self.markup.next(event)? {
                Event::Start(_) => {
                    inner += 1;
                    reason.get_or_insert_with(|| "an element inside a column".to_owned());
                }
                Event::End(_) if inner == 0 => break,
                Event::End(_) => inner -= 1,
                Event::Text(text) => cell::append_literal(record.buffer(), &text),
                Event::CData(text) => cell::append_literal(record.buffer(), &text),
                Event::GeneralRef(reference) => {
                    if let Err(why) = cell::append_reference(record.buffer(), &reference) {
                        reason.get_or_insert(why);
                    }
                }
                _ => {}
            }
            if record.opened().len() > self.limits.cell || record.size() > self.limits.row {
                return Err(self.markup.broken("a cell or row is longer than the limit"));
            }
        }
        if let Err(why) = cell::close(record, column, coding, &mut self.scratch) {
            reason.get_or_insert(why);
        }
        if let (Some(why), None) = (reason, &fault) {
            let bad = BadRow::new(record.place(), why)
                .at(&self.columns.names()[column], record.cell(column));
            *fault = Some(Box::new(bad));
        }
        Ok(())
    }

    /// Skips to the end of the element that has just begun.
    fn skip(&mut self, event: &mut Vec<u8>) -> Result<(), BadFile> {
        let outside = self.markup.depth() - 1;
        while self.markup.depth() > outside {
            self.markup.next(event)?;
        }
        Ok(())
    }

    /// Counts the row and weighs what is wrong with it.
    fn close_row(&mut self, record: &Record, mut fault: Fault) -> Step {
        self.rows += 1;
        let text = self.markup.text();
        if let Some(byte) = text.undecodable_since(record.place().byte) {
            let reason = format!(
                "bytes that are not {} at byte {byte} of the file",
                text.encoding()
            );
            note(&mut fault, record, &reason);
        }
        fault.map_or(Step::Row, Step::Bad)
    }
}

/// What a start tag outside of rows means.
enum Role {
    Row,
    Endl,
    Column,
    /// A step further down the way that was told.
    Way,
    Other,
}

/// Keeps the first reason.
fn note(fault: &mut Fault, record: &Record, reason: &str) {
    fault.get_or_insert_with(|| Box::new(BadRow::new(record.place(), reason)));
}

impl Rows for Reader {
    fn columns(&self) -> &[String] {
        self.columns.names()
    }

    fn read(&mut self, record: &mut Record) -> Result<Step, BadFile> {
        let mut event = mem::take(&mut self.event);
        let step = self.seek(record, &mut event);
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
