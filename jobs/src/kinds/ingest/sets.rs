//! Files that belong together: the parts `NAME_1of3.xml` … `NAME_3of3.xml` of one full extract. Pure: names in, groups out.

use std::collections::BTreeMap;

use crate::natural;

/// What is loaded in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    /// File names, in the order of their parts.
    pub(super) files: Vec<String>,
}

/// Units that are complete, in the order of their first file's name, and how many sets still lack parts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Grouped {
    pub(super) ready: Vec<Unit>,
    pub(super) waiting: Vec<String>,
}

/// The part of a name that says `_NofM`: everything before it, N, M, and everything behind.
fn part_of(name: &str) -> Option<(&str, u32, u32, &str)> {
    let stem_end = name.find('.').unwrap_or(name.len());
    let (stem, ending) = name.split_at(stem_end);
    let (before, part) = stem.rsplit_once('_')?;
    let (n, m) = part.split_once("of")?;
    let number = |text: &str| {
        let plain = !text.is_empty() && text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| text.parse::<u32>().ok()).flatten()
    };
    let (n, m) = (number(n)?, number(m)?);
    (1..=m).contains(&n).then_some((before, n, m, ending))
}

/// Groups file names (sorted or not) into sets; a name without `_NofM` is a unit of its own.
pub(super) fn group(names: Vec<String>) -> Grouped {
    let mut sets: BTreeMap<(String, u32, String), BTreeMap<u32, String>> = BTreeMap::new();
    let mut grouped = Grouped::default();
    for name in names {
        match part_of(&name) {
            None => grouped.ready.push(Unit { files: vec![name] }),
            Some((before, n, m, ending)) => {
                let set = sets
                    .entry((before.to_owned(), m, ending.to_owned()))
                    .or_default();
                set.insert(n, name);
            }
        }
    }
    for ((before, m, ending), parts) in sets {
        if u32::try_from(parts.len()).is_ok_and(|count| count == m) {
            grouped.ready.push(Unit {
                files: parts.into_values().collect(),
            });
        } else {
            grouped.waiting.push(format!(
                "{before}_*of{m}{ending}: {} of {m} parts are there",
                parts.len()
            ));
        }
    }
    let first = |unit: &Unit| unit.files.first().cloned().unwrap_or_default();
    grouped
        .ready
        .sort_by(|a, b| natural::compare(&first(a), &first(b)));
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_set_is_ready_when_all_parts_are_there_and_keeps_their_order() {
        let got = group(names(&[
            "S_9_2of3.xml",
            "S_9_1of3.xml",
            "S_8_1of2.xml",
            "S_9_3of3.xml",
            "a.csv",
        ]));
        assert_eq!(
            got.ready,
            [
                Unit {
                    files: names(&["S_9_1of3.xml", "S_9_2of3.xml", "S_9_3of3.xml"])
                },
                Unit {
                    files: names(&["a.csv"])
                }
            ]
        );
        assert_eq!(got.waiting, ["S_8_*of2.xml: 1 of 2 parts are there"]);
    }

    #[test]
    fn sets_stand_in_the_order_that_their_numbers_count() {
        let ready = group(names(&["S_10.xml", "S_9.xml"])).ready;
        assert_eq!(ready[0].files, ["S_9.xml"]);
    }

    #[test]
    fn ten_parts_are_ordered_by_number() {
        let all: Vec<String> = (1..=10).map(|n| format!("T_{n}of10.xml.gz")).collect();
        let mut shuffled = all.clone();
        shuffled.sort();
        assert_eq!(group(shuffled).ready, [Unit { files: all }]);
    }

    #[test]
    fn names_that_only_look_like_parts_stand_alone() {
        for name in [
            "roof.xml",
            "a_0of3.xml",
            "a_4of3.xml",
            "a_1of.xml",
            "a_of2.xml",
            "a_1of99999999999.xml",
            "_1of",
        ] {
            assert_eq!(group(names(&[name])).ready.len(), 1, "{name}");
            assert!(part_of(name).is_none(), "{name}");
        }
    }
}
