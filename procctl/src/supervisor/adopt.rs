//! After a supervisor was killed: its runs are found by their slots, by what the recorder has kept, and by
//! the environment of processes, in this order; each is adopted once, or told as ended.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use checkproc::census::{self, Census, Process};
use checkproc::process::{self, ProcStat};
use checkproc::tree::{self, Target, Tree};
use checkproc::{Row, Slot, SlotState, Table};
use chrono::{DateTime, Utc};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Supervisor;
use super::children::{exit_of, last_words};
use super::records::is_own_log;
use super::runs::{Live, Watched};
use super::watchdog;
use crate::plan::event::{Adopted, FoundEnded};
use crate::plan::outcome::{Exit, Usage};
use crate::plan::{Event, RunId};
use crate::recorder::message::{Attached, FromRecorder, Run, ToRecorder};
use crate::spawn;
use crate::wait::{Source, since_boot};

/// How long a recorder may take to give back what it holds.
const PATIENCE: Duration = Duration::from_secs(3);

/// Clock ticks a second in `/proc` (`USER_HZ`), fixed by the kernel's interface.
const TICKS: u64 = 100;

/// All that is known of a run that was left.
#[derive(Default)]
struct Left {
    job: String,
    process: Option<(u32, u64)>,
    row: Option<Row>,
    slot: Option<Slot>,
    kept: Option<KeptRun>,
}

/// What the recorder gave back.
struct KeptRun {
    run: Run,
    status: Option<i32>,
    ended: bool,
    ended_at: Option<DateTime<Utc>>,
    descriptors: Vec<OwnedFd>,
}

impl Supervisor {
    /// Finds every run that an earlier supervisor left and tells the plan. Starts may follow.
    pub(super) fn adopt(&mut self) {
        let census = Census::take();
        let mut left: BTreeMap<RunId, Left> = BTreeMap::new();
        self.gather_rows(&census, &mut left);
        for kept in self.recall() {
            let run = left.entry(kept.run.run).or_default();
            run.job.clone_from(&kept.run.job);
            run.process
                .get_or_insert((kept.run.pid.unsigned_abs(), kept.run.start_time));
            run.kept = Some(kept);
        }
        self.gather_strays(&census, &mut left);
        for (run, left) in left {
            let pidfd = left
                .process
                .and_then(|(pid, start)| process::open_pidfd(pid, start).ok()?)
                .filter(|_| {
                    left.process
                        .is_some_and(|(pid, start)| process::is_alive(pid, start))
                });
            match (pidfd, left.process) {
                (Some(pidfd), Some(process)) => self.adopt_run(run, left, process, pidfd),
                _ => self.find_ended(run, left, &census),
            }
        }
    }

    /// Slots of this home in every table we may read.
    fn gather_rows(&mut self, census: &Census, left: &mut BTreeMap<RunId, Left>) {
        let tables = Table::all().unwrap_or_else(|error| {
            log::error!("look for runs of an earlier procctl: {error}");
            Vec::new()
        });
        let home = self.home.hash();
        for table in tables {
            for row in table.rows() {
                if row.home != home || row.run == 0 {
                    continue;
                }
                let Some(slot) = table.slot(row.index, row.generation) else {
                    continue;
                };
                if row.name == watchdog::NAME {
                    self.end_old_watchdog(&row, &slot);
                    continue;
                }
                let process = match row.state {
                    SlotState::Active => Some((row.pid, row.start_time)),
                    // its supervisor died between the claim and telling the slot whose it is
                    SlotState::Reserved => leader_of(row.run, census),
                };
                let run = left.entry(row.run).or_default();
                run.job.clone_from(&row.name);
                run.process = process;
                run.slot = Some(slot);
                run.row = Some(row);
            }
        }
    }

    /// The watchdog of the supervisor before us: ours takes its place.
    fn end_old_watchdog(&self, row: &Row, slot: &Slot) {
        if self.watchdog.is(row.pid.cast_signed()) {
            return;
        }
        if row.state == SlotState::Active
            && let Err(error) = process::send_signal(row.pid, row.start_time, process::Signal::KILL)
        {
            log::warn!("end the watchdog of an earlier procctl: {error}");
        }
        slot.release();
    }

    /// Processes that carry a run id of this home that no slot and no recorder knows of: the table
    /// was lost, or the supervisor died at the worst moment.
    fn gather_strays(&self, census: &Census, left: &mut BTreeMap<RunId, Left>) {
        let known: BTreeSet<RunId> = left.keys().copied().collect();
        for process in census.iter() {
            let pid = process.stat.pid;
            let Some(run) = process.run().filter(|run| !known.contains(run)) else {
                continue;
            };
            let home = census::variable(pid, "PROCCTL_HOME");
            let job = census::variable(pid, "PROCCTL_JOB");
            if home.as_deref() != self.home.root.to_str() {
                continue;
            }
            let Some(job) = job.filter(|job| job != watchdog::NAME) else {
                continue;
            };
            let stray = left.entry(run).or_default();
            stray.job = job;
            stray.process = stray.process.or_else(|| leader_of(run, census));
        }
    }

    /// Asks the recorder for all it holds, and waits for the answer.
    fn recall(&mut self) -> Vec<KeptRun> {
        let mut all = Vec::new();
        let end = since_boot() + PATIENCE;
        while self.link.is_recalling() {
            let now = since_boot();
            if let Err(error) = self.link.flush() {
                log::error!("ask the recorder: {error}");
                self.lose_link();
                break;
            }
            match self.link.receive() {
                Ok(Some((
                    FromRecorder::Kept {
                        run,
                        status,
                        ended,
                        ended_at,
                    },
                    descriptors,
                ))) => {
                    if is_own_log(&run) {
                        self.link.send(&ToRecorder::Ended { run: run.run });
                        continue;
                    }
                    all.push(KeptRun {
                        run,
                        status,
                        ended,
                        ended_at,
                        descriptors,
                    });
                }
                Ok(Some((FromRecorder::KeptAll, _))) => break,
                Ok(Some(_)) => {}
                Ok(None) if now >= end => {
                    log::error!("the recorder does not answer: exit codes may be unknown");
                    break;
                }
                Ok(None) => self.await_recorder(end - now),
                Err(error) => {
                    log::error!("ask the recorder: {error}");
                    self.lose_link();
                    break;
                }
            }
        }
        all
    }

    fn await_recorder(&self, at_most: Duration) {
        let Some(socket) = self.link.socket() else {
            return;
        };
        let limit = Timespec {
            tv_sec: i64::try_from(at_most.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: at_most.subsec_nanos().into(),
        };
        let mut interest = PollFlags::IN;
        if self.link.wants_to_write() {
            interest |= PollFlags::OUT;
        }
        let mut one = [PollFd::new(socket, interest)];
        if let Err(error) = poll(&mut one, Some(&limit))
            && error != rustix::io::Errno::INTR
        {
            log::error!("wait for the recorder: {error}");
        }
    }

    fn adopt_run(&mut self, run: RunId, left: Left, (pid, start_time): (u32, u64), pidfd: OwnedFd) {
        log::info!("{} goes on, pid {pid}", left.job);
        let own = nix::unistd::geteuid().as_raw();
        let row = left.row.as_ref();
        let kept = left.kept.as_ref().map(|kept| &kept.run);
        if let (Some(slot), Some(SlotState::Reserved)) = (&left.slot, row.map(|row| row.state)) {
            slot.activate(pid, start_time);
        }
        self.runs.insert(Live {
            id: run,
            job: left.job.as_str().into(),
            pid: pid.cast_signed(),
            start_time,
            pidfd: None,
            watch: Watched {
                table: row.map_or(own, |row| row.uid),
                heartbeat: row.and_then(|row| row.heartbeat),
                hang_grace: row.map_or(Duration::from_secs(2), |row| row.hang_grace),
                attaches: kept.is_none_or(|run| run.stamped),
            },
            slot: left.slot,
            cgroup: tree::cgroup_of(pid, run),
            rest: false,
        });
        if let Some(kept) = left.kept {
            self.link.recover(kept.run, kept.descriptors);
        }
        self.hear_of_end(run, pidfd);
        let started_mono = Duration::from_millis(start_time.saturating_mul(1000 / TICKS));
        self.events.push_back(Event::Adopted(Adopted {
            run,
            job: left.job,
            pid,
            started: began(run),
            started_mono,
        }));
    }

    /// Waits for the end of a process that is not our child; one that is, is waited for as all are.
    pub(super) fn hear_of_end(&mut self, run: RunId, pidfd: OwnedFd) {
        let Some(live) = self.runs.find_mut(run) else {
            return;
        };
        if let Some(old) = live.pidfd.take() {
            self.wait.remove(&old);
        }
        let pid = live.pid.unsigned_abs();
        if ProcStat::read(pid).is_ok_and(|stat| stat.ppid == std::process::id()) {
            return;
        }
        let live = live.pidfd.insert(pidfd);
        if let Err(error) = self.wait.add(live.as_fd(), Source::Process(pid), false) {
            log::error!("wait for the end of process {pid}: {error}");
        }
    }

    /// The run ended while no supervisor lived. What is left of its tree would meet the next run.
    fn find_ended(&mut self, run: RunId, left: Left, census: &Census) {
        let kept = left.kept.as_ref();
        let pidfd = kept.and_then(KeptRun::pidfd);
        let status = kept
            .and_then(|kept| kept.status)
            .or_else(|| pidfd.and_then(spawn::exit_status));
        let (pid, start_time) = left.process.unwrap_or_default();
        if let Some(kept) = kept
            && !kept.ended
        {
            log::debug!("run {run}: its end is news to the recorder");
        }
        let mut tree = Tree::new(Target {
            pid,
            start_time,
            run: Some(run),
            cgroup: None,
        });
        tree.look(census);
        if !tree.alive().is_empty() {
            let report = tree.kill();
            log::warn!(
                "{} ended while no procctl lived; {} processes that it left were killed",
                left.job,
                report.signalled.len()
            );
        }
        log::info!("{} ended while no procctl lived", left.job);
        let words = last_words(left.row.as_ref());
        // a slot that nobody ever took: the supervisor died before the fork, there was no run
        if left.process.is_some() {
            self.events.push_back(Event::FoundEnded(FoundEnded {
                run,
                job: left.job,
                pid,
                started: began(run),
                ended: left.kept.as_ref().and_then(|kept| kept.ended_at),
                exit: status.map_or(Exit::Unknown, exit_of),
                words,
                usage: Usage::default(),
            }));
        }
        if let Some(slot) = left.slot {
            slot.release();
        }
        self.link.ended(run);
    }
}

impl KeptRun {
    fn pidfd(&self) -> Option<&OwnedFd> {
        let at = self
            .run
            .attached
            .iter()
            .position(|what| *what == Attached::Process)?;
        self.descriptors.get(at)
    }
}

/// The process that leads a run: of those that carry its id the leader of a session, else the oldest.
fn leader_of(run: RunId, census: &Census) -> Option<(u32, u64)> {
    let of_run = census.iter().filter(|process| process.run() == Some(run));
    let leads = |process: &&Process| process.stat.session == process.stat.pid;
    let all: Vec<&Process> = of_run.collect();
    let leaders = all.iter().copied().filter(leads);
    let oldest = |one: &&Process| (one.stat.start_time, one.stat.pid);
    let found = leaders
        .min_by_key(oldest)
        .or_else(|| all.iter().copied().min_by_key(oldest))?;
    Some((found.stat.pid, found.stat.start_time))
}

/// A run's id is the wall time of its start.
fn began(run: RunId) -> DateTime<Utc> {
    let micros = i64::try_from(run).unwrap_or(0);
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}
