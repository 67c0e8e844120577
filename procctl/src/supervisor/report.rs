//! Completes a status answer with what only the heartbeat slots and process trees know.

use checkproc::tree;

use super::Supervisor;
use crate::plan::Answer;
use crate::plan::status::Row;

impl Supervisor {
    /// Fills the fields that the plan leaves empty.
    pub(super) fn complete(&self, answer: &mut Answer) {
        let Answer::Status(status) = answer else {
            return;
        };
        status.pid = std::process::id();
        status.trouble.clone_from(&self.trouble);
        // how surely a tree can be killed costs a look at processes: only where one job is asked for
        let closely = status.jobs.len() == 1;
        for row in &mut status.jobs {
            self.complete_row(row, closely);
        }
    }

    fn complete_row(&self, row: &mut Row, closely: bool) {
        let Some(live) = row.run.and_then(|run| self.runs.find(run)) else {
            return;
        };
        if closely {
            row.guarantee = Some(tree::guarantee(&live.target()).to_string());
        }
        let Some(slot) = live.slot.as_ref().and_then(checkproc::Slot::row) else {
            return;
        };
        if slot.heartbeat.is_some() {
            row.beat_age = Some(slot.last_beat_age.as_secs_f64());
            row.beats = Some(slot.beats);
        }
        row.rows = Some(slot.rows);
        row.bytes = Some(slot.bytes);
        row.phase = slot
            .step
            .or(Some(slot.phase))
            .filter(|text| !text.is_empty());
    }
}
