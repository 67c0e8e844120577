//! What is inside a row of a foreign file, at the place that `row="path"` names.
//!
//! Each element inside with text of its own is a column, named by its path from the row (`geo/lat`), each attribute one named
//! `@id` or `geo/@unit`. The second element of a path in one row is `tag[2]`, the third `tag[3]`. An element that holds other
//! elements and white space is no column; text that stands beside elements is a column without theirs. The text
//! of a row without elements is the column of the row's own name.

use quick_xml::events::{BytesRef, BytesStart, Event};

use super::super::Step;
use super::super::fault::{BadFile, BadRow};
use super::super::record::Record;
use super::cell::{self, Coding, Literal};
use super::reader::{Fault, Reader};

/// Elements of one path in one row.
const MAX_TWINS: usize = 256;
/// Bytes of text for which room is kept between two elements.
const ROOM: usize = 64 << 10;

/// The elements of a row that are open, outermost first, and the path to the innermost one.
#[derive(Debug, Default)]
pub(super) struct Nest {
    path: String,
    open: Vec<Open>,
    /// How many of `open` are in use; the others keep their room.
    depth: usize,
    /// Bytes of text of all open elements.
    held: usize,
}

/// An element that is open.
#[derive(Debug)]
struct Open {
    /// The length of the path around it.
    outside: usize,
    text: Vec<u8>,
    literal: Literal,
    coding: Coding,
    /// Whether it holds elements.
    parent: bool,
}

impl Nest {
    fn begin(&mut self, name: &str, coding: Coding) {
        if let Some(around) = self.depth.checked_sub(1) {
            self.open[around].parent = true;
        }
        let outside = self.path.len();
        // The row's own name leads no path.
        if self.depth > 0 {
            if self.depth > 1 {
                self.path.push('/');
            }
            self.path.push_str(name);
        }
        if self.depth == self.open.len() {
            self.open.push(Open {
                outside,
                text: Vec::new(),
                literal: Literal::default(),
                coding,
                parent: false,
            });
        }
        let open = &mut self.open[self.depth];
        (open.outside, open.coding, open.parent) = (outside, coding, false);
        open.text.clear();
        self.depth += 1;
    }

    /// The innermost element, of which there is one as long as the row is open.
    fn innermost(&mut self) -> &mut Open {
        &mut self.open[self.depth - 1]
    }
}

impl Open {
    /// What of the text is the element's own value, if it has one.
    fn value(&self) -> Option<&[u8]> {
        match (self.parent, self.text.trim_ascii()) {
            (false, _) => Some(&self.text),
            (true, b"") => None,
            (true, own) => Some(own),
        }
    }
}

impl Reader {
    /// Reads a row from behind its start tag up to its end tag.
    pub(super) fn read_foreign(
        &mut self,
        tag: &BytesStart<'_>,
        record: &mut Record,
    ) -> Result<Step, BadFile> {
        let name = tag.name().into_inner().to_owned();
        let mut fault: Fault = None;
        let mut event = Vec::new();
        (self.nest.depth, self.nest.held) = (0, 0);
        self.nest.path.clear();
        self.enter_foreign(tag, record, &mut fault)?;
        while self.nest.depth > 0 {
            self.gather(record)?;
            match self.markup.next(&mut event)? {
                Event::Start(tag) => self.enter_foreign(&tag, record, &mut fault)?,
                Event::End(_) => self.leave_foreign(&name, record, &mut fault)?,
                Event::GeneralRef(reference) => self.refer(&reference, record, &mut fault),
                _ => {}
            }
        }
        Ok(self.close_row(record, fault))
    }

    /// Takes the text up to the next tag.
    fn gather(&mut self, record: &Record) -> Result<(), BadFile> {
        let (limits, begin, size) = (self.limits, record.place(), record.size());
        let nest = &mut self.nest;
        self.markup.text(|piece, fresh| {
            let open = &mut nest.open[nest.depth - 1];
            let before = open.text.len();
            open.literal.append(&mut open.text, piece, fresh);
            nest.held += open.text.len() - before;
            if open.text.len() > limits.cell || nest.held + size > limits.row {
                let (row, cell) = (limits.row, limits.cell);
                let reason =
                    format!("a row is longer than {row} bytes, or an element of it than {cell}");
                return Err(BadFile::content(begin, reason));
            }
            Ok(())
        })
    }

    /// Opens an element, whose attributes are columns.
    fn enter_foreign(
        &mut self,
        tag: &BytesStart<'_>,
        record: &mut Record,
        fault: &mut Fault,
    ) -> Result<(), BadFile> {
        let mut coding = Coding::Plain;
        let mut named = None;
        let mut attributes = Vec::new();
        let element = tag.name().into_inner();
        if !tag.attributes_raw().is_empty() {
            self.markup
                .attributes(tag, |name, value| match (name, value) {
                    ("enc", "base64") => coding = Coding::Base64,
                    ("xsi:nil", "true" | "1") => coding = Coding::Nil,
                    ("name", _) if element == "field" => named = Some(value.to_owned()),
                    ("xmlns", _) => {}
                    _ if name.starts_with("xmlns:") || name.starts_with("xsi:") => {}
                    _ => attributes.push((name.to_owned(), value.to_owned())),
                })?;
        }
        self.nest.begin(named.as_deref().unwrap_or(element), coding);
        for (name, value) in attributes {
            let path = match self.nest.path.as_str() {
                "" => format!("@{name}"),
                path => format!("{path}/@{name}"),
            };
            if let Some(column) = self.free_column(&path, record, fault)? {
                record.open_cell();
                record.buffer().extend_from_slice(value.as_bytes());
                record.close_text(column);
            }
        }
        Ok(())
    }

    /// Closes the innermost element, and makes its text a cell.
    fn leave_foreign(
        &mut self,
        row: &str,
        record: &mut Record,
        fault: &mut Fault,
    ) -> Result<(), BadFile> {
        let path = if self.nest.depth > 1 {
            self.nest.path.clone()
        } else {
            row.to_owned()
        };
        // A row of elements or attributes alone has no text.
        let bare = self.nest.depth == 1 && !record.is_empty();
        let open = self.nest.innermost();
        let coding = open.coding;
        let has_value = open
            .value()
            .is_some_and(|value| !(bare && value.trim_ascii().is_empty()));
        if has_value {
            let column = self.free_column(&path, record, fault)?;
            if let (Some(column), Some(value)) =
                (column, self.nest.open[self.nest.depth - 1].value())
            {
                record.open_cell();
                record.buffer().extend_from_slice(value);
                if let (Err(why), None) = (cell::close(record, column, coding), &fault) {
                    let bad = BadRow::new(record.place(), why);
                    *fault = Some(Box::new(bad.at(&path, record.cell(column))));
                }
            }
        }
        let nest = &mut self.nest;
        nest.depth -= 1;
        let open = &mut nest.open[nest.depth];
        nest.held -= open.text.len();
        nest.path.truncate(open.outside);
        if open.text.capacity() > ROOM {
            open.text = Vec::new();
        }
        Ok(())
    }

    fn refer(&mut self, reference: &BytesRef<'_>, record: &Record, fault: &mut Fault) {
        let open = self.nest.innermost();
        let before = open.text.len();
        let done = cell::append_reference(&mut open.text, reference);
        let longer = open.text.len() - before;
        self.nest.held += longer;
        if let (Err(why), None) = (done, &fault) {
            let bad = BadRow::new(record.place(), why);
            *fault = Some(Box::new(bad.at(self.nest.path.as_str(), None)));
        }
    }

    /// The column of that path, or of its next twin where the row has it already; `None` where there are too many.
    fn free_column(
        &mut self,
        path: &str,
        record: &Record,
        fault: &mut Fault,
    ) -> Result<Option<usize>, BadFile> {
        let column = self.column(path, record.len())?;
        if !record.has(column) {
            return Ok(Some(column));
        }
        for twin in 2..=MAX_TWINS {
            let column = self.column(&format!("{path}[{twin}]"), record.len())?;
            if !record.has(column) {
                return Ok(Some(column));
            }
        }
        let reason = format!("more than {MAX_TWINS} elements of one path in a row");
        fault.get_or_insert_with(|| Box::new(BadRow::new(record.place(), reason).at(path, None)));
        Ok(None)
    }
}
