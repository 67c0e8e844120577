//! How far a deliver has come, on disk: two files, `NAME.cursor.a` and `NAME.cursor.b`, written in turns; the newest that is
//! whole counts, so that damage to one costs a little repetition and nothing else.
//!
//! Each is a few lines of text, always of the same length, the last of them the CRC-32 of those before it. It is written over in place: that is
//! one short write and sync, which hold up those of the records less than a new file and a rename would. `newest` is the newest segment there was: if it
//! is missing at the next start, its numbers are never given out again.

use std::{io::Read as _, path::Path};

use super::{reserve, segment};
use crate::{disk::Disk, error::Error};

/// More than any cursor file holds.
const LIMIT: u64 = 4096;

/// A place in a spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The spool's id.
    pub(crate) spool: u64,
    /// Counts the writings; the higher one is the newer.
    pub(crate) turn: u64,
    /// The first number that is not confirmed.
    pub(crate) next: u64,
    /// The first number of the newest segment there was.
    pub(crate) newest: u64,
}

/// What was found of a cursor's two files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The newest whole one.
    pub(crate) cursor: Option<Cursor>,
    /// Files that are there and damaged.
    pub(crate) damaged: Vec<String>,
}

impl Cursor {
    fn to_text(&self) -> String {
        let text = format!(
            "procctl cursor 1\nspool {:016x}\nturn {:020}\nnext {:020}\nnewest {:020}\n",
            self.spool, self.turn, self.next, self.newest
        );
        let sum = crc32fast::hash(text.as_bytes());
        format!("{text}crc {sum:08x}\n")
    }

    fn parse(bytes: &[u8]) -> Option<Cursor> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (lines, sum) = text.strip_suffix('\n')?.rsplit_once("crc ")?;
        if u32::from_str_radix(sum, 16).ok()? != crc32fast::hash(lines.as_bytes()) {
            return None;
        }
        let mut values = lines.lines().skip(1);
        let mut value = |name: &str| values.next()?.strip_prefix(name)?.strip_prefix(' ');
        Some(Cursor {
            spool: u64::from_str_radix(value("spool")?, 16).ok()?,
            turn: value("turn")?.parse().ok()?,
            next: value("next")?.parse().ok()?,
            newest: value("newest")?.parse().ok()?,
        })
    }

    /// Makes it durable, in the place of the older one of the two. A file that could not be written is not tried again: a new one takes its place,
    /// on a full disk in the room that was put aside.
    ///
    /// # Errors
    /// When the disk refuses; the other file is as it was.
    pub(crate) fn save(&self, disk: &dyn Disk, dir: &Path, name: &str) -> Result<(), Error> {
        let half = if self.turn.is_multiple_of(2) {
            "a"
        } else {
            "b"
        };
        let file = format!("{name}.cursor.{half}");
        let (path, text) = (dir.join(&file), self.to_text());
        if disk.look(&path)?.is_some() {
            match disk.overwrite(&path, text.as_bytes()) {
                Ok(()) => return Ok(()),
                Err(error) => log::warn!("{}; a new file takes its place", error.chain()),
            }
        }
        let put = || segment::put(disk, dir, &file, text.as_bytes());
        reserve::with_room(disk, dir, put).map(drop)
    }
}

/// Looks for the cursor of that name.
///
/// # Errors
/// When a file is there and cannot be read.
pub(crate) fn load(disk: &dyn Disk, dir: &Path, name: &str) -> Result<Kept, Error> {
    let mut kept = Kept::default();
    for half in ["a", "b"] {
        let path = dir.join(format!("{name}.cursor.{half}"));
        if disk.look(&path)?.is_none() {
            continue;
        }
        let mut bytes = Vec::new();
        let file = disk.open(&path)?;
        file.take(LIMIT)
            .read_to_end(&mut bytes)
            .map_err(Error::io("read", &path))?;
        match Cursor::parse(&bytes) {
            Some(cursor) if kept.cursor.as_ref().is_none_or(|c| c.turn < cursor.turn) => {
                kept.cursor = Some(cursor);
            }
            Some(_) => {}
            None => kept.damaged.push(path.display().to_string()),
        }
    }
    Ok(kept)
}

/// The file by which an operator asks that records be delivered again; it holds the number to begin with.
pub(crate) fn wish_file(name: &str) -> String {
    format!("{name}.replay")
}

/// The name in a cursor's file name.
pub(crate) fn name_of(file: &str) -> Option<&str> {
    file.strip_suffix(".cursor.a")
        .or_else(|| file.strip_suffix(".cursor.b"))
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::FakeDisk;

    fn cursor(turn: u64) -> Cursor {
        Cursor {
            spool: 0xabc,
            turn,
            next: turn * 10,
            newest: 7,
        }
    }

    #[test]
    fn damage_anywhere_shows_and_the_other_one_counts() {
        let (disk, dir) = (FakeDisk::new(), Path::new("/s"));
        disk.create_dirs(dir).unwrap();
        assert_eq!(load(&disk, dir, "x").unwrap(), Kept::default());
        for turn in 1..=5 {
            cursor(turn).save(&disk, dir, "x").unwrap();
            assert_eq!(load(&disk, dir, "x").unwrap().cursor, Some(cursor(turn)));
        }
        let newest = dir.join("x.cursor.b");
        let good = disk.files()[&newest].clone();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 4;
            disk.put(&newest, &bad);
            let kept = load(&disk, dir, "x").unwrap();
            assert_eq!(kept.cursor, Some(cursor(4)), "byte {at}");
            assert_eq!(kept.damaged.len(), 1);
            disk.put(&newest, &good[..at]);
            assert_eq!(load(&disk, dir, "x").unwrap().cursor, Some(cursor(4)));
        }
    }

    #[test]
    fn power_loss_at_any_operation_leaves_the_old_or_the_new() {
        for cut in 1.. {
            let (disk, dir) = (FakeDisk::new(), Path::new("/s"));
            disk.create_dirs(dir).unwrap();
            cursor(1).save(&disk, dir, "x").unwrap();
            cursor(2).save(&disk, dir, "x").unwrap();
            disk.power().cut_at(disk.power().spent() + cut);
            let saved = cursor(3).save(&disk, dir, "x");
            for seed in 0..40 {
                disk.reboot(seed);
                let turn = load(&disk, dir, "x").unwrap().cursor.unwrap().turn;
                assert!(turn == 3 || (turn == 2 && saved.is_err()), "{cut} {turn}");
            }
            if saved.is_ok() {
                return;
            }
        }
    }

    #[test]
    fn a_file_whose_sync_failed_is_replaced_and_an_older_shorter_one_written_over() {
        let (disk, dir) = (FakeDisk::new(), Path::new("/s"));
        disk.create_dirs(dir).unwrap();
        let short = "procctl cursor 1\nspool 0000000000000abc\nturn 1\nnext 10\nnewest 7\n";
        let sum = crc32fast::hash(short.as_bytes());
        disk.put(
            &dir.join("x.cursor.b"),
            format!("{short}crc {sum:08x}\n").as_bytes(),
        );
        assert_eq!(load(&disk, dir, "x").unwrap().cursor, Some(cursor(1)));
        for turn in 2..=4 {
            disk.fail_syncs(u64::from(turn == 3));
            cursor(turn).save(&disk, dir, "x").unwrap();
            disk.reboot(turn);
            let kept = load(&disk, dir, "x").unwrap();
            assert_eq!((kept.cursor, kept.damaged), (Some(cursor(turn)), vec![]));
        }
    }
}
