//! Rows as a page for people: one HTML file that needs no other, in light and dark, with every text escaped.
//! It knows rows and columns; what they mean is not its matter.

use std::io::{self, Write};

use chrono::{DateTime, Utc};
use db::Cell;

use crate::data::{Column, Compression, Form, Packer};
use crate::job::Count;

/// Everything up to the first row.
const HEAD: &str = include_str!("page.html");

/// Bytes gathered before they go on.
const GATHER: usize = 64 << 10;

/// A page in the making.
pub(super) struct Page<W: Write> {
    output: Packer<W>,
    gathered: Vec<u8>,
    numbers: Vec<bool>,
    rows: u64,
    bytes: u64,
}

/// What stands above the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heading<'a> {
    pub(super) title: &'a str,
    pub(super) window: &'a str,
}

impl<W: Write> Page<W> {
    /// Begins a page.
    pub(super) fn new(
        output: W,
        compression: Compression,
        heading: Heading<'_>,
        columns: &[Column],
    ) -> io::Result<Page<W>> {
        let numbers: Vec<bool> = columns
            .iter()
            .map(|column| column.form == Form::Number)
            .collect();
        let mut head = Vec::new();
        for (column, number) in columns.iter().zip(&numbers) {
            head.extend_from_slice(if *number {
                b"<th scope=\"col\" class=\"n\">"
            } else {
                b"<th scope=\"col\">"
            });
            escape(&mut head, column.name.as_bytes());
            head.extend_from_slice(b"</th>");
        }
        let mut page = Page {
            output: Packer::new(output, compression)?,
            gathered: Vec::with_capacity(GATHER),
            numbers,
            rows: 0,
            bytes: 0,
        };
        let mut rest = HEAD;
        while let Some((before, name, after)) = placeholder(rest) {
            page.gathered.extend_from_slice(before.as_bytes());
            match name {
                "title" => escape(&mut page.gathered, heading.title.as_bytes()),
                "window" => escape(&mut page.gathered, heading.window.as_bytes()),
                _ => page.gathered.extend_from_slice(&head),
            }
            rest = after;
        }
        page.gathered.extend_from_slice(rest.as_bytes());
        Ok(page)
    }

    /// Writes a row. NULL is an empty cell, which shows as a dash; empty text is an empty span, which shows as nothing.
    pub(super) fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        self.gathered.extend_from_slice(b"<tr>");
        for (cell, number) in cells.iter().zip(&self.numbers) {
            self.gathered.extend_from_slice(if *number {
                b"<td class=\"n\">"
            } else {
                b"<td>"
            });
            match cell {
                None => {}
                Some(b"") => self.gathered.extend_from_slice(b"<span></span>"),
                Some(text) => escape(&mut self.gathered, text),
            }
            self.gathered.extend_from_slice(b"</td>");
        }
        self.gathered.extend_from_slice(b"</tr>\n");
        self.rows += 1;
        if self.gathered.len() >= GATHER {
            self.pour()
        } else {
            Ok(())
        }
    }

    /// Bytes so far, before compression.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes + self.gathered.len() as u64
    }

    /// Writes the end of the page, with the number of rows and the time, and gives the output back.
    pub(super) fn finish(mut self, now: DateTime<Utc>) -> io::Result<W> {
        let time = now.format("%Y-%m-%d %H:%M:%S UTC");
        writeln!(
            self.gathered,
            "</tbody>\n</table>\n</div>\n<footer><p>{}, made {time}</p></footer>\n</body>\n</html>",
            Count(self.rows, "row")
        )?;
        self.pour()?;
        self.output.finish()
    }

    fn pour(&mut self) -> io::Result<()> {
        self.output.write_all(&self.gathered)?;
        self.bytes += self.gathered.len() as u64;
        self.gathered.clear();
        Ok(())
    }
}

/// The next `{name}` of the template, with what stands before and behind it. Braces of the style sheet have a space behind them.
fn placeholder(text: &str) -> Option<(&str, &str, &str)> {
    ["title", "window", "columns"]
        .into_iter()
        .filter_map(|name| {
            let mark = format!("{{{name}}}");
            text.find(&mark).map(|at| (at, name, at + mark.len()))
        })
        .min()
        .map(|(at, name, end)| (&text[..at], name, &text[end..]))
}

/// Text as HTML. Control characters, which HTML may not hold, and bytes that are no UTF-8 become U+FFFD.
fn escape(out: &mut Vec<u8>, text: &[u8]) {
    for c in String::from_utf8_lossy(text).chars() {
        match c {
            '&' => out.extend_from_slice(b"&amp;"),
            '<' => out.extend_from_slice(b"&lt;"),
            '>' => out.extend_from_slice(b"&gt;"),
            '"' => out.extend_from_slice(b"&quot;"),
            '\'' => out.extend_from_slice(b"&#39;"),
            '\t' | '\n' => out.push(if c == '\t' { b'\t' } else { b'\n' }),
            '\r' => out.extend_from_slice(b"&#13;"),
            c if c.is_control() || ('\u{FDD0}'..='\u{FDEF}').contains(&c) => {
                out.extend_from_slice("\u{FFFD}".as_bytes())
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(rows: &[&[Cell<'_>]]) -> String {
        let columns = [
            Column::text("<na&me>"),
            Column {
                name: "n".into(),
                form: Form::Number,
            },
        ];
        let heading = Heading {
            title: "Q \"1\" {columns} <script>",
            window: "2026-01-01 to 2026-01-02 (UTC)",
        };
        let mut page = Page::new(Vec::new(), Compression::None, heading, &columns).unwrap();
        rows.iter().for_each(|row| page.row(row).unwrap());
        let bytes = page.finish(DateTime::UNIX_EPOCH).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn nothing_in_a_cell_is_taken_for_markup() {
        let text = page(&[
            &[Some(b"<b>&'\"\0\xFF\xE7\xAB\x99\r\n</b>"), Some(b"1")],
            &[None, None],
            &[Some(b""), Some(b"-2.5")],
        ]);
        assert!(text.contains("<td>&lt;b&gt;&amp;&#39;&quot;\u{FFFD}\u{FFFD}站&#13;\n&lt;/b&gt;</td><td class=\"n\">1</td>"), "{text}");
        assert!(text.contains("<tr><td></td><td class=\"n\"></td></tr>\n<tr><td><span></span></td><td class=\"n\">-2.5</td></tr>"));
        assert!(text.contains(
            "<th scope=\"col\">&lt;na&amp;me&gt;</th><th scope=\"col\" class=\"n\">n</th>"
        ));
        assert!(text.contains("<h1>Q &quot;1&quot; {columns} &lt;script&gt;</h1>"));
        assert!(text.contains("3 rows, made 1970-01-01 00:00:00 UTC") && !text.contains("<script"));
    }

    #[test]
    fn an_empty_page_is_a_page_and_a_page_needs_no_other_file() {
        let text = page(&[]);
        assert!(
            text.starts_with("<!doctype html>")
                && text.trim_end().ends_with("</html>")
                && text.contains("0 rows")
        );
        assert!(
            !text.contains("http:")
                && !text.contains("https:")
                && !text.contains("url(")
                && !text.contains("src=")
        );
    }
}
