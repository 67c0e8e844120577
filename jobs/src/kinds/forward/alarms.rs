//! Which troubles operators are alarmed of, once each, and when they hear that all is well again. Pure.

use std::{collections::BTreeSet, collections::VecDeque, time::Duration};

use super::trouble::Standing;

/// A trouble that lasts so long is worth an alarm.
const LASTING: Duration = Duration::from_secs(5);
/// Words that wait to be heard at most.
const WAITING: usize = 100;

/// What operators know, and what they are to hear yet.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    /// Whose troubles were told and are not over.
    raised: BTreeSet<String>,
    unheard: VecDeque<String>,
}

impl Alarms {
    /// Compares what is wrong with what was told, and says what is new by `say`, until that gives `false`.
    pub(super) fn look(&mut self, standing: &[Standing], mut say: impl FnMut(&str) -> bool) {
        let alarmed = !self.raised.is_empty();
        self.raised
            .retain(|who| standing.iter().any(|trouble| trouble.who == *who));
        for trouble in standing.iter().filter(|trouble| trouble.age >= LASTING) {
            if self.raised.insert(trouble.who.clone()) {
                let text = format!("{}: {}", trouble.who, trouble.text);
                self.unheard.push_back(text);
            }
        }
        if alarmed && self.raised.is_empty() {
            self.unheard.push_back(String::new());
        }
        while self.unheard.len() > WAITING {
            self.unheard.pop_front();
        }
        while let Some(text) = self.unheard.front() {
            if !say(text) {
                return;
            }
            self.unheard.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(all: &[(&str, u64)]) -> Vec<Standing> {
        let one = |(who, age): &(&str, u64)| Standing {
            who: (*who).to_owned(),
            text: "bad".to_owned(),
            age: Duration::from_secs(*age),
        };
        all.iter().map(one).collect()
    }

    #[test]
    fn each_trouble_that_lasts_is_told_once_and_the_end_of_all_too() {
        let (mut alarms, mut heard) = (Alarms::default(), Vec::new());
        for now in [
            &[("a", 4)][..],
            &[("a", 5)],
            &[("a", 6), ("b", 1)],
            &[("a", 10), ("b", 5)],
            &[("b", 6)],
            &[],
            &[],
            &[("c", 1)],
            &[],
            &[("a", 7)],
        ] {
            let mut said = String::new();
            alarms.look(&standing(now), |text| {
                said = format!("{said}[{text}]");
                true
            });
            heard.push(said);
        }
        let expected = [
            "", "[a: bad]", "", "[b: bad]", "", "[]", "", "", "", "[a: bad]",
        ];
        assert_eq!(heard, expected);
    }

    #[test]
    fn what_was_not_heard_is_said_again_in_its_order() {
        let (mut alarms, mut heard) = (Alarms::default(), Vec::new());
        alarms.look(&standing(&[("a", 9)]), |_| false);
        alarms.look(&[], |_| false);
        alarms.look(&[], |text| {
            heard.push(text.to_owned());
            true
        });
        assert_eq!(heard, ["a: bad", ""]);
    }
}
