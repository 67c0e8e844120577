//! Which contents an account holds, and under which names: so that none is sent twice. In the job's state a row a file; in
//! memory a short hash of each content and the sizes, enough to know without a look at the disk what is not here.
//!
//! A row is a hint, no truth: files are taken away and changed by others. Whoever uses one looks at the file.

use std::collections::HashSet;

use crate::{
    error::Error,
    state::Changes,
    transfer::{
        journal::{Memory, locked},
        landing::{Landed, SMALL},
        proof::Digest,
        tree::Tree,
    },
};

/// New rows after which the old ones are looked through.
const SWEEP: usize = 20_000;
/// Rows that are forgotten in one step.
const STEP: usize = 10_000;

/// The contents of one account.
pub(super) struct Contents {
    memory: Memory,
    prefix: String,
    short: HashSet<u64>,
    /// Sizes of large files.
    sizes: HashSet<u64>,
    fresh: usize,
}

impl Contents {
    /// Reads what is remembered of an account, and forgets what is not so any more.
    pub(super) fn load(memory: Memory, account: &str, tree: &Tree) -> Result<Contents, Error> {
        let mut contents = Contents {
            memory,
            prefix: format!("content {account} "),
            short: HashSet::new(),
            sizes: HashSet::new(),
            fresh: 0,
        };
        contents.sweep(tree)?;
        Ok(contents)
    }

    /// Whether a large file of this size is here, looked at this moment: to ask for the hash of one that was taken away
    /// would have the sender read it twice.
    pub(super) fn has_size(&mut self, tree: &Tree, size: u64) -> Result<bool, Error> {
        if !self.sizes.contains(&size) {
            return Ok(false);
        }
        let rows = format!("{}{size} ", self.prefix);
        let mut found = false;
        locked(&self.memory).each(&rows, &mut |row, text| {
            let name = row[rows.len()..].split_once(' ').map(|(_, name)| name);
            found = found || name.is_some_and(|name| is_here(tree, name, size, text));
            Ok(())
        })?;
        if !found {
            self.sizes.remove(&size);
        }
        Ok(found)
    }

    /// A name under which these bytes are here, looked at this moment.
    pub(super) fn find(
        &self,
        tree: &Tree,
        size: u64,
        hash: &Digest,
    ) -> Result<Option<String>, Error> {
        if !self.short.contains(&short(hash)) {
            return Ok(None);
        }
        let rows = format!("{}{size} {} ", self.prefix, hex(hash));
        let mut found = None;
        locked(&self.memory).each(&rows, &mut |row, text| {
            let name = row.strip_prefix(&rows).unwrap_or_default();
            if found.is_none() && is_here(tree, name, size, text) {
                found = Some(name.to_owned());
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Adds files to what is about to be committed.
    pub(super) fn enter(&mut self, files: &[Landed], changes: Changes) -> Result<Changes, Error> {
        files.iter().try_fold(changes, |changes, file| {
            let target = &file.target;
            self.note(target.size, &file.hash);
            self.fresh += 1;
            changes.set(
                &format!(
                    "{}{} {} {}",
                    self.prefix,
                    target.size,
                    hex(&file.hash),
                    target.name
                ),
                &target.mtime,
            )
        })
    }

    fn note(&mut self, size: u64, hash: &Digest) {
        self.short.insert(short(hash));
        if size > SMALL {
            self.sizes.insert(size);
        }
    }

    /// Looks through the rows when many were added since the last time.
    pub(super) fn tidy(&mut self, tree: &Tree) -> Result<(), Error> {
        if self.fresh > SWEEP {
            self.sweep(tree)
        } else {
            Ok(())
        }
    }

    /// Forgets files that are not here any more.
    fn sweep(&mut self, tree: &Tree) -> Result<(), Error> {
        self.short.clear();
        self.sizes.clear();
        self.fresh = 0;
        let memory = self.memory.clone();
        let mut gone = Vec::new();
        locked(&memory).each(&self.prefix.clone(), &mut |row, text| {
            let parts: Vec<&str> = row[self.prefix.len()..].splitn(3, ' ').collect();
            let hash = parts
                .get(1)
                .and_then(|hex| blake3::Hash::from_hex(hex).ok());
            match (
                parts.first().and_then(|size| size.parse().ok()),
                hash,
                parts.get(2),
            ) {
                (Some(size), Some(hash), Some(name)) if is_here(tree, name, size, text) => {
                    self.note(size, hash.as_bytes())
                }
                _ if gone.len() < STEP => gone.push(row.to_owned()),
                _ => {}
            }
            Ok(())
        })?;
        if gone.is_empty() {
            return Ok(());
        }
        locked(&memory).commit(
            gone.iter()
                .fold(Changes::new(), |changes, row| changes.delete(row)),
        )
    }
}

fn is_here(tree: &Tree, name: &str, size: u64, text: &str) -> bool {
    let mtime = text.parse::<i64>().ok();
    let stat = tree.look(name).ok().flatten();
    stat.is_some_and(|stat| stat.regular && stat.size == size && Some(stat.mtime) == mtime)
}

fn hex(hash: &Digest) -> String {
    blake3::Hash::from_bytes(*hash).to_hex().to_string()
}

fn short(hash: &Digest) -> u64 {
    let mut short = [0; 8];
    short.copy_from_slice(&hash[..8]);
    u64::from_le_bytes(short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        disk::FakeDisk,
        state::State,
        transfer::{landing::Target, name::Name},
    };
    use std::sync::{Arc, Mutex};

    #[test]
    fn contents_are_found_while_they_are_there() {
        let home = tempfile::tempdir().unwrap();
        let tree = Tree::open(home.path()).unwrap();
        let memory: Memory = Arc::new(Mutex::new(State::fake(&FakeDisk::new(), "job")));
        let size = SMALL + 1;
        std::fs::write(
            home.path().join("a b"),
            vec![b'x'; usize::try_from(size).unwrap()],
        )
        .unwrap();
        let mtime = tree.look("a b").unwrap().unwrap().mtime;
        let target = Target {
            id: 0,
            name: Name::new("a b").unwrap(),
            offered: "a b".to_owned(),
            size,
            mtime,
            mode: 0,
        };
        let hash = *blake3::hash(b"x").as_bytes();
        let landed = Landed {
            target,
            temporary: String::new(),
            hash,
            file: None,
        };
        let mut contents = Contents::load(Arc::clone(&memory), "n", &tree).unwrap();
        let changes = contents.enter(&[landed], Changes::new()).unwrap();
        locked(&memory).commit(changes).unwrap();
        let mut again = Contents::load(Arc::clone(&memory), "n", &tree).unwrap();
        for contents in [&mut contents, &mut again] {
            assert_eq!(
                contents.find(&tree, size, &hash).unwrap().as_deref(),
                Some("a b")
            );
            assert_eq!(contents.find(&tree, 2, &hash).unwrap(), None);
            assert!(contents.has_size(&tree, size).unwrap());
            assert!(!contents.has_size(&tree, size + 1).unwrap());
        }
        std::fs::remove_file(home.path().join("a b")).unwrap();
        assert_eq!(contents.find(&tree, size, &hash).unwrap(), None);
        assert!(!contents.has_size(&tree, size).unwrap());
        Contents::load(Arc::clone(&memory), "n", &tree).unwrap();
        assert_eq!(locked(&memory).all().unwrap(), []);
    }
}
