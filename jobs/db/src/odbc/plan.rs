//! What a load is about: the columns, the keys and the statements. Pure; shared by the caller and the driver's thread.

use super::engine::Engine;
use crate::keys::places;
use crate::suspect::Suspicion;
use crate::{ColumnInfo, Dialect, Kind, Load, Mode, Result, TableInfo};

/// A column that rows are loaded into.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) required: bool,
}

/// What becomes of a row whose key is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    Append,
    Skip,
    /// The database's own words update it.
    Upsert,
    /// It is looked for by these columns, given by their places in a row, then updated or inserted.
    Search(Vec<usize>),
}

/// One load.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) action: String,
    pub(super) engine: Engine,
    pub(super) targets: Vec<Target>,
    pub(super) suspicion: Suspicion,
    pub(super) way: Way,
    /// The statement of a row.
    pub(super) insert: String,
    /// Each key's name, and its places in a row.
    pub(super) keys: Vec<(String, Vec<usize>)>,
    table: String,
    quoted: Vec<String>,
}

impl Plan {
    pub(super) fn new(
        into: &Load<'_>,
        info: &TableInfo,
        engine: Engine,
        dialect: &dyn Dialect,
        action: String,
    ) -> Result<Self> {
        let columns = info.resolve(into.columns, &action)?;
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let brought: Vec<&str> = names.iter().map(String::as_str).collect();
        let way = match into.mode {
            Mode::Append => Way::Append,
            Mode::Skip => Way::Skip,
            Mode::Upsert { key } => {
                let places = places(key, &brought, &action)?;
                way_of_upsert(engine, info, key, places)
            }
        };
        let mode = match way {
            Way::Search(_) => Mode::Append,
            _ => into.mode,
        };
        let resolved = Load {
            table: into.table,
            columns: &names,
            mode,
        };
        Ok(Plan {
            engine,
            suspicion: Suspicion::new(&columns),
            targets: columns.iter().map(target).collect(),
            insert: dialect.insert(&resolved),
            keys: info.keys_among(&brought),
            table: dialect.qualify(into.table),
            quoted: names.iter().map(|name| dialect.quote(name)).collect(),
            way,
            action,
        })
    }

    /// Whether rows can go in arrays: only then does a count tell that none was left out.
    pub(super) fn goes_in_arrays(&self) -> bool {
        self.way == Way::Append
    }

    /// How many rows have these columns' values.
    pub(super) fn count(&self, places: &[usize]) -> String {
        format!(
            "SELECT COUNT(*) FROM {} WHERE {}",
            self.table,
            self.equal(places, " AND ")
        )
    }

    /// Replaces what a row brings beside its key; `None` where that is nothing.
    pub(super) fn update(&self, key: &[usize]) -> Option<(String, Vec<usize>)> {
        let brought: Vec<usize> = (0..self.targets.len())
            .filter(|place| !key.contains(place))
            .collect();
        let sets = self.equal(&brought, ", ");
        let found = self.equal(key, " AND ");
        let sql = format!("UPDATE {} SET {sets} WHERE {found}", self.table);
        let order = [&brought[..], key].concat();
        (!brought.is_empty()).then_some((sql, order))
    }

    fn equal(&self, places: &[usize], separator: &str) -> String {
        let each = places
            .iter()
            .map(|place| format!("{} = ?", self.quoted[*place]));
        each.collect::<Vec<_>>().join(separator)
    }
}

/// MySQL's own words would update by every unique key; those of databases that are not known, nobody knows.
fn way_of_upsert(engine: Engine, info: &TableInfo, key: &[String], places: Vec<usize>) -> Way {
    let same = |other: &Vec<String>| {
        other.len() == key.len() && other.iter().all(|name| key.contains(name))
    };
    let further = info.keys().any(|other| !same(other));
    match engine {
        Engine::Postgres | Engine::Sqlite => Way::Upsert,
        Engine::Mysql if !further => Way::Upsert,
        Engine::Mysql | Engine::Mssql | Engine::Other => Way::Search(places),
    }
}

fn target(column: &&ColumnInfo) -> Target {
    Target {
        name: column.name.clone(),
        kind: column.kind,
        required: !column.nullable && !column.auto,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TableName;

    fn plan(engine: Engine, uniques: &[&str]) -> Plan {
        let info = TableInfo {
            columns: ["id", "code", "v"]
                .map(|name| ColumnInfo::new(name, Kind::Text))
                .to_vec(),
            primary_key: vec!["id".into()],
            uniques: uniques
                .iter()
                .map(|name| vec![(*name).to_owned()])
                .collect(),
            ..TableInfo::default()
        };
        let (table, columns) = (TableName::new("t"), ["v", "id"].map(str::to_owned));
        let key = ["id".to_owned()];
        let load = Load {
            table: &table,
            columns: &columns,
            mode: Mode::Upsert { key: &key },
        };
        Plan::new(
            &load,
            &info,
            engine,
            engine.dialect(Some('"')),
            String::new(),
        )
        .unwrap()
    }

    #[test]
    fn an_upsert_goes_by_one_key_alone() {
        assert_eq!(plan(Engine::Mysql, &[]).way, Way::Upsert);
        assert_eq!(plan(Engine::Mysql, &["code"]).way, Way::Search(vec![1]));
        assert_eq!(plan(Engine::Postgres, &["code"]).way, Way::Upsert);
        let other = plan(Engine::Other, &[]);
        assert_eq!(
            other.insert,
            "INSERT INTO \"t\" (\"v\", \"id\") VALUES (?, ?)"
        );
        assert_eq!(
            other.count(&[1]),
            "SELECT COUNT(*) FROM \"t\" WHERE \"id\" = ?"
        );
        let (sql, order) = other.update(&[1]).unwrap();
        assert_eq!(sql, "UPDATE \"t\" SET \"v\" = ? WHERE \"id\" = ?");
        assert_eq!(order, [0, 1]);
        assert_eq!(other.update(&[0, 1]), None);
        assert_eq!(other.keys, [("id".to_owned(), vec![1])]);
    }
}
