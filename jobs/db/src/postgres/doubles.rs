//! Rows that break a rule between rows, found before they are sent: once a load has met a key that is there already, the
//! keys of each chunk are compared with each other and asked for on the server; once it has met a row without its parent,
//! the parents are asked for. What this finds is only set aside: the server decides on each row.

use super::dialect::Postgres;
use super::dictionary::Keys;
use super::fault::{Trouble, is_of_a_row};
use super::param::Given;
use super::session::Session;
use crate::tabbed::Chunk;
use crate::{ColumnInfo, Dialect, Kind, TableName};
use futures_util::TryStreamExt;
use std::collections::HashSet;
use tokio_postgres::{SimpleQueryMessage, Statement};

/// A plan for arrays of any length looks rows up by their key, and does not read the whole table for each chunk.
const BEGIN: &str = "SAVEPOINT load_keys; SET LOCAL plan_cache_mode = force_generic_plan";
/// Takes the setting back, too: nothing was written.
const END: &str = "ROLLBACK TO SAVEPOINT load_keys; RELEASE SAVEPOINT load_keys";

/// What is wrong with a row by a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    /// Its key is there already.
    Double,
    /// Its parent is not there.
    Orphan,
}

/// One rule whose columns all come with the rows.
struct Rule {
    wrong: Wrong,
    /// Where its columns are in a row.
    places: Vec<usize>,
    sql: String,
    statement: Option<Statement>,
    /// Asks between which whole numbers the keys are that are there: what lies outside need not be asked for.
    bounds: Option<String>,
}

pub(super) struct Doubles {
    rules: Vec<Rule>,
    met: Vec<Wrong>,
}

impl Doubles {
    /// `doubles` is whether a key that is there is an error at all.
    pub(super) fn new(
        table: &TableName,
        columns: &[&ColumnInfo],
        keys: &Keys,
        doubles: bool,
    ) -> Self {
        let places = |names: &[String]| -> Option<Vec<usize>> {
            let place = |name: &String| columns.iter().position(|column| column.name == *name);
            names.iter().map(place).collect()
        };
        let rule = |wrong, places: Vec<usize>, other: &TableName, names: &[String]| Rule {
            wrong,
            sql: question(wrong, other, names, &places, columns),
            bounds: bounds(wrong, other, names, &places, columns),
            places,
            statement: None,
        };
        let unique = keys
            .columns()
            .filter(|_| doubles)
            .filter_map(|names| Some(rule(Wrong::Double, places(names)?, table, names)));
        let parents = keys.parents.iter().filter_map(|parent| {
            let places = places(&parent.own)?;
            Some(rule(Wrong::Orphan, places, &parent.table, &parent.other))
        });
        Doubles {
            rules: unique.chain(parents).collect(),
            met: Vec::new(),
        }
    }

    /// Notes what rows were refused for; whether it is the first of its sort, and can be asked for.
    pub(super) fn note(&mut self, code: &str) -> bool {
        let wrong = match code {
            "23505" => Wrong::Double,
            "23503" => Wrong::Orphan,
            _ => return false,
        };
        let first = !self.met.contains(&wrong) && self.rules.iter().any(|rule| rule.wrong == wrong);
        if first {
            self.met.push(wrong);
        }
        first
    }

    /// Whether there is something to ask for.
    pub(super) fn wanted(&self) -> bool {
        !self.met.is_empty() && !self.rules.is_empty()
    }

    /// Which of the rows seem to break a rule, alone or by an earlier row of the chunk.
    pub(super) fn find(
        &mut self,
        session: &Session,
        chunk: &Chunk,
        rows: &[usize],
        kinds: &[Kind],
    ) -> Result<Vec<usize>, Trouble> {
        let mut found = vec![false; rows.len()];
        let mut barred = false;
        for rule in &mut self.rules {
            if !self.met.contains(&rule.wrong) {
                continue;
            }
            let cell = |row: &usize, place: &usize| chunk.cell(*row, *place, kinds);
            let column = |place| rows.iter().map(|row| cell(row, place)).collect();
            let columns: Vec<Column> = rule.places.iter().map(column).collect();
            if rule.wrong == Wrong::Double {
                mark_repeated(&columns, &mut found);
            }
            let doubtful = rule.doubtful(session, &columns)?;
            let columns = match &doubtful {
                Some(rows) if rows.is_empty() => continue,
                Some(rows) => columns.iter().map(|column| pick(column, rows)).collect(),
                None => columns,
            };
            match rule.ask(session, &columns, kinds)? {
                Asked::There(places) => {
                    for place in places {
                        let row = doubtful
                            .as_ref()
                            .map_or(Some(&place), |rows| rows.get(place));
                        if let Some(found) = row.and_then(|row| found.get_mut(*row)) {
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
            self.rules.clear();
        }
        let marked = rows.iter().zip(found).filter(|(_, found)| *found);
        Ok(marked.map(|(row, _)| *row).collect())
    }
}

/// The cells of one column.
type Column = Vec<Option<Vec<u8>>>;

fn pick(column: &Column, rows: &[usize]) -> Column {
    rows.iter().map(|row| column[*row].clone()).collect()
}

/// Rows whose key lies within bounds, or is no whole number at all; without bounds, none but the latter.
fn within(keys: &Column, bounds: Option<(i128, i128)>) -> Vec<usize> {
    let doubtful = |key: &Option<Vec<u8>>| {
        let Some(key) = key else { return false };
        let number = std::str::from_utf8(key)
            .ok()
            .and_then(|text| text.parse().ok());
        number.is_none_or(|number: i128| {
            bounds.is_some_and(|(low, high)| (low..=high).contains(&number))
        })
    };
    let rows = keys.iter().enumerate();
    rows.filter(|(_, key)| doubtful(key))
        .map(|(row, _)| row)
        .collect()
}

/// Marks rows whose key an earlier row has.
fn mark_repeated(columns: &[Column], found: &mut [bool]) {
    if let [keys] = columns {
        let mut seen: HashSet<&[u8]> = HashSet::with_capacity(found.len());
        for (key, found) in keys.iter().zip(found) {
            *found |= key.as_ref().is_some_and(|key| !seen.insert(key));
        }
        return;
    }
    let mut seen: HashSet<Vec<&[u8]>> = HashSet::with_capacity(found.len());
    for (row, found) in found.iter_mut().enumerate() {
        let key = columns.iter().map(|column| column[row].as_deref());
        // a NULL is equal to nothing
        if let Some(key) = key.collect::<Option<Vec<&[u8]>>>() {
            *found |= !seen.insert(key);
        }
    }
}

enum Asked {
    /// Rows by their place among those asked for.
    There(Vec<usize>),
    Unread,
    /// The account may not read the table.
    Barred,
}

impl Rule {
    /// Which rows have to be asked for; `None`: all. Keys mostly rise, so that most of a chunk lies above what is there.
    fn doubtful(
        &self,
        session: &Session,
        columns: &[Column],
    ) -> Result<Option<Vec<usize>>, Trouble> {
        let (Some(sql), [keys]) = (&self.bounds, columns) else {
            return Ok(None);
        };
        session.watch.start();
        let asked = session.wait(async {
            let client = session.client();
            client.batch_execute(BEGIN).await?;
            let told = client.simple_query(sql).await?;
            client.batch_execute(END).await?;
            Ok(told)
        });
        session.watch.rest();
        match asked {
            Ok(told) => {
                let row = told.iter().find_map(|message| match message {
                    SimpleQueryMessage::Row(row) => Some(row),
                    _ => None,
                });
                let number = |at| row?.get(at)?.parse::<i128>().ok();
                Ok(Some(within(keys, number(0).zip(number(1)))))
            }
            // whoever may not ask for this is told so by the question itself
            Err(Trouble::Refused(complaint)) if !session.is_lost() && complaint.code != "57014" => {
                session.run(END)?;
                Ok(None)
            }
            Err(broken) => Err(broken),
        }
    }

    fn ask(
        &mut self,
        session: &Session,
        columns: &[Column],
        kinds: &[Kind],
    ) -> Result<Asked, Trouble> {
        let arrays = columns.iter().zip(&self.places);
        let arrays: Vec<Vec<u8>> = arrays
            .map(|(cells, place)| array(cells.iter().map(Option::as_deref), kinds[*place]))
            .collect();
        session.watch.start();
        let asked = session.wait(async {
            let client = session.client();
            client.batch_execute(BEGIN).await?;
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
            client.batch_execute(END).await?;
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
                session.run(END)?;
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

/// The question for the least and the greatest key, where keys are whole numbers and an index knows.
fn bounds(
    wrong: Wrong,
    table: &TableName,
    names: &[String],
    places: &[usize],
    columns: &[&ColumnInfo],
) -> Option<String> {
    let ([name], [place], Wrong::Double) = (names, places, wrong) else {
        return None;
    };
    let key = Postgres.quote(name);
    (columns[*place].kind == Kind::Integer).then(|| {
        format!(
            "SELECT min({key}), max({key}) FROM {}",
            Postgres.qualify(table)
        )
    })
}

/// Which of the given rows are wrong: `other` is the table that is asked, by its columns `names`.
fn question(
    wrong: Wrong,
    other: &TableName,
    names: &[String],
    places: &[usize],
    columns: &[&ColumnInfo],
) -> String {
    let each = |text: &dyn Fn(usize) -> String, between: &str| {
        let parts: Vec<String> = (0..places.len()).map(text).collect();
        parts.join(between)
    };
    let arrays = each(
        &|at| format!("${}::{}[]", at + 1, columns[places[at]].declared),
        ", ",
    );
    let given = each(&|at| format!("k{at}"), ", ");
    let known = each(&|at| format!("k.k{at} IS NOT NULL"), " AND ");
    let equal = each(
        &|at| format!("t.{} = k.k{at}", Postgres.quote(&names[at])),
        " AND ",
    );
    let exists = format!(
        "EXISTS (SELECT FROM {} t WHERE {equal})",
        Postgres.qualify(other)
    );
    let wrong = match wrong {
        Wrong::Double => exists,
        Wrong::Orphan => format!("{known} AND NOT {exists}"),
    };
    format!(
        "SELECT k.place FROM unnest({arrays}) WITH ORDINALITY AS k({given}, place) WHERE {wrong}"
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
    fn only_keys_among_those_that_are_there_are_asked_for() {
        let keys = ["5", "11", "7", "x", " 6", "-3"].iter();
        let keys = keys.map(|key| Some(key.as_bytes().to_vec()));
        let keys: Column = keys.chain([None]).collect();
        assert_eq!(within(&keys, Some((1, 10))), [0, 2, 3, 4]);
        assert_eq!(within(&keys, None), [3, 4]);
        assert_eq!(pick(&keys, &[1, 6]), [Some(b"11".to_vec()), None]);
    }

    #[test]
    fn keys_are_asked_for_in_their_own_types() {
        let mut id = ColumnInfo::new("id", Kind::Integer);
        id.declared = "bigint".to_owned();
        let mut name = ColumnInfo::new("n", Kind::Text);
        name.declared = "character varying(3)".to_owned();
        let ask = |wrong| {
            let names = ["n\"".to_owned(), "id".to_owned()];
            question(wrong, &TableName::new("t"), &names, &[1, 0], &[&id, &name])
        };
        let head = "SELECT k.place FROM unnest($1::character varying(3)[], $2::bigint[]) WITH ORDINALITY AS k(k0, k1, place) WHERE";
        let exists = "EXISTS (SELECT FROM \"t\" t WHERE t.\"n\"\"\" = k.k0 AND t.\"id\" = k.k1)";
        assert_eq!(ask(Wrong::Double), format!("{head} {exists}"));
        assert_eq!(
            ask(Wrong::Orphan),
            format!("{head} k.k0 IS NOT NULL AND k.k1 IS NOT NULL AND NOT {exists}")
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
