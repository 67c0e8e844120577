//! The events of one XML file, with the checks that hold for every one of them: limits, one closed root, no DOCTYPE.

use std::io;

use quick_xml::Error as Syntax;
use quick_xml::events::{BytesStart, Event};

use super::super::Limits;
use super::super::fault::{BadFile, Place};
use super::super::text::Text;

/// What an event may take beyond the text of one cell: the tags around it.
const SLACK: usize = 64 << 10;

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

    /// The next event. `<a/>` comes as a start and an end; the end of the file only behind a closed root.
    pub(super) fn next<'b>(&mut self, buffer: &'b mut Vec<u8>) -> Result<Event<'b>, BadFile> {
        buffer.clear();
        self.xml.get_mut().allow(self.limits.cell + SLACK);
        let event = match self.xml.read_event_into(buffer) {
            Ok(event) => event,
            Err(e) => return Err(self.syntax(e)),
        };
        match &event {
            Event::Start(tag) => self.enter(tag)?,
            Event::End(_) => self.depth -= 1,
            Event::DocType(_) => return Err(self.broken("DOCTYPE is not accepted")),
            Event::Eof if self.depth > 0 => {
                return Err(self.broken("the file ends before its root element does"));
            }
            Event::Eof if !self.rooted => return Err(self.broken("there is no root element")),
            Event::Text(text) if self.depth == 0 && !is_blank(text) => return Err(self.stray()),
            Event::CData(_) | Event::GeneralRef(_) if self.depth == 0 => return Err(self.stray()),
            _ => {}
        }
        Ok(event)
    }

    fn enter(&mut self, tag: &BytesStart<'_>) -> Result<(), BadFile> {
        if self.depth == 0 && self.rooted {
            return Err(self.broken("there is a second root element"));
        }
        self.rooted = true;
        self.depth += 1;
        if self.depth > self.limits.depth {
            return Err(self.broken(format!(
                "more than {} elements inside each other",
                self.limits.depth
            )));
        }
        if tag.name().as_ref().len() > self.limits.name {
            return Err(self.broken(format!("a name is longer than {} bytes", self.limits.name)));
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
            let value = attribute
                .normalized_value(quick_xml::XmlVersion::Implicit1_0)
                .map_err(|e| self.broken(e.to_string()))?;
            each(attribute.key.as_ref(), &value);
        }
        Ok(())
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

    pub(super) fn text(&mut self) -> &mut Text {
        self.xml.get_mut()
    }

    pub(super) fn broken(&self, reason: impl Into<String>) -> BadFile {
        BadFile::content(self.place(), reason)
    }

    fn stray(&self) -> BadFile {
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
                    || io::Error::other(e.to_string()),
                    io::Error::from_raw_os_error,
                );
                BadFile::reading(self.place(), own)
            }
            other => self.broken(other.to_string()),
        }
    }
}

/// Whether a piece of text is white space alone.
pub(super) fn is_blank(text: &str) -> bool {
    text.bytes()
        .all(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r'))
}
