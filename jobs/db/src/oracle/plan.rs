//! What a load is about: the columns, the keys, and the statements. Pure text.
//!
//! Appending is an INSERT, replacing a MERGE by the key that was asked for, skipping a MERGE by the table's first key. A MERGE takes
//! its row from a query, where no value may be longer than a VARCHAR2: rows with longer ones go alone, by an UPDATE and an INSERT.

use super::charset::Charset;
use super::dialect::{Oracle, insert, merge};
use super::target::Target;
use crate::keys::{no_key, places};
use crate::suspect::Suspicion;
use crate::{Dialect, Error, ErrorKind, Load, Mode, Result, TableInfo};

/// What becomes of a row whose key is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    Append,
    Skip,
    /// Updated where these columns match, given by their places in a row.
    Upsert(Vec<usize>),
}

/// One load.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) action: String,
    pub(super) targets: Vec<Target>,
    pub(super) suspicion: Suspicion,
    pub(super) way: Way,
    /// The statement for rows in general.
    pub(super) bulk: String,
    table: String,
    /// Each key of the table whose columns the rows bring: its name for messages, and its places in a row.
    pub(super) keys: Vec<(String, Vec<usize>)>,
}

impl Plan {
    pub(super) fn new(
        into: &Load<'_>,
        info: &TableInfo,
        charset: Charset,
        action: String,
    ) -> Result<Self> {
        let columns = info.resolve(into.columns, &action)?;
        if let Some(column) = columns.iter().find(|column| column.generated) {
            return Err(Error::new(ErrorKind::Invalid, action)
                .at_column(&column.name)
                .because("the database makes the values of this column itself"));
        }
        let targets: Vec<Target> = columns
            .iter()
            .map(|column| Target::new(column, charset))
            .collect();
        let brought: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let way = match into.mode {
            Mode::Append => Way::Append,
            Mode::Skip => Way::Skip,
            Mode::Upsert { key } if info.is_key(key) => {
                Way::Upsert(places(key, &brought, &action)?)
            }
            Mode::Upsert { key } => return Err(no_key(key, &action)),
        };
        let mut plan = Plan {
            suspicion: Suspicion::new(&columns),
            table: Oracle.qualify(into.table),
            action,
            targets,
            way,
            bulk: String::new(),
            keys: info.keys_among(&brought),
        };
        plan.bulk = plan.statement();
        Ok(plan)
    }

    fn names(&self) -> Vec<String> {
        let names = self.targets.iter().map(|target| &target.name);
        names.map(|name| Oracle.quote(name)).collect()
    }

    /// The placeholders' expressions, from `:1`.
    fn values(&self) -> Vec<String> {
        let numbered = self.targets.iter().zip(1..);
        numbered
            .map(|(target, number)| target.value(&Oracle.placeholder(number)))
            .collect()
    }

    fn statement(&self) -> String {
        let (names, values) = (self.names(), self.values());
        let quoted = |places: &[usize]| -> Vec<String> {
            places.iter().map(|place| names[*place].clone()).collect()
        };
        match (&self.way, self.keys.first()) {
            (Way::Upsert(key), _) => merge(&self.table, &names, &values, &quoted(key), true),
            (Way::Skip, Some((_, key))) => merge(&self.table, &names, &values, &quoted(key), false),
            _ => self.insert(),
        }
    }

    /// The INSERT of one row that any key that is there refuses.
    pub(super) fn insert(&self) -> String {
        insert("INSERT INTO", &self.table, &self.names(), &self.values())
    }

    /// The UPDATE of the row that has the key, with the places whose cells it takes in turn; `None` if the rows bring the key alone.
    pub(super) fn update(&self, key: &[usize]) -> Option<(String, Vec<usize>)> {
        let mut places: Vec<usize> = (0..self.targets.len())
            .filter(|place| !key.contains(place))
            .collect();
        if places.is_empty() {
            return None;
        }
        let brought = places.len();
        places.extend_from_slice(key);
        let equal = self.equal(&places);
        let (sets, found) = equal.split_at(brought);
        let sql = format!(
            "UPDATE {} SET {} WHERE {}",
            self.table,
            sets.join(", "),
            found.join(" AND ")
        );
        Some((sql, places))
    }

    /// Counts the rows that have a row's values at these places.
    pub(super) fn count(&self, places: &[usize]) -> String {
        format!(
            "SELECT TO_CHAR(COUNT(*)) FROM {} WHERE {}",
            self.table,
            self.equal(places).join(" AND ")
        )
    }

    /// `column = value` of each place, from `:1`.
    fn equal(&self, places: &[usize]) -> Vec<String> {
        let numbered = places.iter().zip(1..);
        numbered
            .map(|(place, number)| {
                let target = &self.targets[*place];
                let value = target.value(&Oracle.placeholder(number));
                format!("{} = {value}", Oracle.quote(&target.name))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ColumnInfo, Kind, TableName};

    fn table() -> TableInfo {
        let column = |name: &str, kind, declared: &str| ColumnInfo {
            declared: declared.to_owned(),
            ..ColumnInfo::new(name, kind)
        };
        let mut total = column("total", Kind::Decimal, "NUMBER");
        total.generated = true;
        TableInfo {
            columns: vec![
                column("id", Kind::Integer, "NUMBER(10)"),
                column("day", Kind::Timestamp, "DATE"),
                column("photo", Kind::Blob, "BLOB"),
                total,
            ],
            primary_key: vec!["id".to_owned()],
            uniques: vec![vec!["day".to_owned()]],
            view: false,
        }
    }

    fn plan(columns: &[&str], mode: Mode<'_>) -> Result<Plan> {
        let columns: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
        let name = TableName::new("obs");
        let load = Load {
            table: &name,
            columns: &columns,
            mode,
        };
        Plan::new(&load, &table(), Charset::All, "loading".to_owned())
    }

    #[test]
    fn statements_follow_the_mode() {
        let all = ["ID", "day", "photo"];
        let append = plan(&all, Mode::Append).unwrap();
        assert_eq!(
            append.bulk,
            r#"INSERT INTO "OBS" ("ID", "DAY", "PHOTO") VALUES (TO_NUMBER(:1), TO_DATE(:2, 'YYYY-MM-DD HH24:MI:SS'), :3)"#
        );
        let key = ["id".to_owned()];
        let upsert = plan(&all, Mode::Upsert { key: &key }).unwrap();
        assert!(
            upsert
                .bulk
                .starts_with(r#"MERGE INTO "OBS" t USING (SELECT TO_NUMBER(:1) AS "ID", "#),
            "{}",
            upsert.bulk
        );
        assert!(upsert.bulk.contains(r#"ON (t."ID" = s."ID") WHEN MATCHED THEN UPDATE SET t."DAY" = s."DAY", t."PHOTO" = s."PHOTO""#));
        let (sql, places) = upsert.update(&[0]).unwrap();
        assert_eq!(places, [1, 2, 0]);
        assert_eq!(
            sql,
            r#"UPDATE "OBS" SET "DAY" = TO_DATE(:1, 'YYYY-MM-DD HH24:MI:SS'), "PHOTO" = :2 WHERE "ID" = TO_NUMBER(:3)"#
        );
        let skip = plan(&all, Mode::Skip).unwrap();
        assert!(!skip.bulk.contains("WHEN MATCHED THEN") && skip.bulk.contains("WHEN NOT MATCHED"));
        assert_eq!(skip.keys.len(), 2);
        assert!(
            plan(&["photo"], Mode::Skip)
                .unwrap()
                .bulk
                .starts_with("INSERT")
        );
        assert!(
            plan(&["id"], Mode::Upsert { key: &key })
                .unwrap()
                .update(&[0])
                .is_none()
        );
    }

    #[test]
    fn what_cannot_be_loaded_is_told_before() {
        let no_key = ["photo".to_owned()];
        let not_brought = ["id".to_owned()];
        for (columns, mode, column) in [
            (&["id", "total"][..], Mode::Append, "total"),
            (&["id", "nope"], Mode::Append, "nope"),
            (&["id", "photo"], Mode::Upsert { key: &no_key }, "photo"),
            (&["day"], Mode::Upsert { key: &not_brought }, "id"),
        ] {
            assert_eq!(plan(columns, mode).unwrap_err().column(), Some(column));
        }
    }
}
