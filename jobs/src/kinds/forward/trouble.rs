//! What is wrong at the moment, for status and log: each trouble is told when it comes, now and then while it lasts, and
//! when it is over.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How often a trouble that lasts is told again, and one whose words change.
const AGAIN: Duration = Duration::from_secs(60);
const CHANGED: Duration = Duration::from_secs(5);

/// All troubles there are, by who has them.
#[derive(Debug, Default)]
pub(crate) struct Trouble(Mutex<BTreeMap<String, Told>>);

#[derive(Debug)]
struct Told {
    text: String,
    since: Instant,
    told: Instant,
}

impl Told {
    fn patience(&self, text: &str) -> Duration {
        if self.text == text { AGAIN } else { CHANGED }
    }
}

impl Trouble {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Told>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is wrong with `who`.
    pub(crate) fn tell(&self, who: &str, text: String) {
        let now = Instant::now();
        let mut all = self.all();
        match all.get_mut(who) {
            Some(known) if now - known.told < known.patience(&text) => known.text = text,
            Some(known) => {
                log::error!(
                    "{who}: {text} (for {} s)",
                    now.duration_since(known.since).as_secs()
                );
                (known.text, known.told) = (text, now);
            }
            None => {
                log::error!("{who}: {text}");
                let told = Told {
                    text,
                    since: now,
                    told: now,
                };
                all.insert(who.to_owned(), told);
            }
        }
    }

    /// `who` is well; `true` if that is news.
    pub(crate) fn over(&self, who: &str) -> bool {
        let known = self.all().remove(who);
        if let Some(known) = &known {
            log::info!(
                "{who}: well again after {} s",
                known.since.elapsed().as_secs()
            );
        }
        known.is_some()
    }

    /// One of the troubles, for the status line.
    pub(crate) fn first(&self) -> Option<String> {
        let all = self.all();
        all.iter()
            .next()
            .map(|(who, told)| format!("{who}: {}", told.text))
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
        assert_eq!(trouble.first().as_deref(), Some("a: two"));
        assert!(trouble.over("a"));
        assert_eq!(trouble.first(), None);
    }
}
