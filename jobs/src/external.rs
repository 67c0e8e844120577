//! Kinds written in any language: a program `jobs-KIND` in `<home>/kinds`, else on PATH. It gets the job file's path
//! and takes this program's place, so that pid, heartbeat slot, lock and exit code are its own.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    env,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use jobfile::{Home, JobFile, Problem, check_trust};
use nix::unistd::geteuid;

use crate::{error::Error, kinds::KINDS};

/// What the programs' names begin with.
const PREFIX: &str = "jobs-";

/// The program of a kind, if there is one.
///
/// # Errors
/// As root: when somebody else may write the program or its folder.
pub fn find(home: &Home, kind: &str) -> Result<Option<PathBuf>, Problem> {
    let path = folders(home)
        .into_iter()
        .map(|dir| dir.join(format!("{PREFIX}{kind}")))
        .find(|path| is_program(path));
    path.iter().try_for_each(|path| check_trust(path))?;
    Ok(path)
}

/// What is wrong with a file whose kind nobody knows.
#[must_use]
pub fn unknown(file: &JobFile) -> Problem {
    let known = KINDS
        .iter()
        .map(|kind| kind.name)
        .min_by_key(|name| distance(name, &file.kind));
    let hint = match known {
        Some(name) if distance(name, &file.kind) <= 2 => format!("; did you mean <{name}>?"),
        _ => "; `jobs list` shows the kinds there are".to_owned(),
    };
    let message = format!(
        "no kind of job is called <{}>, and there is no program {PREFIX}{}{hint}",
        file.kind, file.kind
    );
    Problem::new(&file.path, file.node.pos, message)
}

/// How many letters are to be changed to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    strsim::damerau_levenshtein(a, b)
}

/// Every program there is, by kind.
#[must_use]
pub fn list(home: &Home) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for dir in folders(home) {
        let Ok(entries) = std::fs::read_dir(&dir) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let kind = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
            if let Some(kind) = kind.filter(|kind| !kind.is_empty() && is_program(&entry.path())) {
                found.entry(kind.to_owned()).or_insert_with(|| entry.path());
            }
        }
    }
    found
}

/// The home's own folder first. What is on PATH may be anybody's, so root does not look there.
fn folders(home: &Home) -> Vec<PathBuf> {
    let mut folders = vec![home.kinds.clone()];
    if !geteuid().is_root() {
        let path = env::var_os("PATH").unwrap_or_default();
        folders.extend(env::split_paths(&path).filter(|dir| dir.is_absolute()));
    }
    folders
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Becomes the program.
///
/// # Errors
/// Only returns if that failed.
pub(crate) fn become_program(
    program: &Path,
    home: &Home,
    file: &Path,
    slot: (u32, u32),
) -> Result<Infallible, Error> {
    let mut command = Command::new(program);
    command
        .arg(file)
        .env("PROCCTL_HOME", &home.root)
        .env("PROCCTL_SLOT", format!("{}:{}", slot.0, slot.1));
    let error = command.exec();
    Err(Error::io("execute", program)(error))
}
