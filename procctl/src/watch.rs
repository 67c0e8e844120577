//! Notices changes in the jobs folder, and when they have settled. Reads no job file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

/// Changes are taken after this long without another.
const QUIET: Duration = Duration::from_millis(500);

/// And after this long at the latest, however busily somebody writes there.
const LONGEST: Duration = Duration::from_secs(5);

/// The watch on one folder and on its parent, so that it is found again when it is moved away,
/// removed or comes back.
#[derive(Debug)]
pub struct Watch {
    inotify: Inotify,
    folder: PathBuf,
    inside: Option<WatchDescriptor>,
    above: Option<WatchDescriptor>,
    /// First and last change that nobody has looked at.
    changed: Option<(Duration, Duration)>,
}

impl Watch {
    /// Watches `folder`, which need not exist as long as its parent does.
    pub fn new(folder: &Path) -> Result<Watch, Errno> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let mut watch = Watch {
            inotify,
            folder: folder.to_path_buf(),
            inside: None,
            above: None,
            changed: None,
        };
        watch.attach();
        Ok(watch)
    }

    /// Readable when something has changed.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    /// (Re)places the watches; adding one that is there changes nothing.
    fn attach(&mut self) {
        let inside = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        if let (Some(old), true) = (self.inside.take(), self.folder.is_dir()) {
            // a folder moved away would be watched on; the kernel may have dropped it already
            self.inotify.rm_watch(old).unwrap_or_default();
        }
        self.inside = self.inotify.add_watch(&self.folder, inside).ok();
        if let (None, Some(parent)) = (self.above, self.folder.parent()) {
            let above = AddWatchFlags::IN_CREATE
                | AddWatchFlags::IN_MOVED_TO
                | AddWatchFlags::IN_MOVED_FROM
                | AddWatchFlags::IN_DELETE
                | AddWatchFlags::IN_ONLYDIR;
            match self.inotify.add_watch(parent, above) {
                Ok(watch) => self.above = Some(watch),
                Err(error) => log::warn!("watch {}: {error}", parent.display()),
            }
        }
        if self.inside.is_none() {
            log::warn!(
                "{} cannot be watched; waiting for it",
                self.folder.display()
            );
        }
    }

    /// Reads what has come and starts or prolongs the wait for quiet.
    pub fn read(&mut self, now: Duration) {
        let name = self.folder.file_name().map(ToOwned::to_owned);
        let (mut touched, mut lost) = (false, false);
        while let Ok(events) = self.inotify.read_events() {
            for event in events {
                if Some(event.wd) == self.above {
                    lost |= event.name == name;
                } else if Some(event.wd) == self.inside {
                    let gone = AddWatchFlags::IN_DELETE_SELF
                        | AddWatchFlags::IN_MOVE_SELF
                        | AddWatchFlags::IN_IGNORED;
                    lost |= event.mask.intersects(gone);
                    touched = true;
                } else if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                    touched = true;
                }
            }
        }
        if lost {
            self.attach();
        }
        if touched || lost {
            let first = self.changed.map_or(now, |(first, _)| first);
            self.changed = Some((first, now));
        }
    }

    /// Asks for a look at the folder as soon as it is quiet, as after a reload.
    pub fn touch(&mut self, now: Duration) {
        self.changed.get_or_insert((now, now));
    }

    /// When the changes will have settled.
    pub fn due(&self) -> Option<Duration> {
        let (first, last) = self.changed?;
        Some((last + QUIET).min(first + LONGEST))
    }

    /// True once when the changes have settled.
    pub fn settled(&mut self, now: Duration) -> bool {
        let due = self.due().is_some_and(|due| due <= now);
        if due {
            self.changed = None;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn changes_settle_after_quiet_and_a_busy_writer_does_not_hold_them_up() {
        let home = tempfile::tempdir().unwrap();
        let jobs = home.path().join("jobs");
        fs::create_dir(&jobs).unwrap();
        let mut watch = Watch::new(&jobs).unwrap();
        watch.read(at(0));
        assert_eq!(watch.due(), None);
        fs::write(jobs.join("a.xml"), "x").unwrap();
        watch.read(at(100));
        assert_eq!(watch.due(), Some(at(600)));
        assert!(!watch.settled(at(599)));
        assert!(watch.settled(at(600)));
        for step in 0..20 {
            fs::write(jobs.join("a.xml"), "y").unwrap();
            watch.read(at(1000 + step * 400));
        }
        assert_eq!(watch.due(), Some(at(6000)));
    }

    #[test]
    fn a_folder_that_goes_and_comes_back_is_found_again() {
        let home = tempfile::tempdir().unwrap();
        let jobs = home.path().join("jobs");
        let mut watch = Watch::new(&jobs).unwrap();
        fs::create_dir(&jobs).unwrap();
        watch.read(at(0));
        assert!(watch.settled(at(500)));
        fs::write(jobs.join("a.xml"), "x").unwrap();
        watch.read(at(1000));
        assert!(watch.settled(at(1500)));
        fs::rename(&jobs, home.path().join("elsewhere")).unwrap();
        watch.read(at(2000));
        assert!(watch.settled(at(2500)));
        fs::write(home.path().join("elsewhere/b.xml"), "x").unwrap();
        watch.read(at(3000));
        fs::create_dir(&jobs).unwrap();
        fs::write(jobs.join("c.xml"), "x").unwrap();
        watch.read(at(4000));
        assert!(watch.due().is_some());
        watch.settled(at(9000));
        fs::write(jobs.join("d.xml"), "x").unwrap();
        watch.read(at(10_000));
        assert!(watch.settled(at(10_500)));
    }
}
