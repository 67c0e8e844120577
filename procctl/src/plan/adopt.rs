//! Runs that an earlier procctl left: living ones are taken over, ended ones accounted for, and only
//! then anything is started. That is what keeps a job from running twice.

use std::sync::Arc;

use super::action::{Action, Signal};
use super::ending::millis;
use super::entry::{Entry, Reason};
use super::event::{Adopted, FoundEnded};
use super::job::{Job, Run};
use super::outcome::{Outcome, Why, decide, explain};
use super::spec::{JobSpec, Start};
use super::status::Last;
use super::turn::Turn;

impl Turn<'_> {
    /// Takes over a living run. Nobody can tell which version of the file it was started from: it is
    /// taken as being of the present one.
    pub(super) fn adopt(&mut self, adopted: Adopted) {
        let name: Arc<str> = adopted.job.as_str().into();
        let wall = self.now.wall;
        self.state.last_run = self.state.last_run.max(adopted.run);
        let jobs = &mut self.state.jobs;
        let job = jobs
            .entry(name.clone())
            .or_insert_with(|| Job::new(Arc::new(JobSpec::lost(&adopted.job)), wall));
        if job.run.is_some() {
            // cannot be, unless somebody forged a slot: the job has its run, this one goes
            self.signal(adopted.run, Signal::Kill);
            return;
        }
        let seat = job.spec.policy.pool.clone();
        job.since = adopted.started;
        job.run = Some(Box::new(Run {
            id: adopted.run,
            spec: job.spec.clone(),
            reason: Reason::Adopted,
            pid: Some(adopted.pid),
            started: adopted.started,
            started_mono: adopted.started_mono,
            seat: seat.clone(),
            stop: None,
            result: None,
            steady: None,
            examined: None,
            says: None,
            trouble: None,
        }));
        self.state.runs.insert(adopted.run, name.clone());
        if let Some(pool) = &seat {
            self.state.pools.occupy(pool);
        }
        // the run's due times
        self.job_mut(&name);
    }

    /// Accounts for a run that ended unseen.
    pub(super) fn find_ended(&mut self, found: FoundEnded) {
        let name: Arc<str> = found.job.as_str().into();
        let wall = self.now.wall;
        self.state.last_run = self.state.last_run.max(found.run);
        let outcome = decide(None, found.exit, &found.words);
        let job = self.state.jobs.get_mut(&name);
        let ours = job
            .as_ref()
            .is_some_and(|job| matches!(job.spec.start, Start::Jobs { .. }));
        let kind = job
            .as_ref()
            .map_or_else(|| "".into(), |job| job.spec.kind.clone());
        let why = explain(outcome, None, found.exit, ours);
        let why = format!("{why}; while procctl was down");
        let ended = found.ended.unwrap_or(wall);
        let lasted = (ended - found.started).to_std().unwrap_or_default();
        let evidence = &self.state.settings.evidence;
        let evidence =
            (found.words.hung).then(|| evidence.join(format!("{name}-{}.txt", found.run)));
        if let Some(job) = job {
            job.last = Some(Box::new(Last {
                run: found.run,
                outcome,
                ended,
                duration_ms: millis(lasted),
                why: why.clone(),
            }));
            let ago = (wall - ended).to_std().unwrap_or_default();
            job.last_end = Some(self.now.mono.saturating_sub(ago));
            if outcome == Outcome::Done {
                self.state.unseen.push(name.clone());
            }
        }
        self.order(Action::Record(Box::new(Entry {
            run: found.run,
            job: name.clone(),
            kind,
            reason: Reason::Adopted,
            pid: Some(found.pid),
            started: found.started,
            ended,
            duration_ms: millis(lasted),
            outcome,
            exit: found.exit,
            why: why.clone(),
            rows: found.words.rows,
            bytes: found.words.bytes,
            rejected: found.words.rejected,
            peak_memory: found.usage.peak_memory,
            cpu_us: found.usage.cpu_us,
            evidence: evidence.clone(),
        })));
        self.remember_end(&name, ended);
        self.judge(&name, found.run, outcome, why, evidence);
        self.order(Action::Release { run: found.run });
    }

    /// All that was left is known: the jobs are put to work.
    pub(super) fn boot(&mut self) {
        if std::mem::replace(&mut self.state.booted, true) {
            return;
        }
        self.forget_unknown();
        let names: Vec<_> = self.state.jobs.keys().cloned().collect();
        for name in names {
            self.boot_one(&name);
        }
        for name in std::mem::take(&mut self.state.unseen) {
            self.call_successors(&name);
        }
    }

    fn boot_one(&mut self, name: &Arc<str>) {
        let Some(job) = self.job(name) else { return };
        let unwanted = job.spec.policy.kept && (job.stopped || !job.enabled);
        if job.spec.start == Start::Lost && !self.may_be_mended(name) {
            self.order_stop(name, Why::Removed);
        } else if unwanted {
            // procctl was killed while it stopped it
            self.order_stop(name, Why::Operator);
        }
        self.arm(name);
    }

    /// Whether a broken file may be the one of a run that has no job.
    fn may_be_mended(&self, name: &str) -> bool {
        self.state.misfits.iter().any(|(path, misfit)| {
            let stem = path
                .file_stem()
                .is_some_and(|stem| stem.to_str() == Some(name));
            let named = misfit.name.as_deref().map(|other| other == name);
            stem || named.unwrap_or(true)
        })
    }

    /// Drops the memory of jobs that are no more, unless a broken file may be one of them.
    fn forget_unknown(&mut self) {
        let unknown = self.state.memory.names();
        let unknown: Vec<_> = unknown
            .filter(|name| !self.state.jobs.contains_key(*name) && !self.may_be_mended(name))
            .cloned()
            .collect();
        for name in unknown {
            self.remember(&name, |what| *what = super::memory::Remembered::default());
        }
    }
}
