//! Job files that were read: new, changed, gone, broken, or two with one name.
//!
//! What changes only when a job runs and how it is watched is taken over under a running job. Other
//! changes restart a kept job gracefully; a scheduled job's run finishes, and the next run takes the new
//! version. A broken file leaves its job as it is: what runs goes on, an `exec` is even restarted in its
//! last valid version; other kinds, whose runner reads the file, wait until it is mended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::action::Action;
use super::entry::Reason;
use super::event::{Content, JobText, Loaded, Token};
use super::job::{Job, Next};
use super::memory::Remembered;
use super::outcome::Why;
use super::request::Answer;
use super::spec::{JobSpec, Policy, Start};
use super::state::Misfit;
use super::turn::Turn;

/// What a reading changed, for the client that asked for it.
#[derive(Default)]
struct Tally {
    new: u32,
    changed: u32,
    gone: u32,
    broken: u32,
}

impl Turn<'_> {
    /// Takes over what was read.
    pub(super) fn load(&mut self, loaded: Loaded) {
        let mut batch: BTreeMap<PathBuf, Content> = BTreeMap::new();
        for JobText { path, content } in loaded.files {
            match path.to_str() {
                Some(_) => batch.insert(path, content),
                None => {
                    let text = "the file's name is not UTF-8".to_string();
                    let plain = PathBuf::from(path.to_string_lossy().into_owned());
                    batch.insert(plain, Content::Broken { name: None, text })
                }
            };
        }
        if loaded.complete {
            let known = self.state.files.keys().map(|path| path.as_ref());
            let known: Vec<_> = known.chain(self.state.misfits.keys()).cloned().collect();
            for path in known {
                batch.entry(path).or_insert(Content::Gone);
            }
        }
        let mut tally = Tally::default();
        let orphans = self.detach(&batch);
        self.attach(batch, &orphans, &mut tally);
        for name in orphans {
            self.bury(&name, &mut tally);
        }
        self.retry_misfits(&mut tally);
        if let Some(token) = loaded.answer {
            self.answer_reload(token, &tally);
        }
    }

    /// Takes the files of the batch from their jobs; gives these jobs.
    fn detach(&mut self, batch: &BTreeMap<PathBuf, Content>) -> BTreeSet<Arc<str>> {
        let names = batch
            .keys()
            .filter_map(|path| self.state.files.remove(path));
        names.collect()
    }

    /// Gives each job its file again: first those that had it before, then the others in the order of paths.
    fn attach(
        &mut self,
        batch: BTreeMap<PathBuf, Content>,
        orphans: &BTreeSet<Arc<str>>,
        tally: &mut Tally,
    ) {
        let (mut later, mut broken) = (Vec::new(), Vec::new());
        for (path, content) in batch {
            self.state.misfits.remove(&path);
            match content {
                Content::Gone => {}
                Content::Broken { name, text } => broken.push((path, name, text)),
                Content::Valid(spec) => {
                    let old = self
                        .job(&spec.name)
                        .filter(|_| orphans.contains(&spec.name));
                    if old.is_some_and(|job| *job.spec.file == path) {
                        self.attach_one(spec, tally);
                    } else {
                        later.push(spec);
                    }
                }
            }
        }
        for spec in later {
            self.attach_one(spec, tally);
        }
        for (path, name, text) in broken {
            tally.broken += 1;
            let mut orphans = orphans.iter();
            let owner =
                orphans.find(|name| self.job(name).is_some_and(|job| *job.spec.file == path));
            match owner.cloned() {
                Some(owner) => self.damage(&owner, text),
                None => self.misfit(path, name.as_deref().map(Arc::from), text, None),
            }
        }
    }

    fn attach_one(&mut self, spec: Arc<JobSpec>, tally: &mut Tally) {
        let taken = self.job(&spec.name).is_some_and(|job| {
            job.has_file() && self.state.files.get(&job.spec.file) == Some(&spec.name)
        });
        if taken {
            let owner = self
                .job(&spec.name)
                .map(|job| job.spec.file.display().to_string());
            let owner = owner.unwrap_or_default();
            let text = format!("name `{}` is taken by {owner}", spec.name);
            tally.broken += 1;
            let (path, name) = (spec.file.as_ref().clone(), spec.name.clone());
            self.misfit(path, Some(name), text, Some(spec));
            return;
        }
        self.state
            .files
            .insert(spec.file.clone(), spec.name.clone());
        self.take_spec(spec, tally);
    }

    fn misfit(
        &mut self,
        path: PathBuf,
        name: Option<Arc<str>>,
        text: String,
        spec: Option<Arc<JobSpec>>,
    ) {
        let misfit = Misfit {
            name,
            text: text.into(),
            spec,
            since: self.now.wall,
        };
        self.state.misfits.insert(path, misfit);
    }

    /// A job's file is no job any more.
    fn damage(&mut self, name: &Arc<str>, text: String) {
        let Some(job) = self.job_mut(name) else {
            return;
        };
        job.broken = Some(text.into());
        let file = job.spec.file.clone();
        self.state.files.insert(file, name.clone());
    }

    /// Removes a job that no file stands behind any more.
    fn bury(&mut self, name: &Arc<str>, tally: &mut Tally) {
        let Some(job) = self.job(name) else { return };
        if self.state.files.get(&job.spec.file) == Some(name) {
            return;
        }
        tally.gone += 1;
        self.disarm(name, "its file was removed");
        let Some(job) = self.job_mut(name) else {
            return;
        };
        job.removed = true;
        if job.run.is_some() {
            self.order_stop(name, Why::Removed);
        } else {
            self.drop_job(name);
        }
    }

    /// Forgets a job.
    pub(super) fn drop_job(&mut self, name: &Arc<str>) {
        self.disarm(name, "its file was removed");
        self.settle();
        let Some(mut job) = self.state.jobs.remove(name) else {
            return;
        };
        self.state.timers.forget(name, &mut job);
        self.unlist_after(name, &job.spec.policy);
        self.remember(name, |what| *what = Remembered::default());
    }

    /// Files that had to stand back for another with the same name get their turn.
    fn retry_misfits(&mut self, tally: &mut Tally) {
        let waiting = self.state.misfits.iter();
        let specs: Vec<_> = waiting.filter_map(|(_, m)| m.spec.clone()).collect();
        for spec in specs {
            let free = self.job(&spec.name).is_none_or(|job| !job.has_file());
            if free {
                self.state.misfits.remove(spec.file.as_ref());
                self.attach_one(spec, tally);
            }
        }
    }

    fn answer_reload(&mut self, token: Token, tally: &Tally) {
        let Tally {
            new,
            changed,
            gone,
            broken,
        } = tally;
        let jobs = self.state.jobs.len();
        let text =
            format!("{jobs} jobs: {new} new, {changed} changed, {gone} gone, {broken} broken");
        let answer = Box::new(Answer::Done { text });
        self.order(Action::Reply { token, answer });
    }

    /// A valid version of a job.
    fn take_spec(&mut self, spec: Arc<JobSpec>, tally: &mut Tally) {
        let name = spec.name.clone();
        let Some(job) = self.job_mut(&name) else {
            tally.new += 1;
            self.add_job(spec);
            return;
        };
        job.broken = None;
        let back = std::mem::take(&mut job.removed);
        let old = std::mem::replace(&mut job.spec, spec.clone());
        // most files of a complete reading are as they were
        let same = Arc::ptr_eq(&old, &spec) || old == spec;
        if same && !back {
            job.spec = old;
            self.arm(&name);
            return;
        }
        tally.changed += 1;
        self.unlist_after(&name, &old.policy);
        self.list_after(&name, &spec.policy);
        let lost = old.start == Start::Lost;
        self.take_policy(&name, &old.policy, &spec.policy);
        if old.version != spec.version && !lost {
            self.take_version(&name, &spec.policy);
        }
        if back && self.job(&name).is_some_and(|job| job.run.is_some()) {
            // it was being stopped because its file was gone
            if let Some(job) = self.job_mut(&name).filter(|job| job.spec.policy.kept) {
                job.queued = Some(Reason::Changed);
            }
        }
        self.arm(&name);
    }

    fn add_job(&mut self, spec: Arc<JobSpec>) {
        let name = spec.name.clone();
        self.list_after(&name, &spec.policy);
        let mut job = Job::new(spec, self.now.wall);
        let mut freed = false;
        if let Some(what) = self.state.memory.of(&name) {
            let word = what.enabled.filter(|word| word.file == job.enabled);
            job.enabled = word.map_or(job.enabled, |word| word.word);
            job.stopped = what.stopped.as_ref() == Some(&self.state.boot);
            freed = what.stopped.is_some() && !job.stopped;
        }
        self.state.jobs.insert(name.clone(), job);
        if freed {
            // stopped in an earlier boot: what it left out then is not missed now
            self.remember(&name, |what| what.stopped = None);
            self.begin_cron_anew(&name);
        }
        self.arm(&name);
    }

    fn list_after(&mut self, name: &Arc<str>, policy: &Policy) {
        if let Some(after) = &policy.after {
            let all = self.state.successors.entry(after.clone()).or_default();
            all.insert(name.clone());
        }
    }

    fn unlist_after(&mut self, name: &Arc<str>, policy: &Policy) {
        let Some(after) = &policy.after else { return };
        if let Some(all) = self.state.successors.get_mut(after) {
            all.remove(name);
            if all.is_empty() {
                self.state.successors.remove(after);
            }
        }
    }

    /// What may change under a running job.
    fn take_policy(&mut self, name: &Arc<str>, old: &Policy, new: &Policy) {
        self.adjust_watch(name, old, new);
        if old.enabled != new.enabled {
            self.remember(name, |what| what.enabled = None);
            self.take_enabled(name, new.enabled);
        }
        if (&old.cron, old.zone) != (&new.cron, new.zone) {
            self.begin_cron_anew(name);
        }
        let moved = old.every != new.every || old.kept != new.kept;
        let Some(job) = self.job(name) else { return };
        let again = match &job.next {
            Next::At { reason, .. } => {
                moved && matches!(reason, Reason::Every | Reason::Kept | Reason::Retry)
            }
            Next::Window { .. } => true,
            Next::Seat { pool, .. } => new.pool.as_ref() != Some(pool),
            Next::Idle => false,
        };
        let scheduled_now = old.kept && !new.kept;
        if again && let Some(reason) = self.cancel_next(name) {
            let by_schedule = matches!(reason, Reason::Every | Reason::Kept | Reason::Retry);
            // `arm` finds the new time of what the schedule itself brings
            if !by_schedule {
                let verdict = self.fall_due(name, reason);
                self.answer_verdict(name, &verdict);
            }
        }
        if scheduled_now {
            // a run that was meant to go on for ever would be in the way of the schedule
            self.order_stop(name, Why::Changed);
        }
    }

    /// Sets the slot of a running job to new watch attributes.
    fn adjust_watch(&mut self, name: &Arc<str>, old: &Policy, new: &Policy) {
        if (old.heartbeat, old.hang_grace) == (new.heartbeat, new.hang_grace) {
            return;
        }
        if let Some(run) = self.job(name).and_then(|job| job.run.as_ref()) {
            let run = run.id;
            self.order(Action::Adjust {
                run,
                heartbeat: new.heartbeat,
                hang_grace: new.hang_grace,
            });
        }
    }

    /// What a run takes with it has changed.
    fn take_version(&mut self, name: &Arc<str>, policy: &Policy) {
        if !policy.kept || self.state.leaving.is_some() {
            return;
        }
        let Some(job) = self.job_mut(name).filter(|job| job.is_active()) else {
            return;
        };
        job.streak = 0;
        if job.run.is_some() {
            job.queued = Some(Reason::Changed);
            self.order_stop(name, Why::Changed);
        } else if matches!(job.next, Next::At { .. }) {
            // what was wrong may be mended: no need to sit out the back-off
            job.next = Next::Idle;
            self.fall_due(name, Reason::Changed);
        }
    }
}
