//! The heartbeat tables as the supervisor uses them: its own, and as root those of the users its
//! jobs run as. Opened when first needed, again when one was replaced.

use std::collections::HashMap;
use std::time::Duration;

use checkproc::{Claim, Error, Slot, Table};

use super::runs::{Live, Watched};
use crate::plan::RunId;

/// The tables by user.
pub(super) struct Tables {
    open: HashMap<u32, Table>,
    home: u64,
    max_step: Duration,
}

impl Tables {
    /// Tables for the runs of a home, by its hash.
    pub(super) fn new(home: u64, max_step: Duration) -> Tables {
        Tables {
            open: HashMap::new(),
            home,
            max_step,
        }
    }

    /// The longest step that a job may declare, from now on.
    pub(super) fn set_max_step(&mut self, max_step: Duration) {
        self.max_step = max_step;
    }

    fn table(&mut self, uid: u32) -> Result<Table, Error> {
        if let Some(table) = self.open.get(&uid)
            && !table.retired()
        {
            return Ok(table.clone());
        }
        let table = if uid == rustix::process::geteuid().as_raw() {
            Table::open_own()?
        } else {
            Table::open_for(uid)?
        };
        self.open.insert(uid, table.clone());
        Ok(table)
    }

    /// Claims a slot for a process that is about to start.
    pub(super) fn claim(
        &mut self,
        name: &str,
        run: RunId,
        watched: &Watched,
    ) -> Result<Slot, Error> {
        let home = self.home;
        let max_step = self.max_step;
        self.table(watched.table)?.claim(&Claim {
            name,
            home,
            run,
            pid: None,
            heartbeat: watched.heartbeat,
            hang_grace: watched.hang_grace,
            max_step,
        })
    }

    /// A slot that was claimed before, by an earlier program in our place.
    pub(super) fn find(&mut self, uid: u32, (index, generation): (u32, u32)) -> Option<Slot> {
        self.table(uid).ok()?.slot(index, generation)
    }

    /// Whether a table we use was replaced.
    pub(super) fn replaced(&self) -> bool {
        self.open.values().any(Table::retired)
    }

    /// The slot that a run has taken by itself.
    fn slot_of(&mut self, live: &Live) -> Option<Slot> {
        let table = self.table(live.watch.table).ok()?;
        let row = table.rows().into_iter().find(|row| row.run == live.id)?;
        table.slot(row.index, row.generation)
    }

    /// Finds a new slot for a run whose table was replaced. False when its slot is good, or there is none yet.
    pub(super) fn renew(&mut self, live: &mut Live) -> bool {
        if live
            .slot
            .as_ref()
            .is_some_and(|slot| !slot.table().retired())
        {
            return false;
        }
        if live.watch.attaches {
            live.slot = self.slot_of(live);
            return live.slot.is_some();
        }
        match self.claim(&live.job, live.id, &live.watch) {
            Ok(slot) => {
                slot.activate(live.pid.unsigned_abs(), live.start_time);
                live.slot = Some(slot);
                true
            }
            Err(error) => {
                log::error!("{}: no slot in the new heartbeat table: {error}", live.job);
                false
            }
        }
    }
}
