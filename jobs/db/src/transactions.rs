//! Transactions that are open on a server: who could still make rows visible that were numbered long ago.
//!
//! A number is drawn at INSERT and seen at COMMIT. Whoever reads by a growing number therefore has to know when everything that
//! was open at some moment has ended. A server tells that by a list of names; two lists, an earlier and a later one, are compared here.
//! Pure but for [`read`]; each backend asks its server in a file of its own.

use crate::{Connection, Result};

/// What a server tells of its open transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transactions {
    /// Nothing, or not all of it; why, as a fragment for people.
    Hidden(String),
    /// All that are open in this database, but for the asking connection's own.
    Listed(Vec<Transaction>),
}

/// A transaction, or a statement that may be about to begin one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Its name for as long as it lasts. The server may give it to another later on: then the one is taken for the other, which only delays.
    pub id: String,
    /// What it may have been called before begins with this: a statement becomes a transaction, a transaction a prepared one.
    pub heir_of: Option<String>,
    /// Who it is, for people: session, account, since when.
    pub about: String,
}

/// Those of `earlier` that have not ended, under the names that they have in the later list `open`.
///
/// Who was listed under a name that is gone may go on under another, once: such heirs are counted in, so that nothing is taken for ended that has not.
pub fn still_open(earlier: &[String], open: &[Transaction]) -> Vec<String> {
    let is_open = |id: &String| open.iter().any(|one| one.id == *id);
    let (mut left, gone): (Vec<&String>, Vec<&String>) = earlier.iter().partition(|id| is_open(id));
    for one in open {
        let Some(before) = &one.heir_of else { continue };
        if gone.iter().any(|id| id.starts_with(before.as_str())) && !left.contains(&&one.id) {
            left.push(&one.id);
        }
    }
    left.into_iter().cloned().collect()
}

/// All rows of a query of ours; NULL is empty text.
pub(crate) fn read(connection: &mut dyn Connection, sql: &str) -> Result<Vec<Vec<String>>> {
    let mut rows = connection.query(sql, &[])?;
    let mut found = Vec::new();
    while let Some(row) = rows.fetch()? {
        let text = |cell: crate::Cell<'_>| {
            cell.map(|text| String::from_utf8_lossy(text).into_owned())
                .unwrap_or_default()
        };
        found.push(row.cells().map(text).collect());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(list: &[(&str, Option<&str>)]) -> Vec<Transaction> {
        let one = |(id, heir_of): &(&str, Option<&str>)| Transaction {
            id: (*id).to_owned(),
            heir_of: heir_of.map(str::to_owned),
            about: String::new(),
        };
        list.iter().map(one).collect()
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn what_is_listed_still_is_open_and_newcomers_do_not_count() {
        let later = open(&[("b", None), ("c", None)]);
        assert_eq!(still_open(&names(&["a", "b"]), &later), names(&["b"]));
        assert_eq!(still_open(&names(&["a"]), &later), names(&[]));
    }

    #[test]
    fn a_vanished_one_may_live_on_under_another_name() {
        let later = open(&[("prepared 7", Some("virtual ")), ("virtual 9", None)]);
        assert_eq!(
            still_open(&names(&["virtual 1"]), &later),
            names(&["prepared 7"])
        );
        // nobody vanished: the prepared one came from elsewhere
        assert_eq!(
            still_open(&names(&["virtual 9"]), &later),
            names(&["virtual 9"])
        );
        assert_eq!(
            still_open(&names(&["prepared 7"]), &later),
            names(&["prepared 7"])
        );
    }
}
