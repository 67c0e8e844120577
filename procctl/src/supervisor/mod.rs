//! The impure half of the supervisor: one thread that waits, tells the plan what happened and does
//! what the plan says. It decides nothing about jobs; what runs when is `plan`'s business.
//!
//! | file | what it does |
//! |---|---|
//! | `boot`, `detach`, `restart`, `adopt` | how a supervisor begins: plainly, in the background, in place of an older program, after one that was killed |
//! | `events` | from a ready descriptor to events for the plan |
//! | `act` | carries the plan's actions out |
//! | `start`, `surroundings` | a run begins: slot, pipe, cgroup, identity, fork |
//! | `children`, `trees`, `runs` | processes end; whole trees are signalled |
//! | `load` | job files become what the plan knows |
//! | `clients`, `report` | the control socket |
//! | `records`, `watchdog`, `alarms`, `memory` | recorder, checkproc, `<notify>`, what outlives us |

mod act;
mod adopt;
mod alarms;
mod boot;
mod children;
mod clients;
mod detach;
mod events;
mod load;
mod memory;
mod records;
mod report;
mod restart;
mod runs;
mod start;
mod surroundings;
mod tables;
mod trees;
mod watchdog;

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use chrono::Utc;
use jobfile::Home;

use crate::cgroup::Cgroups;
use crate::errand::Errands;
use crate::error::Error;
use crate::plan::{self, Event, Now, State, Token};
use crate::recorder::link::Link;
use crate::wait::{self, Wait};
use crate::watch::Watch;

pub use detach::start;

/// Everything that one supervisor holds.
struct Supervisor {
    home: Home,
    /// Held for its lock alone.
    lock: File,
    /// This program's file as it was started: the one to execute in place at a restart.
    program: PathBuf,
    state: State,
    /// What the plan has not been told yet.
    events: VecDeque<Event>,
    wait: Wait,
    link: Link,
    runs: runs::Runs,
    tables: tables::Tables,
    cgroups: Option<Cgroups>,
    clients: clients::Clients,
    watch: Option<Watch>,
    loader: load::Loader,
    errands: Errands,
    watchdog: watchdog::Watchdog,
    memory: memory::MemoryFile,
    starter: start::Starter,
    trees: trees::Trees,
    /// The recorder's end of our own log.
    log: OwnedFd,
    /// What keeps the recorder from writing.
    trouble: Option<String>,
    /// Starts that were ordered and have not been made yet.
    orders: VecDeque<start::Order>,
    /// A `procctl start` that waits to hear that we are ready.
    ready: Option<File>,
    /// The first loading of job files is still under way.
    booting: bool,
    ending: Option<Ending>,
}

/// How long starts may keep the loop from listening.
const TURN: Duration = Duration::from_millis(20);

/// How the loop ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Every job is down.
    Exit,
    /// Another program takes over in this process; the client waits for its answer.
    Restart(Token),
}

/// `procctl run`: supervises the home's jobs in the foreground until it is told to stop.
pub fn run(home: &Home) -> Result<(), Error> {
    let mut supervisor = match restart::carried()? {
        Some(carried) => Supervisor::resume(home.clone(), carried)?,
        None => Supervisor::boot(home.clone(), true, None)?,
    };
    supervisor.supervise()
}

impl Supervisor {
    /// The loop: plan and act until nothing is left to do, then wait.
    fn supervise(&mut self) -> Result<(), Error> {
        let mut ready = Vec::new();
        loop {
            self.settle();
            match self.ending.take() {
                Some(Ending::Exit) => return self.leave(),
                Some(Ending::Restart(token)) => {
                    self.tell_known_ends();
                    match self.events.is_empty() {
                        true => self.restart(token),
                        false => self.ending = Some(Ending::Restart(token)),
                    }
                    continue;
                }
                None => {}
            }
            let wake = self.state.next_wake();
            let own = match self.orders.is_empty() {
                true => self.next_chore(),
                false => Some(Duration::ZERO),
            };
            let soonest = [wake.mono, own].into_iter().flatten().min();
            self.wait
                .arm(soonest, wake.wall)
                .map_err(Error::system("arm the timers"))?;
            self.wait
                .wait(&mut ready)
                .map_err(Error::system("wait for events"))?;
            for one in ready.drain(..) {
                self.serve(one);
            }
            self.do_chores();
        }
    }

    /// Tells the plan what happened and does what it says, until both are silent. Of many starts only
    /// some are made in one turn: clients and ends must not wait for a thousand of them.
    fn settle(&mut self) {
        let end = wait::since_boot() + TURN;
        loop {
            while let Some(event) = self.events.pop_front() {
                let actions = plan::plan(&mut self.state, event, now());
                for action in actions {
                    self.act(action);
                }
            }
            if wait::since_boot() >= end {
                break;
            }
            let Some(order) = self.orders.pop_front() else {
                break;
            };
            self.make_start(order);
        }
        self.trees.forget_census();
        self.serve_link();
    }

    /// When one of the loop's own chores falls due, in time since boot.
    fn next_chore(&self) -> Option<Duration> {
        [
            self.watch.as_ref().and_then(Watch::due),
            self.errands.next_deadline(),
            self.trees.due(),
            self.watchdog.due(),
            self.link.retry(),
            self.clients.due(),
            self.runs.due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what has fallen due.
    fn do_chores(&mut self) {
        let now = wait::since_boot();
        if self.watch.as_mut().is_some_and(|watch| watch.settled(now)) {
            self.reread(None, Vec::new());
        }
        self.errands.expire(now);
        self.serve_trees(now);
        self.serve_watchdog(now);
        self.serve_dying(now);
        if self.link.retry().is_some_and(|at| at <= now) {
            self.start_recorder(now);
        }
        if self.clients.due().is_some_and(|at| at <= now) {
            self.listen_again();
        }
        self.run_errands(now);
        // the plan looks at its own due times with whatever event comes; without one, this is it
        if self.events.is_empty() {
            self.events.push_back(Event::Due);
        }
    }
}

/// The two clocks now.
fn now() -> Now {
    Now {
        mono: wait::since_boot(),
        wall: Utc::now(),
    }
}
