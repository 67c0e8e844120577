//! A run begins: its slot is claimed, its pipe and cgroup are made, its process is forked, and the
//! recorder is told. Whether the program could be executed shows when the process ends.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use checkproc::{Slot, process};
use jobfile::{Variables, Words};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustix::pipe::{PipeFlags, pipe_with};

use super::Supervisor;
use super::runs::{Live, Watched};
use super::surroundings::{self, Environment, Other};
use crate::cgroup::Group;
use crate::error::chain;
use crate::launch::{self, Failure, Launch};
use crate::plan::spec::{Beat, JobSpec, Start};
use crate::plan::{Reason, RunId};
use crate::program;
use crate::recorder::link::Kept;
use crate::recorder::message::{Beats, Run};
use crate::recorder::notify;
use crate::spawn;

/// What every start needs, made once.
pub(super) struct Starter {
    /// `/dev/null`, for reading and writing.
    pub(super) null: File,
    /// The environment that children inherit.
    pub(super) environment: Environment,
    failed: OwnedFd,
    failures: OwnedFd,
    /// Failures that nobody has asked for yet.
    unheard: HashMap<RunId, Failure>,
    files: (u64, u64),
}

impl Starter {
    /// Opens what starts need and raises our own limit on open files as far as it goes; children
    /// get the one that we were given.
    pub(super) fn new() -> io::Result<Starter> {
        let null = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")?;
        let (failed, failures) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&failed, true)?;
        let files = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, files.1, files.1)?;
        Ok(Starter {
            null,
            environment: Environment::inherited(),
            failed,
            // out of the way of the numbers that a child puts its own descriptors on
            failures: rustix::io::fcntl_dupfd_cloexec(&failures, 10)?,
            unheard: HashMap::new(),
            files,
        })
    }

    /// The limits on open files that children get, where a job says nothing.
    pub(super) fn files(&self) -> (u64, u64) {
        self.files
    }

    /// As [`Starter::new`], but with the limits that an earlier program in our place was given.
    pub(super) fn with_files(mut self, files: (u64, u64)) -> Starter {
        self.files = files;
        self
    }

    /// Where children say what they failed in.
    pub(super) fn failures(&self) -> BorrowedFd<'_> {
        self.failures.as_fd()
    }

    /// What the child of a run said that could not execute its program.
    pub(super) fn take_failure(&mut self, run: RunId) -> Option<Failure> {
        let mut bytes = [0; Failure::SIZE];
        // written whole and read whole, since all that goes through the pipe has this size
        while rustix::io::read(&self.failed, &mut bytes) == Ok(Failure::SIZE) {
            if let Some(failure) = Failure::from_bytes(&bytes) {
                self.unheard.insert(failure.run, failure);
            }
        }
        self.unheard.remove(&run)
    }
}

/// A start that the plan has ordered.
pub(super) struct Order {
    /// The new run.
    pub(super) run: RunId,
    /// What to run.
    pub(super) job: Arc<JobSpec>,
    /// Why.
    pub(super) reason: Reason,
}

/// A start half-way: what has to be undone if it goes no further.
struct Attempt<'a> {
    run: RunId,
    job: &'a JobSpec,
    words: Vec<String>,
    other: Option<Other>,
    watch: Watched,
    slot: Slot,
    group: Option<Group>,
}

impl Supervisor {
    /// Starts a run; gives its pid, or what could not be done and why.
    pub(super) fn start_run(&mut self, run: RunId, job: &JobSpec) -> Result<u32, String> {
        let words = self.words(job)?;
        let other = match job.surroundings.as_deref() {
            Some(all) => surroundings::other(all)?,
            None => None,
        };
        let watch = watched(job, other.as_ref());
        let slot = self
            .tables
            .claim(&job.name, run, &watch)
            .map_err(|error| chain(&error))?;
        let memory = job.surroundings.as_deref().and_then(|all| all.memory);
        let attempt = Attempt {
            run,
            job,
            words,
            other,
            watch,
            slot,
            group: self.make_group(&job.name, run, memory),
        };
        let (slot, group) = (
            attempt.slot.clone(),
            attempt.group.as_ref().map(|group| group.path.clone()),
        );
        self.fork(attempt).inspect_err(|_| {
            slot.release();
            if let Some(group) = &group {
                crate::cgroup::remove(group);
            }
        })
    }

    /// Program and arguments of a job.
    fn words(&self, job: &JobSpec) -> Result<Vec<String>, String> {
        match &job.start {
            Start::Exec { words, .. } => {
                let env = self.variables(job)?;
                Words(words.clone()).resolve(&self.home.root, &env)
            }
            Start::Jobs { resident } => {
                let mut words = vec![program::beside("jobs").display().to_string(), "run".into()];
                if *resident {
                    words.push("--resident".into());
                }
                words.push(job.file.display().to_string());
                Ok(words)
            }
            Start::Lost => Err("its file is not known".to_string()),
        }
    }

    /// The job's own environment variables, secrets put in.
    fn variables(&self, job: &JobSpec) -> Result<Variables, String> {
        match job.surroundings.as_deref() {
            Some(all) => Variables(all.env.clone()).resolve(&self.home.root),
            None => Ok(Variables::default()),
        }
    }

    fn make_group(&mut self, job: &str, run: RunId, memory: Option<u64>) -> Option<Group> {
        let cgroups = self.cgroups.as_ref()?;
        match cgroups.create(job, run, memory) {
            Ok(group) => Some(group),
            Err(error) => {
                log::warn!("{job} starts without a control group: {error}");
                None
            }
        }
    }

    /// Forks, and makes the process known to slot, recorder and ourselves.
    fn fork(&mut self, mut attempt: Attempt<'_>) -> Result<u32, String> {
        let job = attempt.job;
        let io = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
        let (output, write) =
            pipe_with(PipeFlags::CLOEXEC).map_err(|e| io("make a pipe")(e.into()))?;
        let own_beats = matches!(
            job.start,
            Start::Exec {
                beat: Beat::SelfBeat,
                ..
            }
        );
        // a service of ours says by it what its operators should know
        let service = matches!(job.start, Start::Jobs { .. }) && job.policy.kept;
        let notify = match own_beats || service {
            true => Some(notify::socket(attempt.run).map_err(io("make the notify socket"))?),
            false => None,
        };
        let address = notify.as_ref().map(|(_, address)| address.as_str());
        let environment = self.environment_of(&attempt, address)?;
        if let Some(other) = &attempt.other {
            // a program that opens /dev/stdout anew must be allowed to
            let owner = Some(rustix::fs::Uid::from_raw(other.identity.uid));
            rustix::fs::fchown(&write, owner, None)
                .map_err(|e| io("hand over the pipe")(e.into()))?;
        }
        let launch = self.launch_of(&attempt, &environment, write.as_fd())?;
        let born = spawn::launch(&launch).map_err(io("fork"))?;
        drop(launch);
        // most kernels let us see it now; else it shows when the child's end does
        if let Some(failure) = self.starter.take_failure(attempt.run) {
            return Err(self.describe(attempt.run, failure));
        }
        if let Some(group) = attempt.group.take_if(|_| !born.in_cgroup) {
            log::info!("no control groups: the kernel does not let a child be born in one");
            crate::cgroup::remove(&group.path);
            self.cgroups = None;
        }
        let pid = born.pid.unsigned_abs();
        let start_time = process::start_time(pid).unwrap_or(0);
        attempt.slot.activate(pid, start_time);
        let kept = Kept {
            run: Run {
                run: attempt.run,
                job: job.name.to_string(),
                pid: born.pid,
                start_time,
                slot: Some(attempt.slot.handle()),
                table: attempt.watch.table,
                beats: match &job.start {
                    Start::Exec { beat, .. } => match beat {
                        Beat::None => Beats::None,
                        Beat::Output => Beats::Output,
                        Beat::SelfBeat => Beats::Notify,
                    },
                    Start::Jobs { .. } | Start::Lost => Beats::None,
                },
                stamped: matches!(job.start, Start::Jobs { .. }),
                attached: Vec::new(),
            },
            output: Some(output),
            notify: notify.map(|(socket, _)| socket),
        };
        self.link.announce(kept, Some(born.pidfd));
        self.runs.insert(Live {
            id: attempt.run,
            job: job.name.clone(),
            pid: born.pid,
            start_time,
            pidfd: None,
            slot: Some(attempt.slot),
            watch: attempt.watch,
            cgroup: attempt.group.map(|group| group.path),
            rest: false,
        });
        Ok(pid)
    }

    fn environment_of(
        &self,
        attempt: &Attempt<'_>,
        notify: Option<&str>,
    ) -> Result<Environment, String> {
        let mut environment = self.starter.environment.clone();
        if let Some(other) = &attempt.other {
            other.tell(&mut environment);
        }
        for (name, value) in self.variables(attempt.job)?.0 {
            environment.set(name, value);
        }
        let (index, generation) = attempt.slot.handle();
        environment.set("PROCCTL_RUN", attempt.run.to_string());
        environment.set("PROCCTL_SLOT", format!("{index}:{generation}"));
        environment.set("PROCCTL_JOB", &*attempt.job.name);
        environment.set("PROCCTL_HOME", &self.home.root);
        if let Some(address) = notify {
            environment.set("NOTIFY_SOCKET", address);
            let heartbeat = attempt.watch.heartbeat;
            if let Some(heartbeat) = heartbeat.filter(|_| !attempt.watch.attaches) {
                environment.set("WATCHDOG_USEC", heartbeat.as_micros().to_string());
            }
        }
        Ok(environment)
    }

    fn launch_of<'a>(
        &'a self,
        attempt: &'a Attempt<'_>,
        environment: &Environment,
        output: BorrowedFd<'a>,
    ) -> Result<Launch<'a>, String> {
        let zero = || "a zero byte in its words".to_string();
        let all = attempt.job.surroundings.as_deref();
        let folder = surroundings::folder(&self.home.root, all);
        let path = environment.value("PATH").map(|path| path.to_string_lossy());
        let program = attempt.words.first().ok_or("it names no program")?;
        let programs = launch::candidates(program, path.as_deref(), &self.home.root);
        let files = match all.and_then(|all| all.nofile) {
            Some(limit) => (limit, limit),
            None => self.starter.files,
        };
        let mut limits = vec![(libc::RLIMIT_NOFILE, files.0, files.1)];
        let by_group = attempt.group.is_some() && self.limits_memory();
        if let Some(memory) = all.and_then(|all| all.memory).filter(|_| !by_group) {
            limits.push((libc::RLIMIT_AS, memory, memory));
        }
        let words = attempt.words.iter().map(launch::c_string);
        let programs = programs.iter().map(launch::c_string);
        Ok(Launch {
            run: attempt.run,
            programs: programs.collect::<Option<_>>().ok_or_else(zero)?,
            arguments: words.collect::<Option<_>>().ok_or_else(zero)?,
            environment: environment.strings()?,
            folder: launch::c_string(folder).ok_or_else(zero)?,
            umask: all.and_then(|all| all.umask),
            nice: all.and_then(|all| all.nice),
            limits,
            identity: attempt.other.as_ref().map(|other| other.identity.clone()),
            input: self.starter.null.as_fd(),
            output,
            errors: output,
            third: None,
            cgroup: attempt.group.as_ref().map(|group| group.folder.as_fd()),
            failures: self.starter.failures(),
        })
    }

    fn limits_memory(&self) -> bool {
        self.cgroups
            .as_ref()
            .is_some_and(crate::cgroup::Cgroups::limits_memory)
    }

    /// A failure as a line: what could not be done, on what, why.
    pub(super) fn describe(&self, run: RunId, failure: Failure) -> String {
        let spec = self.state.spec_of(run);
        let all = spec.and_then(|spec| spec.surroundings.as_deref());
        let what = match failure.step {
            launch::Step::Execute => spec
                .and_then(|spec| self.words(spec).ok())
                .and_then(|words| words.into_iter().next()),
            launch::Step::Folder => {
                let folder = surroundings::folder(&self.home.root, all);
                Some(folder.display().to_string())
            }
            launch::Step::User | launch::Step::Groups => all.and_then(|all| all.user.clone()),
            launch::Step::Group => all.and_then(|all| all.group.clone()),
            launch::Step::Session
            | launch::Step::Nice
            | launch::Step::Limit
            | launch::Step::Descriptors => None,
        };
        let what = what.map(|what| format!(" {what}")).unwrap_or_default();
        let why = io::Error::from_raw_os_error(failure.errno);
        format!("{}{what}: {why}", failure.step.describe())
    }
}

/// How a job's runs are watched. A program of which nobody hears a beat cannot be.
fn watched(job: &JobSpec, other: Option<&Other>) -> Watched {
    let silent = matches!(
        job.start,
        Start::Exec {
            beat: Beat::None,
            ..
        }
    );
    let own = nix::unistd::geteuid().as_raw();
    Watched {
        table: other.map_or(own, |other| other.identity.uid),
        heartbeat: job.policy.heartbeat.filter(|_| !silent),
        hang_grace: job.policy.hang_grace,
        attaches: matches!(job.start, Start::Jobs { .. }),
    }
}
