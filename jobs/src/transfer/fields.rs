//! Fields of a payload: little-endian numbers, texts and lists that carry their length. Reading never runs past the end,
//! never allocates by a length that is not there, and never panics. Pure.

/// Why bytes from the wire are not what they should be; a fragment for the end of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

/// What is left of a payload.
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Fields<'a> {
        Fields(payload)
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self
            .0
            .split_at_checked(length)
            .ok_or(Malformed("a frame ends in the middle of a field"))?;
        self.0 = tail;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_le_bytes)
    }

    /// A text: a length of two bytes, then UTF-8 of at most `most` bytes.
    pub(crate) fn text(&mut self, most: usize) -> Result<&'a str, Malformed> {
        let length = usize::from(self.u16()?);
        if length > most {
            return Err(Malformed("a text is longer than allowed"));
        }
        std::str::from_utf8(self.bytes(length)?).map_err(|_| Malformed("a text is not UTF-8"))
    }

    /// A list: a count of two bytes, then that many of what `item` reads, each of at least `least` bytes.
    pub(crate) fn list<T>(
        &mut self,
        least: usize,
        mut item: impl FnMut(&mut Fields<'a>) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = usize::from(self.u16()?);
        if count.saturating_mul(least) > self.0.len() {
            return Err(Malformed("a list is longer than its frame"));
        }
        (0..count).map(|_| item(self)).collect()
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Malformed("a frame holds more than its fields"))
        }
    }
}

/// Writes a text with its length; one that is too long for its length field is cut at a character.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    let mut end = text.len().min(usize::from(u16::MAX));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    put_count(out, end);
    out.extend_from_slice(&text.as_bytes()[..end]);
}

/// Writes the count of a list or the length of a text.
///
/// # Panics
/// When it does not fit into two bytes: lists are made in portions that do.
pub(crate) fn put_count(out: &mut Vec<u8>, count: usize) {
    let count = u16::try_from(count).expect("lists are made in portions that fit their count");
    out.extend_from_slice(&count.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_read_past_the_end() {
        let mut fields = Fields::new(&[5, 0, b'a']);
        assert!(fields.text(10).is_err());
        assert!(Fields::new(&[255, 255, 1]).list(1, Fields::u8).is_err());
        assert!(Fields::new(&[1, 0, 0xff]).text(10).is_err());
        assert!(Fields::new(&[3, 0, b'a', b'b', b'c']).text(2).is_err());
        assert!(Fields::new(&[1]).end().is_err());
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let mut out = Vec::new();
        put_text(&mut out, &"站".repeat(30_000));
        let mut fields = Fields::new(&out);
        let text = fields.text(usize::MAX).unwrap();
        assert_eq!(text.len(), 65_535 / 3 * 3);
        fields.end().unwrap();
    }
}
