//! `sync` between the three databases: rows get where they belong, once, whatever breaks. What is there in the end is compared by the databases' own clients.

mod capture;
mod changes;
mod kills;
mod late;
mod likeness;
mod link;
mod pairs;
mod restarts;

use crate::lab::Lab;
use crate::place::{Engine, Place};

impl Place {
    /// A table that every database can have; its every type is one that they spell differently.
    fn make(&self, table: &str) {
        let [moment, flag, bytes] = match self.engine {
            Engine::Postgres => ["timestamp(0)", "boolean", "bytea"],
            Engine::Mariadb => ["datetime", "boolean", "varbinary(40)"],
            Engine::Sqlite => ["timestamp", "boolean", "blob"],
        };
        self.run(&format!(
            "CREATE TABLE {table} (id integer NOT NULL PRIMARY KEY, name varchar(40), amount numeric(12,2), ratio double precision, day date, moment {moment}, flag {flag}, bytes {bytes})"
        ));
    }

    /// A row's values as SQL.
    fn values(&self, id: u64, salt: u64) -> String {
        let bytes = match self.engine {
            Engine::Postgres => format!("'\\x{id:06x}ff'"),
            _ => format!("x'{id:06x}ff'"),
        };
        let flag = match (self.engine, (id + salt).is_multiple_of(2)) {
            (Engine::Sqlite, even) => u8::from(even).to_string(),
            (_, even) => even.to_string(),
        };
        if id.is_multiple_of(10) {
            return format!("({id}, NULL, NULL, NULL, NULL, NULL, NULL, NULL)");
        }
        format!(
            "({id}, 'ö{id} ''{salt}''', {}.{:02}, {id}.25, '2026-11-{:02}', '2026-11-21 13:45:{:02}', {flag}, {bytes})",
            id + salt,
            id % 100,
            id % 28 + 1,
            salt % 60
        )
    }

    fn insert(&self, table: &str, ids: impl Iterator<Item = u64>, salt: u64) {
        let rows: Vec<String> = ids.map(|id| self.values(id, salt)).collect();
        // a client takes only so much from its command line
        for some in rows.chunks(500) {
            self.run(&format!("INSERT INTO {table} VALUES {}", some.join(", ")));
        }
    }

    /// The table's rows, each as one text that is the same in every database.
    fn content(&self, table: &str) -> Vec<String> {
        let parts = match self.engine {
            Engine::Postgres => [
                "name",
                "CAST(CAST(amount * 100 AS bigint) AS text)",
                "CAST(CAST(ratio * 100 AS bigint) AS text)",
                "CAST(day AS text)",
                "to_char(moment, 'YYYY-MM-DD HH24:MI:SS')",
                "CASE WHEN flag THEN '1' ELSE '0' END",
                "encode(bytes, 'hex')",
            ],
            Engine::Mariadb => [
                "name",
                "CAST(CAST(amount * 100 AS SIGNED) AS CHAR)",
                "CAST(CAST(ratio * 100 AS SIGNED) AS CHAR)",
                "CAST(day AS CHAR)",
                "CAST(moment AS CHAR)",
                "CASE WHEN flag THEN '1' ELSE '0' END",
                "LOWER(HEX(bytes))",
            ],
            Engine::Sqlite => [
                "name",
                "CAST(CAST(round(amount * 100) AS INTEGER) AS TEXT)",
                "CAST(CAST(ratio * 100 AS INTEGER) AS TEXT)",
                "day",
                "moment",
                "CASE WHEN flag THEN '1' ELSE '0' END",
                "lower(hex(bytes))",
            ],
        };
        let parts: Vec<String> = parts
            .iter()
            .map(|part| format!("CASE WHEN name IS NULL THEN '-' ELSE {part} END"))
            .collect();
        let id = match self.engine {
            Engine::Mariadb => "CAST(id AS CHAR)",
            _ => "CAST(id AS TEXT)",
        };
        let line = match self.engine {
            Engine::Mariadb => format!("CONCAT_WS(' ', {id}, {})", parts.join(", ")),
            _ => format!("{id} || ' ' || {}", parts.join(" || ' ' || ")),
        };
        self.lines(&format!("SELECT {line} FROM {table} ORDER BY id"))
    }
}

/// Runs a job, which must succeed; its log.
fn run(lab: &Lab, name: &str, xml: &str) -> String {
    let file = lab.write(&format!("{name}.xml"), xml);
    let output = lab.run("jobs", ["run".as_ref(), file.as_os_str()]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{name}: {}\n{told}", output.status);
    told
}

/// Asserts that two tables have the same rows, and shows the first that is not.
fn same(found: &[String], expected: &[String]) {
    let first = found.iter().zip(expected).find(|(one, other)| one != other);
    assert!(
        found == expected,
        "{} rows instead of {}; the first that differs: {first:?}",
        found.len(),
        expected.len()
    );
}
