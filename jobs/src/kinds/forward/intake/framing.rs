//! What senders and the server say to each other. Pure: bytes in, pieces out; every length is bounded before it is believed.
//! `jobs/FORWARD.md` is this page for those who write senders.

use std::{fmt, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the frames.
const VERSION: u8 = 1;
/// Bytes of a session's name.
pub(crate) const MAX_NAME: usize = 200;
/// Bytes of a login's proof and of the nonce that it is made from.
pub(crate) const PROOF: usize = 32;
/// Bytes before the body in a record's frame, the length itself not counted: type and number.
const RECORD_HEAD: usize = 9;

/// How records are told apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Framing {
    /// Each ends with a newline, which is not part of it. Senders are as simple as `nc`.
    #[default]
    Line,
    /// Each has its length and its sender's number before it: nothing is lost or doubled when a sender comes back.
    Frame,
}

/// What a sender says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A record: the sender's number (0 in lines) and its body.
    Record(u64, &'a [u8]),
    /// Who it is: the session's name and the proof that it knows the key.
    Hello(&'a str, &'a [u8]),
}

/// Why a sender is sent away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    TooLong(usize),
    Version(u8),
    Frame(&'static str),
    WrongKey,
    TakenOver,
    Silent(Duration),
    Unfinished(u64),
    Crowded(usize),
    Tls(String),
    Stopping,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::TooLong(max) => write!(f, "record longer than {max} bytes"),
            Refusal::Version(version) => {
                write!(
                    f,
                    "version {version} of the frames is not known, {VERSION} is"
                )
            }
            Refusal::Frame(what) => f.write_str(what),
            Refusal::WrongKey => f.write_str("the key is wrong"),
            Refusal::TakenOver => f.write_str("another connection has taken over this session"),
            Refusal::Silent(long) => write!(
                f,
                "nothing came for {} s in the middle of a record or before the hello",
                long.as_secs_f32()
            ),
            Refusal::Unfinished(bytes) => {
                write!(f, "{bytes} bytes of unfinished records are held, no more")
            }
            Refusal::Crowded(most) => write!(f, "there are {most} connections, no more"),
            Refusal::Tls(what) => write!(f, "TLS: {what}"),
            Refusal::Stopping => f.write_str("the server stops"),
        }
    }
}

/// The first record of `bytes` by lines, and how many bytes it took. `searched` bytes are known to hold no end of a line.
///
/// # Errors
/// [`Refusal::TooLong`] as soon as that is sure.
pub(crate) fn line(
    bytes: &[u8],
    searched: usize,
    max: usize,
) -> Result<Option<(Piece<'_>, usize)>, Refusal> {
    let found = memchr::memchr(b'\n', &bytes[searched.min(bytes.len())..]);
    match found.map(|at| at + searched.min(bytes.len())) {
        Some(end) if end > max => Err(Refusal::TooLong(max)),
        None if bytes.len() > max => Err(Refusal::TooLong(max)),
        Some(end) => Ok(Some((Piece::Record(0, &bytes[..end]), end + 1))),
        None => Ok(None),
    }
}

/// The first frame of `bytes`, and how many bytes it took.
///
/// # Errors
/// As soon as it is sure that this is no frame.
pub(crate) fn frame(bytes: &[u8], max: usize) -> Result<Option<(Piece<'_>, usize)>, Refusal> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    let Some(kind) = rest.first() else {
        return match length {
            0 => Err(Refusal::Frame("an empty frame")),
            _ => Ok(None),
        };
    };
    let limit = match kind {
        b'R' => RECORD_HEAD + max,
        b'H' => 3 + MAX_NAME + PROOF,
        _ => {
            return Err(Refusal::Frame(
                "a frame that is neither hello (H) nor record (R)",
            ));
        }
    };
    if length > limit {
        return Err(match kind {
            b'R' => Refusal::TooLong(max),
            _ => Refusal::Frame("a hello that is too long"),
        });
    }
    if length == 0 {
        return Err(Refusal::Frame("an empty frame"));
    }
    let Some(frame) = rest.get(..length) else {
        return Ok(None);
    };
    let piece = match kind {
        b'R' => record(frame)?,
        _ => hello(frame)?,
    };
    Ok(Some((piece, 4 + length)))
}

fn record(frame: &[u8]) -> Result<Piece<'_>, Refusal> {
    let number = frame[1..].split_first_chunk::<8>();
    let Some((number, body)) = number else {
        return Err(Refusal::Frame("a record without its number"));
    };
    match u64::from_be_bytes(*number) {
        0 => Err(Refusal::Frame("records are numbered from 1")),
        number => Ok(Piece::Record(number, body)),
    }
}

fn hello(frame: &[u8]) -> Result<Piece<'_>, Refusal> {
    let &[_, version, length, ref rest @ ..] = frame else {
        return Err(Refusal::Frame("a hello that is too short"));
    };
    if version != VERSION {
        return Err(Refusal::Version(version));
    }
    let length = usize::from(length);
    if length == 0 || length > MAX_NAME {
        return Err(Refusal::Frame("a session's name has 1 to 200 bytes"));
    }
    let Some((name, proof)) = rest.split_at_checked(length) else {
        return Err(Refusal::Frame("a hello that is too short"));
    };
    match std::str::from_utf8(name) {
        Ok(name) if !name.chars().any(char::is_control) => Ok(Piece::Hello(name, proof)),
        _ => Err(Refusal::Frame(
            "a session's name is UTF-8 without control characters",
        )),
    }
}

/// Appends the server's challenge: with a nonce where a key is needed.
pub(crate) fn put_challenge(out: &mut Vec<u8>, nonce: &[u8]) {
    put(out, b'C', &[nonce]);
}

/// Appends the server's welcome: the last durable number of the session, and the longest record.
pub(crate) fn put_welcome(out: &mut Vec<u8>, last: u64, max: usize) {
    let max = u32::try_from(max).unwrap_or(u32::MAX);
    put(out, b'W', &[&last.to_be_bytes(), &max.to_be_bytes()]);
}

/// Appends an acknowledgement: everything up to this number is durable.
pub(crate) fn put_ack(out: &mut Vec<u8>, framing: Framing, number: u64) {
    match framing {
        Framing::Line => out.extend(format!("{number}\n").bytes()),
        Framing::Frame => put(out, b'A', &[&number.to_be_bytes()]),
    }
}

/// Appends the reason why the connection ends.
pub(crate) fn put_refusal(out: &mut Vec<u8>, framing: Framing, refusal: &Refusal) {
    match framing {
        Framing::Line => out.extend(format!("error: {refusal}\n").bytes()),
        Framing::Frame => put(out, b'E', &[refusal.to_string().as_bytes()]),
    }
}

fn put(out: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    let length = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    let length = u32::try_from(length).expect("the server's frames are short");
    out.extend(length.to_be_bytes());
    out.push(kind);
    parts.iter().for_each(|part| out.extend(*part));
}

/// What the proof of a login is the HMAC-SHA-256 of, under the shared key.
pub(crate) fn login_text(nonce: &[u8], name: &str) -> Vec<u8> {
    [b"procctl forward 1\0", nonce, name.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
        let mut out = vec![];
        put(&mut out, kind, parts);
        out
    }

    #[test]
    fn lines_are_cut_and_long_ones_refused_at_once() {
        assert_eq!(
            line(b"ab\ncd", 0, 2),
            Ok(Some((Piece::Record(0, b"ab"), 3)))
        );
        assert_eq!(line(b"\n", 0, 0), Ok(Some((Piece::Record(0, b""), 1))));
        assert_eq!(line(b"ab", 0, 2), Ok(None));
        assert_eq!(line(b"ab", 2, 2), Ok(None));
        assert_eq!(line(b"abc", 0, 2), Err(Refusal::TooLong(2)));
        assert_eq!(line(b"abc\n", 0, 2), Err(Refusal::TooLong(2)));
        assert_eq!(line(b"ab\n", 2, 2), Ok(Some((Piece::Record(0, b"ab"), 3))));
    }

    #[test]
    fn frames_are_cut_and_nonsense_refused_at_once() {
        let good = framed(b'R', &[&7_u64.to_be_bytes(), b"body"]);
        assert_eq!(
            frame(&good, 4),
            Ok(Some((Piece::Record(7, b"body"), good.len())))
        );
        for cut in 0..good.len() {
            assert_eq!(frame(&good[..cut], 4), Ok(None), "{cut}");
        }
        assert_eq!(frame(&good[..5], 3), Err(Refusal::TooLong(3)));
        let hello = framed(b'H', &[&[1, 3], b"one", &[9; 32]]);
        assert_eq!(
            frame(&hello, 4),
            Ok(Some((Piece::Hello("one", &[9; 32]), hello.len())))
        );
        for bad in [
            framed(b'H', &[&[2, 3], b"one"]),
            framed(b'H', &[&[1, 0]]),
            framed(b'H', &[&[1, 9], b"one"]),
            framed(b'H', &[&[1, 3], b"o\ne"]),
            framed(b'H', &[&[1]]),
            framed(b'R', &[&0_u64.to_be_bytes()]),
            framed(b'R', &[b"short"]),
            framed(b'X', &[]),
            vec![0; 5],
            b"GET / HTTP/1.1\r\n".to_vec(),
        ] {
            assert!(frame(&bad, 4).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_take_more_than_there_is(bytes in prop::collection::vec(any::<u8>(), 0..300), max in 0_usize..200) {
            for found in [line(&bytes, 0, max), frame(&bytes, max)] {
                if let Ok(Some((Piece::Record(_, body), used))) = found {
                    prop_assert!(used <= bytes.len() && body.len() <= max && body.len() < used);
                }
            }
            // what is not decided yet is short
            if frame(&bytes, max) == Ok(None) {
                prop_assert!(bytes.len() < 4 + (RECORD_HEAD + max).max(3 + MAX_NAME + PROOF));
            }
            if line(&bytes, 0, max) == Ok(None) {
                prop_assert!(bytes.len() <= max);
            }
        }

        #[test]
        fn a_hello_of_random_bytes_is_a_name_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..260)) {
            let framed = framed(b'H', &[&bytes]);
            match frame(&framed, 10) {
                Ok(Some((Piece::Hello(name, _), used))) => {
                    prop_assert_eq!(used, framed.len());
                    prop_assert!(!name.is_empty() && name.len() <= MAX_NAME);
                }
                Ok(other) => prop_assert!(false, "{:?}", other),
                Err(_) => {}
            }
        }
    }
}
