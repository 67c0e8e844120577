//! Goes through one segment file from its first record on, record by record, and finds its way behind damage.
//! Memory: one record, and what was read ahead.

use std::{
    io::{self, Read},
    path::PathBuf,
    sync::Arc,
};

use super::{
    record::{Found, HEADER, Head, Seal, next_mark},
    segment::{START, Start},
};
use crate::{disk::Disk, error::Error};

/// How much is read at once.
const AHEAD: usize = 256 << 10;
/// Damage is handed out in pieces of at most this.
const PIECE: usize = 1 << 20;

/// What comes next in a segment.
#[derive(Debug)]
pub(crate) enum Item {
    /// A record; [`Scan::body`] lends its body, [`Scan::pass`] goes on behind it.
    Record(Head),
    /// These bytes, from this offset on, are no record. Zeros at the end of the file are its end.
    Damage(u64, Vec<u8>),
    /// Nothing more.
    End,
}

/// A place in a segment file.
pub(crate) struct Scan {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Box<dyn Read + Send>,
    /// What was read; up to `start` it is done with.
    buffer: Vec<u8>,
    start: usize,
    /// Where `start` is in the file.
    offset: u64,
    /// Bytes of the record that was last found.
    whole: usize,
    /// What the segment says of itself; `None` when that is damaged.
    pub(super) first: Option<Start>,
}

impl Scan {
    /// Opens a segment of which so many bytes may be read.
    ///
    /// # Errors
    /// When it cannot be read. Damage is no error.
    pub(crate) fn open(disk: Arc<dyn Disk>, path: PathBuf, length: u64) -> Result<Scan, Error> {
        let file = disk.open(&path)?;
        let mut scan = Scan {
            disk,
            path,
            file,
            buffer: Vec::new(),
            start: 0,
            offset: 0,
            whole: 0,
            first: None,
        };
        if scan.fill(START, length)? {
            scan.first = Start::read(&scan.buffer);
            scan.advance(START);
        }
        Ok(scan)
    }

    /// Whether the segment's first bytes are whole.
    pub(crate) fn is_begun_well(&self) -> bool {
        self.first.is_some()
    }

    /// Where it is in the file.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The body of the record that was found last.
    pub(crate) fn body(&self) -> &[u8] {
        &self.buffer[self.start + HEADER..self.start + self.whole]
    }

    /// The record that was found last, as it stands in the file.
    pub(super) fn raw(&self) -> &[u8] {
        &self.buffer[self.start..self.start + self.whole]
    }

    /// Lends the body of the record that was found last, and goes on behind it.
    pub(super) fn give(&mut self) -> &[u8] {
        let (from, to) = (self.start + HEADER, self.start + self.whole);
        self.pass();
        &self.buffer[from..to]
    }

    /// Goes on behind the record that was found last.
    pub(crate) fn pass(&mut self) {
        let whole = std::mem::take(&mut self.whole);
        self.advance(whole);
    }

    /// Looks at what comes next, of a file of which so many bytes may be read.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn peek(&mut self, seal: &Seal, length: u64) -> Result<Item, Error> {
        if self.offset >= length {
            return Ok(Item::End);
        }
        match self.try_at(0, seal, length)? {
            Some(head) => Ok(Item::Record(head)),
            None => self.skip(seal, length),
        }
    }

    /// The record that begins so many bytes on, if one does.
    fn try_at(&mut self, ahead: usize, seal: &Seal, length: u64) -> Result<Option<Head>, Error> {
        loop {
            let from = (self.start + ahead).min(self.buffer.len());
            match seal.read(&self.buffer[from..]) {
                Found::Record(head, whole) => {
                    if ahead == 0 {
                        self.whole = whole;
                    }
                    return Ok(Some(head));
                }
                Found::Short(need) => {
                    if !self.fill(ahead + need, length)? {
                        return Ok(None);
                    }
                }
                Found::Bad => return Ok(None),
            }
        }
    }

    /// Passes over what is no record, up to the next one, a piece at a time.
    fn skip(&mut self, seal: &Seal, length: u64) -> Result<Item, Error> {
        let offset = self.offset;
        let mut ahead = 1;
        loop {
            let held = self.buffer.len() - self.start;
            match next_mark(&self.buffer[self.start..], ahead) {
                _ if ahead >= PIECE && held >= ahead => break,
                Some(at) if self.try_at(at, seal, length)?.is_some() => {
                    ahead = at;
                    break;
                }
                Some(at) => ahead = at + 1,
                None => {
                    ahead = held.max(1);
                    if !self.fill(ahead + 1, length)? {
                        ahead = self.buffer.len() - self.start;
                        break;
                    }
                }
            }
        }
        let mut bytes = self.buffer[self.start..self.start + ahead].to_vec();
        self.advance(ahead);
        if bytes.is_empty() {
            // the file is shorter than it was
            self.offset = length;
        }
        if bytes.last() == Some(&0) && self.is_blank(length)? {
            // room that was laid out behind the last record
            self.offset = length;
            let end = bytes.iter().rposition(|byte| *byte != 0);
            bytes.truncate(end.map_or(0, |last| last + 1));
        }
        match bytes.is_empty() {
            true => Ok(Item::End),
            false => Ok(Item::Damage(offset, bytes)),
        }
    }

    /// Whether there is nothing but zeros from here on.
    fn is_blank(&self, length: u64) -> Result<bool, Error> {
        let mut left = length.saturating_sub(self.offset);
        if left == 0 {
            return Ok(true);
        }
        let fail = || Error::io("read", &self.path);
        let mut file = self.disk.open(&self.path)?;
        io::copy(&mut (&mut file).take(self.offset), &mut io::sink()).map_err(fail())?;
        let mut bytes = vec![0; AHEAD];
        while left > 0 {
            let want = AHEAD.min(usize::try_from(left).unwrap_or(AHEAD));
            let read = file.read(&mut bytes[..want]).map_err(fail())?;
            if read == 0 || bytes[..read].iter().any(|byte| *byte != 0) {
                return Ok(read == 0);
            }
            left -= read as u64;
        }
        Ok(true)
    }

    fn advance(&mut self, bytes: usize) {
        self.start += bytes;
        self.offset += bytes as u64;
    }

    /// Reads until `need` bytes are held from `start` on; `false` when the file has not so many.
    fn fill(&mut self, need: usize, length: u64) -> Result<bool, Error> {
        if self.offset + need as u64 > length {
            // what there is may still be wanted
            let rest = usize::try_from(length.saturating_sub(self.offset)).unwrap_or(usize::MAX);
            if rest < need {
                self.read_up_to(rest, length)?;
                return Ok(false);
            }
        }
        self.read_up_to(need, length)?;
        Ok(self.buffer.len() - self.start >= need)
    }

    fn read_up_to(&mut self, need: usize, length: u64) -> Result<(), Error> {
        let mut reopened = false;
        while self.buffer.len() - self.start < need {
            if self.start > 0 {
                self.buffer.drain(..self.start);
                self.start = 0;
            }
            let end = self.offset + self.buffer.len() as u64;
            let left = length.saturating_sub(end);
            let want = (need - self.buffer.len()).max(AHEAD) as u64;
            let read = (&mut self.file)
                .take(want.min(left))
                .read_to_end(&mut self.buffer)
                .map_err(Error::io("read", &self.path))?;
            if read == 0 && (left == 0 || reopened) {
                return Ok(());
            }
            if read == 0 {
                // it may have grown behind this handle's back
                self.file = self.disk.open(&self.path)?;
                io::copy(&mut (&mut self.file).take(end), &mut io::sink())
                    .map_err(Error::io("read", &self.path))?;
                reopened = true;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::segment;
    use super::*;
    use crate::disk::FakeDisk;

    const SEAL: u64 = 9;

    fn image(bodies: &[&[u8]]) -> Vec<u8> {
        let start = Start {
            id: SEAL,
            base: 1,
            made: 0,
        };
        let mut bytes = start.to_bytes().to_vec();
        for (seq, body) in (1..).zip(bodies) {
            let head = Head {
                seq,
                ..Head::default()
            };
            Seal::new(SEAL).append(&mut bytes, head, body);
        }
        bytes
    }

    /// Numbers of the records found, and the bytes of damage.
    fn walk(bytes: &[u8]) -> (Vec<u64>, Vec<u8>) {
        let (disk, path) = (FakeDisk::new(), segment::path(Path::new("/s"), 1));
        disk.put(&path, bytes);
        let length = bytes.len() as u64;
        let mut scan = Scan::open(Arc::new(disk), path, length).unwrap();
        let (mut found, mut bad) = (vec![], vec![]);
        loop {
            match scan.peek(&Seal::new(SEAL), length).unwrap() {
                Item::Record(head) => {
                    found.push(head.seq);
                    scan.pass();
                }
                Item::Damage(_, bytes) => bad.extend(bytes),
                Item::End => return (found, bad),
            }
        }
    }

    #[test]
    fn every_flipped_byte_costs_the_record_it_hits_and_no_other() {
        let good = image(&[b"first", b"", b"third record", &[0xC7; 300], b"last"]);
        let (all, none) = walk(&good);
        assert_eq!((all, none.len()), (vec![1, 2, 3, 4, 5], 0));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x55;
            let (found, damage) = walk(&bad);
            let lost = usize::from(at >= START);
            assert_eq!(found.len(), 5 - lost, "byte {at}: {found:?}");
            assert_eq!(damage.is_empty(), lost == 0);
        }
    }

    #[test]
    fn a_tail_torn_anywhere_leaves_the_records_before_it() {
        let good = image(&[b"first", b"second"]);
        let before = image(&[b"first"]).len();
        for cut in before..good.len() {
            let (found, damage) = walk(&good[..cut]);
            assert_eq!(found, [1], "cut at {cut}");
            let whole = good[before..cut].to_vec();
            assert!(whole.starts_with(&damage) && damage.is_empty() == whole.is_empty());
            assert!(whole[damage.len()..].iter().all(|byte| *byte == 0));
        }
        for cut in 0..START {
            assert_eq!(walk(&good[..cut]).0, [0; 0]);
        }
    }

    #[test]
    fn zeros_at_the_end_are_the_end_and_those_before_records_are_damage() {
        let good = image(&[b"first", b"second"]);
        let before = image(&[b"first"]).len();
        for room in [1, 511, AHEAD, PIECE - 1, PIECE, 3 * PIECE + 5] {
            let laid = [&good[..], &vec![0; room]].concat();
            assert_eq!(walk(&laid), (vec![1, 2], vec![]), "{room}");
            let torn = [&good[..good.len() - 2], &vec![0; room]].concat();
            assert_eq!(walk(&torn).0, [1]);
            assert_eq!(walk(&torn).1, good[before..good.len() - 2]);
        }
        let late = [&good[..before], &vec![0; 3 * PIECE], &good[before..]].concat();
        assert_eq!(walk(&late), (vec![1, 2], vec![0; 3 * PIECE]));
        let holed = [&good[..before], &[0; 700], &good[before..]].concat();
        assert_eq!(walk(&holed), (vec![1, 2], vec![0; 700]));
    }

    #[test]
    fn damage_of_megabytes_is_passed_in_pieces() {
        let mut bytes = image(&[b"first"]);
        let rest = image(&[b"first", b"second"]).split_off(bytes.len());
        let rubbish = vec![0xC7; 3 * PIECE + 17];
        bytes.extend(&rubbish);
        bytes.extend(rest);
        let (found, damage) = walk(&bytes);
        assert_eq!(found, [1, 2]);
        assert_eq!(damage.len(), rubbish.len());
    }
}
