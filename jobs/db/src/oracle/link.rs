//! A session: the driver's connection, the relay under it and the patience with both. Every exchange with the server passes through
//! [`Link::call`].

use super::charset::Charset;
use super::fault::{End, Trouble, fault};
use super::gate::Gate;
use super::script::single;
use super::wire::Wire;
use crate::{Cell, Error};
use oracledb::ToDbValue;
use std::sync::Arc;
use std::time::Duration;

/// How long a good-bye may take.
const PARTING: Duration = Duration::from_secs(2);

/// What is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    Nothing,
    Work,
    /// A read-only transaction; `true` as soon as something was read in it.
    Snapshot(bool),
    /// The session looks back to a moment.
    Flashback,
}

pub(super) struct Link {
    // the driver says good-bye through the relay, so it goes first
    driver: Option<oracledb::Connection>,
    pub(super) gate: Arc<Gate>,
    pub(super) open: Open,
    pub(super) charset: Charset,
    _wire: Wire,
}

impl Link {
    pub(super) fn new(driver: oracledb::Connection, gate: Arc<Gate>, wire: Wire) -> Self {
        Link {
            driver: Some(driver),
            gate,
            open: Open::Nothing,
            charset: Charset::Ascii,
            _wire: wire,
        }
    }

    /// One exchange with the server.
    pub(super) fn call<T>(
        &self,
        work: impl FnOnce(&oracledb::Connection) -> Result<T, oracledb::Error>,
    ) -> Result<T, Trouble> {
        let Some(driver) = &self.driver else {
            return Err(Trouble::Over(End::Closed));
        };
        if let Some(end) = self.gate.end() {
            return Err(Trouble::Over(end));
        }
        self.gate.begin();
        let done = work(driver);
        self.settle(done)
    }

    /// What an exchange came to. A statement that ended by itself while it was told to end leaves an answer on the way that
    /// nobody asked for: no further exchange could be trusted.
    pub(super) fn settle<T>(&self, done: Result<T, oracledb::Error>) -> Result<T, Trouble> {
        let told = self.gate.rest();
        let done = done.map_err(|error| Trouble::of(&error, &self.gate));
        if told && !matches!(done, Err(Trouble::Refused { code: 1013, .. })) {
            self.gate.cut(End::Confused);
        }
        done
    }

    /// Runs a statement of ours without values.
    pub(super) fn say(&self, sql: &str) -> Result<u64, Trouble> {
        self.call(|driver| Ok(driver.execute(sql, &[])?.rows_affected()))
    }

    /// Runs a statement with its values, and tells how many rows it changed. Rows that it yields are dropped.
    pub(super) fn run(&self, sql: &str, params: &[Cell<'_>]) -> Result<u64, Trouble> {
        let sql = sendable(sql)?;
        let texts = texts(params)?;
        let names: Vec<String> = (1..=texts.len()).map(|n| n.to_string()).collect();
        let bound = bound(&names, &texts);
        self.call(|driver| {
            let mut statement = driver.statement(sql)?.exclude_from_cache().build()?;
            if statement.is_query() {
                return statement.query_named(&bound).map(|_| 0);
            }
            Ok(statement.execute_named(&bound)?.rows_affected())
        })
    }

    /// The error of an exchange while doing `action`.
    pub(super) fn fault(&self, action: impl Into<String>, trouble: Trouble) -> Error {
        fault(action, self.gate.verdict(), trouble)
    }
}

/// One statement as the server takes it. The driver breaks down at one without a word.
pub(super) fn sendable(sql: &str) -> Result<&str, Trouble> {
    match single(sql) {
        "" => Err(Trouble::Senseless("there is no statement".to_owned())),
        sql => Ok(sql),
    }
}

/// Parameters as the driver takes them: NULL or text.
pub(super) fn texts<'a>(params: &[Cell<'a>]) -> Result<Vec<Option<&'a str>>, Trouble> {
    let text = |cell: &Cell<'a>| cell.map(std::str::from_utf8).transpose();
    let texts: Result<_, _> = params.iter().map(text).collect();
    texts.map_err(|_| Trouble::Senseless("a parameter is not UTF-8".to_owned()))
}

/// Parameters with their names, which are their numbers: one may stand at several places.
pub(super) fn bound<'a>(
    names: &'a [String],
    texts: &'a [Option<&'a str>],
) -> Vec<(&'a str, &'a dyn ToDbValue)> {
    let value = |text: &'a Option<&'a str>| -> &'a dyn ToDbValue { text };
    let pairs = names.iter().zip(texts);
    pairs
        .map(|(name, text)| (name.as_str(), value(text)))
        .collect()
}

impl Drop for Link {
    fn drop(&mut self) {
        self.gate.begin_or_cut(PARTING);
        drop(self.driver.take());
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link({:?})", self.open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_texts_that_may_stand_at_several_places() {
        let bytes = texts(&[Some(&b"\xff"[..]), None]);
        assert!(matches!(bytes, Err(Trouble::Senseless(_))));
        let texts = texts(&[Some("站".as_bytes()), None]).unwrap();
        let names = ["1".to_owned(), "2".to_owned()];
        let bound = bound(&names, &texts);
        assert_eq!(
            bound.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            ["1", "2"]
        );
        assert_eq!(bound[1].1.db_type().name(), "DB_TYPE_VARCHAR");
    }

    #[test]
    fn nothing_is_not_sent() {
        for sql in ["", "  ", ";", " ;\n"] {
            assert!(matches!(sendable(sql), Err(Trouble::Senseless(_))), "{sql}");
        }
        assert!(matches!(sendable("DELETE FROM t;"), Ok("DELETE FROM t")));
    }
}
