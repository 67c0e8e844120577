//! File mode masks, octal as everywhere.

use crate::written::written;
use std::fmt;
use std::str::FromStr;

/// A file mode creation mask, at most `0777`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Umask(pub u32);

impl FromStr for Umask {
    type Err = String;

    fn from_str(text: &str) -> Result<Umask, String> {
        let octal = text.bytes().all(|b| b.is_ascii_digit());
        let mask = u32::from_str_radix(text, 8).ok();
        mask.filter(|m| octal && *m <= 0o777)
            .map(Umask)
            .ok_or_else(|| format!("`{text}` is not a mask; write it in octal, as in 027"))
    }
}

impl fmt::Display for Umask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03o}", self.0)
    }
}

written!(Umask, "octal", "^[0-7]+$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_only() {
        assert_eq!("027".parse(), Ok(Umask(0o27)));
        assert_eq!("0077".parse(), Ok(Umask(0o77)));
        for bad in ["", "8", "1777", "+7", "rwx"] {
            assert!(bad.parse::<Umask>().is_err(), "{bad}");
        }
    }
}
