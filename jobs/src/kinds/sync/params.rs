//! What the job file of a sync says.

use jobfile::{Interval, List};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::elements::Database;

/// Copies rows from database to database.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(in crate::kinds) struct Params {
    /// The database that rows come from.
    pub(super) source: Option<Database>,
    /// The database that they go into.
    pub(super) target: Database,
    /// So many tables are worked on at once, each over connections of its own.
    #[serde(default = "one")]
    pub(super) workers: u32,
    /// What is copied, a table each.
    #[serde(rename = "table")]
    pub(super) tables: Vec<Table>,
}

fn one() -> u32 {
    1
}

/// A table and the one that it is copied into.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Table {
    /// The table or view that rows come from, `name` or `schema.name`.
    pub(super) from: String,
    /// The table that they go into; left out: one of the same name.
    pub(super) to: Option<String>,
    /// How they go there.
    #[serde(default)]
    pub(super) mode: Mode,
    /// The columns that tell rows apart, by their names on either side; left out: the target's primary key. `increment` reads by its one column,
    /// which has to grow; `refresh` without any key writes all rows anew.
    pub(super) key: Option<List>,
    /// An SQL condition on the source's rows; only they count. The target's rows that it speaks of, by the names that its columns have there, are
    /// those that may be changed or deleted; all others stay.
    #[serde(rename = "where")]
    pub(super) condition: Option<String>,
    /// The condition on the target's rows, where `where` cannot be said there by changing its names alone.
    pub(super) target_where: Option<String>,
    /// Makes the target's table if it is not there: like the source's, with types that hold all its values, and its keys.
    #[serde(default)]
    pub(super) create: bool,
    /// Reads both sides after each pass, and fails if they have not the same number of rows or not the same checksum. The log tells both.
    #[serde(default)]
    pub(super) verify: bool,
    /// Mode `batch` writes so many rows a transaction.
    #[serde(default = "thousand")]
    pub(super) batch: u64,
    /// `refresh` and `batch` delete nothing if they would delete more than this share of the target's rows that `where` speaks of.
    #[serde(default)]
    pub(super) max_delete: Share,
    /// Mode `increment`: where an empty target begins, above this value; left out: with the first row.
    pub(super) start: Option<String>,
    /// Mode `increment`: rows may become visible so much later than rows with higher keys, beyond what the server tells of its open
    /// transactions. Needed where the server tells nothing.
    #[serde(default)]
    pub(super) settle: Interval,
    /// Columns that are called otherwise on the other side, or come from elsewhere. Columns of the same name need no mention.
    #[serde(rename = "column", default)]
    pub(super) columns: Vec<Column>,
}

fn thousand() -> u64 {
    1000
}

impl Table {
    /// The target table's name.
    pub(super) fn to(&self) -> &str {
        self.to.as_deref().unwrap_or(&self.from)
    }
}

/// How rows go from one table into the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Mode {
    /// The target's rows become the source's, in one transaction: whoever reads sees the old ones or the new ones.
    #[default]
    Refresh,
    /// The same, but both sides are compared first, and only rows that differ are written, `batch` of them a transaction.
    Batch,
    /// Only rows that are new in the source, by a key that grows.
    Increment,
    /// What changes in the source, deletes too: triggers enter it into a log, which is followed. `jobs capture install FILE` makes both, and
    /// `jobs capture remove FILE` takes them away.
    Capture,
}

/// Where a column of the target comes from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Column {
    /// A column of the source, or an SQL expression over its columns.
    pub(super) from: Option<String>,
    /// The target's column; left out: of the same name as `from`.
    pub(super) to: Option<String>,
    /// Instead of `from`: `now` (the time of the run, in UTC, to the second), `default` (the column's own), `sequence:NAME` (the next number of a
    /// sequence of the target), or any other text, which is the value. A row that is there already keeps its number, and gets a new `now` only
    /// when something else of it has changed.
    pub(super) value: Option<String>,
}

/// A share in whole per cent, as in `20%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^(100|[0-9]{1,2})%?$"))]
pub(super) struct Share(pub(super) u8);

impl Default for Share {
    fn default() -> Share {
        Share(20)
    }
}

impl From<Share> for String {
    fn from(share: Share) -> String {
        format!("{}%", share.0)
    }
}

impl TryFrom<String> for Share {
    type Error = String;

    fn try_from(text: String) -> Result<Share, String> {
        let digits = text.strip_suffix('%').unwrap_or(&text);
        match digits.trim().parse() {
            Ok(share) if share <= 100 => Ok(Share(share)),
            _ => Err(format!("`{text}` is no share: from 0% to 100%")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_whole_per_cents() {
        let share = |text: &str| Share::try_from(text.to_owned()).ok();
        assert_eq!(
            (share("20%"), share("5"), share("100%"), share("0%")),
            (
                Some(Share(20)),
                Some(Share(5)),
                Some(Share(100)),
                Some(Share(0))
            )
        );
        assert_eq!(
            (share("101%"), share("-1"), share("many")),
            (None, None, None)
        );
    }
}
