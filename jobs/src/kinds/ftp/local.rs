//! Files here that may be sent: found folder by folder, never by way of a symbolic link, and only those that no longer change.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jobfile::Patterns;

use super::listing::fault_of_name;
use super::outcome::Outcome;
use crate::context::Context;
use crate::disk::Meta;
use crate::error::Error;

/// Folders inside each other that are looked into.
const MAX_DEPTH: usize = 32;
/// How far a file's time may lie ahead of the clock and still count as now.
const AHEAD: Duration = Duration::from_secs(1);
/// How long the listing of one folder may take.
const LISTING: Duration = Duration::from_secs(600);

/// A file here.
#[derive(Clone, Debug)]
pub(super) struct Local {
    pub(super) path: PathBuf,
    /// Its path below the folder of the `<put>`, parts separated by `/`; what it is remembered by.
    pub(super) file: String,
    pub(super) name: String,
    pub(super) meta: Meta,
}

/// What is looked for.
pub(super) struct Search<'a> {
    pub(super) root: &'a Path,
    pub(super) pattern: &'a Patterns,
    pub(super) recurse: bool,
    /// A folder that is left alone: where files go that were sent.
    pub(super) aside: Option<&'a Path>,
}

/// Every file that the patterns take, in name order.
///
/// # Errors
/// When the folder itself is not there or cannot be read; those below it only count as failed.
pub(super) fn survey(
    cx: &Context,
    search: &Search<'_>,
    outcome: &mut Outcome,
) -> Result<Vec<Local>, Error> {
    let disk = cx.disk();
    let mut found = Vec::new();
    let mut folders = vec![(search.root.to_owned(), String::new(), 1)];
    while let Some((dir, prefix, depth)) = folders.pop() {
        cx.checkpoint()?;
        let step = cx.step("list a folder", LISTING);
        let entries = match disk.list(&dir) {
            Ok(entries) => entries,
            Err(error) if depth > 1 => {
                outcome.failed(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        drop(step);
        for entry in entries {
            let shown = entry.name();
            if shown.starts_with('.') {
                continue;
            }
            let name = entry
                .path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default()
                .to_owned();
            let file = format!("{prefix}{name}");
            if entry.meta.folder {
                let enters =
                    search.recurse && !entry.meta.link && depth < MAX_DEPTH && !name.is_empty();
                if enters && search.aside != Some(entry.path.as_path()) {
                    folders.push((entry.path, format!("{file}/"), depth + 1));
                }
            } else if entry.meta.regular && search.pattern.matches(&shown) {
                let fault = if name.is_empty() {
                    Some("it is no text in UTF-8")
                } else {
                    fault_of_name(&name)
                };
                match fault {
                    Some(why) => {
                        outcome.refused(&dir.display().to_string(), &[format!("{shown:?}: {why}")])
                    }
                    None => found.push(Local {
                        path: entry.path,
                        file,
                        name,
                        meta: entry.meta,
                    }),
                }
            }
        }
    }
    found.sort_by(|one, other| one.file.cmp(&other.file));
    Ok(found)
}

/// Those of the files that have not changed for `stable` and that nobody has open for writing. Young ones are waited for.
pub(super) fn still(
    cx: &Context,
    files: Vec<Local>,
    stable: Duration,
) -> Result<Vec<Local>, Error> {
    if files.is_empty() {
        return Ok(files);
    }
    let now = SystemTime::from(cx.now());
    let rest = files
        .iter()
        .map(|local| stable.saturating_sub(age(&local.meta, now)))
        .max();
    let wait = rest.unwrap_or_default();
    if !wait.is_zero() && !cx.looking() {
        cx.phase("waiting whether files still change");
        cx.wait(wait)?;
    }
    let disk = cx.disk();
    let writers = disk.writers();
    let mut ready = Vec::with_capacity(files.len());
    for local in files {
        if !writers.has(local.meta.inode) && disk.look(&local.path)? == Some(local.meta) {
            ready.push(local);
        } else {
            log::info!(
                "{}: still changes; left for the next pass",
                local.path.display()
            );
        }
    }
    Ok(ready)
}

/// How long ago anything about the file changed. A time ahead of the clock is no age.
fn age(meta: &Meta, now: SystemTime) -> Duration {
    let last = meta.modified.max(meta.changed);
    if last > now + AHEAD {
        Duration::ZERO
    } else {
        now.duration_since(last).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn finds_what_may_be_sent() {
        let dir = tempfile::tempdir().unwrap();
        let cx = Context::fake(dir.path());
        let root = dir.path().join("out");
        fs::create_dir_all(root.join("sub/deep")).unwrap();
        fs::create_dir_all(root.join("sent")).unwrap();
        for name in [
            "b.xml",
            "a.xml",
            ".c.xml",
            "d.txt",
            "sub/deep/e.xml",
            "sent/f.xml",
            "g\nh.xml",
        ] {
            fs::write(root.join(name), "x").unwrap();
        }
        std::os::unix::fs::symlink("/etc", root.join("link")).unwrap();
        std::os::unix::fs::symlink("a.xml", root.join("l.xml")).unwrap();
        let mut outcome = Outcome::default();
        let pattern = "*.xml".parse().unwrap();
        let aside = root.join("sent");
        let search = Search {
            root: &root,
            pattern: &pattern,
            recurse: true,
            aside: Some(&aside),
        };
        let found = survey(&cx, &search, &mut outcome).unwrap();
        let open = fs::File::options()
            .append(true)
            .open(root.join("b.xml"))
            .unwrap();
        let files: Vec<String> = still(&cx, found, Duration::ZERO)
            .unwrap()
            .into_iter()
            .map(|local| local.file)
            .collect();
        drop(open);
        assert_eq!(files, ["a.xml", "sub/deep/e.xml"]);
        assert_eq!(outcome.end().unwrap_err().exit_code(), 65);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let cx = Context::fake(dir.path());
        fs::write(dir.path().join("file"), "x").unwrap();
        for name in ["none", "file"] {
            let search = Search {
                root: &dir.path().join(name),
                pattern: &"*".parse().unwrap(),
                recurse: true,
                aside: None,
            };
            let error = survey(&cx, &search, &mut Outcome::default()).unwrap_err();
            assert_eq!(error.exit_code(), 74, "{name}: {}", error.chain());
        }
    }
}
