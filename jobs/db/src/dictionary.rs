//! What a database's dictionary tells of a table, in words that all backends share.

use crate::{Cell, Connection, Error, ErrorKind, Result};
use std::fmt;

/// What the text of a column means. A backend's own types map onto these; [`ColumnInfo::declared`] keeps theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `1` or `0`.
    Bool,
    /// A whole number, signed or not.
    Integer,
    /// An exact decimal number.
    Decimal,
    /// A binary floating-point number.
    Real,
    /// Text, and what travels as text: UUID, enum, interval, network address.
    Text,
    /// `2026-11-21`.
    Date,
    /// `13:45:00.25`.
    Time,
    /// Date and time without a zone: `2026-11-21 13:45:00.25`.
    /// Servers get text with a zone as the same moment in UTC; SQLite keeps it as it is.
    Timestamp,
    /// Date and time with its zone: `2026-11-21 13:45:00.25+00:00`.
    Instant,
    /// Bytes, written as lower-case hex digits.
    Blob,
    /// JSON text.
    Json,
    /// The database does not say; taken as text.
    Other,
}

impl Kind {
    /// Whether its text is a number.
    pub fn is_number(self) -> bool {
        matches!(
            self,
            Kind::Bool | Kind::Integer | Kind::Decimal | Kind::Real
        )
    }
}

/// A table's name, with its schema where one is given. Parts are the names themselves, without quotes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    /// Schema, or database on MySQL; `None` is the connection's own.
    pub schema: Option<String>,
    /// The table.
    pub name: String,
}

impl TableName {
    /// A table in the connection's own schema; the text is its whole name, dots and all.
    pub fn new(name: impl Into<String>) -> Self {
        TableName {
            schema: None,
            name: name.into(),
        }
    }

    /// Reads `name`, `schema.name`, or either part in double quotes (then dots in it are its own).
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let mut quoted = false;
        let dot = text.char_indices().find(|&(_, c)| {
            quoted ^= c == '"';
            c == '.' && !quoted
        });
        match dot {
            Some((at, _)) if at > 0 && at + 1 < text.len() => TableName {
                schema: Some(unquote(&text[..at])),
                name: unquote(&text[at + 1..]),
            },
            _ => TableName::new(unquote(text)),
        }
    }
}

fn unquote(part: &str) -> String {
    match part.strip_prefix('"').and_then(|p| p.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => part.to_owned(),
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}.")?;
        }
        f.write_str(&self.name)
    }
}

/// A table or view.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableInfo {
    /// Its columns, in order.
    pub columns: Vec<ColumnInfo>,
    /// The primary key's columns in the key's order; empty if it has none.
    pub primary_key: Vec<String>,
    /// Each further unique key over plain columns and all rows.
    pub uniques: Vec<Vec<String>>,
    /// Whether it is a view.
    pub view: bool,
}

impl TableInfo {
    /// The column of this name, exactly or else without regard to ASCII case.
    pub fn column(&self, name: &str) -> Option<&ColumnInfo> {
        self.columns.iter().find(|c| c.name == name).or_else(|| {
            self.columns
                .iter()
                .find(|c| c.name.eq_ignore_ascii_case(name))
        })
    }

    /// The columns of these names; one that is not there is an error of `action`.
    pub(crate) fn resolve(&self, names: &[String], action: &str) -> Result<Vec<&ColumnInfo>> {
        let missing = |name: &str| {
            Error::new(ErrorKind::Missing, action)
                .at_column(name)
                .because("the table has no such column")
        };
        let found = |name: &String| self.column(name).ok_or_else(|| missing(name));
        names.iter().map(found).collect()
    }
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnInfo {
    /// Its name.
    pub name: String,
    /// What its text means.
    pub kind: Kind,
    /// The type in the database's own words; empty means that [`crate::Dialect::create_table`] chooses by kind.
    pub declared: String,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// The default's expression.
    pub default: Option<String>,
    /// Computed by the database: a loader must not name it.
    pub generated: bool,
    /// Numbered by the database when left out (identity, auto-increment, rowid).
    pub auto: bool,
    /// Greatest length in characters (digits for [`Kind::Decimal`]), where there is one.
    pub length: Option<u64>,
    /// How its text is compared, in the database's own words, where the dictionary tells it and it is not what the
    /// database does anyway: `latin1_swedish_ci`. On MySQL it tells the character set too.
    pub collation: Option<String>,
}

impl ColumnInfo {
    /// A plain nullable column of `kind`.
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        ColumnInfo {
            name: name.into(),
            kind,
            declared: String::new(),
            nullable: true,
            default: None,
            generated: false,
            auto: false,
            length: None,
            collation: None,
        }
    }
}

/// All rows of a small query of a backend's own, such as one of its dictionary.
pub(crate) fn read(
    connection: &mut dyn Connection,
    sql: &str,
    params: &[Cell<'_>],
) -> Result<Vec<Vec<Option<String>>>> {
    let mut found = Vec::new();
    let mut rows = connection.query(sql, params)?;
    while let Some(row) = rows.fetch()? {
        let cells = row
            .cells()
            .map(|cell| cell.map(|text| String::from_utf8_lossy(text).into_owned()));
        found.push(cells.collect());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_names_split_at_the_dot_outside_quotes() {
        let parts = |text| {
            let name = TableName::parse(text);
            (name.schema, name.name)
        };
        assert_eq!(parts("obs"), (None, "obs".into()));
        assert_eq!(parts("core.obs"), (Some("core".into()), "obs".into()));
        assert_eq!(parts("\"a.b\""), (None, "a.b".into()));
        assert_eq!(
            parts("\"a.b\".\"c\"\"d\""),
            (Some("a.b".into()), "c\"d".into())
        );
        assert_eq!(parts("站点.观测"), (Some("站点".into()), "观测".into()));
        assert_eq!(parts("."), (None, ".".into()));
    }
}
