//! A disk in memory that may lose power at any operation. After a reboot it holds one of the states that
//! POSIX allows, chosen by a seed: bytes not synced are there, gone, cut short or zero, each sector of what was written over for
//! itself; names whose folder was not
//! synced are old or new, each name for itself; only a rename never loses a file under both names.
//! For tests alone.

mod model;
mod power;
mod sectors;

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::SystemTime,
};

use self::{
    model::{Kept, Model, Version},
    power::Dice,
};
use super::{Disk, Entry, Meta, Written, folder};
use crate::{error::Error, writers::Writers};

pub use self::power::Power;

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct FakeDisk {
    model: Arc<Mutex<Model>>,
    power: Power,
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

    /// Lets the next `n` writes find no room, as on a full disk.
    pub fn fill_up(&self, n: u64) {
        self.model().full_writes = n;
    }

    /// The power comes back: everything is as one of the allowed survivals of the cut, chosen by `seed`.
    pub fn reboot(&self, seed: u64) {
        let (mut model, mut dice) = (self.model(), Dice::new(seed));
        model.tear(&mut dice);
        model.survive(&mut dice);
        drop(model);
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

    /// As [`FakeDisk::reboot`], but only the process died, by SIGKILL say: nothing is forgotten.
    pub fn revive(&self) {
        self.power.restore();
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

struct Handle {
    disk: FakeDisk,
    inode: usize,
    /// Where writing goes on.
    at: usize,
}

impl Write for Handle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let spent = self.disk.power.spend();
        let mut model = self.disk.model();
        if model.full_writes > 0 {
            model.full_writes -= 1;
            return Err(ErrorKind::StorageFull.into());
        }
        let taken = arrived(&spent, bytes.len());
        let tick = model.tick();
        model.inodes[self.inode].write(self.at, &bytes[..taken], tick);
        self.at += taken;
        spent.map(|()| taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes that a write brings to the platter: the last one before the dark may arrive in part.
fn arrived(spent: &io::Result<()>, bytes: usize) -> usize {
    if spent.is_ok() { bytes } else { bytes / 2 }
}

impl Written for Handle {
    fn sync(&mut self) -> io::Result<()> {
        self.disk.power.spend()?;
        self.disk.model().sync(self.inode)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.disk.power.spend()?;
        let mut model = self.disk.model();
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        model.inodes[self.inode].seen.truncate(length);
        self.at = length;
        Ok(())
    }

    fn lay_room(&mut self, bytes: u64) -> io::Result<()> {
        let spent = self.disk.power.spend();
        let mut model = self.disk.model();
        if model.full_writes > 0 {
            model.full_writes -= 1;
            return Err(ErrorKind::StorageFull.into());
        }
        let from = model.inodes[self.inode].seen.len();
        let end = self.at + usize::try_from(bytes).unwrap_or(0);
        let zeros = vec![0; arrived(&spent, end.saturating_sub(from))];
        let tick = model.tick();
        model.inodes[self.inode].write(from, &zeros, tick);
        drop(model);
        spent?;
        self.sync()
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
            at: 0,
        }))
    }

    fn append(&self, path: &Path) -> Result<Box<dyn Written>, Error> {
        let model = self.spend("open", path)?;
        let inode = model
            .inode(path)
            .ok_or_else(|| Error::io("open", path)(ErrorKind::NotFound.into()))?;
        let at = model.inodes[inode].seen.len();
        drop(model);
        Ok(Box::new(Handle {
            disk: self.clone(),
            inode,
            at,
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

    fn overwrite(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let fail = || Error::io("write", path);
        let spent = self.power.spend();
        let mut model = self.model();
        let inode = model
            .inode(path)
            .ok_or_else(|| fail()(ErrorKind::NotFound.into()))?;
        let taken = arrived(&spent, bytes.len());
        let tick = model.tick();
        model.inodes[inode].write(0, &bytes[..taken], tick);
        spent.map_err(fail())?;
        self.power.spend().map_err(fail())?;
        model.sync(inode).map_err(fail())
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

    fn sync_file(&self, path: &Path) -> Result<(), Error> {
        let mut model = self.spend("sync", path)?;
        let inode = model
            .inode(path)
            .ok_or_else(|| Error::io("sync", path)(ErrorKind::NotFound.into()))?;
        let inode = &mut model.inodes[inode];
        if !inode.poisoned {
            inode.durable.clone_from(&inode.seen);
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

    fn dress(&self, path: &Path, _like: &Path) -> Result<(), Error> {
        self.power
            .check()
            .map_err(Error::io("set the times of", path))
    }

    fn set_modified(&self, path: &Path, _time: SystemTime) -> Result<(), Error> {
        self.power
            .check()
            .map_err(Error::io("set the time of", path))
    }

    fn writers(&self) -> Writers {
        Writers::default()
    }

    fn look(&self, path: &Path) -> Result<Option<Meta>, Error> {
        self.power.check().map_err(Error::io("look at", path))?;
        Ok(self.model().meta(path))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
    fn what_is_written_over_may_be_old_in_part_until_it_is_synced() {
        let file = |bytes: &[u8]| vec![("/d/a".to_owned(), bytes.to_vec())];
        let states = survivals(|disk| {
            disk.put(Path::new("/d/a"), b"123");
            disk.power().cut_at(disk.power().spent() + 2);
            assert!(disk.overwrite(Path::new("/d/a"), b"xy").is_err());
        });
        for expected in [file(b"123"), file(b"xy3"), file(b"x23")] {
            assert!(states.contains(&expected), "{expected:?}");
        }
        let states = survivals(|disk| {
            disk.put(Path::new("/d/a"), b"123");
            disk.overwrite(Path::new("/d/a"), b"xy").unwrap();
        });
        assert_eq!(states, BTreeSet::from([file(b"xy3")]));
    }

    #[test]
    fn sectors_of_laid_out_room_come_in_any_order() {
        let states = survivals(|disk| {
            let mut file = write(disk, "/d/a", b"1");
            file.lay_room(1200).unwrap();
            disk.sync_dir(Path::new("/d")).unwrap();
            file.write_all(&[7; 1000]).unwrap();
        });
        let shape = |bytes: &[u8]| [5, 700, 1100].map(|at| bytes.get(at).copied().unwrap_or(0));
        let shapes: BTreeSet<_> = states.iter().map(|files| shape(&files[0].1)).collect();
        for expected in [[0, 0, 0], [7, 0, 0], [0, 7, 0], [7, 7, 0]] {
            assert!(shapes.contains(&expected), "{expected:?}");
        }
        assert!(states.iter().all(|files| files[0].1[0] == b'1'));
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
