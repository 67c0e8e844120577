//! Stopping: SIGTERM to the tree, SIGKILL after the grace, and an end to it where even that does not
//! help. And the end of the supervisor itself.

use std::sync::Arc;
use std::time::Duration;

use super::action::{Action, AlarmKind, Signal};
use super::event::{RunId, Token};
use super::job::{Stage, Stop};
use super::outcome::Why;
use super::request::Answer;
use super::turn::Turn;

/// A tree that lives on this long after SIGKILL is given up: a process in state D cannot be killed,
/// and its job must not be started beside it.
const GIVE_UP: Duration = Duration::from_secs(10);

impl Turn<'_> {
    /// Orders the live run of a job to stop. A stop that is under way goes on as it is.
    pub(super) fn order_stop(&mut self, name: &Arc<str>, why: Why) {
        let now = self.now.mono;
        let Some(job) = self.job_mut(name) else {
            return;
        };
        let policy = &job.spec.policy;
        let grace = match why {
            Why::Hung => policy.hang_grace,
            Why::Operator
            | Why::Restart
            | Why::Disabled
            | Why::Changed
            | Why::Removed
            | Why::Shutdown
            | Why::Replaced
            | Why::MaxRun
            | Why::Rest => policy.stop_grace,
        };
        let Some(run) = job.run.as_mut().filter(|run| run.stop.is_none()) else {
            return;
        };
        run.steady = None;
        run.stop = Some(Stop {
            why,
            stage: Stage::Term(now.saturating_add(grace)),
        });
        let id = run.id;
        self.signal(id, Signal::Term);
    }

    /// The present stage of a stop is over.
    pub(super) fn fire_stage(&mut self, name: &Arc<str>) {
        let now = self.now.mono;
        let Some(run) = self.run_mut(name) else {
            return;
        };
        let id = run.id;
        let Some(stop) = &mut run.stop else { return };
        match stop.stage {
            Stage::Term(end) if end <= now => {
                stop.stage = Stage::Kill(now.saturating_add(GIVE_UP));
                self.signal(id, Signal::Kill);
            }
            Stage::Kill(end) if end <= now => {
                stop.stage = Stage::GivenUp;
                self.give_up(name, id);
            }
            Stage::Term(_) | Stage::Kill(_) | Stage::GivenUp => {}
        }
    }

    fn give_up(&mut self, name: &Arc<str>, id: RunId) {
        self.state.stuck += 1;
        let text = "processes survive SIGKILL (state D?): no new start until they are gone";
        if let Some(job) = self.job_mut(name) {
            job.note = Some(text.into());
        }
        self.alarm(AlarmKind::Failed, name, Some(id), text.to_string());
        self.resolve(name, |_| true, false, text);
    }

    /// The run has lasted `max-run`.
    pub(super) fn fire_longest(&mut self, name: &Arc<str>) {
        let Some(job) = self.job(name) else { return };
        let Some(run) = &job.run else { return };
        if job.longest(run).is_some_and(|end| end <= self.now.mono) {
            self.order_stop(name, Why::MaxRun);
        }
    }

    /// Ends the supervisor: all jobs stop, each with its own grace.
    pub(super) fn leave(&mut self, token: Option<Token>) {
        let first = self.state.leaving.is_none();
        self.state.leaving.get_or_insert_default().extend(token);
        if !first {
            return;
        }
        let names: Vec<_> = self.state.jobs.keys().cloned().collect();
        for name in names {
            self.disarm(&name, "procctl stops");
            self.order_stop(&name, Why::Shutdown);
        }
    }

    /// Says goodbye when every tree is gone or given up. A clean end voids what operators stopped:
    /// the next supervisor starts these jobs again, as after a boot.
    pub(super) fn leave_when_done(&mut self) {
        let alive = self.state.runs.len() - self.state.stuck;
        if self.state.left || alive > 0 {
            return;
        }
        let Some(tokens) = &self.state.leaving else {
            return;
        };
        let tokens = tokens.clone();
        self.state.left = true;
        let stopped = self.state.jobs.iter().filter(|(_, job)| job.stopped);
        let stopped: Vec<_> = stopped.map(|(name, _)| name.clone()).collect();
        for name in stopped {
            self.begin_cron_anew(&name);
            self.remember(&name, |what| what.stopped = None);
        }
        let text = match self.state.stuck {
            0 => "stopped".to_string(),
            stuck => format!("stopped; {stuck} jobs have processes that survive SIGKILL"),
        };
        for token in tokens {
            let answer = Box::new(Answer::Done { text: text.clone() });
            self.order(Action::Reply { token, answer });
        }
        self.refuse_waiting("procctl has stopped");
        self.order(Action::Exit);
    }
}
