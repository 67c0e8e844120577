//! What a key means, from the bytes that a terminal sends for it (ECMA-48 and the cursor keys of xterm). Pure.

/// What somebody at the terminal wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// Up or down by so many lines.
    Move(isize),
    /// Up or down by so many screens.
    Page(isize),
    /// To the first line.
    First,
    /// To the last line.
    Last,
    /// All about the job of this line.
    Open,
    /// Back to the list.
    Back,
    /// The next order.
    Sort,
    /// The end.
    Quit,
}

/// The keys of what was read at once; what means nothing is passed over.
pub(super) fn keys(mut bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    while let [first, rest @ ..] = bytes {
        bytes = rest;
        let key = match first {
            b'q' | b'Q' | 3 => Some(Key::Quit),
            b'k' => Some(Key::Move(-1)),
            b'j' => Some(Key::Move(1)),
            b' ' => Some(Key::Page(1)),
            b'g' => Some(Key::First),
            b'G' => Some(Key::Last),
            b's' => Some(Key::Sort),
            b'\r' | b'\n' | b'l' => Some(Key::Open),
            b'h' | 0x7f | 8 => Some(Key::Back),
            0x1b => {
                let (key, length) = escaped(rest);
                bytes = &rest[length..];
                key
            }
            _ => None,
        };
        keys.extend(key);
    }
    keys
}

/// What follows an escape, and how many bytes it takes.
fn escaped(rest: &[u8]) -> (Option<Key>, usize) {
    let [b'[' | b'O', sequence @ ..] = rest else {
        return (Some(Key::Back), 0);
    };
    let end = sequence
        .iter()
        .position(|byte| (0x40..=0x7e).contains(byte));
    let Some(end) = end else {
        return (None, rest.len());
    };
    let key = match &sequence[..=end] {
        b"A" => Some(Key::Move(-1)),
        b"B" => Some(Key::Move(1)),
        b"C" => Some(Key::Open),
        b"D" => Some(Key::Back),
        b"5~" => Some(Key::Page(-1)),
        b"6~" => Some(Key::Page(1)),
        b"H" | b"1~" | b"7~" => Some(Key::First),
        b"F" | b"4~" | b"8~" => Some(Key::Last),
        _ => None,
    };
    (key, end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_letters_and_of_sequences() {
        assert_eq!(
            keys(b"j\x1b[A\x1b[6~\x1bOF\r\x1bq"),
            [
                Key::Move(1),
                Key::Move(-1),
                Key::Page(1),
                Key::Last,
                Key::Open,
                Key::Back,
                Key::Quit
            ]
        );
    }

    #[test]
    fn what_means_nothing_is_passed_over() {
        assert_eq!(keys(b"\x1b[15~x\xff\x1b[1;5A"), [] as [Key; 0]);
        assert_eq!(keys(b"\x1b["), []);
        assert_eq!(keys(b"\x1b[99"), []);
    }
}
