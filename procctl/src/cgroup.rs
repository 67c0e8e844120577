//! Control groups (version 2) for runs, where they can be had: one folder a run, named `JOB-RUN`, under
//! one folder a home. Where the kernel or the rights are missing, nothing else depends on them.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// The folder in which a home's runs have their groups.
#[derive(Debug, Clone)]
pub struct Cgroups {
    folder: PathBuf,
    memory: bool,
}

/// A run's group, open for a child to be born in.
#[derive(Debug)]
pub struct Group {
    /// Its folder.
    pub path: PathBuf,
    /// The folder, open.
    pub folder: OwnedFd,
}

impl Cgroups {
    /// Makes the home's folder below our own group; `None` with a reason in the log where that
    /// cannot be done.
    pub fn find(home: u64) -> Option<Cgroups> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let base = own_group(&mounts, &own)?;
        let folder = base.join(format!("procctl-{home:016x}"));
        if let Err(error) = fs::create_dir(&folder)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            log::info!("no control groups: make {}: {error}", folder.display());
            return None;
        }
        if !folder.join("cgroup.kill").exists() {
            log::info!("no control groups: this kernel cannot kill a group at once");
            return None;
        }
        let memory = enable_memory(&base, &folder);
        Some(Cgroups { folder, memory })
    }

    /// Whether a group can limit memory.
    pub fn limits_memory(&self) -> bool {
        self.memory
    }

    /// Makes the group of a run, with a memory limit in bytes where that is possible.
    pub fn create(&self, job: &str, run: u64, memory: Option<u64>) -> io::Result<Group> {
        let path = self.folder.join(format!("{job}-{run}"));
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        if let (Some(limit), true) = (memory, self.memory) {
            fs::write(path.join("memory.max"), limit.to_string())?;
            // without swap the limit would only move the trouble to the disk
            fs::write(path.join("memory.swap.max"), "0").or_else(ignore_missing)?;
        }
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(&path, flags, Mode::empty())?;
        Ok(Group { path, folder })
    }

    /// Removes the groups of runs that nobody is left of, and those of earlier supervisors with them.
    pub fn sweep(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                remove(&entry.path());
            }
        }
    }

    /// Removes the home's folder if nothing is left in it.
    pub fn leave(&self) {
        self.sweep();
        remove(&self.folder);
    }
}

/// Whether no process is left in a group; a group that is gone counts as empty.
pub fn is_empty(group: &Path) -> bool {
    match fs::read_to_string(group.join("cgroup.events")) {
        Ok(text) => text.lines().any(|line| line == "populated 0"),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Ends every process in a group at once.
pub fn kill(group: &Path) -> io::Result<()> {
    fs::write(group.join("cgroup.kill"), "1").or_else(ignore_missing)
}

/// Most memory the group ever used, in bytes, where the kernel counts it.
pub fn peak_memory(group: &Path) -> Option<u64> {
    let text = fs::read_to_string(group.join("memory.peak")).ok()?;
    text.trim().parse().ok()
}

/// Removes a group and those that a run made inside it; one that still has processes stays.
pub fn remove(group: &Path) {
    if fs::remove_dir(group).is_ok() {
        return;
    }
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    if let Err(error) = fs::remove_dir(group)
        && error.kind() != io::ErrorKind::NotFound
    {
        log::debug!("remove {}: {error}", group.display());
    }
}

fn ignore_missing(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    }
}

/// Our own group's folder, from the texts of `/proc/self/mountinfo` and `/proc/self/cgroup`; on
/// hybrid systems that of the version 2 hierarchy.
fn own_group(mounts: &str, own: &str) -> Option<PathBuf> {
    let inside = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (fields, kind) = line.split_once(" - ")?;
        if !kind.starts_with("cgroup2 ") {
            return None;
        }
        let mut fields = fields.split(' ').skip(3);
        let (root, mount) = (fields.next()?, fields.next()?);
        let below = Path::new(inside).strip_prefix(root).ok()?;
        Some(Path::new(mount).join(below))
    })
}

/// Turns the memory controller on for our runs. A group that hands controllers down may hold no
/// processes of its own: if we are the only one in ours, we move into a group beside the runs'.
fn enable_memory(base: &Path, folder: &Path) -> bool {
    let has = |folder: &Path| {
        fs::read_to_string(folder.join("cgroup.controllers"))
            .is_ok_and(|text| text.split_whitespace().any(|name| name == "memory"))
    };
    let hand_down = |folder: &Path| fs::write(folder.join("cgroup.subtree_control"), "+memory");
    if !has(base) {
        return false;
    }
    if !has(folder) && hand_down(base).is_err() {
        let procs = fs::read_to_string(base.join("cgroup.procs")).unwrap_or_default();
        if procs.trim() != std::process::id().to_string() {
            log::info!("memory limits by RLIMIT_AS: {} is shared", base.display());
            return false;
        }
        let beside = base.join("procctl");
        let moved = fs::create_dir(&beside)
            .and_then(|()| fs::write(beside.join("cgroup.procs"), procs.trim()))
            .and_then(|()| hand_down(base));
        if let Err(error) = moved {
            log::info!("memory limits by RLIMIT_AS: {}: {error}", base.display());
            return false;
        }
    }
    has(folder) && hand_down(folder).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
35 28 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
36 28 0:31 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    #[test]
    fn our_group_is_found_on_hybrid_and_in_containers() {
        let own = "5:memory:/\n0::/user.slice/a.scope\n";
        assert_eq!(
            own_group(HYBRID, own),
            Some("/sys/fs/cgroup/unified/user.slice/a.scope".into())
        );
        let container = "36 28 0:31 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        assert_eq!(
            own_group(container, "0::/docker/abc/x\n"),
            Some("/sys/fs/cgroup/x".into())
        );
        assert_eq!(own_group(container, "0::/elsewhere\n"), None);
        assert_eq!(own_group("", own), None);
        assert_eq!(own_group(HYBRID, "5:memory:/\n"), None);
    }

    #[test]
    fn a_missing_group_is_empty_and_killed_without_error() {
        let nowhere = Path::new("/nonexistent/group");
        assert!(is_empty(nowhere));
        assert!(kill(nowhere).is_ok());
        assert_eq!(peak_memory(nowhere), None);
    }
}
