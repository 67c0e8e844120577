//! All job files of a folder in one go.

use crate::job::JobFile;
use crate::problem::{Problem, Problems};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A file and what came of it.
#[derive(Debug)]
pub struct Loaded {
    /// The file.
    pub path: PathBuf,
    /// The job, or everything wrong with the file.
    pub outcome: Result<JobFile, Problems>,
}

/// Reads every `*.xml` of a folder that does not begin with a dot, in the order of their names. Of two files
/// with one job name the later is at fault. The error is for the folder itself.
pub fn load_folder(folder: &Path) -> Result<Vec<Loaded>, Problem> {
    let mut owners: HashMap<String, PathBuf> = HashMap::new();
    let mut all = Vec::new();
    for path in job_files(folder)? {
        let outcome = JobFile::read(&path).and_then(|job| match owners.get(&job.name) {
            None => {
                owners.insert(job.name.clone(), path.clone());
                Ok(job)
            }
            Some(owner) => {
                let (name, owner) = (&job.name, owner.display());
                let message = format!("name `{name}` is taken by {owner}");
                Err(Problem::new(&path, job.locate("name"), message).into())
            }
        });
        all.push(Loaded { path, outcome });
    }
    Ok(all)
}

/// The job files of a folder by name, unread.
pub fn job_files(folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let cannot = |e: std::io::Error| Problem::whole(folder, format!("cannot list: {e}"));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        let dot = path
            .file_name()
            .is_some_and(|n| n.as_bytes().starts_with(b"."));
        // a link that leads nowhere is a job file too: reading it says what is wrong
        let readable = || path.metadata().map_or(true, |data| data.is_file());
        if !dot && path.extension() == Some(OsStr::new("xml")) && readable() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn good_and_broken_files_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("b.xml", "<exec name='x'><command>true</command></exec>");
        write("a.xml", "<exec name='x'><command>true</command></exec>");
        write("c.xml", "<exec><command>true</exec>");
        write(".d.xml", "nothing");
        write("e.txt", "nothing");
        fs::create_dir(dir.path().join("f.xml")).unwrap();
        std::os::unix::fs::symlink("/nowhere/at/all", dir.path().join("g.xml")).unwrap();
        let all = load_folder(dir.path()).unwrap();
        let good: Vec<bool> = all.iter().map(|l| l.outcome.is_ok()).collect();
        assert_eq!(good, [true, false, false, false]);
        let taken = all[1].outcome.as_ref().unwrap_err().to_string();
        assert!(taken.contains("b.xml:1:7: name `x` is taken by"), "{taken}");
        assert!(load_folder(Path::new("/nowhere/at/all")).is_err());
    }

    #[test]
    fn a_thousand_files_are_read_at_once() {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..1000 {
            let text = format!(
                "<exec every='{i}s' heartbeat='60s'>\n <command>/bin/true {i}</command>\n</exec>\n"
            );
            fs::write(dir.path().join(format!("job-{i:04}.xml")), text).unwrap();
        }
        let begin = std::time::Instant::now();
        let all = load_folder(dir.path()).unwrap();
        assert!(all.iter().all(|l| l.outcome.is_ok()));
        assert_eq!(all.len(), 1000);
        assert!(begin.elapsed().as_secs() < 5, "{:?}", begin.elapsed());
    }
}
