//! Small files on their way out, many in one frame.

use super::{Error, PACK, PACK_FILES, Packed, Sending, Type, put_packed};
use crate::transfer::content;

/// A pack that is being made.
#[derive(Default)]
pub(super) struct Pack {
    pub(super) payload: Vec<u8>,
    pub(super) ids: Vec<u32>,
}

impl Sending<'_> {
    /// Packs small files that are wanted; sends a pack when it is full or nothing more is there to go into it.
    pub(super) fn send_small(&mut self) -> Result<bool, Error> {
        while let Some(id) = self.small.pop_front() {
            self.pack_one(id)?;
            if self.pack.payload.len() >= PACK || self.pack.ids.len() >= PACK_FILES {
                break;
            }
        }
        if self.pack.ids.is_empty() {
            return Ok(false);
        }
        let count = u16::try_from(self.pack.ids.len()).unwrap_or(u16::MAX);
        self.pack.payload[..2].copy_from_slice(&count.to_le_bytes());
        self.outgoing
            .send_raw(Type::Pack, &self.pack.payload, self.host)?;
        self.host
            .moved(0, u64::try_from(self.pack.payload.len()).unwrap_or(0));
        for id in std::mem::take(&mut self.pack.ids) {
            self.book.sent(id);
        }
        self.pack.payload.clear();
        Ok(true)
    }

    fn pack_one(&mut self, id: u32) -> Result<(), Error> {
        if !self.book.begin(id) {
            return Ok(());
        }
        let Some(item) = self.book.file(id) else {
            return Ok(());
        };
        let (found, hash) = (item.found.clone(), item.hash);
        let bytes = match item.bytes.take() {
            Some(bytes) => {
                self.kept -= bytes.len();
                bytes
            }
            None => {
                match content::read_small(self.tree, &self.origin.path(&found.name), &found.stat) {
                    Ok(Some(bytes)) => bytes,
                    other => return self.abandon(id, other.err()),
                }
            }
        };
        let hash = hash.unwrap_or_else(|| *blake3::hash(&bytes).as_bytes());
        if self.pack.ids.is_empty() {
            // room for the count
            self.pack.payload.extend_from_slice(&[0, 0]);
        }
        put_packed(
            &mut self.pack.payload,
            &Packed {
                id,
                hash,
                bytes: &bytes,
            },
        );
        self.pack.ids.push(id);
        Ok(())
    }
}
