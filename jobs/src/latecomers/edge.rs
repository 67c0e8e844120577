//! The rows that share the highest value that was read: more of them may come with the same value. Pure.
//!
//! Times are not unique. Rows at the cursor are therefore read again with what follows, and those that were published before are known
//! by their content: as often as a row was there, as often it is passed over.

use std::collections::HashMap;

use db::Cell;
use serde::{Deserialize, Serialize};

/// So many rows of one value are remembered. Where there are more, rows that come later with the same value are not seen.
const MOST: usize = 100_000;

/// The published rows at the cursor, each as the first half of the BLAKE3 of its cells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Edge(Vec<String>);

impl Edge {
    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

/// Watches a range: which of its rows are known, and which lie at its end.
#[derive(Debug, Default)]
pub(crate) struct EdgeWatch {
    known: HashMap<String, u32>,
    /// `None`: there are too many.
    end: Option<Vec<String>>,
}

impl EdgeWatch {
    /// Watches a range that begins at this edge.
    pub(crate) fn from(edge: Option<&Edge>) -> EdgeWatch {
        let mut known = HashMap::new();
        for row in edge.iter().flat_map(|edge| &edge.0) {
            *known.entry(row.clone()).or_insert(0) += 1;
        }
        EdgeWatch {
            known,
            end: Some(Vec::new()),
        }
    }

    /// Takes the next row, in the order of the cursor; tells whether it is new. `last`: it has the range's highest value.
    pub(crate) fn see<'a>(&mut self, cells: impl Iterator<Item = Cell<'a>>, last: bool) -> bool {
        if self.known.is_empty() && !last {
            return true;
        }
        let row = hash(cells);
        let known = match self.known.get_mut(&row) {
            Some(left) => {
                *left -= 1;
                if *left == 0 {
                    self.known.remove(&row);
                }
                true
            }
            None => false,
        };
        if last && let Some(end) = &mut self.end {
            end.push(row);
            if end.len() > MOST {
                self.end = None;
            }
        }
        !known
    }

    /// The edge at the range's end; none if more rows share it than can be remembered.
    pub(crate) fn end(self) -> Option<Edge> {
        self.end.map(Edge)
    }
}

fn hash<'a>(cells: impl Iterator<Item = Cell<'a>>) -> String {
    let mut hasher = blake3::Hasher::new();
    for cell in cells {
        // NULL is told from text by its length
        let length = cell.map_or(u64::MAX, |text| text.len() as u64);
        hasher.update(&length.to_le_bytes());
        hasher.update(cell.unwrap_or_default());
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn see(watch: &mut EdgeWatch, rows: &[(&str, bool)]) -> Vec<bool> {
        rows.iter()
            .map(|(row, last)| watch.see([Some(row.as_bytes()), None].into_iter(), *last))
            .collect()
    }

    #[test]
    fn a_row_is_passed_over_as_often_as_it_was_there() {
        let mut watch = EdgeWatch::from(None);
        assert_eq!(
            see(&mut watch, &[("a", false), ("b", true), ("b", true)]),
            [true; 3]
        );
        let edge = watch.end().unwrap();
        assert_eq!(edge.len(), 2);
        let mut watch = EdgeWatch::from(Some(&edge));
        let rows = [("b", true), ("x", true), ("b", true), ("b", true)];
        assert_eq!(see(&mut watch, &rows), [false, true, false, true]);
        assert_eq!(watch.end().unwrap().len(), 4);
    }

    #[test]
    fn null_and_order_matter() {
        let one = |cells: &[Cell<'_>]| hash(cells.iter().copied());
        assert_ne!(one(&[None, Some(b"")]), one(&[Some(b""), None]));
        assert_ne!(
            one(&[Some(b"ab"), Some(b"c")]),
            one(&[Some(b"a"), Some(b"bc")])
        );
    }
}
