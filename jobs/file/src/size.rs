//! Sizes as people write them: `64K 10M 2G`, in steps of 1024.

use crate::written::written;
use std::fmt;
use std::str::FromStr;

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

const UNITS: [(char, u64); 4] = [
    ('T', 1 << 40),
    ('G', 1 << 30),
    ('M', 1 << 20),
    ('K', 1 << 10),
];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let text = text.trim();
        let split = text.find(|c: char| !c.is_ascii_digit());
        let (number, unit) = text.split_at(split.unwrap_or(text.len()));
        // the longer spellings mean the same
        let short = unit
            .strip_suffix("iB")
            .or(unit.strip_suffix('B'))
            .unwrap_or(unit);
        let factor = match short {
            "" => Some(1),
            short => UNITS
                .iter()
                .find(|(name, _)| {
                    short.chars().eq([*name]) || short.chars().eq([name.to_ascii_lowercase()])
                })
                .map(|(_, factor)| *factor),
        };
        let (false, Some(factor)) = (number.is_empty(), factor) else {
            return Err(format!(
                "`{text}` is not a size: write a whole number of bytes, or with a unit as in 64K, 10M, 2G"
            ));
        };
        let number: Option<u64> = number.parse().ok();
        number
            .and_then(|n| n.checked_mul(factor))
            .filter(|bytes| i64::try_from(*bytes).is_ok())
            .map(Size)
            .ok_or_else(|| format!("`{text}` is too large"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS
            .iter()
            .find(|(_, unit)| self.0 > 0 && self.0.is_multiple_of(*unit))
        {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

written!(Size, "size", "^[0-9]+([KMGTkmgt](i?B)?|B)?$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes, again) in [
            ("64K", 65_536, "64K"),
            ("10M", 10 << 20, "10M"),
            ("2G", 2 << 30, "2G"),
            ("1t", 1 << 40, "1T"),
            ("5MiB", 5 << 20, "5M"),
            ("1000", 1000, "1000"),
            ("0", 0, "0"),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
            assert_eq!(Size(bytes).to_string(), again);
        }
        for bad in [
            "",
            "K",
            "-1K",
            "1.5M",
            "10X",
            "99999999999999999999",
            "9999999999T",
            "1 K",
        ] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }
}
