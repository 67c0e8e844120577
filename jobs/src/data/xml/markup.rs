//! The events of one XML file, with the checks that hold for every one of them: limits, names, one closed root, no DOCTYPE.
//!
//! Text never reaches quick-xml, which would gather it whole: it is taken from under the parser, piece by piece, between
//! two tags, where the parser keeps no state but the names of open elements. So what the parser holds at a time is one
//! tag, comment or instruction, and those are bounded.

use std::io::BufRead;
use std::mem;

use quick_xml::Error as Syntax;
use quick_xml::events::{BytesStart, Event};

use super::super::Limits;
use super::super::fault::{BadFile, Place};
use super::super::text::Text;
use super::chars::{carries, is_qualified_name};

/// How a section begins whose text is taken as it stands.
const CDATA: &[u8] = b"<![CDATA[";
/// How it ends.
const CDATA_END: &[u8] = b"]]>";

/// What follows where text may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A tag, a comment, a reference, or the file's end.
    Markup,
    /// Text that is not white space.
    Text,
}

/// quick-xml behind a fence.
pub(super) struct Markup {
    xml: quick_xml::Reader<Text>,
    limits: Limits,
    depth: usize,
    rooted: bool,
}

impl Markup {
    pub(super) fn new(text: Text, limits: Limits) -> Markup {
        let mut xml = quick_xml::Reader::from_reader(text);
        let config = xml.config_mut();
        config.expand_empty_elements = true;
        config.check_comments = true;
        Markup {
            xml,
            limits,
            depth: 0,
            rooted: false,
        }
    }

    /// Elements open at this moment.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// The next event, before which there is no text left to take. `<a/>` comes as a start and an end; the end of the
    /// file only behind a closed root.
    pub(super) fn next<'b>(&mut self, buffer: &'b mut Vec<u8>) -> Result<Event<'b>, BadFile> {
        buffer.clear();
        let begin = self.mark();
        let text = self.xml.get_mut();
        let doctype = text.ahead(3).map_err(|e| BadFile::reading(begin, e))?;
        if doctype.starts_with(b"<!D") || doctype.starts_with(b"<!d") {
            return Err(BadFile::content(begin, "a DOCTYPE is not accepted"));
        }
        text.allow(self.limits.tag + 1);
        let event = self.xml.read_event_into(buffer);
        // Whether the fence stopped the parser or was passed within one piece of the file must make no difference.
        let taken = self.xml.get_ref().offset() - begin.byte;
        if taken > self.limits.tag as u64 {
            let most = self.limits.tag;
            let reason = format!("a tag or comment is longer than {most} bytes");
            return Err(BadFile::content(begin, reason));
        }
        let event = match event {
            Ok(event) => event,
            Err(e) => return Err(self.syntax(e)),
        };
        match &event {
            Event::Start(tag) => self.enter(tag)?,
            Event::End(_) => self.depth -= 1,
            Event::DocType(_) => return Err(self.broken("a DOCTYPE is not accepted")),
            Event::Decl(_) if self.rooted => {
                return Err(
                    self.broken("an XML declaration in the middle: another file begins here")
                );
            }
            Event::Eof if self.depth > 0 => {
                return Err(self.broken("the file ends before its root element does"));
            }
            Event::Eof if !self.rooted => return Err(self.broken("there is no root element")),
            Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) if self.depth == 0 => {
                return Err(self.stray());
            }
            _ => {}
        }
        Ok(event)
    }

    fn enter(&mut self, tag: &BytesStart<'_>) -> Result<(), BadFile> {
        if self.depth == 0 && self.rooted {
            return Err(self.broken("there is a second root element: another file begins here"));
        }
        self.rooted = true;
        self.depth += 1;
        if self.depth > self.limits.depth {
            let most = self.limits.depth;
            return Err(self.broken(format!("more than {most} elements inside each other")));
        }
        let name: &str = tag.name().into_inner();
        self.check_name(name)
    }

    fn check_name(&self, name: &str) -> Result<(), BadFile> {
        let most = self.limits.name;
        if name.len() > most {
            return Err(self.broken(format!("a name is longer than {most} bytes")));
        }
        if !is_qualified_name(name) {
            let shown = name.escape_debug();
            return Err(self.broken(format!("`{shown}` is no name of XML")));
        }
        Ok(())
    }

    /// Calls `each` with the name and the value of every attribute.
    pub(super) fn attributes(
        &self,
        tag: &BytesStart<'_>,
        mut each: impl FnMut(&str, &str),
    ) -> Result<(), BadFile> {
        for (count, attribute) in tag.attributes().enumerate() {
            if count == self.limits.attributes {
                return Err(self.broken(format!("more than {count} attributes in one element")));
            }
            let attribute = attribute.map_err(|e| self.broken(e.to_string()))?;
            let name: &str = attribute.key.as_ref();
            self.check_name(name)?;
            let value = attribute
                .normalized_value(quick_xml::XmlVersion::Implicit1_0)
                .map_err(|e| self.broken(e.to_string()))?;
            if attribute.value.contains('<') || !carries(value.as_bytes()) {
                let reason =
                    format!("the attribute {name} holds a character that XML does not allow there");
                return Err(self.broken(reason));
            }
            each(name, &value);
        }
        Ok(())
    }

    /// Takes white space; tells what stands behind it.
    pub(super) fn skip_blank(&mut self) -> Result<Next, BadFile> {
        let text = self.xml.get_mut();
        let begin = Place {
            byte: text.offset(),
            ..Place::default()
        };
        let failed = |e| BadFile::reading(begin, e);
        Ok(match text.skip_blank().map_err(failed)? {
            None | Some(b'&') => Next::Markup,
            Some(b'<') if text.ahead(CDATA.len()).map_err(failed)?.starts_with(CDATA) => Next::Text,
            Some(b'<') => Next::Markup,
            Some(_) => Next::Text,
        })
    }

    /// Takes all text up to the next tag, comment or reference, CDATA sections too, and hands it over in pieces; a piece
    /// that is `true` begins anew, one that is `false` goes on where the last one ended. `each` may refuse to take more.
    pub(super) fn text(
        &mut self,
        mut each: impl FnMut(&[u8], bool) -> Result<(), BadFile>,
    ) -> Result<(), BadFile> {
        let begin = self.mark();
        let failed = |e| BadFile::reading(begin, e);
        let mut fresh = true;
        loop {
            let source = self.xml.get_mut();
            let chunk = source.ahead(1).map_err(failed)?;
            let end = memchr::memchr2(b'<', b'&', chunk);
            let taken = end.unwrap_or(chunk.len());
            let over = chunk.is_empty();
            if taken > 0 {
                each(&chunk[..taken], fresh)?;
                source.consume(taken);
            }
            fresh = end.is_some();
            if over || end.is_some() && !self.section(&mut each)? {
                return Ok(());
            }
        }
    }

    /// Takes a CDATA section, if one stands here.
    fn section(
        &mut self,
        each: &mut impl FnMut(&[u8], bool) -> Result<(), BadFile>,
    ) -> Result<bool, BadFile> {
        let begin = self.mark();
        let failed = |e| BadFile::reading(begin, e);
        let source = self.xml.get_mut();
        if !source
            .ahead(CDATA.len())
            .map_err(failed)?
            .starts_with(CDATA)
        {
            return Ok(false);
        }
        source.consume(CDATA.len());
        let mut fresh = true;
        loop {
            let chunk = source.ahead(CDATA_END.len()).map_err(failed)?;
            if chunk.len() < CDATA_END.len() {
                return Err(BadFile::content(
                    begin,
                    "the file ends inside a CDATA section that begins here",
                ));
            }
            let end = memchr::memmem::find(chunk, CDATA_END);
            // The first two bytes of an end may stand at the end of what is at hand.
            let taken = end.unwrap_or(chunk.len() - 2);
            each(&chunk[..taken], mem::take(&mut fresh))?;
            source.consume(taken);
            if end.is_some() {
                source.consume(CDATA_END.len());
                return Ok(true);
            }
        }
    }

    /// Takes all text up to the next tag, comment or reference, whatever it is.
    pub(super) fn skip_text(&mut self) -> Result<(), BadFile> {
        self.text(|_, _| Ok(()))
    }

    /// The place that reading has come to; its row is not known here.
    pub(super) fn place(&self) -> Place {
        let text = self.xml.get_ref();
        Place {
            row: 0,
            line: text.line(),
            byte: text.offset(),
        }
    }

    /// The same, with the lines up to here counted once and for all.
    fn mark(&mut self) -> Place {
        self.xml.get_mut().count_newlines();
        self.place()
    }

    /// The text under the parser, which may be taken from where the parser stands between two elements.
    pub(super) fn source(&mut self) -> &mut Text {
        self.xml.get_mut()
    }

    pub(super) fn broken(&self, reason: impl Into<String>) -> BadFile {
        BadFile::content(self.place(), reason)
    }

    /// What is wrong where text stands outside of the root.
    pub(super) fn stray(&self) -> BadFile {
        self.broken(if self.rooted {
            "there is text behind the root element"
        } else {
            "this is not XML"
        })
    }

    fn syntax(&self, error: Syntax) -> BadFile {
        match error {
            Syntax::Io(e) => {
                let own = e.raw_os_error().map_or_else(
                    || std::io::Error::other(e.to_string()),
                    std::io::Error::from_raw_os_error,
                );
                BadFile::reading(self.place(), own)
            }
            other => self.broken(other.to_string()),
        }
    }
}
