//! The sessions of senders that number their records, as the intake knows them: ahead of the disk by what is on its way there.
//! Pure.

use std::{collections::HashMap, sync::Arc};

use crate::kinds::forward::spool::{MOST_SESSIONS, News, Session, Sessions};

/// All sessions.
pub(super) struct Directory {
    by_name: HashMap<Arc<str>, u32>,
    entries: HashMap<u32, Entry>,
    next: u32,
    most: usize,
}

struct Entry {
    /// `last`: of what was taken in.
    session: Session,
    /// The last number that is durable.
    durable: u64,
    /// The connection that speaks for it.
    holder: Option<u64>,
}

/// What comes of a hello.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entered {
    pub(super) local: u32,
    /// The last number taken in, and the last durable one.
    pub(super) last: u64,
    pub(super) durable: u64,
    /// The connection that spoke for the session until now.
    pub(super) displaced: Option<u64>,
    /// What is to be told to the disk.
    pub(super) news: Vec<News>,
}

impl Directory {
    pub(super) fn new(sessions: &Sessions) -> Directory {
        let entry = |(local, session): (&u32, &Session)| {
            let entry = Entry {
                session: session.clone(),
                durable: session.last,
                holder: None,
            };
            (*local, entry)
        };
        let entries: HashMap<u32, Entry> = sessions.0.iter().map(entry).collect();
        let name = |(local, entry): (&u32, &Entry)| (Arc::clone(&entry.session.name), *local);
        Directory {
            by_name: entries.iter().map(name).collect(),
            next: entries.keys().max().map_or(1, |local| local + 1),
            entries,
            most: MOST_SESSIONS,
        }
    }

    /// A connection says that it speaks for the session of this name; `now` is the second since 1970.
    pub(super) fn enter(&mut self, name: &str, connection: u64, now: u64) -> Entered {
        let mut news = Vec::new();
        let local = match self.by_name.get(name) {
            Some(local) => *local,
            None => {
                news.extend(self.make_room());
                let local = self.open(name, now);
                news.push(News::Opened(local, self.entries[&local].session.clone()));
                local
            }
        };
        let entry = self.entries.get_mut(&local).expect("names lead to entries");
        Entered {
            local,
            last: entry.session.last,
            durable: entry.durable,
            displaced: entry.holder.replace(connection),
            news,
        }
    }

    fn open(&mut self, name: &str, now: u64) -> u32 {
        let local = self.next;
        self.next += 1;
        let session = Session {
            name: name.into(),
            last: 0,
            used: now,
        };
        self.by_name.insert(Arc::clone(&session.name), local);
        let entry = Entry {
            session,
            durable: 0,
            holder: None,
        };
        self.entries.insert(local, entry);
        local
    }

    /// Forgets the session longest unused, if there are as many as there may be.
    fn make_room(&mut self) -> Option<News> {
        if self.entries.len() < self.most {
            return None;
        }
        let unused = self.entries.iter().filter(|(_, e)| e.holder.is_none());
        let (local, _) = unused.min_by_key(|(_, entry)| entry.session.used)?;
        let local = *local;
        let entry = self.entries.remove(&local)?;
        log::warn!(
            "session {} is forgotten: there are {} sessions, and this one was unused longest",
            entry.session.name,
            self.most
        );
        self.by_name.remove(&entry.session.name);
        Some(News::Forgotten(local))
    }

    /// Records up to this number were taken in.
    pub(super) fn reach(&mut self, local: u32, number: u64, now: u64) {
        if let Some(entry) = self.entries.get_mut(&local) {
            entry.session.last = entry.session.last.max(number);
            entry.session.used = entry.session.used.max(now);
        }
    }

    /// Records up to these numbers are durable; tells which connections speak for their sessions now.
    pub(super) fn settle(&mut self, news: &[News]) -> Vec<(u64, u64)> {
        let mut told = Vec::new();
        for item in news {
            if let News::Reached(local, number, _) = item
                && let Some(entry) = self.entries.get_mut(local)
            {
                entry.durable = entry.durable.max(*number);
                told.extend(entry.holder.map(|holder| (holder, entry.durable)));
            }
        }
        told
    }

    /// A connection is gone.
    pub(super) fn leave(&mut self, local: u32, connection: u64) {
        if let Some(entry) = self.entries.get_mut(&local)
            && entry.holder == Some(connection)
        {
            entry.holder = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_again_and_taken_over() {
        let mut directory = Directory::new(&Sessions::default());
        let first = directory.enter("a", 10, 1);
        assert_eq!((first.last, first.displaced), (0, None));
        assert!(matches!(first.news[..], [News::Opened(1, _)]));
        directory.reach(1, 5, 2);
        let second = directory.enter("a", 11, 3);
        assert_eq!((second.local, second.last, second.durable), (1, 5, 0));
        assert_eq!((second.displaced, second.news.len()), (Some(10), 0));
        let told = directory.settle(&[News::Reached(1, 5, 2)]);
        assert_eq!(told, [(11, 5)]);
        directory.leave(1, 10);
        assert_eq!(directory.enter("a", 12, 4).displaced, Some(11));
        assert_eq!(directory.enter("a", 12, 4).durable, 5);
    }

    #[test]
    fn the_longest_unused_one_makes_room() {
        let mut directory = Directory::new(&Sessions::default());
        directory.most = 2;
        for (name, now) in [("a", 1), ("b", 2)] {
            let local = directory.enter(name, now, now).local;
            directory.leave(local, now);
        }
        let news = directory.enter("c", 3, 3).news;
        assert_eq!(news[0], News::Forgotten(1));
        assert!(matches!(news[1], News::Opened(3, _)));
        assert_eq!(directory.enter("b", 4, 4).local, 2);
        // all are held: one more than wanted is better than to cut one
        assert_eq!(directory.enter("d", 5, 5).news.len(), 1);
    }
}
