//! The sessions of senders that number their records, as the intake knows them: ahead of the disk by what is on its way there.
//! A new one is a visitor until its first record, and leaves nothing behind if none comes: greetings alone cost neither memory nor disk,
//! nor anybody else's session. Pure.

use std::{collections::HashMap, sync::Arc};

use crate::kinds::forward::spool::{MOST_SESSIONS, News, Session, Sessions};

/// All sessions.
pub(super) struct Directory {
    by_name: HashMap<Arc<str>, u32>,
    entries: HashMap<u32, Entry>,
    /// Names that are not among them, and the connections that speak for these.
    visitors: HashMap<Arc<str>, u64>,
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
    pub(super) who: Who,
    /// The last number taken in, and the last durable one.
    pub(super) last: u64,
    pub(super) durable: u64,
    /// The connection that spoke for the session until now.
    pub(super) displaced: Option<u64>,
}

/// Whom a connection speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    /// A session with this number.
    Session(u32),
    /// A name of which there was no record yet.
    Visitor(Arc<str>),
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
            visitors: HashMap::new(),
            most: MOST_SESSIONS,
        }
    }

    /// A connection says that it speaks for the session of this name.
    pub(super) fn enter(&mut self, name: &str, connection: u64) -> Entered {
        if let Some(local) = self.by_name.get(name) {
            let entry = self.entries.get_mut(local).expect("names lead to entries");
            return Entered {
                who: Who::Session(*local),
                last: entry.session.last,
                durable: entry.durable,
                displaced: entry.holder.replace(connection),
            };
        }
        let name: Arc<str> = name.into();
        Entered {
            displaced: self.visitors.insert(Arc::clone(&name), connection),
            who: Who::Visitor(name),
            last: 0,
            durable: 0,
        }
    }

    /// A visitor's first record comes, in the second `now` since 1970: gives its session's number, and what is to be told to the disk.
    pub(super) fn open(&mut self, name: &Arc<str>, connection: u64, now: u64) -> (u32, Vec<News>) {
        self.visitors.remove(name);
        let mut news: Vec<News> = self.make_room().into_iter().collect();
        let local = self.next;
        self.next += 1;
        let session = Session {
            name: Arc::clone(name),
            last: 0,
            used: now,
        };
        news.push(News::Opened(local, session.clone()));
        self.by_name.insert(Arc::clone(name), local);
        let entry = Entry {
            session,
            durable: 0,
            holder: Some(connection),
        };
        self.entries.insert(local, entry);
        (local, news)
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
    pub(super) fn leave(&mut self, who: &Who, connection: u64) {
        match who {
            Who::Session(local) => {
                let entry = self.entries.get_mut(local);
                if let Some(entry) = entry.filter(|entry| entry.holder == Some(connection)) {
                    entry.holder = None;
                }
            }
            Who::Visitor(name) => {
                if self.visitors.get(name) == Some(&connection) {
                    self.visitors.remove(name);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Enters and sends a first record.
    fn begin(directory: &mut Directory, name: &str, connection: u64, now: u64) -> (u32, Vec<News>) {
        match directory.enter(name, connection).who {
            Who::Visitor(name) => directory.open(&name, connection, now),
            Who::Session(local) => (local, Vec::new()),
        }
    }

    #[test]
    fn a_session_is_found_again_and_taken_over() {
        let mut directory = Directory::new(&Sessions::default());
        let first = directory.enter("a", 10);
        assert_eq!((first.last, first.displaced), (0, None));
        assert_eq!(directory.enter("a", 9).displaced, Some(10));
        let (local, news) = begin(&mut directory, "a", 10, 1);
        assert!(matches!(news[..], [News::Opened(1, _)]));
        directory.reach(local, 5, 2);
        let second = directory.enter("a", 11);
        assert_eq!((second.last, second.durable), (5, 0));
        assert_eq!(
            (second.displaced, second.who.clone()),
            (Some(10), Who::Session(1))
        );
        let told = directory.settle(&[News::Reached(1, 5, 2)]);
        assert_eq!(told, [(11, 5)]);
        directory.leave(&second.who, 10);
        assert_eq!(directory.enter("a", 12).displaced, Some(11));
        assert_eq!(directory.enter("a", 12).durable, 5);
    }

    #[test]
    fn visitors_leave_nothing_behind() {
        let mut directory = Directory::new(&Sessions::default());
        directory.most = 1;
        begin(&mut directory, "a", 1, 1);
        directory.leave(&Who::Session(1), 1);
        for connection in 2..100 {
            let who = directory.enter(&format!("v{connection}"), connection).who;
            directory.leave(&who, connection);
        }
        assert!(directory.visitors.is_empty());
        assert_eq!(directory.enter("a", 100).who, Who::Session(1));
        // one whose name another connection has taken over takes nothing away by leaving
        let early = directory.enter("b", 101).who;
        assert_eq!(directory.enter("b", 102).displaced, Some(101));
        directory.leave(&early, 101);
        assert_eq!(directory.enter("b", 103).displaced, Some(102));
    }

    #[test]
    fn the_longest_unused_one_makes_room() {
        let mut directory = Directory::new(&Sessions::default());
        directory.most = 2;
        for (name, now) in [("a", 1), ("b", 2)] {
            let (local, _) = begin(&mut directory, name, now, now);
            directory.leave(&Who::Session(local), now);
        }
        let (_, news) = begin(&mut directory, "c", 3, 3);
        assert_eq!(news[0], News::Forgotten(1));
        assert!(matches!(news[1], News::Opened(3, _)));
        assert_eq!(begin(&mut directory, "b", 4, 4).0, 2);
        // all are held: one more than wanted is better than to cut one
        assert_eq!(begin(&mut directory, "d", 5, 5).1.len(), 1);
    }
}
