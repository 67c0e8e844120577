//! Rows that leave together: their keys and where they go.

use serde::{Deserialize, Serialize};

use super::key::KeyText;
use super::period::Span;

/// Rows that leave in one transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Batch {
    pub(super) keys: Vec<KeyText>,
    /// The dates that belong into the target, where dates choose it.
    pub(super) span: Option<Span>,
    /// The target's name; empty where there is none.
    pub(super) to: String,
    /// What was copied of each row, as a hash; empty where nothing was copied before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) copies: Vec<String>,
}

impl Batch {
    /// The batch in two halves.
    pub(super) fn halves(&self) -> [Batch; 2] {
        let half = self.keys.len() / 2;
        let part = |range: std::ops::Range<usize>| Batch {
            keys: self.keys[range.clone()].to_vec(),
            copies: self.copies.get(range).unwrap_or_default().to_vec(),
            span: self.span.clone(),
            to: self.to.clone(),
        };
        [part(0..half), part(half..self.keys.len())]
    }
}
