//! Which column of the source, or what else, goes into which column of the target, and by which columns rows are told apart. Pure.

use chrono::{DateTime, Utc};
use db::{ColumnInfo, Dialect, Kind, TableInfo, TableName};

use super::params::{Column, Mode, Table};
use crate::job::Invalid;

/// A column of the target that is filled from the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) to: ColumnInfo,
    pub(super) from: Origin,
}

/// Where a lane begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Column(ColumnInfo),
    /// SQL over the source's columns.
    Expression(String),
}

/// A column of the target that has one value for a whole run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) to: ColumnInfo,
    /// The value; none: the time of the run.
    pub(super) text: Option<String>,
}

/// A column of the target that a sequence of the target numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Numbered {
    pub(super) to: ColumnInfo,
    pub(super) sequence: TableName,
}

/// The way of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) lanes: Vec<Lane>,
    pub(super) given: Vec<Given>,
    pub(super) numbered: Vec<Numbered>,
    /// The lanes that tell rows apart; empty: nothing does.
    pub(super) key: Vec<usize>,
    /// The source's column that `increment` reads by.
    pub(super) cursor: Option<ColumnInfo>,
}

impl Mapping {
    /// Holds the job's columns against what the dictionaries tell. `at` is the table's place in the job file, from 0.
    pub(super) fn new(
        table: &Table,
        at: usize,
        source: &TableInfo,
        target: &TableInfo,
        dialect: &dyn Dialect,
    ) -> Result<Mapping, Invalid> {
        let place = format!("table[{}]", at + 1);
        let mut mapping = Mapping {
            lanes: Vec::new(),
            given: Vec::new(),
            numbered: Vec::new(),
            key: Vec::new(),
            cursor: None,
        };
        let mut taken: Vec<String> = Vec::new();
        for (number, column) in table.columns.iter().enumerate() {
            let path = format!("{place}.column[{}]", number + 1);
            let to = find(target, to_name(column), table.to(), &path)?.clone();
            if taken.contains(&to.name) {
                let why = format!("the column {} of the target is filled twice", to.name);
                return Err(Invalid::new(path, why));
            }
            taken.push(to.name.clone());
            mapping.take(column, to, source, dialect, &path)?;
        }
        let shared = |to: &ColumnInfo| {
            let from = source
                .column(&to.name)
                .filter(|_| !to.generated && !taken.contains(&to.name))?;
            let from = Origin::Column(from.clone());
            Some(Lane {
                to: to.clone(),
                from,
            })
        };
        mapping
            .lanes
            .extend(target.columns.iter().filter_map(shared));
        if mapping.lanes.is_empty() {
            let why = format!(
                "the tables {} and {} share no column, and no <column> says what goes where",
                table.from,
                table.to()
            );
            return Err(Invalid::new(format!("{place}.from"), why));
        }
        mapping.choose_key(table, source, target, &place)?;
        Ok(mapping)
    }

    fn take(
        &mut self,
        column: &Column,
        to: ColumnInfo,
        source: &TableInfo,
        dialect: &dyn Dialect,
        path: &str,
    ) -> Result<(), Invalid> {
        match (&column.from, column.value.as_deref()) {
            (Some(from), _) => {
                let from = match source.column(from) {
                    Some(known) => Origin::Column(known.clone()),
                    None => Origin::Expression(from.clone()),
                };
                self.lanes.push(Lane { to, from });
            }
            (None, Some("default") | None) => {}
            (None, Some("now")) => self.given.push(Given { to, text: None }),
            (None, Some(value)) => match value.strip_prefix("sequence:") {
                Some(name) => {
                    let sequence = TableName::parse(name);
                    if dialect.next_number(&sequence).is_none() {
                        let why = format!("{} has no sequences", dialect.name());
                        return Err(Invalid::new(format!("{path}.value"), why));
                    }
                    self.numbered.push(Numbered { to, sequence });
                }
                None => {
                    let text = Some(value.to_owned());
                    self.given.push(Given { to, text });
                }
            },
        }
        Ok(())
    }

    fn choose_key(
        &mut self,
        table: &Table,
        source: &TableInfo,
        target: &TableInfo,
        place: &str,
    ) -> Result<(), Invalid> {
        let path = format!("{place}.key");
        let named = table.key.as_ref().map(|list| list.0.as_slice());
        let wanted = named.unwrap_or(&target.primary_key);
        if table.mode == Mode::Increment {
            return self.choose_cursor(wanted, table, source, &path);
        }
        let lanes: Option<Vec<usize>> = wanted.iter().map(|name| self.lane(name)).collect();
        let Some(lanes) = lanes else {
            if named.is_none() && table.mode == Mode::Refresh {
                return Ok(());
            }
            let lost = wanted.iter().find(|name| self.lane(name).is_none());
            let why = format!(
                "the key's column {} is not filled from the source",
                lost.map_or("", String::as_str)
            );
            return Err(Invalid::new(path, why));
        };
        if lanes.is_empty() {
            if table.mode == Mode::Refresh {
                return Ok(());
            }
            let why = format!(
                "batch tells rows apart by a key: {} has no primary key, and no key=\"…\" is given",
                table.to()
            );
            return Err(Invalid::new(path, why));
        }
        let names: Vec<&String> = lanes
            .iter()
            .map(|lane| &self.lanes[*lane].to.name)
            .collect();
        let same = |unique: &Vec<String>| {
            unique.len() == names.len() && names.iter().all(|name| unique.contains(name))
        };
        if !same(&target.primary_key) && !target.uniques.iter().any(same) {
            let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            let why = format!(
                "{} is no unique key of the table {}",
                names.join(", "),
                table.to()
            );
            return Err(Invalid::new(path, why));
        }
        self.key = lanes;
        Ok(())
    }

    fn choose_cursor(
        &mut self,
        wanted: &[String],
        table: &Table,
        source: &TableInfo,
        path: &str,
    ) -> Result<(), Invalid> {
        let [name] = wanted else {
            let why = "increment reads by one column that grows: key=\"…\" has to name it";
            return Err(Invalid::new(path, why));
        };
        let lane = self.lane(name);
        let column = match lane.map(|lane| &self.lanes[lane].from) {
            Some(Origin::Column(column)) => Some(column),
            Some(Origin::Expression(_)) => None,
            None => source.column(name),
        };
        let Some(column) = column else {
            let why = format!("the source {} has no column {name}", table.from);
            return Err(Invalid::new(path, why));
        };
        self.cursor = Some(column.clone());
        self.key = lane.into_iter().collect();
        Ok(())
    }

    /// The lane of a column by its name in the source, else in the target.
    fn lane(&self, name: &str) -> Option<usize> {
        let from = |lane: &Lane| matches!(&lane.from, Origin::Column(column) if column.name.eq_ignore_ascii_case(name));
        let to = |lane: &Lane| lane.to.name.eq_ignore_ascii_case(name);
        self.lanes
            .iter()
            .position(from)
            .or_else(|| self.lanes.iter().position(to))
    }

    /// The target's columns that a carried row fills, in its order: lanes, then what is given.
    pub(super) fn carried(&self) -> Vec<ColumnInfo> {
        let lanes = self.lanes.iter().map(|lane| lane.to.clone());
        lanes
            .chain(self.given.iter().map(|given| given.to.clone()))
            .collect()
    }

    /// Their names.
    pub(super) fn names(&self) -> Vec<String> {
        self.carried()
            .into_iter()
            .map(|column| column.name)
            .collect()
    }

    /// The target's names of the key's columns.
    pub(super) fn key_names(&self) -> Vec<String> {
        self.key
            .iter()
            .map(|lane| self.lanes[*lane].to.name.clone())
            .collect()
    }

    /// The target's columns by which two rows of one key are compared.
    pub(super) fn compared(&self) -> Vec<&ColumnInfo> {
        let lanes = self.lanes.iter().enumerate();
        let lanes = lanes
            .filter(|(at, _)| !self.key.contains(at))
            .map(|(_, lane)| &lane.to);
        let constant = self.given.iter().filter(|given| given.text.is_some());
        lanes.chain(constant.map(|given| &given.to)).collect()
    }

    /// The target's columns that a row that is there gets anew.
    pub(super) fn renewed(&self) -> Vec<String> {
        let key = self.key_names();
        self.names()
            .into_iter()
            .filter(|name| !key.contains(name))
            .collect()
    }

    /// The values that are given, for a run of that time.
    pub(super) fn given_texts(&self, now: DateTime<Utc>) -> Vec<String> {
        let text = |given: &Given| match &given.text {
            Some(text) => text.clone(),
            None => moment(now, given.to.kind),
        };
        self.given.iter().map(text).collect()
    }

    /// The condition of the source in the target's words; which name has none there, if it cannot be said.
    pub(super) fn scope(
        &self,
        table: &Table,
        source: &TableInfo,
        from: &dyn Dialect,
        to: &dyn Dialect,
    ) -> Result<Option<String>, String> {
        if let Some(own) = &table.target_where {
            return Ok(Some(own.clone()));
        }
        let Some(condition) = &table.condition else {
            return Ok(None);
        };
        let mut lost = None;
        let text = db::words::rename(condition, from, |name| {
            let column = source.column(name)?;
            let is_it = |lane: &&Lane| matches!(&lane.from, Origin::Column(known) if known.name == column.name);
            let lane = self.lanes.iter().find(is_it);
            if lane.is_none() {
                lost.get_or_insert_with(|| column.name.clone());
            }
            lane.map(|lane| to.quote(&lane.to.name))
        });
        lost.map_or(Ok(Some(text)), Err)
    }
}

/// The name of the target's column; `new` has seen to it that there is one.
fn to_name(column: &Column) -> &str {
    let name = column.to.as_deref().or(column.from.as_deref());
    name.unwrap_or_default()
}

fn find<'i>(
    info: &'i TableInfo,
    name: &str,
    table: &str,
    path: &str,
) -> Result<&'i ColumnInfo, Invalid> {
    let path = format!("{path}.to");
    match info.column(name) {
        None => Err(Invalid::new(
            path,
            format!("the table {table} has no column {name}"),
        )),
        Some(column) if column.generated => {
            let why = format!("the column {name} of {table} is computed by the database");
            Err(Invalid::new(path, why))
        }
        Some(column) => Ok(column),
    }
}

/// A time as a column of that kind takes it, to the second.
fn moment(now: DateTime<Utc>, kind: Kind) -> String {
    let form = match kind {
        Kind::Date => "%Y-%m-%d",
        Kind::Time => "%H:%M:%S",
        Kind::Instant => "%Y-%m-%d %H:%M:%S+00:00",
        _ => "%Y-%m-%d %H:%M:%S",
    };
    now.format(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn table(inner: &str) -> Table {
        let text = format!(
            r#"<sync><source url="sqlite:a"/><target url="sqlite:b"/><table from="a" to="b" {inner}</table></sync>"#
        );
        let file = jobfile::JobFile::from_text(Path::new("s.xml"), text.as_bytes()).unwrap();
        let params: super::super::params::Params = file.params().unwrap();
        params.tables.into_iter().next().unwrap()
    }

    fn info(names: &[&str], key: &[&str]) -> TableInfo {
        TableInfo {
            columns: names
                .iter()
                .map(|name| ColumnInfo::new(*name, Kind::Text))
                .collect(),
            primary_key: key.iter().map(|name| (*name).to_owned()).collect(),
            ..TableInfo::default()
        }
    }

    fn mapped(inner: &str) -> Result<Mapping, Invalid> {
        let source = info(&["keyid", "obtid", "t", "extra"], &["keyid"]);
        let target = info(
            &["stid", "t", "upttime", "keyid", "recid", "made"],
            &["keyid"],
        );
        let dialect = db::dialect_of("postgres:x").unwrap();
        Mapping::new(&table(inner), 0, &source, &target, dialect)
    }

    #[test]
    fn what_both_share_is_copied_and_columns_say_the_rest() {
        let mapping = mapped(
            r#"mode="batch"><column from="obtid" to="stid"/><column from="t * 10" to="t"/><column to="upttime" value="now"/><column to="made" value="by us"/><column to="recid" value="sequence:s.seq"/>"#,
        )
        .unwrap();
        assert_eq!(mapping.names(), ["stid", "t", "keyid", "upttime", "made"]);
        assert_eq!(mapping.lanes[1].from, Origin::Expression("t * 10".into()));
        assert_eq!(
            (mapping.key_names(), mapping.numbered.len()),
            (vec!["keyid".into()], 1)
        );
        let compared: Vec<&str> = mapping.compared().iter().map(|c| c.name.as_str()).collect();
        assert_eq!(compared, ["stid", "t", "made"]);
        let now = DateTime::from_timestamp(0, 0).unwrap();
        assert_eq!(mapping.given_texts(now), ["1970-01-01 00:00:00", "by us"]);
    }

    #[test]
    fn conditions_are_said_in_the_targets_words() {
        let scope = |inner: &str| {
            let table = table(inner);
            let mapping = mapped(inner).unwrap();
            let source = info(&["keyid", "obtid", "t", "extra"], &["keyid"]);
            let dialect = db::dialect_of("mysql:x").unwrap();
            mapping.scope(&table, &source, dialect, dialect)
        };
        let column = r#"><column from="obtid" to="stid"/>"#;
        assert_eq!(
            scope(&format!(r#"where="obtid LIKE '54%' AND t &gt; 1"{column}"#)),
            Ok(Some("`stid` LIKE '54%' AND `t` > 1".to_owned()))
        );
        assert_eq!(
            scope(&format!(r#"where="extra = 1"{column}"#)),
            Err("extra".to_owned())
        );
        assert_eq!(
            scope(&format!(
                r#"where="extra = 1" target-where="t = 1"{column}"#
            )),
            Ok(Some("t = 1".to_owned()))
        );
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_place() {
        let told = |inner| mapped(inner).map(|_| ()).unwrap_err();
        assert_eq!(
            told(r#"><column from="obtid" to="x"/>"#).at,
            "table[1].column[1].to"
        );
        assert_eq!(told(r#"mode="batch" key="t">"#).at, "table[1].key");
        assert_eq!(
            told(r#"mode="increment" key="t,keyid">"#).at,
            "table[1].key"
        );
        assert_eq!(
            told(r#"><column from="t" to="t"/><column from="obtid" to="T"/>"#).at,
            "table[1].column[2]"
        );
    }
}
