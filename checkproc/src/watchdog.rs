//! The watchdog: scans tables, asks the judge, and carries out what it says. One thread, nothing waits for anything but the
//! next scan or the next due signal.

use std::path::PathBuf;
use std::time::Duration;

use crate::execution::{Execution, speaks_for, state_of, why_stuck};
use crate::judge::{Memory, Moment, Overdue, Verdict, judge};
use crate::process::{monotonic_ns, suspended_ns};
use crate::witness::Folders;
use crate::{Error, Table};

/// Slots whose process is looked at in each scan though nothing seems wrong, in turn.
const ROUND: u32 = 16;
/// A table that cannot be opened is complained of this often, in nanoseconds.
const COMPLAIN_EVERY: u64 = 60 * 1_000_000_000;

/// What a watchdog is told.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Distance of scans; zero: one scan by itself, whose distance to the last is learned from the table.
    pub every: Duration,
    /// Judges only slots of this home and those without one; `None`: all.
    pub home: Option<u64>,
    /// Where logs lie and evidence goes.
    pub folders: Folders,
}

/// Watches one table.
pub struct Watch {
    table: Table,
    rules: Rules,
    memory: Memory,
    executions: Vec<Execution>,
    cursor: u32,
}

impl Watch {
    /// Begins to watch a table; what earlier scans knew is taken from its header.
    pub fn new(table: Table, rules: Rules) -> Watch {
        let memory = table.memory();
        Watch {
            table,
            rules,
            memory,
            executions: Vec::new(),
            cursor: 0,
        }
    }

    /// The table that is watched.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// One scan: looks, judges, acts. Fails only if the table has gone bad and cannot be replaced.
    pub fn scan(&mut self) -> Result<(), Error> {
        self.refresh()?;
        let moment = Moment {
            now: monotonic_ns(),
            offset: suspended_ns(),
        };
        let mut sight = self.table.look(moment.now, self.rules.home);
        for index in sight.odd.drain(..) {
            log::warn!(
                "slot {index} of {} held impossible values: put right",
                self.table.path().display()
            );
            self.table.repair(index);
        }
        let all = sight.glance.overdue.len();
        sight
            .glance
            .overdue
            .retain(|slot| self.is_judged(slot, moment.now));
        sight.glance.live -= all - sight.glance.overdue.len();
        let every = u64::try_from(self.rules.every.as_nanos()).unwrap_or(0);
        for verdict in judge(&mut self.memory, &sight.glance, moment, every) {
            self.carry_out(verdict);
        }
        self.table.remember(&self.memory);
        self.tend(monotonic_ns());
        self.settle_some(moment.now);
        Ok(())
    }

    /// Opens the table anew when its file or header is no longer what it was.
    fn refresh(&mut self) -> Result<(), Error> {
        let Some(flaw) = self.table.flaw() else {
            return Ok(());
        };
        self.table.retire();
        let path = self.table.path();
        log::warn!(
            "heartbeat table {} is bad ({flaw}): retired, a new one is opened",
            path.display()
        );
        self.table = self.table.reopen()?;
        self.memory = self.table.memory();
        self.cursor = 0;
        Ok(())
    }

    /// Is this overdue slot one for the judge? Settles those whose process is gone.
    fn is_judged(&self, slot: &Overdue, now: u64) -> bool {
        let at_work = self
            .executions
            .iter()
            .any(|execution| execution.handle() == (slot.index, slot.generation));
        if at_work || slot.pid == std::process::id() {
            return false;
        }
        let Some(held) = self.table.slot(slot.index, slot.generation) else {
            return false;
        };
        let Some(row) = held.row() else { return false };
        if state_of(slot.pid, row.start_time).is_none() {
            self.table.settle(slot.index, now);
            return false;
        }
        if slot.pid <= 1 || !speaks_for(self.table.uid(), slot.pid) {
            if held.note_stuck(now) {
                let owner = self.table.uid();
                log::error!(
                    "`{}`: process {} is not of uid {owner}, the table's: not touched",
                    row.name,
                    slot.pid
                );
            }
            return false;
        }
        if held.is_condemned(now) {
            return false;
        }
        if held.is_stuck() && row.hung.is_some() {
            if held.note_stuck(now) {
                log::error!("`{}`: {}", row.name, why_stuck(slot.pid));
            }
            return false;
        }
        true
    }

    fn carry_out(&mut self, verdict: Verdict) {
        let seconds = |ns| Duration::from_nanos(ns).as_secs_f64();
        match verdict {
            Verdict::Gap(ns) => {
                log::warn!(
                    "{:.1} s without a scan: every job has a fresh heartbeat's time",
                    seconds(ns)
                );
            }
            Verdict::Suspended(ns) => {
                log::warn!(
                    "the machine slept for {:.1} s: every job has a fresh heartbeat's time",
                    seconds(ns)
                );
            }
            Verdict::BrakeOn {
                overdue,
                live,
                hold,
            } => log::error!(
                "{overdue} of {live} jobs went late at once: more likely the machine than the jobs; nobody is killed for \
                 {:.1} s, then one a second",
                seconds(hold)
            ),
            Verdict::BrakeOff => log::warn!("jobs beat again: the brake is off"),
            Verdict::Hung(slot, late) => {
                let held = self.table.slot(slot.index, slot.generation);
                let begun = held.and_then(|held| Execution::begin(held, late, &self.rules.folders));
                self.executions.extend(begun);
            }
        }
    }

    /// Goes on with the executions that are due; forgets those that are done.
    pub fn tend(&mut self, now: u64) {
        let mut done = Vec::new();
        self.executions.retain_mut(|execution| {
            let gone = execution.advance(now);
            if gone {
                done.push(execution.handle());
            }
            !gone
        });
        for (index, generation) in done {
            if self.table.slot(index, generation).is_some() {
                self.table.settle(index, now);
            }
        }
    }

    /// Looks after a few slots each time, so that those of dead processes without a deadline are found too.
    fn settle_some(&mut self, now: u64) {
        let used = self.table.high_water();
        for _ in 0..ROUND.min(used) {
            self.cursor = if self.cursor < used { self.cursor } else { 0 };
            self.table.settle(self.cursor, now);
            self.cursor += 1;
        }
    }

    /// Looks after all slots.
    pub fn settle_all(&self) {
        let now = monotonic_ns();
        (0..self.table.high_water()).for_each(|index| self.table.settle(index, now));
    }

    /// When the next signal is due, `CLOCK_MONOTONIC` ns.
    pub fn due(&self) -> Option<u64> {
        self.executions.iter().map(Execution::due).min()
    }

    /// Is anyone being killed who may still be brought to an end?
    pub fn is_busy(&self) -> bool {
        self.executions
            .iter()
            .any(|execution| !execution.is_stuck())
    }
}

/// Watches every table that it may: its own user's, as root everyone's.
pub struct Watchdog {
    rules: Rules,
    watches: Vec<Watch>,
    complained: u64,
}

impl Watchdog {
    /// A watchdog that has not looked yet.
    pub fn new(rules: Rules) -> Watchdog {
        Watchdog {
            rules,
            watches: Vec::new(),
            complained: 0,
        }
    }

    /// Finds new tables, then scans each one. Troubles with one table do not keep the others from being scanned.
    pub fn scan(&mut self) {
        if let Err(error) = self.find_tables() {
            self.complain(&error);
        }
        for position in 0..self.watches.len() {
            if let Err(error) = self.watches[position].scan() {
                self.complain(&error);
            }
        }
    }

    fn find_tables(&mut self) -> Result<(), Error> {
        let own = rustix::process::geteuid().as_raw();
        let mut uids = Table::users()?;
        uids.push(own);
        uids.sort_unstable();
        uids.dedup();
        uids.retain(|uid| !self.watches.iter().any(|watch| watch.table.uid() == *uid));
        // A table that cannot be had must not hide the others.
        let mut trouble = Ok(());
        for uid in uids {
            match Table::open_for(uid) {
                Ok(table) => self.watches.push(Watch::new(table, self.rules.clone())),
                Err(error) => trouble = Err(error),
            }
        }
        trouble
    }

    fn complain(&mut self, error: &Error) {
        let now = monotonic_ns();
        if self.complained == 0 || now - self.complained > COMPLAIN_EVERY {
            self.complained = now;
            let cause = std::error::Error::source(error)
                .map(|cause| format!(": {cause}"))
                .unwrap_or_default();
            log::error!("{error}{cause}");
        }
    }

    /// Goes on with what is due now.
    pub fn tend(&mut self) {
        let now = monotonic_ns();
        self.watches
            .iter_mut()
            .filter(|watch| watch.due().is_some_and(|due| due <= now))
            .for_each(|watch| watch.tend(now));
    }

    /// When the next signal is due, `CLOCK_MONOTONIC` ns.
    pub fn due(&self) -> Option<u64> {
        self.watches.iter().filter_map(Watch::due).min()
    }

    /// The classic form: one scan, then waits until all that it condemned is dead or past killing.
    pub fn scan_once(&mut self) {
        self.scan();
        self.watches.iter().for_each(Watch::settle_all);
        while self.watches.iter().any(Watch::is_busy) {
            let now = monotonic_ns();
            let pause = self.due().unwrap_or(now).saturating_sub(now);
            std::thread::sleep(Duration::from_nanos(pause.clamp(1_000_000, 50_000_000)));
            let now = monotonic_ns();
            self.watches.iter_mut().for_each(|watch| watch.tend(now));
        }
    }

    /// Paths of the tables that are watched, for a first log line.
    pub fn tables(&self) -> Vec<PathBuf> {
        self.watches
            .iter()
            .map(|watch| watch.table.path())
            .collect()
    }
}
