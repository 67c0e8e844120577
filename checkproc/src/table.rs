//! A heartbeat table as its users hold it: which ones there are, its slots and rows. Every byte in it is hostile:
//! nothing read from it is used as an index, a length or a timeout without a bound.

use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::layout::{SLOTS, header};
use crate::opening;
use crate::row::Row;
use crate::shm::{self, Mapping};
use crate::{Error, Slot};

/// A mapped heartbeat table of one user. Clones share the mapping.
#[derive(Clone)]
pub struct Table {
    shared: Arc<Shared>,
}

struct Shared {
    mapping: Mapping,
    uid: u32,
    name: String,
}

impl Table {
    /// Opens the table of the effective user; makes it if there is none, replaces a bad one with a log line.
    pub fn open_own() -> Result<Table, Error> {
        Table::open_for(rustix::process::geteuid().as_raw())
    }

    /// Opens the table of another user, as root; the file is made over to that user.
    pub fn open_for(uid: u32) -> Result<Table, Error> {
        Table::open_named(&name_of(uid), uid)
    }

    /// Opens our own table of another name, as `PROCCTL_TABLE` would: for tests and benchmarks.
    pub fn open_private(suffix: &str) -> Result<Table, Error> {
        let uid = rustix::process::geteuid().as_raw();
        Table::open_named(&suffixed(uid, Some(suffix)), uid)
    }

    /// Opens the table that this one's name means now: another one, if this one was replaced.
    pub fn reopen(&self) -> Result<Table, Error> {
        Table::open_named(&self.shared.name, self.shared.uid)
    }

    fn open_named(name: &str, uid: u32) -> Result<Table, Error> {
        Ok(Table::around(opening::open(name, uid)?, name, uid))
    }

    fn around(mapping: Mapping, name: &str, uid: u32) -> Table {
        Table {
            shared: Arc::new(Shared {
                mapping,
                uid,
                name: name.to_owned(),
            }),
        }
    }

    /// Our own table, made if need be; as root also those that other users have.
    pub fn all() -> Result<Vec<Table>, Error> {
        let mut tables = vec![Table::open_own()?];
        let own = tables[0].uid();
        for uid in Table::users()?.into_iter().filter(|uid| *uid != own) {
            match Table::open_for(uid) {
                Ok(table) => tables.push(table),
                Err(error) => log::warn!("heartbeat table of uid {uid}: {error}"),
            }
        }
        Ok(tables)
    }

    /// The tables that are there, our own or as root everyone's; nothing is made, changed or replaced.
    pub fn existing() -> Result<Vec<Table>, Error> {
        let mut tables = Vec::new();
        for uid in Table::users()? {
            let name = name_of(uid);
            match opening::peek(&name, uid) {
                Ok(Some(mapping)) => tables.push(Table::around(mapping, &name, uid)),
                Ok(None) => log::warn!("heartbeat table {} is damaged", shm::path(&name).display()),
                Err(error) => log::warn!("heartbeat table {}: {error}", shm::path(&name).display()),
            }
        }
        Ok(tables)
    }

    /// The users that have a table which we may open: ourselves, or as root everyone.
    pub fn users() -> Result<Vec<u32>, Error> {
        let us = rustix::process::geteuid().as_raw();
        let folder = shm::folder();
        let entries = fs::read_dir(folder).map_err(|error| Error::io("list", folder, error))?;
        let user = |entry: fs::DirEntry| -> Option<u32> {
            let name = entry.file_name().into_string().ok()?;
            let uid: u32 = name
                .strip_prefix("procctl-heartbeat-")?
                .split('-')
                .next()?
                .parse()
                .ok()?;
            let ours = (us == 0 || us == uid) && name_of(uid) == name;
            // A file under another user's name is none of that user's making.
            (ours && entry.metadata().ok()?.uid() == uid).then_some(uid)
        };
        Ok(entries.filter_map(|entry| user(entry.ok()?)).collect())
    }

    /// The user whose processes it speaks for.
    pub fn uid(&self) -> u32 {
        self.shared.uid
    }

    /// The file behind it.
    pub fn path(&self) -> PathBuf {
        shm::path(&self.shared.name)
    }

    /// Has it been replaced? Then open it anew and claim again.
    pub fn retired(&self) -> bool {
        self.words()[header::RETIRED].load(Ordering::Relaxed) != 0
    }

    /// Number of slots.
    pub fn slots(&self) -> u32 {
        SLOTS
    }

    /// Slots that have ever been in use: all live ones have a lower index.
    pub fn high_water(&self) -> u32 {
        let mark = self.words()[header::HIGH_WATER].load(Ordering::Acquire);
        u32::try_from(mark).unwrap_or(SLOTS).min(SLOTS)
    }

    /// Sees to it that a slot's words have memory behind them.
    pub(crate) fn reserve(&self, words: Range<usize>) -> io::Result<()> {
        self.shared.mapping.reserve(words)
    }

    pub(crate) fn words(&self) -> &[AtomicU64] {
        self.shared.mapping.words()
    }

    /// Is this still the table that its name means, and is its header whole? If not, says why.
    pub fn flaw(&self) -> Option<String> {
        opening::flaw(&self.shared.mapping, &self.shared.name, self.uid())
    }

    /// Tells everyone who has it mapped to open the table anew.
    pub fn retire(&self) {
        self.words()[header::RETIRED].store(1, Ordering::Release);
    }

    /// A handle on a slot that is already claimed; `None` if index or generation do not fit.
    pub fn slot(&self, index: u32, generation: u32) -> Option<Slot> {
        let slot = (index < SLOTS).then(|| Slot::new(self.clone(), index, generation))?;
        slot.owner().is_some().then_some(slot)
    }

    /// Copies of all live slots.
    pub fn rows(&self) -> Vec<Row> {
        (0..self.high_water())
            .filter_map(|index| Row::read(self.words(), self.uid(), index))
            .collect()
    }
}

/// Name of a user's table; `PROCCTL_TABLE` adds a suffix for private tables.
fn name_of(uid: u32) -> String {
    suffixed(uid, std::env::var("PROCCTL_TABLE").ok().as_deref())
}

/// The name with a suffix, stripped of everything that could leave the folder.
fn suffixed(uid: u32, suffix: Option<&str>) -> String {
    let good = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let clean: String = suffix
        .unwrap_or_default()
        .chars()
        .filter(good)
        .take(100)
        .collect();
    if clean.is_empty() {
        format!("procctl-heartbeat-{uid}")
    } else {
        format!("procctl-heartbeat-{uid}-{clean}")
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
