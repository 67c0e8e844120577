//! The lines of a file, for the formats that take a row a line: blank lines and comments are passed over, a line that
//! has no end is not gathered.

use std::io;

use super::fault::{BadFile, Place};
use super::text::Text;

/// What stands in a file of lines beside its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asides {
    /// Lines before the header, or before the first row where there is none.
    pub skip: u64,
    /// What a line begins with that is a comment.
    pub comment: Option<String>,
}

impl Asides {
    /// Takes the lines before the rows.
    pub(super) fn skip_head(&self, text: &mut Text) -> Result<(), BadFile> {
        text.skip_lines(self.skip)
            .map_err(|e| BadFile::reading(Place::START, e))
    }

    /// Takes comments that stand here, at the beginning of a line.
    pub(super) fn skip_comments(&self, text: &mut Text) -> io::Result<()> {
        if let Some(mark) = &self.comment {
            while text.ahead(mark.len())?.starts_with(mark.as_bytes()) {
                text.skip_lines(1)?;
            }
        }
        Ok(())
    }
}

/// Takes one line after the other.
pub(super) struct Lines {
    pub(super) text: Text,
    asides: Asides,
    line: Vec<u8>,
    rows: u64,
}

impl Lines {
    pub(super) fn open(mut text: Text, asides: &Asides) -> Result<Lines, BadFile> {
        asides.skip_head(&mut text)?;
        Ok(Lines {
            text,
            asides: asides.clone(),
            line: Vec::new(),
            rows: 0,
        })
    }

    /// The line that was taken last, without its end.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// Where reading has come to.
    pub(super) fn place(&self) -> Place {
        Place {
            row: self.rows,
            line: self.text.line(),
            byte: self.text.offset(),
        }
    }

    /// Takes the next line that is neither blank nor a comment, and counts it as a row. How many bytes it may have can
    /// depend on its first one.
    pub(super) fn take(&mut self, most: impl Fn(u8) -> usize) -> Result<Option<Place>, BadFile> {
        loop {
            self.text.count_newlines();
            let failed = |e| BadFile::reading(Place::START, e);
            self.asides.skip_comments(&mut self.text).map_err(failed)?;
            let begin = Place {
                row: self.rows + 1,
                ..self.place()
            };
            if !self.gather(begin, &most)? {
                return Ok(None);
            }
            if !self.line.trim_ascii().is_empty() {
                self.rows += 1;
                return Ok(Some(begin));
            }
        }
    }

    /// Takes a line, whatever it holds; `false` at the file's end.
    fn gather(&mut self, begin: Place, most: &impl Fn(u8) -> usize) -> Result<bool, BadFile> {
        self.line.clear();
        let failed = |e| BadFile::reading(begin, e);
        let first = self.text.ahead(1).map_err(failed)?.first();
        let most = first.copied().map_or(0, most);
        loop {
            let chunk = self.text.ahead(1).map_err(failed)?;
            let end = memchr::memchr(b'\n', chunk);
            let taken = end.unwrap_or(chunk.len());
            if self.line.len() + taken > most {
                return Err(BadFile::content(
                    begin,
                    format!("a line is longer than {most} bytes"),
                ));
            }
            let over = chunk.is_empty();
            self.line.extend_from_slice(&chunk[..taken]);
            std::io::BufRead::consume(&mut self.text, taken + usize::from(end.is_some()));
            if end.is_some() || over {
                let any = end.is_some() || !self.line.is_empty();
                if self.line.last() == Some(&b'\r') {
                    self.line.pop();
                }
                return Ok(any);
            }
        }
    }

    /// What is wrong with the bytes of the line that was taken last, if any cannot be decoded.
    pub(super) fn undecodable(&mut self, begin: Place) -> Option<String> {
        let byte = self.text.undecodable_since(begin.byte)?;
        let encoding = self.text.encoding();
        Some(format!(
            "bytes that are not {encoding} at byte {byte} of the file"
        ))
    }
}
