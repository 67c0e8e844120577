//! What came in and may be offered again: files that are published here, while the other side has not said yet that it has
//! drawn its consequences. A repeated offer of such a file is answered without a second copy, though whoever waited
//! for it may have taken it away long ago.
//!
//! A row is durable before the files in it are published, and names their hashes. So after a kill, what still lies under
//! its temporary name and has its hash is published then; what does not, was.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::{
    content::hash_file,
    host::Host,
    landing::{Identity, Landed, Target, identity, temporary},
    name::{Name, join},
    tree::Tree,
};
use crate::{
    error::Error,
    state::{Changes, State},
};

/// Rows at most; the oldest go first. Each stands for files that were published together.
const MAX_ROWS: usize = 4096;

/// The memory of a job, shared by the threads that work for it.
pub(crate) type Memory = Arc<Mutex<State>>;

/// Locks a memory.
pub(crate) fn locked(memory: &Memory) -> MutexGuard<'_, State> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file in a row.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    name: String,
    size: u64,
    mtime: i64,
    hash: String,
}

/// The journal of one tree.
pub(crate) struct Journal {
    memory: Memory,
    /// What the names of its rows begin with.
    prefix: String,
    rows: Mutex<Rows>,
}

#[derive(Default)]
struct Rows {
    files: HashMap<Identity, u64>,
    /// How many files of each row are not settled.
    open: BTreeMap<u64, usize>,
    /// Rows that are not needed any more but are still written down.
    over: Vec<u64>,
    next: u64,
}

impl Rows {
    fn settle(&mut self, file: &Identity) {
        let Some(row) = self.files.remove(file) else {
            return;
        };
        if let Some(open) = self.open.get_mut(&row) {
            *open -= 1;
            if *open == 0 {
                self.open.remove(&row);
                self.over.push(row);
            }
        }
    }

    fn enter(&mut self, row: u64, files: impl Iterator<Item = Identity>) {
        for file in files {
            self.settle(&file);
            self.files.insert(file, row);
            *self.open.entry(row).or_default() += 1;
        }
        while self.open.len() > MAX_ROWS
            && let Some((oldest, _)) = self.open.pop_first()
        {
            self.files.retain(|_, row| *row != oldest);
            self.over.push(oldest);
        }
    }
}

impl Journal {
    /// Reads the journal, and publishes what a killed run had written down but not published.
    pub(crate) fn open(
        memory: Memory,
        prefix: &str,
        tree: &Tree,
        host: &dyn Host,
    ) -> Result<Journal, Error> {
        let journal = Journal {
            memory,
            prefix: prefix.to_owned(),
            rows: Mutex::default(),
        };
        let mut found: Vec<(u64, Vec<Entry>)> = Vec::new();
        locked(&journal.memory).each(prefix, &mut |name, text| {
            let number = name
                .strip_prefix(prefix)
                .and_then(|number| number.parse().ok());
            let entries = serde_json::from_str(text).ok();
            found.extend(number.zip(entries));
            Ok(())
        })?;
        for (row, entries) in found {
            let mut known = Vec::new();
            for entry in entries {
                if finish(tree, &entry, host)? {
                    known.push(identity(&entry.name, entry.size, entry.mtime));
                }
            }
            let mut rows = journal.lock();
            rows.next = rows.next.max(row + 1);
            if known.is_empty() {
                rows.over.push(row);
            }
            rows.enter(row, known.into_iter());
        }
        Ok(journal)
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self, row: u64) -> String {
        format!("{}{row}", self.prefix)
    }

    /// Whether this file came in already and the other side may not know.
    pub(crate) fn holds(&self, target: &Target) -> bool {
        self.lock().files.contains_key(&target.identity())
    }

    /// Writes down files that are about to be published, with `more` in the same step.
    pub(crate) fn record(&self, files: &[Landed], more: Changes) -> Result<(), Error> {
        let mut changes = more;
        let (row, over) = {
            let mut rows = self.lock();
            let row = rows.next;
            rows.next += 1;
            (row, std::mem::take(&mut rows.over))
        };
        if !files.is_empty() {
            let entries: Vec<Entry> = files.iter().map(entry).collect();
            changes = changes.set(&self.name(row), &entries)?;
        }
        for row in &over {
            changes = changes.delete(&self.name(*row));
        }
        if let Err(error) = locked(&self.memory).commit(changes) {
            self.lock().over.extend(over);
            return Err(error);
        }
        self.lock()
            .enter(row, files.iter().map(|file| file.target.identity()));
        Ok(())
    }

    /// The other side has drawn its consequences from this file, or it is not here after all.
    pub(crate) fn settle(&self, file: &Identity) {
        self.lock().settle(file);
    }

    /// Forgets durably what is settled.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        if self.lock().over.is_empty() {
            return Ok(());
        }
        self.record(&[], Changes::new())
    }
}

fn entry(file: &Landed) -> Entry {
    Entry {
        name: file.target.name.to_string(),
        size: file.target.size,
        mtime: file.target.mtime,
        hash: blake3::Hash::from_bytes(file.hash).to_hex().to_string(),
    }
}

/// Publishes a file that was written down; `false` when it is not whole under its temporary name, and so never was seen.
fn finish(tree: &Tree, entry: &Entry, host: &dyn Host) -> Result<bool, Error> {
    let Ok(name) = Name::new(entry.name.as_str()) else {
        return Ok(false);
    };
    let temporary = temporary(name.leaf(), &identity(&entry.name, entry.size, entry.mtime));
    let path = join(name.folder(), &temporary);
    if tree.look(&path)?.is_none() {
        return Ok(true);
    }
    let (hash, _) = hash_file(tree, &path, host)?;
    if blake3::Hash::from_bytes(hash).to_hex().as_str() != entry.hash {
        return Ok(false);
    }
    tree.rename(name.folder(), &temporary, name.leaf())?;
    tree.sync_folder(name.folder())?;
    log::info!("{name}: published; the run that took it in was killed");
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        disk::FakeDisk,
        stop::Stop,
        transfer::{host::Silent, landing::land_small},
    };

    fn landed(tree: &Tree, name: &str) -> Landed {
        let target = Target {
            id: 0,
            name: Name::new(name).unwrap(),
            offered: name.to_owned(),
            size: 1,
            mtime: 7,
            mode: 0o644,
        };
        land_small(tree, target, b"x", blake3::hash(b"x").as_bytes())
            .unwrap_or_else(|_| panic!("refused"))
    }

    #[test]
    fn what_was_written_down_is_published_after_a_kill_and_known_until_settled() {
        let home = tempfile::tempdir().unwrap();
        let tree = Tree::open(home.path()).unwrap();
        let disk = FakeDisk::new();
        let memory = || Arc::new(Mutex::new(State::fake(&disk, "job")));
        let host = Silent(Stop::new().unwrap());
        let open = || Journal::open(memory(), "landed ", &tree, &host).unwrap();
        let files = [landed(&tree, "a/one"), landed(&tree, "two")];
        let journal = open();
        assert!(!journal.holds(&files[0].target));
        journal.record(&files, Changes::new()).unwrap();
        drop(journal);
        // killed before anything was renamed
        let journal = open();
        assert!(home.path().join("a/one").exists() && home.path().join("two").exists());
        std::fs::remove_file(home.path().join("two")).unwrap();
        assert!(
            journal.holds(&files[1].target),
            "taken away by its reader, still known"
        );
        journal.settle(&files[0].target.identity());
        journal.settle(&files[1].target.identity());
        journal.flush().unwrap();
        assert!(!open().holds(&files[0].target));
        assert_eq!(locked(&memory()).all().unwrap(), []);
    }

    #[test]
    fn a_half_file_of_a_later_attempt_is_not_published() {
        let home = tempfile::tempdir().unwrap();
        let tree = Tree::open(home.path()).unwrap();
        let disk = FakeDisk::new();
        let memory = || Arc::new(Mutex::new(State::fake(&disk, "job")));
        let host = Silent(Stop::new().unwrap());
        let file = landed(&tree, "one");
        let journal = Journal::open(memory(), "landed ", &tree, &host).unwrap();
        journal
            .record(std::slice::from_ref(&file), Changes::new())
            .unwrap();
        std::fs::write(home.path().join(&file.temporary), "half").unwrap();
        let journal = Journal::open(memory(), "landed ", &tree, &host).unwrap();
        assert!(!journal.holds(&file.target) && !home.path().join("one").exists());
    }
}
