//! What a load is about: the columns, the keys, and the statements. Pure text, shared by the thread that makes rows and the
//! one that sends them.

use super::dialect::Mysql;
use super::target::Target;
use crate::keys::{no_key, places};
use crate::suspect::Suspicion;
use crate::{ColumnInfo, Dialect, Kind, Load, Mode, Result, TableInfo};

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
    pub(super) info: TableInfo,
    pub(super) targets: Vec<Target>,
    /// All text: lines of LOAD DATA have no mark for bytes.
    pub(super) kinds: Vec<Kind>,
    pub(super) suspicion: Suspicion,
    pub(super) table: String,
    pub(super) way: Way,
    /// The table has further unique keys, by which ON DUPLICATE KEY would update just as well.
    pub(super) further_keys: bool,
    clash: String,
}

/// The table that rows are gathered in before they are merged.
pub(super) const STAGE: &str = "`procctl_load`";

impl Plan {
    pub(super) fn new(into: &Load<'_>, info: TableInfo, action: String) -> Result<Self> {
        let columns = info.resolve(into.columns, &action)?;
        let suspicion = Suspicion::new(&columns);
        let target = |column: &&ColumnInfo| Target {
            name: column.name.clone(),
            kind: column.kind,
            required: !column.nullable && !column.auto,
            bits: column.declared.starts_with("bit("),
        };
        let targets: Vec<Target> = columns.iter().map(target).collect();
        let names: Vec<String> = targets.iter().map(|target| target.name.clone()).collect();
        let (mut way, mut further_keys) = (Way::Append, false);
        match into.mode {
            Mode::Append => {}
            Mode::Skip => way = Way::Skip,
            Mode::Upsert { key } => {
                if !info.is_key(key) {
                    return Err(no_key(key, &action));
                }
                further_keys = info.keys().count() > 1;
                let brought: Vec<&str> = names.iter().map(String::as_str).collect();
                way = Way::Upsert(places(key, &brought, &action)?);
            }
        }
        Ok(Plan {
            kinds: vec![Kind::Text; targets.len()],
            clash: Mysql.on_clash(&Load {
                table: into.table,
                columns: &names,
                mode: into.mode,
            }),
            table: Mysql.qualify(into.table),
            action,
            info,
            targets,
            suspicion,
            way,
            further_keys,
        })
    }

    /// The columns at these places, quoted, each made into text by `write`.
    pub(super) fn list(
        &self,
        places: impl IntoIterator<Item = usize>,
        separator: &str,
        write: impl Fn(&str) -> String,
    ) -> String {
        let each = places
            .into_iter()
            .map(|place| write(&Mysql.quote(&self.targets[place].name)));
        each.collect::<Vec<_>>().join(separator)
    }

    pub(super) fn all(&self) -> std::ops::Range<usize> {
        0..self.targets.len()
    }

    /// The columns that an upsert replaces.
    pub(super) fn brought(&self, key: &[usize]) -> Vec<usize> {
        self.all().filter(|place| !key.contains(place)).collect()
    }

    pub(super) fn names(&self) -> String {
        self.list(self.all(), ", ", str::to_owned)
    }

    /// The LOAD DATA of the file `name`. Its marks are hex, as a mode of the server changes what a backslash means.
    pub(super) fn load_data(&self, into: &str, name: &str) -> String {
        let (mut places, mut sets) = (Vec::new(), Vec::new());
        for (index, target) in self.targets.iter().enumerate() {
            let column = Mysql.quote(&target.name);
            if target.is_plain() {
                places.push(column);
            } else {
                let variable = format!("@load_{index}");
                sets.push(format!("{column} = {}", target.converted(&variable)));
                places.push(variable);
            }
        }
        let sets = if sets.is_empty() {
            String::new()
        } else {
            format!(" SET {}", sets.join(", "))
        };
        format!(
            "LOAD DATA LOCAL INFILE '{name}' INTO TABLE {into} CHARACTER SET utf8mb4 \
             FIELDS TERMINATED BY 0x09 ESCAPED BY 0x5C LINES TERMINATED BY 0x0A ({}){sets}",
            places.join(", ")
        )
    }

    /// The INSERT of `rows` rows that does what the mode says.
    pub(super) fn insert(&self, rows: usize) -> String {
        self.insert_with(rows, &self.clash)
    }

    /// The INSERT of one row that any key that is there refuses.
    pub(super) fn plain_insert(&self) -> String {
        self.insert_with(1, "")
    }

    fn insert_with(&self, rows: usize, clash: &str) -> String {
        let places: Vec<String> = self
            .targets
            .iter()
            .map(|target| target.converted("?"))
            .collect();
        let row = format!("({})", places.join(", "));
        format!(
            "INSERT INTO {} ({}) VALUES {}{clash}",
            self.table,
            self.names(),
            vec![row.as_str(); rows].join(", ")
        )
    }

    /// `column = ?` of each place.
    pub(super) fn equal(&self, places: &[usize], separator: &str) -> String {
        let each = places.iter().map(|place| {
            let target = &self.targets[*place];
            format!("{} = {}", Mysql.quote(&target.name), target.converted("?"))
        });
        each.collect::<Vec<_>>().join(separator)
    }

    /// Each key whose columns the rows bring: its name for messages, and its places in a row.
    pub(super) fn keys(&self) -> Vec<(String, Vec<usize>)> {
        let brought = self.targets.iter().map(|target| target.name.as_str());
        self.info.keys_among(&brought.collect::<Vec<_>>())
    }
}
