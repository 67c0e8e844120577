//! A batch of records on its way out: what is in it, its body, and how a request names it. Pure.

use std::{io::Write as _, ops::Range};

use flate2::{Compression, write::GzEncoder};
use serde::de::IgnoredAny;

use crate::kinds::forward::{params::Body, spool::Head};

/// The longest list of numbers in a header; servers take 8 KiB or so.
const LONGEST_LIST: usize = 4000;

/// Records that go in one request, in the order of their numbers.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) heads: Vec<Head>,
    /// The bodies, each with a newline behind it.
    bytes: Vec<u8>,
    /// Where each body ends, its newline not counted.
    ends: Vec<usize>,
    /// Their keys, where order goes by them.
    pub(super) keys: Vec<u64>,
    /// Characters that the list of runs takes at most.
    listed: usize,
}

impl Load {
    pub(super) fn push(&mut self, head: Head, body: &[u8], key: Option<u64>) {
        let follows = self
            .heads
            .last()
            .is_some_and(|last| last.seq + 1 == head.seq);
        if !follows {
            // first and last of the run, a hyphen, a comma; the last may have a digit more
            let digits = head.seq.checked_ilog10().unwrap_or(0) as usize + 1;
            self.listed += 2 * digits + 3;
        }
        self.heads.push(head);
        self.bytes.extend_from_slice(body);
        self.ends.push(self.bytes.len());
        self.bytes.push(b'\n');
        self.keys.extend(key);
    }

    pub(super) fn len(&self) -> usize {
        self.heads.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Bytes of all bodies and their newlines.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether no further record can be named in a request's headers.
    pub(super) fn is_scattered(&self) -> bool {
        self.listed > LONGEST_LIST
    }

    fn place(&self, at: usize) -> Range<usize> {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before] + 1);
        start..self.ends[at]
    }

    pub(super) fn record(&self, at: usize) -> &[u8] {
        &self.bytes[self.place(at)]
    }

    /// One of its records alone.
    pub(super) fn single(&self, at: usize) -> Load {
        let mut load = Load::default();
        load.push(self.heads[at], self.record(at), self.keys.get(at).copied());
        load
    }

    /// First and last number.
    pub(super) fn span(&self) -> (u64, u64) {
        let first = self.heads.first().map_or(0, |head| head.seq);
        (first, self.heads.last().map_or(first, |head| head.seq))
    }

    /// The runs of numbers, begin to end (exclusive).
    pub(super) fn runs(&self) -> Vec<(u64, u64)> {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for head in &self.heads {
            match runs.last_mut() {
                Some((_, end)) if *end == head.seq => *end += 1,
                _ => runs.push((head.seq, head.seq + 1)),
            }
        }
        runs
    }

    /// The numbers as a list, `5-8,11`, when first and last do not tell all of them.
    pub(super) fn numbers(&self) -> Option<String> {
        let runs = self.runs();
        let item = |(from, to): &(u64, u64)| match to - from {
            1 => from.to_string(),
            _ => format!("{from}-{}", to - 1),
        };
        (runs.len() > 1).then(|| runs.iter().map(item).collect::<Vec<_>>().join(","))
    }

    /// What the request holds.
    pub(super) fn body(&self, body: Body, gzip: bool) -> Vec<u8> {
        let plain = match body {
            Body::Lines => self.bytes.clone(),
            Body::Record => self.bytes[..self.ends.first().copied().unwrap_or(0)].to_vec(),
            Body::Json => self.json(),
        };
        if gzip { pack(&plain) } else { plain }
    }

    fn json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len() + self.len() * 2 + 2);
        out.push(b'[');
        for at in 0..self.len() {
            if at > 0 {
                out.extend(b",\n");
            }
            let record = self.record(at);
            if serde_json::from_slice::<IgnoredAny>(record).is_ok() {
                out.extend_from_slice(record);
            } else {
                let text = String::from_utf8_lossy(record);
                out.extend(serde_json::Value::from(text).to_string().bytes());
            }
        }
        out.push(b']');
        out
    }
}

fn pack(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
    encoder
        .write_all(plain)
        .and_then(|()| encoder.finish())
        .expect("writing to memory does not fail")
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn load(records: &[(u64, &[u8])]) -> Load {
        let mut load = Load::default();
        for (seq, body) in records {
            let head = Head {
                seq: *seq,
                ..Head::default()
            };
            load.push(head, body, None);
        }
        load
    }

    #[test]
    fn bodies_are_lines_an_array_or_the_record() {
        let load = load(&[
            (5, br#"{"a":1}"#),
            (6, b""),
            (7, b"te\"xt \xFF"),
            (9, b"17"),
        ]);
        let text = |body, gzip| load.body(body, gzip);
        assert_eq!(text(Body::Lines, false), b"{\"a\":1}\n\nte\"xt \xFF\n17\n");
        assert_eq!(
            String::from_utf8(text(Body::Json, false)).unwrap(),
            "[{\"a\":1},\n\"\",\n\"te\\\"xt \u{FFFD}\",\n17]"
        );
        assert_eq!(load.single(2).body(Body::Record, false), b"te\"xt \xFF");
        let mut unpacked = vec![];
        flate2::read::GzDecoder::new(&text(Body::Lines, true)[..])
            .read_to_end(&mut unpacked)
            .unwrap();
        assert_eq!(unpacked, text(Body::Lines, false));
    }

    #[test]
    fn requests_name_every_number() {
        let mut load = load(&[(5, b"a"), (6, b"b"), (8, b"c")]);
        assert_eq!(load.span(), (5, 8));
        assert_eq!(load.numbers().as_deref(), Some("5-6,8"));
        assert_eq!(load.single(1).numbers(), None);
        for seq in 5..200 {
            let head = Head {
                seq: seq * 2 + 1_000_000_000_000,
                ..Head::default()
            };
            if load.is_scattered() {
                break;
            }
            load.push(head, b"x", None);
        }
        assert!(load.is_scattered() && load.numbers().unwrap().len() < LONGEST_LIST + 50);
    }
}
