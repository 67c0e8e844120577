//! A disk in memory that may lose power at any operation. After a reboot it holds one of the states that
//! POSIX allows, chosen by a seed: bytes not synced are there, gone, cut short or zero; names whose folder was not
//! synced are old or new, each name for itself; only a rename never loses a file under both names.
//! For tests alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use super::{Disk, Entry, Meta, Written, folder};
use crate::error::Error;

/// The power supply that a fake disk and what stands beside it (a fake state) share: counts operations that change
/// something and fails at a chosen one and ever after.
#[derive(Debug, Clone, Default)]
pub struct Power(Arc<Supply>);

#[derive(Debug, Default)]
struct Supply {
    spent: AtomicU64,
    /// The operation at which the power fails, from 1; 0 = never.
    cut: AtomicU64,
}

impl Power {
    /// Operations so far.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.0.spent.load(Ordering::Relaxed)
    }

    /// Fails the `n`th operation from the beginning (1 = the first) and all that come after it.
    pub fn cut_at(&self, n: u64) {
        self.0.cut.store(n, Ordering::Relaxed);
    }

    /// Whether the power is off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        let cut = self.0.cut.load(Ordering::Relaxed);
        cut != 0 && self.spent() >= cut
    }

    /// Counts an operation.
    ///
    /// # Errors
    /// When the power fails at it, or was off already.
    pub fn spend(&self) -> io::Result<()> {
        if !self.is_off() {
            self.0.spent.fetch_add(1, Ordering::Relaxed);
        }
        self.check()
    }

    fn check(&self) -> io::Result<()> {
        if self.is_off() {
            Err(io::Error::other("the power is off"))
        } else {
            Ok(())
        }
    }

    fn restore(&self) {
        self.0.cut.store(0, Ordering::Relaxed);
    }
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct FakeDisk {
    model: Arc<Mutex<Model>>,
    power: Power,
}

#[derive(Default)]
struct Model {
    inodes: Vec<Inode>,
    folders: BTreeSet<PathBuf>,
    /// What each path has been since its folder was last synced: the first version is durable, the last is seen.
    names: BTreeMap<PathBuf, Vec<Version>>,
    /// What fake states keep, and the commit at which the power failed.
    kept: BTreeMap<String, String>,
    torn: Kept,
    ticks: u64,
    bad_syncs: u64,
}

/// Values to set, or to forget.
type Kept = Vec<(String, Option<String>)>;

#[derive(Default)]
struct Inode {
    seen: Vec<u8>,
    durable: Vec<u8>,
    modified: u64,
    /// A sync of it failed: what was dirty then is lost, whatever later syncs say.
    poisoned: bool,
}

#[derive(Clone)]
struct Version {
    at: u64,
    inode: Option<usize>,
    /// A name given up by a rename is durable only together with the new name.
    with: Option<(PathBuf, u64)>,
}

impl FakeDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> FakeDisk {
        FakeDisk::default()
    }

    /// Its power supply.
    #[must_use]
    pub fn power(&self) -> Power {
        self.power.clone()
    }

    /// Puts a durable file there, for a test to begin with.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        let mut model = self.model();
        model.folders.insert(folder(path).to_owned());
        let inode = model.add_inode();
        model.inodes[inode].seen = bytes.to_vec();
        model.inodes[inode].durable = bytes.to_vec();
        let at = model.tick();
        model.names.insert(
            path.to_owned(),
            vec![Version {
                at,
                inode: Some(inode),
                with: None,
            }],
        );
    }

    /// Every file with its bytes, as a reader sees them now.
    #[must_use]
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let model = self.model();
        let seen = |(path, versions): (&PathBuf, &Vec<Version>)| {
            let inode = versions.last()?.inode?;
            Some((path.clone(), model.inodes[inode].seen.clone()))
        };
        model.names.iter().filter_map(seen).collect()
    }

    /// Lets the next `n` syncs of files fail, as a disk with bad blocks does; the power stays on.
    pub fn fail_syncs(&self, n: u64) {
        self.model().bad_syncs = n;
    }

    /// The power comes back: everything is as one of the allowed survivals of the cut, chosen by `seed`.
    pub fn reboot(&self, seed: u64) {
        self.model().survive(&mut Dice(seed));
        self.power.restore();
    }

    /// What fake states keep.
    pub(crate) fn kept(&self) -> io::Result<BTreeMap<String, String>> {
        self.power.check()?;
        Ok(self.model().kept.clone())
    }

    /// Changes what fake states keep, as one durable operation.
    pub(crate) fn keep(&self, changes: Kept) -> io::Result<()> {
        let was_on = !self.power.is_off();
        let spent = self.power.spend();
        let mut model = self.model();
        match &spent {
            Ok(()) => model.keep(changes),
            Err(_) if was_on => model.torn = changes,
            Err(_) => {}
        }
        spent
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        self.model
            .lock()
            .expect("no test thread panics while it holds the model")
    }

    fn spend(&self, action: &'static str, path: &Path) -> Result<MutexGuard<'_, Model>, Error> {
        self.power.spend().map_err(Error::io(action, path))?;
        Ok(self.model())
    }
}

impl Model {
    fn tick(&mut self) -> u64 {
        self.ticks += 1;
        self.ticks
    }

    fn add_inode(&mut self) -> usize {
        self.inodes.push(Inode::default());
        self.inodes.len() - 1
    }

    fn inode(&self, path: &Path) -> Option<usize> {
        self.names.get(path)?.last()?.inode
    }

    fn name(&mut self, path: &Path, inode: Option<usize>, with: Option<(PathBuf, u64)>) -> u64 {
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

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.inode(from).ok_or(ErrorKind::NotFound)?;
        if !self.folders.contains(folder(to)) {
            return Err(ErrorKind::NotFound.into());
        }
        let at = self.name(to, Some(inode), None);
        self.name(from, None, Some((to.to_owned(), at)));
        Ok(())
    }

    fn keep(&mut self, changes: Kept) {
        for (name, value) in changes {
            match value {
                Some(value) => self.kept.insert(name, value),
                None => self.kept.remove(&name),
            };
        }
    }

    /// Makes versions of a path durable up to and including `at`.
    fn settle(&mut self, path: &Path, at: u64) {
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

    fn survive(&mut self, dice: &mut Dice) {
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
    fn survive(&mut self, dice: &mut Dice) {
        if self.seen == self.durable {
            return;
        }
        match if self.poisoned { 0 } else { dice.below(4) } {
            0 => self.seen.clone_from(&self.durable),
            1 => {}
            2 => self.seen.truncate(dice.below(self.seen.len() + 1)),
            _ => {
                let from = dice.below(self.seen.len() + 1);
                self.seen[from..].fill(0);
            }
        }
        self.durable.clone_from(&self.seen);
    }
}

struct Handle {
    disk: FakeDisk,
    inode: usize,
}

impl Write for Handle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let spent = self.disk.power.spend();
        let mut model = self.disk.model();
        // the last write before the dark may reach the platter in part
        let taken = if spent.is_ok() {
            bytes.len()
        } else {
            bytes.len() / 2
        };
        let tick = model.tick();
        let inode = &mut model.inodes[self.inode];
        inode.seen.extend_from_slice(&bytes[..taken]);
        inode.modified = tick;
        spent.map(|()| taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written for Handle {
    fn sync(&mut self) -> io::Result<()> {
        self.disk.power.spend()?;
        let mut model = self.disk.model();
        if model.bad_syncs > 0 {
            model.bad_syncs -= 1;
            model.inodes[self.inode].poisoned = true;
            return Err(io::Error::other("a bad block"));
        }
        let inode = &mut model.inodes[self.inode];
        if !inode.poisoned {
            inode.durable.clone_from(&inode.seen);
        }
        Ok(())
    }
}

impl Disk for FakeDisk {
    fn create(&self, path: &Path) -> Result<Box<dyn Written>, Error> {
        let mut model = self.spend("create", path)?;
        let problem = match model.inode(path) {
            Some(_) => Some(ErrorKind::AlreadyExists),
            None if !model.folders.contains(folder(path)) => Some(ErrorKind::NotFound),
            None => None,
        };
        if let Some(problem) = problem {
            return Err(Error::io("create", path)(problem.into()));
        }
        let inode = model.add_inode();
        model.name(path, Some(inode), None);
        drop(model);
        Ok(Box::new(Handle {
            disk: self.clone(),
            inode,
        }))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Read + Send>, Error> {
        self.power.check().map_err(Error::io("open", path))?;
        let model = self.model();
        let inode = model
            .inode(path)
            .ok_or_else(|| Error::io("open", path)(ErrorKind::NotFound.into()))?;
        Ok(Box::new(io::Cursor::new(model.inodes[inode].seen.clone())))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        self.spend("rename", from)?
            .rename(from, to)
            .map_err(Error::io("rename", from))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> Result<bool, Error> {
        let mut model = self.spend("rename", from)?;
        if model.inode(to).is_some() {
            return Ok(false);
        }
        model.rename(from, to).map_err(Error::io("rename", from))?;
        Ok(true)
    }

    fn remove(&self, path: &Path) -> Result<bool, Error> {
        let mut model = self.spend("remove", path)?;
        let there = model.inode(path).is_some();
        if there {
            model.name(path, None, None);
        }
        Ok(there)
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), Error> {
        let mut model = self.spend("sync", dir)?;
        let paths: Vec<PathBuf> = model
            .names
            .keys()
            .filter(|path| folder(path) == dir)
            .cloned()
            .collect();
        let now = model.ticks;
        for path in paths {
            model.settle(&path, now);
        }
        Ok(())
    }

    fn create_dirs(&self, dir: &Path) -> Result<(), Error> {
        let mut model = self.spend("create", dir)?;
        model.folders.extend(dir.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>, Error> {
        self.power.check().map_err(Error::io("list", dir))?;
        let model = self.model();
        if !model.folders.contains(dir) {
            return Err(Error::io("list", dir)(ErrorKind::NotFound.into()));
        }
        let folders = model
            .folders
            .iter()
            .filter(|path| path.parent() == Some(dir));
        let files = model.names.keys().filter(|path| folder(path) == dir);
        let entry = |path: &PathBuf| {
            Some(Entry {
                path: path.clone(),
                meta: model.meta(path)?,
            })
        };
        let mut entries: Vec<Entry> = folders.chain(files).filter_map(entry).collect();
        entries.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(entries)
    }

    fn look(&self, path: &Path) -> Result<Option<Meta>, Error> {
        self.power.check().map_err(Error::io("look at", path))?;
        Ok(self.model().meta(path))
    }
}

impl Model {
    fn meta(&self, path: &Path) -> Option<Meta> {
        let time = |ticks| SystemTime::UNIX_EPOCH + Duration::from_secs(ticks);
        let folder = self.folders.contains(path);
        let (number, length, modified) = if folder {
            (usize::MAX, 0, 0)
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
            folder,
            link: false,
            regular: !folder,
        })
    }
}

/// A small generator (splitmix64), so that a seed is a whole story.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % u64::try_from(limit.max(1)).unwrap_or(1)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survivals(make: impl Fn(&FakeDisk)) -> BTreeSet<Vec<(String, Vec<u8>)>> {
        let shown = |seed| {
            let disk = FakeDisk::new();
            disk.create_dirs(Path::new("/d")).unwrap();
            disk.create_dirs(Path::new("/e")).unwrap();
            make(&disk);
            disk.reboot(seed);
            let files = disk.files().into_iter();
            files
                .map(|(path, bytes)| (path.to_string_lossy().into_owned(), bytes))
                .collect()
        };
        (0..200).map(shown).collect()
    }

    fn write(disk: &FakeDisk, path: &str, bytes: &[u8]) -> Box<dyn Written> {
        let mut file = disk.create(Path::new(path)).unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn forgets_what_was_not_synced() {
        let states = survivals(|disk| drop(write(disk, "/d/a", b"12")));
        let file = |bytes: &[u8]| vec![("/d/a".to_owned(), bytes.to_vec())];
        for expected in [vec![], file(b""), file(b"1"), file(b"12"), file(&[0, 0])] {
            assert!(states.contains(&expected), "{expected:?}");
        }
    }

    #[test]
    fn keeps_what_was_synced() {
        let states = survivals(|disk| {
            write(disk, "/d/a", b"12").sync().unwrap();
            disk.sync_dir(Path::new("/d")).unwrap();
        });
        assert_eq!(
            states,
            BTreeSet::from([vec![("/d/a".to_owned(), b"12".to_vec())]])
        );
    }

    #[test]
    fn a_rename_is_done_or_not_or_shows_both_names_and_never_none() {
        let states = survivals(|disk| {
            disk.put(Path::new("/d/a"), b"x");
            disk.rename(Path::new("/d/a"), Path::new("/e/a")).unwrap();
        });
        let names: BTreeSet<Vec<String>> = states
            .into_iter()
            .map(|files| files.into_iter().map(|(name, _)| name).collect())
            .collect();
        let expected = [vec!["/d/a"], vec!["/e/a"], vec!["/d/a", "/e/a"]];
        assert_eq!(
            names,
            expected
                .map(|list| list.into_iter().map(str::to_owned).collect())
                .into()
        );
    }

    #[test]
    fn syncing_the_old_folder_of_a_rename_keeps_the_new_name_too() {
        let states = survivals(|disk| {
            disk.put(Path::new("/d/a"), b"x");
            disk.rename(Path::new("/d/a"), Path::new("/e/a")).unwrap();
            disk.sync_dir(Path::new("/d")).unwrap();
        });
        assert_eq!(
            states,
            BTreeSet::from([vec![("/e/a".to_owned(), b"x".to_vec())]])
        );
    }

    #[test]
    fn a_failed_sync_loses_the_bytes_whatever_the_next_one_says() {
        let states = survivals(|disk| {
            let mut file = write(disk, "/d/a", b"12");
            disk.sync_dir(Path::new("/d")).unwrap();
            disk.fail_syncs(1);
            assert!(file.sync().is_err());
            file.sync().unwrap();
        });
        assert_eq!(states, BTreeSet::from([vec![("/d/a".to_owned(), vec![])]]));
    }

    #[test]
    fn after_the_cut_everything_fails() {
        let disk = FakeDisk::new();
        disk.put(Path::new("/d/a"), b"x");
        disk.power().cut_at(2);
        disk.create(Path::new("/d/b")).unwrap();
        assert!(disk.remove(Path::new("/d/a")).is_err());
        assert!(disk.open(Path::new("/d/a")).is_err());
        disk.reboot(1);
        assert!(disk.open(Path::new("/d/a")).is_ok());
    }
}
