//! From byte offsets to lines and columns, in one pass over the text.

use crate::problem::Pos;

/// Walks forward through a text. Offsets must not go back by much: going back starts again from the top,
/// so that a long file cannot be made slow by asking forward.
pub(super) struct Place<'a> {
    text: &'a str,
    offset: usize,
    pos: Pos,
}

const START: Pos = Pos { line: 1, column: 1 };

impl<'a> Place<'a> {
    pub(super) fn new(text: &'a str) -> Place<'a> {
        Place {
            text,
            offset: 0,
            pos: START,
        }
    }

    /// The place of a byte offset; past the end it is the end, inside a character its begin.
    pub(super) fn at(&mut self, offset: usize) -> Pos {
        let offset = self.text.floor_char_boundary(offset);
        if offset < self.offset {
            (self.offset, self.pos) = (0, START);
        }
        for c in self.text[self.offset..offset].chars() {
            if c == '\n' {
                self.pos.line += 1;
                self.pos.column = 1;
            } else {
                self.pos.column += 1;
            }
        }
        self.offset = offset;
        self.pos
    }
}
