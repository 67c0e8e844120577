//! Private tables for this crate's own tests.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::layout::{self, Cold, Hot};
use crate::{Claim, Table};

/// A table of its own, whose name goes away with it.
pub(crate) struct PrivateTable {
    pub(crate) table: Table,
    suffix: String,
}

impl PrivateTable {
    pub(crate) fn new() -> PrivateTable {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let suffix = format!(
            "unit-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        PrivateTable {
            table: Table::open_private(&suffix).unwrap(),
            suffix,
        }
    }

    pub(crate) fn reopened(&self) -> Result<Table, crate::Error> {
        Table::open_private(&self.suffix)
    }
}

impl Drop for PrivateTable {
    fn drop(&mut self) {
        std::fs::remove_file(self.table.path()).ok();
    }
}

pub(crate) fn claim(name: &str, pid: Option<u32>, heartbeat_ms: u64) -> Claim<'_> {
    Claim {
        name,
        home: 0,
        run: 0,
        pid,
        heartbeat: (heartbeat_ms != 0).then(|| Duration::from_millis(heartbeat_ms)),
        hang_grace: Duration::from_millis(200),
        max_step: Duration::from_secs(3600),
    }
}

pub(crate) fn set_hot(table: &Table, index: u32, word: Hot, value: u64) {
    table.words()[layout::hot(index, word)].store(value, Ordering::Release);
}

pub(crate) fn cold(table: &Table, index: u32, word: Cold) -> u64 {
    table.words()[layout::cold(index, word)].load(Ordering::Acquire)
}

pub(crate) fn set_cold(table: &Table, index: u32, word: Cold, value: u64) {
    table.words()[layout::cold(index, word)].store(value, Ordering::Release);
}
