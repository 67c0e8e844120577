//! The file of rows that could not be taken: XML rows that can be mended and read again, each with attributes that
//! say where it came from and what was wrong.
//!
//! ```xml
//! <row number="17" line="18" byte="901" column="lat" value="north" reason="not a decimal"><obtid>58015</obtid>…</row>
//! ```
//!
//! A row whose cells could not be told apart has no columns, and its text as an attribute; one whose cells could not be
//! read as they stand in the file has them as far as they were understood, and `mended="no"`, to be taken away by whoever mends
//! it. Read again unmended, either is rejected again.

use std::borrow::Cow;
use std::io::{self, Write};

use super::fault::BadRow;
use super::record::Record;
use super::xml::{Xml, is_text};

/// Characters of a value or a row's text that an attribute shows at most.
const SHOWN: usize = 4096;

/// A reject file being written. Nothing is written before the first row, and [`Rejects::finish`] tells of that.
pub struct Rejects<W: Write> {
    output: W,
    gathered: Vec<u8>,
    begun: bool,
}

impl<W: Write> Rejects<W> {
    /// Begins a file.
    pub fn new(output: W) -> Rejects<W> {
        Rejects {
            output,
            gathered: Vec::new(),
            begun: false,
        }
    }

    /// Adds a row: what is wrong, and its cells as far as they are known (`columns` and `record` as read).
    ///
    /// # Errors
    /// Those of the output.
    pub fn push(&mut self, bad: &BadRow, columns: &[String], record: &Record) -> io::Result<()> {
        self.begin();
        lay_out(&mut self.gathered, bad, columns, record)?;
        self.pour_if_large()
    }

    /// Adds rows that [`lay_out`] has made.
    ///
    /// # Errors
    /// Those of the output.
    pub fn push_laid_out(&mut self, rows: &[u8]) -> io::Result<()> {
        self.begin();
        self.gathered.extend_from_slice(rows);
        self.pour_if_large()
    }

    /// Adds all rows of another reject file, as [`Rejects::finish`] left it.
    ///
    /// # Errors
    /// Those of the output; `InvalidData` when that is no reject file, whole and as it was written.
    pub fn append(&mut self, other: &[u8]) -> io::Result<()> {
        let (mut head, mut tail) = (Vec::new(), Vec::new());
        Xml::new(&[]).open(&mut head);
        Xml::close(&mut tail);
        let rows = other
            .strip_prefix(&head[..])
            .and_then(|rest| rest.strip_suffix(&tail[..]))
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "this is no reject file"))?;
        self.begin();
        self.gathered.extend_from_slice(rows);
        self.pour_if_large()
    }

    fn begin(&mut self) {
        if !self.begun {
            Xml::new(&[]).open(&mut self.gathered);
            self.begun = true;
        }
    }

    /// Writes the end of the file and gives the output back; `None` when there was no row and nothing was written.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> io::Result<Option<W>> {
        if !self.begun {
            return Ok(None);
        }
        Xml::close(&mut self.gathered);
        self.pour()?;
        Ok(Some(self.output))
    }

    fn pour_if_large(&mut self) -> io::Result<()> {
        if self.gathered.len() >= 64 << 10 {
            self.pour()?;
        }
        Ok(())
    }

    fn pour(&mut self) -> io::Result<()> {
        self.output.write_all(&self.gathered)?;
        self.gathered.clear();
        Ok(())
    }
}

/// One row as it stands in a reject file.
///
/// # Errors
/// As [`Rejects::push`].
pub fn lay_out(
    out: &mut Vec<u8>,
    bad: &BadRow,
    columns: &[String],
    record: &Record,
) -> io::Result<()> {
    let (number, line, byte) = (
        bad.place.row.to_string(),
        bad.place.line.to_string(),
        bad.place.byte.to_string(),
    );
    let value = bad.value.as_deref().map(shown);
    let text = bad.text.as_deref().map(shown);
    let mut attributes = vec![("number", number.as_str())];
    if bad.place.line > 0 {
        attributes.extend([("line", line.as_str()), ("byte", byte.as_str())]);
    }
    attributes.extend(bad.column.as_deref().map(|column| ("column", column)));
    attributes.extend(value.as_deref().map(|value| ("value", value)));
    attributes.push(("reason", &bad.reason));
    attributes.extend(text.as_deref().map(|text| ("text", text)));
    if bad.inexact && bad.text.is_none() {
        attributes.push(("mended", "no"));
    }
    let whole = if bad.text.is_some() { &[][..] } else { columns };
    let cells = whole
        .iter()
        .enumerate()
        .filter_map(|(i, name)| Some((name.as_str(), record.cell(i)?)));
    Xml::free_row(out, &attributes, cells)
}

/// What of a value an attribute can show.
fn shown(bytes: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(bytes);
    if text.len() <= SHOWN && is_text(bytes) {
        return text;
    }
    let cut: String = text.chars().take(SHOWN).collect();
    if cut.len() < text.len() {
        Cow::Owned(cut + "…")
    } else {
        Cow::Owned(cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Format, Place, Reading, Step};

    #[test]
    fn mended_rejects_load_and_unmended_ones_do_not() {
        let input = "a,b\n1,2\n3\n4,\"x<&\ny\"\n";
        let mut rows = Reading::of(Format::Csv, "a.csv")
            .open(Box::new(input.as_bytes()))
            .unwrap();
        let (mut record, mut rejects) = (Record::new(), Rejects::new(Vec::new()));
        loop {
            match rows.read(&mut record).unwrap() {
                Step::End => break,
                Step::Row => {
                    let bad =
                        BadRow::new(record.place(), "no such \"station\"").at("b", record.cell(1));
                    rejects.push(&bad, rows.columns(), &record).unwrap();
                }
                Step::Bad(bad) => rejects.push(&bad, rows.columns(), &record).unwrap(),
            }
        }
        let file = rejects.finish().unwrap().unwrap();
        let text = String::from_utf8(file.clone()).unwrap();
        assert!(
            text.contains(r#"number="2" line="3""#) && text.contains(r#"text="3""#),
            "{text}"
        );
        let mut again = Reading::of(Format::Xml, "a.rejects.xml")
            .open(Box::new(io::Cursor::new(file)))
            .unwrap();
        assert!(matches!(again.read(&mut record).unwrap(), Step::Row));
        assert_eq!(
            (record.cell(0), record.cell(1)),
            (Some(&b"1"[..]), Some(&b"2"[..]))
        );
        assert!(matches!(again.read(&mut record).unwrap(), Step::Bad(_)));
        assert!(matches!(again.read(&mut record).unwrap(), Step::Row));
        assert_eq!(record.cell(1), Some(&b"x<&\ny"[..]));
        assert!(matches!(again.read(&mut record).unwrap(), Step::End));
    }

    /// All rows of an XML file: how many are good, and the rejects of the others.
    fn sift(file: Vec<u8>) -> (usize, Vec<u8>) {
        let mut rows = Reading::of(Format::Xml, "a.xml")
            .open(Box::new(io::Cursor::new(file)))
            .unwrap();
        let (mut record, mut rejects) = (Record::new(), Rejects::new(Vec::new()));
        let mut good = 0;
        loop {
            match rows.read(&mut record).unwrap() {
                Step::End => return (good, rejects.finish().unwrap().unwrap_or_default()),
                Step::Row => good += 1,
                Step::Bad(bad) => rejects.push(&bad, rows.columns(), &record).unwrap(),
            }
        }
    }

    #[test]
    fn what_could_not_be_read_as_it_stands_loads_only_once_mended() {
        let cells = [
            &b"<a>x\xFF</a>"[..],
            b"<a>&nbsp;</a>",
            b"<a>e&#1;</a>",
            b"<a enc='base64'>AA*</a>",
            b"<a enc='hex'>00</a>",
            b"<a>1</a><a>2</a>",
            b"<a>1<i>2</i></a>",
            b"text<a>1</a>",
        ];
        let mut file = b"<data>".to_vec();
        for cell in cells {
            file.extend_from_slice(&[b"<row><k>1</k>", cell, b"</row>"].concat());
        }
        file.extend_from_slice(b"</data>");
        let (good, mut rejects) = sift(file);
        assert_eq!(good, 0);
        for _ in 0..2 {
            let text = String::from_utf8(rejects.clone()).unwrap();
            assert_eq!(text.matches("mended=\"no\"").count(), cells.len(), "{text}");
            let (good, again) = sift(rejects);
            assert_eq!(good, 0, "{text}");
            rejects = again;
        }
        let text = String::from_utf8(rejects).unwrap();
        let mended = text.replace(" mended=\"no\"", "");
        assert_eq!(sift(mended.into_bytes()).0, cells.len());
    }

    #[test]
    fn rows_of_other_files_are_taken_over() {
        let file = |value: &str| {
            let mut rejects = Rejects::new(Vec::new());
            let record = Record::of(Place::START, [Some(value.as_bytes())]);
            let bad = BadRow::new(Place::of_row(7), "odd");
            rejects.push(&bad, &["a".to_owned()], &record).unwrap();
            rejects.finish().unwrap().unwrap()
        };
        let mut whole = Rejects::new(Vec::new());
        whole.append(&file("1")).unwrap();
        whole.append(&file("2")).unwrap();
        whole.append(b"<data/>").unwrap_err();
        let text = String::from_utf8(whole.finish().unwrap().unwrap()).unwrap();
        assert_eq!(
            text.matches("<row number=\"7\" reason=\"odd\"><a>").count(),
            2,
            "{text}"
        );
        assert_eq!(text.matches("<data>").count(), 1);
    }

    #[test]
    fn nothing_rejected_is_no_file() {
        assert!(Rejects::new(Vec::new()).finish().unwrap().is_none());
    }
}
