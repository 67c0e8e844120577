//! What clients ask for: jobs started, stopped, restarted, triggered, enabled, disabled.
//!
//! An operator's `stop` holds until `start` or `restart`, across changes of the file, a re-exec and a crash
//! of procctl, but not across a clean end of the supervisor or a boot. `disable` holds until `enable`, or
//! until the file's own `enabled` changes.

use std::sync::Arc;

use super::action::Action;
use super::entry::Reason;
use super::event::Token;
use super::job::Next;
use super::memory::Override;
use super::outcome::Why;
use super::request::{Answer, Request};
use super::starting::Verdict;
use super::turn::Turn;
use super::waiters::Kind;

/// What a client is told about a job: now, or when something has happened.
enum Say {
    Now(bool, String),
    When(Kind),
}

impl Turn<'_> {
    /// Takes a request.
    pub(super) fn command(&mut self, token: Token, request: Request) {
        match request {
            Request::Status { job } => {
                let answer = self.report(job.as_deref());
                self.reply(token, answer);
            }
            Request::Stop { jobs } if jobs.is_empty() => self.leave(Some(token)),
            _ if self.state.leaving.is_some() => self.refuse(token, "procctl is stopping".into()),
            Request::Stop { jobs } => self.each(token, jobs, Self::stop),
            Request::Start { jobs } => self.each(token, jobs, Self::start),
            Request::Restart { jobs } if jobs.is_empty() => {
                self.refuse_waiting("procctl restarts: ask again");
                self.order(Action::Reexec { token });
            }
            Request::Restart { jobs } => self.each(token, jobs, Self::restart),
            Request::Trigger { jobs, wait: true } => {
                self.each(token, jobs, |turn, name| turn.trigger(name, Kind::End));
            }
            Request::Trigger { jobs, wait: false } => {
                self.each(token, jobs, |turn, name| turn.trigger(name, Kind::Up));
            }
            Request::Enable { jobs } => self.each(token, jobs, Self::enable),
            Request::Disable { jobs } => self.each(token, jobs, Self::disable),
            Request::Reload { jobs } => self.reread(token, &jobs),
        }
    }

    fn reply(&mut self, token: Token, answer: Answer) {
        let answer = Box::new(answer);
        self.order(Action::Reply { token, answer });
    }

    fn refuse(&mut self, token: Token, text: String) {
        self.reply(token, Answer::Refused { text });
    }

    /// Does it for each job, and answers when all is done.
    fn each(
        &mut self,
        token: Token,
        jobs: Vec<String>,
        mut what: impl FnMut(&mut Self, &Arc<str>) -> Say,
    ) {
        if jobs.is_empty() {
            self.refuse(token, "name at least one job".into());
            return;
        }
        let mut names: Vec<String> = Vec::with_capacity(jobs.len());
        for job in jobs {
            if !names.contains(&job) {
                names.push(job);
            }
        }
        self.open_answer(token, names.clone());
        for (place, job) in names.iter().enumerate() {
            let known = self.state.jobs.get_key_value(job.as_str());
            let Some(name) = known.map(|(name, _)| name.clone()) else {
                let text = self.unknown(job);
                self.answer_one(token, place, false, &text);
                continue;
            };
            let not = self.live(&name);
            match what(self, &name) {
                Say::Now(ok, text) => self.answer_one(token, place, ok, &text),
                Say::When(kind) => self.want(&name, token, place, kind, not),
            }
        }
    }

    fn live(&self, name: &str) -> Option<super::event::RunId> {
        self.job(name)?.run.as_ref().map(|run| run.id)
    }

    fn unknown(&self, job: &str) -> String {
        let mut misfits = self.state.misfits.values();
        match misfits.find(|misfit| misfit.name.as_deref() == Some(job)) {
            Some(misfit) => format!("its file is broken: {}", misfit.text),
            None => "no such job".to_string(),
        }
    }

    fn start(&mut self, name: &Arc<str>) -> Say {
        let Some(job) = self.job_mut(name) else {
            return Say::Now(false, "no such job".into());
        };
        if !job.enabled {
            return Say::Now(false, "is disabled: enable it first".into());
        }
        if job.is_stuck() {
            let text = "processes of the last run survive SIGKILL".to_string();
            return Say::Now(false, text);
        }
        let was_stopped = std::mem::take(&mut job.stopped);
        job.streak = 0;
        let stopping = job.run.as_ref().map(|run| (run.stop.is_some(), run.pid));
        self.remember(name, |what| what.stopped = None);
        if was_stopped {
            self.begin_cron_anew(name);
        }
        match stopping {
            Some((true, _)) => {
                self.arm(name);
                let verdict = self.fall_due(name, Reason::Operator);
                self.say(name, verdict, Kind::Up)
            }
            Some((false, pid)) => {
                self.arm(name);
                let pid = pid.map_or_else(String::new, |pid| format!(", pid {pid}"));
                Say::Now(true, format!("runs already{pid}"))
            }
            None => self.put_to_work(name),
        }
    }

    /// Starts what has no run: now, or by its schedule.
    fn put_to_work(&mut self, name: &Arc<str>) -> Say {
        let Some(policy) = self.policy(name) else {
            return Say::Now(false, "no such job".into());
        };
        let waits = !policy.kept
            && policy.every.is_none()
            && (policy.cron.is_some() || policy.after.is_some());
        if waits {
            self.arm(name);
            return Say::Now(true, self.expects(name));
        }
        // a place in a pool's queue is kept
        if !matches!(self.job(name).map(|job| &job.next), Some(Next::Seat { .. })) {
            self.cancel_next(name);
        }
        let verdict = self.fall_due(name, Reason::Operator);
        self.arm(name);
        self.say(name, verdict, Kind::Up)
    }

    /// What a waiting job waits for, in words.
    fn expects(&self, name: &Arc<str>) -> String {
        let Some(job) = self.job(name) else {
            return "no such job".into();
        };
        let next = job.cron.as_ref().and_then(|cron| cron.next);
        match (next, &job.spec.policy.after) {
            (Some(next), _) => format!("waits until {}", next.format("%Y-%m-%d %H:%M:%S UTC")),
            (None, Some(after)) => format!("waits for {after}"),
            (None, None) => "waits for a trigger".into(),
        }
    }

    fn say(&mut self, name: &Arc<str>, verdict: Verdict, kind: Kind) -> Say {
        match verdict {
            Verdict::Started | Verdict::Examining => Say::When(kind),
            Verdict::Follows(text) => {
                let stopping = self
                    .job(name)
                    .and_then(|job| job.run.as_ref()?.stop.as_ref());
                // a run that is not stopping may go on for long
                if kind == Kind::End || stopping.is_some() {
                    Say::When(kind)
                } else {
                    Say::Now(true, text.into())
                }
            }
            Verdict::Waits(_) if kind == Kind::End => Say::When(kind),
            Verdict::Waits(text) => Say::Now(true, text),
            Verdict::Passed => Say::Now(true, "does a pass now".into()),
            Verdict::Refused(text) => Say::Now(false, text),
        }
    }

    fn stop(&mut self, name: &Arc<str>) -> Say {
        let boot = self.state.boot.clone();
        let wall = self.now.wall;
        if let Some(job) = self.job_mut(name).filter(|job| !job.stopped) {
            job.stopped = true;
            if job.run.is_none() {
                job.since = wall;
            }
        }
        self.remember(name, |what| what.stopped = Some(boot));
        self.disarm(name, "was stopped");
        self.order_stop(name, Why::Operator);
        self.when_down(name, "stopped")
    }

    fn when_down(&self, name: &Arc<str>, text: &str) -> Say {
        match self.job(name) {
            Some(job) if job.is_stuck() => Say::Now(false, "its processes survive SIGKILL".into()),
            Some(job) if job.run.is_some() => Say::When(Kind::Down),
            _ => Say::Now(true, text.into()),
        }
    }

    fn restart(&mut self, name: &Arc<str>) -> Say {
        let Some(job) = self.job_mut(name) else {
            return Say::Now(false, "no such job".into());
        };
        if job.run.is_none() || !job.enabled || job.is_stuck() {
            return self.start(name);
        }
        if job.is_blocked() {
            return Say::Now(false, "its file is broken: the run goes on".into());
        }
        let was_stopped = std::mem::take(&mut job.stopped);
        job.streak = 0;
        job.queued = Some(Reason::Operator);
        self.remember(name, |what| what.stopped = None);
        if was_stopped {
            self.begin_cron_anew(name);
        }
        self.arm(name);
        self.order_stop(name, Why::Restart);
        Say::When(Kind::Up)
    }

    fn trigger(&mut self, name: &Arc<str>, kind: Kind) -> Say {
        let waits = self.job(name).map(|job| job.next.clone());
        if let Some(Next::Window { .. }) = waits {
            self.cancel_next(name);
        }
        let verdict = self.fall_due(name, Reason::Trigger);
        self.say(name, verdict, kind)
    }

    fn enable(&mut self, name: &Arc<str>) -> Say {
        self.set_enabled(name, true);
        match self.job(name) {
            Some(job) if job.stopped => Say::Now(true, "enabled, but stopped: start it".into()),
            _ => Say::Now(true, "enabled".into()),
        }
    }

    fn disable(&mut self, name: &Arc<str>) -> Say {
        self.set_enabled(name, false);
        match self.job(name) {
            Some(job) if job.run.is_some() && !job.spec.policy.kept => {
                Say::Now(true, "disabled; its run may finish".into())
            }
            _ => self.when_down(name, "disabled"),
        }
    }

    fn set_enabled(&mut self, name: &Arc<str>, word: bool) {
        let Some(file) = self.policy(name).map(|policy| policy.enabled) else {
            return;
        };
        let void = word == file;
        self.remember(name, |what| {
            what.enabled = (!void).then_some(Override { word, file });
        });
        self.take_enabled(name, word);
    }

    /// The job may run from now on, or may not.
    pub(super) fn take_enabled(&mut self, name: &Arc<str>, enabled: bool) {
        let wall = self.now.wall;
        let Some(job) = self.job_mut(name).filter(|job| job.enabled != enabled) else {
            return;
        };
        job.enabled = enabled;
        let kept = job.spec.policy.kept;
        if job.run.is_none() {
            job.since = wall;
        }
        if enabled {
            self.begin_cron_anew(name);
            self.arm(name);
        } else {
            self.disarm(name, "was disabled");
            if kept {
                self.order_stop(name, Why::Disabled);
            }
        }
    }

    fn reread(&mut self, token: Token, jobs: &[String]) {
        let mut files = Vec::new();
        for job in jobs {
            let by_job = self.job(job).filter(|job| job.has_file());
            let mut misfits = self.state.misfits.iter();
            let misfit = misfits.find(|(_, misfit)| misfit.name.as_deref() == Some(job));
            match (by_job, misfit) {
                (Some(job), _) => files.push(job.spec.file.as_ref().clone()),
                (None, Some((path, _))) => files.push(path.clone()),
                (None, None) => {
                    self.refuse(token, format!("no such job: {job}"));
                    return;
                }
            }
        }
        self.order(Action::Reread { token, files });
    }
}
