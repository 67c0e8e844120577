//! What keeps a moment from being final: transactions that were open then, and time. Pure.
//!
//! A [`Look`] is one answer of the server. A [`Guard`] is made of the look at which something was seen (a gap, a maximum), kept with it in the
//! job's state, and renewed by every later look, until all that was open then has ended and `settle` has passed as well.

use db::{Transaction, Transactions, still_open};
use serde::{Deserialize, Serialize};

/// What the server told at one moment. What is read in a snapshot of later shows the rows of all that has ended by then.
#[derive(Debug, Clone, Default)]
pub(crate) struct Look {
    /// When, in milliseconds since 1970.
    pub(crate) now: i64,
    /// What was open.
    pub(crate) open: Vec<Transaction>,
    /// The server does not tell, for this reason: only time can be waited for.
    pub(crate) hidden: Option<String>,
}

impl Look {
    /// A look at a database where nothing comes late.
    pub(crate) fn quiet(now: i64) -> Look {
        Look {
            now,
            ..Look::default()
        }
    }

    /// What the server told. One that hides its transactions leaves only time to wait for: without any, `refuse` makes an error of its reason.
    pub(crate) fn of<E>(
        now: i64,
        told: Transactions,
        settle_ms: i64,
        refuse: impl FnOnce(&str) -> E,
    ) -> Result<Look, E> {
        let (open, hidden) = match told {
            Transactions::Listed(open) => (open, None),
            Transactions::Hidden(why) if settle_ms == 0 => return Err(refuse(&why)),
            Transactions::Hidden(why) => (Vec::new(), Some(why)),
        };
        Ok(Look { now, open, hidden })
    }

    /// Whether all that was visible before this look is all that there will ever be.
    pub(crate) fn is_final(&self, settle_ms: i64) -> bool {
        settle_ms == 0 && self.open.is_empty()
    }
}

/// What has to end before something seen at one moment is final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Guard {
    /// That moment, in milliseconds since 1970.
    seen: i64,
    /// Names of the transactions that were open then and are open still.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    waits: Vec<String>,
}

impl Guard {
    /// A guard of what was visible before `look`.
    pub(crate) fn of(look: &Look) -> Guard {
        Guard {
            seen: look.now,
            waits: look.open.iter().map(|one| one.id.clone()).collect(),
        }
    }

    /// Forgets what has ended; tells whether anything has.
    pub(crate) fn renew(&mut self, look: &Look) -> bool {
        let left = match look.hidden {
            Some(_) => Vec::new(),
            None => still_open(&self.waits, &look.open),
        };
        let fewer = left != self.waits;
        self.waits = left;
        fewer
    }

    /// Whether rows may still come by what the server does not tell.
    pub(crate) fn is_fresh(&self, now: i64, settle_ms: i64) -> bool {
        now.saturating_sub(self.seen) < settle_ms
    }

    /// Whether nothing can come any more.
    pub(crate) fn is_over(&self, now: i64, settle_ms: i64) -> bool {
        self.waits.is_empty() && !self.is_fresh(now, settle_ms)
    }

    /// Whether the two end at the same moment.
    pub(crate) fn ends_with(&self, other: &Guard, now: i64, settle_ms: i64) -> bool {
        self.waits == other.waits
            && (self.seen == other.seen
                || !self.is_fresh(now, settle_ms) && !other.is_fresh(now, settle_ms))
    }

    /// When what it guards was seen, in milliseconds since 1970.
    pub(crate) fn seen(&self) -> i64 {
        self.seen
    }

    /// What it waits for.
    pub(crate) fn waits(&self) -> &[String] {
        &self.waits
    }
}

#[cfg(test)]
pub(crate) fn look(now: i64, open: &[&str]) -> Look {
    let one = |id: &&str| Transaction {
        id: (*id).to_owned(),
        heir_of: None,
        about: format!("session {id}"),
    };
    Look {
        now,
        open: open.iter().map(one).collect(),
        hidden: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_when_all_have_ended_and_time_has_passed() {
        let mut guard = Guard::of(&look(1_000, &["a", "b"]));
        assert!(!guard.renew(&look(2_000, &["a", "b", "c"])));
        assert!(guard.renew(&look(3_000, &["b", "c"])));
        assert!(!guard.is_over(60_000, 5_000));
        assert!(guard.renew(&look(4_000, &["c"])));
        assert!(!guard.is_over(5_999, 5_000) && guard.is_over(6_000, 5_000));
    }

    #[test]
    fn a_server_that_tells_no_more_leaves_time_alone() {
        let mut guard = Guard::of(&look(0, &["a"]));
        let hidden = Look {
            now: 10,
            hidden: Some("a standby".to_owned()),
            ..Look::default()
        };
        assert!(guard.renew(&hidden) && guard.is_over(5_000, 5_000));
    }
}
