//! Rows that should leave and stay: told in the log, the first of them one by one, all of them by their number.

use super::key::{KeyText, shown};
use crate::error::Error;
use crate::job::Count;

/// So many are told one by one.
const TOLD: u64 = 10;

/// Rows of one table that stay.
#[derive(Debug)]
pub(super) struct Stays {
    table: String,
    /// Rows that cannot leave as they are.
    pub(super) refused: u64,
    /// Rows that were changed, or left, while their turn came.
    changed: u64,
}

impl Stays {
    pub(super) fn new(table: &str) -> Stays {
        Stays {
            table: table.to_owned(),
            refused: 0,
            changed: 0,
        }
    }

    /// A row has no date by which its table could be chosen.
    pub(super) fn undated(&mut self, key: &KeyText, value: &str) {
        self.stay(key, &format!("{value} is no date"));
    }

    /// The target or the source refuses.
    pub(super) fn refused(&mut self, key: &KeyText, error: Error) {
        self.stay(key, &error.chain());
    }

    /// A row stays for this reason.
    pub(super) fn stay(&mut self, key: &KeyText, why: &str) {
        self.refused += 1;
        if self.refused <= TOLD {
            log::warn!("{}: row {} stays: {why}", self.table, shown(key));
        }
    }

    /// Rows were changed or left by others before their turn came.
    pub(super) fn changed(&mut self, rows: u64) {
        self.changed += rows;
    }

    /// The end of the pass.
    pub(super) fn tell(&self) {
        if self.refused > TOLD {
            log::warn!("{}: {} stay in all", self.table, Count(self.refused, "row"));
        }
        if self.changed > 0 {
            log::info!(
                "{}: {} changed before their turn came, or left by others",
                self.table,
                Count(self.changed, "row")
            );
        }
    }
}
