//! Tests of the plan with a fake clock: a world of jobs from their XML, and what the plan orders as
//! lines of text, `SECONDS ORDER JOB …`, where seconds count from the world's beginning.

mod adoption;
mod alarms;
mod clock;
mod commands;
mod due;
mod handover;
mod overlap;
mod pools;
mod random;
mod reload;
mod services;
mod stops;
mod volume;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jobfile::JobFile;

use super::event::{Adopted, Content, JobText, Loaded, Settings};
use super::outcome::{Exit, LastWords, Outcome, Usage};
use super::status::{Row, Status};
use super::{Action, Answer, Entry, Event, JobSpec, Memory, Now, Request, RunId, State, plan};

/// Friday noon.
pub(super) const BEGIN: &str = "2026-05-01T12:00:00Z";

/// A supervisor without a system under it.
pub(super) struct World {
    pub(super) state: State,
    pub(super) now: Now,
    begin: Duration,
    /// Job of every run ever started or adopted.
    pub(super) runs: BTreeMap<RunId, Arc<str>>,
    pub(super) entries: Vec<Entry>,
    pub(super) memory: String,
    /// Starts are not answered by `Started`.
    pub(super) slow: bool,
    pids: u32,
    tokens: u64,
}

/// The job of a file's text; the file is `/jobs/NAME.xml`.
pub(super) fn job(xml: &str) -> Arc<JobSpec> {
    let file = JobFile::from_text(Path::new("/jobs/unnamed.xml"), xml.as_bytes()).unwrap();
    let path = PathBuf::from(format!("/jobs/{}.xml", file.name));
    job_in(path.to_str().unwrap(), xml)
}

/// The job of a file's text in this file.
pub(super) fn job_in(path: &str, xml: &str) -> Arc<JobSpec> {
    let file = JobFile::from_text(Path::new(path), xml.as_bytes()).unwrap();
    Arc::new(JobSpec::from_file(&file).unwrap())
}

/// An exec job with these attributes.
pub(super) fn exec(name: &str, attributes: &str) -> Arc<JobSpec> {
    job(&format!(
        "<exec name=\"{name}\" tz=\"UTC\" {attributes}><command>run {name}</command></exec>"
    ))
}

/// A job that `jobs` runs, with these attributes.
pub(super) fn sweep(name: &str, attributes: &str) -> Arc<JobSpec> {
    job(&format!("<sweep name=\"{name}\" tz=\"UTC\" {attributes}/>"))
}

pub(super) fn valid(spec: &Arc<JobSpec>) -> JobText {
    let path = spec.file.as_ref().clone();
    let content = Content::Valid(spec.clone());
    JobText { path, content }
}

pub(super) fn file(path: &str, content: Content) -> JobText {
    let path = path.into();
    JobText { path, content }
}

impl World {
    /// A world before its boot.
    pub(super) fn unbooted(memory: &str) -> World {
        let now = Now {
            mono: Duration::from_secs(5000),
            wall: BEGIN.parse().unwrap(),
        };
        World {
            state: State::new(Memory::parse(memory), "boot-1", 1, now),
            now,
            begin: now.mono,
            runs: BTreeMap::new(),
            entries: Vec::new(),
            memory: memory.to_string(),
            slow: false,
            pids: 100,
            tokens: 0,
        }
    }

    /// A world with these jobs, booted; what it ordered.
    pub(super) fn boot(jobs: &[Arc<JobSpec>]) -> (World, Vec<String>) {
        let mut world = World::unbooted("");
        world.load_all(jobs);
        let orders = world.event(Event::Booted);
        (world, orders)
    }

    /// A world with these jobs, booted.
    pub(super) fn with(jobs: &[Arc<JobSpec>]) -> World {
        World::boot(jobs).0
    }

    pub(super) fn load_all(&mut self, jobs: &[Arc<JobSpec>]) -> Vec<String> {
        self.event(Event::Loaded(Loaded {
            complete: true,
            files: jobs.iter().map(valid).collect(),
            answer: None,
        }))
    }

    pub(super) fn load(&mut self, files: Vec<JobText>) -> Vec<String> {
        self.event(Event::Loaded(Loaded {
            files,
            ..Loaded::default()
        }))
    }

    pub(super) fn pools(&mut self, pools: &[(&str, u32)]) -> Vec<String> {
        let pools = pools.iter().map(|(name, size)| ((*name).into(), *size));
        self.event(Event::Configured(Settings {
            pools: pools.collect(),
            evidence: "/log/evidence".into(),
        }))
    }

    /// One event now; what it ordered.
    pub(super) fn event(&mut self, event: Event) -> Vec<String> {
        let mut orders = Vec::new();
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for action in plan(&mut self.state, event, self.now) {
                self.act(&action, &mut events);
                orders.extend(self.line(&action));
            }
            self.check_wake();
        }
        orders
    }

    /// Nothing may be due any more, else the loop would spin.
    fn check_wake(&self) {
        let wake = self.state.next_wake();
        assert!(wake.mono.is_none_or(|at| at > self.now.mono), "{wake:?}");
        assert!(wake.wall.is_none_or(|at| at > self.now.wall), "{wake:?}");
    }

    fn act(&mut self, action: &Action, events: &mut Vec<Event>) {
        match action {
            Action::Start { run, job, .. } => {
                assert_eq!(self.runs.insert(*run, job.name.clone()), None);
                self.pids += 1;
                let pid = self.pids;
                if !self.slow {
                    events.insert(0, Event::Started { run: *run, pid });
                }
            }
            Action::Record(entry) => self.entries.push(entry.as_ref().clone()),
            Action::Remember { line } => self.memory += &format!("{line}\n"),
            _ => {}
        }
    }

    fn line(&self, action: &Action) -> Option<String> {
        let name = |run: &RunId| self.runs.get(run).map_or("?", |name| name);
        let text = match action {
            Action::Start { job, reason, .. } => {
                let reason = serde_json::to_string(reason).unwrap();
                format!("start {} {}", job.name, reason.trim_matches('"'))
            }
            Action::Signal { run, signal } => {
                let signal = serde_json::to_string(signal).unwrap();
                format!("{} {}", signal.trim_matches('"'), name(run))
            }
            Action::Examine { run } => format!("examine {}", name(run)),
            Action::Adjust { run, heartbeat, .. } => format!("adjust {} {heartbeat:?}", name(run)),
            Action::Alarm(alarm) => {
                let kind = serde_json::to_string(&alarm.kind).unwrap();
                format!(
                    "alarm {} {}: {}",
                    kind.trim_matches('"'),
                    alarm.job,
                    alarm.text
                )
            }
            Action::Reply { token, answer } => format!("reply {token} {}", answer_text(answer)),
            Action::Reread { token, files } => format!("reread {token} {files:?}"),
            Action::Reexec { token } => format!("reexec {token}"),
            Action::Exit => "exit".into(),
            Action::Release { .. } | Action::Record(_) | Action::Remember { .. } => return None,
        };
        let since = (self.now.mono - self.begin).as_secs_f64();
        Some(format!("{since} {text}"))
    }

    /// Lets time pass, with all that falls due in it; what it ordered.
    pub(super) fn pass(&mut self, seconds: f64) -> Vec<String> {
        let end = self.now.mono + Duration::from_secs_f64(seconds);
        let mut orders = Vec::new();
        for _ in 0..100_000 {
            let wake = self.state.next_wake();
            let wall = wake
                .wall
                .map(|at| self.now.mono + (at - self.now.wall).to_std().unwrap_or_default());
            let next = wake
                .mono
                .into_iter()
                .chain(wall)
                .min()
                .filter(|at| *at <= end);
            let Some(next) = next else { break };
            self.move_clock(next);
            orders.extend(self.event(Event::Due));
        }
        self.move_clock(end);
        orders
    }

    fn move_clock(&mut self, mono: Duration) {
        let passed = mono.saturating_sub(self.now.mono);
        self.now.mono += passed;
        self.now.wall += TimeDelta::from_std(passed).unwrap();
    }

    /// Steps the wall clock; what it ordered.
    pub(super) fn step_wall(&mut self, seconds: i64) -> Vec<String> {
        self.now.wall += TimeDelta::seconds(seconds);
        self.event(Event::ClockStepped)
    }

    /// The live run of a job.
    pub(super) fn run(&self, name: &str) -> RunId {
        let live = self.live(name);
        live.unwrap_or_else(|| panic!("{name} has no run"))
    }

    pub(super) fn live(&self, name: &str) -> Option<RunId> {
        let mut live = self.state.runs.iter();
        live.find(|(_, job)| ***job == *name).map(|(run, _)| *run)
    }

    /// The job's run ends with this code, its tree with it.
    pub(super) fn exit(&mut self, name: &str, code: i32) -> Vec<String> {
        self.end(name, Exit::Code(code), LastWords::default(), false)
    }

    pub(super) fn end(
        &mut self,
        name: &str,
        exit: Exit,
        words: LastWords,
        rest: bool,
    ) -> Vec<String> {
        let run = self.run(name);
        self.event(Event::Ended {
            run,
            exit,
            words,
            usage: Usage::default(),
            rest,
        })
    }

    /// checkproc has killed it.
    pub(super) fn hang(&mut self, name: &str) -> Vec<String> {
        let words = LastWords {
            hung: true,
            ..LastWords::default()
        };
        self.end(name, Exit::Signal(9), words, false)
    }

    pub(super) fn ask(&mut self, request: Request) -> Vec<String> {
        self.tokens += 1;
        let token = self.tokens;
        self.event(Event::Command { token, request })
    }

    pub(super) fn start(&mut self, job: &str) -> Vec<String> {
        let jobs = vec![job.into()];
        self.ask(Request::Start { jobs })
    }

    pub(super) fn stop(&mut self, job: &str) -> Vec<String> {
        let jobs = vec![job.into()];
        self.ask(Request::Stop { jobs })
    }

    pub(super) fn restart(&mut self, job: &str) -> Vec<String> {
        let jobs = vec![job.into()];
        self.ask(Request::Restart { jobs })
    }

    pub(super) fn trigger(&mut self, job: &str, wait: bool) -> Vec<String> {
        let jobs = vec![job.into()];
        self.ask(Request::Trigger { jobs, wait })
    }

    pub(super) fn enable(&mut self, job: &str) -> Vec<String> {
        let jobs = vec![job.into()];
        self.ask(Request::Enable { jobs })
    }

    pub(super) fn disable(&mut self, job: &str) -> Vec<String> {
        let jobs = vec![job.into()];
        self.ask(Request::Disable { jobs })
    }

    pub(super) fn status(&mut self) -> Status {
        let request = Request::Status { job: None };
        let event = Event::Command { token: 0, request };
        let actions = plan(&mut self.state, event, self.now);
        match actions.into_iter().next() {
            Some(Action::Reply { answer, .. }) => match *answer {
                Answer::Status(status) => status,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn row(&mut self, name: &str) -> Row {
        let mut rows = self.status().jobs.into_iter();
        rows.rfind(|row| &*row.job == name).unwrap()
    }

    /// State word of a job.
    pub(super) fn word(&mut self, name: &str) -> String {
        self.row(name).state.to_string()
    }

    /// Results in the history so far, in order.
    pub(super) fn results(&self) -> Vec<(String, Outcome)> {
        let entries = self.entries.iter();
        entries.map(|e| (e.job.to_string(), e.outcome)).collect()
    }

    /// A second supervisor after this one was killed, with the runs that live on.
    pub(super) fn crash(self, jobs: &[Arc<JobSpec>], down: f64) -> (World, Vec<String>) {
        let mut next = World::unbooted(&self.memory);
        next.now = self.now;
        next.begin = self.begin;
        next.pids = self.pids;
        next.move_clock(self.now.mono + Duration::from_secs_f64(down));
        next.state = State::new(Memory::parse(&self.memory), "boot-1", 2, next.now);
        let mut orders = next.load_all(jobs);
        for (run, job) in &self.state.runs {
            next.runs.insert(*run, job.clone());
            let live = self.state.jobs[job].run.as_ref().unwrap();
            orders.extend(next.event(Event::Adopted(Adopted {
                run: *run,
                job: job.to_string(),
                pid: live.pid.unwrap_or(1),
                started: live.started,
                started_mono: live.started_mono,
            })));
        }
        orders.extend(next.event(Event::Booted));
        (next, orders)
    }
}

fn answer_text(answer: &Answer) -> String {
    match answer {
        Answer::Jobs { jobs } => {
            let lines = jobs.iter().map(|one| {
                let word = if one.ok { "ok" } else { "no" };
                format!("{} {word}: {}", one.job, one.text)
            });
            lines.collect::<Vec<_>>().join("; ")
        }
        Answer::Status(status) => format!("{} rows", status.jobs.len()),
        Answer::Done { text } => format!("done: {text}"),
        Answer::Refused { text } => format!("refused: {text}"),
    }
}

pub(super) fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}
