//! What only the heartbeat table knows of a run: its beats, rows, bytes, what it does now. Read by
//! the asking side, so that the supervisor need not.

use std::collections::HashMap;

use checkproc::Table;
use jobfile::Home;

use crate::plan::status::{Row, Status};

/// Fills the fields that the supervisor left empty. Without a readable table they stay empty.
pub(super) fn fill(status: &mut Status, home: &Home) {
    let slots = live(home);
    for row in &mut status.jobs {
        let Some(slot) = row.run.and_then(|run| slots.get(&run)) else {
            continue;
        };
        fill_row(row, slot);
    }
}

/// The home's slots by run.
pub(super) fn live(home: &Home) -> HashMap<u64, checkproc::Row> {
    let hash = home.hash();
    let tables = Table::all().unwrap_or_default();
    let rows = tables.iter().flat_map(Table::rows);
    rows.filter(|slot| slot.home == hash && slot.run != 0)
        .map(|slot| (slot.run, slot))
        .collect()
}

fn fill_row(row: &mut Row, slot: &checkproc::Row) {
    if slot.heartbeat.is_some() && row.beat_age.is_none() {
        row.beat_age = Some(slot.last_beat_age.as_secs_f64());
    }
    row.beats.get_or_insert(slot.beats);
    row.rows.get_or_insert(slot.rows);
    row.bytes.get_or_insert(slot.bytes);
    let doing = slot.step.as_deref().unwrap_or(&slot.phase);
    if row.phase.is_none() && !doing.is_empty() {
        row.phase = Some(doing.to_owned());
    }
}
