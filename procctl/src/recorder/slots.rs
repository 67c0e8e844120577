//! Finds the heartbeat slots of runs, in the table of whichever user a run belongs to.

use std::collections::HashMap;

use checkproc::{Slot, Table};

/// The tables seen so far.
#[derive(Default)]
pub(super) struct Slots {
    tables: HashMap<u32, Table>,
}

impl Slots {
    /// The slot `(index, generation)` in the table of user `uid`; `None`, with a line in the log,
    /// where the table cannot be had or the slot is another's by now.
    pub(super) fn find(&mut self, uid: u32, (index, generation): (u32, u32)) -> Option<Slot> {
        if self.tables.get(&uid).is_none_or(Table::retired) {
            let own = rustix::process::geteuid().as_raw() == uid;
            let opened = if own {
                Table::open_own()
            } else {
                Table::open_for(uid)
            };
            match opened {
                Ok(table) => self.tables.insert(uid, table),
                Err(error) => {
                    log::warn!("open the heartbeat table of user {uid}: {error}");
                    return None;
                }
            };
        }
        self.tables.get(&uid)?.slot(index, generation)
    }
}
