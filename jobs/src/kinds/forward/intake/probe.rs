//! The intake as a fuzzer meets it: any bytes, cut anywhere, in either framing.

use super::{
    desk::{Desk, Rules, Talk},
    framing::{Framing, PROOF},
};
use crate::kinds::forward::spool::{Found, Seal, Sessions};

/// The longest record here.
const MAX: usize = 300;

/// Takes bytes as a sender's, in pieces whose lengths `cuts` gives, and checks that what was taken is what the disk gets.
///
/// # Panics
/// When it is not.
pub fn probe(cuts: &[u8], bytes: &[u8]) {
    for framing in [Framing::Line, Framing::Frame] {
        let rules = Rules {
            framing,
            ack: true,
            max: MAX,
            key: None,
        };
        let mut desk = Desk::new(rules, Seal::new(1), &Sessions::default(), 1);
        let mut talk = Talk::new(1, &desk.rules, [0; PROOF]);
        let (mut rest, mut from, mut cuts) = (Vec::new(), 0, cuts.iter().cycle());
        while from < bytes.len() {
            let step = 1 + cuts.next().map_or(bytes.len(), |cut| usize::from(*cut));
            let to = (from + step).min(bytes.len());
            rest.extend_from_slice(&bytes[from..to]);
            from = to;
            let (used, _, outcome) = desk.take(&mut talk, &rest);
            assert!(used <= rest.len(), "more was taken than there is");
            rest.drain(..used);
            if outcome.is_err() {
                break;
            }
            // what is not decided yet is no longer than a piece may be
            assert!(rest.len() <= MAX + 300, "{} bytes are held", rest.len());
        }
        check(&desk);
    }
}

/// Every record of the group can be read back, and there are as many as were counted.
fn check(desk: &Desk) {
    let (bytes, seal) = (&desk.group.batch.bytes, Seal::new(1));
    let (mut at, mut records) = (0, 0);
    while at < bytes.len() {
        let Found::Record(head, whole) = seal.read(&bytes[at..]) else {
            panic!("what was gathered is no record at {at}");
        };
        records += u64::from(!head.is_note());
        at += whole;
    }
    assert_eq!(records, desk.counted.records);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 1).unwrap();
        [&length.to_be_bytes()[..], &[kind], body].concat()
    }

    proptest! {
        #[test]
        fn random_bytes_do_no_harm(cuts: Vec<u8>, bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            probe(&cuts, &bytes);
        }

        #[test]
        fn nearly_good_frames_do_no_harm(
            cuts: Vec<u8>,
            frames in prop::collection::vec((0_u64..9, prop::collection::vec(any::<u8>(), 0..310)), 0..20),
            flip in any::<prop::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let mut bytes = frame(b'H', b"\x01\x03one");
            for (number, body) in frames {
                bytes.extend(frame(b'R', &[&number.to_be_bytes()[..], &body].concat()));
            }
            probe(&cuts, &bytes);
            let at = flip.index(bytes.len());
            bytes[at] ^= 1 << bit;
            probe(&cuts, &bytes);
        }
    }
}
