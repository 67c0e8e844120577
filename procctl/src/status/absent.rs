//! What can be told of a home's jobs while no supervisor runs: its files, its history, and the
//! slots of runs that live on without one.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use jobfile::Home;

use super::slots;
use crate::history::History;
use crate::plan::status::{Last, Row, Status, Word};
use crate::plan::{Entry, JobSpec};

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
            jobs.push(Row::bare(&slot.name, PathBuf::new(), Word::Stopped, now));
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
    let bare = |name: &str, state| Row::bare(name, file.path.clone(), state, now);
    let job = match &file.outcome {
        Ok(job) => job,
        Err(problems) => {
            let stem = file.path.file_stem().unwrap_or_default();
            return Row {
                problem: Some(problems.to_string()),
                ..bare(&stem.to_string_lossy(), Word::Broken)
            };
        }
    };
    match JobSpec::from_file(job) {
        Ok(spec) => Row {
            kind: spec.kind,
            schedule: spec.policy.in_words(),
            ..bare(
                &spec.name,
                if spec.policy.enabled {
                    Word::Stopped
                } else {
                    Word::Disabled
                },
            )
        },
        Err(problems) => Row {
            problem: Some(problems.to_string()),
            ..bare(&job.name, Word::Broken)
        },
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
