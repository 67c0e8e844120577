//! What the `<get>` and `<put>` of every kind that moves files between machines have in common: what becomes of a source, and what
//! holds where nothing is said. How files move is each kind's own business.

use std::str::FromStr;

use jobfile::{Interval, Patterns};

/// What becomes of a file at its source when the other side has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It stays; what was moved is remembered.
    Keep,
    Delete,
    /// It is moved into this folder on its own side.
    Move(String),
}

impl FromStr for Then {
    type Err = String;

    fn from_str(text: &str) -> Result<Then, String> {
        match text.split_once(':') {
            None if text == "keep" => Ok(Then::Keep),
            None if text == "delete" => Ok(Then::Delete),
            Some(("move", dir)) if !dir.trim().is_empty() => Ok(Then::Move(dir.trim().to_owned())),
            _ => Err(format!("`{text}` is none of keep, delete, move:DIR")),
        }
    }
}

/// The default of `then`.
pub(crate) fn keep() -> String {
    "keep".to_owned()
}

/// The default of `match`.
pub(crate) fn every_name() -> Patterns {
    "*".parse().expect("a star is a pattern")
}

/// The default of `stable`.
pub(crate) const fn two_seconds() -> Interval {
    Interval::secs(2)
}

/// The default of what is done unless it is switched off.
pub(crate) const fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_three_fates() {
        let then = |text: &str| text.parse::<Then>();
        assert_eq!(then("keep"), Ok(Then::Keep));
        assert_eq!(then("delete"), Ok(Then::Delete));
        assert_eq!(then("move: sent"), Ok(Then::Move("sent".to_owned())));
        for bad in ["", "burn", "move:", "move: ", "keep:x", "Move:a"] {
            assert!(then(bad).is_err(), "{bad}");
        }
    }
}
