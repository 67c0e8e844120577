//! Cuts what a run prints into lines for its log: a time before each line that has none, a
//! bound on lines that never end. Pure: no descriptor, no clock.

/// Longest line in bytes; a longer one is cut into several.
pub(super) const LONGEST: usize = 64 * 1024;

/// What is left of the last line between two reads of one pipe.
#[derive(Debug, Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes what one read brought and appends the finished lines to `log`, each after `stamp`.
    /// Returns how many lines were finished.
    pub(super) fn take(&mut self, mut bytes: &[u8], stamp: &str, log: &mut Vec<u8>) -> u64 {
        let mut finished = 0;
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.put(&bytes[..end], stamp, log);
            bytes = &bytes[end + 1..];
            finished += 1;
        }
        while self.partial.len() + bytes.len() > LONGEST {
            let (fits, rest) = bytes.split_at(LONGEST - self.partial.len());
            self.put(fits, stamp, log);
            bytes = rest;
        }
        self.partial.extend_from_slice(bytes);
        finished
    }

    /// The pipe has ended: what is left becomes the last line.
    pub(super) fn finish(&mut self, stamp: &str, log: &mut Vec<u8>) {
        if !self.partial.is_empty() {
            self.put(&[], stamp, log);
        }
    }

    /// Whether the beginning of a line waits for its end.
    #[cfg(test)]
    fn waits(&self) -> bool {
        !self.partial.is_empty()
    }

    fn put(&mut self, end: &[u8], stamp: &str, log: &mut Vec<u8>) {
        log.extend_from_slice(stamp.as_bytes());
        log.extend_from_slice(&self.partial);
        log.extend_from_slice(end.strip_suffix(b"\r").unwrap_or(end));
        log.push(b'\n');
        // a line that grew large must not hold its memory for the rest of the run
        self.partial = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_come_out_whole_however_they_are_read() {
        let mut lines = Lines::default();
        let mut log = Vec::new();
        assert_eq!(lines.take(b"on", "T ", &mut log), 0);
        assert!(lines.waits());
        assert_eq!(lines.take(b"e\r\ntwo\n\nthr", "T ", &mut log), 3);
        lines.finish("U ", &mut log);
        lines.finish("U ", &mut log);
        assert_eq!(String::from_utf8(log).unwrap(), "T one\nT two\nT \nU thr\n");
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let mut lines = Lines::default();
        let mut log = Vec::new();
        let long = vec![b'x'; LONGEST / 2 + 10];
        for _ in 0..4 {
            lines.take(&long, "", &mut log);
        }
        lines.finish("", &mut log);
        let lengths: Vec<usize> = log.split(|byte| *byte == b'\n').map(<[u8]>::len).collect();
        assert_eq!(lengths, [LONGEST, LONGEST, 40, 0]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost(parts in prop::collection::vec("[ab\n]{0,9}", 0..20)) {
            let mut lines = Lines::default();
            let mut log = Vec::new();
            for part in &parts {
                lines.take(part.as_bytes(), "", &mut log);
            }
            lines.finish("", &mut log);
            let mut all = parts.concat();
            if !all.is_empty() && !all.ends_with('\n') {
                all.push('\n');
            }
            prop_assert_eq!(String::from_utf8(log).unwrap(), all);
        }
    }
}
