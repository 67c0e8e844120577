//! What is on the fake disk, seen and durable, and what of it survives a power cut.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::power::Dice;
use crate::disk::{Meta, folder};

#[derive(Default)]
pub(super) struct Model {
    pub(super) inodes: Vec<Inode>,
    pub(super) folders: BTreeSet<PathBuf>,
    /// What each path has been since its folder was last synced: the first version is durable, the last is seen.
    pub(super) names: BTreeMap<PathBuf, Vec<Version>>,
    /// What fake states keep, and the commit at which the power failed.
    pub(super) kept: BTreeMap<String, String>,
    pub(super) torn: Kept,
    pub(super) ticks: u64,
    pub(super) bad_syncs: u64,
    pub(super) full_writes: u64,
}

/// Values to set, or to forget.
pub(super) type Kept = Vec<(String, Option<String>)>;

#[derive(Default)]
pub(super) struct Inode {
    pub(super) seen: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) modified: u64,
    /// A sync of it failed: what was dirty then is lost, whatever later syncs say.
    pub(super) poisoned: bool,
}

#[derive(Clone)]
pub(super) struct Version {
    pub(super) at: u64,
    pub(super) inode: Option<usize>,
    /// A name given up by a rename is durable only together with the new name.
    pub(super) with: Option<(PathBuf, u64)>,
}

impl Model {
    pub(super) fn tick(&mut self) -> u64 {
        self.ticks += 1;
        self.ticks
    }

    pub(super) fn add_inode(&mut self) -> usize {
        self.inodes.push(Inode::default());
        self.inodes.len() - 1
    }

    pub(super) fn inode(&self, path: &Path) -> Option<usize> {
        self.names.get(path)?.last()?.inode
    }

    pub(super) fn name(
        &mut self,
        path: &Path,
        inode: Option<usize>,
        with: Option<(PathBuf, u64)>,
    ) -> u64 {
        let at = self.tick();
        let start = || {
            vec![Version {
                at: 0,
                inode: None,
                with: None,
            }]
        };
        let versions = self.names.entry(path.to_owned()).or_insert_with(start);
        versions.push(Version { at, inode, with });
        at
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.inode(from).ok_or(ErrorKind::NotFound)?;
        if !self.folders.contains(folder(to)) {
            return Err(ErrorKind::NotFound.into());
        }
        let at = self.name(to, Some(inode), None);
        self.name(from, None, Some((to.to_owned(), at)));
        Ok(())
    }

    pub(super) fn keep(&mut self, changes: Kept) {
        for (name, value) in changes {
            match value {
                Some(value) => self.kept.insert(name, value),
                None => self.kept.remove(&name),
            };
        }
    }

    /// Makes a file's bytes durable, unless a bad block is met, now or before.
    pub(super) fn sync(&mut self, inode: usize) -> io::Result<()> {
        let inode = &mut self.inodes[inode];
        if self.bad_syncs > 0 {
            self.bad_syncs -= 1;
            inode.poisoned = true;
            return Err(io::Error::other("a bad block"));
        }
        if !inode.poisoned {
            inode.durable.clone_from(&inode.seen);
        }
        Ok(())
    }

    /// Makes versions of a path durable up to and including `at`.
    pub(super) fn settle(&mut self, path: &Path, at: u64) {
        let Some(versions) = self.names.get_mut(path) else {
            return;
        };
        let last = versions
            .partition_point(|version| version.at <= at)
            .saturating_sub(1);
        let settled: Vec<Version> = versions[..=last].to_vec();
        versions.drain(..last);
        for version in settled {
            if let Some((other, at)) = version.with {
                self.settle(&other, at);
            }
        }
    }

    pub(super) fn survive(&mut self, dice: &mut Dice) {
        let mut chosen: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for (path, versions) in &self.names {
            chosen.insert(path.clone(), dice.below(versions.len()));
        }
        // a rename never loses the file: the old name goes only when the new one has come
        while let Some((path, index)) = self.names.iter().find_map(|(path, versions)| {
            let index = versions[..=chosen[path]].iter().position(|version| {
                version
                    .with
                    .as_ref()
                    .is_some_and(|(to, at)| self.names[to][chosen[to]].at < *at)
            })?;
            Some((path.clone(), index))
        }) {
            chosen.insert(path, index.saturating_sub(1));
        }
        for (path, versions) in &mut self.names {
            let survivor = Version {
                at: 0,
                inode: versions[chosen[path]].inode,
                with: None,
            };
            *versions = vec![survivor];
        }
        self.names.retain(|_, versions| versions[0].inode.is_some());
        for inode in &mut self.inodes {
            inode.survive(dice);
        }
        let torn = std::mem::take(&mut self.torn);
        if dice.below(2) == 0 {
            self.keep(torn);
        }
    }
}

impl Inode {
    pub(super) fn survive(&mut self, dice: &mut Dice) {
        if self.seen == self.durable {
            return;
        }
        // what was synced stays, also under bytes that were added to it
        let pairs = self.seen.iter().zip(&self.durable);
        let kept = pairs.take_while(|(seen, durable)| seen == durable).count();
        let from = kept + dice.below(self.seen.len() - kept + 1);
        match if self.poisoned { 0 } else { dice.below(5) } {
            0 => self.seen.clone_from(&self.durable),
            1 => {}
            2 => self.seen.truncate(from),
            3 => {
                // what was there before shows behind what was written over it
                self.seen.truncate(from);
                self.seen
                    .extend_from_slice(self.durable.get(from..).unwrap_or_default());
            }
            _ => self.seen[from..].fill(0),
        }
        self.durable.clone_from(&self.seen);
    }
}

impl Model {
    pub(super) fn meta(&self, path: &Path) -> Option<Meta> {
        let time = |ticks| SystemTime::UNIX_EPOCH + Duration::from_secs(ticks);
        let folder = self.folders.iter().position(|folder| folder == path);
        let (number, length, modified) = if let Some(place) = folder {
            (usize::MAX - place, 0, 0)
        } else {
            let number = self.inode(path)?;
            let inode = &self.inodes[number];
            (number, inode.seen.len(), inode.modified)
        };
        Some(Meta {
            length: u64::try_from(length).unwrap_or(u64::MAX),
            modified: time(modified),
            changed: time(modified),
            inode: (0, u64::try_from(number).unwrap_or(u64::MAX)),
            folder: folder.is_some(),
            link: false,
            regular: folder.is_none(),
        })
    }
}
