//! Whom root may believe: files and folders that nobody else could have written.
//!
//! Every step of a path counts, also those behind symbolic links: whoever may write one of the folders could
//! put another file in place.

use crate::problem::Problem;
use rustix::fs::{FileType, Mode, Stat, lstat, readlink};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// As many as the kernel follows.
const MAX_LINKS: usize = 40;

/// For root: refuses a file or folder that others may write, and one in a folder that others may write. The
/// folders further up may be shared if they are sticky, like `/tmp`: nobody but the owner can replace what is
/// in them. For other users everything is fine, since a job runs as them anyway.
pub fn check_trust(path: &Path) -> Result<(), Problem> {
    let euid = rustix::process::geteuid();
    if !euid.is_root() {
        return Ok(());
    }
    check_as(path, euid.as_raw()).map_err(|message| Problem::whole(path, message))
}

/// The check with the user given: files must belong to root or to `uid`.
fn check_as(path: &Path, uid: u32) -> Result<(), String> {
    let absolute = std::path::absolute(path).map_err(|e| format!("cannot find: {e}"))?;
    let mut todo: VecDeque<OsString> = steps(&absolute);
    let mut done = PathBuf::from("/");
    let mut links = 0;
    // the folder of the last step is judged strictly, once it is known which one it is
    let mut folder: Option<(PathBuf, Stat)> = None;
    while let Some(step) = todo.pop_front() {
        if step == ".." {
            done.pop();
            continue;
        }
        let here = done.join(&step);
        let stat = lstat(&here).map_err(|e| format!("cannot look at {}: {e}", here.display()))?;
        check_owner(&here, &stat, uid)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(format!("{}: too many symbolic links", here.display()));
                }
                let target = readlink(&here, Vec::new())
                    .map_err(|e| format!("cannot read the link {}: {e}", here.display()))?;
                let target = Path::new(OsStr::from_bytes(target.as_bytes())).to_path_buf();
                if target.is_absolute() {
                    done = PathBuf::from("/");
                }
                for step in steps(&target).into_iter().rev() {
                    todo.push_front(step);
                }
                continue;
            }
            FileType::Directory if !todo.is_empty() => {
                check_mode(&here, &stat, true)?;
                folder = Some((here.clone(), stat));
            }
            _ => check_mode(&here, &stat, false)?,
        }
        done = here;
    }
    match folder {
        Some((folder, stat)) => check_mode(&folder, &stat, false),
        None => Ok(()),
    }
}

fn steps(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter(|c| matches!(c, Component::Normal(_) | Component::ParentDir))
        .map(|c| c.as_os_str().to_os_string())
        .collect()
}

fn check_owner(path: &Path, stat: &Stat, uid: u32) -> Result<(), String> {
    if stat.st_uid == 0 || stat.st_uid == uid {
        return Ok(());
    }
    let (path, owner) = (path.display(), stat.st_uid);
    Err(format!(
        "is not taken as root: {path} belongs to user {owner}, who may write it"
    ))
}

fn check_mode(path: &Path, stat: &Stat, sticky_is_fine: bool) -> Result<(), String> {
    let mode = Mode::from_raw_mode(stat.st_mode);
    let shared = mode.intersects(Mode::WGRP | Mode::WOTH);
    if !shared || (sticky_is_fine && mode.contains(Mode::SVTX)) {
        return Ok(());
    }
    let who = if mode.contains(Mode::WOTH) {
        "everyone"
    } else {
        "its group"
    };
    let path = path.display();
    Err(format!(
        "is not taken as root: {path} may be written by {who} (chmod go-w)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn me() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    /// A home with one job file, nothing of it writable by others.
    fn home() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let jobs = home.path().join("jobs");
        fs::create_dir(&jobs).unwrap();
        mode(&jobs, 0o755);
        let file = jobs.join("a.xml");
        fs::write(&file, "<a/>").unwrap();
        mode(&file, 0o644);
        (home, jobs, file)
    }

    #[test]
    fn what_only_we_may_write_is_trusted() {
        let (_home, jobs, file) = home();
        assert_eq!(check_as(&file, me()), Ok(()));
        assert_eq!(check_as(&jobs, me()), Ok(()));
    }

    #[test]
    fn what_others_may_write_is_not() {
        let (_home, jobs, file) = home();
        mode(&file, 0o666);
        assert!(check_as(&file, me()).unwrap_err().contains("everyone"));
        mode(&file, 0o664);
        assert!(check_as(&file, me()).unwrap_err().contains("its group"));
        mode(&file, 0o644);
        mode(&jobs, 0o777);
        assert!(check_as(&file, me()).is_err());
        // a shared folder of jobs is not made better by its sticky bit
        mode(&jobs, 0o1777);
        assert!(check_as(&file, me()).is_err());
    }

    #[test]
    fn folders_above_count_too() {
        let (home, _jobs, file) = home();
        mode(home.path(), 0o777);
        assert!(check_as(&file, me()).is_err());
        mode(home.path(), 0o1777);
        assert_eq!(check_as(&file, me()), Ok(()));
    }

    #[test]
    fn links_are_judged_by_what_they_lead_through() {
        let (home, jobs, file) = home();
        let open = home.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::write(open.join("b.xml"), "<b/>").unwrap();
        mode(&open.join("b.xml"), 0o644);
        symlink("../open/b.xml", jobs.join("b.xml")).unwrap();
        assert_eq!(check_as(&jobs.join("b.xml"), me()), Ok(()));
        mode(&open, 0o777);
        assert!(check_as(&jobs.join("b.xml"), me()).is_err());
        // a link in the open folder leads back to a good file, but could be turned
        symlink(&file, open.join("turn")).unwrap();
        symlink(open.join("turn"), jobs.join("c.xml")).unwrap();
        assert!(check_as(&jobs.join("c.xml"), me()).is_err());
        symlink("round", jobs.join("round")).unwrap();
        assert!(
            check_as(&jobs.join("round"), me())
                .unwrap_err()
                .contains("too many")
        );
    }

    #[test]
    fn what_belongs_to_others_is_not_trusted() {
        let (_home, _jobs, file) = home();
        if me() == 0 {
            rustix::fs::chown(&file, Some(rustix::fs::Uid::from_raw(12_345)), None).unwrap();
            assert!(check_as(&file, 0).unwrap_err().contains("12345"));
        } else {
            assert!(check_as(&file, me() + 1).is_err());
        }
        assert!(check_as(Path::new("/nowhere/at/all"), me()).is_err());
    }
}
