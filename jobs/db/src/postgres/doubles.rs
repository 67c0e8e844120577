//! Keys that are there already, found before rows are sent: once a load has met one, the keys of each chunk are compared
//! with each other and asked for on the server. What this finds is only set aside: the server decides on each row.

use super::dialect::Postgres;
use super::dictionary::Keys;
use super::fault::{Trouble, is_of_a_row};
use super::param::Given;
use super::session::Session;
use crate::tabbed::Chunk;
use crate::{ColumnInfo, Dialect, Kind, TableName};
use futures_util::TryStreamExt;
use std::collections::HashSet;
use tokio_postgres::Statement;

/// One unique key whose columns all come with the rows.
struct Key {
    /// Where its columns are in a row.
    places: Vec<usize>,
    sql: String,
    statement: Option<Statement>,
}

pub(super) struct Doubles {
    keys: Vec<Key>,
    met: bool,
}

impl Doubles {
    /// `asks` is whether a key that is there is an error at all.
    pub(super) fn new(table: &TableName, columns: &[&ColumnInfo], keys: &Keys, asks: bool) -> Self {
        let key = |names: &Vec<String>| {
            let place = |name: &String| columns.iter().position(|column| column.name == *name);
            let places: Vec<usize> = names.iter().map(place).collect::<Option<_>>()?;
            let known: Vec<&ColumnInfo> = places.iter().map(|place| columns[*place]).collect();
            Some(Key {
                sql: question(table, &known),
                places,
                statement: None,
            })
        };
        let known = keys.columns().filter(|_| asks);
        Doubles {
            keys: known.filter_map(key).collect(),
            met: false,
        }
    }

    /// Notes what a chunk was refused for; whether it is the first doubled key.
    pub(super) fn note(&mut self, code: &str) -> bool {
        let first = code == "23505" && !self.wanted() && !self.keys.is_empty();
        self.met |= first;
        first
    }

    /// Whether keys are to be asked for.
    pub(super) fn wanted(&self) -> bool {
        self.met && !self.keys.is_empty()
    }

    /// Which of the rows bring a key that is there already, or was brought by an earlier row of the chunk.
    pub(super) fn find(
        &mut self,
        session: &Session,
        chunk: &Chunk,
        rows: &[usize],
        kinds: &[Kind],
    ) -> Result<Vec<usize>, Trouble> {
        let cells: Vec<Vec<Option<Vec<u8>>>> =
            rows.iter().map(|row| chunk.cells(*row, kinds)).collect();
        let mut found = vec![false; rows.len()];
        let mut barred = false;
        for key in &mut self.keys {
            key.mark_repeated(&cells, &mut found);
            match key.ask(session, &cells, kinds)? {
                Asked::There(places) => {
                    for place in places {
                        if let Some(found) = found.get_mut(place) {
                            *found = true;
                        }
                    }
                }
                // a value that is none of its type: this chunk is sorted out by its refusals
                Asked::Unread => {}
                Asked::Barred => barred = true,
            }
        }
        if barred {
            self.keys.clear();
        }
        let marked = rows.iter().zip(found).filter(|(_, found)| *found);
        Ok(marked.map(|(row, _)| *row).collect())
    }
}

enum Asked {
    /// Rows by their place among those asked for.
    There(Vec<usize>),
    Unread,
    /// The account may not read the table.
    Barred,
}

impl Key {
    fn mark_repeated(&self, cells: &[Vec<Option<Vec<u8>>>], found: &mut [bool]) {
        let mut seen: HashSet<Vec<&[u8]>> = HashSet::with_capacity(cells.len());
        for (row, found) in cells.iter().zip(found) {
            let key = self.places.iter().map(|place| row[*place].as_deref());
            // a NULL is equal to nothing
            if let Some(key) = key.collect::<Option<Vec<&[u8]>>>() {
                *found |= !seen.insert(key);
            }
        }
    }

    fn ask(
        &mut self,
        session: &Session,
        cells: &[Vec<Option<Vec<u8>>>],
        kinds: &[Kind],
    ) -> Result<Asked, Trouble> {
        let arrays: Vec<Vec<u8>> = self
            .places
            .iter()
            .map(|place| {
                array(
                    cells.iter().map(|row| row[*place].as_deref()),
                    kinds[*place],
                )
            })
            .collect();
        session.watch.start();
        let asked = session.wait(async {
            let client = session.client();
            client.batch_execute("SAVEPOINT load_keys").await?;
            let statement = match self.statement.clone() {
                Some(statement) => statement,
                None => client.prepare(&self.sql).await?,
            };
            let given = arrays.iter().map(|array| Given(Some(array)));
            let rows = client.query_raw(&statement, given).await?;
            let places: Vec<i64> = rows
                .and_then(|row| async move { row.try_get::<_, i64>(0) })
                .try_collect()
                .await?;
            client.batch_execute("RELEASE SAVEPOINT load_keys").await?;
            Ok((statement, places))
        });
        session.watch.rest();
        match asked {
            Ok((statement, places)) => {
                self.statement = Some(statement);
                let place = |place: i64| usize::try_from(place - 1).ok();
                Ok(Asked::There(places.into_iter().filter_map(place).collect()))
            }
            Err(Trouble::Refused(complaint)) if !session.is_lost() && complaint.code != "57014" => {
                session.run("ROLLBACK TO SAVEPOINT load_keys; RELEASE SAVEPOINT load_keys")?;
                Ok(if is_of_a_row(&complaint.code) {
                    Asked::Unread
                } else {
                    Asked::Barred
                })
            }
            Err(broken) => Err(broken),
        }
    }
}

/// Which of the given keys the table has.
fn question(table: &TableName, columns: &[&ColumnInfo]) -> String {
    let each = |text: &dyn Fn(usize, &ColumnInfo) -> String, between: &str| {
        let parts = columns.iter().enumerate();
        let parts: Vec<String> = parts.map(|(at, column)| text(at + 1, column)).collect();
        parts.join(between)
    };
    format!(
        "SELECT k.place FROM unnest({}) WITH ORDINALITY AS k({}, place) JOIN {} t ON {}",
        each(&|n, column| format!("${n}::{}[]", column.declared), ", "),
        each(&|n, _| format!("k{n}"), ", "),
        Postgres.qualify(table),
        each(
            &|n, column| format!("t.{} = k.k{n}", Postgres.quote(&column.name)),
            " AND "
        ),
    )
}

/// Cells as the text of an array.
fn array<'a>(cells: impl Iterator<Item = Option<&'a [u8]>>, kind: Kind) -> Vec<u8> {
    let mut text = vec![b'{'];
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            text.push(b',');
        }
        let Some(cell) = cell else {
            text.extend_from_slice(b"NULL");
            continue;
        };
        text.push(b'"');
        if kind == Kind::Blob {
            text.extend_from_slice(b"\\\\x");
        }
        for byte in cell {
            if matches!(byte, b'"' | b'\\') {
                text.push(b'\\');
            }
            text.push(*byte);
        }
        text.push(b'"');
    }
    text.push(b'}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_asked_for_in_their_own_types() {
        let mut id = ColumnInfo::new("id", Kind::Integer);
        id.declared = "bigint".to_owned();
        let mut name = ColumnInfo::new("n\"", Kind::Text);
        name.declared = "character varying(3)".to_owned();
        assert_eq!(
            question(&TableName::new("t"), &[&id, &name]),
            "SELECT k.place FROM unnest($1::bigint[], $2::character varying(3)[]) WITH ORDINALITY AS k(k1, k2, place) \
             JOIN \"t\" t ON t.\"id\" = k.k1 AND t.\"n\"\"\" = k.k2"
        );
    }

    #[test]
    fn arrays_keep_their_marks() {
        let cells = [Some(&b"a\"\\,"[..]), None, Some(b"")];
        let text = array(cells.into_iter(), Kind::Text);
        assert_eq!(String::from_utf8_lossy(&text), "{\"a\\\"\\\\,\",NULL,\"\"}");
        let text = array([Some(&b"00ff"[..])].into_iter(), Kind::Blob);
        assert_eq!(String::from_utf8_lossy(&text), "{\"\\\\x00ff\"}");
    }
}
