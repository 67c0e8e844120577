//! Who is behind the driver, and what that means: the SQL that is spoken, the settings of a session, where the dictionary is, how a statement
//! is ended from outside.

use super::dialect::with_quote;
use super::lite;
use crate::{
    Connection, Dialect, Result, TableInfo, TableName, Transactions, mssql, mysql, postgres, sqlite,
};
use std::borrow::Cow;

/// The databases that are known by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Postgres,
    Mysql,
    Sqlite,
    Mssql,
    Other,
}

impl Engine {
    /// By what SQLGetInfo calls it (SQL_DBMS_NAME).
    pub(super) fn named(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let known = [
            ("postgres", Engine::Postgres),
            ("mariadb", Engine::Mysql),
            ("mysql", Engine::Mysql),
            ("sqlite", Engine::Sqlite),
            ("microsoft sql server", Engine::Mssql),
        ];
        let found = known.iter().find(|(word, _)| name.starts_with(word));
        found.map_or(Engine::Other, |(_, engine)| *engine)
    }

    pub(super) fn dialect(self, quote: Option<char>) -> &'static dyn Dialect {
        match self {
            Engine::Postgres => postgres::DRIVER.dialect,
            Engine::Mysql => mysql::DRIVER.dialect,
            Engine::Sqlite => sqlite::DRIVER.dialect,
            Engine::Mssql => mssql::DRIVER.dialect,
            Engine::Other => with_quote(quote),
        }
    }

    /// What a session must be told for exact values.
    pub(super) fn settings(self, wait: std::time::Duration) -> Vec<String> {
        match self {
            Engine::Postgres => vec![
                "SET TIME ZONE 'UTC'".to_owned(),
                "SET DateStyle TO 'ISO, MDY'".to_owned(),
                "SET bytea_output TO 'hex'".to_owned(),
                format!("SET lock_timeout TO {}", wait.as_millis().max(1)),
            ],
            // its driver speaks utf8mb4 and refuses to be told so
            Engine::Mysql => vec![mysql::settings(wait).replacen("NAMES utf8mb4, ", "", 1)],
            Engine::Sqlite => vec![
                "PRAGMA foreign_keys=ON".to_owned(),
                format!("PRAGMA busy_timeout={}", wait.as_millis()),
            ],
            Engine::Mssql => vec![format!(
                "SET LOCK_TIMEOUT {}",
                i32::try_from(wait.as_millis()).unwrap_or(i32::MAX)
            )],
            Engine::Other => Vec::new(),
        }
    }

    /// A query for the session's number, and the statement that ends what session `{}` runs.
    pub(super) fn kill(self) -> Option<(&'static str, &'static str)> {
        match self {
            Engine::Postgres => Some((
                "SELECT CAST(pg_backend_pid() AS VARCHAR(20))",
                "SELECT pg_cancel_backend({})",
            )),
            Engine::Mysql => Some(("SELECT CONNECTION_ID()", "KILL QUERY {}")),
            Engine::Sqlite | Engine::Mssql | Engine::Other => None,
        }
    }

    /// What makes a transaction that has just been opened a view of one moment.
    pub(super) fn snapshot(self) -> &'static [&'static str] {
        match self {
            Engine::Postgres => &[
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
                "SELECT 1",
            ],
            Engine::Mysql => &[
                "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
            ],
            Engine::Sqlite => &["SELECT 1 FROM sqlite_schema LIMIT 1"],
            Engine::Mssql => &["SET TRANSACTION ISOLATION LEVEL SNAPSHOT"],
            Engine::Other => &["SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"],
        }
    }

    /// How a savepoint is made, returned to and let go of.
    pub(super) fn savepoint(self) -> Savepoint {
        match self {
            Engine::Mssql => Savepoint {
                make: "SAVE TRANSACTION ",
                undo: "ROLLBACK TRANSACTION ",
                release: None,
            },
            _ => Savepoint {
                make: "SAVEPOINT ",
                undo: "ROLLBACK TO SAVEPOINT ",
                release: Some("RELEASE SAVEPOINT "),
            },
        }
    }

    /// Whether the driver takes and gives text whole in UTF-8 alone. MariaDB's puts a NUL behind what is not ASCII on the way from
    /// UTF-16, and loses its last character on the way back.
    pub(super) fn speaks_utf8(self) -> bool {
        self == Engine::Mysql
    }

    /// The statement as the driver may read it. MariaDB's takes a UTF-16 unit whose low byte is that of a surrogate (U+7AD9) for half a
    /// character and reads one unit too many for each: what it finds behind the end is left to a comment.
    pub(super) fn wording(self, sql: &str) -> Cow<'_, str> {
        let misread = |unit: u16| matches!(unit & 0xff, 0xd8..=0xdb);
        if self == Engine::Mysql && sql.encode_utf16().any(misread) {
            return format!("{sql}\n-- ").into();
        }
        sql.into()
    }

    /// Whether results come with sizes that hold. SQLite keeps to no size that a column declares.
    pub(super) fn keeps_sizes(self) -> bool {
        self != Engine::Sqlite
    }

    /// Whether a time with a zone is kept as it is in a column without one.
    pub(super) fn keeps_zones(self) -> bool {
        self == Engine::Sqlite
    }

    /// Whether the server undid the whole transaction with this error.
    pub(super) fn undoes(self, native: i32) -> bool {
        match self {
            Engine::Mysql => native == 1213,
            Engine::Mssql => native == 1205,
            _ => false,
        }
    }

    /// The tables, by the database's own dictionary; `None` where only the driver can tell.
    pub(super) fn tables(self, connection: &mut dyn Connection) -> Option<Result<Vec<TableName>>> {
        match self {
            Engine::Postgres => Some(postgres::dictionary::tables(connection)),
            Engine::Mysql => Some(mysql::dictionary::tables(connection)),
            Engine::Sqlite => Some(lite::tables(connection)),
            Engine::Mssql | Engine::Other => None,
        }
    }

    /// One table, by the database's own dictionary; the outer `None` as in [`Engine::tables`].
    pub(super) fn table(
        self,
        connection: &mut dyn Connection,
        table: &TableName,
    ) -> Option<Result<Option<TableInfo>>> {
        match self {
            Engine::Postgres => Some(postgres::dictionary::table(connection, table)),
            Engine::Mysql => Some(mysql::dictionary::table(connection, table)),
            Engine::Sqlite => Some(lite::table(connection, table)),
            Engine::Mssql | Engine::Other => None,
        }
    }

    /// Refuses a table whose rows could not be taken back.
    pub(super) fn refuse(
        self,
        connection: &mut dyn Connection,
        table: &TableName,
        action: &str,
    ) -> Result<()> {
        match self {
            Engine::Mysql => {
                mysql::dictionary::refuse_without_transactions(connection, table, action)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn transactions(self, connection: &mut dyn Connection) -> Result<Transactions> {
        match self {
            Engine::Postgres => postgres::open_transactions(connection),
            Engine::Mysql => mysql::open_transactions(connection),
            Engine::Sqlite => Ok(Transactions::Listed(Vec::new())),
            Engine::Mssql | Engine::Other => Ok(Transactions::Hidden(
                "ODBC has no word for open transactions".to_owned(),
            )),
        }
    }
}

/// The words around a savepoint's name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Savepoint {
    pub(super) make: &'static str,
    pub(super) undo: &'static str,
    pub(super) release: Option<&'static str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_known_by_their_names() {
        for (name, engine) in [
            ("PostgreSQL", Engine::Postgres),
            ("MariaDB", Engine::Mysql),
            ("MySQL", Engine::Mysql),
            ("SQLite", Engine::Sqlite),
            ("Microsoft SQL Server", Engine::Mssql),
            ("Firebird", Engine::Other),
        ] {
            assert_eq!(Engine::named(name), engine);
        }
        assert_eq!(Engine::Mysql.wording("SELECT `站`"), "SELECT `站`\n-- ");
        assert_eq!(Engine::Mysql.wording("SELECT `测`"), "SELECT `测`");
        let dialect = |engine: Engine| engine.dialect(Some('"')).name();
        assert_eq!(dialect(Engine::Mysql), "mysql");
        assert_eq!(dialect(Engine::Other), "odbc");
    }
}
