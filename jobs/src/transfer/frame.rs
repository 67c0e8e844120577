//! Frames: a header of eight bytes, a payload, and after the login a tag. Every length is bounded before anything is
//! allocated for it. Pure.
//!
//! Header, little-endian: length of the payload (4), type (1), flags (1), zero (2). The tag (16 bytes, not counted in the
//! length) follows every frame but [`Type::Data`], whose bytes are covered by the file's own hash.

use super::fields::Malformed;

/// Bytes of a header.
pub(crate) const HEADER: usize = 8;
/// Bytes of a tag.
pub(crate) const TAG: usize = 16;
/// The longest payload before the login is done.
pub(crate) const MAX_GREETING: usize = 512;
/// The longest payload of most frames.
pub(crate) const MAX_CONTROL: usize = 256 << 10;
/// Bytes of a file that one data frame may carry.
pub(crate) const BLOCK: usize = 1 << 20;
/// What stands before the bytes in a data frame: file, offset.
pub(crate) const DATA_HEAD: usize = 12;
/// The longest payload of a pack of small files.
pub(crate) const MAX_PACK: usize = 2 << 20;
/// Flag: a receiver that does not know this type skips the frame.
pub(crate) const OPTIONAL: u8 = 1;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Hello,
    Welcome,
    Login,
    Accepted,
    Error,
    KeepAlive,
    Put,
    Get,
    Ready,
    Offer,
    Answer,
    Pack,
    Data,
    End,
    Abandon,
    Ack,
    Settled,
    Finish,
    Finished,
    /// One that this version does not know and may skip.
    Unknown,
}

/// Types with their numbers on the wire.
const NUMBERS: [(Type, u8); 19] = [
    (Type::Hello, 1),
    (Type::Welcome, 2),
    (Type::Login, 3),
    (Type::Accepted, 4),
    (Type::Error, 5),
    (Type::KeepAlive, 6),
    (Type::Put, 7),
    (Type::Get, 8),
    (Type::Ready, 9),
    (Type::Offer, 10),
    (Type::Answer, 11),
    (Type::Pack, 12),
    (Type::Data, 13),
    (Type::End, 14),
    (Type::Abandon, 15),
    (Type::Ack, 16),
    (Type::Settled, 17),
    (Type::Finish, 18),
    (Type::Finished, 19),
];

impl Type {
    fn of(number: u8, flags: u8) -> Result<Type, Malformed> {
        match NUMBERS.iter().find(|(_, own)| *own == number) {
            Some((kind, _)) => Ok(*kind),
            None if flags & OPTIONAL != 0 => Ok(Type::Unknown),
            None => Err(Malformed("a frame of a type that does not exist")),
        }
    }

    fn number(self) -> u8 {
        NUMBERS
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or(0, |(_, number)| *number)
    }

    /// The longest payload that a frame of this type may have.
    fn limit(self, stage: Stage) -> usize {
        match (stage, self) {
            (Stage::Greeting, _) => MAX_GREETING,
            (Stage::Open, Type::Data) => BLOCK + DATA_HEAD,
            (Stage::Open, Type::Pack) => MAX_PACK,
            (Stage::Open, _) => MAX_CONTROL,
        }
    }
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Before both sides have proved who they are: frames are short and carry no tag.
    Greeting,
    /// After it.
    Open,
}

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Type,
    /// Bytes of the payload.
    pub(crate) length: usize,
}

impl Header {
    /// Reads a header and holds it against the limits of the stage.
    pub(crate) fn decode(bytes: [u8; HEADER], stage: Stage) -> Result<Header, Malformed> {
        let [a, b, c, d, number, flags, zero @ ..] = bytes;
        if zero != [0, 0] || flags & !OPTIONAL != 0 {
            return Err(Malformed("a frame's header has bits that mean nothing"));
        }
        let kind = Type::of(number, flags)?;
        let length = usize::try_from(u32::from_le_bytes([a, b, c, d]))
            .map_err(|_| Malformed("a frame is longer than allowed"))?;
        if length > kind.limit(stage) {
            return Err(Malformed("a frame is longer than allowed"));
        }
        if kind == Type::Data && length < DATA_HEAD {
            return Err(Malformed("a data frame without its head"));
        }
        let greets = matches!(
            kind,
            Type::Hello | Type::Welcome | Type::Login | Type::Accepted | Type::Error
        );
        if stage == Stage::Greeting && !greets {
            return Err(Malformed("a frame that has no place before the login"));
        }
        Ok(Header { kind, length })
    }

    /// The header's bytes.
    ///
    /// # Panics
    /// When the payload is longer than any frame may be.
    pub(crate) fn encode(self) -> [u8; HEADER] {
        let length = u32::try_from(self.length).expect("no frame is that long");
        let [a, b, c, d] = length.to_le_bytes();
        [a, b, c, d, self.kind.number(), 0, 0, 0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_type_comes_back() {
        for (kind, _) in NUMBERS {
            let header = Header { kind, length: 100 };
            assert_eq!(Header::decode(header.encode(), Stage::Open), Ok(header));
        }
    }

    #[test]
    fn lengths_are_bounded_by_type_and_stage() {
        let at = |kind, length: usize, stage| {
            Header::decode(Header { kind, length }.encode(), stage).is_ok()
        };
        assert!(at(Type::Hello, MAX_GREETING, Stage::Greeting));
        assert!(!at(Type::Hello, MAX_GREETING + 1, Stage::Greeting));
        assert!(!at(Type::Offer, 1, Stage::Greeting));
        assert!(at(Type::Offer, MAX_CONTROL, Stage::Open));
        assert!(!at(Type::Offer, MAX_CONTROL + 1, Stage::Open));
        assert!(!at(Type::Pack, MAX_PACK + 1, Stage::Open));
        assert!(!at(Type::Data, BLOCK + DATA_HEAD + 1, Stage::Open));
        assert!(!at(Type::Data, DATA_HEAD - 1, Stage::Open));
    }

    #[test]
    fn unknown_types_are_skipped_only_where_they_say_so() {
        let bytes = |flags| [0, 0, 0, 0, 200, flags, 0, 0];
        assert!(Header::decode(bytes(0), Stage::Open).is_err());
        assert_eq!(
            Header::decode(bytes(OPTIONAL), Stage::Open).map(|header| header.kind),
            Ok(Type::Unknown)
        );
        assert!(Header::decode(bytes(2), Stage::Open).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_no_length_passes_its_limit(bytes: [u8; HEADER]) {
            for stage in [Stage::Greeting, Stage::Open] {
                if let Ok(header) = Header::decode(bytes, stage) {
                    prop_assert!(header.length <= MAX_PACK);
                }
            }
        }
    }
}
