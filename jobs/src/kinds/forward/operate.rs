//! What operators see of a spool and do to it, `jobs spool …`, whether its job runs or not. Looks change nothing; the one change
//! is a wish that the job takes up: records from a number on are delivered again.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use jobfile::JobFile;

use super::{
    deliver::dead,
    params::Params,
    spool::{Head, Item, Next, Reader, Scan, Shelf, cursor, look_at, put_file, quarantine},
};
use crate::{
    disk::{Disk, RealDisk},
    error::Error,
    home,
    job::{Bytes, Count},
};

/// A spool, looked at from outside.
pub(crate) struct Spool {
    disk: Arc<dyn Disk>,
    shelf: Arc<Shelf>,
    sessions: usize,
}

/// Which records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// The first number; `None` = the oldest there is.
    pub(crate) from: Option<u64>,
    /// The last number; `None` = the newest there is.
    pub(crate) to: Option<u64>,
}

impl Spool {
    /// Opens the spool of a job file, or in a folder.
    ///
    /// # Errors
    /// [`Error::Usage`] when there is none.
    pub(crate) fn open(home: Option<&Path>, what: &Path) -> Result<Spool, Error> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let dir = folder(home, what)?;
        let there = disk.look(&dir)?.is_some_and(|meta| meta.folder);
        if !there {
            return Err(Error::Usage(format!(
                "there is no spool in {}",
                dir.display()
            )));
        }
        let (shelf, sessions) = look_at(&disk, &dir)?;
        Ok(Spool {
            disk,
            shelf,
            sessions: sessions.0.len(),
        })
    }

    /// Names of all delivers that have a cursor.
    fn delivers(&self) -> Result<BTreeSet<String>, Error> {
        let entries = self.disk.list(&self.shelf.dir)?;
        let names = entries.iter().filter_map(|entry| {
            let name = entry.name();
            cursor::name_of(&name).map(str::to_owned)
        });
        Ok(names.collect())
    }

    /// Tells of segments, delivers, backlog and age, and what was put aside.
    ///
    /// # Errors
    /// When something cannot be read.
    pub(crate) fn show(&self, out: &mut dyn Write) -> Result<(), Error> {
        let shelf = &self.shelf;
        let segments = shelf.segments();
        let told = writeln!(
            out,
            "spool {:016x} in {}\n{} in {}, {}; {}",
            shelf.seal.id(),
            shelf.dir.display(),
            shelf.told(),
            Count(segments.len() as u64, "segment"),
            Bytes(shelf.bytes()),
            Count(self.sessions as u64, "session"),
        );
        told.map_err(Error::io("write", "standard output"))?;
        for name in self.delivers()? {
            let line = self.show_deliver(&name)?;
            writeln!(out, "{line}").map_err(Error::io("write", "standard output"))?;
        }
        let (aside, bytes) = self.sum_of(&shelf.dir.join(quarantine::FOLDER))?;
        if aside > 0 {
            let text = Count(aside, "piece");
            writeln!(out, "quarantine: {text} of damage, {}", Bytes(bytes))
                .map_err(Error::io("write", "standard output"))?;
        }
        Ok(())
    }

    fn show_deliver(&self, name: &str) -> Result<String, Error> {
        let kept = cursor::load(&*self.disk, &self.shelf.dir, name)?;
        let damaged = match kept.damaged.len() {
            0 => String::new(),
            n => format!("; {} damaged", Count(n as u64, "cursor file")),
        };
        let Some(cursor) = kept.cursor else {
            return Ok(format!("{name}: no whole cursor{damaged}"));
        };
        let backlog = self.shelf.durable().saturating_sub(cursor.next);
        let mut line = format!("{name}: next {}, backlog {backlog}", cursor.next);
        if backlog > 0 {
            let mut reader = Reader::looking(Arc::clone(&self.shelf), cursor.next);
            let age = match reader.next()? {
                Next::Record(head, _) => age(&head),
                Next::Lost(..) | Next::Nothing => 0,
            };
            let bytes = Bytes(self.shelf.bytes_from(cursor.next));
            line = format!("{line} ({bytes}, oldest {age} s)");
        }
        let (letters, bytes) = self.sum_of(&dead::folder(&self.shelf.dir, name))?;
        if letters > 0 {
            line = format!(
                "{line}; {} of dead letters, {}",
                Count(letters, "file"),
                Bytes(bytes)
            );
        }
        Ok(line + &damaged)
    }

    fn sum_of(&self, dir: &Path) -> Result<(u64, u64), Error> {
        let files = self.files(dir)?;
        Ok((
            files.len() as u64,
            files.iter().map(|(_, bytes)| bytes).sum(),
        ))
    }

    fn files(&self, dir: &Path) -> Result<Vec<(PathBuf, u64)>, Error> {
        if self.disk.look(dir)?.is_none() {
            return Ok(Vec::new());
        }
        let entries = self.disk.list(dir)?;
        let seen = entries
            .into_iter()
            .filter(|entry| !entry.name().starts_with('.'));
        Ok(seen.map(|entry| (entry.path, entry.meta.length)).collect())
    }

    /// Prints records, each with a line end; with `heads` also number, time, session and sender's number before each.
    ///
    /// # Errors
    /// When something cannot be read or written.
    pub(crate) fn print(&self, out: &mut dyn Write, span: Span, heads: bool) -> Result<(), Error> {
        let from = span.from.unwrap_or(0).max(self.shelf.oldest());
        let mut reader = Reader::looking(Arc::clone(&self.shelf), from);
        loop {
            match reader.next()? {
                Next::Record(head, _) if span.to.is_some_and(|to| head.seq > to) => return Ok(()),
                Next::Record(head, body) => put(out, &head, body, heads)?,
                Next::Lost(from, to) => {
                    log::warn!("there are no records with the numbers {from} to {}", to - 1);
                }
                Next::Nothing => return Ok(()),
            }
        }
    }

    /// Prints the dead letters of a deliver, in the order in which they were given up.
    ///
    /// # Errors
    /// As [`Spool::print`].
    pub(crate) fn print_dead(
        &self,
        out: &mut dyn Write,
        name: &str,
        span: Span,
        heads: bool,
    ) -> Result<(), Error> {
        for (path, length) in self.files(&dead::folder(&self.shelf.dir, name))? {
            let mut scan = Scan::open(Arc::clone(&self.disk), path, length)?;
            loop {
                match scan.peek(&self.shelf.seal, length)? {
                    Item::Record(head) => {
                        let wanted = span.from.is_none_or(|from| head.seq >= from)
                            && span.to.is_none_or(|to| head.seq <= to);
                        if wanted {
                            put(out, &head, scan.body(), heads)?;
                        }
                        scan.pass();
                    }
                    Item::Damage(..) => {}
                    Item::End => break,
                }
            }
        }
        Ok(())
    }

    /// Reads everything there is and tells what is damaged or missing; gives how many places that is. What a segment holds
    /// behind the numbers that belong to it was never acknowledged, and is no flaw.
    ///
    /// # Errors
    /// When something cannot be read.
    pub(crate) fn verify(&self, out: &mut dyn Write) -> Result<u64, Error> {
        let mut sum = Sum::default();
        let segments = self.shelf.segments();
        for (at, segment) in segments.iter().enumerate() {
            let end = segments.get(at + 1).map_or(u64::MAX, |next| next.base);
            sum.expected = segment.base;
            let path = self.shelf.path_of(segment.base);
            let mut scan = Scan::open(Arc::clone(&self.disk), path.clone(), segment.length)?;
            if !scan.is_begun_well() {
                sum.tell(out, format!("{}: the beginning is damaged", path.display()))?;
            }
            while sum.expected < end {
                match scan.peek(&self.shelf.seal, segment.length)? {
                    Item::Record(head) => {
                        if !head.is_note() && head.seq < end {
                            sum.record(out, head.seq, scan.body().len() as u64)?;
                        }
                        scan.pass();
                    }
                    Item::Damage(offset, bytes) => {
                        let (path, count) = (path.display(), bytes.len());
                        let text = format!("{path}: {count} bytes from {offset} on are no record");
                        sum.tell(out, text)?;
                    }
                    Item::End => break,
                }
            }
            if end != u64::MAX {
                sum.missing(out, end)?;
            }
        }
        let (records, bytes) = (Count(sum.records, "record"), Bytes(sum.bytes));
        writeln!(out, "{records} whole, {bytes}").map_err(Error::io("write", "standard output"))?;
        Ok(sum.flaws)
    }

    /// Asks that a deliver sends everything from this number on again; gives the line that says so.
    ///
    /// # Errors
    /// [`Error::Usage`] when there is no such deliver, or nothing to send again.
    pub(crate) fn replay(&self, from: u64, deliver: Option<&str>) -> Result<String, Error> {
        let names = self.delivers()?;
        let name = match deliver {
            Some(name) if names.contains(name) => name.to_owned(),
            Some(name) => {
                let known: Vec<&str> = names.iter().map(String::as_str).collect();
                let known = known.join(", ");
                return Err(Error::Usage(format!(
                    "there is no deliver {name} here; there is {known}"
                )));
            }
            None => match names.len() {
                1 => names.into_iter().next().unwrap_or_default(),
                0 => {
                    return Err(Error::Usage(
                        "nothing was delivered from here yet".to_owned(),
                    ));
                }
                _ => {
                    let known: Vec<&str> = names.iter().map(String::as_str).collect();
                    let known = known.join(", ");
                    return Err(Error::Usage(format!(
                        "there are several delivers: say which by --deliver ({known})"
                    )));
                }
            },
        };
        let kept = cursor::load(&*self.disk, &self.shelf.dir, &name)?;
        if let Some(cursor) = kept.cursor
            && from >= cursor.next
        {
            return Err(Error::Usage(format!(
                "{name} is at {}: {from} is still to come",
                cursor.next
            )));
        }
        let oldest = self.shelf.oldest();
        if from < oldest {
            return Err(Error::Usage(format!(
                "the oldest record that is kept is {oldest}; <spool keep=\"…\"> keeps delivered ones longer"
            )));
        }
        let text = format!("{from}\n");
        put_file(
            &*self.disk,
            &self.shelf.dir,
            &cursor::wish_file(&name),
            text.as_bytes(),
        )?;
        Ok(format!(
            "{name} delivers again from {from} on: within a second if the job runs, else when it starts\n"
        ))
    }
}

/// What a verification has found.
#[derive(Default)]
struct Sum {
    records: u64,
    bytes: u64,
    flaws: u64,
    /// The number that comes next.
    expected: u64,
}

impl Sum {
    fn tell(&mut self, out: &mut dyn Write, text: String) -> Result<(), Error> {
        self.flaws += 1;
        writeln!(out, "{text}").map_err(Error::io("write", "standard output"))
    }

    fn record(&mut self, out: &mut dyn Write, seq: u64, bytes: u64) -> Result<(), Error> {
        self.missing(out, seq)?;
        self.records += 1;
        self.bytes += bytes;
        self.expected = self.expected.max(seq + 1);
        Ok(())
    }

    fn missing(&mut self, out: &mut dyn Write, until: u64) -> Result<(), Error> {
        let from = self.expected;
        self.expected = from.max(until);
        match until.saturating_sub(from) {
            0 => Ok(()),
            1 => self.tell(out, format!("record {from} is missing")),
            _ => self.tell(out, format!("records {from} to {} are missing", until - 1)),
        }
    }
}

/// The folder that is meant: that of a job file's spool, or itself.
fn folder(home: Option<&Path>, what: &Path) -> Result<PathBuf, Error> {
    if !what.is_file() {
        return Ok(what.to_owned());
    }
    let home = home::find(home)?;
    let mut file = JobFile::read(what)?;
    crate::logging::hide(file.resolve(&home.root)?);
    if file.kind != "forward" {
        return Err(Error::Usage(format!(
            "{} is no <forward>: only that has a spool",
            what.display()
        )));
    }
    let params: Params = file.params()?;
    Ok(home.path(&params.spool.dir))
}

fn put(out: &mut dyn Write, head: &Head, body: &[u8], heads: bool) -> Result<(), Error> {
    let written = (|| -> io::Result<()> {
        if heads {
            let micros = i64::try_from(head.time).unwrap_or(0);
            let time = chrono::DateTime::from_timestamp_micros(micros).unwrap_or_default();
            let time = time.format("%Y-%m-%dT%H:%M:%S%.6fZ");
            write!(out, "{} {time} {} {} ", head.seq, head.session, head.number)?;
        }
        out.write_all(body)?;
        out.write_all(b"\n")
    })();
    written.map_err(Error::io("write", "standard output"))
}

/// Seconds since a record was taken in.
fn age(head: &Head) -> u64 {
    let now = u64::try_from(chrono::Utc::now().timestamp_micros()).unwrap_or(0);
    now.saturating_sub(head.time) / 1_000_000
}
