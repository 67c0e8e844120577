//! A start falls due while a run goes on: left out, queued, or in its place.

use std::sync::Arc;

use super::action::{Action, Signal};
use super::entry::{Entry, Reason};
use super::event::RunId;
use super::outcome::{Exit, Outcome, Why};
use super::spec::Overlap;
use super::starting::Verdict;
use super::turn::Turn;

const GOES_ON: &str = "a run goes on";

impl Turn<'_> {
    /// Decides by the job's `overlap`. An order to trigger a resident job is a pass of its runner.
    pub(super) fn overlap(&mut self, name: &Arc<str>, reason: Reason) -> Verdict {
        let Some(job) = self.job(name) else {
            return Verdict::Refused("no such job".into());
        };
        let (Some(run), overlap) = (&job.run, job.spec.policy.overlap) else {
            return Verdict::Refused("no run".into());
        };
        let (id, ending) = (run.id, run.stop.is_some());
        let ordered = matches!(reason, Reason::Trigger | Reason::Operator | Reason::Changed);
        if job.is_stuck() {
            return self.skip(name, reason, 1, "processes of the last run survive SIGKILL");
        }
        if reason == Reason::Trigger && run.spec.is_resident() && !ending {
            self.signal(id, Signal::Pass);
            return Verdict::Passed;
        }
        match overlap {
            _ if ending && ordered => self.queue(name, reason),
            Overlap::Queue => self.queue(name, reason),
            Overlap::Replace => {
                self.order_stop(name, Why::Replaced);
                self.queue(name, reason)
            }
            Overlap::ReplaceHung if !ending => self.examine(name, id, reason),
            Overlap::Skip | Overlap::ReplaceHung => self.skip(name, reason, 1, GOES_ON),
        }
    }

    /// At most one start follows the live run.
    fn queue(&mut self, name: &Arc<str>, reason: Reason) -> Verdict {
        let Some(job) = self.job_mut(name) else {
            return Verdict::Refused("no such job".into());
        };
        match job.queued {
            None => {
                job.queued = Some(reason);
                Verdict::Follows("follows the run that goes on")
            }
            // an operator's order counts for the schedule's, too
            Some(_) if matches!(reason, Reason::Trigger | Reason::Operator | Reason::Changed) => {
                job.queued = Some(reason);
                Verdict::Follows("follows the run that goes on, with a start that waited for it")
            }
            Some(_) => self.skip(name, reason, 1, "one start waits for the run already"),
        }
    }

    fn examine(&mut self, name: &Arc<str>, id: RunId, reason: Reason) -> Verdict {
        let Some(run) = self.run_mut(name) else {
            return Verdict::Refused("no run".into());
        };
        if run.examined.replace(reason).is_none() {
            self.order(Action::Examine { run: id });
        }
        Verdict::Examining
    }

    /// The loop has looked at the slot of a run that may be replaced if it hangs.
    pub(super) fn examined(&mut self, run: RunId, overdue: bool) {
        let Some(name) = self.job_of(run) else { return };
        let Some(reason) = self.run_mut(&name).and_then(|run| run.examined.take()) else {
            return;
        };
        if overdue {
            self.order_stop(&name, Why::Replaced);
            let verdict = self.queue(&name, reason);
            self.answer_verdict(&name, &verdict);
        } else {
            let why = "a run goes on, and does not hang";
            let verdict = self.skip(&name, reason, 1, why);
            self.answer_verdict(&name, &verdict);
        }
    }

    /// A start is left out. The schedule's go into the history; an operator is told anyway.
    pub(super) fn skip(
        &mut self,
        name: &Arc<str>,
        reason: Reason,
        count: u32,
        why: &str,
    ) -> Verdict {
        let refused = Verdict::Refused(why.to_string());
        let Some(job) = self.job_mut(name) else {
            return refused;
        };
        if matches!(reason, Reason::Trigger | Reason::Operator) {
            return refused;
        }
        job.note = Some(format!("last start left out: {why}").into());
        job.skipped = job.skipped.saturating_add(count);
        let spec = job.spec.clone();
        self.account_due(name);
        let run = self.new_run();
        let wall = self.now.wall;
        self.order(Action::Record(Box::new(Entry {
            run,
            job: spec.name.clone(),
            kind: spec.kind.clone(),
            reason,
            pid: None,
            started: wall,
            ended: wall,
            duration_ms: 0,
            outcome: Outcome::Skipped,
            exit: Exit::Unknown,
            why: why.to_string(),
            rows: 0,
            bytes: 0,
            rejected: 0,
            peak_memory: None,
            cpu_us: None,
            evidence: None,
        })));
        refused
    }
}
