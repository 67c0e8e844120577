//! The statements of a load. Pure text.

use super::dialect::Mysql;
use super::load_data;
use super::target::Target;
use crate::{Dialect, Error, ErrorKind, Load, Mode, Result, TableInfo};

/// The statements of a load.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) table: String,
    pub(super) load_data: String,
    pub(super) insert_head: String,
    pub(super) row: String,
    pub(super) clash: String,
    pub(super) skips: bool,
    /// LOAD DATA may be tried.
    pub(super) local: bool,
}

impl Plan {
    pub(super) fn new(into: &Load<'_>, targets: &[Target]) -> Self {
        let names: Vec<String> = targets
            .iter()
            .map(|target| Mysql.quote(&target.name))
            .collect();
        let places: Vec<String> = targets.iter().map(|target| target.converted("?")).collect();
        let columns: Vec<String> = targets.iter().map(|target| target.name.clone()).collect();
        let table = Mysql.qualify(into.table);
        Plan {
            load_data: load_data::statement(into.table, targets),
            insert_head: format!("INSERT INTO {table} ({}) VALUES ", names.join(", ")),
            row: format!("({})", places.join(", ")),
            clash: Mysql.on_clash(&Load {
                table: into.table,
                columns: &columns,
                mode: into.mode,
            }),
            skips: into.mode == Mode::Skip,
            local: into.mode == Mode::Append,
            table,
        }
    }

    pub(super) fn insert(&self, rows: usize) -> String {
        format!(
            "{}{}{}",
            self.insert_head,
            vec![self.row.as_str(); rows].join(", "),
            self.clash
        )
    }
}

/// MySQL updates by whichever unique key it meets first, so there must be one alone.
pub(super) fn check_key(key: &[String], info: &TableInfo, action: &str) -> Result<()> {
    let keys: Vec<&Vec<String>> = std::iter::once(&info.primary_key)
        .chain(&info.uniques)
        .filter(|key| !key.is_empty())
        .collect();
    let same = |one: &[String]| {
        one.len() == key.len()
            && one
                .iter()
                .all(|name| key.iter().any(|k| k.eq_ignore_ascii_case(name)))
    };
    let why = match keys.as_slice() {
        [only] if same(only) => return Ok(()),
        many if many.iter().any(|one| same(one)) => {
            "the table has further unique keys, and MySQL would update by whichever it meets first"
        }
        _ => "these columns are no unique key of the table",
    };
    Err(Error::new(ErrorKind::Invalid, action)
        .at_column(key.join(", "))
        .because(why))
}
