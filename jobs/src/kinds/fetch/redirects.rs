//! Where a server leads a request on to, and what may come along. What `<header>`, `bearer`, `user` and `password` say is meant for
//! the server that the job file names: from the first step to another scheme, host or port on it is left behind, for good,
//! and from `https:` to `http:` such a request is not led at all. Pure.

use super::links::Address;
use crate::error::Error;

/// Steps from one place to the next at most.
const MOST: usize = 10;

/// The way of one request.
#[derive(Debug)]
pub(super) struct Way {
    /// The places it came by; the last one is where it is.
    places: Vec<Address>,
    /// It has never left the server where it began.
    at_home: bool,
}

impl Way {
    pub(super) fn new(start: Address) -> Way {
        Way {
            places: vec![start],
            at_home: true,
        }
    }

    /// Where the request goes now.
    pub(super) fn place(&self) -> &Address {
        self.places.last().unwrap_or(&self.places[0])
    }

    /// Whether headers and credentials of the job file go there too.
    pub(super) fn is_at_home(&self) -> bool {
        self.at_home
    }

    /// Goes on to where the server says; `secrets` is whether the job file has headers or credentials for it.
    ///
    /// # Errors
    /// [`Error::Data`] for a place that cannot be fetched from, a circle and a way without end.
    pub(super) fn go_on(&mut self, location: &str, secrets: bool) -> Result<(), Error> {
        let here = self.place().clone();
        let refused = |why: String| Error::Data(format!("{}: {why}", here.shown()));
        let there = here
            .lead(location)
            .map_err(|why| refused(format!("the server leads to another place, {why}")))?;
        let carries = secrets && self.at_home;
        if carries && here.is_encrypted() && !there.is_encrypted() {
            return Err(refused(format!(
                "the server leads from https: to {}, where headers and credentials would be open to everybody",
                there.shown()
            )));
        }
        if self.places.contains(&there) {
            return Err(refused(format!(
                "the server leads back to {}, in a circle",
                there.shown()
            )));
        }
        if self.places.len() > MOST {
            return Err(refused(format!(
                "the server leads on to another place, more than {MOST} times since {}",
                self.places[0].shown()
            )));
        }
        self.at_home &= there.is_on_the_server_of(&here);
        self.places.push(there);
        Ok(())
    }

    /// The place as messages name it.
    pub(super) fn shown(&self) -> String {
        match self.places.as_slice() {
            [.., last] if self.places.len() > 1 => {
                format!("{}, where {} leads", last.shown(), self.places[0].shown())
            }
            _ => self.place().shown(),
        }
    }
}

/// Whether an answer leads to another place.
pub(super) fn leads_on(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(start: &str) -> Way {
        Way::new(Address::parse(start).unwrap())
    }

    #[test]
    fn secrets_stay_on_the_server() {
        for (locations, at_home) in [
            (["/b", "c?x=1"], true),
            (["http://h/b", "//h/c"], true),
            (["http://h:80/b", "c"], true),
            (["http://h:81/b", "c"], false),
            (["http://other/b", "c"], false),
            (["https://h/b", "c"], false),
            // back again: by then somebody else has told where to
            (["http://other/b", "http://h/c"], false),
        ] {
            let mut way = way("http://h/a");
            for location in locations {
                way.go_on(location, true).unwrap();
            }
            assert_eq!(way.is_at_home(), at_home, "{locations:?}");
        }
    }

    #[test]
    fn not_every_place_is_gone_to() {
        for (start, secrets, location) in [
            ("https://h/a", true, "http://h/a"),
            ("http://h/a", false, "file:///etc/passwd"),
            ("http://h/a", false, "ftp://h/a"),
            ("http://h/a", false, "http://u:hunter2@h/a"),
            ("http://h/a", false, "http://"),
            ("http://h/a", false, "http://h/a#top"),
            ("http://h/a", false, ""),
        ] {
            let error = way(start).go_on(location, secrets).unwrap_err();
            assert!(matches!(error, Error::Data(_)), "{location}");
            assert!(!error.chain().contains("hunter2"), "{location}");
        }
        assert!(way("https://h/a").go_on("http://h/a", false).is_ok());
        // nothing to keep secret is left by then
        let mut left = way("https://h/a");
        left.go_on("https://other/a", true).unwrap();
        left.go_on("http://other/a", true).unwrap();
    }

    #[test]
    fn ways_end() {
        let mut way = way("http://h/0");
        for step in 1..=MOST {
            way.go_on(&format!("/{step}"), false).unwrap();
        }
        assert!(way.go_on("/11", false).is_err());
        assert!(way.go_on("/3", false).is_err());
        assert_eq!(way.shown(), "http://h/10, where http://h/0 leads");
    }
}
