//! What a spool takes on the disk beside its segments: room put aside, cursors, dead letters, the quarantine.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use super::{segment, shelf::Shelf};
use crate::{disk::Disk, error::Error};

/// How often it is counted; and it may take this part of the time at most.
const AGAIN: Duration = Duration::from_secs(10);
const PART: u32 = 100;
/// Folders inside each other below the spool's own: `dead/NAME`.
const DEEPEST: u32 = 2;

/// The bytes, as they were counted last.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    bytes: u64,
    /// When they are counted again; at once where there is no time.
    due: Option<Instant>,
}

impl Beside {
    /// So many, as of some seconds ago.
    pub(crate) fn bytes(&mut self, shelf: &Shelf) -> u64 {
        let begun = Instant::now();
        if self.due.is_none_or(|due| due <= begun) {
            match count(&*shelf.disk, &shelf.dir, 0) {
                Ok(bytes) => self.bytes = bytes,
                Err(error) => log::warn!("the spool's size: {}", error.chain()),
            }
            self.due = Some(Instant::now() + AGAIN.max(begun.elapsed() * PART));
        }
        self.bytes
    }
}

fn count(disk: &dyn Disk, dir: &Path, depth: u32) -> Result<u64, Error> {
    let mut bytes = 0;
    for entry in disk.list(dir)? {
        if entry.meta.folder {
            if depth < DEEPEST && !entry.meta.link {
                bytes += count(disk, &entry.path, depth + 1)?;
            }
        } else if depth > 0 || segment::base_of(&entry.name()).is_none() {
            bytes += entry.meta.length;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn all_but_the_segments_is_counted() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path();
        std::fs::create_dir_all(dir.join("dead/main")).unwrap();
        std::fs::create_dir_all(dir.join("quarantine")).unwrap();
        let segment = segment::path(Path::new(""), 7);
        for (name, bytes) in [
            (segment.clone(), 1),
            ("reserve".into(), 10),
            ("main.cursor.a".into(), 100),
            (Path::new("dead/main").join(&segment), 1_000),
            ("quarantine/7-48.bad".into(), 10_000),
        ] {
            std::fs::write(dir.join(name), vec![0; bytes]).unwrap();
        }
        assert_eq!(count(&RealDisk, dir, 0).unwrap(), 11_110);
    }
}
