//! A small file system of a story's own, to be filled to the last byte.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A tmpfs on a folder; unmounted with it. Only root may make one.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of that size on the folder, which is made if it is not there. All may write into it.
    pub(crate) fn open_to_all(folder: PathBuf, size: &str) -> SmallDisk {
        SmallDisk::mount(folder, &format!("size={size},mode=777"))
    }

    /// As [`SmallDisk::open_to_all`], for this user alone.
    pub(crate) fn new(folder: PathBuf, size: &str) -> SmallDisk {
        SmallDisk::mount(folder, &format!("size={size},mode=755"))
    }

    fn mount(folder: PathBuf, how: &str) -> SmallDisk {
        fs::create_dir_all(&folder).expect("the folder");
        let disk = SmallDisk(folder);
        disk.run(how);
        disk
    }

    /// Gives it another size; what is on it stays.
    pub(crate) fn resize(&self, size: &str) {
        self.run(&format!("remount,size={size}"));
    }

    fn run(&self, how: &str) {
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", how, "tmpfs"])
            .arg(&self.0)
            .status();
        assert!(
            done.expect("running mount").success(),
            "a story mounts a small tmpfs, which needs root"
        );
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // lazily: somebody may still have a file of it open
        let _gone = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
