//! One log file, `<log>/NAME.log`: appended to, rotated by size to `NAME.log.1`, `NAME.log.2`
//! and so on. Knows nothing of runs or pipes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How large log files grow and how many are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// A file is set aside before a line would make it longer than this many bytes.
    pub size: u64,
    /// How many files set aside are kept.
    pub keep: u32,
}

impl Default for Rotation {
    fn default() -> Self {
        Rotation {
            size: 10 * 1024 * 1024,
            keep: 5,
        }
    }
}

/// The path of the `number`th file set aside of `path`, 1 being the latest.
pub(crate) fn set_aside(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// An open log.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    size: u64,
    /// A write that failed half way has left a line without its end.
    torn: bool,
}

impl LogFile {
    /// Opens the log at `path` for appending, creating it (mode 0640) where it is missing.
    pub(super) fn open(path: PathBuf) -> io::Result<LogFile> {
        let (file, size) = open(&path)?;
        Ok(LogFile {
            path,
            file,
            size,
            torn: false,
        })
    }

    /// Appends whole lines, rotating between them where the size asks for it.
    ///
    /// On an error some of the lines may be there; none of them is written again.
    pub(super) fn append(&mut self, mut lines: &[u8], rotation: Rotation) -> io::Result<()> {
        if self.torn {
            self.write(b"\n")?;
            self.torn = false;
        }
        while !lines.is_empty() {
            let room =
                usize::try_from(rotation.size.saturating_sub(self.size)).unwrap_or(usize::MAX);
            let fits = whole_lines(lines, room);
            if fits == 0 && self.size > 0 {
                self.rotate(rotation.keep)?;
                continue;
            }
            // a line longer than a whole file still goes into one
            let fits = if fits == 0 { first_line(lines) } else { fits };
            let (now, rest) = lines.split_at(fits);
            self.write(now)?;
            lines = rest;
        }
        Ok(())
    }

    /// Opens the log anew if its path leads elsewhere by now: an operator moved or removed it.
    pub(super) fn follow(&mut self) -> io::Result<()> {
        let ours = self.file.metadata()?;
        let same = fs::metadata(&self.path)
            .is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino()));
        if same {
            // somebody may have truncated it
            self.size = ours.len();
        } else {
            (self.file, self.size) = open(&self.path)?;
            self.torn = false;
        }
        Ok(())
    }

    /// Waits until everything written is on disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut left = bytes;
        while !left.is_empty() {
            match self.file.write(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.size += u64::try_from(count).unwrap_or(u64::MAX);
                    self.torn = left[count - 1] != b'\n';
                    left = &left[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn rotate(&mut self, keep: u32) -> io::Result<()> {
        if keep == 0 {
            self.file.set_len(0)?;
            self.size = 0;
            return Ok(());
        }
        for number in (1..keep).rev() {
            rename_if_there(
                &set_aside(&self.path, number),
                &set_aside(&self.path, number + 1),
            )?;
        }
        rename_if_there(&self.path, &set_aside(&self.path, 1))?;
        (self.file, self.size) = open(&self.path)?;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// How many of the first `room` bytes are whole lines.
fn whole_lines(lines: &[u8], room: usize) -> usize {
    if lines.len() <= room {
        return lines.len();
    }
    let last = lines[..room].iter().rposition(|byte| *byte == b'\n');
    last.map_or(0, |end| end + 1)
}

fn first_line(lines: &[u8]) -> usize {
    let end = lines.iter().position(|byte| *byte == b'\n');
    end.map_or(lines.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Rotation = Rotation { size: 10, keep: 2 };

    fn texts(path: &Path) -> Vec<String> {
        let all = [
            path.to_owned(),
            set_aside(path, 1),
            set_aside(path, 2),
            set_aside(path, 3),
        ];
        all.iter()
            .filter_map(|path| fs::read_to_string(path).ok())
            .collect()
    }

    #[test]
    fn rotates_between_lines_and_keeps_so_many() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut log = LogFile::open(path.clone()).unwrap();
        log.append(b"1111\n2222\n3333\n", SMALL).unwrap();
        assert_eq!(texts(&path), ["3333\n", "1111\n2222\n"]);
        log.append(b"a line longer than the file\n", SMALL).unwrap();
        log.append(b"4\n", SMALL).unwrap();
        assert_eq!(
            texts(&path),
            ["4\n", "a line longer than the file\n", "3333\n"]
        );
        // opened again it knows its size
        let mut again = LogFile::open(path.clone()).unwrap();
        again.append(b"555555555\n", SMALL).unwrap();
        assert_eq!(
            texts(&path),
            ["555555555\n", "4\n", "a line longer than the file\n"]
        );
    }

    #[test]
    fn a_moved_log_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut log = LogFile::open(path.clone()).unwrap();
        log.append(b"1\n", SMALL).unwrap();
        fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        log.follow().unwrap();
        log.append(b"2\n", SMALL).unwrap();
        assert_eq!(texts(&path), ["2\n"]);
    }

    #[test]
    fn a_full_disk_tears_one_line_only() {
        // /dev/full takes nothing; afterwards the log goes on with a fresh line
        let mut log = LogFile::open(PathBuf::from("/dev/full")).unwrap();
        assert!(log.append(b"lost\n", Rotation::default()).is_err());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut log = LogFile::open(path.clone()).unwrap();
        log.write(b"half").unwrap();
        assert!(log.torn);
        log.append(b"whole\n", Rotation::default()).unwrap();
        assert_eq!(texts(&path), ["half\nwhole\n"]);
    }
}
