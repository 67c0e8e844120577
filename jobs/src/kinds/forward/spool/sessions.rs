//! What is remembered of senders that number their records: the last number of each. Pure.
//!
//! The body of a note is a list of entries: local number (u32), last number (u64), second of last use since 1970 (u64),
//! length of the name (u8), name. A new segment begins with notes of all sessions; a note with one entry stands before the
//! first record of a new one; after that each record carries its session's local number and its own.

use std::{collections::HashMap, sync::Arc};

use super::record::{Head, NOTE, Seal, u32_at, u64_at};

/// So many sessions are remembered; beyond that the ones longest unused are forgotten.
pub(crate) const MOST: usize = 16_384;
/// Entries in one note: the damage of one costs no more than these.
const CHUNK: usize = 256;
const ENTRY: usize = 21;

/// One session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    /// What its sender calls it.
    pub(crate) name: Arc<str>,
    /// The last number that was taken from it.
    pub(crate) last: u64,
    /// Seconds since 1970.
    pub(crate) used: u64,
}

/// Something new about a session, as a batch of records brings it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// It is there.
    Opened(u32, Session),
    /// Records up to this number were taken, at this second.
    Reached(u32, u64, u64),
    /// It is remembered no more.
    Forgotten(u32),
}

/// All sessions, by local number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sessions(pub(crate) HashMap<u32, Session>);

impl Sessions {
    /// Takes in what a batch brought.
    pub(crate) fn apply(&mut self, news: &[News]) {
        for item in news {
            match item {
                News::Opened(local, session) => {
                    self.0.entry(*local).or_insert_with(|| session.clone());
                }
                News::Reached(local, number, used) => self.reach(*local, *number, *used),
                News::Forgotten(local) => drop(self.0.remove(local)),
            }
        }
    }

    fn reach(&mut self, local: u32, number: u64, used: u64) {
        if let Some(session) = self.0.get_mut(&local) {
            session.last = session.last.max(number);
            session.used = session.used.max(used);
        }
    }

    /// Takes in what another segment knew.
    pub(super) fn merge(&mut self, other: Sessions) {
        for (local, session) in other.0 {
            self.learn(local, &session.name, session.last, session.used);
        }
    }

    /// Forgets sessions of which there are records, and no note that tells their names.
    pub(super) fn drop_nameless(&mut self) -> usize {
        let before = self.0.len();
        self.0.retain(|_, session| !session.name.is_empty());
        before - self.0.len()
    }

    fn learn(&mut self, local: u32, name: &str, last: u64, used: u64) {
        let session = self.0.entry(local).or_insert_with(|| Session {
            name: name.into(),
            last,
            used,
        });
        if session.name.is_empty() {
            session.name = name.into();
        }
        session.last = session.last.max(last);
        session.used = session.used.max(used);
    }

    /// Takes in what a record of a segment tells, be it a note or a sender's. `false` when a note makes no sense.
    pub(super) fn read(&mut self, head: &Head, body: &[u8]) -> bool {
        match head.session {
            0 => true,
            NOTE => self.read_note(body),
            local => {
                // if its note is damaged, an older segment may know its name
                self.learn(local, "", head.number, head.time / 1_000_000);
                true
            }
        }
    }

    fn read_note(&mut self, mut body: &[u8]) -> bool {
        while !body.is_empty() {
            let Some(length) = body.get(ENTRY - 1).map(|length| usize::from(*length)) else {
                return false;
            };
            let name = body.get(ENTRY..ENTRY + length);
            let Some(name) = name.and_then(|name| std::str::from_utf8(name).ok()) else {
                return false;
            };
            let (local, last, used) = (u32_at(body, 0), u64_at(body, 4), u64_at(body, 12));
            self.learn(local, name, last, used);
            body = &body[ENTRY + length..];
        }
        true
    }

    /// Appends notes of all sessions.
    pub(super) fn append_all(&self, out: &mut Vec<u8>, seal: &Seal, seq: u64, time: u64) {
        let all: Vec<_> = self.0.iter().collect();
        for chunk in all.chunks(CHUNK) {
            let mut body = Vec::with_capacity(chunk.len() * 64);
            for (local, session) in chunk {
                entry(&mut body, **local, session);
            }
            append_note(out, seal, seq, time, &body);
        }
    }
}

/// Appends a note of one session.
pub(crate) fn append_one(
    out: &mut Vec<u8>,
    seal: &Seal,
    (seq, time): (u64, u64),
    local: u32,
    session: &Session,
) {
    let mut body = Vec::new();
    entry(&mut body, local, session);
    append_note(out, seal, seq, time, &body);
}

pub(super) fn append_note(out: &mut Vec<u8>, seal: &Seal, seq: u64, time: u64, body: &[u8]) {
    let head = Head {
        session: NOTE,
        seq,
        time,
        number: 0,
    };
    seal.append(out, head, body);
}

fn entry(body: &mut Vec<u8>, local: u32, session: &Session) {
    let length = u8::try_from(session.name.len()).expect("names are limited where they come in");
    body.extend(local.to_le_bytes());
    body.extend(session.last.to_le_bytes());
    body.extend(session.used.to_le_bytes());
    body.push(length);
    body.extend(session.name.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::record::{Found, HEADER};
    use super::*;

    fn session(name: &str, last: u64) -> Session {
        Session {
            name: name.into(),
            last,
            used: 5,
        }
    }

    #[test]
    fn notes_bring_all_sessions_back() {
        let mut sessions = Sessions::default();
        let opened = (1..=600).map(|n| News::Opened(n, session(&format!("s{n}"), u64::from(n))));
        sessions.apply(&opened.collect::<Vec<_>>());
        sessions.apply(&[News::Reached(7, 99, 6), News::Forgotten(8)]);
        let seal = Seal::new(1);
        let mut bytes = vec![];
        sessions.append_all(&mut bytes, &seal, 1, 1);
        append_one(&mut bytes, &seal, (1, 1), 601, &session("new", 0));
        let (mut read, mut at, mut notes) = (Sessions::default(), 0, 0);
        while at < bytes.len() {
            let Found::Record(head, whole) = seal.read(&bytes[at..]) else {
                panic!("a bad note")
            };
            assert!(read.read(&head, &bytes[at + HEADER..at + whole]));
            (at, notes) = (at + whole, notes + 1);
        }
        assert_eq!(notes, 4);
        sessions.apply(&[News::Opened(601, session("new", 0))]);
        assert_eq!(read, sessions);
        assert_eq!((read.0[&7].last, read.0.len()), (99, 600));
    }

    #[test]
    fn a_note_of_nonsense_is_none() {
        let head = Head {
            session: NOTE,
            ..Head::default()
        };
        for body in [&[1][..], &[0; 20], &[255; 30]] {
            assert!(!Sessions::default().read(&head, body));
        }
    }
}
