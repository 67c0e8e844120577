//! How much an account's folder may hold. What is on its way counts as there. A full folder refuses, or, as a cache, lets the
//! files go that were not used for longest: a file's time of last reading is set when it comes in and when it goes out.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    error::Error,
    job::Bytes,
    transfer::{
        landing::is_temporary,
        message::{Code, Refusal},
        name::join,
        tree::Tree,
    },
};

/// A count of the folder is good for so long before somebody is refused by it.
const FRESH: Duration = Duration::from_secs(1);

/// The quota of an account.
pub(super) struct Quota {
    limit: u64,
    evict: bool,
    usage: Mutex<Usage>,
}

#[derive(Default)]
struct Usage {
    used: u64,
    reserved: u64,
    counted: Option<Instant>,
}

impl Quota {
    pub(super) fn new(limit: u64, evict: bool) -> Quota {
        Quota {
            limit,
            evict,
            usage: Mutex::default(),
        }
    }

    /// Whether files that go out are noted as used.
    pub(super) fn evicts(&self) -> bool {
        self.evict
    }

    fn lock(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a file that finds no room now may find some when others have come in: those can then be evicted.
    pub(super) fn may_come_later(&self, size: u64) -> bool {
        self.evict && size <= self.limit
    }

    /// Keeps room for a file; `busy` tells which files must not go for it.
    pub(super) fn reserve(
        &self,
        tree: &Tree,
        size: u64,
        busy: &dyn Fn(&str) -> bool,
    ) -> Result<Result<(), Refusal>, Error> {
        let mut usage = self.lock();
        let fits = |usage: &Usage| {
            usage
                .used
                .saturating_add(usage.reserved)
                .saturating_add(size)
                <= self.limit
        };
        let stale = |usage: &Usage| usage.counted.is_none_or(|at| at.elapsed() > FRESH);
        if stale(&usage) && (usage.counted.is_none() || !fits(&usage)) {
            usage.used = files(tree)?.iter().map(|file| file.size).sum();
            usage.counted = Some(Instant::now());
        }
        let possible = size <= self.limit.saturating_sub(usage.reserved);
        if !fits(&usage) && self.evict && possible {
            let room = self.limit - usage.reserved - size;
            usage.used = evict(tree, room, busy)?;
        }
        if !fits(&usage) {
            let reason = format!("the quota of {} is used up", Bytes(self.limit));
            return Ok(Err(Refusal::new(Code::Full, reason)));
        }
        usage.reserved += size;
        Ok(Ok(()))
    }

    /// A file for which room was kept came, or will not.
    pub(super) fn release(&self, size: u64, came: bool) {
        let mut usage = self.lock();
        usage.reserved = usage.reserved.saturating_sub(size);
        if came {
            usage.used = usage.used.saturating_add(size);
        }
    }
}

/// A file in an account's folder.
struct File {
    used: i64,
    size: u64,
    path: String,
}

/// All files below the root.
fn files(tree: &Tree) -> Result<Vec<File>, Error> {
    let (mut found, mut folders) = (Vec::new(), vec![String::new()]);
    while let Some(folder) = folders.pop() {
        // folders come and go
        let Ok(listing) = tree.list(&folder) else {
            continue;
        };
        for leaf in listing.iter() {
            let path = join(&folder, leaf.name);
            if leaf.folder {
                folders.push(path);
                continue;
            }
            let Ok(Some(stat)) = tree.look(&path) else {
                continue;
            };
            found.push(File {
                used: stat.atime,
                size: stat.size,
                path,
            });
        }
    }
    Ok(found)
}

/// Removes the files that were not used for longest, until no more than `room` is left; tells how much that is.
fn evict(tree: &Tree, room: u64, busy: &dyn Fn(&str) -> bool) -> Result<u64, Error> {
    let mut files = files(tree)?;
    let mut used: u64 = files.iter().map(|file| file.size).sum();
    files.sort_unstable_by_key(|file| file.used);
    for file in &files {
        if used <= room {
            break;
        }
        let leaf = file
            .path
            .rsplit_once('/')
            .map_or(file.path.as_str(), |(_, leaf)| leaf);
        if !is_temporary(leaf) && !busy(&file.path) && tree.remove(&file.path)? {
            log::info!("{}: evicted, {}", file.path, Bytes(file.size));
            used -= file.size;
        }
    }
    Ok(used)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn tree(home: &std::path::Path) -> Tree {
        for (name, age) in [("old", 300), ("older", 400), ("new", 10)] {
            let path = home.join(name);
            fs::write(&path, [0; 100]).unwrap();
            let at = std::time::SystemTime::now() - Duration::from_secs(age);
            let times = fs::FileTimes::new().set_accessed(at);
            fs::File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_times(times)
                .unwrap();
        }
        Tree::open(home).unwrap()
    }

    #[test]
    fn a_full_folder_refuses() {
        let home = tempfile::tempdir().unwrap();
        let tree = tree(home.path());
        let quota = Quota::new(400, false);
        assert!(quota.reserve(&tree, 100, &|_| false).unwrap().is_ok());
        let refusal = quota.reserve(&tree, 1, &|_| false).unwrap().unwrap_err();
        assert_eq!(refusal.code, Code::Full);
        quota.release(100, false);
        assert!(quota.reserve(&tree, 1, &|_| false).unwrap().is_ok());
    }

    #[test]
    fn a_cache_lets_the_oldest_go_that_nobody_needs() {
        let home = tempfile::tempdir().unwrap();
        let tree = tree(home.path());
        let quota = Quota::new(300, true);
        assert!(
            quota
                .reserve(&tree, 150, &|path| path == "older")
                .unwrap()
                .is_ok()
        );
        assert!(
            home.path().join("older").exists()
                && !home.path().join("old").exists()
                && !home.path().join("new").exists()
        );
        assert!(
            quota.reserve(&tree, 301, &|_| false).unwrap().is_err(),
            "more than fits at all"
        );
    }
}
