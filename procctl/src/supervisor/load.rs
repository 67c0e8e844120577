//! Reads job files: all of the folder, but each only when it has changed. What procctl itself does not
//! know, the parameters of the kinds, is checked by `jobs check --offline`, as an errand.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jobfile::JobFile;

use crate::errand::{Finished, Order, Purpose};
use crate::plan::event::{Content, JobText, Loaded};
use crate::plan::{JobSpec, Token};
use crate::program;

/// How long one check of files may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Most bytes of file names handed to one check: far below what a command line may have.
const MOST_BYTES: usize = 512 * 1024;

/// Exit code of `jobs check` when files are wrong.
const WRONG: i32 = 78;

/// A file's state on disk: a file that has the same is not read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp([i64; 5], u64, u64);

/// What a file held when it was read.
#[derive(Debug, Clone)]
struct Known {
    stamp: Option<Stamp>,
    name: Option<String>,
    /// The job, or all problems, one a line.
    job: Result<Arc<JobSpec>, String>,
}

/// A check under way, and what waits for it.
#[derive(Debug)]
struct Check {
    number: u64,
    asked: Vec<PathBuf>,
    left: Vec<PathBuf>,
    answers: Vec<Token>,
}

/// What comes of an order to read.
#[derive(Debug)]
pub(super) enum Step {
    /// Everything is known.
    Loaded(Vec<Loaded>),
    /// An errand has to be run first; its end goes to [`Loader::checked`].
    Check(Order),
    /// A check is under way; its end brings everything.
    Wait,
}

/// The job files as they were last read.
#[derive(Debug)]
pub(super) struct Loader {
    folder: PathBuf,
    home: PathBuf,
    known: BTreeMap<PathBuf, Known>,
    check: Option<Check>,
    /// Asked for while a check was under way.
    again: Option<(Vec<Token>, Vec<PathBuf>)>,
    number: u64,
}

impl Loader {
    /// A loader of the job files of a home; nothing is read yet.
    pub(super) fn new(home: &Path, folder: &Path) -> Loader {
        Loader {
            folder: folder.to_path_buf(),
            home: home.to_path_buf(),
            known: BTreeMap::new(),
            check: None,
            again: None,
            number: 0,
        }
    }

    /// Takes nothing for known: every file is read again, and its kind asked, next time.
    pub(super) fn doubt(&mut self) {
        for known in self.known.values_mut() {
            known.stamp = None;
        }
    }

    /// Reads what has changed, and `forced` in any case.
    pub(super) fn read(&mut self, answer: Option<Token>, forced: Vec<PathBuf>) -> Step {
        if self.check.is_some() {
            let (answers, files) = self.again.get_or_insert_default();
            answers.extend(answer);
            files.extend(forced);
            return Step::Wait;
        }
        self.scan(answer.into_iter().collect(), &forced)
    }

    fn scan(&mut self, answers: Vec<Token>, forced: &[PathBuf]) -> Step {
        let files = match jobfile::job_files(&self.folder) {
            Ok(files) => files,
            // a folder that is away for a moment must not stop every job
            Err(problem) if !self.known.is_empty() => {
                log::error!("the jobs folder cannot be read, everything stays as it is: {problem}");
                return Step::Loaded(self.all(answers, false));
            }
            Err(problem) => {
                log::error!("the jobs folder cannot be read: {problem}");
                Vec::new()
            }
        };
        self.known
            .retain(|path, _| files.binary_search(path).is_ok());
        let mut asked = Vec::new();
        for path in files {
            let stamp = stamp(&path).ok();
            let old = self.known.get(&path);
            let same = old.is_some_and(|old| stamp.is_some() && old.stamp == stamp);
            if same && !forced.contains(&path) {
                continue;
            }
            let known = read(&path, stamp);
            let foreign = known.job.as_ref().is_ok_and(|job| &*job.kind != "exec");
            if foreign {
                asked.push(path.clone());
            }
            self.known.insert(path, known);
        }
        if asked.is_empty() {
            return Step::Loaded(self.all(answers, true));
        }
        self.number += 1;
        let check = Check {
            number: self.number,
            asked: Vec::new(),
            left: asked,
            answers,
        };
        Step::Check(self.order(check))
    }

    /// The errand for the next files of a check.
    fn order(&mut self, mut check: Check) -> Order {
        let mut bytes = 0;
        let fits = check.left.iter().take_while(|path| {
            bytes += path.as_os_str().len() + 1;
            bytes <= MOST_BYTES
        });
        let count = fits.count().max(1).min(check.left.len());
        check.asked = check.left.drain(..count).collect();
        let mut words = vec![program::beside("jobs").display().to_string()];
        let home = self.home.display().to_string();
        words.extend(["--home", &home, "check", "--offline", "--"].map(String::from));
        words.extend(check.asked.iter().map(|path| path.display().to_string()));
        let order = Order {
            purpose: Purpose::Check(check.number),
            words,
            environment: Vec::new(),
            input: Vec::new(),
            output_only: true,
            limit: PATIENCE,
        };
        self.check = Some(check);
        order
    }

    /// Takes the end of a check.
    pub(super) fn checked(&mut self, finished: &Finished) -> Step {
        let Some(check) = self.check.take() else {
            return Step::Wait;
        };
        if finished.purpose != Purpose::Check(check.number) {
            self.check = Some(check);
            return Step::Wait;
        }
        let exit = finished.status.map(exit_code);
        match exit {
            Some(Some(0)) => {}
            Some(Some(WRONG)) => self.note_problems(&check.asked, &finished.output),
            _ => {
                let why = finished.trouble.as_deref().unwrap_or("it failed");
                log::error!(
                    "jobs check ({why}): {} job files are taken without a look at their parameters",
                    check.asked.len()
                );
            }
        }
        if !check.left.is_empty() {
            return Step::Check(self.order(check));
        }
        let mut loaded = self.all(check.answers, true);
        let Some((answers, forced)) = self.again.take() else {
            return Step::Loaded(loaded);
        };
        match self.scan(answers, &forced) {
            Step::Loaded(more) => {
                loaded.extend(more);
                Step::Loaded(loaded)
            }
            // what is known now comes together with what is asked now
            other => {
                if let Some(check) = &mut self.check {
                    check
                        .answers
                        .extend(loaded.iter().filter_map(|one| one.answer));
                }
                other
            }
        }
    }

    /// Lines without a file of their own belong to the file before.
    fn note_problems(&mut self, asked: &[PathBuf], output: &[u8]) {
        let mut at: Option<&PathBuf> = None;
        for line in String::from_utf8_lossy(output).lines() {
            let named = asked.iter().find(|path| {
                line.strip_prefix(&*path.to_string_lossy())
                    .is_some_and(|rest| rest.starts_with(':'))
            });
            at = named.or(at);
            let Some(known) = at.and_then(|path| self.known.get_mut(path)) else {
                continue;
            };
            match &mut known.job {
                Ok(_) => known.job = Err(line.to_string()),
                Err(text) => {
                    text.push('\n');
                    text.push_str(line);
                }
            }
        }
    }

    /// Everything known, once for each who waits for it, at least once.
    fn all(&self, answers: Vec<Token>, complete: bool) -> Vec<Loaded> {
        let mut owners: BTreeMap<&str, &Path> = BTreeMap::new();
        let mut files = Vec::with_capacity(self.known.len());
        for (path, known) in &self.known {
            let owner = known.name.as_deref().and_then(|name| {
                let first = *owners.entry(name).or_insert(path);
                (first != path).then_some((name, first))
            });
            let content = match (&known.job, owner) {
                (Ok(_), Some((name, first))) => Content::Broken {
                    name: known.name.clone(),
                    text: format!(
                        "{}: name `{name}` is taken by {}",
                        path.display(),
                        first.display()
                    ),
                },
                (Ok(job), None) => Content::Valid(job.clone()),
                (Err(text), _) => Content::Broken {
                    name: known.name.clone(),
                    text: text.clone(),
                },
            };
            files.push(JobText {
                path: path.clone(),
                content,
            });
        }
        let loaded = Loaded {
            complete,
            files,
            answer: None,
        };
        let mut all: Vec<Loaded> = answers
            .into_iter()
            .map(|token| Loaded {
                answer: Some(token),
                ..loaded.clone()
            })
            .collect();
        if all.is_empty() {
            all.push(loaded);
        }
        all
    }
}

fn read(path: &Path, stamp: Option<Stamp>) -> Known {
    match JobFile::read(path) {
        Ok(file) => Known {
            stamp,
            name: Some(file.name.clone()),
            job: JobSpec::from_file(&file)
                .map(Arc::new)
                .map_err(|problems| problems.to_string()),
        },
        Err(problems) => Known {
            stamp,
            name: None,
            job: Err(problems.to_string()),
        },
    }
}

/// Modification and change time, size, inode and mode: an editor that changes none of them has
/// changed nothing.
fn stamp(path: &Path) -> io::Result<Stamp> {
    let data = std::fs::metadata(path)?;
    let times = [
        data.mtime(),
        data.mtime_nsec(),
        data.ctime(),
        data.ctime_nsec(),
        i64::from(data.mode()),
    ];
    Ok(Stamp(times, data.size(), data.ino()))
}

/// The exit code in a wait status; `None` after a signal.
fn exit_code(status: i32) -> Option<i32> {
    (status & 0x7f == 0).then_some((status >> 8) & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn home() -> (tempfile::TempDir, Loader) {
        let home = tempfile::tempdir().unwrap();
        let jobs = home.path().join("jobs");
        fs::create_dir(&jobs).unwrap();
        let loader = Loader::new(home.path(), &jobs);
        (home, loader)
    }

    fn write(home: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
        let path = home.path().join("jobs").join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn loaded(step: Step) -> Vec<Loaded> {
        match step {
            Step::Loaded(loaded) => loaded,
            other => panic!("{other:?}"),
        }
    }

    fn is_valid(text: &JobText) -> bool {
        matches!(text.content, Content::Valid(_))
    }

    fn finished(number: u64, code: i32, output: &str) -> Finished {
        Finished {
            purpose: Purpose::Check(number),
            status: Some(code << 8),
            output: output.into(),
            trouble: None,
        }
    }

    #[test]
    fn programs_need_no_errand_and_of_two_names_the_first_wins() {
        let (home, mut loader) = home();
        write(
            &home,
            "a.xml",
            "<exec name='x'><command>true</command></exec>",
        );
        write(
            &home,
            "b.xml",
            "<exec name='x'><command>true</command></exec>",
        );
        write(&home, "c.xml", "<exec><comand/></exec>");
        let all = loaded(loader.read(Some(7), Vec::new()));
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].answer, Some(7));
        let valid: Vec<bool> = all[0].files.iter().map(is_valid).collect();
        assert_eq!(valid, [true, false, false]);
        fs::remove_file(home.path().join("jobs/a.xml")).unwrap();
        let all = loaded(loader.read(None, Vec::new()));
        let valid: Vec<bool> = all[0].files.iter().map(is_valid).collect();
        assert_eq!(valid, [true, false]);
    }

    #[test]
    fn other_kinds_are_checked_by_jobs_and_only_when_they_change() {
        let (home, mut loader) = home();
        let good = write(&home, "good.xml", "<sweep every='5m'/>");
        let bad = write(&home, "bad.xml", "<sweep every='5m'/>");
        let Step::Check(order) = loader.read(Some(1), Vec::new()) else {
            panic!("no errand");
        };
        assert!(order.words.contains(&good.display().to_string()));
        assert!(matches!(loader.read(Some(2), Vec::new()), Step::Wait));
        let said = format!("{}:1:1: misses files\n  and more\n", bad.display());
        let all = loaded(loader.checked(&finished(1, 78, &said)));
        let answers: Vec<_> = all.iter().map(|one| one.answer).collect();
        assert_eq!(answers, [Some(1), Some(2)]);
        let valid: Vec<bool> = all[0].files.iter().map(is_valid).collect();
        assert_eq!(valid, [false, true]);
        // nothing has changed: no errand, the same verdict
        let all = loaded(loader.read(None, Vec::new()));
        assert!(!is_valid(&all[0].files[0]));
        // a check that cannot be made keeps nobody from running
        write(&home, "bad.xml", "<sweep every='15m'/>");
        assert!(matches!(loader.read(None, Vec::new()), Step::Check(_)));
        let all = loaded(loader.checked(&finished(2, 127, "")));
        assert!(all[0].files.iter().all(is_valid));
    }

    #[test]
    fn a_folder_that_is_away_changes_nothing() {
        let (home, mut loader) = home();
        write(&home, "a.xml", "<exec><command>true</command></exec>");
        assert!(loaded(loader.read(None, Vec::new()))[0].complete);
        let jobs = home.path().join("jobs");
        fs::rename(&jobs, home.path().join("away")).unwrap();
        let all = loaded(loader.read(None, Vec::new()));
        assert!(!all[0].complete);
    }
}
