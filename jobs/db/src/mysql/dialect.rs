//! How MySQL and MariaDB write SQL. Pure text.

use crate::dialect::{create_table, roomy_scale};
use crate::{
    Change, ColumnInfo, Dialect, Kind, LOT, Lexis, Load, Mode, Stage, TableInfo, TableName,
    statement,
};

pub(super) struct Mysql;

/// What a DECIMAL without a given precision gets: 65 digits are the most that there are.
const DECIMAL: &str = "DECIMAL(65,20)";

impl Dialect for Mysql {
    fn name(&self) -> &'static str {
        "mysql"
    }

    fn quote(&self, identifier: &str) -> String {
        format!("`{}`", identifier.replace('`', "``"))
    }

    fn placeholder(&self, _: usize) -> String {
        "?".to_owned()
    }

    fn cast(&self, expression: &str, kind: Kind) -> String {
        match kind {
            Kind::Bool | Kind::Integer => format!("CAST({expression} AS SIGNED)"),
            Kind::Decimal => format!("CAST({expression} AS {DECIMAL})"),
            Kind::Real => format!("({expression} + 0e0)"),
            Kind::Text => format!("CAST({expression} AS CHAR CHARACTER SET utf8mb4)"),
            Kind::Date => format!("CAST({expression} AS DATE)"),
            Kind::Time => format!("CAST({expression} AS TIME(6))"),
            Kind::Timestamp => format!("CAST({expression} AS DATETIME(6))"),
            // the written form has a zone, which not every server understands; the connection is in UTC
            Kind::Instant => format!("CAST(REPLACE({expression}, '+00:00', '') AS DATETIME(6))"),
            Kind::Blob => format!("UNHEX({expression})"),
            Kind::Json | Kind::Other => expression.to_owned(),
        }
    }

    fn insert(&self, load: &Load<'_>) -> String {
        let quoted: Vec<String> = load.columns.iter().map(|name| self.quote(name)).collect();
        let places = vec!["?"; quoted.len()];
        format!(
            "INSERT INTO {} ({}) VALUES ({}){}",
            self.qualify(load.table),
            quoted.join(", "),
            places.join(", "),
            self.on_clash(load)
        )
    }

    fn type_name(&self, kind: Kind, length: Option<u64>) -> String {
        match kind {
            Kind::Bool => "BOOLEAN",
            Kind::Integer => "BIGINT",
            Kind::Decimal => DECIMAL,
            Kind::Real => "DOUBLE",
            Kind::Date => "DATE",
            Kind::Time => "TIME(6)",
            Kind::Timestamp => "DATETIME(6)",
            Kind::Instant => "TIMESTAMP(6)",
            Kind::Blob => "LONGBLOB",
            Kind::Json => "JSON",
            Kind::Text | Kind::Other => match length {
                // a row holds 65,535 bytes, four a character
                Some(length) if length <= 4000 => return format!("VARCHAR({length})"),
                _ => "LONGTEXT",
            },
        }
        .to_owned()
    }

    fn ddl_commits(&self) -> bool {
        true
    }

    fn ends_transaction(&self, words: &[&str]) -> bool {
        statement::controls(words) || commits(words)
    }

    fn create_table(&self, table: &TableName, info: &TableInfo) -> String {
        // whatever the server's default is: rows that cannot be taken back are of no use here
        format!("{} ENGINE=InnoDB", create_table(self, table, info))
    }

    fn exact_text(&self, length: u64) -> String {
        format!("VARCHAR({length}) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    }

    fn decimal(&self, digits: u64, scale: u64) -> String {
        // 38 digits are what other databases have at most
        let room = roomy_scale(digits, scale);
        let digits = digits.saturating_sub(scale) + room;
        format!("DECIMAL({},{})", digits.clamp(38, 65), room.min(30))
    }

    fn bounds_text(&self) -> bool {
        true
    }

    fn commits_late(&self) -> bool {
        true
    }

    fn max_params(&self) -> usize {
        65_535
    }

    fn lexis(&self) -> Lexis {
        Lexis {
            backslash: true,
            hash_comments: true,
            code_in_comments: true,
            ..Lexis::default()
        }
    }

    fn stage(&self, stage: &Stage<'_>) -> Vec<String> {
        // of a query, so that character sets and collations come along
        let mut names: Vec<String> = stage
            .columns
            .iter()
            .map(|column| self.quote(&column.name))
            .collect();
        if stage.lots {
            names.push(format!("CAST(0 AS SIGNED) AS {}", self.quote(LOT)));
        }
        let key: Vec<String> = stage
            .primary_key()
            .iter()
            .map(|name| self.quote(name))
            .collect();
        let key = if stage.key.is_empty() {
            String::new()
        } else if stage.lots && !has_room(stage) {
            format!("(KEY ({})) ", self.quote(LOT))
        } else {
            format!("(PRIMARY KEY ({})) ", key.join(", "))
        };
        vec![format!(
            "CREATE TEMPORARY TABLE {} {key}ENGINE=InnoDB SELECT {} FROM {} LIMIT 0",
            self.qualify(stage.name),
            names.join(", "),
            self.qualify(stage.table)
        )]
    }

    fn drop_stage(&self, stage: &TableName) -> String {
        format!("DROP TEMPORARY TABLE {}", self.qualify(stage))
    }

    fn update_from(&self, change: &Change<'_>) -> String {
        change.update_joined(self)
    }

    fn delete_from(&self, change: &Change<'_>) -> String {
        let (table, stage) = (self.qualify(change.table), self.qualify(change.stage));
        format!(
            "DELETE {table} FROM {stage} JOIN {table} ON {}",
            change.on(self)
        )
    }

    fn differs(&self, one: &str, other: &str, column: &ColumnInfo) -> String {
        match column.kind {
            Kind::Text | Kind::Json | Kind::Other => {
                format!("NOT (CAST({one} AS BINARY) <=> CAST({other} AS BINARY))")
            }
            _ => format!("NOT ({one} <=> {other})"),
        }
    }

    fn next_number(&self, sequence: &TableName) -> Option<String> {
        Some(format!("NEXTVAL({})", self.qualify(sequence)))
    }

    fn fingerprint(&self, columns: &[&ColumnInfo]) -> Option<String> {
        let mut parts = Vec::new();
        for column in columns {
            let name = self.quote(&column.name);
            // what is NULL would be left out, and what stands behind it taken for it
            let or = |text: String, null: &str| match column.nullable {
                true => format!("IFNULL({text}, '{null}')"),
                false => text,
            };
            match column.kind {
                Kind::Text | Kind::Json | Kind::Blob | Kind::Other => {
                    // with its length behind it nothing can be taken for a mark between two values
                    parts.push(or(format!("CAST({name} AS BINARY)"), ""));
                    parts.push(or(format!("LENGTH({name})"), "N"));
                }
                // as text it would be cut to six digits
                Kind::Real => parts.extend([format!("{name} + 0e0"), format!("ISNULL({name})")]),
                _ => parts.push(or(name, "N")),
            }
        }
        // Two checksums of 32 bits, of the text and of it read backwards: a change goes unseen only if both stay, or their product does, an accident
        // in about 2^60. They are linear, which their product is not: so equal changes of two rows do not make up for each other. Half of an MD5 would
        // be worth 64 bits and costs the server half as much again. The variable saves making the text twice.
        Some(format!(
            "CRC32(@procctl_row := CONCAT_WS('#', {})) * CRC32(REVERSE(@procctl_row))",
            parts.join(", ")
        ))
    }

    fn in_form_order(&self, expression: &str, kind: Kind) -> String {
        match kind {
            Kind::Text | Kind::Json | Kind::Other => {
                format!("CAST(CONVERT({expression} USING utf8mb4) AS BINARY)")
            }
            _ => expression.to_owned(),
        }
    }

    fn span_number(&self, column: &str, from: i128, width: i128) -> String {
        format!("({column} - ({from})) DIV {width}")
    }
}

/// Whether the number of a lot fits into one index with the key: 3,072 bytes, up to four a character.
fn has_room(stage: &Stage<'_>) -> bool {
    let in_key = |column: &&ColumnInfo| stage.key.contains(&column.name);
    let width = |column: &ColumnInfo| match (column.kind, column.length) {
        (Kind::Text | Kind::Json | Kind::Other, length) => length.map(|length| 4 * length),
        (Kind::Blob, length) => length,
        // a decimal of 65 digits is the longest
        _ => Some(32),
    };
    let all: Option<u64> = stage.columns.iter().filter(in_key).map(width).sum();
    all.is_some_and(|bytes| bytes + 8 <= 3_072)
}

/// Whether MySQL commits what is open before it does this.
fn commits(words: &[&str]) -> bool {
    match words {
        ["CREATE" | "DROP", rest @ ..] => !rest.contains(&"TEMPORARY"),
        ["SET", rest @ ..] => {
            rest.iter().take(3).any(|word| *word == "AUTOCOMMIT")
                || rest.first() == Some(&"PASSWORD")
        }
        [first, ..] => matches!(
            *first,
            "ALTER"
                | "RENAME"
                | "TRUNCATE"
                | "GRANT"
                | "REVOKE"
                | "ANALYZE"
                | "CHECK"
                | "OPTIMIZE"
                | "REPAIR"
                | "FLUSH"
                | "RESET"
                | "LOCK"
                | "UNLOCK"
                | "INSTALL"
                | "UNINSTALL"
                | "CACHE"
                | "XA"
        ),
        [] => false,
    }
}

impl Mysql {
    /// What an INSERT does with a key that is there already. MySQL cannot be told which key is meant.
    pub(super) fn on_clash(&self, load: &Load<'_>) -> String {
        let same = |name: &String| {
            format!(
                "{0} = {1}.{0}",
                self.quote(name),
                self.quote(&load.table.name)
            )
        };
        let sets: Vec<String> = match load.mode {
            Mode::Append => return String::new(),
            Mode::Skip => Vec::new(),
            Mode::Upsert { key } => {
                let brought = load.columns.iter().filter(|column| !key.contains(column));
                brought
                    .map(|column| format!("{0} = VALUES({0})", self.quote(column)))
                    .collect()
            }
        };
        let sets = match (sets.is_empty(), load.columns.first()) {
            (true, Some(first)) => same(first),
            _ => sets.join(", "),
        };
        format!(" ON DUPLICATE KEY UPDATE {sets}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TableName;

    #[test]
    fn a_stage_has_an_index_that_fits() {
        let (name, table) = (TableName::new("s"), TableName::new("t"));
        let key = ["k".to_owned()];
        let sql = |length: Option<u64>, lots: bool| {
            let columns = [ColumnInfo {
                length,
                ..ColumnInfo::new("k", Kind::Text)
            }];
            let stage = Stage {
                name: &name,
                table: &table,
                columns: &columns,
                key: &key,
                lots,
            };
            Mysql.stage(&stage).remove(0)
        };
        let lot = Mysql.quote(LOT);
        assert!(sql(Some(50), true).contains(&format!("(PRIMARY KEY ({lot}, `k`))")));
        assert!(sql(Some(768), true).contains(&format!("(KEY ({lot}))")));
        assert!(sql(Some(768), false).contains("(PRIMARY KEY (`k`))"));
    }

    #[test]
    fn inserts_as_the_mode_says() {
        let (table, columns) = (TableName::new("o`bs"), ["id".to_owned(), "值".to_owned()]);
        let sql = |mode| {
            Mysql.insert(&Load {
                table: &table,
                columns: &columns,
                mode,
            })
        };
        let head = "INSERT INTO `o``bs` (`id`, `值`) VALUES (?, ?)";
        assert_eq!(sql(Mode::Append), head);
        assert_eq!(
            sql(Mode::Skip),
            format!("{head} ON DUPLICATE KEY UPDATE `id` = `o``bs`.`id`")
        );
        assert_eq!(
            sql(Mode::Upsert { key: &columns[..1] }),
            format!("{head} ON DUPLICATE KEY UPDATE `值` = VALUES(`值`)")
        );
    }
}
