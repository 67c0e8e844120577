//! The wire form of a record in a segment file. Pure: bytes in, bytes out.
//!
//! ```text
//!  0  4 bytes  mark C7 52 65 D0 (no UTF-8 text holds it), by which the next record is found behind a damaged one
//!  4  u32      CRC-32 (IEEE) of the spool's id (u64), then of everything below
//!  8  u32      length of the body
//! 12  u32      sender's session; 0 = none, FFFFFFFF = a note of the spool's own: its body tells of sessions; with no
//!              body it tells that all before it in the file was durable when it was written
//! 16  u64      sequence number; of a note: that of the record that follows it
//! 24  u64      when it was taken in, microseconds since 1970 (UTC)
//! 32  u64      the sender's own number; 0 = none
//! 40           body
//! ```
//!
//! Numbers are little-endian. The id goes into the checksum, so that bytes of another spool, or a record inside a
//! record's body, are never taken for a record.

use crc32fast::Hasher;

/// Bytes before the body.
pub(crate) const HEADER: usize = 40;
/// The longest body; `max-record` cannot be larger.
pub(crate) const MAX_BODY: usize = 64 << 20;
/// What each record begins with.
pub(super) const MARK: [u8; 4] = [0xC7, b'R', b'e', 0xD0];
/// The session of the spool's own notes.
pub(super) const NOTE: u32 = u32::MAX;

/// What is known of a record besides its body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// The session it came by; 0 = none.
    pub(crate) session: u32,
    /// Its number in the spool.
    pub(crate) seq: u64,
    /// Microseconds since 1970.
    pub(crate) time: u64,
    /// Its sender's own number; 0 = none.
    pub(crate) number: u64,
}

impl Head {
    /// Whether it is a note of the spool's own.
    pub(crate) fn is_note(&self) -> bool {
        self.session == NOTE
    }
}

/// The checksums of one spool.
#[derive(Debug, Clone)]
pub(crate) struct Seal {
    id: u64,
    primed: Hasher,
}

/// What stands at a place in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A whole record of so many bytes, header included.
    Record(Head, usize),
    /// Perhaps a record; so many bytes from the place on are needed to tell.
    Short(usize),
    /// No record.
    Bad,
}

impl Seal {
    /// Of the spool with this id.
    pub(crate) fn new(id: u64) -> Seal {
        let mut primed = Hasher::new();
        primed.update(&id.to_le_bytes());
        Seal { id, primed }
    }

    /// The spool's id.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Appends a record; the body must not be longer than [`MAX_BODY`].
    pub(crate) fn append(&self, out: &mut Vec<u8>, head: Head, body: &[u8]) {
        let length = u32::try_from(body.len()).expect("bodies are limited where they come in");
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(&MARK);
        bytes[8..12].copy_from_slice(&length.to_le_bytes());
        bytes[12..16].copy_from_slice(&head.session.to_le_bytes());
        bytes[16..24].copy_from_slice(&head.seq.to_le_bytes());
        bytes[24..32].copy_from_slice(&head.time.to_le_bytes());
        bytes[32..40].copy_from_slice(&head.number.to_le_bytes());
        let sum = self.sum(&bytes[8..], body);
        bytes[4..8].copy_from_slice(&sum.to_le_bytes());
        out.extend_from_slice(&bytes);
        out.extend_from_slice(body);
    }

    fn sum(&self, rest_of_header: &[u8], body: &[u8]) -> u32 {
        let mut hasher = self.primed.clone();
        hasher.update(rest_of_header);
        hasher.update(body);
        hasher.finalize()
    }

    /// What `bytes` begin with.
    pub(crate) fn read(&self, bytes: &[u8]) -> Found {
        let known = bytes.len().min(4);
        if bytes[..known] != MARK[..known] {
            return Found::Bad;
        }
        if bytes.len() < HEADER {
            return Found::Short(HEADER);
        }
        let length = usize::try_from(u32_at(bytes, 8)).unwrap_or(usize::MAX);
        if length > MAX_BODY {
            return Found::Bad;
        }
        let whole = HEADER + length;
        if bytes.len() < whole {
            return Found::Short(whole);
        }
        if self.sum(&bytes[8..HEADER], &bytes[HEADER..whole]) != u32_at(bytes, 4) {
            return Found::Bad;
        }
        let head = Head {
            session: u32_at(bytes, 12),
            seq: u64_at(bytes, 16),
            time: u64_at(bytes, 24),
            number: u64_at(bytes, 32),
        };
        Found::Record(head, whole)
    }
}

/// Where the next mark may stand, from `from` on; a mark cut off by the end counts. `None`: all of it can be passed over.
pub(super) fn next_mark(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(step) = memchr::memchr(MARK[0], bytes.get(at..)?) {
        at += step;
        let known = (bytes.len() - at).min(4);
        if bytes[at..at + known] == MARK[..known] {
            return Some(at);
        }
        at += 1;
    }
    None
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

/// Four bytes as a number.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

/// Eight bytes as a number.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: Head = Head {
        session: 3,
        seq: 17,
        time: 1_700_000_000_000_000,
        number: 9,
    };

    proptest! {
        #[test]
        fn what_is_written_is_read(body: Vec<u8>, id: u64, session: u32, seq: u64, number: u64) {
            let seal = Seal::new(id);
            let head = Head { session, seq, number, ..HEAD };
            let mut bytes = vec![];
            seal.append(&mut bytes, head, &body);
            prop_assert_eq!(seal.read(&bytes), Found::Record(head, bytes.len()));
            prop_assert_eq!(&bytes[HEADER..], &body[..]);
            for cut in 0..bytes.len() {
                prop_assert!(matches!(seal.read(&bytes[..cut]), Found::Short(_)), "{cut}");
            }
            prop_assert_eq!(Seal::new(id.wrapping_add(1)).read(&bytes), Found::Bad);
        }

        #[test]
        fn random_bytes_are_no_records(bytes: Vec<u8>) {
            let mut marked = MARK.to_vec();
            marked.extend(&bytes);
            let seal = Seal::new(1);
            prop_assert!(!matches!(seal.read(&bytes), Found::Record(..)));
            prop_assert!(!matches!(seal.read(&marked), Found::Record(..)));
        }
    }

    #[test]
    fn every_flipped_bit_shows() {
        let seal = Seal::new(77);
        let mut bytes = vec![];
        seal.append(&mut bytes, HEAD, b"some body");
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(seal.read(&bad), Found::Record(..)), "bit {bit}");
        }
    }

    #[test]
    fn marks_are_found_even_when_cut_off() {
        let text = [b"ab\xC7x".as_slice(), &MARK, b"cd\xC7R"].concat();
        assert_eq!(next_mark(&text, 0), Some(4));
        assert_eq!(next_mark(&text, 5), Some(10));
        assert_eq!(next_mark(&text, 11), None);
        assert_eq!(next_mark(&text, 99), None);
    }
}
