//! Which files some process has open for writing, as far as `/proc` tells this user: everything to root, to others
//! their own processes. It looks at descriptors and at shared writable mappings, whose descriptor may be closed.
//!
//! It is a snapshot: whoever acts on it looks again at the file's size and times before taking a step that cannot be
//! taken back.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A file's identity: device and inode.
pub type Identity = (u64, u64);

/// Files open for writing at one moment.
#[derive(Clone, Debug, Default)]
pub struct Writers(HashSet<Identity>);

impl Writers {
    /// Looks at every process that may be looked at. Costs some tens of milliseconds where there are many hundreds.
    #[must_use]
    pub fn snapshot() -> Writers {
        let mut open = HashSet::new();
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = process.file_name();
            if name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
                collect(&process.path(), &mut open);
            }
        }
        Writers(open)
    }

    /// Whether the file was open for writing.
    #[must_use]
    pub fn has(&self, file: Identity) -> bool {
        self.0.contains(&file)
    }
}

/// Adds what one process writes to. A process that ends meanwhile, or may not be looked at, adds nothing.
fn collect(process: &Path, open: &mut HashSet<Identity>) {
    for descriptor in fs::read_dir(process.join("fd"))
        .into_iter()
        .flatten()
        .flatten()
    {
        // The link's own permission bits say how the descriptor was opened.
        let writable = descriptor
            .metadata()
            .is_ok_and(|link| link.mode() & 0o200 != 0);
        if let Some(file) = writable
            .then(|| fs::metadata(descriptor.path()).ok())
            .flatten()
            && file.is_file()
        {
            open.insert((file.dev(), file.ino()));
        }
    }
    let mappings = fs::read_to_string(process.join("maps")).unwrap_or_default();
    open.extend(mappings.lines().filter_map(shared_writable));
}

/// The file of a line of `maps` (proc(5)) that maps it shared and writable: `start-end rw-s offset major:minor inode path`.
fn shared_writable(line: &str) -> Option<Identity> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let permissions = fields.next()?.as_bytes();
    let (major, minor) = fields.nth(1)?.split_once(':')?;
    let inode: u64 = fields.next()?.parse().ok()?;
    if permissions.get(1) != Some(&b'w') || permissions.get(3) != Some(&b's') || inode == 0 {
        return None;
    }
    let device = rustix::fs::makedev(
        u32::from_str_radix(major, 16).ok()?,
        u32::from_str_radix(minor, 16).ok()?,
    );
    Some((device, inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_seen_while_it_is_written() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let meta = file.as_file().metadata().unwrap();
        let identity = (meta.dev(), meta.ino());
        assert!(Writers::snapshot().has(identity));
        let path = file.into_temp_path();
        assert!(!Writers::snapshot().has(identity));
        let reader = fs::File::open(&path).unwrap();
        assert!(!Writers::snapshot().has(identity));
        drop(reader);
    }

    #[test]
    fn shared_mappings_count() {
        let line = "7f00-7f10 rw-s 00000000 fd:01 1234 /data/x.db";
        assert_eq!(
            shared_writable(line),
            Some((rustix::fs::makedev(0xfd, 1), 1234))
        );
        for other in [
            "7f00-7f10 rw-p 0 fd:01 1234 /x",
            "7f00-7f10 r--s 0 fd:01 1234 /x",
            "7f00-7f10 rw-s 0 00:00 0",
            "x",
        ] {
            assert_eq!(shared_writable(other), None, "{other}");
        }
    }
}
