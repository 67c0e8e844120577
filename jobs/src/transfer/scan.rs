//! Which files of a folder may be sent now: those whose names match and that no longer change. Found folder by folder in
//! name order, one folder's names in memory at a time.
//!
//! A file is taken when it has not changed for `stable` and nobody has it open for writing, as far as this user can see.
//! Younger ones are looked at again at the end, `stable` later, as are those with times ahead of the clock, which prove
//! nothing. Dot files and links are left out; names that are meant and that the wire does not carry are told apart. The end
//! of this is a writer that pauses for longer with its file closed, or is out of sight.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use jobfile::Patterns;

use super::{
    host::Host,
    listing::{Leaf, Listing},
    name::{Name, join},
    tree::{Stat, Tree},
};
use crate::{error::Error, writers::Writers};

/// Young files that are remembered for a second look; the others are found by the next pass.
const MAX_YOUNG: usize = 20_000;
/// Folders inside each other that are looked into.
const DEEPEST: usize = 60;
/// Names between two signs of life.
const TICK: u32 = 256;
/// How long a look at all processes is good for.
const FRESH: Duration = Duration::from_secs(2);

/// A file that may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Relative to the folder that was scanned.
    pub(crate) name: Name,
    pub(crate) stat: Stat,
}

/// A name that is meant and cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// As it may be shown, quoted, relative to the folder that was scanned.
    pub(crate) shown: String,
    pub(crate) why: &'static str,
}

/// What a name in a folder comes to.
enum Candidate {
    File(Found),
    Refused(Refused),
    /// It is not meant, is no file, or is gone.
    Nothing,
}

/// What a scan has to say next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    File(Found),
    /// Nothing for so long; ask again then.
    Wait(Duration),
    End,
}

/// What is looked for.
pub(crate) struct Wanted {
    /// Below the tree's root.
    pub(crate) folder: String,
    pub(crate) patterns: Patterns,
    pub(crate) recurse: bool,
    pub(crate) stable: Duration,
    /// A folder below the root that is not looked into: where files are moved afterwards.
    pub(crate) except: Option<String>,
}

/// A scan under way.
pub(crate) struct Scan {
    tree: Arc<Tree>,
    wanted: Wanted,
    /// Folders still to be looked into, relative to the wanted one, with their depth.
    folders: Vec<(String, usize)>,
    here: String,
    /// What that folder holds, and how many of its names were looked at.
    listing: Listing,
    at: usize,
    depth: usize,
    young: Vec<Found>,
    again: Option<(Instant, std::vec::IntoIter<Found>)>,
    writers: Option<(Instant, Writers)>,
    /// Found since they were last asked for.
    refused: Vec<Refused>,
    /// Names that were looked at.
    seen: u32,
}

impl Scan {
    /// Nothing is looked at yet.
    pub(crate) fn new(tree: Arc<Tree>, wanted: Wanted) -> Scan {
        Scan {
            tree,
            wanted,
            folders: vec![(String::new(), 1)],
            here: String::new(),
            listing: Listing::default(),
            at: 0,
            depth: 1,
            young: Vec::new(),
            again: None,
            writers: None,
            refused: Vec::new(),
            seen: 0,
        }
    }

    /// The path of a file below the tree's root.
    pub(crate) fn path(&self, name: &Name) -> String {
        join(&self.wanted.folder, name.as_str())
    }

    /// What was found since the last call and cannot be sent: those who own the files are to hear of it.
    pub(crate) fn refused(&mut self) -> Vec<Refused> {
        std::mem::take(&mut self.refused)
    }

    /// The next file that `is_new` lets pass.
    ///
    /// # Errors
    /// When a folder cannot be read. The first folder has to be there; those below it may come and go.
    pub(crate) fn next(
        &mut self,
        host: &dyn Host,
        is_new: &mut dyn FnMut(&Found) -> bool,
    ) -> Result<Next, Error> {
        loop {
            if let Some((until, young)) = &mut self.again {
                let left = until.saturating_duration_since(Instant::now());
                if !left.is_zero() {
                    return Ok(Next::Wait(left));
                }
                let Some(found) = young.next() else {
                    return Ok(Next::End);
                };
                let path = join(&self.wanted.folder, found.name.as_str());
                let unchanged = self
                    .tree
                    .look(&path)?
                    .is_some_and(|stat| stat.is_same(&found.stat));
                if unchanged && !self.is_written(&found.stat) {
                    return Ok(Next::File(found));
                }
            } else if let Some(leaf) = self.listing.leaf(self.at) {
                let candidate = match self.candidate(leaf)? {
                    Candidate::File(found) => Some(found),
                    Candidate::Nothing => None,
                    Candidate::Refused(refused) => {
                        self.refused.push(refused);
                        None
                    }
                };
                self.at += 1;
                self.seen = self.seen.wrapping_add(1);
                if self.seen.is_multiple_of(TICK) {
                    host.tick()?;
                }
                if let Some(found) = candidate
                    && is_new(&found)
                {
                    if self.is_settled(&found.stat) && !self.is_written(&found.stat) {
                        return Ok(Next::File(found));
                    }
                    if self.young.len() < MAX_YOUNG {
                        self.young.push(found);
                    }
                }
            } else if let Some((folder, depth)) = self.folders.pop() {
                self.open(folder, depth)?;
            } else {
                let young = std::mem::take(&mut self.young);
                let pause = if young.is_empty() {
                    Duration::ZERO
                } else {
                    self.wanted.stable
                };
                self.again = Some((Instant::now() + pause, young.into_iter()));
            }
        }
    }

    fn open(&mut self, folder: String, depth: usize) -> Result<(), Error> {
        let path = join(&self.wanted.folder, &folder);
        let path = path.trim_end_matches('/');
        match self.tree.list(path) {
            Ok(listing) => {
                self.listing = listing;
                self.at = 0;
                self.here = folder;
                self.depth = depth;
                self.refuse_strange();
                if self.wanted.recurse && depth < DEEPEST {
                    let below = |leaf: &Leaf<'_>| leaf.folder && !leaf.name.starts_with('.');
                    for leaf in self.listing.iter().rev().filter(below) {
                        let name = join(&self.here, leaf.name);
                        if self.wanted.except.as_ref() != Some(&join(&self.wanted.folder, &name)) {
                            self.folders.push((name, depth + 1));
                        }
                    }
                }
                Ok(())
            }
            // one that went away, or may not be read, is no reason to leave the others alone
            Err(error) if depth > 1 => {
                log::warn!("{}", error.chain());
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn candidate(&self, leaf: Leaf<'_>) -> Result<Candidate, Error> {
        if leaf.folder || !self.is_meant(leaf) {
            return Ok(Candidate::Nothing);
        }
        let path = join(&self.here, leaf.name);
        let name = match Name::new(path.as_str()) {
            Ok(name) => name,
            Err(why) => {
                let shown = format!("{path:?}");
                return Ok(Candidate::Refused(Refused { shown, why }));
            }
        };
        let stat = self.tree.look(&self.path(&name))?;
        Ok(match stat.filter(|stat| stat.regular) {
            Some(stat) => Candidate::File(Found { name, stat }),
            None => Candidate::Nothing,
        })
    }

    /// Whether a name is looked at: a file's that the patterns take, or a folder's that is looked into.
    fn is_meant(&self, leaf: Leaf<'_>) -> bool {
        let meant = if leaf.folder {
            self.wanted.recurse
        } else {
            self.wanted.patterns.matches(leaf.name)
        };
        meant && !leaf.name.starts_with('.')
    }

    /// Names of the folder that is looked into now that are meant and no text.
    fn refuse_strange(&mut self) {
        for (name, folder) in self.listing.strange() {
            let leaf = Leaf {
                name,
                folder: *folder,
            };
            if self.is_meant(leaf) {
                self.refused.push(Refused {
                    shown: format!("{:?}", join(&self.here, name)),
                    why: "the name is no text in UTF-8",
                });
            }
        }
    }

    fn is_settled(&self, stat: &Stat) -> bool {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let age = |at: i64| {
            i64::try_from(now.as_nanos())
                .unwrap_or(i64::MAX)
                .checked_sub(at)
        };
        let stable = i64::try_from(self.wanted.stable.as_nanos()).unwrap_or(i64::MAX);
        stable == 0 || age(stat.mtime.max(stat.ctime)).is_some_and(|age| age >= stable)
    }

    /// Whether somebody has the file open for writing, by a look that is at most two seconds old.
    fn is_written(&mut self, stat: &Stat) -> bool {
        let fresh = self
            .writers
            .take()
            .filter(|(seen, _)| seen.elapsed() < FRESH);
        let (_, writers) = self
            .writers
            .insert(fresh.unwrap_or_else(|| (Instant::now(), Writers::snapshot())));
        writers.has(stat.inode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{stop::Stop, transfer::host::Silent};
    use std::fs;

    fn scan(root: &std::path::Path, stable: u64) -> Scan {
        let wanted = Wanted {
            folder: String::new(),
            patterns: "*.xml".parse().unwrap(),
            recurse: true,
            stable: Duration::from_millis(stable),
            except: Some("sent".to_owned()),
        };
        Scan::new(Arc::new(Tree::open(root).unwrap()), wanted)
    }

    fn all(scan: &mut Scan) -> Vec<String> {
        let mut names = Vec::new();
        loop {
            match scan
                .next(&Silent(Stop::new().unwrap()), &mut |_| true)
                .unwrap()
            {
                Next::File(found) => names.push(found.name.to_string()),
                Next::Wait(pause) => std::thread::park_timeout(pause),
                Next::End => return names,
            }
        }
    }

    #[test]
    fn files_come_in_order_and_only_those_that_are_meant() {
        let home = tempfile::tempdir().unwrap();
        for name in [
            "b.xml",
            "a.xml",
            "c.csv",
            ".d.xml",
            "x/y/e.xml",
            "sent/f.xml",
            ".hidden/g.xml",
            "line\nend.xml",
        ] {
            let path = home.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        std::os::unix::fs::symlink("a.xml", home.path().join("link.xml")).unwrap();
        assert_eq!(
            all(&mut scan(home.path(), 0)),
            ["a.xml", "b.xml", "x/y/e.xml"]
        );
    }

    #[test]
    fn names_that_cannot_be_sent_are_told_where_they_are_meant() {
        use std::os::unix::ffi::OsStrExt as _;
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("x")).unwrap();
        for name in [
            &b"a.xml"[..],
            b"b\xff.xml",
            b"b\xff.csv",
            b".c\xff.xml",
            b"line\nend.xml",
            b"line\nend.csv",
            b"x/d\xff.xml",
        ] {
            fs::write(home.path().join(std::ffi::OsStr::from_bytes(name)), "x").unwrap();
        }
        let folder = std::ffi::OsStr::from_bytes(b"e\xff");
        fs::create_dir(home.path().join(folder)).unwrap();
        let mut scan = scan(home.path(), 0);
        assert_eq!(all(&mut scan), ["a.xml"]);
        let mut refused: Vec<_> = scan.refused().into_iter().map(|name| name.shown).collect();
        refused.sort();
        assert_eq!(
            refused,
            [
                "\"b\u{fffd}.xml\"",
                "\"e\u{fffd}\"",
                "\"line\\nend.xml\"",
                "\"x/d\u{fffd}.xml\""
            ]
        );
        assert!(scan.refused().is_empty());
    }

    #[test]
    fn young_files_wait_and_changing_ones_stay() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("still.xml"), "x").unwrap();
        fs::write(home.path().join("moving.xml"), "x").unwrap();
        let mut open = fs::File::create(home.path().join("open.xml")).unwrap();
        let mut scan = scan(home.path(), 300);
        let Next::Wait(pause) = scan
            .next(&Silent(Stop::new().unwrap()), &mut |_| true)
            .unwrap()
        else {
            panic!("taken too early")
        };
        fs::write(home.path().join("moving.xml"), "xy").unwrap();
        std::thread::park_timeout(pause);
        assert_eq!(all(&mut scan), ["still.xml"]);
        std::io::Write::write_all(&mut open, b"x").unwrap();
    }
}
