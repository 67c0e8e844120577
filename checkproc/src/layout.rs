//! Where each word of a heartbeat table lies, and how the packed words are read. Nothing else knows offsets.
//!
//! A table is an array of 64-bit words, each read and written atomically:
//!
//! ```text
//! header  1 page    constants and their checksum | retired, high water | what the last scan saw
//! hot     64 B      one cache line a slot: owner, deadline, beats: all that a scan reads
//! cold    384 B     the rest of a slot: identity, rules, progress, result, texts
//! ```
//!
//! Hot lines lie side by side, so a scan of 4,096 slots walks 256 KiB in order. Pages above the high-water mark are
//! never touched and cost nothing.

use std::sync::atomic::AtomicU64;

/// First word of every table.
pub const MAGIC: u64 = u64::from_le_bytes(*b"heartbt\n");
/// Version of this layout; a table of an older one is replaced, a newer one is refused.
pub const VERSION: u64 = 1;
/// Slots in a table.
pub const SLOTS: u32 = 16_384;
/// Bytes in a name: 63 characters and a zero.
pub const NAME_BYTES: usize = 64;
/// Bytes of the phase text.
pub const PHASE_BYTES: usize = 128;
/// Bytes of the text that names a declared step.
pub const STEP_BYTES: usize = 64;

const HEADER_WORDS: usize = 512;
const HOT_WORDS: usize = 8;
const COLD_WORDS: usize = 48;

/// Words of a whole table.
pub const WORDS: usize = HEADER_WORDS + SLOTS as usize * (HOT_WORDS + COLD_WORDS);
/// Bytes of a whole table, the exact size of its file.
pub const BYTES: usize = WORDS * 8;

/// A deadline that never comes: the slot is unwatched.
pub const NEVER: u64 = u64::MAX;
/// The longest deadline, heartbeat, grace or step that is believed, in nanoseconds (30 days).
pub const LONGEST: u64 = 30 * 24 * 3600 * 1_000_000_000;

/// Words of the header, by position in the table.
pub mod header {
    /// `layout::MAGIC`.
    pub const MAGIC: usize = 0;
    /// `layout::VERSION`.
    pub const VERSION: usize = 1;
    /// `layout::SLOTS`.
    pub const SLOTS: usize = 2;
    /// `layout::BYTES`.
    pub const BYTES: usize = 3;
    /// The user whose processes this table speaks for.
    pub const UID: usize = 4;
    /// First half of the kernel's boot id.
    pub const BOOT_HIGH: usize = 5;
    /// Second half of the kernel's boot id.
    pub const BOOT_LOW: usize = 6;
    /// When the table was made, `CLOCK_MONOTONIC` ns.
    pub const CREATED: usize = 7;
    /// Checksum of the words before it.
    pub const CHECKSUM: usize = 8;

    /// Not 0: the table has been replaced, open it anew. On a cache line that is hardly ever written.
    pub const RETIRED: usize = 16;
    /// Slots at and above this index have never been used.
    pub const HIGH_WATER: usize = 17;

    /// When a watchdog last scanned, `CLOCK_MONOTONIC` ns.
    pub const LAST_SCAN: usize = 24;
    /// `CLOCK_BOOTTIME` minus `CLOCK_MONOTONIC` at that scan, ns.
    pub const CLOCK_OFFSET: usize = 25;
    /// The distance between scans that is to be expected, ns.
    pub const SCAN_EVERY: usize = 26;
    /// End of the last gap between scans, ns: deadlines older than it count from here.
    pub const AMNESTY: usize = 27;
    /// When the brake was put on, ns; 0 = off.
    pub const BRAKE_SINCE: usize = 28;
    /// Until when the brake holds all fire, ns.
    pub const BRAKE_HOLD: usize = 29;
    /// When a slot was last condemned, ns.
    pub const LAST_KILL: usize = 30;
}

/// Words of a slot's hot line.
#[derive(Clone, Copy)]
pub enum Hot {
    /// State, generation and pid: see [`Owner`].
    Owner = 0,
    /// `CLOCK_MONOTONIC` ns after which the process counts as hung, or [`NEVER`].
    Deadline = 1,
    /// The last beat, `CLOCK_MONOTONIC` ns.
    Beat = 2,
    /// Number of beats.
    Beats = 3,
    /// Interval that a beat buys, ns; 0 = unwatched.
    Heartbeat = 4,
    /// End of a declared step, `CLOCK_MONOTONIC` ns; 0 = none.
    StepUntil = 5,
    /// Hash of the home that runs it; 0 = none.
    Home = 6,
}

/// Words of a slot's cold block.
#[derive(Clone, Copy)]
pub enum Cold {
    /// Start time of the process, clock ticks since boot (field 22 of `/proc/PID/stat`).
    StartTime = 0,
    /// Process that claimed the slot.
    Claimer = 1,
    /// Its start time.
    ClaimerStart = 2,
    /// Run id; 0 = none.
    Run = 3,
    /// When the slot was claimed, `CLOCK_MONOTONIC` ns.
    Claimed = 4,
    /// The same as microseconds since 1970, for display only.
    ClaimedWall = 5,
    /// From SIGTERM to SIGKILL, ns.
    HangGrace = 6,
    /// Longest step that may be declared, ns.
    MaxStep = 7,
    /// Rows moved so far. This cache line is written by the working process alone.
    Rows = 8,
    /// Bytes moved so far.
    Bytes = 9,
    /// Odd while a text is being written.
    TextSequence = 10,
    /// How it ended, in its own word; 0 = it did not say.
    Outcome = 11,
    /// When it ended, by its own word or seen by a watchdog, `CLOCK_MONOTONIC` ns.
    Ended = 12,
    /// When a watchdog found it hung, `CLOCK_MONOTONIC` ns; 0 = never.
    Hung = 13,
    /// When a watchdog last reported that SIGKILL has no effect, ns.
    Stuck = 14,
    /// Rows put aside as bad so far.
    Rejected = 15,
    /// First word of the name.
    Name = 16,
    /// First word of the phase.
    Phase = 24,
    /// First word of the step's name.
    Step = 40,
}

/// Position of a hot word.
pub fn hot(index: u32, word: Hot) -> usize {
    HEADER_WORDS + index as usize * HOT_WORDS + word as usize
}

/// Position of a cold word.
pub fn cold(index: u32, word: Cold) -> usize {
    HEADER_WORDS + SLOTS as usize * HOT_WORDS + index as usize * COLD_WORDS + word as usize
}

/// The hot lines of the first `count` slots, with their index.
pub fn hot_lines(words: &[AtomicU64], count: u32) -> impl Iterator<Item = (u32, &[AtomicU64])> {
    let end = HEADER_WORDS + count.min(SLOTS) as usize * HOT_WORDS;
    (0..).zip(words[HEADER_WORDS..end].chunks_exact(HOT_WORDS))
}

/// The word ranges that belong to one slot: its hot line and its cold block.
pub fn ranges(index: u32) -> [std::ops::Range<usize>; 2] {
    let (hot, cold) = (hot(index, Hot::Owner), cold(index, Cold::StartTime));
    [hot..hot + HOT_WORDS, cold..cold + COLD_WORDS]
}

/// The word range of the header.
pub fn header_range() -> std::ops::Range<usize> {
    0..HEADER_WORDS
}

/// State of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody's.
    Free,
    /// Being filled by the process in the pid field.
    Claiming,
    /// Claimed for a process that is not there yet; the pid field holds the claimer.
    Reserved,
    /// Owned by the process in the pid field.
    Active,
    /// A value that no program of ours writes.
    Corrupt,
}

/// The owner word: `state (8 bits) | generation (24) | pid (32)`. Every change of hands is one CAS on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Who may touch the slot.
    pub state: State,
    /// Goes up with every claim; 24 bits.
    pub generation: u32,
    /// Owner, or claimer while it is being claimed or reserved.
    pub pid: u32,
}

impl Owner {
    /// Largest generation before it starts again from 0.
    pub const GENERATIONS: u32 = 0x00ff_ffff;

    /// Reads an owner word.
    pub fn unpack(word: u64) -> Owner {
        let state = match word >> 56 {
            0 => State::Free,
            1 => State::Claiming,
            2 => State::Reserved,
            3 => State::Active,
            _ => State::Corrupt,
        };
        let low = |bits: u64| u32::try_from(bits & 0xffff_ffff).unwrap_or(0);
        Owner {
            state,
            generation: low(word >> 32) & Self::GENERATIONS,
            pid: low(word),
        }
    }

    /// Writes an owner word.
    pub fn pack(self) -> u64 {
        let state: u64 = match self.state {
            State::Free => 0,
            State::Claiming => 1,
            State::Reserved => 2,
            State::Active => 3,
            State::Corrupt => 255,
        };
        state << 56 | u64::from(self.generation & Self::GENERATIONS) << 32 | u64::from(self.pid)
    }

    /// The generation that the next claim takes.
    pub fn next_generation(self) -> u32 {
        (self.generation + 1) & Self::GENERATIONS
    }
}

/// FNV-1a (Fowler, Noll, Vo; 64 bits) over the constant words of a header.
pub fn checksum(words: impl Iterator<Item = u64>) -> u64 {
    words
        .flat_map(u64::to_le_bytes)
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_words_survive_packing() {
        for state in [State::Free, State::Claiming, State::Reserved, State::Active] {
            let owner = Owner {
                state,
                generation: 0x00ab_cdef,
                pid: 4_194_304,
            };
            assert_eq!(Owner::unpack(owner.pack()), owner);
        }
        assert_eq!(Owner::unpack(u64::MAX).state, State::Corrupt);
        assert_eq!(
            Owner::unpack(0),
            Owner {
                state: State::Free,
                generation: 0,
                pid: 0
            }
        );
    }

    #[test]
    fn generations_wrap_inside_their_bits() {
        let last = Owner {
            state: State::Free,
            generation: Owner::GENERATIONS,
            pid: 0,
        };
        assert_eq!(last.next_generation(), 0);
    }

    #[test]
    fn slots_do_not_overlap_and_fill_the_table() {
        let mut last = header_range().end;
        for index in 0..SLOTS {
            let [hot, _] = ranges(index);
            assert_eq!(hot.start, last);
            assert_eq!(hot.start % 8, 0, "a hot line is one cache line");
            last = hot.end;
        }
        for index in 0..SLOTS {
            let [_, cold] = ranges(index);
            assert_eq!(cold.start, last);
            last = cold.end;
        }
        assert_eq!(last, WORDS);
    }

    #[test]
    fn texts_end_where_the_next_word_begins() {
        assert_eq!(Cold::Name as usize + NAME_BYTES / 8, Cold::Phase as usize);
        assert_eq!(Cold::Phase as usize + PHASE_BYTES / 8, Cold::Step as usize);
        assert_eq!(Cold::Step as usize + STEP_BYTES / 8, COLD_WORDS);
    }
}
