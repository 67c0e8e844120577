//! Offers, the answers to them, and the wish that a get is. Pure.

use super::{
    super::{
        fields::{Fields, Malformed, put_count, put_text},
        name,
        proof::Digest,
    },
    refusal::{Refusal, put_refusal, refusal},
};
use crate::moving::Then;

/// The longest list of patterns.
const PATTERNS: usize = 8192;
/// Checkpoints of a file that was begun before, at most.
pub(crate) const CHECKPOINTS: usize = 16;

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

pub(super) fn flag(fields: &mut Fields<'_>) -> Result<bool, Malformed> {
    match fields.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed("a flag that is neither yes nor no")),
    }
}

pub(super) fn put_wish(out: &mut Vec<u8>, wish: &Wish) {
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

pub(super) fn wish(fields: &mut Fields<'_>) -> Result<Wish, Malformed> {
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

pub(super) fn put_offer(out: &mut Vec<u8>, offer: &Offer) {
    out.extend_from_slice(&offer.id.to_le_bytes());
    out.extend_from_slice(&offer.size.to_le_bytes());
    out.extend_from_slice(&offer.mtime.to_le_bytes());
    out.extend_from_slice(&offer.mode.to_le_bytes());
    out.push(u8::from(offer.hash.is_some()));
    out.extend_from_slice(offer.hash.as_ref().map_or(&[], |hash| hash.as_slice()));
    put_text(out, &offer.name);
}

pub(super) fn offer(fields: &mut Fields<'_>) -> Result<Offer, Malformed> {
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

pub(super) fn put_verdict(out: &mut Vec<u8>, verdict: &Verdict) {
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

pub(super) fn verdict(fields: &mut Fields<'_>) -> Result<Verdict, Malformed> {
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
