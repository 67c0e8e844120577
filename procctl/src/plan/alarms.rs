//! What is worth an alarm: one for each change of a job's health, never one for each failure.
//!
//! Good, failed, hung and troubled (by its own word, while it goes on) are told apart: a job that fails again and again has alarmed once, one
//! that hangs after failures alarms again. It is well again when a run ends with success; a kept job,
//! when a run has lasted longer than the longest back-off, two heartbeats, and a second.

use std::path::PathBuf;
use std::sync::Arc;

use super::action::{Action, Alarm, AlarmKind};
use super::ending::in_words;
use super::event::RunId;
use super::job::Health;
use super::outcome::Outcome;
use super::turn::Turn;

impl Turn<'_> {
    /// Raises an alarm.
    pub(super) fn alarm(
        &mut self,
        kind: AlarmKind,
        job: &Arc<str>,
        run: Option<RunId>,
        text: String,
    ) {
        self.alarm_with(kind, job, run, text, None);
    }

    fn alarm_with(
        &mut self,
        kind: AlarmKind,
        job: &Arc<str>,
        run: Option<RunId>,
        text: String,
        evidence: Option<PathBuf>,
    ) {
        let at = self.now.wall;
        self.order(Action::Alarm(Box::new(Alarm {
            kind,
            job: job.clone(),
            run,
            at,
            text,
            evidence,
        })));
    }

    /// Compares a result with the job's health.
    pub(super) fn judge(
        &mut self,
        name: &Arc<str>,
        run: RunId,
        outcome: Outcome,
        text: String,
        evidence: Option<PathBuf>,
    ) {
        let Some(job) = self.job_mut(name) else {
            return;
        };
        let old = job.health;
        let new = match outcome {
            Outcome::Hung => Health::Hung,
            Outcome::Done => Health::Good,
            failure if failure.is_failure() => Health::Failed,
            _ => old,
        };
        if new == old {
            return;
        }
        job.health = new;
        let kind = match new {
            Health::Hung => AlarmKind::Hung,
            Health::Failed => AlarmKind::Failed,
            Health::Good => AlarmKind::Recovered,
            Health::Troubled => return,
        };
        self.alarm_with(kind, name, Some(run), text, evidence);
    }

    /// A run says itself what is wrong, or, by an empty text, that nothing is any more. Each new text is news; a job in trouble does
    /// not become well by lasting.
    pub(super) fn hear_alarm(&mut self, name: &Arc<str>, id: RunId, text: String) {
        let Some(job) = self.job_mut(name) else {
            return;
        };
        let Some(run) = job.run.as_mut().filter(|run| run.stop.is_none()) else {
            return;
        };
        if text.is_empty() {
            run.trouble = None;
            if job.health == Health::Troubled {
                job.health = Health::Good;
                let text = "well again, by its own word".to_string();
                self.alarm(AlarmKind::Recovered, name, Some(id), text);
            }
        } else if run.trouble.as_deref() != Some(&text) {
            run.trouble = Some(text.as_str().into());
            run.steady = None;
            job.health = Health::Troubled;
            self.alarm(AlarmKind::Failed, name, Some(id), text);
        }
    }

    /// A kept job's run has lasted long enough to call the job well again.
    pub(super) fn fire_steady(&mut self, name: &Arc<str>) {
        let now = self.now.mono;
        let Some(job) = self.job_mut(name) else {
            return;
        };
        let Some(run) = &mut job.run else { return };
        if run.steady.take_if(|at| *at <= now).is_none() {
            return;
        }
        let (id, lasts) = (run.id, now.saturating_sub(run.started_mono));
        job.health = Health::Good;
        job.streak = 0;
        let text = format!("runs for {} now", in_words(lasts));
        self.alarm(AlarmKind::Recovered, name, Some(id), text);
    }
}
