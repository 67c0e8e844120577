//! What a pass did, in numbers, and how numbers are shown to people. Nothing here depends on the rest of the house.

use std::fmt;
use std::time::Duration;

/// What a pass did, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows (or records, or whatever the kind counts) taken in.
    pub read: u64,
    /// Rows that reached their target.
    pub written: u64,
    /// Rows put aside as bad.
    pub rejected: u64,
    /// Bytes read or written, whichever the kind is about.
    pub bytes: u64,
    /// Files worked on to the end.
    pub files: u64,
}

impl Tally {
    /// The last line of a pass of this job.
    #[must_use]
    pub fn line(&self, job: &str, took: Duration) -> String {
        let seconds = format!("{}.{} s", took.as_secs(), took.subsec_millis() / 100);
        if *self == Tally::default() {
            format!("{job}: done in {seconds}")
        } else {
            format!("{job}: {self} in {seconds}")
        }
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.read += other.read;
        self.written += other.written;
        self.rejected += other.rejected;
        self.bytes += other.bytes;
        self.files += other.files;
    }
}

impl fmt::Display for Tally {
    /// `read 26115, written 26115, rejected 0, 3 files, 1.9 MB`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "read {}, written {}, rejected {}, {}, {}",
            self.read,
            self.written,
            self.rejected,
            Count(self.files, "file"),
            Bytes(self.bytes)
        )
    }
}

/// So many of something, by the name of one: `1 file`, `0 files`.
pub struct Count(pub u64, pub &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{ending}", self.0, self.1)
    }
}

/// A number of bytes for people: `812 B`, `1.9 MB` (powers of 1000).
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
        let (mut whole, mut rest, mut unit) = (self.0, 0, 0);
        while whole >= 1000 && unit + 1 < UNITS.len() {
            rest = whole % 1000 / 100;
            whole /= 1000;
            unit += 1;
        }
        if unit == 0 {
            write!(f, "{whole} B")
        } else {
            write!(f, "{whole}.{rest} {}", UNITS[unit])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_well() {
        let shown: Vec<String> = [0, 999, 1000, 1_940_000, 1_000_000_000, u64::MAX]
            .into_iter()
            .map(|n| Bytes(n).to_string())
            .collect();
        assert_eq!(
            shown,
            ["0 B", "999 B", "1.0 kB", "1.9 MB", "1.0 GB", "18446.7 PB"]
        );
    }

    #[test]
    fn one_is_not_many() {
        let shown = [0, 1, 2].map(|n| Count(n, "row").to_string());
        assert_eq!(shown, ["0 rows", "1 row", "2 rows"]);
    }

    #[test]
    fn tallies_add_up() {
        let mut sum = Tally {
            read: 3,
            files: 1,
            ..Tally::default()
        };
        sum += Tally {
            read: 2,
            written: 5,
            ..Tally::default()
        };
        assert_eq!(
            sum.to_string(),
            "read 5, written 5, rejected 0, 1 file, 0 B"
        );
    }

    #[test]
    fn a_pass_is_told_in_a_line() {
        let took = Duration::from_millis(2_140);
        let tally = Tally {
            read: 3,
            written: 2,
            rejected: 1,
            bytes: 1_900_000,
            files: 1,
        };
        assert_eq!(
            tally.line("in", took),
            "in: read 3, written 2, rejected 1, 1 file, 1.9 MB in 2.1 s"
        );
        assert_eq!(Tally::default().line("in", took), "in: done in 2.1 s");
    }
}
