//! How a database writes SQL: quotes, placeholders, casts, upserts, types. Pure text; opens nothing.

use crate::{ColumnInfo, Kind, Load, TableInfo, TableName, statement};

/// The column of a [`Stage`] that says in which turn a row is dealt with.
pub const LOT: &str = "procctl_lot";

/// A temporary table for rows on their way into a table; only its own connection sees it.
#[derive(Debug, Clone, Copy)]
pub struct Stage<'a> {
    /// Its name, from [`Dialect::stage_name`].
    pub name: &'a TableName,
    /// The table that the rows go into.
    pub table: &'a TableName,
    /// Those of the table's columns that the stage has, of the same types.
    pub columns: &'a [ColumnInfo],
    /// Columns that tell its rows apart; none: nothing does.
    pub key: &'a [String],
    /// Whether it has the whole number [`LOT`] too, by which rows are found first of all.
    pub lots: bool,
}

impl Stage<'_> {
    /// The names of the primary key, in its order.
    pub fn primary_key(&self) -> Vec<String> {
        let lot = self.lots.then(|| LOT.to_owned());
        lot.into_iter().chain(self.key.iter().cloned()).collect()
    }

    /// What a loader needs to know of the stage.
    pub fn info(&self) -> TableInfo {
        let mut columns: Vec<ColumnInfo> = self.columns.to_vec();
        if self.lots {
            columns.push(ColumnInfo {
                declared: "bigint".to_owned(),
                ..ColumnInfo::new(LOT, Kind::Integer)
            });
        }
        for column in &mut columns {
            (column.auto, column.generated, column.default) = (false, false, None);
        }
        TableInfo {
            columns,
            primary_key: if self.key.is_empty() {
                Vec::new()
            } else {
                self.primary_key()
            },
            ..TableInfo::default()
        }
    }
}

/// Rows of a table, found by those of the same key in a stage.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// The table.
    pub table: &'a TableName,
    /// The stage.
    pub stage: &'a TableName,
    /// The columns by which two of their rows belong together.
    pub key: &'a [String],
    /// Only rows of the stage that have this in [`LOT`].
    pub lot: Option<i64>,
    /// The columns to be set, where something is.
    pub columns: &'a [String],
    /// A further condition; may be empty.
    pub only: &'a str,
}

impl Change<'_> {
    /// The condition that rows of the stage are of the lot.
    pub fn of_lot<D: Dialect + ?Sized>(&self, dialect: &D) -> Option<String> {
        let stage = dialect.qualify(self.stage);
        self.lot
            .map(|lot| format!("{stage}.{} = {lot}", dialect.quote(LOT)))
    }

    /// The condition that two rows belong together.
    pub fn on<D: Dialect + ?Sized>(&self, dialect: &D) -> String {
        let (table, stage) = (dialect.qualify(self.table), dialect.qualify(self.stage));
        let same = self.key.iter().map(|name| dialect.quote(name));
        let same = same.map(|name| format!("{table}.{name} = {stage}.{name}"));
        let only = (!self.only.is_empty()).then(|| format!("({})", self.only));
        let all: Vec<String> = self
            .of_lot(dialect)
            .into_iter()
            .chain(same)
            .chain(only)
            .collect();
        all.join(" AND ")
    }

    /// `column = stage.column` of each column that is set, after `prefix`.
    fn sets<D: Dialect + ?Sized>(&self, dialect: &D, prefix: &str) -> String {
        let stage = dialect.qualify(self.stage);
        let each = self.columns.iter().map(|name| dialect.quote(name));
        let each = each.map(|name| format!("{prefix}{name} = {stage}.{name}"));
        each.collect::<Vec<_>>().join(", ")
    }

    /// The UPDATE with a FROM, as PostgreSQL and SQLite have it.
    pub(crate) fn update_from<D: Dialect + ?Sized>(&self, dialect: &D) -> String {
        let (table, stage) = (dialect.qualify(self.table), dialect.qualify(self.stage));
        let (sets, on) = (self.sets(dialect, ""), self.on(dialect));
        format!("UPDATE {table} SET {sets} FROM {stage} WHERE {on}")
    }

    /// The UPDATE of two tables joined, as MySQL has it.
    pub(crate) fn update_joined<D: Dialect + ?Sized>(&self, dialect: &D) -> String {
        let (table, stage) = (dialect.qualify(self.table), dialect.qualify(self.stage));
        let (sets, on) = (self.sets(dialect, &format!("{table}.")), self.on(dialect));
        format!("UPDATE {stage} JOIN {table} ON {on} SET {sets}")
    }
}

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

    /// The condition that a value of `kind` is neither infinite nor no number at all; `None` where there are no such values.
    fn finite(&self, _expression: &str, _kind: Kind) -> Option<String> {
        None
    }

    /// The query cut off after `rows` rows.
    fn limit(&self, query: &str, rows: u64) -> String {
        format!("{query}\nLIMIT {rows}")
    }

    /// The query of rows that nobody else can change until the transaction ends; they are what they are when they are locked.
    fn select_locked(&self, columns: &str, table: &str, condition: &str) -> String {
        format!("SELECT {columns} FROM {table} WHERE {condition}\nFOR UPDATE")
    }

    /// Whether an INSERT can take its rows from [`Dialect::select_locked`].
    fn inserts_locked(&self) -> bool {
        true
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

    /// The type of exact numbers of at most `digits` digits, `scale` of them behind the point, with room for later numbers: without
    /// bounds where the database has such a type.
    fn decimal(&self, digits: u64, scale: u64) -> String {
        let _unbounded = scale;
        self.type_name(Kind::Decimal, Some(digits))
    }

    /// Whether text without a greatest length costs something: it can be in no key, or lies apart from its row.
    fn bounds_text(&self) -> bool {
        false
    }

    /// Whether an empty text is stored as NULL, so that a text that must not be NULL must not be empty either.
    fn empty_is_null(&self) -> bool {
        false
    }

    /// Whether a row with a lower number can become visible after one with a higher number: several writers
    /// draw numbers in one order and commit in another.
    fn commits_late(&self) -> bool;

    /// How many parameters one statement may have.
    fn max_params(&self) -> usize;

    /// What its lexer sees, for [`crate::bind::named`].
    fn lexis(&self) -> Lexis;

    /// The name of a temporary table that goes by `word`.
    fn stage_name(&self, word: &str) -> TableName {
        TableName::new(word)
    }

    /// The statements that make a stage, outside of transactions.
    fn stage(&self, stage: &Stage<'_>) -> Vec<String> {
        let made = create_table(self, stage.name, &stage.info());
        vec![made.replacen("CREATE TABLE", "CREATE TEMPORARY TABLE", 1)]
    }

    /// The statement after a stage has been filled that lets the database know how much is in it.
    fn measure(&self, _stage: &TableName) -> Option<String> {
        None
    }

    /// The statement that drops a stage; it ends no transaction.
    fn drop_stage(&self, stage: &TableName) -> String {
        format!("DROP TABLE {}", self.qualify(stage))
    }

    /// The INSERT of what `select` yields, with values also for columns that the database would number itself.
    fn insert_from(&self, table: &TableName, columns: &[String], select: &str) -> String {
        let quoted: Vec<String> = columns.iter().map(|name| self.quote(name)).collect();
        format!(
            "INSERT INTO {} ({}) {select}",
            self.qualify(table),
            quoted.join(", ")
        )
    }

    /// The UPDATE of rows by those of a stage.
    fn update_from(&self, change: &Change<'_>) -> String {
        let stage = self.qualify(change.stage);
        let names: Vec<String> = change.columns.iter().map(|name| self.quote(name)).collect();
        let values: Vec<String> = names.iter().map(|name| format!("{stage}.{name}")).collect();
        let found = format!("FROM {stage} WHERE {}", change.on(self));
        format!(
            "UPDATE {} SET ({}) = (SELECT {} {found}) WHERE EXISTS (SELECT 1 {found})",
            self.qualify(change.table),
            names.join(", "),
            values.join(", "),
        )
    }

    /// The DELETE of the rows with one of `rows` keys, whose values are parameters in the order of `key`. `scope`: a further ` WHERE …`, or nothing.
    fn delete_keys(&self, table: &str, scope: &str, key: &[ColumnInfo], rows: usize) -> String {
        let mut number = 0;
        let mut each = || {
            let columns = key.iter().map(|column| {
                number += 1;
                let place = self.placeholder(number);
                let unsigned = column.declared.to_ascii_lowercase().contains("unsigned");
                // most databases take text for the column's own type by themselves, and use its index then
                let place = match column.kind {
                    Kind::Integer if unsigned => place,
                    Kind::Bool
                    | Kind::Integer
                    | Kind::Decimal
                    | Kind::Real
                    | Kind::Blob
                    | Kind::Instant => self.cast(&place, column.kind),
                    _ => place,
                };
                format!("{} = {place}", self.quote(&column.name))
            });
            format!("({})", columns.collect::<Vec<_>>().join(" AND "))
        };
        let any: Vec<String> = (0..rows).map(|_| each()).collect();
        let head = if scope.is_empty() {
            " WHERE".to_owned()
        } else {
            format!("{scope} AND")
        };
        format!("DELETE FROM {table}{head} ({})", any.join(" OR "))
    }

    /// The DELETE of the rows whose key a stage has.
    fn delete_from(&self, change: &Change<'_>) -> String {
        let (table, stage) = (self.qualify(change.table), self.qualify(change.stage));
        let on = change.on(self);
        format!("DELETE FROM {table} WHERE EXISTS (SELECT 1 FROM {stage} WHERE {on})")
    }

    /// The condition that two values of a column are not one and the same, NULL being a value, letters compared exactly.
    fn differs(&self, one: &str, other: &str, _column: &ColumnInfo) -> String {
        format!(
            "({one} <> {other} OR ({one} IS NULL AND {other} IS NOT NULL) OR ({one} IS NOT NULL AND {other} IS NULL))"
        )
    }

    /// The expression that draws the next number of a sequence; `None` where there are none.
    fn next_number(&self, _sequence: &TableName) -> Option<String> {
        None
    }

    /// A whole number that the server computes of a row of these columns: the same for equal rows, and for others only by an accident of which the
    /// implementation says how rare it is; never safe against rows made to deceive it. Sums of it are as good for sets of rows. Only servers of one
    /// sort and columns of one declared type can be compared by it. `None` where the database computes no such thing.
    fn fingerprint(&self, _columns: &[&ColumnInfo]) -> Option<String> {
        None
    }

    /// The query that tells of each span of rows its number, how many they are, and the sum of their fingerprints, in the order of the numbers.
    /// `rows` is what stands behind FROM.
    fn fingerprints(&self, number: &str, fingerprint: &str, rows: &str) -> String {
        format!("SELECT {number}, count(*), SUM({fingerprint}) FROM {rows} GROUP BY 1 ORDER BY 1")
    }

    /// The statement that keeps all further queries of a transaction from being shared out among processes of the server, whose start costs more
    /// than reading a few thousand rows does. `None` where it does no such thing by itself.
    fn unshared(&self) -> Option<&'static str> {
        None
    }

    /// What to sort by so that values come in the order of their written forms: numbers by size, times by time, all else by bytes.
    fn in_form_order(&self, expression: &str, _kind: Kind) -> String {
        expression.to_owned()
    }

    /// Which span of `width` numbers the whole number in a column lies in, counted from that which begins with `from`.
    fn span_number(&self, column: &str, from: i128, width: i128) -> String {
        format!("({column} - ({from})) / {width}")
    }
}

/// How many digits behind the point a decimal gets, where the database fixes their number: a server rounds what has more without a word. 15 are what
/// numbers have that are not better kept as floating-point ones; as many as fit in 38 digits beside those before the point.
pub(crate) fn roomy_scale(digits: u64, scale: u64) -> u64 {
    let whole = digits.saturating_sub(scale);
    scale.max(15.min(38_u64.saturating_sub(whole)))
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
    /// `BEGIN` and `DECLARE` begin a block of PL/SQL, and a line of `/` alone ends a statement (Oracle).
    pub blocks: bool,
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
