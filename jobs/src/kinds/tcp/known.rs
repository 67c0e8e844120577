//! What a `then="keep"` remembers: the files that went across, by name, size and time. In the job's state a row a file; in
//! memory two short hashes a file, so that a hundred thousand known ones cost a few megabytes and no time.

use std::collections::HashMap;

use crate::{
    error::Error,
    state::{Changes, State},
    transfer::journal::{Memory, locked},
};

/// Rows that are forgotten in one step.
const STEP: usize = 10_000;
/// In what is known of a file: it was met in this pass.
const MET: u64 = 1;

/// The known files of one put or get.
pub(super) struct Known {
    prefix: String,
    /// Hash of the name: hash of size and time, and in its last bit [`MET`].
    files: HashMap<u64, u64>,
}

impl Known {
    /// Reads what is remembered under this prefix.
    pub(super) fn load(memory: &Memory, prefix: String) -> Result<Known, Error> {
        let mut files = HashMap::new();
        locked(memory).each(&prefix, &mut |row, text| {
            if let Some(name) = row.strip_prefix(&prefix)
                && let Ok((size, mtime)) = serde_json::from_str(text)
            {
                files.insert(short(name.as_bytes()), stamp(size, mtime));
            }
            Ok(())
        })?;
        Ok(Known { prefix, files })
    }

    /// Whether the file went across as it is now. It counts as met.
    pub(super) fn has(&mut self, name: &str, size: u64, mtime: i64) -> bool {
        match self.files.get_mut(&short(name.as_bytes())) {
            Some(known) => {
                *known |= MET;
                *known == stamp(size, mtime) | MET
            }
            None => false,
        }
    }

    /// Adds a file to what is about to be committed.
    pub(super) fn remember(
        &mut self,
        name: &str,
        size: u64,
        mtime: i64,
        changes: Changes,
    ) -> Result<Changes, Error> {
        self.files
            .insert(short(name.as_bytes()), stamp(size, mtime) | MET);
        changes.set(&format!("{}{name}", self.prefix), &(size, mtime))
    }

    /// Forgets the files that were not met, after a pass that saw all there are.
    pub(super) fn forget_others(&mut self, state: &mut State) -> Result<(), Error> {
        self.files.retain(|_, known| *known & MET != 0);
        loop {
            let mut gone = Vec::new();
            state.each(&self.prefix, &mut |row, _| {
                let name = row.strip_prefix(&self.prefix).unwrap_or(row);
                if gone.len() < STEP && !self.files.contains_key(&short(name.as_bytes())) {
                    gone.push(row.to_owned());
                }
                Ok(())
            })?;
            if gone.is_empty() {
                return Ok(());
            }
            state.commit(
                gone.iter()
                    .fold(Changes::new(), |changes, row| changes.delete(row)),
            )?;
        }
    }

    /// Whether there are files that were not met.
    pub(super) fn has_others(&self) -> bool {
        self.files.values().any(|known| known & MET == 0)
    }
}

fn short(bytes: &[u8]) -> u64 {
    let mut short = [0; 8];
    short.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
    u64::from_le_bytes(short)
}

/// A hash of size and time, its last bit left free.
fn stamp(size: u64, mtime: i64) -> u64 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&size.to_le_bytes());
    bytes[8..].copy_from_slice(&mtime.to_le_bytes());
    short(&bytes) & !MET
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::FakeDisk;
    use std::sync::{Arc, Mutex};

    #[test]
    fn changed_files_are_new_and_files_that_went_are_forgotten() {
        let memory: Memory = Arc::new(Mutex::new(State::fake(&FakeDisk::new(), "job")));
        let prefix = || "sent out to in: ".to_owned();
        let mut known = Known::load(&memory, prefix()).unwrap();
        let mut changes = Changes::new();
        for name in ["a", "b/c"] {
            changes = known.remember(name, 1, -2, changes).unwrap();
        }
        locked(&memory).commit(changes).unwrap();
        let mut known = Known::load(&memory, prefix()).unwrap();
        assert!(
            known.has("a", 1, -2)
                && !known.has("a", 2, -2)
                && !known.has("a", 1, 0)
                && !known.has("d", 1, -2)
        );
        assert!(known.has_others());
        known.forget_others(&mut locked(&memory)).unwrap();
        let mut known = Known::load(&memory, prefix()).unwrap();
        assert!(known.has("a", 1, -2) && !known.has("b/c", 1, -2) && !known.has_others());
    }
}
