//! What is wrong at the moment, for status, log and alarms: each trouble is told when it comes, now and then while it lasts, and
//! when it has been over for a while. One that comes and goes is one trouble, so that neither log nor operators are flooded.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How often a trouble that lasts is told again, and one whose words change.
const AGAIN: Duration = Duration::from_secs(60);
const CHANGED: Duration = Duration::from_secs(5);
/// A trouble that does not come back for so long is over.
const CALM: Duration = Duration::from_secs(5);

/// All troubles there are, by who has them.
#[derive(Debug, Default)]
pub(crate) struct Trouble(Mutex<BTreeMap<String, Told>>);

#[derive(Debug)]
struct Told {
    text: String,
    since: Instant,
    told: Instant,
    /// Since when it is well, perhaps only for a moment.
    well: Option<Instant>,
}

impl Told {
    fn patience(&self, text: &str) -> Duration {
        if self.text == text { AGAIN } else { CHANGED }
    }
}

/// A trouble that lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) who: String,
    pub(crate) text: String,
    /// For how long; one that seems to be over grows no older.
    pub(crate) age: Duration,
}

impl Trouble {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Told>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is wrong with `who`.
    pub(crate) fn tell(&self, who: &str, text: String) {
        let now = Instant::now();
        let mut all = self.all();
        let Some(known) = all.get_mut(who) else {
            log::error!("{who}: {text}");
            let told = Told {
                text,
                since: now,
                told: now,
                well: None,
            };
            all.insert(who.to_owned(), told);
            return;
        };
        known.well = None;
        if now - known.told >= known.patience(&text) {
            let seconds = (now - known.since).as_secs();
            log::error!("{who}: {text} (for {seconds} s)");
            known.told = now;
        }
        known.text = text;
    }

    /// `who` is well, if only for now; `true` if that is news.
    pub(crate) fn over(&self, who: &str) -> bool {
        let mut all = self.all();
        let known = all.get_mut(who).filter(|known| known.well.is_none());
        known.is_some_and(|known| known.well.replace(Instant::now()).is_none())
    }

    /// Whether `who` is in trouble now.
    pub(crate) fn has(&self, who: &str) -> bool {
        self.all().get(who).is_some_and(|told| told.well.is_none())
    }

    /// Forgets troubles that are over for good, and gives those that are not. To be called each second.
    pub(crate) fn standing(&self) -> Vec<Standing> {
        let now = Instant::now();
        let mut all = self.all();
        all.retain(|who, known| {
            let stays = known.well.is_none_or(|since| now - since < CALM);
            if !stays {
                let seconds = known.well.map_or(0, |well| (well - known.since).as_secs());
                log::info!("{who}: well again after {seconds} s");
            }
            stays
        });
        let standing = |(who, told): (&String, &Told)| Standing {
            who: who.clone(),
            text: told.text.clone(),
            age: told.well.unwrap_or(now) - told.since,
        };
        all.iter().map(standing).collect()
    }

    /// The newest of the troubles, for the status line.
    pub(crate) fn newest(&self) -> Option<String> {
        let all = self.all();
        let present = all.iter().filter(|(_, told)| told.well.is_none());
        let (who, told) = present.max_by_key(|(_, told)| told.since)?;
        Some(format!("{who}: {}", told.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_known_until_it_is_over() {
        let trouble = Trouble::default();
        assert!(!trouble.over("a"));
        trouble.tell("a", "one".to_owned());
        trouble.tell("a", "two".to_owned());
        assert_eq!(trouble.newest().as_deref(), Some("a: two"));
        trouble.tell("b", "three".to_owned());
        assert_eq!(trouble.newest().as_deref(), Some("b: three"));
        assert!(trouble.over("b"));
        assert!(trouble.over("a"));
        assert!(!trouble.over("a"));
        assert_eq!(trouble.newest(), None);
    }

    #[test]
    fn one_that_comes_back_at_once_is_the_same() {
        let trouble = Trouble::default();
        trouble.tell("a", "one".to_owned());
        trouble.over("a");
        let whose = |all: Vec<Standing>| -> Vec<String> {
            all.into_iter().map(|standing| standing.who).collect()
        };
        assert_eq!(whose(trouble.standing()), ["a"]);
        trouble.tell("a", "two".to_owned());
        assert!(trouble.over("a"));
        let long_ago = Instant::now().checked_sub(CALM).unwrap();
        trouble.all().get_mut("a").unwrap().well = Some(long_ago);
        assert_eq!(whose(trouble.standing()), [""; 0]);
    }

    #[test]
    fn one_that_was_short_does_not_grow_old_while_it_may_come_back() {
        let trouble = Trouble::default();
        trouble.tell("a", "one".to_owned());
        let second = Duration::from_secs(1);
        let since = Instant::now().checked_sub(4 * second).unwrap();
        trouble.all().get_mut("a").unwrap().since = since;
        assert!(trouble.standing()[0].age >= 4 * second);
        trouble.all().get_mut("a").unwrap().well = Some(since + second);
        assert_eq!(trouble.standing()[0].age, second);
    }
}
