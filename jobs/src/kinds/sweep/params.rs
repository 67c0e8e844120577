//! The parameters of `sweep`, and the folders it refuses.

use std::path::Path;

use jobfile::{Interval, Patterns};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::Compression;
use crate::job::Invalid;

/// Folders that no sweep may begin at: a slip of the pen there costs the machine.
const REFUSED: [&str; 14] = [
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/opt", "/root", "/run",
    "/sbin", "/usr", "/var",
];
/// Folders that are no disk: nothing below them may be swept either.
const UNREAL: [&str; 3] = ["/dev", "/proc", "/sys"];
/// Shared memory is below `/dev` and may well need sweeping.
const REAL: &str = "/dev/shm";

/// Old files of some folders are deleted or packed, never one that is still written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Params {
    /// Which files, and what becomes of them; worked on in order.
    pub(super) files: Vec<Files>,
}

/// Files of a folder, and what becomes of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Files {
    /// The folder.
    pub(super) dir: String,
    /// Patterns of the names, comma-separated. Names that begin with a dot are left alone.
    #[serde(rename = "match")]
    pub(super) pattern: Patterns,
    /// How long ago a file must have been written last.
    pub(super) older: Interval,
    /// Whether folders below the folder are swept too. Folders themselves stay, be they empty.
    #[serde(default)]
    pub(super) recurse: bool,
    /// What becomes of the files.
    pub(super) action: Action,
}

/// What becomes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Action {
    /// It is removed.
    Delete,
    /// It is packed into `FILE.gz`, which takes its place.
    Gzip,
    /// It is packed into `FILE.zst`, which takes its place.
    Zstd,
}

impl Action {
    /// How the file is packed; `None` when it is removed.
    pub(super) fn packing(self) -> Option<Compression> {
        match self {
            Action::Delete => None,
            Action::Gzip => Some(Compression::Gzip),
            Action::Zstd => Some(Compression::Zstd),
        }
    }
}

impl Params {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        if self.files.is_empty() {
            return Err(Invalid::new("files", "names no files to sweep"));
        }
        for (i, files) in self.files.iter().enumerate() {
            if files.dir.is_empty() || is_refused(Path::new(&files.dir)) {
                return Err(Invalid::new(
                    format!("files[{}].dir", i + 1),
                    format!("`{}` is not to be swept", files.dir),
                ));
            }
        }
        Ok(())
    }
}

/// Whether a folder is one that no sweep may begin at.
pub(super) fn is_refused(dir: &Path) -> bool {
    let unreal = UNREAL.iter().any(|root| dir.starts_with(root)) && !dir.starts_with(REAL);
    unreal || REFUSED.iter().any(|refused| dir == Path::new(refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_refused_and_folders_below_are_not() {
        for dir in [
            "/",
            "//",
            "/etc",
            "/etc/",
            "/var",
            "/proc/1",
            "/sys/kernel",
            "/dev/disk",
        ] {
            assert!(is_refused(Path::new(dir)), "{dir}");
        }
        for dir in [
            "/log/idc",
            "/var/log",
            "/home/idc/out",
            "out",
            "/dev/shm/x",
            "/tmp",
        ] {
            assert!(!is_refused(Path::new(dir)), "{dir}");
        }
    }
}
