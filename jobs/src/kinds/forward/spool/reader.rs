//! Reads a spool's records in the order of their numbers, behind the writer, and never past what is durable.
//! What is damaged goes to the quarantine with its place, numbers without records are told, and it goes on.

use std::sync::Arc;

use super::{
    quarantine,
    record::{Head, NOTE},
    scan::{Item, Scan},
    shelf::{Place, Shelf, Where},
};
use crate::error::Error;

/// A place in a spool.
pub(crate) struct Reader {
    shelf: Arc<Shelf>,
    at: u64,
    open: Option<(Place, Scan)>,
    /// Whether damage is copied to the quarantine.
    keeps: bool,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<'a> {
    /// A record.
    Record(Head, &'a [u8]),
    /// There are no records with these numbers, begin to end (exclusive).
    Lost(u64, u64),
    /// Nothing that is durable.
    Nothing,
}

/// What to do with what a scan found.
enum Turn {
    Give(Head),
    Lost(u64),
    Again,
}

impl Reader {
    /// Begins at this number.
    pub(crate) fn new(shelf: Arc<Shelf>, at: u64) -> Reader {
        Reader {
            shelf,
            at,
            open: None,
            keeps: true,
        }
    }

    /// For looks from outside: damage is passed over and left where it is.
    pub(crate) fn looking(shelf: Arc<Shelf>, at: u64) -> Reader {
        Reader {
            keeps: false,
            ..Reader::new(shelf, at)
        }
    }

    /// The number that comes next.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// The next record.
    ///
    /// # Errors
    /// When a segment cannot be read, or what is damaged not be put aside.
    pub(crate) fn next(&mut self) -> Result<Next<'_>, Error> {
        let head = loop {
            if !self.seek()? {
                return match self.shelf.locate(self.at) {
                    Where::Before(base) => Ok(self.lost(base)),
                    _ => Ok(Next::Nothing),
                };
            }
            match self.turn()? {
                Turn::Give(head) => break head,
                Turn::Lost(to) => return Ok(self.lost(to)),
                Turn::Again => {}
            }
        };
        self.at = head.seq + 1;
        let (_, scan) = self.open.as_mut().expect("a record was just found in it");
        Ok(Next::Record(head, scan.give()))
    }

    fn lost(&mut self, to: u64) -> Next<'static> {
        let from = std::mem::replace(&mut self.at, to);
        Next::Lost(from, to)
    }

    /// Sees to it that the segment is open that holds the next number; `false` when there is none.
    fn seek(&mut self) -> Result<bool, Error> {
        if let Some((place, _)) = &self.open
            && (place.base..place.end).contains(&self.at)
        {
            return Ok(true);
        }
        let Where::Here(place) = self.shelf.locate(self.at) else {
            return Ok(false);
        };
        match &mut self.open {
            Some((old, _)) if old.base == place.base => *old = place,
            _ => {
                let disk = Arc::clone(&self.shelf.disk);
                let scan = Scan::open(disk, place.path.clone(), place.length)?;
                self.open = Some((place, scan));
            }
        }
        Ok(true)
    }

    fn turn(&mut self) -> Result<Turn, Error> {
        let Some((place, scan)) = &mut self.open else {
            return Ok(Turn::Again);
        };
        match scan.peek(&self.shelf.seal, place.length)? {
            Item::Record(head) if head.session == NOTE || head.seq < self.at => {
                scan.pass();
                Ok(Turn::Again)
            }
            Item::Record(head) if head.seq == self.at => Ok(Turn::Give(head)),
            Item::Record(head) => Ok(Turn::Lost(head.seq.min(place.end))),
            Item::Damage(offset, bytes) => {
                log::error!(
                    "{}: {} bytes from {offset} on are no record{}",
                    place.path.display(),
                    bytes.len(),
                    if self.keeps {
                        "; they are put into the quarantine"
                    } else {
                        ""
                    }
                );
                if self.keeps {
                    quarantine::keep(&self.shelf, place.base, offset, &bytes)?;
                }
                Ok(Turn::Again)
            }
            Item::End => Ok(Turn::Lost(place.end)),
        }
    }
}
