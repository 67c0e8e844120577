//! What frames say: payloads as values, and back. Pure; every length and count is bounded by the frame that carries it.
//!
//! Only file bytes are not here: the payload of a data frame goes from socket to file without being looked at, save its head.

mod offer;
mod pack;
mod refusal;

pub(crate) use offer::{CHECKPOINTS, Offer, Verdict, Wish};
pub(crate) use pack::{Packed, put_packed, unpack};
pub(crate) use refusal::{Code, Refusal};

use offer::{flag, offer, put_offer, put_verdict, put_wish, verdict, wish};
use refusal::{maybe, put_maybe, put_refusal, refusal};

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
            _ => self.encode_operation(out),
        }
    }

    /// As [`Message::encode`], for what is said after the login.
    fn encode_operation(&self, out: &mut Vec<u8>) -> Type {
        match self {
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
            // the greetings have their own place
            _ => Type::Finished,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moving::Then;
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
