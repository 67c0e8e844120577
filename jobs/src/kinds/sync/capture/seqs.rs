//! Numbers of entries as text: which have reached the target and may go from the log. Pure.
//!
//! Runs of neighbours are written as `100-350`, so that a batch without gaps takes a dozen bytes. Gaps matter: an entry with a lower number may
//! become visible after one with a higher number, and what was not seen must not be deleted.

/// Writes numbers in rising order as runs.
pub(super) fn write(seqs: &[u64]) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for seq in seqs {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*seq) => *last = *seq,
            _ => runs.push((*seq, *seq)),
        }
    }
    let texts: Vec<String> = runs
        .iter()
        .map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        })
        .collect();
    texts.join(",")
}

/// Reads what [`write`] has written; `None` if it is something else.
pub(super) fn read(text: &str) -> Option<Vec<u64>> {
    let mut seqs = Vec::new();
    for run in text.split(',').filter(|run| !run.is_empty()) {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        if last < first || last - first > MOST {
            return None;
        }
        seqs.extend(first..=last);
    }
    Some(seqs)
}

/// No batch has more entries than that.
pub(super) const MOST: u64 = 200_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn neighbours_are_a_run() {
        assert_eq!(write(&[1, 2, 3, 5, 7, 8]), "1-3,5,7-8");
        assert_eq!((write(&[]), read("")), (String::new(), Some(Vec::new())));
        for text in ["a", "3-1", "1-", "1-99999999999", "-"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(set: std::collections::BTreeSet<u16>) {
            let seqs: Vec<u64> = set.into_iter().map(u64::from).collect();
            prop_assert_eq!(read(&write(&seqs)), Some(seqs));
        }
    }
}
