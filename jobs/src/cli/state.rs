//! `jobs state JOB …`: an operator's look at what a job remembers, and changes to it while the job does not run.

use std::{fmt::Write as _, path::Path};

use jobfile::Home;
use serde_json::Value;

use crate::{
    disk::{Disk as _, RealDisk},
    error::Error,
    home,
    job::Count,
    lock::Lock,
    state::State,
    world::state_file,
};

/// Every name with its value as JSON, a line each.
pub(super) fn show(home: Option<&Path>, job: &str) -> Result<String, Error> {
    let home = home::find(home)?;
    let path = state_file(&home, job);
    if RealDisk.look(&path)?.is_none() {
        return Ok(format!("no state yet: there is no {}\n", path.display()));
    }
    let mut out = String::new();
    for (name, value) in open(&home, job)?.all()? {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name} = {value}");
    }
    Ok(out)
}

/// Changes one value.
pub(super) fn set(
    home: Option<&Path>,
    job: &str,
    name: &str,
    value: &str,
) -> Result<String, Error> {
    let home = home::find(home)?;
    let _lock = Lock::take(&home.state, job)?;
    let mut state = open(&home, job)?;
    let before: Option<Value> = state.get(name)?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    state.set(name, &value)?;
    Ok(match before {
        Some(before) => format!("{name} = {value} (was {before})\n"),
        None => format!("{name} = {value} (was not there)\n"),
    })
}

/// Forgets everything. What a job keeps elsewhere, its next run puts back.
pub(super) fn reset(home: Option<&Path>, job: &str) -> Result<String, Error> {
    let home = home::find(home)?;
    let _lock = Lock::take(&home.state, job)?;
    let mut state = open(&home, job)?;
    let reset = state.reset()?;
    let count = u64::try_from(reset.forgotten).unwrap_or(u64::MAX);
    let mut out = format!("{job} has forgotten {}\n", Count(count, "value"));
    for (name, value) in reset.orders {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name} = {value}: the next run goes by that");
    }
    Ok(out)
}

fn open(home: &Home, job: &str) -> Result<State, Error> {
    let path = state_file(home, job);
    if RealDisk.look(&path)?.is_none() {
        return Err(Error::Usage(format!(
            "job {job} remembers nothing: there is no {}",
            path.display()
        )));
    }
    State::open(&path, &RealDisk)
}
