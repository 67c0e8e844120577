//! What a new process needs, made ready before the fork: program, words, environment,
//! identity, limits, descriptors. Starts nothing itself.

use std::ffi::{CString, OsStr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Exit code of a child whose program could not be executed.
pub const NOT_EXECUTED: i32 = 127;

/// Everything a child needs, ready before the fork.
#[derive(Debug)]
pub struct Launch<'a> {
    /// Names the child in a [`Failure`].
    pub run: u64,
    /// Absolute paths of the program, tried in turn while they do not exist (a walk over `PATH`).
    pub programs: Vec<CString>,
    /// The argument vector, from the program's name on.
    pub arguments: Vec<CString>,
    /// `NAME=value` each; nothing else is inherited.
    pub environment: Vec<CString>,
    /// Working folder.
    pub folder: CString,
    /// File mode creation mask, or the parent's.
    pub umask: Option<u32>,
    /// Scheduling priority, -20 to 19, or the parent's.
    pub nice: Option<i32>,
    /// Resource (`RLIMIT_…`), soft and hard limit.
    pub limits: Vec<(u32, u64, u64)>,
    /// User to become, or the parent's.
    pub identity: Option<Identity>,
    /// Standard input.
    pub input: BorrowedFd<'a>,
    /// Standard output.
    pub output: BorrowedFd<'a>,
    /// Standard error.
    pub errors: BorrowedFd<'a>,
    /// Becomes descriptor 3; everything else above 2 is closed by the exec.
    pub third: Option<BorrowedFd<'a>>,
    /// The open folder of the cgroup to be born in; where the kernel refuses, it is born outside.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Where the child writes its [`Failure`]; close-on-exec and above descriptor 3.
    pub failures: BorrowedFd<'a>,
}

/// The user a child becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// All groups, as `initgroups` would set them; `None` keeps the parent's (no right to change them).
    pub groups: Option<Vec<u32>>,
}

/// A child that was born. Whether its program could be executed shows later: a [`Failure`], and
/// its end with code [`NOT_EXECUTED`].
#[derive(Debug)]
pub struct Born {
    /// Process id, which is its session and process group, too.
    pub pid: i32,
    /// Its pidfd, opened before anybody could reap it.
    pub pidfd: OwnedFd,
    /// Whether it was born in the cgroup that was asked for.
    pub in_cgroup: bool,
}

/// What a child was doing when it failed before its program began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// The run it was started for.
    pub run: u64,
    /// The step that failed.
    pub step: Step,
    /// Why.
    pub errno: i32,
}

/// The child's way to its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Step {
    /// Becoming leader of a session of its own.
    Session = 1,
    /// Taking the priority.
    Nice,
    /// Setting a resource limit.
    Limit,
    /// Giving up the parent's groups.
    Groups,
    /// Changing the group.
    Group,
    /// Changing the user.
    User,
    /// Changing to the working folder.
    Folder,
    /// Placing the standard descriptors.
    Descriptors,
    /// Executing the program.
    Execute,
}

impl Step {
    /// What was being done, as a fragment of a message.
    pub fn describe(self) -> &'static str {
        match self {
            Step::Session => "start a session",
            Step::Nice => "set the priority",
            Step::Limit => "set a resource limit",
            Step::Groups => "set the groups",
            Step::Group => "change the group",
            Step::User => "change the user",
            Step::Folder => "change to the working folder",
            Step::Descriptors => "place the standard descriptors",
            Step::Execute => "execute the program",
        }
    }

    const ALL: [Step; 9] = [
        Step::Session,
        Step::Nice,
        Step::Limit,
        Step::Groups,
        Step::Group,
        Step::User,
        Step::Folder,
        Step::Descriptors,
        Step::Execute,
    ];
}

impl Failure {
    /// Bytes of a failure on the pipe; small enough that a write is whole or not at all.
    pub const SIZE: usize = 16;

    /// As the child writes it; allocates nothing.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..8].copy_from_slice(&self.run.to_ne_bytes());
        bytes[8..12].copy_from_slice(&(self.step as u32).to_ne_bytes());
        bytes[12..].copy_from_slice(&self.errno.to_ne_bytes());
        bytes
    }

    /// Reads back what a child wrote; `None` for bytes that no child of ours writes.
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Option<Failure> {
        let word = |at: usize| <[u8; 4]>::try_from(&bytes[at..at + 4]).ok();
        let step = u32::from_ne_bytes(word(8)?);
        Some(Failure {
            run: u64::from_ne_bytes(<[u8; 8]>::try_from(&bytes[..8]).ok()?),
            step: Step::ALL.into_iter().find(|known| *known as u32 == step)?,
            errno: i32::from_ne_bytes(word(12)?),
        })
    }
}

/// Where `PATH` is not set, as `execvp` and shells assume.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The files that `program` may mean: itself (from `base`) when it holds a slash, else one in
/// each folder of `path`.
pub fn candidates(program: &str, path: Option<&str>, base: &Path) -> Vec<PathBuf> {
    if program.contains('/') {
        return vec![base.join(program)];
    }
    path.filter(|path| !path.is_empty())
        .unwrap_or(USUAL_PATH)
        .split(':')
        .map(|folder| base.join(folder).join(program))
        .collect()
}

/// A string for the kernel; `None` when it holds a zero byte.
pub fn c_string(text: impl AsRef<OsStr>) -> Option<CString> {
    CString::new(text.as_ref().as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_the_pipe() {
        for step in Step::ALL {
            let failure = Failure {
                run: u64::MAX,
                step,
                errno: 13,
            };
            assert_eq!(Failure::from_bytes(&failure.to_bytes()), Some(failure));
        }
        assert_eq!(Failure::from_bytes(&[0xFF; Failure::SIZE]), None);
    }

    #[test]
    fn programs_are_looked_for_as_a_shell_does() {
        let base = Path::new("/home");
        assert_eq!(candidates("bin/x", None, base), [Path::new("/home/bin/x")]);
        assert_eq!(candidates("/bin/x", None, base), [Path::new("/bin/x")]);
        assert_eq!(
            candidates("x", Some("/a:b"), base),
            [Path::new("/a/x"), Path::new("/home/b/x")]
        );
        assert_eq!(candidates("x", None, base).len(), 6);
    }
}
