//! Where the bad rows of an input are kept: `FILE.rejects.xml`, beside older ones of that name and never in their place.
//!
//! A file that is loaded in several transactions has a part for each, durable before its COMMIT and under a dot name that
//! nobody takes for the whole; in the end they are joined. The rows themselves are the matter of `data::Rejects`.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::content;
use crate::context::Context;
use crate::data::Rejects;
use crate::disk::Disk;
use crate::error::Error;
use crate::publish::{Draft, Sealed, publish_all};

const SUFFIX: &str = ".rejects.xml";
const PART: &str = ".rejects.part";
/// The longest name that file systems of Linux take, in bytes.
const LONGEST: usize = 255;
/// What a hash adds to a name that is taken, in bytes.
const MARK: usize = 9;

/// The name of an input's reject file; of a name that would become too long, its hash stands for it.
pub(crate) fn name_of(input: &str) -> String {
    if input.len() + SUFFIX.len() + MARK <= LONGEST {
        return format!("{input}{SUFFIX}");
    }
    let hash = blake3::hash(input.as_bytes()).to_hex();
    format!("{}{SUFFIX}", &hash[..32])
}

/// Publishes a reject file; beside one of the same name and other content it gets a name of its own. Tells where it is.
///
/// # Errors
/// When it cannot be made durable.
pub(crate) fn publish(cx: &Context, rejects: Sealed) -> Result<PathBuf, Error> {
    let disk = cx.disk();
    let target = rejects.target().to_owned();
    let other = disk.look(&target)?.is_some() && !content::is_same(cx, rejects.draft(), &target)?;
    let named = if other {
        let hash = content::hash(cx, rejects.draft())?.to_hex();
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let stem = name.strip_suffix(SUFFIX).unwrap_or(&name);
        rejects.named(&format!("{stem}.{}{SUFFIX}", &hash[..8]))
    } else {
        rejects
    };
    let place = named.target().to_owned();
    publish_all(&*disk, vec![named]).map(|_| place)
}

/// The parts of one file's rejects, one for each transaction that had any.
pub(crate) struct Parts<'a> {
    folder: &'a Path,
    input: &'a str,
    /// What their names begin with.
    stem: String,
}

impl<'a> Parts<'a> {
    /// Those of the input of this name and content.
    pub(crate) fn of(folder: &'a Path, input: &'a str, hash: &str) -> Parts<'a> {
        let both = blake3::hash(format!("{input}/{hash}").as_bytes()).to_hex();
        Parts {
            folder,
            input,
            stem: format!(".{}-", &both[..32]),
        }
    }

    /// Where the part goes whose transaction begins at this row.
    pub(crate) fn path(&self, row: u64) -> PathBuf {
        self.folder.join(format!("{}{row:020}{PART}", self.stem))
    }

    /// Publishes all parts together as the input's reject file, and tells where it is; nothing where there is none.
    ///
    /// # Errors
    /// When a part cannot be read or the whole not be made durable; the parts stay.
    pub(crate) fn join(&self, cx: &Context) -> Result<Option<PathBuf>, Error> {
        let parts = self.list(&*cx.disk())?;
        if parts.is_empty() {
            return Ok(None);
        }
        let target = self.folder.join(name_of(self.input));
        let mut whole = Rejects::new(Draft::create(&cx.disk(), &target, &cx.author())?);
        for path in parts {
            let mut part = Vec::new();
            let mut file = cx.disk().open(&path)?;
            file.read_to_end(&mut part)
                .map_err(Error::io("read", &path))?;
            whole.append(&part).map_err(Error::io("take over", &path))?;
        }
        match whole.finish().map_err(Error::io("write", &target))? {
            Some(draft) => publish(cx, draft.seal()?).map(Some),
            None => Ok(None),
        }
    }

    /// Removes the parts, durably; for when the whole is published and no run will need them again.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub(crate) fn remove(&self, disk: &dyn Disk) -> Result<(), Error> {
        let parts = self.list(disk)?;
        for path in &parts {
            disk.remove(path)?;
        }
        // A part that came back after a power cut would stay for ever, its input being gone.
        if parts.is_empty() {
            Ok(())
        } else {
            disk.sync_dir(self.folder)
        }
    }

    fn list(&self, disk: &dyn Disk) -> Result<Vec<PathBuf>, Error> {
        if disk.look(self.folder)?.is_none() {
            return Ok(Vec::new());
        }
        let ours = |name: &str| name.starts_with(&self.stem) && name.ends_with(PART);
        let entries = disk.list(self.folder)?.into_iter();
        Ok(entries
            .filter(|entry| ours(&entry.name()))
            .map(|entry| entry.path)
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_into_a_folder() {
        assert_eq!(name_of("a.csv"), "a.csv.rejects.xml");
        assert!(name_of(&"x".repeat(250)).len() < LONGEST);
        assert_ne!(name_of(&"x".repeat(250)), name_of(&"x".repeat(251)));
    }

    #[test]
    fn parts_stand_in_the_order_of_their_rows_and_apart_from_those_of_others() {
        let home = tempfile::tempdir().unwrap();
        let parts = Parts::of(home.path(), "a.csv", "00");
        for row in [10_000, 2, 300] {
            std::fs::write(parts.path(row), "").unwrap();
        }
        std::fs::write(Parts::of(home.path(), "b.csv", "00").path(1), "").unwrap();
        let disk = crate::disk::RealDisk;
        assert_eq!(
            parts.list(&disk).unwrap(),
            [2, 300, 10_000].map(|row| parts.path(row))
        );
        parts.remove(&disk).unwrap();
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    }
}
