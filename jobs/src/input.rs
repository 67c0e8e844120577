//! Input folders: which of the files there may be taken, and where they go afterwards. The same rules for every kind
//! that reads files others write.
//!
//! A file is taken when its name matches, does not begin with a dot, and it is a regular file (symbolic links, pipes and
//! folders stay where they are), and
//! - with a marker, when the marker is there: whoever wrote it says the file is complete;
//! - without, when it has not changed for `stable` (zero: it is taken at once) and nobody has it open for writing, as far
//!   as this user can see.
//!
//! "Has not changed" goes by the time of last write and by the time of last change of any sort, which copying tools
//! cannot set back. Times ahead of this machine's clock prove nothing; such files are looked at twice, `stable` apart.
//! Where all files are too young, a pass waits for them, `stable` at most: a run right after a delivery finds it.
//!
//! **Where it ends**: a writer that pauses for longer than `stable` with the file closed, or is out of sight on another
//! machine. For those there is the marker.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use crate::context::Context;
use crate::disk::{Disk, Meta};
use crate::error::Error;
use crate::natural;
use crate::publish;

/// How far a file's time may lie ahead of the clock and still count as now: clocks of file servers differ by that.
const AHEAD: Duration = Duration::from_secs(1);

/// So many files with names that are not UTF-8 are told of.
const MOST_TOLD: usize = 1_000;

/// A folder whose files are taken.
#[derive(Clone, Debug)]
pub struct Inbox {
    /// The folder itself; folders below it are not looked into.
    pub dir: PathBuf,
    /// Where files go that were dealt with.
    pub done: PathBuf,
    /// Where files go that cannot be dealt with.
    pub bad: PathBuf,
    /// How long a file must have been unchanged.
    pub stable: Duration,
    /// The name of the file that says another one is complete.
    pub marker: Option<Marker>,
}

/// A file that may be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Where it is.
    pub path: PathBuf,
    /// Its name in the folder.
    pub name: String,
    /// What it was like when it was found.
    pub meta: Meta,
}

impl Inbox {
    /// A folder by the job file's words, `done` and `bad` being folders in it unless named.
    pub fn new(
        cx: &Context,
        dir: &str,
        done: Option<&str>,
        bad: Option<&str>,
        stable: Duration,
    ) -> Inbox {
        let dir = cx.path(dir);
        let beside = |named: Option<&str>, own: &str| {
            named.map_or_else(|| dir.join(own), |path| cx.path(path))
        };
        Inbox {
            done: beside(done, "done"),
            bad: beside(bad, "bad"),
            stable,
            marker: None,
            dir,
        }
    }

    /// The files that may be taken now, in the order of their names, numbers in them counted (`natural`). A folder that is not there holds none.
    ///
    /// # Errors
    /// When the folder cannot be read, or files would be moved from it into itself; [`Error::Stopped`] while waiting for a second look.
    pub fn ready(&self, cx: &Context, wanted: impl Fn(&str) -> bool) -> Result<Vec<Input>, Error> {
        let disk = cx.disk();
        for (attribute, to) in [("done", &self.done), ("bad", &self.bad)] {
            if publish::is_same(&*disk, &self.dir, to)? {
                return Err(Error::Invalid(format!(
                    "input.{attribute}: {} is the folder that files are taken from",
                    to.display()
                )));
            }
        }
        let found = self.candidates(&*disk, &wanted)?;
        if found.is_empty() || self.marker.is_some() {
            return Ok(found);
        }
        let now = SystemTime::from(cx.now());
        let (ready, young): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|input| self.is_settled(&input.meta, now));
        let ready = at_rest(&*disk, ready);
        let from_the_future = young.iter().any(|input| is_ahead(&input.meta, now));
        let waits = ready.is_empty() && !young.is_empty() || from_the_future;
        if !waits || cx.looking() {
            return Ok(ready);
        }
        let ages = young.iter().map(|input| age(&input.meta, now));
        let longest = ages.map(|age| self.stable.saturating_sub(age)).max();
        cx.wait(longest.unwrap_or_default())?;
        let now = SystemTime::from(cx.now());
        let mut settled = self.candidates(&*disk, &wanted)?;
        settled.retain(|input| self.is_settled(&input.meta, now) || young.contains(input));
        Ok(at_rest(&*disk, settled))
    }

    /// Whether a file has been unchanged for long enough.
    fn is_settled(&self, meta: &Meta, now: SystemTime) -> bool {
        self.stable.is_zero() || !is_ahead(meta, now) && age(meta, now) >= self.stable
    }

    /// Files whose names and markers are right, whatever their age, in the same order.
    fn candidates(
        &self,
        disk: &dyn Disk,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<Input>, Error> {
        if disk.look(&self.dir)?.is_none() {
            return Ok(Vec::new());
        }
        let entries = disk.list(&self.dir)?;
        let names: HashSet<String> = entries.iter().map(crate::disk::Entry::name).collect();
        let complete = |name: &str| match &self.marker {
            None => true,
            Some(marker) => {
                let own = marker.of(name);
                own.iter().any(|own| own != name && names.contains(own))
            }
        };
        for entry in entries.iter().filter(|entry| entry.meta.regular) {
            let unreadable = entry
                .path
                .file_name()
                .filter(|name| name.to_str().is_none());
            let shown = unreadable.map(|name| name.to_string_lossy());
            if let Some(shown) = shown.filter(|shown| !shown.starts_with('.') && wanted(shown)) {
                warn_of(&entry.path, &shown);
            }
        }
        let inputs = entries
            .into_iter()
            .filter(|entry| entry.meta.regular)
            .map(|entry| Input {
                // A name that is not UTF-8 would show otherwise than it is; it cannot be wanted by any pattern.
                name: entry
                    .path
                    .file_name()
                    .and_then(|name| name.to_str())
                    .unwrap_or_default()
                    .to_owned(),
                path: entry.path,
                meta: entry.meta,
            });
        let mut found: Vec<Input> = inputs
            .filter(|i| {
                !i.name.is_empty()
                    && !i.name.starts_with('.')
                    && wanted(&i.name)
                    && complete(&i.name)
            })
            .collect();
        found.sort_by(|one, other| natural::compare(&one.name, &other.name));
        Ok(found)
    }

    /// Moves a file to `done`, durably, its marker behind it; tells where it went. Nothing there is overwritten.
    ///
    /// # Errors
    /// When it cannot be moved; it is then where it was.
    pub fn move_to_done(&self, cx: &Context, input: &Input) -> Result<PathBuf, Error> {
        let mut moved = self.move_to(cx, std::slice::from_ref(input), &self.done)?;
        Ok(moved.swap_remove(0))
    }

    /// As [`Inbox::move_to_done`], to `bad`.
    ///
    /// # Errors
    /// As [`Inbox::move_to_done`].
    pub fn move_to_bad(&self, cx: &Context, input: &Input) -> Result<PathBuf, Error> {
        let mut moved = self.move_to(cx, std::slice::from_ref(input), &self.bad)?;
        Ok(moved.swap_remove(0))
    }

    /// As [`Inbox::move_to_done`] for many files, which costs hardly more than one.
    ///
    /// # Errors
    /// When one cannot be moved; those before it may have moved.
    pub fn move_all_to_done(&self, cx: &Context, inputs: &[Input]) -> Result<(), Error> {
        self.move_to(cx, inputs, &self.done).map(drop)
    }

    fn move_to(&self, cx: &Context, inputs: &[Input], dir: &Path) -> Result<Vec<PathBuf>, Error> {
        let disk = cx.disk();
        let author = cx.author();
        let _step = cx.step("move inputs away", Duration::from_secs(600));
        let paths: Vec<&Path> = inputs.iter().map(|input| input.path.as_path()).collect();
        let moved = publish::move_all_into(&disk, &paths, dir, &author)?;
        // Markers go last: without its file a marker does nothing, while a file without its marker would stay for ever.
        if let Some(marker) = &self.marker {
            let own = inputs.iter().flat_map(|input| marker.of(&input.name));
            let mut markers = Vec::new();
            for path in own.map(|name| self.dir.join(name)) {
                if disk.look(&path)?.is_some() {
                    markers.push(path);
                }
            }
            let markers: Vec<&Path> = markers.iter().map(PathBuf::as_path).collect();
            publish::move_all_into(&disk, &markers, dir, &author)?;
        }
        Ok(moved)
    }
}

impl Input {
    /// Whether the file is still the one that was found, byte for byte as far as its length and times can tell.
    ///
    /// # Errors
    /// When the disk does not tell.
    pub fn is_unchanged(&self, disk: &dyn Disk) -> Result<bool, Error> {
        Ok(disk.look(&self.path)? == Some(self.meta))
    }

    /// The name without its endings of format and compression: `A_1` of `A_1.csv.gz`.
    #[must_use]
    pub fn stem(&self) -> &str {
        let (_, plain) = crate::data::Compression::of(&self.name);
        stem(plain)
    }
}

/// Those of the files that nobody has open for writing. The look at all processes is saved where there is no file.
fn at_rest(disk: &dyn Disk, mut inputs: Vec<Input>) -> Vec<Input> {
    if !inputs.is_empty() {
        let writers = disk.writers();
        inputs.retain(|input| !writers.has(input.meta.inode));
    }
    inputs
}

fn stem(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => name,
    }
}

fn last_change(meta: &Meta) -> SystemTime {
    meta.modified.max(meta.changed)
}

fn age(meta: &Meta, now: SystemTime) -> Duration {
    now.duration_since(last_change(meta)).unwrap_or_default()
}

fn is_ahead(meta: &Meta, now: SystemTime) -> bool {
    last_change(meta) > now + AHEAD
}

/// Tells, once in the life of this process, of a file whose name no pattern can mean.
fn warn_of(path: &Path, shown: &str) {
    static TOLD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let Ok(mut told) = TOLD.lock() else { return };
    if told.len() < MOST_TOLD && told.insert(path.to_owned()) {
        log::warn!("{shown}: its name is not UTF-8: it is not taken; rename it");
    }
}

/// How the name of a marker is made from a file's: `{stem}.ok` or `{name}.ok`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker(String);

impl Marker {
    /// The marker's names for a file: the stem of a packed one may be with its format's ending or without.
    #[must_use]
    pub fn of(&self, name: &str) -> Vec<String> {
        let (_, plain) = crate::data::Compression::of(name);
        let of = |stem: &str| self.0.replace("{stem}", stem).replace("{name}", name);
        let mut names = vec![of(stem(name)), of(stem(plain))];
        names.dedup();
        names
    }
}

impl FromStr for Marker {
    type Err = String;

    fn from_str(text: &str) -> Result<Marker, String> {
        if !text.contains("{stem}") && !text.contains("{name}") {
            return Err(format!(
                "`{text}` does not say whose marker it is: write {{stem}} or {{name}} into it"
            ));
        }
        if text.contains('/') || text == "{name}" {
            return Err(format!(
                "`{text}` must be another file's name in the same folder"
            ));
        }
        Ok(Marker(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn inbox(dir: &Path, stable: u64) -> (Context, Inbox) {
        let cx = Context::fake(dir);
        let inbox = Inbox::new(&cx, "in", None, None, Duration::from_secs(stable));
        fs::create_dir(&inbox.dir).unwrap();
        (cx, inbox)
    }

    fn names(cx: &Context, inbox: &Inbox) -> Vec<String> {
        let ready = inbox.ready(cx, |name| !name.ends_with(".ok")).unwrap();
        ready.into_iter().map(|input| input.name).collect()
    }

    #[test]
    fn takes_regular_files_in_name_order() {
        let home = tempfile::tempdir().unwrap();
        let (cx, inbox) = inbox(home.path(), 0);
        for name in ["b10.csv", "b9.csv", "a.csv", ".a.csv.part", "c.ok"] {
            fs::write(inbox.dir.join(name), "x").unwrap();
        }
        fs::create_dir(inbox.dir.join("d.csv")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", inbox.dir.join("e.csv")).unwrap();
        nix::unistd::mkfifo(&inbox.dir.join("f.csv"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(names(&cx, &inbox), ["a.csv", "b9.csv", "b10.csv"]);
    }

    #[test]
    fn waits_for_young_files_unless_others_are_ready() {
        let home = tempfile::tempdir().unwrap();
        let (cx, inbox) = inbox(home.path(), 5);
        let path = inbox.dir.join("a.csv");
        fs::write(&path, "x").unwrap();
        // The time of last write is set back, as `cp -p` does: the file is young all the same.
        let long_ago = SystemTime::now() - Duration::from_secs(9999);
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
        let start = cx.now();
        let waited = || (cx.now() - start).num_seconds();
        assert_eq!(names(&cx, &inbox), ["a.csv"]);
        assert!((4..=6).contains(&waited()), "{}", waited());
        let young = fs::File::create(inbox.dir.join("b.csv")).unwrap();
        young.set_modified(SystemTime::from(cx.now())).unwrap();
        drop(young);
        assert_eq!(names(&cx, &inbox), ["a.csv"]);
        assert!((4..=6).contains(&waited()), "{}", waited());
    }

    #[test]
    fn looks_twice_at_files_from_the_future() {
        let home = tempfile::tempdir().unwrap();
        let (cx, inbox) = inbox(home.path(), 5);
        let path = inbox.dir.join("a.csv");
        let file = fs::File::create(&path).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(9999))
            .unwrap();
        drop(file);
        assert_eq!(names(&cx, &inbox), ["a.csv"]);
    }

    #[test]
    fn leaves_files_that_are_open_for_writing() {
        let home = tempfile::tempdir().unwrap();
        for stable in [0, 1] {
            let home = home.path().join(stable.to_string());
            fs::create_dir(&home).unwrap();
            let (cx, inbox) = inbox(&home, stable);
            let file = fs::File::create(inbox.dir.join("a.csv")).unwrap();
            cx.wait(Duration::from_secs(2)).unwrap();
            assert!(names(&cx, &inbox).is_empty());
            drop(file);
            assert_eq!(names(&cx, &inbox), ["a.csv"]);
        }
    }

    #[test]
    fn a_marker_says_when_and_moves_along() {
        let home = tempfile::tempdir().unwrap();
        let (cx, mut inbox) = inbox(home.path(), 3600);
        inbox.marker = Some("{stem}.ok".parse().unwrap());
        fs::write(inbox.dir.join("a.csv"), "x").unwrap();
        fs::write(inbox.dir.join("b.csv"), "x").unwrap();
        fs::write(inbox.dir.join("b.ok"), "").unwrap();
        let ready = inbox.ready(&cx, |_| true).unwrap();
        assert_eq!(
            ready.iter().map(|i| i.name.as_str()).collect::<Vec<_>>(),
            ["b.csv"]
        );
        let to = inbox.move_to_done(&cx, &ready[0]).unwrap();
        assert_eq!(to, inbox.done.join("b.csv"));
        assert!(!inbox.dir.join("b.ok").exists() && inbox.done.join("b.ok").exists());
        for marker in ["c.ok", "c.csv.ok"] {
            fs::write(inbox.dir.join("c.csv.gz"), "x").unwrap();
            fs::write(inbox.dir.join(marker), "").unwrap();
            let ready = inbox.ready(&cx, |name| name.ends_with(".gz")).unwrap();
            inbox.move_to_done(&cx, &ready[0]).unwrap();
            assert!(!inbox.dir.join(marker).exists() && inbox.done.join(marker).exists());
        }
    }

    #[test]
    fn nothing_is_overwritten_on_the_way() {
        let home = tempfile::tempdir().unwrap();
        let (cx, inbox) = inbox(home.path(), 0);
        for round in 0..2 {
            fs::write(inbox.dir.join("a.csv"), format!("{round}")).unwrap();
            let ready = inbox.ready(&cx, |_| true).unwrap();
            inbox.move_to_bad(&cx, &ready[0]).unwrap();
        }
        assert_eq!(fs::read(inbox.bad.join("a.csv")).unwrap(), b"0");
        assert_eq!(fs::read(inbox.bad.join("a.csv.1")).unwrap(), b"1");
    }

    #[test]
    fn markers_name_another_file() {
        assert_eq!(
            "{stem}.ok".parse::<Marker>().unwrap().of("a.b.csv"),
            ["a.b.ok"]
        );
        assert_eq!(
            "{stem}.ok".parse::<Marker>().unwrap().of("c.csv.gz"),
            ["c.csv.ok", "c.ok"]
        );
        assert_eq!(
            "{name}.md5".parse::<Marker>().unwrap().of("a.csv"),
            ["a.csv.md5"]
        );
        for bad in ["done.ok", "{name}", "x/{stem}.ok"] {
            assert!(bad.parse::<Marker>().is_err());
        }
    }
}
