//! Reads JSON Lines: an object a line.

use super::super::fault::{BadFile, BadRow, Place};
use super::super::lines::{Asides, Lines};
use super::super::record::{Columns, Record};
use super::super::text::Text;
use super::super::{Limits, Rows, Step};
use super::object;

/// Bytes of a value that cannot be a row, as far as it is looked at.
pub(super) const FOREIGN: usize = 64 << 10;

/// Rows of one JSON Lines file.
pub(crate) struct Reader {
    lines: Lines,
    limits: Limits,
    columns: Columns,
}

impl Reader {
    pub(crate) fn open(text: Text, limits: Limits) -> Result<Reader, BadFile> {
        Ok(Reader {
            lines: Lines::open(text, &Asides::default())?,
            limits,
            columns: Columns::default(),
        })
    }
}

impl Rows for Reader {
    fn columns(&self) -> &[String] {
        self.columns.names()
    }

    fn read(&mut self, record: &mut Record) -> Result<Step, BadFile> {
        let row = self.limits.row;
        let most = |first| if first == b'{' { row } else { FOREIGN.min(row) };
        let Some(begin) = self.lines.take(most)? else {
            return Ok(Step::End);
        };
        let undecodable = self.lines.undecodable(begin);
        let line = self.lines.line();
        Ok(read_object(
            begin,
            line,
            undecodable,
            record,
            &mut self.columns,
            self.limits,
        ))
    }

    fn place(&self) -> Place {
        self.lines.place()
    }
}

/// Reads the object that `text` holds as a row, unless it is known to hold what cannot be decoded.
pub(super) fn read_object(
    begin: Place,
    text: &[u8],
    undecodable: Option<String>,
    record: &mut Record,
    columns: &mut Columns,
    limits: Limits,
) -> Step {
    record.restart(begin);
    let text = text.trim_ascii();
    let row = std::str::from_utf8(text).expect("decoded text is UTF-8");
    let read = match undecodable {
        Some(reason) => Err(reason),
        None => object::read(row, record, columns, limits),
    };
    match read {
        Ok(()) => Step::Row,
        Err(reason) => {
            record.restart(begin);
            Step::Bad(Box::new(BadRow::new(begin, reason).with_text(text)))
        }
    }
}
