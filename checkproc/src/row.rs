//! A slot as a reader sees it: plain values, copied out and bounded. Nothing here writes to the table.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::layout::{
    self, Cold, Hot, LONGEST, NAME_BYTES, NEVER, Owner, PHASE_BYTES, STEP_BYTES, State,
};
use crate::process::monotonic_ns;

/// How far a slot's process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SlotState {
    /// Claimed for a process that is about to start.
    Reserved,
    /// Owned by a process.
    Active,
}

/// How a process ended, in its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It did what it was there for.
    Done,
    /// It gave up, with this exit code.
    Failed {
        /// The exit code that follows.
        exit: u8,
    },
    /// It was asked to stop and did, at a safe point.
    Stopped,
}

impl Outcome {
    pub(crate) fn pack(self) -> u64 {
        match self {
            Outcome::Done => 1,
            Outcome::Failed { exit } => 2 | u64::from(exit) << 8,
            Outcome::Stopped => 3,
        }
    }

    pub(crate) fn unpack(word: u64) -> Option<Outcome> {
        match word & 0xff {
            1 => Some(Outcome::Done),
            2 => Some(Outcome::Failed {
                exit: u8::try_from(word >> 8 & 0xff).unwrap_or(u8::MAX),
            }),
            3 => Some(Outcome::Stopped),
            _ => None,
        }
    }
}

/// A watchdog found the process hung and has killed it, or is about to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Hung {
    /// When, `CLOCK_MONOTONIC` ns.
    pub at_ns: u64,
}

/// A copy of a live slot. Words are read one after the other, so a row shows a moment only roughly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The user whose table it is.
    pub uid: u32,
    /// Position in the table.
    pub index: u32,
    /// Claim that this row is about.
    pub generation: u32,
    /// How far its process has come.
    pub state: SlotState,
    /// The process; while `Reserved` the claimer.
    pub pid: u32,
    /// Start time of the process, clock ticks since boot; 0 while `Reserved`.
    pub start_time: u64,
    /// Who claimed the slot.
    pub claimer: u32,
    /// Start time of the claimer.
    pub claimer_start: u64,
    /// Name of the job.
    pub name: String,
    /// Hash of the home that runs it; 0 = none.
    pub home: u64,
    /// Run id; 0 = run by hand.
    pub run: u64,
    /// Interval that a beat buys; `None` = unwatched. In seconds when serialised, as all durations.
    #[serde(serialize_with = "maybe_seconds")]
    pub heartbeat: Option<Duration>,
    /// From SIGTERM to SIGKILL.
    #[serde(serialize_with = "seconds")]
    pub hang_grace: Duration,
    /// Nanoseconds to the deadline, negative when it has passed; `None` = unwatched.
    pub deadline_in: Option<i64>,
    /// Since the last beat, or since the claim when there was none.
    #[serde(serialize_with = "seconds")]
    pub last_beat_age: Duration,
    /// Number of beats.
    pub beats: u64,
    /// Rows moved so far.
    pub rows: u64,
    /// Bytes moved so far.
    pub bytes: u64,
    /// Rows put aside as bad so far.
    pub rejected: u64,
    /// What it does now, in its own words.
    pub phase: String,
    /// The step that it has declared and not ended.
    pub step: Option<String>,
    /// How it ended, in its own word.
    pub outcome: Option<Outcome>,
    /// Set before it is killed for hanging.
    pub hung: Option<Hung>,
    /// When the slot was claimed, microseconds since 1970.
    pub claimed_wall_us: u64,
}

impl Row {
    /// Copies a slot, or `None` if it is not live.
    pub(crate) fn read(words: &[AtomicU64], uid: u32, index: u32) -> Option<Row> {
        let owner = Owner::unpack(hot(words, index, Hot::Owner));
        let state = match owner.state {
            State::Reserved => SlotState::Reserved,
            State::Active => SlotState::Active,
            State::Free | State::Claiming | State::Corrupt => return None,
        };
        let now = monotonic_ns();
        let heartbeat = hot(words, index, Hot::Heartbeat).min(LONGEST);
        let deadline = hot(words, index, Hot::Deadline);
        let watched = heartbeat != 0 && deadline != NEVER;
        let beat = hot(words, index, Hot::Beat).max(cold(words, index, Cold::Claimed));
        let text = |first, bytes| read_text(words, index, first, bytes);
        let hung = cold(words, index, Cold::Hung);
        let in_step = hot(words, index, Hot::StepUntil) != 0;
        Some(Row {
            uid,
            index,
            generation: owner.generation,
            state,
            pid: owner.pid,
            start_time: if state == SlotState::Active {
                cold(words, index, Cold::StartTime)
            } else {
                0
            },
            claimer: u32::try_from(cold(words, index, Cold::Claimer)).unwrap_or(0),
            claimer_start: cold(words, index, Cold::ClaimerStart),
            name: text(Cold::Name, NAME_BYTES),
            home: hot(words, index, Hot::Home),
            run: cold(words, index, Cold::Run),
            heartbeat: (heartbeat != 0).then(|| Duration::from_nanos(heartbeat)),
            hang_grace: Duration::from_nanos(cold(words, index, Cold::HangGrace).min(LONGEST)),
            deadline_in: watched.then(|| deadline.wrapping_sub(now).cast_signed()),
            last_beat_age: Duration::from_nanos(now.saturating_sub(beat)),
            beats: hot(words, index, Hot::Beats),
            rows: cold(words, index, Cold::Rows),
            bytes: cold(words, index, Cold::Bytes),
            rejected: cold(words, index, Cold::Rejected),
            phase: text(Cold::Phase, PHASE_BYTES),
            step: in_step.then(|| text(Cold::Step, STEP_BYTES)),
            outcome: Outcome::unpack(cold(words, index, Cold::Outcome)),
            hung: (hung != 0).then_some(Hung { at_ns: hung }),
            claimed_wall_us: cold(words, index, Cold::ClaimedWall),
        })
    }
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

fn maybe_seconds<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    duration
        .map(|duration| duration.as_secs_f64())
        .serialize(serializer)
}

fn hot(words: &[AtomicU64], index: u32, word: Hot) -> u64 {
    words[layout::hot(index, word)].load(Ordering::Acquire)
}

fn cold(words: &[AtomicU64], index: u32, word: Cold) -> u64 {
    words[layout::cold(index, word)].load(Ordering::Acquire)
}

/// Reads a text that its owner may be writing. After a few tries it takes what is there: the owner may have died
/// half-way, and a text is for display only.
pub(crate) fn read_text(words: &[AtomicU64], index: u32, first: Cold, bytes: usize) -> String {
    let sequence = &words[layout::cold(index, Cold::TextSequence)];
    let start = layout::cold(index, first);
    let mut raw = Vec::with_capacity(bytes);
    for _ in 0..4 {
        let before = sequence.load(Ordering::Acquire);
        raw.clear();
        raw.extend(
            words[start..start + bytes / 8]
                .iter()
                .flat_map(|word| word.load(Ordering::Acquire).to_le_bytes()),
        );
        if before.is_multiple_of(2) && sequence.load(Ordering::Acquire) == before {
            break;
        }
    }
    let end = raw.iter().position(|byte| *byte == 0).unwrap_or(raw.len());
    // Whatever wrote it, it may end up on a terminal or in a log line.
    String::from_utf8_lossy(&raw[..end])
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Writes a text, cut at a character's end so that a zero byte always follows.
pub(crate) fn write_text(words: &[AtomicU64], index: u32, first: Cold, bytes: usize, text: &str) {
    let cut = text.floor_char_boundary(bytes - 1);
    let mut source = text.as_bytes()[..cut]
        .iter()
        .copied()
        .map(|byte| if byte == 0 { b' ' } else { byte });
    let sequence = &words[layout::cold(index, Cold::TextSequence)];
    let before = sequence.load(Ordering::Relaxed) | 1;
    sequence.store(before, Ordering::Release);
    let start = layout::cold(index, first);
    for word in &words[start..start + bytes / 8] {
        let mut chunk = [0_u8; 8];
        chunk
            .iter_mut()
            .zip(source.by_ref())
            .for_each(|(to, from)| *to = from);
        word.store(u64::from_le_bytes(chunk), Ordering::Release);
    }
    sequence.store(before.wrapping_add(1), Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Vec<AtomicU64> {
        (0..layout::WORDS).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn texts_are_cut_at_a_character_and_cleaned() {
        let words = memory();
        write_text(&words, 3, Cold::Step, STEP_BYTES, &"ü".repeat(60));
        assert_eq!(read_text(&words, 3, Cold::Step, STEP_BYTES), "ü".repeat(31));
        write_text(&words, 3, Cold::Step, STEP_BYTES, "a\0b\x1b[2Jc");
        assert_eq!(read_text(&words, 3, Cold::Step, STEP_BYTES), "a b [2Jc");
        write_text(&words, 3, Cold::Phase, PHASE_BYTES, "");
        assert_eq!(read_text(&words, 3, Cold::Phase, PHASE_BYTES), "");
    }

    #[test]
    fn a_writer_that_died_half_way_does_not_hold_up_readers() {
        let words = memory();
        write_text(&words, 0, Cold::Phase, PHASE_BYTES, "loading");
        words[layout::cold(0, Cold::TextSequence)].store(7, Ordering::Release);
        assert_eq!(read_text(&words, 0, Cold::Phase, PHASE_BYTES), "loading");
        write_text(&words, 0, Cold::Phase, PHASE_BYTES, "next");
        assert_eq!(
            words[layout::cold(0, Cold::TextSequence)].load(Ordering::Acquire) % 2,
            0
        );
    }

    #[test]
    fn outcomes_survive_packing() {
        for outcome in [
            Outcome::Done,
            Outcome::Failed { exit: 74 },
            Outcome::Stopped,
        ] {
            assert_eq!(Outcome::unpack(outcome.pack()), Some(outcome));
        }
        assert_eq!(Outcome::unpack(0), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_make_a_row_or_none(seed in proptest::collection::vec(proptest::num::u64::ANY, 56)) {
            let words = memory();
            let [hot, cold] = layout::ranges(9);
            words[hot].iter().chain(&words[cold]).zip(seed).for_each(|(word, value)| word.store(value, Ordering::Relaxed));
            if let Some(row) = Row::read(&words, 0, 9) {
                proptest::prop_assert!(row.name.len() <= 3 * NAME_BYTES);
                proptest::prop_assert!(row.hang_grace <= Duration::from_nanos(LONGEST));
            }
        }
    }
}
