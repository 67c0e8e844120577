//! What frames say: payloads as values, and back. Pure; every length and count is bounded by the frame that carries it.
//!
//! Only file bytes are not here: the payload of a data frame goes from socket to file without being looked at, save its head.

use super::{
    fields::{Fields, Malformed, put_count, put_text},
    frame::Type,
    name,
    proof::Digest,
};

/// What every greeting begins with.
pub(crate) const MAGIC: [u8; 8] = *b"procctlX";
/// The version of the protocol that this program speaks, the lowest and the highest.
pub(crate) const VERSIONS: (u16, u16) = (1, 1);
/// The longest name of an account.
const ACCOUNT: usize = 64;
/// The longest reason of a refusal.
const REASON: usize = 1024;
/// The longest list of patterns.
const PATTERNS: usize = 8192;
/// Checkpoints of a file that was begun before, at most.
pub(crate) const CHECKPOINTS: usize = 16;

/// Why something is refused: what a side does about it hangs on this, not on the words beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// The account may not do this, or the system lets nobody.
    Forbidden,
    /// The name is none that could be written here.
    Name,
    /// No room: a full disk, or the account's quota.
    Full,
    /// The disk failed, or something else on the way.
    Failed,
    /// What came does not have the hash that was promised.
    Mismatch,
    /// There is no such folder.
    Missing,
    /// The login: no such account, or the wrong key. Which of the two is not said.
    Login,
    /// The other side broke the protocol.
    Protocol,
    /// No version in common.
    Version,
    /// Too many connections: come again later.
    Busy,
    /// The side is shutting down: come again later.
    Stopping,
}

const CODES: [(Code, u16); 11] = [
    (Code::Forbidden, 1),
    (Code::Name, 2),
    (Code::Full, 3),
    (Code::Failed, 4),
    (Code::Mismatch, 5),
    (Code::Missing, 6),
    (Code::Login, 7),
    (Code::Protocol, 8),
    (Code::Version, 9),
    (Code::Busy, 10),
    (Code::Stopping, 11),
];

impl Code {
    fn number(self) -> u16 {
        CODES
            .iter()
            .find(|(code, _)| *code == self)
            .map_or(4, |(_, number)| *number)
    }

    /// A number that this version does not know is a failure.
    fn of(number: u16) -> Code {
        CODES
            .iter()
            .find(|(_, own)| *own == number)
            .map_or(Code::Failed, |(code, _)| *code)
    }
}

/// A refusal: what kind, and in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn new(code: Code, reason: impl Into<String>) -> Refusal {
        Refusal {
            code,
            reason: reason.into(),
        }
    }
}

/// A file that is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Its number in this operation; repeated when it is offered again with its hash.
    pub(crate) id: u32,
    pub(crate) size: u64,
    /// Last written, in nanoseconds since 1970.
    pub(crate) mtime: i64,
    /// Permission bits.
    pub(crate) mode: u16,
    /// BLAKE3 of its bytes, where it is known.
    pub(crate) hash: Option<Digest>,
    /// Relative to the operation's folder. Not checked yet.
    pub(crate) name: String,
}

/// What is said to an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Send it; what is there already has these hashes up to these offsets.
    Want(Vec<(u64, Digest)>),
    /// The bytes are here already: do not send them. An acknowledgement follows all the same.
    Held,
    /// It is not wanted, now or ever: leave it alone.
    Skip,
    /// Offer it again with its hash: its bytes may be here already.
    Hash,
    /// It cannot be taken.
    Refused(Refusal),
}

/// What becomes of a file at the other side of a get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Then {
    Keep,
    Delete,
    /// Moved into this folder.
    Move(String),
}

/// What a get asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) folder: String,
    /// Patterns of file names, comma-separated.
    pub(crate) patterns: String,
    pub(crate) recurse: bool,
    pub(crate) then: Then,
    /// How long a file must have been unchanged, in milliseconds.
    pub(crate) stable: u32,
}

/// A frame's meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    Hello {
        versions: (u16, u16),
        nonce: Digest,
        account: String,
    },
    Welcome {
        version: u16,
        nonce: Digest,
    },
    Login {
        proof: Digest,
    },
    Accepted {
        proof: Digest,
        get: bool,
        put: bool,
    },
    Error(Refusal),
    KeepAlive,
    Put {
        durable: bool,
        folder: String,
    },
    Get(Wish),
    Ready(Option<Refusal>),
    Offer(Vec<Offer>),
    Answer(Vec<(u32, Verdict)>),
    End {
        id: u32,
        size: u64,
        hash: Digest,
    },
    Abandon(u32),
    Ack(Vec<(u32, Option<Refusal>)>),
    Settled(Vec<u32>),
    Finish,
    Finished,
}

impl Message {
    /// The type of its frame, and the payload behind `out`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> Type {
        match self {
            Message::Hello {
                versions: (lowest, highest),
                nonce,
                account,
            } => {
                out.extend_from_slice(&MAGIC);
                out.extend_from_slice(&lowest.to_le_bytes());
                out.extend_from_slice(&highest.to_le_bytes());
                out.extend_from_slice(nonce);
                put_text(out, account);
                Type::Hello
            }
            Message::Welcome { version, nonce } => {
                out.extend_from_slice(&MAGIC);
                out.extend_from_slice(&version.to_le_bytes());
                out.extend_from_slice(nonce);
                Type::Welcome
            }
            Message::Login { proof } => {
                out.extend_from_slice(proof);
                Type::Login
            }
            Message::Accepted { proof, get, put } => {
                out.extend_from_slice(proof);
                out.push(u8::from(*get) | u8::from(*put) << 1);
                Type::Accepted
            }
            Message::Error(refusal) => {
                put_refusal(out, refusal);
                Type::Error
            }
            Message::KeepAlive => Type::KeepAlive,
            Message::Put { durable, folder } => {
                out.push(u8::from(*durable));
                put_text(out, folder);
                Type::Put
            }
            Message::Get(wish) => {
                put_wish(out, wish);
                Type::Get
            }
            Message::Ready(refusal) => {
                put_maybe(out, refusal.as_ref());
                Type::Ready
            }
            Message::Offer(offers) => {
                put_count(out, offers.len());
                offers.iter().for_each(|offer| put_offer(out, offer));
                Type::Offer
            }
            Message::Answer(answers) => {
                put_count(out, answers.len());
                for (id, verdict) in answers {
                    out.extend_from_slice(&id.to_le_bytes());
                    put_verdict(out, verdict);
                }
                Type::Answer
            }
            Message::End { id, size, hash } => {
                out.extend_from_slice(&id.to_le_bytes());
                out.extend_from_slice(&size.to_le_bytes());
                out.extend_from_slice(hash);
                Type::End
            }
            Message::Abandon(id) => {
                out.extend_from_slice(&id.to_le_bytes());
                Type::Abandon
            }
            Message::Ack(acks) => {
                put_count(out, acks.len());
                for (id, refusal) in acks {
                    out.extend_from_slice(&id.to_le_bytes());
                    put_maybe(out, refusal.as_ref());
                }
                Type::Ack
            }
            Message::Settled(ids) => {
                put_count(out, ids.len());
                ids.iter()
                    .for_each(|id| out.extend_from_slice(&id.to_le_bytes()));
                Type::Settled
            }
            Message::Finish => Type::Finish,
            Message::Finished => Type::Finished,
        }
    }

    /// The message in a payload. Packs and data are none: they have readers of their own.
    pub(crate) fn decode(kind: Type, payload: &[u8]) -> Result<Message, Malformed> {
        let mut fields = Fields::new(payload);
        let message = match kind {
            Type::Hello => {
                magic(&mut fields)?;
                Message::Hello {
                    versions: (fields.u16()?, fields.u16()?),
                    nonce: fields.array()?,
                    account: fields.text(ACCOUNT)?.to_owned(),
                }
            }
            Type::Welcome => {
                magic(&mut fields)?;
                Message::Welcome {
                    version: fields.u16()?,
                    nonce: fields.array()?,
                }
            }
            Type::Login => Message::Login {
                proof: fields.array()?,
            },
            Type::Accepted => {
                let (proof, rights) = (fields.array()?, fields.u8()?);
                Message::Accepted {
                    proof,
                    get: rights & 1 != 0,
                    put: rights & 2 != 0,
                }
            }
            Type::Error => Message::Error(refusal(&mut fields)?),
            Type::KeepAlive => Message::KeepAlive,
            Type::Put => Message::Put {
                durable: flag(&mut fields)?,
                folder: fields.text(name::LONGEST)?.to_owned(),
            },
            Type::Get => Message::Get(wish(&mut fields)?),
            Type::Ready => Message::Ready(maybe(&mut fields)?),
            Type::Offer => Message::Offer(fields.list(25, offer)?),
            Type::Answer => {
                Message::Answer(fields.list(5, |fields| Ok((fields.u32()?, verdict(fields)?)))?)
            }
            Type::End => Message::End {
                id: fields.u32()?,
                size: fields.u64()?,
                hash: fields.array()?,
            },
            Type::Abandon => Message::Abandon(fields.u32()?),
            Type::Ack => {
                Message::Ack(fields.list(6, |fields| Ok((fields.u32()?, maybe(fields)?)))?)
            }
            Type::Settled => Message::Settled(fields.list(4, Fields::u32)?),
            Type::Finish => Message::Finish,
            Type::Finished => Message::Finished,
            Type::Pack | Type::Data | Type::Unknown => {
                return Err(Malformed("a frame that has no place here"));
            }
        };
        fields.end()?;
        Ok(message)
    }
}

fn magic(fields: &mut Fields<'_>) -> Result<(), Malformed> {
    if fields.array()? == MAGIC {
        Ok(())
    } else {
        Err(Malformed("the greeting of another protocol"))
    }
}

fn flag(fields: &mut Fields<'_>) -> Result<bool, Malformed> {
    match fields.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed("a flag that is neither yes nor no")),
    }
}

fn put_refusal(out: &mut Vec<u8>, refusal: &Refusal) {
    out.extend_from_slice(&refusal.code.number().to_le_bytes());
    let cut = refusal
        .reason
        .char_indices()
        .map(|(at, c)| at + c.len_utf8());
    let end = cut.take_while(|end| *end <= REASON).last().unwrap_or(0);
    put_text(out, &refusal.reason[..end]);
}

fn refusal(fields: &mut Fields<'_>) -> Result<Refusal, Malformed> {
    maybe(fields)?.ok_or(Malformed("a refusal that is none"))
}

/// No refusal is the code 0 alone.
fn put_maybe(out: &mut Vec<u8>, refusal: Option<&Refusal>) {
    match refusal {
        None => out.extend_from_slice(&[0, 0]),
        Some(refusal) => put_refusal(out, refusal),
    }
}

fn maybe(fields: &mut Fields<'_>) -> Result<Option<Refusal>, Malformed> {
    match fields.u16()? {
        0 => Ok(None),
        number => {
            // what is shown to people must not steer their terminals
            let reason = fields.text(REASON)?.replace(char::is_control, " ");
            Ok(Some(Refusal {
                code: Code::of(number),
                reason,
            }))
        }
    }
}

fn put_wish(out: &mut Vec<u8>, wish: &Wish) {
    put_text(out, &wish.folder);
    put_text(out, &wish.patterns);
    out.push(u8::from(wish.recurse));
    out.extend_from_slice(&wish.stable.to_le_bytes());
    match &wish.then {
        Then::Keep => out.push(0),
        Then::Delete => out.push(1),
        Then::Move(folder) => {
            out.push(2);
            put_text(out, folder);
        }
    }
}

fn wish(fields: &mut Fields<'_>) -> Result<Wish, Malformed> {
    Ok(Wish {
        folder: fields.text(name::LONGEST)?.to_owned(),
        patterns: fields.text(PATTERNS)?.to_owned(),
        recurse: flag(fields)?,
        stable: fields.u32()?,
        then: match fields.u8()? {
            0 => Then::Keep,
            1 => Then::Delete,
            2 => Then::Move(fields.text(name::LONGEST)?.to_owned()),
            _ => return Err(Malformed("a wish for the source that does not exist")),
        },
    })
}

fn put_offer(out: &mut Vec<u8>, offer: &Offer) {
    out.extend_from_slice(&offer.id.to_le_bytes());
    out.extend_from_slice(&offer.size.to_le_bytes());
    out.extend_from_slice(&offer.mtime.to_le_bytes());
    out.extend_from_slice(&offer.mode.to_le_bytes());
    out.push(u8::from(offer.hash.is_some()));
    out.extend_from_slice(offer.hash.as_ref().map_or(&[], |hash| hash.as_slice()));
    put_text(out, &offer.name);
}

fn offer(fields: &mut Fields<'_>) -> Result<Offer, Malformed> {
    Ok(Offer {
        id: fields.u32()?,
        size: fields.u64()?,
        mtime: fields.i64()?,
        mode: fields.u16()?,
        hash: if flag(fields)? {
            Some(fields.array()?)
        } else {
            None
        },
        name: fields.text(name::LONGEST)?.to_owned(),
    })
}

fn put_verdict(out: &mut Vec<u8>, verdict: &Verdict) {
    match verdict {
        Verdict::Want(checkpoints) => {
            out.push(0);
            put_count(out, checkpoints.len());
            for (offset, hash) in checkpoints {
                out.extend_from_slice(&offset.to_le_bytes());
                out.extend_from_slice(hash);
            }
        }
        Verdict::Held => out.push(1),
        Verdict::Skip => out.push(2),
        Verdict::Hash => out.push(3),
        Verdict::Refused(refusal) => {
            out.push(4);
            put_refusal(out, refusal);
        }
    }
}

fn verdict(fields: &mut Fields<'_>) -> Result<Verdict, Malformed> {
    Ok(match fields.u8()? {
        0 => {
            let checkpoints = fields.list(40, |fields| Ok((fields.u64()?, fields.array()?)))?;
            if checkpoints.len() > CHECKPOINTS {
                return Err(Malformed("more checkpoints than allowed"));
            }
            Verdict::Want(checkpoints)
        }
        1 => Verdict::Held,
        2 => Verdict::Skip,
        3 => Verdict::Hash,
        4 => Verdict::Refused(refusal(fields)?),
        _ => return Err(Malformed("an answer that does not exist")),
    })
}

/// A small file in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packed<'a> {
    pub(crate) id: u32,
    pub(crate) hash: Digest,
    pub(crate) bytes: &'a [u8],
}

/// Writes a small file into a pack that is being made; the count of a pack stands before its first file.
pub(crate) fn put_packed(out: &mut Vec<u8>, file: &Packed<'_>) {
    out.extend_from_slice(&file.id.to_le_bytes());
    out.extend_from_slice(&file.hash);
    let length = u32::try_from(file.bytes.len()).expect("a file in a pack is small");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(file.bytes);
}

/// The files of a pack.
pub(crate) fn unpack(payload: &[u8]) -> Result<Vec<Packed<'_>>, Malformed> {
    let mut fields = Fields::new(payload);
    let files = fields.list(40, |fields| {
        let (id, hash) = (fields.u32()?, fields.array()?);
        let length = usize::try_from(fields.u32()?).map_err(|_| Malformed("a file is too long"))?;
        Ok(Packed {
            id,
            hash,
            bytes: fields.bytes(length)?,
        })
    })?;
    fields.end()?;
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn samples() -> Vec<Message> {
        let refusal = || Refusal::new(Code::Full, "no room");
        vec![
            Message::Hello {
                versions: VERSIONS,
                nonce: [1; 32],
                account: "node1".to_owned(),
            },
            Message::Welcome {
                version: 1,
                nonce: [2; 32],
            },
            Message::Login { proof: [3; 32] },
            Message::Accepted {
                proof: [4; 32],
                get: true,
                put: false,
            },
            Message::Error(refusal()),
            Message::KeepAlive,
            Message::Put {
                durable: true,
                folder: "vip".to_owned(),
            },
            Message::Get(Wish {
                folder: "out".to_owned(),
                patterns: "*.xml,*.csv".to_owned(),
                recurse: true,
                then: Then::Move("sent".to_owned()),
                stable: 2000,
            }),
            Message::Ready(None),
            Message::Ready(Some(refusal())),
            Message::Offer(vec![
                Offer {
                    id: 7,
                    size: 4096,
                    mtime: -5,
                    mode: 0o644,
                    hash: Some([5; 32]),
                    name: "a/站".to_owned(),
                },
                Offer {
                    id: 8,
                    size: 0,
                    mtime: i64::MAX,
                    mode: 0,
                    hash: None,
                    name: String::new(),
                },
            ]),
            Message::Answer(vec![
                (1, Verdict::Want(vec![(1 << 20, [6; 32])])),
                (2, Verdict::Held),
                (3, Verdict::Skip),
                (4, Verdict::Hash),
                (5, Verdict::Refused(refusal())),
            ]),
            Message::End {
                id: 9,
                size: u64::MAX,
                hash: [7; 32],
            },
            Message::Abandon(3),
            Message::Ack(vec![(1, None), (2, Some(refusal()))]),
            Message::Settled(vec![1, 2, u32::MAX]),
            Message::Finish,
            Message::Finished,
        ]
    }

    #[test]
    fn every_message_comes_back_and_no_part_of_one_does() {
        for message in samples() {
            let mut bytes = Vec::new();
            let kind = message.encode(&mut bytes);
            assert_eq!(Message::decode(kind, &bytes), Ok(message.clone()));
            for end in 0..bytes.len() {
                let part = Message::decode(kind, &bytes[..end]);
                assert_ne!(part, Ok(message.clone()));
            }
            bytes.push(0);
            assert!(Message::decode(kind, &bytes).is_err(), "{message:?}");
        }
    }

    #[test]
    fn packs_come_back() {
        let files = [
            Packed {
                id: 1,
                hash: [1; 32],
                bytes: b"",
            },
            Packed {
                id: 2,
                hash: [2; 32],
                bytes: b"xyz",
            },
        ];
        let mut payload = vec![2, 0];
        files.iter().for_each(|file| put_packed(&mut payload, file));
        assert_eq!(unpack(&payload).unwrap(), files);
        assert!(unpack(&payload[..payload.len() - 1]).is_err());
        payload[0] = 3;
        assert!(unpack(&payload).is_err());
    }

    #[test]
    fn a_reason_is_cut_and_cleaned() {
        let mut bytes = Vec::new();
        let kind = Message::Error(Refusal::new(
            Code::Busy,
            format!("\x1b[2J{}", "站".repeat(1000)),
        ))
        .encode(&mut bytes);
        let Ok(Message::Error(refusal)) = Message::decode(kind, &bytes) else {
            panic!("no refusal")
        };
        assert_eq!(refusal.code, Code::Busy);
        assert!(refusal.reason.len() <= REASON && refusal.reason.starts_with(" [2J站"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(kind in 0..19_usize, bytes: Vec<u8>) {
            let mut sample = Vec::new();
            let kind = samples().get(kind).map_or(Type::Offer, |message| message.encode(&mut sample));
            let _decoded = Message::decode(kind, &bytes);
            let _unpacked = unpack(&bytes);
        }

        #[test]
        fn damaged_messages_do_not_panic(which in 0..18_usize, at: usize, byte: u8) {
            let mut bytes = Vec::new();
            let kind = samples()[which].encode(&mut bytes);
            if !bytes.is_empty() {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            let _decoded = Message::decode(kind, &bytes);
        }
    }
}
