//! Opens a spool after any end of the process or the machine.
//!
//! Only the newest segment is read, however long the backlog is. What is whole of it is copied to a new file, synced and put in its
//! place: nothing is trusted of which nobody knows whether it was synced. A torn tail is cut and damage goes to the quarantine, and both are
//! said. Where bytes were cut, or the newest segment is missing, the numbers that may have been given out are never used again, since
//! the centre tells doubles by them.

use std::{io::BufWriter, io::Write as _, path::Path, sync::Arc};

use super::{
    cursor, quarantine,
    record::{HEADER, Head, NOTE, Seal},
    reserve,
    scan::{Item, Scan},
    segment::{self, START, Start},
    sessions::{Sessions, append_note},
    shelf::{Segment, Shelf},
    store::{Active, Store},
    torn,
};
use crate::{
    disk::{Disk, Entry, Written},
    error::Error,
};

/// More numbers than any segment holds.
const LEAP: u64 = (1 << 30) / (HEADER as u64) + 1;

/// What lies in the folder.
#[derive(Default)]
struct Found {
    segments: Vec<Entry>,
    /// The highest of all cursors, and the newest segment that any of them knew.
    next: u64,
    newest: u64,
    /// Ids that whole cursors name.
    id: Option<u64>,
}

/// What is known of the newest segment.
#[derive(Default)]
struct Newest {
    sessions: Sessions,
    /// The number after its last record.
    next: u64,
    /// Bytes that are no record, and bytes that are.
    damaged: u64,
    length: u64,
    /// Where the last of them ends.
    end: u64,
    filled: bool,
}

/// Opens the spool in a folder, which is made if need be, with segments of about so many bytes.
///
/// # Errors
/// When the disk refuses. Damage is no error.
pub(crate) fn open(disk: &Arc<dyn Disk>, dir: &Path, segment: u64) -> Result<Store, Error> {
    disk.create_dirs(dir)?;
    for entry in disk.list(dir)? {
        if segment::is_draft(&entry.name()) {
            disk.remove(&entry.path)?;
        }
    }
    reserve::keep(&**disk, dir, segment);
    let found = look(disk, dir)?;
    let seal = Seal::new(identify(disk, &found)?);
    let base = base_of(found.segments.last());
    let mut next = found.next.max(base).max(1);
    let mut newest = Newest::default();
    let mut active = None;
    if let Some(mut entry) = found.segments.last().cloned() {
        let cut = torn::cut(disk, dir, &entry, base, &seal)?;
        if let Some(cut) = &cut {
            entry.meta.length = cut.start;
        }
        let entry = &entry;
        newest = read_newest(disk, dir, entry, &seal)?;
        newest.damaged += cut.map_or(0, |cut| cut.end - cut.start);
        next = next.max(newest.next);
        if newest.damaged > 0 {
            next = next.max(newest.next) + newest.damaged / (HEADER as u64) + 1;
            read_older(disk, &found.segments, &seal, &mut newest.sessions)?;
        }
        let nameless = newest.sessions.drop_nameless();
        if nameless > 0 {
            log::error!(
                "{}: the last numbers of {nameless} sessions are lost: what their senders repeat is taken for new",
                dir.display()
            );
        }
        if newest.filled || newest.damaged > 0 {
            active = rewrite(disk, dir, entry, &seal, &mut newest, next)?;
        }
    }
    let missing = found.newest > base;
    if missing {
        next = next.max(found.newest + LEAP);
        log::error!(
            "{}: the newest segment, {}, is missing: what was in it is lost; the next record gets the number {next}",
            dir.display(),
            segment::path(dir, found.newest).display()
        );
    }
    let mut segments = found.shelved();
    if let Some(last) = segments.last_mut() {
        last.length = newest.length;
    }
    let shelf = Shelf::new(Arc::clone(disk), dir.to_owned(), seal, segments, next);
    let mut store = Store::new(Arc::new(shelf), newest.sessions, active, next, segment);
    if missing {
        // what the cursors know of the missing one is soon written over
        store.active = None;
        store.roll()?;
    }
    Ok(store)
}

/// Looks at a spool from outside: changes nothing, says nothing.
///
/// # Errors
/// When it cannot be read, or is none.
pub(crate) fn look_at(disk: &Arc<dyn Disk>, dir: &Path) -> Result<(Arc<Shelf>, Sessions), Error> {
    let found = look(disk, dir)?;
    // one that no record has come to yet has cursors alone
    if found.segments.is_empty() && found.id.is_none() {
        let dir = dir.display();
        return Err(Error::Usage(format!("there is no spool in {dir}")));
    }
    let seal = Seal::new(identify(disk, &found)?);
    let mut newest = Newest::default();
    let last = found.segments.last();
    if let Some(entry) = last {
        let mut scan = Scan::open(Arc::clone(disk), entry.path.clone(), entry.meta.length)?;
        walk(&mut scan, &seal, entry, &mut newest, |_, _| Ok(()))?;
    }
    let next = match last {
        Some(_) => newest.next.max(base_of(last)),
        None => found.next.max(1),
    };
    let mut segments = found.shelved();
    let mut laid = 0;
    if let Some(last) = segments.last_mut() {
        laid = std::mem::replace(&mut last.length, newest.end);
    }
    let shelf = Shelf::new(Arc::clone(disk), dir.to_owned(), seal, segments, next);
    shelf.lay(laid);
    Ok((Arc::new(shelf), newest.sessions))
}

impl Found {
    fn shelved(&self) -> Vec<Segment> {
        let segment = |entry: &Entry| Segment {
            base: base_of(Some(entry)),
            length: entry.meta.length,
            written: entry.meta.modified,
        };
        self.segments.iter().map(segment).collect()
    }
}

fn base_of(entry: Option<&Entry>) -> u64 {
    entry
        .and_then(|entry| segment::base_of(&entry.name()))
        .unwrap_or(0)
}

fn look(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Found, Error> {
    let mut found = Found::default();
    let mut turn = 0;
    for entry in disk.list(dir)? {
        let name = entry.name();
        if segment::base_of(&name).is_some() {
            found.segments.push(entry);
        } else if let Some(name) = cursor::name_of(&name)
            && let Some(cursor) = cursor::load(&**disk, dir, name)?.cursor
        {
            found.next = found.next.max(cursor.next);
            found.newest = found.newest.max(cursor.newest);
            if cursor.turn >= turn {
                (turn, found.id) = (cursor.turn, Some(cursor.spool));
            }
        }
    }
    Ok(found)
}

/// The spool's id, of its newest segment whose beginning is whole, else of a cursor, else a new one.
fn identify(disk: &Arc<dyn Disk>, found: &Found) -> Result<u64, Error> {
    for entry in found.segments.iter().rev() {
        let scan = Scan::open(Arc::clone(disk), entry.path.clone(), entry.meta.length)?;
        if let Some(start) = scan.first {
            return Ok(start.id);
        }
        log::error!("{}: the beginning is damaged", entry.path.display());
    }
    Ok(found.id.unwrap_or_else(random_id))
}

/// A random number; 0 means none.
fn random_id() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(std::process::id()).max(1)
}

/// Goes through a segment; hands on each whole record and each piece of damage.
fn walk(
    scan: &mut Scan,
    seal: &Seal,
    entry: &Entry,
    newest: &mut Newest,
    mut each: impl FnMut(&Scan, Piece<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let base = base_of(Some(entry));
    newest.next = base;
    loop {
        match scan.peek(seal, entry.meta.length)? {
            Item::End => return Ok(()),
            Item::Damage(offset, bytes) => {
                newest.damaged += bytes.len() as u64;
                newest.end = offset + bytes.len() as u64;
                each(scan, Piece::Damage(offset, &bytes))?;
            }
            Item::Record(head) => {
                if head.session == NOTE {
                    newest.next = newest.next.max(head.seq);
                } else if head.seq >= newest.next {
                    // what is out of its order is no record of this place
                    newest.next = head.seq + 1;
                    newest.filled = true;
                }
                if !newest.sessions.read(&head, scan.body()) {
                    log::error!("{}: a note makes no sense", entry.path.display());
                }
                each(scan, Piece::Record(head))?;
                scan.pass();
                newest.end = scan.offset();
            }
        }
    }
}

enum Piece<'a> {
    Record(Head),
    Damage(u64, &'a [u8]),
}

fn read_newest(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    entry: &Entry,
    seal: &Seal,
) -> Result<Newest, Error> {
    let mut newest = Newest {
        length: entry.meta.length,
        ..Newest::default()
    };
    let mut scan = Scan::open(Arc::clone(disk), entry.path.clone(), entry.meta.length)?;
    if scan.first.is_none() {
        newest.damaged += START as u64;
    }
    let mut last = 0;
    let mut places = Vec::new();
    walk(&mut scan, seal, entry, &mut newest, |scan, piece| {
        match piece {
            Piece::Record(_) => last = scan.offset(),
            Piece::Damage(offset, bytes) => {
                places.push((offset, bytes.len()));
                quarantine::keep_in(&**disk, dir, base_of(Some(entry)), offset, bytes)?;
            }
        }
        Ok(())
    })?;
    for (offset, bytes) in places {
        let what = if offset > last {
            "the tail was torn and is cut"
        } else {
            "a record is damaged and left out"
        };
        log::warn!(
            "{}: {what}: {bytes} bytes from {offset} on; they are kept in the quarantine",
            entry.path.display()
        );
    }
    Ok(newest)
}

/// Sessions whose notes may have been damaged in the newest segment, from the older ones.
fn read_older(
    disk: &Arc<dyn Disk>,
    segments: &[Entry],
    seal: &Seal,
    sessions: &mut Sessions,
) -> Result<(), Error> {
    for entry in segments.iter().rev().skip(1) {
        let mut older = Newest::default();
        let mut scan = Scan::open(Arc::clone(disk), entry.path.clone(), entry.meta.length)?;
        walk(&mut scan, seal, entry, &mut older, |_, _| Ok(()))?;
        sessions.merge(older.sessions);
    }
    Ok(())
}

/// Copies what is whole of the newest segment to a new file in its place, which can be written on. On a full disk it
/// is synced where it is, and the next record begins a new segment.
fn rewrite(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    entry: &Entry,
    seal: &Seal,
    newest: &mut Newest,
    next: u64,
) -> Result<Option<Active>, Error> {
    match copy(disk, dir, entry, seal, newest, next) {
        Ok((file, length)) => {
            newest.length = length;
            Ok(Some(Active {
                file,
                written: length,
                synced: length,
                filled: newest.filled,
                closed: false,
                room: 0,
            }))
        }
        Err(error) if segment::is_full(&error) => {
            log::warn!("{}; the segment stays as it is", error.chain());
            disk.remove(&segment::draft(dir, &entry.name()))?;
            disk.sync_file(&entry.path)?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn copy(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    entry: &Entry,
    seal: &Seal,
    newest: &Newest,
    following: u64,
) -> Result<(Box<dyn Written>, u64), Error> {
    let base = base_of(Some(entry));
    let mut scan = Scan::open(Arc::clone(disk), entry.path.clone(), entry.meta.length)?;
    let mut first = scan
        .first
        .map_or_else(Vec::new, |start| start.to_bytes().to_vec());
    if first.is_empty() {
        let start = Start {
            id: seal.id(),
            base,
            made: 0,
        };
        first = start.to_bytes().to_vec();
    }
    newest.sessions.append_all(&mut first, seal, base, 0);
    let draft = segment::draft(dir, &entry.name());
    let fail = || Error::io("write", draft.clone());
    let mut file = BufWriter::with_capacity(1 << 20, disk.create(&draft)?);
    file.write_all(&first).map_err(fail())?;
    let mut length = first.len() as u64;
    let mut next = base;
    let mut ignored = Newest::default();
    walk(&mut scan, seal, entry, &mut ignored, |scan, piece| {
        let Piece::Record(head) = piece else {
            return Ok(());
        };
        if head.session == NOTE || head.seq < next {
            return Ok(());
        }
        next = head.seq + 1;
        length += scan.raw().len() as u64;
        file.write_all(scan.raw()).map_err(fail())
    })?;
    if following > newest.next {
        // numbers that are left out are left out for good
        let mut last = Vec::new();
        append_note(&mut last, seal, following, 0, &[]);
        length += last.len() as u64;
        file.write_all(&last).map_err(fail())?;
    }
    let mut file = file
        .into_inner()
        .map_err(|error| fail()(error.into_error()))?;
    file.sync().map_err(fail())?;
    disk.rename(&draft, &entry.path)?;
    disk.sync_dir(dir)?;
    Ok((file, length))
}
