//! Rows that came together, in their written forms.

use super::kind::Shape;
use super::value::spell;
use crate::{Cell, Column, Kind, Sheaf};
use mysql_async::Value;

/// How much is gathered, cells and their places, before it is lent.
const FULL: usize = 256 << 10;
/// What has grown beyond this is not kept for the next rows.
const LARGE: usize = 1 << 20;

#[derive(Default)]
pub(super) struct Block {
    /// What the columns are.
    shapes: Vec<(Shape, Kind)>,
    cells: Sheaf,
}

impl Block {
    /// For rows of these columns.
    pub(super) fn new(shapes: Vec<Shape>, columns: &[Column]) -> Self {
        let kinds = columns.iter().map(|column| column.kind);
        Block {
            shapes: shapes.into_iter().zip(kinds).collect(),
            cells: Sheaf::default(),
        }
    }

    /// An empty one for the same columns.
    pub(super) fn another(&self) -> Self {
        Block {
            shapes: self.shapes.clone(),
            cells: Sheaf::default(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.cells.clear(LARGE);
    }

    pub(super) fn is_full(&self) -> bool {
        self.cells.size() >= FULL
    }

    pub(super) fn rows(&self) -> usize {
        self.cells.len() / self.shapes.len().max(1)
    }

    /// Lays a row down: a value a column.
    pub(super) fn add<'v>(&mut self, values: impl Iterator<Item = &'v Value>) {
        for ((shape, kind), value) in self.shapes.iter().zip(values) {
            self.cells.write(|out| spell(*shape, *kind, value, out));
        }
    }

    /// A cell of a row, both counted from 0.
    pub(super) fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        self.cells.cell(row * self.shapes.len() + column)
    }

    /// Lays `count` rows from the one at `first` on down in `into`. If these are all, and nothing lies there, the two change places,
    /// and this block is empty.
    pub(super) fn pass_on(&mut self, first: usize, count: usize, into: &mut Sheaf) {
        if (first, count) == (0, self.rows()) && into.is_empty() {
            std::mem::swap(&mut self.cells, into);
        } else {
            let width = self.shapes.len();
            into.append(&self.cells, first * width..(first + count) * width);
        }
    }

    /// Copies the first `count` cells of a row.
    pub(super) fn copy(&self, row: usize, count: usize, into: &mut Sheaf) {
        let first = row * self.shapes.len();
        into.append(&self.cells, first..first + count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_found_again() {
        let shape = |code| Shape::new(code, 0, 45, 9, 0);
        let shapes = vec![(shape(253), Kind::Text), (shape(8), Kind::Integer)];
        let mut block = Block {
            shapes,
            ..Block::default()
        };
        block.add([Value::NULL, Value::Int(7)].iter());
        block.add([Value::Bytes(Vec::new()), Value::NULL].iter());
        block.add([Value::Bytes(b"x".to_vec()), Value::Int(-1)].iter());
        assert_eq!(block.rows(), 3);
        let rows: Vec<_> = (0..3)
            .map(|row| [block.cell(row, 0), block.cell(row, 1)])
            .collect();
        assert_eq!(
            rows,
            [
                [None, Some(&b"7"[..])],
                [Some(b""), None],
                [Some(b"x"), Some(b"-1")]
            ]
        );
        block.clear();
        assert_eq!((block.rows(), block.is_full()), (0, false));
    }

    #[test]
    fn rows_are_passed_on_whole_or_in_part() {
        let shape = Shape::new(8, 0, 45, 9, 0);
        let mut block = Block {
            shapes: vec![(shape, Kind::Integer)],
            ..Block::default()
        };
        (0..5).for_each(|number| block.add([Value::Int(number)].iter()));
        let mut into = Sheaf::default();
        for (first, count) in [(1, 2), (0, 5), (5, 0)] {
            block.pass_on(first, count, &mut into);
            assert_eq!(block.rows(), 5);
        }
        assert_eq!(into.text(), b"1201234");
        into.clear(0);
        block.pass_on(0, 5, &mut into);
        assert_eq!((into.text(), block.rows()), (&b"01234"[..], 0));
    }
}
