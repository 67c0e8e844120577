//! What can be told of a home's jobs while no supervisor runs: its files, its history, and the
//! slots of runs that live on without one.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use jobfile::{Home, JobFile};

use super::slots;
use crate::history::History;
use crate::plan::Entry;
use crate::plan::status::{Last, Row, Status, Word};

/// A status without a supervisor: its pid is 0.
pub(super) fn look(home: &Home) -> Status {
    let now = Utc::now();
    let files = jobfile::load_folder(&home.jobs).unwrap_or_default();
    let mut jobs: Vec<Row> = files.into_iter().map(|file| row(file, now)).collect();
    let runs = slots::live(home).into_values();
    // the watchdog has a slot, too
    for slot in runs.filter(|slot| slot.name != "checkproc") {
        let place = jobs.iter().position(|row| *row.job == *slot.name);
        // the watchdog of a supervisor that is there and says nothing is no job
        if place.is_none() && slot.name == "checkproc" {
            continue;
        }
        let place = place.unwrap_or_else(|| {
            jobs.push(empty(&slot.name, PathBuf::new(), now));
            jobs.len() - 1
        });
        let row = &mut jobs[place];
        row.state = Word::Running;
        row.run = Some(slot.run);
        row.pid = Some(slot.pid);
        let claimed = i64::try_from(slot.claimed_wall_us).unwrap_or_default();
        row.since = DateTime::from_timestamp_micros(claimed).unwrap_or(now);
    }
    let history = History::open(&home.state.join("history.db"));
    if let Ok(Some(mut last)) =
        history.map(|found| found.and_then(|history| history.last_of_each().ok()))
    {
        for row in &mut jobs {
            row.last = last.remove(&row.job).map(last_of);
            if let (Word::Stopped, Some(last)) = (row.state, &row.last) {
                row.since = last.ended;
            }
        }
    }
    jobs.sort_by(|one, other| one.job.cmp(&other.job));
    Status {
        at: now,
        pid: 0,
        since: now,
        stopping: false,
        trouble: None,
        jobs,
    }
}

fn row(file: jobfile::Loaded, now: DateTime<Utc>) -> Row {
    match file.outcome {
        Ok(job) => {
            let mut row = empty(&job.name, file.path, now);
            row.kind = job.kind.as_str().into();
            row.schedule = schedule(&job);
            if !job.root.enabled {
                row.state = Word::Disabled;
            }
            row
        }
        Err(problems) => {
            let stem = file
                .path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let mut row = empty(&stem, file.path, now);
            row.state = Word::Broken;
            row.problem = Some(problems.to_string());
            row
        }
    }
}

fn schedule(job: &JobFile) -> String {
    let root = &job.root;
    if let Some(every) = &root.every {
        return format!("every {every}");
    }
    if let Some(cron) = &root.cron {
        return format!("cron {cron}");
    }
    if let Some(after) = &root.after {
        return format!("after {after}");
    }
    if job.is_service() { "kept" } else { "trigger" }.to_owned()
}

fn empty(name: &str, file: PathBuf, now: DateTime<Utc>) -> Row {
    Row {
        job: name.into(),
        kind: Arc::from(""),
        file: Arc::new(file),
        state: Word::Stopped,
        run: None,
        pid: None,
        since: now,
        schedule: String::new(),
        last: None,
        next: None,
        starts: 0,
        failures: 0,
        skipped: 0,
        problem: None,
        says: None,
        beat_age: None,
        beats: None,
        rows: None,
        bytes: None,
        phase: None,
        guarantee: None,
    }
}

fn last_of(entry: Entry) -> Last {
    Last {
        run: entry.run,
        outcome: entry.outcome,
        ended: entry.ended,
        duration_ms: entry.duration_ms,
        why: entry.why,
    }
}
