//! Bytes that are written over others: each sector of them reaches the platter for itself.

use super::{
    model::{Inode, Model},
    power::Dice,
};

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

impl Inode {
    /// Writes over what is there, and behind it.
    pub(super) fn write(&mut self, at: usize, bytes: &[u8], tick: u64) {
        let end = at + bytes.len();
        self.seen.resize(self.seen.len().max(end), 0);
        self.seen[at..end].copy_from_slice(bytes);
        self.modified = tick;
    }

    /// Whether bytes were written over that are durable as they were before.
    fn is_written_over(&self) -> bool {
        let mut pairs = self.seen.iter().zip(&self.durable);
        pairs.any(|(seen, durable)| seen != durable)
    }

    /// Every second time, some sectors are as they were, and the file is as long as it was.
    fn tear(&mut self, dice: &mut Dice) {
        if self.poisoned || !self.is_written_over() || dice.below(2) == 0 {
            return;
        }
        self.seen.truncate(self.durable.len());
        let sectors = self.seen.chunks_mut(SECTOR);
        for (new, old) in sectors.zip(self.durable.chunks(SECTOR)) {
            if dice.below(2) == 0 {
                new.copy_from_slice(&old[..new.len()]);
            }
        }
    }
}

impl Model {
    /// What the loss of power does to what was written over others.
    pub(super) fn tear(&mut self, dice: &mut Dice) {
        for inode in &mut self.inodes {
            inode.tear(dice);
        }
    }
}
