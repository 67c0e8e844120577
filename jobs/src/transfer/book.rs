//! The sender's book: what was offered, and how far each file is. A pure state machine; an answer that does not fit the
//! state a file is in breaks the protocol.
//!
//! ```text
//! offered ──want──► wanted ──► sending ──► sent ──ack──► (settled)
//!    │ └──hash──► offered again, once     ▲ │
//!    ├──held──────────────────────────────┘ └──refused──► (missed)
//!    ├──skip──► (skipped)     at any time: abandoned by the sender, or refused by the other side
//!    └──refused──► (missed)
//! ```

use std::collections::HashMap;

use super::{
    fields::Malformed,
    message::{Refusal, Verdict},
    proof::Digest,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Offered { hashed: bool },
    Wanted,
    Sending,
    Sent,
}

/// What an answer asks the sender to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect<T> {
    /// Send it; the other side has these bytes of it already.
    Send(Vec<(u64, Digest)>),
    /// Wait for the acknowledgement.
    Wait,
    /// Offer it again with its hash.
    Hash,
    /// It was not wanted.
    Skipped(T),
    /// It was refused.
    Missed(T, Refusal),
}

/// Files that are on their way, by their numbers.
#[derive(Debug)]
pub(crate) struct Book<T> {
    files: HashMap<u32, (Stage, T)>,
    next: u32,
}

impl<T> Default for Book<T> {
    fn default() -> Book<T> {
        Book {
            files: HashMap::new(),
            next: 0,
        }
    }
}

impl<T> Book<T> {
    /// Enters a file that is being offered and gives it its number.
    pub(crate) fn offer(&mut self, file: T, hashed: bool) -> u32 {
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        self.files.insert(id, (Stage::Offered { hashed }, file));
        id
    }

    /// How many files are on their way.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// A file on its way.
    pub(crate) fn file(&mut self, id: u32) -> Option<&mut T> {
        self.files.get_mut(&id).map(|(_, file)| file)
    }

    /// Takes an answer to an offer.
    pub(crate) fn answer(&mut self, id: u32, verdict: Verdict) -> Result<Effect<T>, Malformed> {
        let Some((stage @ Stage::Offered { .. }, _)) = self.files.get_mut(&id) else {
            return Err(Malformed("an answer to what was not offered"));
        };
        match verdict {
            Verdict::Want(checkpoints) => {
                *stage = Stage::Wanted;
                Ok(Effect::Send(checkpoints))
            }
            Verdict::Held => {
                *stage = Stage::Sent;
                Ok(Effect::Wait)
            }
            Verdict::Hash if *stage == (Stage::Offered { hashed: false }) => {
                *stage = Stage::Offered { hashed: true };
                Ok(Effect::Hash)
            }
            Verdict::Hash => Err(Malformed("a hash is asked for that was given")),
            Verdict::Skip => self.take(id).map(Effect::Skipped),
            Verdict::Refused(refusal) => self.take(id).map(|file| Effect::Missed(file, refusal)),
        }
    }

    /// The file's bytes begin to go out; `false` when it was refused meanwhile.
    pub(crate) fn begin(&mut self, id: u32) -> bool {
        match self.files.get_mut(&id) {
            Some((stage @ Stage::Wanted, _)) => {
                *stage = Stage::Sending;
                true
            }
            _ => false,
        }
    }

    /// Whether the file is still being sent: the other side may refuse it in the middle.
    pub(crate) fn is_sending(&self, id: u32) -> bool {
        matches!(self.files.get(&id), Some((Stage::Sending, _)))
    }

    /// All of the file's bytes went out.
    pub(crate) fn sent(&mut self, id: u32) {
        if let Some((stage @ Stage::Sending, _)) = self.files.get_mut(&id) {
            *stage = Stage::Sent;
        }
    }

    /// Takes a file out that is not sent after all.
    pub(crate) fn abandon(&mut self, id: u32) -> Option<T> {
        self.files.remove(&id).map(|(_, file)| file)
    }

    /// Takes an acknowledgement, or a refusal after the fact. `None` when it crossed an abandoned file.
    pub(crate) fn ack(&mut self, id: u32, refused: bool) -> Result<Option<T>, Malformed> {
        match self.files.get(&id) {
            Some((Stage::Sent, _)) => self.take(id).map(Some),
            Some(_) if refused => self.take(id).map(Some),
            None if refused && id < self.next => Ok(None),
            _ => Err(Malformed("an acknowledgement of what was not sent")),
        }
    }

    fn take(&mut self, id: u32) -> Result<T, Malformed> {
        self.abandon(id)
            .ok_or(Malformed("an answer to what was not offered"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::message::Code;
    use proptest::prelude::*;

    fn no() -> Refusal {
        Refusal::new(Code::Full, "full")
    }

    #[test]
    fn a_file_goes_its_way() {
        let mut book = Book::default();
        let id = book.offer("a", false);
        assert_eq!(book.answer(id, Verdict::Hash), Ok(Effect::Hash));
        assert!(book.answer(id, Verdict::Hash).is_err());
        assert_eq!(
            book.answer(id, Verdict::Want(vec![])),
            Ok(Effect::Send(vec![]))
        );
        assert!(book.ack(id, false).is_err(), "not sent yet");
        assert!(book.begin(id) && book.is_sending(id));
        book.sent(id);
        assert_eq!(book.ack(id, false), Ok(Some("a")));
        assert!(book.ack(id, false).is_err(), "twice");
        assert_eq!(book.len(), 0);
    }

    #[test]
    fn a_refusal_may_come_at_any_time() {
        let mut book = Book::default();
        let [one, two, three] = [(); 3].map(|()| book.offer("a", true));
        assert_eq!(
            book.answer(one, Verdict::Refused(no())),
            Ok(Effect::Missed("a", no()))
        );
        book.answer(two, Verdict::Want(vec![])).unwrap();
        assert!(book.begin(two));
        assert_eq!(book.ack(two, true), Ok(Some("a")));
        assert!(!book.is_sending(two) && !book.begin(two));
        book.abandon(three);
        assert_eq!(book.ack(three, true), Ok(None));
        assert!(book.ack(99, true).is_err());
        assert!(book.answer(three, Verdict::Held).is_err());
    }

    proptest! {
        /// Whatever the other side says, in whichever order, no file is acknowledged that was neither sent nor held.
        #[test]
        fn nothing_is_acknowledged_before_it_is_sent(steps in prop::collection::vec((0..3_u32, 0..9_u8), 0..60)) {
            let mut book = Book::default();
            let mut gone = [false; 3];
            for _ in 0..3 {
                book.offer((), false);
            }
            for (id, step) in steps {
                let at = usize::try_from(id).unwrap();
                match step {
                    0 => drop(book.answer(id, Verdict::Want(vec![]))),
                    1 => gone[at] |= book.answer(id, Verdict::Held).is_ok(),
                    2 => drop(book.answer(id, Verdict::Skip)),
                    3 => drop(book.answer(id, Verdict::Hash)),
                    4 => drop(book.answer(id, Verdict::Refused(no()))),
                    5 => drop(book.begin(id)),
                    6 => {
                        gone[at] |= book.is_sending(id);
                        book.sent(id);
                    }
                    7 => drop(book.ack(id, true)),
                    _ => if let Ok(Some(())) = book.ack(id, false) {
                        prop_assert!(gone[at]);
                    }
                }
            }
        }
    }
}
