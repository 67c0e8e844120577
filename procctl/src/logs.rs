//! `procctl logs`: the end of a job's log, over the files that rotation set aside, and what comes.
//! Reads only; who writes the files is not known here.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::recorder::logfile::set_aside;

/// Bytes read at once.
const BLOCK: usize = 64 * 1024;

/// Most files set aside that are looked for.
const MOST_ASIDE: u32 = 1000;

/// Writes the last `lines` lines of the log at `path` to `out`, going back into files that were set aside.
/// The file that is written to now and how far it was read come back; `None` where there is no log yet.
///
/// # Errors
/// Reading a file, with its path, or writing to `out`.
pub fn tail(path: &Path, lines: usize, out: &mut impl Write) -> io::Result<Option<Tail>> {
    let mut parts = Vec::new();
    let mut wanted = lines;
    for file in files(path) {
        let opened = match File::open(&file) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(named(&file, error)),
        };
        let (start, length, found) =
            last_lines(&opened, wanted).map_err(|error| named(&file, error))?;
        parts.push((opened, start, length));
        wanted -= found.min(wanted);
        if wanted == 0 {
            break;
        }
    }
    let mut newest = None;
    for (mut opened, start, length) in parts.into_iter().rev() {
        opened.seek(SeekFrom::Start(start))?;
        io::copy(&mut Read::by_ref(&mut opened).take(length - start), out)?;
        newest = Some(Tail {
            path: path.to_owned(),
            file: opened,
        });
    }
    Ok(newest)
}

/// The log and what was set aside of it, newest first.
fn files(path: &Path) -> impl Iterator<Item = PathBuf> {
    let aside = (1..=MOST_ASIDE).map(|number| set_aside(path, number));
    let aside = aside.take_while(|path| path.exists()).collect::<Vec<_>>();
    std::iter::once(path.to_owned()).chain(aside)
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Where the last `wanted` lines begin, the file's length, and how many lines there are.
fn last_lines(file: &File, wanted: usize) -> io::Result<(u64, u64, usize)> {
    let length = file.metadata()?.len();
    let mut end = length;
    let mut found = 0;
    let mut block = vec![0; BLOCK];
    if wanted == 0 {
        return Ok((length, length, 0));
    }
    while end > 0 {
        let start = end.saturating_sub(BLOCK as u64);
        let size = usize::try_from(end - start).unwrap_or(BLOCK);
        file.read_exact_at(&mut block[..size], start)?;
        for (at, _) in (start..end)
            .rev()
            .zip(block[..size].iter().rev())
            .filter(|(_, byte)| **byte == b'\n')
        {
            // the end of the last line begins no other
            if at + 1 == length {
                continue;
            }
            found += 1;
            if found == wanted {
                return Ok((at + 1, length, found));
            }
        }
        end = start;
    }
    Ok((0, length, if length > 0 { found + 1 } else { 0 }))
}

/// A log that is being followed.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    file: File,
}

impl Tail {
    /// Waits for a log that does not exist yet, from its beginning.
    ///
    /// # Errors
    /// The folder cannot be watched.
    pub fn wait_for(path: &Path) -> io::Result<Tail> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let watch = Inotify::init(InitFlags::IN_CLOEXEC)?;
        let born = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        watch
            .add_watch(folder, born)
            .map_err(|error| named(folder, error.into()))?;
        loop {
            match File::open(path) {
                Ok(file) => {
                    return Ok(Tail {
                        path: path.to_owned(),
                        file,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(named(path, error)),
            }
            watch.read_events()?;
        }
    }

    /// Writes what is appended to `out`, over rotations, until `out` fails (a closed pipe).
    ///
    /// # Errors
    /// Reading or watching failed, or writing to `out`.
    pub fn follow(mut self, out: &mut impl Write) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new(".")).to_owned();
        let watch = Inotify::init(InitFlags::IN_CLOEXEC)?;
        let born = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        watch
            .add_watch(&folder, born)
            .map_err(|error| named(&folder, error.into()))?;
        let mut grown = watch.add_watch(&self.path, AddWatchFlags::IN_MODIFY).ok();
        loop {
            if self.catch_up(out)? {
                // the watch of the old file goes with the file
                if let Some(old) = grown.take() {
                    let removed = watch.rm_watch(old);
                    log::trace!("unwatch: {removed:?}");
                }
            }
            out.flush()?;
            if grown.is_none() {
                grown = watch.add_watch(&self.path, AddWatchFlags::IN_MODIFY).ok();
                // something may have been written, or the file renamed, before the watch was there
                if grown.is_some() {
                    continue;
                }
            }
            watch.read_events()?;
        }
    }

    /// Writes all that is new; true when it went on to a newer file.
    fn catch_up(&mut self, out: &mut impl Write) -> io::Result<bool> {
        self.copy_rest(out)?;
        let ours = identity(&self.file)?;
        let place = files(&self.path).position(|path| {
            File::open(path).is_ok_and(|file| identity(&file).is_ok_and(|found| found == ours))
        });
        let newer: Vec<PathBuf> = match place {
            Some(0) => return Ok(false),
            Some(place) => files(&self.path).take(place).collect(),
            // set aside and gone already, or moved away by somebody
            None => vec![self.path.clone()],
        };
        // what was written between our read and the rename
        self.copy_rest(out)?;
        let mut moved = false;
        for path in newer.into_iter().rev() {
            if let Ok(file) = File::open(&path) {
                self.file = file;
                self.copy_rest(out)?;
                moved = true;
            }
        }
        Ok(moved)
    }

    fn copy_rest(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.file.stream_position()? > self.file.metadata()?.len() {
            self.file.seek(SeekFrom::Start(0))?;
        }
        io::copy(&mut self.file, out)?;
        Ok(())
    }
}

fn identity(file: &File) -> io::Result<(u64, u64)> {
    let meta = file.metadata()?;
    Ok((meta.dev(), meta.ino()))
}

/// The names of the jobs that have a log in `folder`, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let names = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names
        .filter_map(|name| name.strip_suffix(".log").map(str::to_owned))
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(path: &Path, lines: usize) -> String {
        let mut out = Vec::new();
        tail(path, lines, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_end_goes_back_over_rotated_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut out = Vec::new();
        assert!(tail(&path, 5, &mut out).unwrap().is_none());
        fs::write(set_aside(&path, 2), "1\n2\n").unwrap();
        fs::write(set_aside(&path, 1), "3\n4\n5\n").unwrap();
        fs::write(&path, "6\n7\n").unwrap();
        assert_eq!(last(&path, 0), "");
        assert_eq!(last(&path, 1), "7\n");
        assert_eq!(last(&path, 2), "6\n7\n");
        assert_eq!(last(&path, 4), "4\n5\n6\n7\n");
        assert_eq!(last(&path, 6), "2\n3\n4\n5\n6\n7\n");
        assert_eq!(last(&path, 60), "1\n2\n3\n4\n5\n6\n7\n");
        fs::write(&path, "6\n7\nhalf").unwrap();
        assert_eq!(last(&path, 2), "7\nhalf");
        let long = "x".repeat(3 * BLOCK);
        fs::write(&path, format!("6\n{long}\n{long}\n")).unwrap();
        assert_eq!(last(&path, 1).len(), long.len() + 1);
        assert_eq!(last(&path, 4).len(), 2 * long.len() + 6);
    }

    #[test]
    fn following_loses_nothing_over_rotations() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        fs::write(&path, "1\n").unwrap();
        let mut out = Vec::new();
        let mut tail = tail(&path, 10, &mut out).unwrap().unwrap();
        fs::write(&path, "1\n2\n").unwrap();
        assert!(!tail.catch_up(&mut out).unwrap());
        // two rotations between two looks
        fs::rename(&path, set_aside(&path, 2)).unwrap();
        let mut late = fs::OpenOptions::new()
            .append(true)
            .open(set_aside(&path, 2))
            .unwrap();
        late.write_all(b"3\n").unwrap();
        fs::write(set_aside(&path, 1), "4\n").unwrap();
        fs::write(&path, "5\n").unwrap();
        assert!(tail.catch_up(&mut out).unwrap());
        // truncated by somebody
        fs::write(&path, "").unwrap();
        tail.catch_up(&mut out).unwrap();
        fs::write(&path, "6\n").unwrap();
        tail.catch_up(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "1\n2\n3\n4\n5\n6\n");
    }
}
