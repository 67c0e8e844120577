//! Room ahead of the records: zeros behind the last one, written and synced before they are needed. A sync of what is written over
//! them tells the file system of no new bytes, so it does not wait for its journal: it is shorter, and above all seldom long.
//! Only while little is synced at a time: what comes in bulk makes the file longer, as writing it twice would cost more.
//!
//! After a loss of power any sector of what was not synced may still be zeros, also in front of others that are not: [`super::torn`] knows.
//! A segment loses what is left of its room when it is closed; zeros that a crash leaves at the end of a file are its end.

use super::store::Active;

/// So much is laid out first, and then twice as much each time, up to the most: that takes some milliseconds, and whatever the journal has to do
/// for others besides, which is why it is not done often where much comes.
const FIRST: u64 = 1 << 20;
const MOST: u64 = 8 << 20;
/// Less is not worth it.
const LEAST: u64 = 4 << 10;
/// Bytes of a sync that is a small one, if the room takes four such.
const SMALL: u64 = 64 << 10;
/// So many small syncs in a row, and more of them are expected.
const CALM: u32 = 4;

/// When room is laid out, and how much.
pub(super) struct Plan {
    /// Bytes at once, at most and the next time.
    most: u64,
    now: u64,
    /// Small syncs in a row.
    calm: u32,
}

impl Plan {
    /// For segments of about so many bytes.
    pub(super) fn new(segment: u64) -> Plan {
        let most = MOST.min(segment / 4);
        Plan {
            most,
            now: FIRST.min(most),
            calm: 0,
        }
    }

    /// Room was laid out.
    pub(super) fn laid(&mut self) {
        self.now = self.most.min(2 * self.now);
    }

    /// So many bytes became durable by one sync.
    pub(super) fn synced(&mut self, bytes: u64) {
        let small = bytes <= SMALL.min(self.most / 4);
        self.calm = if small {
            self.calm.saturating_add(1)
        } else {
            0
        };
    }

    /// Bytes that are to be laid out behind a segment's records, of which all are durable; 0 while what there is will do.
    pub(super) fn wanted(&self, active: &Active, segment: u64, free: u64) -> u64 {
        let bytes = self.now.min(segment.saturating_sub(active.written));
        let low = active.room < SMALL.min(self.now / 4);
        let more = bytes.saturating_sub(active.room);
        let fits = more >= LEAST && more <= free;
        if self.calm >= CALM && low && fits && !active.closed {
            bytes
        } else {
            0
        }
    }

    /// The disk refused: less, and later.
    pub(super) fn refused(&mut self) {
        self.calm = 0;
        self.now = LEAST.max(self.now / 2).min(self.most);
    }
}
