//! From bytes to a tree with places, on quick-xml's pull parser.
//!
//! Input is not trusted: size, depth, counts and lengths have limits, DOCTYPE is refused, and the whole of
//! the file must be one element. Knows nothing of what the names mean.

mod entity;
mod place;

use crate::node::{Attribute, Node};
use crate::problem::{Pos, Problems};
use place::Place;
use quick_xml::Reader;
use quick_xml::events::{BytesDecl, BytesStart, Event};
use std::path::Path;

/// The longest file that is read, in bytes.
pub const MAX_SIZE: usize = 1 << 20;
/// How deep elements may nest.
pub const MAX_DEPTH: usize = 32;
/// How many elements a file may hold.
pub const MAX_NODES: usize = 20_000;
/// How many attributes an element may have.
pub const MAX_ATTRIBUTES: usize = 200;
/// The longest name of an element or attribute, in bytes.
pub const MAX_NAME: usize = 100;

type Fault = (usize, String);

/// Reads a file's bytes into a tree. A broken text stops the reading at the first fault, since what follows
/// could only be guessed at; `file` is used in messages alone.
pub fn parse(file: &Path, text: &[u8]) -> Result<Node, Problems> {
    let fail = |pos, message: String| Err(Problems::of(file, vec![(pos, message)]));
    if text.len() > MAX_SIZE {
        let message = format!("is longer than {MAX_SIZE} bytes");
        return fail(Pos::default(), message);
    }
    let bytes = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => {
            let good = String::from_utf8_lossy(&bytes[..e.valid_up_to()]);
            let pos = Place::new(&good).at(good.len());
            return fail(pos, "is not UTF-8 from here on".to_string());
        }
    };
    let mut builder = Builder::new(text);
    builder
        .read()
        .or_else(|(at, message)| fail(builder.place.at(at), message))
}

struct Builder<'a> {
    text: &'a str,
    place: Place<'a>,
    open: Vec<Node>,
    root: Option<Node>,
    nodes: usize,
}

impl<'a> Builder<'a> {
    fn new(text: &'a str) -> Builder<'a> {
        Builder {
            text,
            place: Place::new(text),
            open: Vec::new(),
            root: None,
            nodes: 0,
        }
    }

    fn read(&mut self) -> Result<Node, Fault> {
        if let Some((at, c)) = self
            .text
            .char_indices()
            .find(|(_, c)| !entity::is_xml_char(*c))
        {
            let code = u32::from(c);
            return Err((at, format!("character U+{code:04X} may not stand in XML")));
        }
        let mut reader = Reader::from_str(self.text);
        let config = reader.config_mut();
        config.check_end_names = false;
        config.allow_unmatched_ends = true;
        config.check_comments = true;
        loop {
            let at = offset(reader.buffer_position());
            let event = reader
                .read_event()
                .map_err(|e| (offset(reader.error_position()), explain(&e)))?;
            if !self.take(at, event)? {
                break;
            }
        }
        if let Some(node) = self.open.last() {
            let (name, line) = (&node.name, node.pos.line);
            let message = format!("the file ends while <{name}> of line {line} is open");
            return Err((self.text.len(), message));
        }
        self.root
            .take()
            .ok_or((self.text.len(), "holds no element".to_string()))
    }

    /// Takes one event that begins at offset `at`; false at the end of the text.
    fn take(&mut self, at: usize, event: Event<'a>) -> Result<bool, Fault> {
        match event {
            Event::Eof => return Ok(false),
            Event::Start(tag) => {
                let node = self.element(at, &tag)?;
                self.open.push(node);
                if self.open.len() > MAX_DEPTH {
                    return Err((at, format!("elements nest deeper than {MAX_DEPTH}")));
                }
            }
            Event::Empty(tag) => {
                let node = self.element(at, &tag)?;
                self.close(node);
            }
            Event::End(tag) => {
                let found = tag.name().as_ref().trim_end().to_string();
                let node = self
                    .open
                    .pop()
                    .ok_or_else(|| (at, format!("</{found}> closes nothing")))?;
                if node.name != found {
                    let (name, line) = (&node.name, node.pos.line);
                    let message =
                        format!("</{found}> where <{name}> of line {line} is to be closed");
                    return Err((at, message));
                }
                self.close(node);
            }
            Event::Text(text) => {
                if text.contains("]]>") {
                    return Err((at, "`]]>` in text must be written `]]&gt;`".to_string()));
                }
                self.add_text(at, &text.xml10_content())?;
            }
            Event::CData(text) => self.add_text(at, &text.xml10_content())?,
            Event::GeneralRef(name) => {
                let c = entity::resolve(&name).map_err(|e| (at, e))?;
                self.add_text(at, c.encode_utf8(&mut [0; 4]))?;
            }
            Event::Decl(declaration) => check_declaration(at, &declaration)?,
            Event::DocType(_) => return Err((at, "a DOCTYPE is not taken".to_string())),
            Event::Comment(_) | Event::PI(_) => {}
        }
        Ok(true)
    }

    fn element(&mut self, at: usize, tag: &BytesStart<'_>) -> Result<Node, Fault> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err((at, format!("holds more than {MAX_NODES} elements")));
        }
        if self.root.is_some() && self.open.is_empty() {
            return Err((
                at,
                "a second element after the end of the first".to_string(),
            ));
        }
        let name = tag.name().as_ref().to_string();
        check_name(&name).map_err(|e| (at + 1, e))?;
        let pos = self.place.at(at);
        let attributes = self.attributes(at, tag)?;
        Ok(Node {
            name,
            pos,
            attributes,
            text_pos: pos,
            ..Node::default()
        })
    }

    fn attributes(&mut self, at: usize, tag: &BytesStart<'_>) -> Result<Vec<Attribute>, Fault> {
        let raw = tag.attributes_raw();
        let begin = at + 1 + tag.name().as_ref().len();
        let mut attributes: Vec<Attribute> = Vec::new();
        let mut all = tag.attributes();
        // duplicates are found below, with a message that names the element
        for attribute in all.with_checks(false) {
            let attribute =
                attribute.map_err(|e| (begin, format!("<{}>: {e}", tag.name().as_ref())))?;
            let name: &str = attribute.key.as_ref();
            let within =
                |part: &str| (part.as_ptr() as usize).saturating_sub(raw.as_ptr() as usize);
            let start = begin + within(name);
            check_name(name).map_err(|e| (start, e))?;
            if !raw[..within(name)].ends_with(char::is_whitespace) {
                return Err((start, format!("a blank is missing before `{name}`")));
            }
            if attributes.iter().any(|a| a.name == name) {
                return Err((start, format!("attribute `{name}` is given twice")));
            }
            if attributes.len() == MAX_ATTRIBUTES {
                return Err((start, format!("more than {MAX_ATTRIBUTES} attributes")));
            }
            let pos = self.place.at(start);
            let value = entity::attribute_value(&attribute.value)
                .map_err(|(i, e)| (begin + within(&attribute.value) + i, e))?;
            attributes.push(Attribute {
                name: name.to_string(),
                value,
                pos,
                secret: false,
            });
        }
        Ok(attributes)
    }

    fn add_text(&mut self, at: usize, text: &str) -> Result<(), Fault> {
        let blank = text.len() - text.trim_start().len();
        let is_blank = blank == text.len();
        let Some(node) = self.open.last_mut() else {
            let message = "text outside of the root element".to_string();
            return if is_blank {
                Ok(())
            } else {
                Err((at + blank, message))
            };
        };
        if !is_blank && node.text.trim().is_empty() {
            node.text_pos = self.place.at(at + blank);
        }
        node.text.push_str(text);
        Ok(())
    }

    fn close(&mut self, node: Node) {
        match self.open.last_mut() {
            Some(parent) => parent.children.push(node),
            None => self.root = Some(node),
        }
    }
}

fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// quick-xml's own words without its frame: ours has the place already.
fn explain(error: &quick_xml::Error) -> String {
    match error {
        quick_xml::Error::Syntax(e) => e.to_string(),
        quick_xml::Error::IllFormed(e) => e.to_string(),
        other => other.to_string(),
    }
}

fn check_declaration(at: usize, declaration: &BytesDecl<'_>) -> Result<(), Fault> {
    if at != 0 {
        return Err((at, "`<?xml` may only stand at the very begin".to_string()));
    }
    match declaration.encoding() {
        Some(Ok(name)) if !name.eq_ignore_ascii_case("utf-8") => Err((
            at,
            format!("encoding `{name}` is not taken: write it in UTF-8"),
        )),
        Some(Err(e)) => Err((at, format!("in `<?xml`: {e}"))),
        _ => Ok(()),
    }
}

/// XML's rule for names, with every letter beyond ASCII taken as one.
fn check_name(name: &str) -> Result<(), String> {
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|c| c.is_alphabetic() || c == '_');
    let rest = chars.all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':'));
    if name.len() > MAX_NAME {
        return Err(format!("a name longer than {MAX_NAME} bytes"));
    }
    if !first || !rest {
        return Err(format!("`{}` is not a name", name.escape_debug()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tree(text: &str) -> Node {
        parse(Path::new("a.xml"), text.as_bytes()).unwrap()
    }

    fn error(text: impl AsRef<[u8]>) -> String {
        parse(Path::new("a.xml"), text.as_ref())
            .unwrap_err()
            .to_string()
    }

    fn pos(line: u32, column: u32) -> Pos {
        Pos { line, column }
    }

    #[test]
    fn places_are_lines_and_characters() {
        let root = tree(
            "\u{feff}<?xml version='1.0' encoding='UTF-8'?>\n<!-- ä -->\n<a  x='ü'\r\n\ty=\"1\">\n  <ß k='ö' l='m'/>t\n <sql>\n  select</sql></a>\n<?pi?><!-- -->\n",
        );
        assert_eq!(root.pos, pos(3, 1));
        assert_eq!(root.attributes[0].pos, pos(3, 5));
        assert_eq!(root.attributes[1].pos, pos(4, 2));
        let child = &root.children[0];
        assert_eq!(
            (child.pos, child.attributes[1].pos),
            (pos(5, 3), pos(5, 12))
        );
        assert_eq!(root.text_pos, pos(5, 19));
        assert_eq!(root.children[1].text_pos, pos(7, 3));
    }

    #[test]
    fn text_is_joined_and_references_replaced() {
        let root =
            tree("<a x=\"&lt;&#65;&quot;\">1 &lt; <!-- c -->2<![CDATA[ & <3>]]>\r\n&#x34;</a>");
        assert_eq!(root.attributes[0].value, "<A\"");
        assert_eq!(root.text, "1 < 2 & <3>\n4");
    }

    #[test]
    fn what_is_broken_is_said_with_its_place() {
        for (text, message) in [
            ("", "a.xml:1:1: holds no element"),
            ("<!-- only -->", "a.xml:1:14: holds no element"),
            (
                "<a>\n<b>\n</a>",
                "a.xml:3:1: </a> where <b> of line 2 is to be closed",
            ),
            (
                "<a>\n <b>",
                "a.xml:2:5: the file ends while <b> of line 2 is open",
            ),
            (
                "<a/>\n<b/>",
                "a.xml:2:1: a second element after the end of the first",
            ),
            (
                "<a/>\n  junk",
                "a.xml:2:3: text outside of the root element",
            ),
            ("<a/>&amp;", "a.xml:1:5: text outside of the root element"),
            ("junk<a/>", "a.xml:1:1: text outside of the root element"),
            ("</a>", "a.xml:1:1: </a> closes nothing"),
            ("<a/></a>", "a.xml:1:5: </a> closes nothing"),
            ("<!DOCTYPE a><a/>", "a.xml:1:1: a DOCTYPE is not taken"),
            ("<a>\n&nbsp;</a>", "a.xml:2:1: unknown entity `&nbsp;`"),
            (
                "<a x='1' x='2'/>",
                "a.xml:1:10: attribute `x` is given twice",
            ),
            ("<a\n x='a & b'/>", "a.xml:2:7: `&` must be written `&amp;`"),
            ("<a x='1<2'/>", "a.xml:1:8: `<` in a value"),
            ("<a>\u{1}</a>", "a.xml:1:4: character U+0001"),
            ("<a>&#1;</a>", "a.xml:1:4: `&#1;` is not a character"),
            ("<1a/>", "a.xml:1:2: `1a` is not a name"),
            (
                "<a><?xml version='1.0'?></a>",
                "`<?xml` may only stand at the very begin",
            ),
            (
                "<?xml version='1.0' encoding='gbk'?><a/>",
                "encoding `gbk` is not taken",
            ),
            ("<a>x ]]> y</a>", "`]]>` in text"),
            ("<a x=1/>", "a.xml:1:"),
            ("<a x/>", "a.xml:1:"),
            ("<a x='1'y='2'/>", "a.xml:1:9: a blank is missing"),
            ("<a", "tag not closed"),
            ("<a><!-- ", "comment not closed"),
            ("<a>&amp</a>", "a.xml:1:"),
        ] {
            let error = error(text);
            assert!(error.contains(message), "{text:?}: {error}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused_with_their_place() {
        let message = "a.xml:2:3: is not UTF-8 from here on";
        assert_eq!(error(b"<a>\n\xc3\xa4\xc3\xa4\xff</a>"), message);
        assert!(error(b"\xff\xfe<\0a\0").contains("a.xml:1:1: is not UTF-8"));
    }

    #[test]
    fn everything_has_a_limit() {
        assert!(error("x".repeat(MAX_SIZE + 1)).contains("longer than"));
        let deep = |n: usize| format!("{}{}", "<a>".repeat(n), "</a>".repeat(n));
        assert!(error(deep(MAX_DEPTH + 1)).contains("deeper than"));
        assert_eq!(tree(&deep(MAX_DEPTH)).name, "a");
        let many = format!("<a>{}</a>", "<b/>".repeat(MAX_NODES));
        assert!(error(many).contains("elements"));
        let attributes: String = (0..=MAX_ATTRIBUTES).map(|i| format!(" a{i}=''")).collect();
        assert!(error(format!("<a{attributes}/>")).contains("attributes"));
        assert!(error(format!("<{}/>", "a".repeat(MAX_NAME + 1))).contains("a name longer than"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(Path::new("a.xml"), &bytes).is_ok();
        }

        #[test]
        fn nothing_like_xml_panics(text in "(<|>|/|a|ä|=|'|\"|&|;|#|x|1| |\n|!--|--|\\[CDATA\\[|\\]\\]|\\?xml|DOCTYPE){0,40}") {
            let _ = parse(Path::new("a.xml"), text.as_bytes()).is_ok();
        }

        #[test]
        fn what_is_written_is_read(value in "[^\\x00-\\x1f\\x7f\\u{fffe}\\u{ffff}]{0,30}", line in 0..5_usize) {
            let escaped = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
            let root = tree(&format!("<a>{}<b c=\"{escaped}\">{escaped}</b></a>", "\n".repeat(line)));
            let b = &root.children[0];
            prop_assert_eq!(&b.attributes[0].value, &value);
            prop_assert_eq!(&b.text, &value);
            prop_assert_eq!(b.pos.line as usize, line + 1);
        }
    }
}
