//! Takes records from what connections say and gathers them into batches for the disk. Pure: no sockets, no clock.

use std::sync::Arc;

use super::{
    directory::{Directory, Who},
    framing::{self, Framing, PROOF, Piece, Refusal},
};
use crate::kinds::forward::spool::{Batch, Head, News, Seal, Sessions, append_one};

/// What one connection has said, and what it is to be told.
#[derive(Debug)]
pub(super) struct Talk {
    /// The connection's number.
    pub(super) id: u64,
    /// What is to be told.
    pub(super) out: Vec<u8>,
    /// Lines: records taken; frames: the last number taken.
    pub(super) taken: u64,
    /// The same, of what is durable, and of what was told to be.
    pub(super) durable: u64,
    told: u64,
    /// Bytes at the beginning of what is left over that hold no end of a line.
    searched: usize,
    /// Whom it speaks for, once it has said so.
    who: Option<Who>,
    nonce: Vec<u8>,
}

/// Up to where a connection's records are in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taker {
    pub(super) connection: u64,
    pub(super) upto: u64,
}

/// A batch and who waits for it.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) batch: Batch,
    pub(crate) takers: Vec<Taker>,
}

impl Taker {
    #[cfg(test)]
    pub(super) fn new(connection: u64, upto: u64) -> Taker {
        Taker { connection, upto }
    }
}

impl Group {
    /// Takes over what another one holds, whose records follow; that one is empty then.
    pub(super) fn join(&mut self, other: &mut Group) {
        self.batch.bytes.append(&mut other.batch.bytes);
        self.batch.news.append(&mut other.batch.news);
        self.takers.append(&mut other.takers);
        self.batch.next = other.batch.next;
    }
}

/// What all connections share.
pub(super) struct Rules {
    pub(super) framing: Framing,
    /// Whether lines are acknowledged.
    pub(super) ack: bool,
    /// Bytes of a record.
    pub(super) max: usize,
    /// The shared key of logins.
    pub(super) key: Option<aws_lc_rs::hmac::Key>,
}

/// Where records are gathered.
pub(super) struct Desk {
    pub(super) rules: Rules,
    seal: Seal,
    directory: Directory,
    /// What is gathered for the next write.
    pub(super) group: Group,
    next: u64,
    /// Microseconds since 1970, as of the last [`Desk::set_time`].
    now: u64,
    /// Records, their bytes, and repeated ones, since the last look.
    pub(super) counted: Counts,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) repeated: u64,
}

impl Talk {
    /// A new connection's; it gets its challenge at once.
    pub(super) fn new(id: u64, rules: &Rules, nonce: [u8; PROOF]) -> Talk {
        let nonce = match rules.key {
            Some(_) => nonce.to_vec(),
            None => Vec::new(),
        };
        let mut out = Vec::new();
        if rules.framing == Framing::Frame {
            framing::put_challenge(&mut out, &nonce);
        }
        Talk {
            id,
            out,
            taken: 0,
            durable: 0,
            told: 0,
            searched: 0,
            who: None,
            nonce,
        }
    }

    /// Whether a hello is still to come.
    pub(super) fn is_new(&self, rules: &Rules) -> bool {
        rules.framing == Framing::Frame && self.who.is_none()
    }

    /// Puts the acknowledgement that is due, if the one before has gone.
    pub(super) fn acknowledge(&mut self, rules: &Rules) {
        if self.durable > self.told && self.out.is_empty() {
            self.told = self.durable;
            if rules.ack || rules.framing == Framing::Frame {
                framing::put_ack(&mut self.out, rules.framing, self.durable);
            }
        }
    }

    /// Whether everything that was taken is durable and told to be.
    pub(super) fn is_settled(&self) -> bool {
        self.told >= self.taken
    }
}

impl Desk {
    pub(super) fn new(rules: Rules, seal: Seal, sessions: &Sessions, next: u64) -> Desk {
        Desk {
            rules,
            seal,
            directory: Directory::new(sessions),
            group: Group::default(),
            next,
            now: 0,
            counted: Counts::default(),
        }
    }

    /// What records are stamped with from now on.
    pub(super) fn set_time(&mut self, micros: u64) {
        self.now = micros;
    }

    /// Takes all whole pieces of what a connection said; gives how many bytes they were, and the connection whose
    /// session was taken over.
    ///
    /// # Errors
    /// Why the connection has to go; what was whole before is taken.
    pub(super) fn take(
        &mut self,
        talk: &mut Talk,
        bytes: &[u8],
    ) -> (usize, Option<u64>, Result<(), Refusal>) {
        let (mut used, mut displaced) = (0, None);
        let before = self.next;
        let outcome = loop {
            let rest = &bytes[used..];
            let piece = match self.rules.framing {
                Framing::Line => framing::line(rest, talk.searched, self.rules.max),
                Framing::Frame => framing::frame(rest, self.rules.max),
            };
            talk.searched = 0;
            match piece {
                Ok(Some((Piece::Record(number, body), length))) => {
                    if let Err(refusal) = self.record(talk, number, body) {
                        break Err(refusal);
                    }
                    used += length;
                }
                Ok(Some((Piece::Hello(name, proof), length))) => {
                    match self.hello(talk, name, proof) {
                        Ok(other) => displaced = other,
                        Err(refusal) => break Err(refusal),
                    }
                    used += length;
                }
                Ok(None) => {
                    talk.searched = rest.len();
                    break Ok(());
                }
                Err(refusal) => break Err(refusal),
            }
        };
        // a hello alone is nothing to wait for
        if self.next > before {
            self.note(talk);
        }
        (used, displaced, outcome)
    }

    fn record(&mut self, talk: &mut Talk, number: u64, body: &[u8]) -> Result<(), Refusal> {
        let mut head = Head {
            session: 0,
            seq: self.next,
            time: self.now,
            number: 0,
        };
        if self.rules.framing == Framing::Frame {
            let Some(who) = &talk.who else {
                return Err(Refusal::Frame("a record before the hello"));
            };
            if number <= talk.taken {
                // a repeat; what is durable is told again
                self.counted.repeated += 1;
                talk.told = talk.told.min(talk.durable.saturating_sub(1));
                return Ok(());
            }
            let local = match who.clone() {
                Who::Session(local) => local,
                Who::Visitor(name) => self.open(talk, &name),
            };
            (head.session, head.number) = (local, number);
            talk.taken = number;
        } else {
            talk.taken += 1;
        }
        let batch = &mut self.group.batch;
        if batch.first == batch.next {
            (batch.first, batch.next) = (self.next, self.next);
        }
        self.seal.append(&mut batch.bytes, head, body);
        self.next += 1;
        batch.next = self.next;
        self.counted.records += 1;
        self.counted.bytes += body.len() as u64;
        Ok(())
    }

    fn hello(&mut self, talk: &mut Talk, name: &str, proof: &[u8]) -> Result<Option<u64>, Refusal> {
        if talk.who.is_some() {
            return Err(Refusal::Frame("a second hello"));
        }
        if let Some(key) = &self.rules.key {
            let text = framing::login_text(&talk.nonce, name);
            aws_lc_rs::hmac::verify(key, &text, proof).map_err(|_| Refusal::WrongKey)?;
        }
        let entered = self.directory.enter(name, talk.id);
        (talk.taken, talk.durable, talk.told) = (entered.last, entered.durable, entered.durable);
        talk.who = Some(entered.who);
        framing::put_welcome(&mut talk.out, entered.durable, self.rules.max);
        Ok(entered.displaced)
    }

    /// Begins a session whose first record comes: a note of it goes before that.
    fn open(&mut self, talk: &mut Talk, name: &Arc<str>) -> u32 {
        let (local, news) = self.directory.open(name, talk.id, self.now / 1_000_000);
        talk.who = Some(Who::Session(local));
        for item in &news {
            if let News::Opened(local, session) = item {
                let place = (self.next, self.now);
                let bytes = &mut self.group.batch.bytes;
                append_one(bytes, &self.seal, place, *local, session);
            }
        }
        self.group.batch.news.extend(news);
        local
    }

    /// Notes who waits for the group, and up to where.
    fn note(&mut self, talk: &Talk) {
        let taker = Taker {
            connection: talk.id,
            upto: talk.taken,
        };
        match self.group.takers.last_mut() {
            Some(last) if last.connection == talk.id => *last = taker,
            _ => self.group.takers.push(taker),
        }
        if let Some(Who::Session(local)) = talk.who {
            let second = self.now / 1_000_000;
            self.directory.reach(local, talk.taken, second);
            let news = News::Reached(local, talk.taken, second);
            let all = &mut self.group.batch.news;
            if matches!(all.last(), Some(News::Reached(last, ..)) if *last == local) {
                all.pop();
            }
            all.push(news);
        }
    }

    /// Whether records wait to be handed on.
    pub(super) fn has_records(&self) -> bool {
        self.group.batch.first < self.group.batch.next
    }

    /// Takes what was gathered.
    pub(super) fn take_group(&mut self, mut spare: Group) -> Group {
        spare.batch.bytes.clear();
        spare.batch.news.clear();
        spare.takers.clear();
        (spare.batch.first, spare.batch.next) = (self.next, self.next);
        std::mem::replace(&mut self.group, spare)
    }

    /// A group is durable; gives the connections that are to be told, and up to where.
    pub(super) fn settle(&mut self, takers: Vec<Taker>, news: &[News]) -> Vec<Taker> {
        let holders = self.directory.settle(news);
        match self.rules.framing {
            Framing::Line => takers,
            // a session may have moved to another connection meanwhile
            Framing::Frame => holders
                .into_iter()
                .map(|(connection, upto)| Taker { connection, upto })
                .collect(),
        }
    }

    /// A connection is gone.
    pub(super) fn leave(&mut self, talk: &Talk) {
        if let Some(who) = &talk.who {
            self.directory.leave(who, talk.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desk(framing: Framing, key: Option<&[u8]>) -> Desk {
        let key = key.map(|key| aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key));
        let rules = Rules {
            framing,
            ack: true,
            max: 100,
            key,
        };
        Desk::new(rules, Seal::new(1), &Sessions::default(), 1)
    }

    fn frame(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
        let body = parts.concat();
        let length = u32::try_from(body.len() + 1).unwrap();
        [&length.to_be_bytes()[..], &[kind], &body].concat()
    }

    fn record(number: u64) -> Vec<u8> {
        frame(b'R', &[&number.to_be_bytes(), b"x"])
    }

    #[test]
    fn lines_are_counted_and_acknowledged_when_durable() {
        let mut desk = desk(Framing::Line, None);
        let mut talk = Talk::new(5, &desk.rules, [0; PROOF]);
        assert_eq!(desk.take(&mut talk, b"a\nb\nc"), (4, None, Ok(())));
        assert_eq!(talk.searched, 1);
        talk.acknowledge(&desk.rules);
        assert!(talk.out.is_empty() && !talk.is_settled());
        let group = desk.take_group(Group::default());
        assert_eq!((group.batch.first, group.batch.next), (1, 3));
        assert_eq!(
            group.takers,
            [Taker {
                connection: 5,
                upto: 2
            }]
        );
        talk.durable = 2;
        talk.acknowledge(&desk.rules);
        assert_eq!(talk.out, b"2\n");
        assert!(talk.is_settled());
        assert_eq!(desk.take(&mut talk, b"c\n").0, 2);
        assert_eq!(desk.group.batch.first, 3);
    }

    #[test]
    fn repeated_numbers_are_told_to_be_durable_and_not_taken_twice() {
        let mut desk = desk(Framing::Frame, None);
        let hello = frame(b'H', &[&[1, 1], b"s"]);
        let mut one = Talk::new(1, &desk.rules, [0; PROOF]);
        let said = [hello.clone(), record(1), record(2)].concat();
        assert_eq!(desk.take(&mut one, &said).2, Ok(()));
        let group = desk.take_group(Group::default());
        assert_eq!(desk.settle(group.takers, &group.batch.news)[0].upto, 2);
        desk.leave(&one);
        let mut two = Talk::new(2, &desk.rules, [0; PROOF]);
        let said = [hello.clone(), record(2), record(3), record(9)].concat();
        assert_eq!(desk.take(&mut two, &hello).2, Ok(()));
        assert!(!desk.has_records(), "a hello is no record");
        let said = said[hello.len()..].to_vec();
        assert_eq!(desk.take(&mut two, &said).2, Ok(()));
        assert_eq!((desk.counted.records, desk.counted.repeated), (4, 1));
        assert_eq!(
            desk.group.takers,
            [Taker {
                connection: 2,
                upto: 9
            }]
        );
        assert_eq!(desk.group.batch.next, 5);
        let mut three = Talk::new(3, &desk.rules, [0; PROOF]);
        let (_, displaced, outcome) = desk.take(&mut three, &hello);
        assert_eq!((displaced, outcome), (Some(2), Ok(())));
        assert_eq!((three.taken, three.durable), (9, 2));
        assert!(desk.take(&mut three, &hello).2.is_err());
    }

    #[test]
    fn who_does_not_know_the_key_is_refused() {
        let mut desk = desk(Framing::Frame, Some(b"secret"));
        let mut talk = Talk::new(1, &desk.rules, [7; PROOF]);
        assert_eq!(talk.out[4..], [&b"C"[..], &[7; 32]].concat());
        let wrong = frame(b'H', &[&[1, 1], b"s", &[0; 32]]);
        assert_eq!(desk.take(&mut talk, &wrong).2, Err(Refusal::WrongKey));
        let key = desk.rules.key.clone().unwrap();
        let proof = aws_lc_rs::hmac::sign(&key, &framing::login_text(&[7; 32], "s"));
        let right = frame(b'H', &[&[1, 1], b"s", proof.as_ref()]);
        assert_eq!(desk.take(&mut talk, &right).2, Ok(()));
        let early = desk.take(&mut Talk::new(2, &desk.rules, [0; PROOF]), &record(1));
        assert!(early.2.is_err());
    }
}
