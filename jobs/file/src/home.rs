//! The home folder: where settings, job files, state, logs and sockets are.

use crate::problem::{Problem, Problems};
use crate::settings::Settings;
use std::path::{Path, PathBuf};

/// The home where nothing else names one.
const LAST_RESORT: &str = "etc";

/// A home and its folders, absolute. The folders need not exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Home {
    /// The home itself, canonical.
    pub root: PathBuf,
    /// Job files.
    pub jobs: PathBuf,
    /// Executables of kinds in other languages.
    pub kinds: PathBuf,
    /// What jobs remember.
    pub state: PathBuf,
    /// Logs and evidence.
    pub log: PathBuf,
    /// Sockets and locks.
    pub run: PathBuf,
    /// What `procctl.xml` says.
    pub settings: Settings,
}

impl Home {
    /// Finds the home: the option if there is one, else `PROCCTL_HOME`, else `/etc/procctl` if it exists, else
    /// `./etc`; and reads its settings.
    pub fn find(option: Option<&Path>) -> Result<Home, Problems> {
        Home::open(&Home::place(option))
    }

    /// As `find`, but where nobody named a home and there is none, it is the `./etc` that whoever writes into it first
    /// will make: a job can then be run in any folder.
    pub fn find_or_plan(option: Option<&Path>) -> Result<Home, Problems> {
        let place = Home::place(option);
        if place != Path::new(LAST_RESORT) || place.exists() {
            return Home::open(&place);
        }
        let root = std::path::absolute(&place)
            .map_err(|e| Problem::whole(&place, format!("cannot tell where it is: {e}")))?;
        Home::at(root)
    }

    /// Where the home is by the rules of `find`.
    fn place(option: Option<&Path>) -> PathBuf {
        let variable = std::env::var_os("PROCCTL_HOME").filter(|v| !v.is_empty());
        let system = Path::new("/etc/procctl");
        match (option, variable) {
            (Some(option), _) => option.to_path_buf(),
            (None, Some(variable)) => PathBuf::from(variable),
            (None, None) if system.exists() => system.to_path_buf(),
            (None, None) => PathBuf::from(LAST_RESORT),
        }
    }

    /// The home at a given place.
    pub fn open(place: &Path) -> Result<Home, Problems> {
        let root = place
            .canonicalize()
            .map_err(|e| Problem::whole(place, format!("cannot open the home folder: {e}")))?;
        if !root.is_dir() {
            return Err(Problem::whole(place, "the home is not a folder").into());
        }
        Home::at(root)
    }

    /// The home whose absolute path this is.
    fn at(root: PathBuf) -> Result<Home, Problems> {
        let settings = Settings::read(&root.join("procctl.xml"), &root)?;
        Ok(Home {
            jobs: root.join("jobs"),
            kinds: root.join("kinds"),
            state: root.join(&settings.state),
            log: root.join(&settings.log),
            run: root.join(&settings.run),
            settings,
            root,
        })
    }

    /// A path as any file of the home means it: relative ones begin at the home.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// A number for this home, the same in every process and never 0: FNV-1a of the canonical path.
    pub fn hash(&self) -> u64 {
        use std::os::unix::ffi::OsStrExt;
        let bytes = self.root.as_os_str().as_bytes();
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        hash.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn folders_follow_the_settings() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(
            dir.path().join("procctl.xml"),
            "<procctl log='/var/log/x'/>",
        )
        .unwrap();
        let home = Home::open(dir.path()).unwrap();
        assert_eq!(home.log, Path::new("/var/log/x"));
        assert_eq!(home.state, home.root.join("state"));
        assert_eq!(home.path("in"), home.root.join("in"));
        assert_eq!(home.path("/in"), Path::new("/in"));
    }

    #[test]
    fn one_home_has_one_hash() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        let one = Home::open(dir.path()).unwrap().hash();
        assert_eq!(one, Home::open(&dir.path().join("sub/..")).unwrap().hash());
        assert_ne!(one, Home::open(&dir.path().join("sub")).unwrap().hash());
        assert!(Home::open(&dir.path().join("none")).is_err());
    }
}
