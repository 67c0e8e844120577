//! Refusals on the wire: a code that says what to do, and words for people. Pure.

use super::super::fields::{Fields, Malformed, put_text};

/// The longest reason of a refusal.
const REASON: usize = 1024;

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

pub(super) fn put_refusal(out: &mut Vec<u8>, refusal: &Refusal) {
    out.extend_from_slice(&refusal.code.number().to_le_bytes());
    let cut = refusal
        .reason
        .char_indices()
        .map(|(at, c)| at + c.len_utf8());
    let end = cut.take_while(|end| *end <= REASON).last().unwrap_or(0);
    put_text(out, &refusal.reason[..end]);
}

pub(super) fn refusal(fields: &mut Fields<'_>) -> Result<Refusal, Malformed> {
    maybe(fields)?.ok_or(Malformed("a refusal that is none"))
}

/// No refusal is the code 0 alone.
pub(super) fn put_maybe(out: &mut Vec<u8>, refusal: Option<&Refusal>) {
    match refusal {
        None => out.extend_from_slice(&[0, 0]),
        Some(refusal) => put_refusal(out, refusal),
    }
}

pub(super) fn maybe(fields: &mut Fields<'_>) -> Result<Option<Refusal>, Malformed> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut_and_cleaned() {
        let mut bytes = Vec::new();
        let long = format!("\x1b[2J{}", "站".repeat(1000));
        put_refusal(&mut bytes, &Refusal::new(Code::Busy, long));
        let back = refusal(&mut Fields::new(&bytes)).unwrap();
        assert_eq!(back.code, Code::Busy);
        assert!(back.reason.len() <= REASON && back.reason.starts_with(" [2J站"));
    }
}
