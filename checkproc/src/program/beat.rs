//! `checkproc beat`: the heartbeat of a script.

use std::error::Error;
use std::time::Duration;

use checkproc::{Claim, SlotState, Table, given_slot, process};

const HEARTBEAT: Duration = Duration::from_secs(60);
const HANG_GRACE: Duration = Duration::from_secs(2);
const MAX_STEP: Duration = Duration::from_secs(24 * 3600);

/// Beats the slot that procctl gave to this run; without one, that of `name` and the process, claimed if need be.
pub(crate) fn beat(
    name: &str,
    heartbeat: Option<Duration>,
    pid: Option<u32>,
) -> Result<(), Box<dyn Error>> {
    let table = Table::open_own()?;
    if pid.is_none() && given_slot(&table).is_some_and(|slot| slot.beat()) {
        return Ok(());
    }
    let caller =
        rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs());
    let pid = pid.unwrap_or(caller);
    let start = process::start_time(pid);
    let rows = table.rows();
    let held = rows.iter().find(|row| {
        row.name == name
            && row.pid == pid
            && Some(row.start_time) == start
            && row.state == SlotState::Active
    });
    if let Some(slot) = held.and_then(|row| table.slot(row.index, row.generation)) {
        if heartbeat.is_some() {
            slot.set_heartbeat(heartbeat);
        }
        slot.beat();
        return Ok(());
    }
    let heartbeat = Some(heartbeat.unwrap_or(HEARTBEAT));
    let claim = Claim {
        name,
        home: 0,
        run: 0,
        pid: Some(pid),
        heartbeat,
        hang_grace: HANG_GRACE,
        max_step: MAX_STEP,
    };
    table.claim(&claim)?.beat();
    Ok(())
}
