//! How a database writes SQL: quotes, placeholders, casts, upserts, types. Pure text; opens nothing.

use crate::{Kind, Load, TableInfo, TableName, statement};

/// What differs between databases in the SQL that jobs build.
pub trait Dialect: Send + Sync {
    /// The database's name in messages, such as `sqlite`.
    fn name(&self) -> &'static str;

    /// Whether its errors tell a table or column that is not there from a statement that is not understood.
    fn tells_missing(&self) -> bool {
        true
    }

    /// An identifier in quotes, with quotes inside it doubled.
    fn quote(&self, identifier: &str) -> String {
        format!("\"{}\"", identifier.replace('"', "\"\""))
    }

    /// A table's name in quotes, with its schema.
    fn qualify(&self, table: &TableName) -> String {
        match &table.schema {
            Some(schema) => format!("{}.{}", self.quote(schema), self.quote(&table.name)),
            None => self.quote(&table.name),
        }
    }

    /// The placeholder of parameter `number`, from 1.
    fn placeholder(&self, number: usize) -> String;

    /// Whether two unquoted names mean the same object.
    fn same_name(&self, one: &str, other: &str) -> bool {
        one.eq_ignore_ascii_case(other)
    }

    /// `expression`, a bound text, as a value of `kind`: needed where it meets something that has no declared type.
    fn cast(&self, expression: &str, kind: Kind) -> String;

    /// The query cut off after `rows` rows.
    fn limit(&self, query: &str, rows: u64) -> String {
        format!("{query}\nLIMIT {rows}")
    }

    /// The INSERT of one row that does what `load` says, with placeholders for its columns.
    fn insert(&self, load: &Load<'_>) -> String;

    /// The type that a column of `kind` gets in a new table; `length` is its greatest length in characters,
    /// or digits for [`Kind::Decimal`].
    fn type_name(&self, kind: Kind, length: Option<u64>) -> String;

    /// The statement that makes a table of these columns and keys.
    fn create_table(&self, table: &TableName, info: &TableInfo) -> String {
        create_table(self, table, info)
    }

    /// Whether DDL commits the transaction that it stands in.
    fn ddl_commits(&self) -> bool;

    /// Whether a statement that begins with these words (upper case) ends the transaction that it stands in.
    fn ends_transaction(&self, words: &[&str]) -> bool {
        statement::controls(words)
    }

    /// The type of a text of at most `length` characters that compares by its characters alone, whatever the
    /// collation of the database.
    fn exact_text(&self, length: u64) -> String {
        format!("VARCHAR({length})")
    }

    /// The type of exact numbers of at most `digits` digits, `scale` of them behind the point. Where the type would
    /// round later numbers for no need, it has no bounds.
    fn decimal(&self, digits: u64, scale: u64) -> String {
        let _unbounded = scale;
        self.type_name(Kind::Decimal, Some(digits))
    }

    /// Whether text without a greatest length costs something: it can be in no key, or lies apart from its row.
    fn bounds_text(&self) -> bool {
        false
    }

    /// Whether a row with a lower number can become visible after one with a higher number: several writers
    /// draw numbers in one order and commit in another.
    fn commits_late(&self) -> bool;

    /// How many parameters one statement may have.
    fn max_params(&self) -> usize;

    /// What its lexer sees, for [`crate::bind::named`].
    fn lexis(&self) -> Lexis;
}

/// The marks in which lexers of databases differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lexis {
    /// A backslash escapes the next character in every string (MySQL).
    pub backslash: bool,
    /// `[name]` is an identifier (SQLite, SQL Server).
    pub brackets: bool,
    /// `#` starts a comment (MySQL).
    pub hash_comments: bool,
    /// What stands in `/*! … */` is executed (MySQL).
    pub code_in_comments: bool,
    /// `$tag$…$tag$` is a string, `E'…'` knows backslashes, comments nest (PostgreSQL).
    pub dollars: bool,
}

pub(crate) fn create_table<D: Dialect + ?Sized>(
    dialect: &D,
    table: &TableName,
    info: &TableInfo,
) -> String {
    let list = |names: &[String]| {
        let quoted: Vec<String> = names.iter().map(|name| dialect.quote(name)).collect();
        quoted.join(", ")
    };
    let mut lines: Vec<String> = Vec::with_capacity(info.columns.len() + 2);
    for column in info.columns.iter().filter(|column| !column.generated) {
        let kind = if column.declared.is_empty() {
            dialect.type_name(column.kind, column.length)
        } else {
            column.declared.clone()
        };
        let mut line = format!("{} {kind}", dialect.quote(&column.name));
        if let Some(default) = &column.default {
            line.push_str(&format!(" DEFAULT {default}"));
        }
        if !column.nullable {
            line.push_str(" NOT NULL");
        }
        lines.push(line);
    }
    if !info.primary_key.is_empty() {
        lines.push(format!("PRIMARY KEY ({})", list(&info.primary_key)));
    }
    for unique in &info.uniques {
        lines.push(format!("UNIQUE ({})", list(unique)));
    }
    format!(
        "CREATE TABLE {} (\n  {}\n)",
        dialect.qualify(table),
        lines.join(",\n  ")
    )
}
