//! The text of a file: any encoding in, valid UTF-8 out, with lines, bytes and undecodable places kept in view.
//!
//! Bytes that are not valid in the encoding come out as U+FFFD and are noted, so that the row they stand in can be
//! told as bad while the file goes on. What a parser may take without finding an end is bounded here, below it.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// Bytes asked of the file at a time.
const CHUNK: usize = 64 << 10;
/// Undecodable places that one row may hold before the file counts as being in another encoding.
const MAX_NOTES: usize = 65_536;
/// How far into a file an XML declaration is looked for.
const DECLARATION: usize = 512;

/// The encoding of that name or alias (WHATWG: `gbk`, `gb18030`, `windows-1252`, `utf-16le`, …).
#[must_use]
pub fn encoding_of(name: &str) -> Option<&'static Encoding> {
    // `replacement` stands for encodings that are not to be decoded at all.
    Encoding::for_label_no_replacement(name.as_bytes())
}

/// What the text is made of, as far as opening it is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// XML, which may declare its encoding.
    Xml,
    /// Lines. Where the file's first piece has carriage returns and no line feed, a carriage return ends a line.
    Lines,
    /// Anything else.
    Free,
}

/// Undecodable bytes: where they show in the decoded text, and where they are in the file.
#[derive(Clone, Copy, Debug)]
struct Note {
    decoded: u64,
    source: u64,
}

/// A stream of valid UTF-8 with positions.
pub(super) struct Text {
    input: Box<dyn Read>,
    decoder: Decoder,
    /// Bytes read and not yet decoded.
    raw: Vec<u8>,
    raw_at: usize,
    source_offset: u64,
    ended: bool,
    flushed: bool,
    /// Decoded text; `at` is how far it has been consumed.
    buffer: Vec<u8>,
    filled: usize,
    at: usize,
    /// Offset in the decoded stream of `buffer[0]`.
    base: u64,
    /// Newlines before `buffer[counted]`.
    newlines: u64,
    counted: usize,
    notes: VecDeque<Note>,
    /// The decoded offset that may not be passed without a new [`Text::allow`].
    fence: u64,
    /// Whether carriage returns are read as line feeds.
    returns: bool,
}

impl Text {
    /// Opens a stream. The encoding is the byte order mark's, else `given`, else that of an XML declaration, else UTF-8.
    pub(super) fn open(
        input: Box<dyn Read>,
        given: Option<&'static Encoding>,
        nature: Nature,
    ) -> io::Result<Text> {
        let mut text = Text {
            input,
            decoder: UTF_8.new_decoder_without_bom_handling(),
            raw: Vec::with_capacity(CHUNK),
            raw_at: 0,
            source_offset: 0,
            ended: false,
            flushed: false,
            buffer: vec![0; CHUNK + CHUNK / 2],
            filled: 0,
            at: 0,
            base: 0,
            newlines: 0,
            counted: 0,
            notes: VecDeque::new(),
            fence: u64::MAX,
            returns: false,
        };
        text.read_raw(DECLARATION)?;
        let (encoding, mark) = match Encoding::for_bom(&text.raw) {
            Some((encoding, length)) => (encoding, length),
            None => {
                let own = match given {
                    None if nature == Nature::Xml => declared_encoding(&text.raw)?,
                    _ => None,
                };
                (given.or(own).unwrap_or(UTF_8), 0)
            }
        };
        text.raw_at = mark;
        text.source_offset = u64::try_from(mark).unwrap_or(0);
        text.decoder = encoding.new_decoder_without_bom_handling();
        if nature == Nature::Lines {
            text.look_for_returns()?;
        }
        Ok(text)
    }

    /// Tells a file of an old Macintosh, whose lines end with carriage returns alone, by its first piece.
    fn look_for_returns(&mut self) -> io::Result<()> {
        self.ahead(CHUNK / 2)?;
        let first = &self.buffer[..self.filled];
        let inner = first.split_last().map_or(first, |(_, inner)| inner);
        self.returns = inner.contains(&b'\r') && !first.contains(&b'\n');
        if self.returns {
            turn_returns(&mut self.buffer[..self.filled]);
        }
        Ok(())
    }

    /// The line that reading has come to, from 1. Cheap right after [`Text::count_newlines`].
    pub(super) fn line(&self) -> u64 {
        self.newlines + 1 + newlines_in(&self.buffer[self.counted..self.at])
    }

    /// Counts the lines up to here once and for all.
    pub(super) fn count_newlines(&mut self) {
        self.newlines += newlines_in(&self.buffer[self.counted..self.at]);
        self.counted = self.at;
    }

    /// The byte of decoded text that reading has come to, from 0.
    pub(super) fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// Decoded text that can be taken without reading on; empty at the end of a piece.
    pub(super) fn at_hand(&self) -> &[u8] {
        &self.buffer[self.at..self.filled]
    }

    /// Text from a decoded offset up to here, as far as it has not been let go of.
    pub(super) fn since(&self, offset: u64) -> &[u8] {
        let from = usize::try_from(offset.saturating_sub(self.base)).unwrap_or(usize::MAX);
        &self.buffer[from.min(self.at)..self.at]
    }

    /// Allows so many more bytes to be taken from here on.
    pub(super) fn allow(&mut self, bytes: usize) {
        self.fence = self.offset() + bytes as u64;
    }

    /// Takes white space; tells the byte behind it, left where it is.
    pub(super) fn skip_blank(&mut self) -> io::Result<Option<u8>> {
        loop {
            let chunk = self.at_hand();
            let blank = chunk.iter().take_while(|b| is_blank(**b)).count();
            let found = chunk.get(blank).copied();
            self.at += blank;
            if found.is_some() || !self.more()? {
                return Ok(found);
            }
        }
    }

    /// Takes lines, whatever they hold, fewer where the file ends.
    pub(super) fn skip_lines(&mut self, count: u64) -> io::Result<()> {
        for _ in 0..count {
            loop {
                let chunk = self.at_hand();
                let end = memchr::memchr(b'\n', chunk);
                self.at += end.map_or(chunk.len(), |end| end + 1);
                if end.is_some() {
                    break;
                }
                if !self.more()? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Text at hand, at least so many bytes of it (up to 32 KiB) unless the file ends before.
    pub(super) fn ahead(&mut self, least: usize) -> io::Result<&[u8]> {
        while self.filled - self.at < least && self.more()? {}
        Ok(self.at_hand())
    }

    /// Reads on and keeps what is at hand, so that it stands in one piece. `false` when nothing came: at the file's end, or
    /// with so much at hand already that it is better taken in pieces.
    pub(super) fn more(&mut self) -> io::Result<bool> {
        if self.filled - self.at > CHUNK / 2 {
            return Ok(false);
        }
        self.count_newlines();
        self.base += self.at as u64;
        self.buffer.copy_within(self.at..self.filled, 0);
        self.filled -= self.at;
        (self.at, self.counted) = (0, 0);
        let before = self.filled;
        while self.filled == before && !self.flushed {
            if self.raw_at == self.raw.len() && !self.ended {
                self.read_raw(1)?;
            }
            self.decode()?;
        }
        if self.returns {
            turn_returns(&mut self.buffer[before..self.filled]);
        }
        Ok(self.filled > before)
    }

    /// Forgets notes before the present place and tells, in the file's own bytes, the first undecodable one among
    /// them from `since` (a decoded offset) on.
    pub(super) fn undecodable_since(&mut self, since: u64) -> Option<u64> {
        let here = self.offset();
        let mut first = None;
        while let Some(note) = self.notes.front().filter(|note| note.decoded < here) {
            if note.decoded >= since && first.is_none() {
                first = Some(note.source);
            }
            self.notes.pop_front();
        }
        first
    }

    /// The name of the encoding that the text is read by.
    pub(super) fn encoding(&self) -> &'static str {
        self.decoder.encoding().name()
    }

    /// Reads until `least` undecoded bytes are there or the file ends.
    fn read_raw(&mut self, least: usize) -> io::Result<()> {
        self.raw.drain(..self.raw_at);
        self.raw_at = 0;
        while self.raw.len() < least && !self.ended {
            let have = self.raw.len();
            self.raw.resize(have + CHUNK, 0);
            let got = match self.input.read(&mut self.raw[have..]) {
                Ok(got) => got,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {
                    self.raw.truncate(have);
                    continue;
                }
                Err(e) => {
                    self.raw.truncate(have);
                    return Err(e);
                }
            };
            self.raw.truncate(have + got);
            self.ended = got == 0;
        }
        Ok(())
    }

    /// Decodes what is at hand behind what the buffer holds, noting what cannot be decoded.
    fn decode(&mut self) -> io::Result<()> {
        loop {
            let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(
                &self.raw[self.raw_at..],
                &mut self.buffer[self.filled..],
                self.ended,
            );
            self.raw_at += read;
            self.source_offset += read as u64;
            self.filled += written;
            let DecoderResult::Malformed(bad, behind) = result else {
                // With the last input taken, the decoder is done and must not be asked again.
                self.flushed = self.ended && result == DecoderResult::InputEmpty;
                return Ok(());
            };
            if self.notes.len() >= MAX_NOTES {
                return Err(io::Error::other(format!(
                    "far too many bytes are not {}",
                    self.encoding()
                )));
            }
            self.notes.push_back(Note {
                decoded: self.base + self.filled as u64,
                source: self.source_offset - u64::from(bad) - u64::from(behind),
            });
            let mut mark = [0; 3];
            let mark = char::REPLACEMENT_CHARACTER
                .encode_utf8(&mut mark)
                .as_bytes();
            if self.filled + mark.len() > self.buffer.len() {
                self.buffer.resize(self.filled + mark.len(), 0);
            }
            self.buffer[self.filled..self.filled + mark.len()].copy_from_slice(mark);
            self.filled += mark.len();
            if self.buffer.len() - self.filled < 64 {
                return Ok(());
            }
        }
    }
}

impl Read for Text {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let taken = available.len().min(into.len());
        into[..taken].copy_from_slice(&available[..taken]);
        self.consume(taken);
        Ok(taken)
    }
}

impl BufRead for Text {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.filled {
            if self.offset() >= self.fence {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            self.more()?;
        }
        Ok(&self.buffer[self.at..self.filled])
    }

    fn consume(&mut self, amount: usize) {
        self.at = (self.at + amount).min(self.filled);
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn newlines_in(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

fn turn_returns(bytes: &mut [u8]) {
    bytes
        .iter_mut()
        .filter(|b| **b == b'\r')
        .for_each(|b| *b = b'\n');
}

/// The encoding that an XML declaration names, or that its first bytes betray.
fn declared_encoding(head: &[u8]) -> io::Result<Option<&'static Encoding>> {
    if head.starts_with(b"<\0") {
        return Ok(Some(UTF_16LE));
    }
    if head.starts_with(b"\0<") {
        return Ok(Some(UTF_16BE));
    }
    let Some(label) = declared_label(head) else {
        return Ok(None);
    };
    match Encoding::for_label_no_replacement(label) {
        // A declaration that can be read byte by byte is not in UTF-16, whatever it says.
        Some(encoding) if encoding == UTF_16LE || encoding == UTF_16BE => Ok(None),
        Some(encoding) => Ok(Some(encoding)),
        None => Err(io::Error::other(format!(
            "the declared encoding `{}` is not known",
            String::from_utf8_lossy(label).escape_debug()
        ))),
    }
}

/// What stands in quotes behind `encoding=` in the declaration.
fn declared_label(head: &[u8]) -> Option<&[u8]> {
    let head = head.strip_prefix(b"<?xml")?;
    let head = &head[..memchr::memmem::find(head, b"?>")?];
    let value = &head[memchr::memmem::find(head, b"encoding")? + b"encoding".len()..];
    let value = value
        .trim_ascii_start()
        .strip_prefix(b"=")?
        .trim_ascii_start();
    let (&quote, value) = value
        .split_first()
        .filter(|(quote, _)| matches!(quote, b'"' | b'\''))?;
    Some(&value[..memchr::memchr(quote, value)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &'static [u8], label: Option<&str>) -> (String, Option<u64>) {
        let given = label.and_then(encoding_of);
        let mut text = Text::open(Box::new(bytes), given, Nature::Xml).unwrap();
        let mut out = String::new();
        text.read_to_string(&mut out).unwrap();
        let bad = text.undecodable_since(0);
        (out, bad)
    }

    #[test]
    fn mark_wins_over_parameter_and_parameter_over_declaration() {
        assert_eq!(read(b"\xEF\xBB\xBFabc", Some("gbk")).0, "abc");
        assert_eq!(read(b"\xFF\xFEa\0b\0", None).0, "ab");
        assert_eq!(
            read(b"<?xml version='1.0' encoding='GB2312'?>\xD6\xD0", None)
                .0
                .chars()
                .last(),
            Some('中')
        );
        assert_eq!(
            read(
                b"<?xml version='1.0' encoding='latin1'?>\xD6\xD0",
                Some("gbk")
            )
            .0
            .chars()
            .last(),
            Some('中')
        );
        assert_eq!(read(b"<\0?\0x\0", None).0, "<?x");
    }

    #[test]
    fn undecodable_bytes_are_noted_with_their_place() {
        assert_eq!(read(b"ab\xFFcd", None), ("ab\u{FFFD}cd".into(), Some(2)));
        assert_eq!(read(b"ab\xD6", Some("gbk")), ("ab\u{FFFD}".into(), Some(2)));
        assert_eq!(read(b"ab\xE4\xB8", None), ("ab\u{FFFD}".into(), Some(2)));
    }

    #[test]
    fn all_bytes_of_a_long_stream_pass() {
        let line = crate::data::encode_for_tests("中文字符,and some ascii\n", "gbk");
        let many: Vec<u8> = line
            .iter()
            .copied()
            .cycle()
            .take(line.len() * 20_000)
            .collect();
        let mut text = Text::open(
            Box::new(io::Cursor::new(many)),
            encoding_of("gbk"),
            Nature::Free,
        )
        .unwrap();
        let mut out = String::new();
        text.read_to_string(&mut out).unwrap();
        assert_eq!(out.len(), "中文字符,and some ascii\n".len() * 20_000);
        assert_eq!((text.line(), text.offset()), (20_001, out.len() as u64));
    }

    #[test]
    fn the_fence_holds() {
        let mut text = Text::open(Box::new(io::repeat(b'x')), None, Nature::Free).unwrap();
        text.allow(1 << 20);
        let mut out = Vec::new();
        assert!(text.read_until(b'\n', &mut out).is_err());
        assert!(out.len() < (1 << 20) + 2 * CHUNK);
    }

    #[test]
    fn text_at_hand_grows_without_losing_its_place() {
        let lines = "0123456789abcde\n".repeat(10_000);
        let mut text =
            Text::open(Box::new(io::Cursor::new(lines.clone())), None, Nature::Free).unwrap();
        let mut taken = Vec::new();
        // By steps that fit no piece of the file.
        while text.ahead(1_000).unwrap().len() >= 1_000 {
            taken.extend_from_slice(&text.at_hand()[..999]);
            text.consume(999);
        }
        taken.extend_from_slice(text.at_hand());
        text.consume(usize::MAX / 2);
        assert!(taken == lines.as_bytes());
        assert_eq!((text.line(), text.offset()), (10_001, 160_000));
        assert_eq!(text.since(159_990), &lines.as_bytes()[159_990..]);
    }

    #[test]
    fn lines_of_an_old_macintosh_are_lines() {
        let read = |bytes: &'static [u8]| {
            let mut out = String::new();
            let mut text = Text::open(Box::new(bytes), None, Nature::Lines).unwrap();
            text.read_to_string(&mut out).unwrap();
            (out, text.line())
        };
        assert_eq!(read(b"a,b\r1,2\r"), ("a,b\n1,2\n".into(), 3));
        assert_eq!(read(b"a\r\nb\rc\n"), ("a\r\nb\rc\n".into(), 3));
        assert_eq!(read(b"a\r"), ("a\r".into(), 1));
    }

    #[test]
    fn an_unknown_declaration_is_told() {
        let head = &b"<?xml version='1.0' encoding='klingon'?><data/>"[..];
        let error = Text::open(Box::new(head), None, Nature::Xml).err().unwrap();
        assert!(
            error.to_string().contains("`klingon` is not known"),
            "{error}"
        );
        assert!(Text::open(Box::new(head), encoding_of("utf-8"), Nature::Xml).is_ok());
    }
}
