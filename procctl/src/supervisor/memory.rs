//! The file in which the plan's memory outlives the supervisor: JSON lines, appended. A disk that
//! cannot take them costs the memory, not the supervision.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::plan::memory::{LARGE, Memory};

/// The memory file, and the lines that it could not take yet.
#[derive(Debug)]
pub(super) struct MemoryFile {
    path: PathBuf,
    file: Option<File>,
    length: u64,
    unwritten: Vec<String>,
    troubled: bool,
}

/// Most lines that wait for room on the disk; the oldest go first.
const MOST_UNWRITTEN: usize = 10_000;

impl MemoryFile {
    /// The file in a state folder, and what it holds.
    pub(super) fn open(state: &Path) -> (MemoryFile, Memory) {
        let path = state.join("procctl.memory");
        let text = match fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                log::error!("read {}: {error}", path.display());
                String::new()
            }
        };
        let file = MemoryFile {
            path,
            file: None,
            length: 0,
            unwritten: Vec::new(),
            troubled: false,
        };
        (file, Memory::parse(&text))
    }

    /// Appends a line. True when the file has grown so large that it is time for [`MemoryFile::replace`].
    pub(super) fn append(&mut self, line: String) -> bool {
        if self.unwritten.len() >= MOST_UNWRITTEN {
            self.unwritten.remove(0);
        }
        self.unwritten.push(line);
        match self.write_out() {
            Ok(()) => self.troubled = false,
            Err(error) => {
                if !self.troubled {
                    log::error!("write {}: {error}", self.path.display());
                }
                self.troubled = true;
                self.file = None;
            }
        }
        self.length > LARGE
    }

    fn write_out(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(
                OpenOptions::new()
                    .append(true)
                    .create(true)
                    .mode(0o600)
                    .open(&self.path)?,
            ),
        };
        let mut text = self.unwritten.join("\n");
        text.push('\n');
        // what a full disk cuts short is a torn line, which is left out when it is read
        file.write_all(text.as_bytes())?;
        self.unwritten.clear();
        self.length = file.metadata()?.len();
        Ok(())
    }

    /// Replaces the whole file, or leaves it as it is.
    pub(super) fn replace(&mut self, text: &str) {
        let beside = self.path.with_extension("memory.new");
        let replaced = write_synced(&beside, text).and_then(|()| fs::rename(&beside, &self.path));
        match replaced {
            Ok(()) => {
                self.file = None;
                self.unwritten.clear();
                self.length = u64::try_from(text.len()).unwrap_or(u64::MAX);
            }
            Err(error) => log::error!("replace {}: {error}", self.path.display()),
        }
    }
}

fn write_synced(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_while_the_folder_is_missing() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join("state");
        let (mut memory, _) = MemoryFile::open(&state);
        assert!(!memory.append("{\"a\":1}".into()));
        fs::create_dir(&state).unwrap();
        assert!(!memory.append("{\"b\":2}".into()));
        let path = state.join("procctl.memory");
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"b\":2}\n");
        memory.replace("{\"c\":3}\n");
        memory.append("{\"d\":4}".into());
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"c\":3}\n{\"d\":4}\n");
    }
}
