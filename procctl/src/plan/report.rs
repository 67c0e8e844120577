//! How things stand, for `procctl status`. Changes nothing.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::entry::Reason;
use super::job::{Health, Job, Next, Run};
use super::request::Answer;
use super::spec::Start;
use super::state::Misfit;
use super::status::{Row, Status, Word};
use super::turn::Turn;

impl Turn<'_> {
    /// The answer to `status`, about one job or all.
    pub(super) fn report(&self, only: Option<&str>) -> Answer {
        let wanted = |name: &str| only.is_none_or(|only| only == name);
        let jobs = self.state.jobs.iter().filter(|(name, _)| wanted(name));
        let mut rows: Vec<Row> = jobs.map(|(name, job)| self.row(name, job)).collect();
        for (path, misfit) in &self.state.misfits {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let name = misfit.name.as_deref().unwrap_or(&stem);
            if wanted(name) {
                rows.push(misfit_row(name, path, misfit));
            }
        }
        rows.sort_by(|a, b| a.job.cmp(&b.job));
        match only {
            Some(name) if rows.is_empty() => Answer::Refused {
                text: format!("no such job: {name}"),
            },
            _ => Answer::Status(Status {
                at: self.now.wall,
                pid: 0,
                since: self.state.since,
                stopping: self.state.leaving.is_some(),
                trouble: None,
                jobs: rows,
            }),
        }
    }

    fn row(&self, name: &Arc<str>, job: &Job) -> Row {
        let run = job.run.as_deref();
        let since = run.map_or(job.since, |run| run.started);
        Row {
            kind: job.spec.kind.clone(),
            run: run.map(|run| run.id),
            pid: run
                .filter(|run| run.result.is_none())
                .and_then(|run| run.pid),
            schedule: job.spec.policy.in_words(),
            last: job.last.as_deref().cloned(),
            next: self.next_start(job),
            starts: job.starts,
            failures: if job.health == Health::Good {
                0
            } else {
                job.streak
            },
            skipped: job.skipped,
            problem: self.problem(name, job),
            says: run.and_then(|run| run.says.as_deref().map(str::to_string)),
            ..Row::bare(name, job.spec.file.to_path_buf(), word(job), since)
        }
    }

    /// When it starts next, as far as that is known.
    fn next_start(&self, job: &Job) -> Option<DateTime<Utc>> {
        let put_off = match job.next {
            Next::At { at, .. } => {
                let wait = TimeDelta::from_std(at.saturating_sub(self.now.mono));
                self.now.wall.checked_add_signed(wait.ok()?)
            }
            Next::Window { open, .. } => Some(open),
            Next::Idle | Next::Seat { .. } => None,
        };
        let cron = job.cron.as_ref().and_then(|cron| cron.next);
        [put_off, cron].into_iter().flatten().min()
    }

    /// What is wrong with it, or what it waits for.
    fn problem(&self, name: &Arc<str>, job: &Job) -> Option<String> {
        if let Some(broken) = &job.broken {
            return Some(broken.to_string());
        }
        if job.spec.start == Start::Lost {
            return Some("runs without a valid file".into());
        }
        if let Next::Seat { pool, ticket, .. } = &job.next {
            return Some(self.state.pools.describe(pool, *ticket));
        }
        let after = job.spec.policy.after.as_deref();
        if let Some(after) = after.filter(|after| !self.state.jobs.contains_key(*after)) {
            return Some(format!("comes after {after}, which does not exist"));
        }
        if let Some(circle) = after.and_then(|_| self.circle(name)) {
            return Some(circle);
        }
        job.note.as_deref().map(str::to_string)
    }
}

/// The state in a word: what its run does, else why it has none.
fn word(job: &Job) -> Word {
    if let Some(run) = &job.run {
        return run_word(job, run);
    }
    match &job.next {
        Next::Seat { .. } => return Word::Queued,
        // a start by `trigger` waits even for one that is stopped
        Next::At { .. } | Next::Window { .. } | Next::Idle => {}
    }
    if job.is_blocked() {
        return Word::Broken;
    }
    if !job.enabled {
        return Word::Disabled;
    }
    if job.stopped {
        return Word::Stopped;
    }
    match &job.next {
        Next::Window { .. } => Word::OutsideWindow,
        Next::At {
            reason: Reason::Retry,
            ..
        } => Word::Backoff,
        Next::At { .. } | Next::Idle | Next::Seat { .. } => Word::Waiting,
    }
}

fn run_word(job: &Job, run: &Run) -> Word {
    if job.is_stuck() {
        Word::Stuck
    } else if run.stop.is_some() {
        Word::Stopping
    } else if run.pid.is_some() {
        Word::Running
    } else {
        Word::Starting
    }
}

fn misfit_row(name: &str, path: &std::path::Path, misfit: &Misfit) -> Row {
    let kind = misfit.spec.as_ref().map(|spec| spec.kind.clone());
    Row {
        kind: kind.unwrap_or_else(|| "".into()),
        problem: Some(misfit.text.to_string()),
        ..Row::bare(name, path.to_path_buf(), Word::Broken, misfit.since)
    }
}
