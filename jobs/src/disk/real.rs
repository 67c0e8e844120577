//! The system's own disk. Nothing is decided here: one call, one error with its path.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    os::unix::fs::{FileExt as _, MetadataExt},
    path::Path,
    time::{Duration, SystemTime},
};

use rustix::{
    fs::{CWD, RenameFlags},
    io::Errno,
};

use super::early::{Early, STRIDE};
use super::{Disk, Entry, Meta, Written, folder};
use crate::{error::Error, writers::Writers};

/// The disk of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

/// Written at once where room is laid out.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// A file being written.
struct Handle {
    file: File,
    /// Bytes since the disk was last reminded.
    since: usize,
    early: Option<Early>,
}

impl Handle {
    /// A long file goes to the disk while it is written.
    fn remind(&mut self) -> io::Result<()> {
        self.since = 0;
        match &self.early {
            Some(early) => early.remind(),
            None => self.early.insert(Early::start(&self.file)?).remind(),
        }
        Ok(())
    }
}

impl Write for Handle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.file.write(bytes)?;
        self.since += taken;
        if self.since >= STRIDE {
            self.remind()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written for Handle {
    fn sync(&mut self) -> io::Result<()> {
        self.early.take().map_or(Ok(()), Early::end)?;
        self.file.sync_all()
    }

    fn sync_data(&mut self) -> io::Result<()> {
        // an error that the thread has met is not told a second time
        self.early.take().map_or(Ok(()), Early::end)?;
        self.since = 0;
        self.file.sync_data()
    }

    fn lay_room(&mut self, bytes: u64) -> io::Result<()> {
        let end = self.file.stream_position()? + bytes;
        let mut at = self.file.metadata()?.len();
        while at < end {
            let piece = ZEROS
                .len()
                .min(usize::try_from(end - at).unwrap_or(usize::MAX));
            self.file.write_all_at(&ZEROS[..piece], at)?;
            at += piece as u64;
        }
        self.file.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.file.seek(SeekFrom::Start(length)).map(drop)
    }
}

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> Result<Box<dyn Written>, Error> {
        let file = File::create_new(path).map_err(Error::io("create", path))?;
        Ok(Box::new(Handle {
            file,
            since: 0,
            early: None,
        }))
    }

    fn append(&self, path: &Path) -> Result<Box<dyn Written>, Error> {
        let file = File::options()
            .append(true)
            .open(path)
            .map_err(Error::io("open", path))?;
        Ok(Box::new(Handle {
            file,
            since: 0,
            early: None,
        }))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Read + Send>, Error> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        Ok(Box::new(file))
    }

    fn overwrite(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        File::options()
            .write(true)
            .open(path)
            .and_then(|mut file| {
                file.write_all(bytes)?;
                file.sync_data()
            })
            .map_err(Error::io("write", path))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        fs::rename(from, to).map_err(Error::io("rename", from))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> Result<bool, Error> {
        match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            // some network file systems know no NOREPLACE; a hard link never replaces either
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => link_over(from, to),
            Err(error) => Err(Error::io("rename", from)(error.into())),
        }
    }

    fn remove(&self, path: &Path) -> Result<bool, Error> {
        match fs::remove_file(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io("remove", path)(error)),
        }
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), Error> {
        File::open(dir)
            .and_then(|dir| dir.sync_all())
            .map_err(Error::io("sync", dir))
    }

    fn sync_file(&self, path: &Path) -> Result<(), Error> {
        self.sync_dir(path)
    }

    fn create_dirs(&self, dir: &Path) -> Result<(), Error> {
        if dir.is_dir() {
            return Ok(());
        }
        let parent = folder(dir);
        if parent != dir {
            self.create_dirs(parent)?;
        }
        match fs::create_dir(dir) {
            Ok(()) => self.sync_dir(parent),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
            Err(error) => Err(Error::io("create", dir)(error)),
        }
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir).map_err(Error::io("list", dir))? {
            let path = entry.map_err(Error::io("list", dir))?.path();
            if let Some(meta) = self.look(&path)? {
                entries.push(Entry { path, meta });
            }
        }
        entries.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(entries)
    }

    fn dress(&self, path: &Path, like: &Path) -> Result<(), Error> {
        let meta = fs::metadata(like).map_err(Error::io("look at", like))?;
        let file = File::options()
            .write(true)
            .open(path)
            .map_err(Error::io("open", path))?;
        let times = fs::FileTimes::new()
            .set_modified(meta.modified().map_err(Error::io("look at", like))?)
            .set_accessed(meta.accessed().map_err(Error::io("look at", like))?);
        // the owner first: changing it may take permissions away; that others' files stay ours is no error
        let _ours = std::os::unix::fs::fchown(&file, Some(meta.uid()), Some(meta.gid()));
        file.set_permissions(meta.permissions())
            .and_then(|()| file.set_times(times))
            .map_err(Error::io("set the times of", path))
    }

    fn set_modified(&self, path: &Path, time: SystemTime) -> Result<(), Error> {
        File::options()
            .append(true)
            .open(path)
            .and_then(|file| file.set_modified(time))
            .map_err(Error::io("set the time of", path))
    }

    fn writers(&self) -> Writers {
        Writers::snapshot()
    }

    fn look(&self, path: &Path) -> Result<Option<Meta>, Error> {
        let own = fs::symlink_metadata(path);
        let link = own.as_ref().is_ok_and(fs::Metadata::is_symlink);
        let found = if link { fs::metadata(path) } else { own };
        match found {
            Ok(meta) => Ok(Some(Meta {
                length: meta.len(),
                modified: meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                changed: changed(&meta),
                inode: (meta.dev(), meta.ino()),
                folder: meta.is_dir(),
                link,
                regular: meta.is_file() && !link,
            })),
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                Ok(None)
            }
            Err(error) => Err(Error::io("look at", path)(error)),
        }
    }
}

/// The inode's own time; nothing before 1970 is told apart.
fn changed(meta: &fs::Metadata) -> SystemTime {
    let seconds = u64::try_from(meta.ctime()).unwrap_or(0);
    let nanos = u32::try_from(meta.ctime_nsec()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos)
}

fn link_over(from: &Path, to: &Path) -> Result<bool, Error> {
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from)
            .map_err(Error::io("remove", from))
            .map(|()| true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Error::io("rename", from)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn does_what_the_face_says() {
        let home = tempfile::tempdir().unwrap();
        let (disk, dir) = (RealDisk, home.path().join("a/b"));
        disk.create_dirs(&dir).unwrap();
        disk.create_dirs(&dir).unwrap();
        let (one, two) = (dir.join("one"), dir.join("two"));
        let mut file = disk.create(&one).unwrap();
        file.write_all(b"1xyz").unwrap();
        file.cut(1).unwrap();
        file.lay_room(100_000).unwrap();
        assert_eq!(fs::metadata(&one).unwrap().len(), 100_001);
        file.write_all(b"2").unwrap();
        file.lay_room(100).unwrap();
        assert_eq!(fs::read(&one).unwrap()[..3], *b"12\0");
        file.cut(2).unwrap();
        file.sync_data().unwrap();
        disk.sync_file(&one).unwrap();
        assert!(disk.create(&one).is_err());
        disk.overwrite(&one, b"3").unwrap();
        assert_eq!(fs::read(&one).unwrap(), b"32");
        assert!(disk.overwrite(&two, b"3").is_err());
        drop(disk.create(&two).unwrap());
        assert!(!disk.rename_new(&one, &two).unwrap());
        assert!(!link_over(&one, &two).unwrap());
        disk.rename(&one, &two).unwrap();
        assert!(disk.rename_new(&two, &one).unwrap());
        assert!(link_over(&one, &two).unwrap());
        disk.sync_dir(&dir).unwrap();
        let names: Vec<String> = disk.list(&dir).unwrap().iter().map(Entry::name).collect();
        assert_eq!(names, ["two"]);
        assert_eq!(disk.look(&two).unwrap().map(|meta| meta.length), Some(2));
        assert_eq!(disk.look(&two.join("x")).unwrap(), None);
        assert!(disk.remove(&two).unwrap());
        assert!(!disk.remove(&two).unwrap());
    }
}
