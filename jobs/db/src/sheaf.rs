//! Cells one after the other in one piece of memory, as rows travel together: a cell costs no room of its own. Pure.

use crate::Cell;
use std::ops::Range;

/// The mark of NULL on the place where a cell ends.
const NULL: usize = 1 << (usize::BITS - 1);

/// Cells in their order, row after row; how many make a row is for whoever fills it to know.
#[derive(Debug, Default, Clone)]
pub struct Sheaf {
    bytes: Vec<u8>,
    /// Where each cell ends.
    ends: Vec<usize>,
}

impl Sheaf {
    /// Adds a cell.
    pub fn push(&mut self, cell: Cell<'_>) {
        self.write(|out| {
            cell.inspect(|text| out.extend_from_slice(text));
            cell.is_some()
        });
    }

    /// Adds what `write` appends as a cell; NULL when it says `false`, and has appended nothing.
    pub fn write(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        let mark = if write(&mut self.bytes) { 0 } else { NULL };
        self.ends.push(self.bytes.len() | mark);
    }

    /// Adds the cells of another one that lie in `range`, by one copy of all.
    pub fn append(&mut self, other: &Sheaf, range: Range<usize>) {
        let bytes = other.span(range.clone());
        // no end lies before the first start, so that the mark of NULL stays as it is
        let shift = self.bytes.len().wrapping_sub(bytes.start);
        self.bytes.extend_from_slice(&other.bytes[bytes]);
        let ends = other.ends[range].iter();
        self.ends.extend(ends.map(|end| end.wrapping_add(shift)));
    }

    /// How many cells there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes that it holds, text and places: NULL takes room, too.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len() + size_of::<usize>() * self.ends.len()
    }

    /// The cell at `index`, which is below [`Sheaf::len`].
    #[must_use]
    pub fn cell(&self, index: usize) -> Cell<'_> {
        let end = self.ends[index];
        (end & NULL == 0).then(|| &self.bytes[self.start(index)..end])
    }

    /// All cells from the first to the last.
    pub fn cells(&self) -> impl Iterator<Item = Cell<'_>> {
        self.places(0..self.len())
            .map(|place| place.map(|place| &self.bytes[place]))
    }

    /// The texts of all cells, one after the other with nothing in between.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the texts of the cells in `range` lie in [`Sheaf::text`]; `None` for NULL.
    pub fn places(&self, range: Range<usize>) -> impl Iterator<Item = Option<Range<usize>>> {
        let mut start = self.start(range.start);
        self.ends[range].iter().map(move |end| {
            let from = std::mem::replace(&mut start, end & !NULL);
            (end & NULL == 0).then_some(from..*end)
        })
    }

    /// Where the texts of all cells in `range` lie together.
    #[must_use]
    pub fn span(&self, range: Range<usize>) -> Range<usize> {
        self.start(range.start)..self.start(range.end)
    }

    /// Takes back all but the first `count` cells.
    pub fn truncate(&mut self, count: usize) {
        if count < self.len() {
            self.bytes.truncate(self.start(count));
            self.ends.truncate(count);
        }
    }

    /// Takes all cells back; of the room for them, at most `most` bytes are kept.
    pub fn clear(&mut self, most: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(most);
        self.ends.clear();
        self.ends.shrink_to(most / size_of::<usize>());
    }

    /// Where the cell at `index` starts: behind the one before, NULL or not.
    fn start(&self, index: usize) -> usize {
        let before = index.checked_sub(1).map(|before| self.ends[before]);
        before.unwrap_or(0) & !NULL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CELLS: [Cell<'_>; 6] = [
        None,
        Some(b"a"),
        Some(b""),
        Some("站".as_bytes()),
        None,
        None,
    ];

    fn sheaf(cells: &[Cell<'_>]) -> Sheaf {
        let mut sheaf = Sheaf::default();
        cells.iter().for_each(|cell| sheaf.push(*cell));
        sheaf
    }

    #[test]
    fn cells_come_back() {
        let sheaf = sheaf(&CELLS);
        assert_eq!(sheaf.cells().collect::<Vec<_>>(), CELLS);
        let one_by_one: Vec<_> = (0..sheaf.len()).map(|at| sheaf.cell(at)).collect();
        assert_eq!(one_by_one, CELLS);
        assert_eq!(sheaf.size(), 4 + 8 * 6);
    }

    #[test]
    fn places_are_where_the_cells_are() {
        let sheaf = sheaf(&CELLS);
        for from in 0..=CELLS.len() {
            for to in from..=CELLS.len() {
                let places = sheaf.places(from..to);
                let cells = places.map(|place| place.map(|place| &sheaf.text()[place]));
                assert_eq!(cells.collect::<Vec<_>>(), CELLS[from..to]);
                let texts = CELLS[from..to].iter().flatten().copied();
                let together = sheaf.text()[sheaf.span(from..to)].to_vec();
                assert_eq!(together, texts.collect::<Vec<_>>().concat());
            }
        }
    }

    #[test]
    fn any_range_is_appended_behind_any_other() {
        let other = sheaf(&CELLS);
        for from in 0..=CELLS.len() {
            for to in from..=CELLS.len() {
                for before in 0..=CELLS.len() {
                    let mut sheaf = sheaf(&CELLS[..before]);
                    sheaf.append(&other, from..to);
                    let want = [&CELLS[..before], &CELLS[from..to]].concat();
                    assert_eq!(sheaf.cells().collect::<Vec<_>>(), want);
                }
            }
        }
    }

    #[test]
    fn what_is_taken_back_leaves_the_rest() {
        for count in 0..=CELLS.len() + 1 {
            let mut sheaf = sheaf(&CELLS);
            sheaf.truncate(count);
            sheaf.push(Some(b"x"));
            let rest = &CELLS[..count.min(CELLS.len())];
            let want = [rest, &[Some(&b"x"[..])]].concat();
            assert_eq!(sheaf.cells().collect::<Vec<_>>(), want);
            sheaf.clear(0);
            assert!(sheaf.is_empty());
        }
    }
}
