//! The change log of one table in its source, and the triggers that fill it: names and SQL. Pure.
//!
//! A row of the log says that something has happened to the row of a key: `I`, `U` or `D`, after which the key is looked up in the table
//! itself. An update that changes the key is two entries. `T` says that the table was emptied at once, `S` that the whole table shall be
//! copied again. Numbers never come twice, also when a log is made anew: they begin with the microseconds since 1970.

use db::{ColumnInfo, Dialect, TableInfo, TableName};

use crate::likeness::{Side, Wanted, draw};

/// The log of one table for one job.
#[derive(Debug, Clone)]
pub(super) struct Log {
    /// The table whose changes it holds.
    pub(super) source: TableName,
    /// Its own table, beside the other.
    pub(super) table: TableName,
    /// The key's columns in the source.
    pub(super) key: Vec<ColumnInfo>,
}

/// What makes a log, and what takes it away; statements in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Works {
    pub(super) install: Vec<String>,
    pub(super) remove: Vec<String>,
    /// Counts the triggers that are there, where the database tells.
    pub(super) count: String,
    /// How many there shall be.
    pub(super) triggers: u64,
}

impl Log {
    /// The log of `source` for `job`; `key` are columns of the source.
    pub(super) fn of(job: &str, source: &TableName, key: Vec<ColumnInfo>) -> Log {
        let hash = blake3::hash(format!("{job}\0{source}").as_bytes()).to_hex();
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '_'
            }
        };
        let stem: String = source.name.chars().map(plain).take(24).collect();
        Log {
            source: source.clone(),
            table: TableName {
                schema: source.schema.clone(),
                name: format!("procctl_changes_{stem}_{}", &hash[..10]),
            },
            key,
        }
    }

    /// The statement that has the whole table copied when its turn comes.
    pub(super) fn ask_for_copy(&self, dialect: &dyn Dialect) -> String {
        format!(
            "INSERT INTO {} (op) VALUES ('S')",
            dialect.qualify(&self.table)
        )
    }

    /// The log's column for a column of the key, by its place from 0.
    pub(super) fn column(place: usize) -> String {
        format!("procctl_{}", place + 1)
    }

    /// The statements for this database, numbers from `first` on; `None` = changes are not captured there. `schema`: the one that the
    /// source is in.
    pub(super) fn works(
        &self,
        dialect: &'static dyn Dialect,
        info: &TableInfo,
        schema: &str,
        first: u64,
    ) -> Option<Works> {
        let sql = Sql {
            log: self,
            dialect,
            keys: self.types(dialect, info),
        };
        match dialect.name() {
            "postgres" => Some(sql.postgres(schema, first)),
            "mysql" => Some(sql.mysql(first)),
            "sqlite" => Some(sql.sqlite(info, first)),
            _ => None,
        }
    }

    /// The key's columns with their types, as columns of the log.
    fn types(&self, dialect: &'static dyn Dialect, info: &TableInfo) -> String {
        let names: Vec<String> = (0..self.key.len()).map(Log::column).collect();
        let wanted = names.iter().zip(&self.key).map(|(name, like)| Wanted {
            name,
            like,
            own: false,
        });
        let wanted: Vec<Wanted<'_>> = wanted.collect();
        let drawing = draw(&Side { dialect, info }, dialect, &wanted);
        let columns = drawing.info.columns.iter();
        let typed: Vec<String> = columns
            .map(|column| format!("{} {}", column.name, column.declared))
            .collect();
        typed.join(", ")
    }
}

/// The pieces of SQL of one log.
struct Sql<'a> {
    log: &'a Log,
    dialect: &'static dyn Dialect,
    /// `procctl_1 bigint, …`
    keys: String,
}

impl Sql<'_> {
    fn table(&self) -> String {
        self.dialect.qualify(&self.log.table)
    }

    fn source(&self) -> String {
        self.dialect.qualify(&self.log.source)
    }

    /// The trigger or function with this ending.
    fn named(&self, ending: &str) -> String {
        self.dialect
            .quote(&format!("{}{ending}", self.log.table.name))
    }

    /// `op, procctl_1, …`
    fn columns(&self) -> String {
        let names = (0..self.log.key.len()).map(Log::column);
        std::iter::once("op".to_owned())
            .chain(names)
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// `NEW."a", NEW."b"`
    fn values(&self, row: &str) -> String {
        let names = self
            .log
            .key
            .iter()
            .map(|column| format!("{row}.{}", self.dialect.quote(&column.name)));
        names.collect::<Vec<_>>().join(", ")
    }

    /// The statement that enters a key into the log.
    fn enter(&self, into: &str, op: char, row: &str) -> String {
        format!(
            "INSERT INTO {into} ({}) VALUES ('{op}', {})",
            self.columns(),
            self.values(row)
        )
    }

    /// Whether an update changes the key, by the database's own comparison that knows NULL.
    fn moved(&self, same: &str) -> String {
        let columns = self.log.key.iter().map(|column| {
            let name = self.dialect.quote(&column.name);
            format!("OLD.{name} {same} NEW.{name}")
        });
        format!("NOT ({})", columns.collect::<Vec<_>>().join(" AND "))
    }

    fn first_entry(&self, first: u64) -> String {
        format!(
            "INSERT INTO {} (seq, op) VALUES ({first}, 'S')",
            self.table()
        )
    }

    fn postgres(&self, schema: &str, first: u64) -> Works {
        let (table, source, function) = (self.table(), self.source(), self.named(""));
        let place = TableName {
            schema: Some(schema.to_owned()),
            name: self.log.table.name.clone(),
        };
        let (into, function_place) = (self.dialect.qualify(&place), self.dialect.qualify(&place));
        let each = self.named("_row");
        let empty = self.named("_empty");
        let next = first + 1;
        let body = format!(
            "BEGIN IF TG_OP = 'TRUNCATE' THEN INSERT INTO {into} (op) VALUES ('T'); \
             ELSIF TG_OP = 'INSERT' THEN {}; ELSIF TG_OP = 'DELETE' THEN {}; \
             ELSE IF {} THEN {}; END IF; {}; END IF; RETURN NULL; END",
            self.enter(&into, 'I', "NEW"),
            self.enter(&into, 'D', "OLD"),
            self.moved("IS NOT DISTINCT FROM"),
            self.enter(&into, 'D', "OLD"),
            self.enter(&into, 'U', "NEW"),
        );
        Works {
            install: vec![
                format!(
                    "CREATE TABLE {into} (seq BIGINT GENERATED BY DEFAULT AS IDENTITY (START WITH {next}) PRIMARY KEY, \
                     op CHAR(1) NOT NULL, at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(), {})",
                    self.keys
                ),
                // writers of the table need no right on its log
                format!(
                    "CREATE FUNCTION {function_place}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER \
                     SET search_path = pg_catalog, pg_temp AS $procctl${body}$procctl$"
                ),
                format!(
                    "CREATE TRIGGER {each} AFTER INSERT OR UPDATE OR DELETE ON {source} FOR EACH ROW EXECUTE FUNCTION {function_place}()"
                ),
                format!(
                    "CREATE TRIGGER {empty} AFTER TRUNCATE ON {source} FOR EACH STATEMENT EXECUTE FUNCTION {function_place}()"
                ),
                self.first_entry(first),
            ],
            remove: vec![
                format!("DROP TRIGGER IF EXISTS {each} ON {source}"),
                format!("DROP TRIGGER IF EXISTS {empty} ON {source}"),
                format!("DROP FUNCTION IF EXISTS {function}()"),
                format!("DROP TABLE IF EXISTS {table}"),
            ],
            count: format!(
                "SELECT count(*) FROM pg_catalog.pg_trigger WHERE tgenabled <> 'D' AND tgname IN ('{0}_row', '{0}_empty')",
                self.log.table.name
            ),
            triggers: 2,
        }
    }

    fn mysql(&self, first: u64) -> Works {
        let (table, source) = (self.table(), self.source());
        let placed = |ending: &str| {
            let name = format!("{}{ending}", self.log.table.name);
            self.dialect.qualify(&TableName {
                schema: self.log.table.schema.clone(),
                name,
            })
        };
        let trigger = |ending: &str, event: &str, body: &str| {
            format!(
                "CREATE TRIGGER {} AFTER {event} ON {source} FOR EACH ROW {body}",
                placed(ending)
            )
        };
        let update = format!(
            "BEGIN IF {} THEN {}; END IF; {}; END",
            self.moved("<=>"),
            self.enter(&table, 'D', "OLD"),
            self.enter(&table, 'U', "NEW")
        );
        let endings = ["_i", "_u", "_d"];
        let mut remove: Vec<String> = endings
            .iter()
            .map(|ending| format!("DROP TRIGGER IF EXISTS {}", placed(ending)))
            .collect();
        remove.push(format!("DROP TABLE IF EXISTS {table}"));
        Works {
            install: vec![
                format!(
                    "CREATE TABLE {table} (seq BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, op CHAR(1) NOT NULL, \
                     at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), {}) ENGINE=InnoDB",
                    self.keys
                ),
                self.first_entry(first),
                trigger("_i", "INSERT", &self.enter(&table, 'I', "NEW")),
                trigger("_u", "UPDATE", &update),
                trigger("_d", "DELETE", &self.enter(&table, 'D', "OLD")),
            ],
            remove,
            count: format!(
                "SELECT count(*) FROM information_schema.triggers WHERE trigger_name IN ('{0}_i', '{0}_u', '{0}_d')",
                self.log.table.name
            ),
            triggers: 3,
        }
    }

    fn sqlite(&self, info: &TableInfo, first: u64) -> Works {
        // within a trigger, names have no schema
        let (table, into) = (self.table(), self.dialect.quote(&self.log.table.name));
        let source = self.dialect.quote(&self.log.source.name);
        let mut names: Vec<String> = Vec::new();
        let mut install = vec![format!(
            "CREATE TABLE {table} (seq INTEGER PRIMARY KEY AUTOINCREMENT, op TEXT NOT NULL, \
             at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')), {})",
            self.keys
        )];
        let mut trigger = |ending: String, moment: &str, body: &str| {
            install.push(format!(
                "CREATE TRIGGER {} {moment} ON {source} BEGIN {body}; END",
                self.named(&ending)
            ));
            names.push(ending);
        };
        trigger(
            "_i".to_owned(),
            "AFTER INSERT",
            &self.enter(&into, 'I', "NEW"),
        );
        trigger(
            "_d".to_owned(),
            "AFTER DELETE",
            &self.enter(&into, 'D', "OLD"),
        );
        trigger("_u".to_owned(), "AFTER UPDATE", &self.updated(&into));
        for (place, unique) in self.other_keys(info).into_iter().enumerate() {
            // a row that REPLACE pushes aside fires no trigger of its own: its key is entered before
            let body = self.pushed_aside(unique, &into, &source);
            trigger(format!("_bi{place}"), "BEFORE INSERT", &body);
            let another = format!("{body} AND {}", self.is_another());
            trigger(format!("_bu{place}"), "BEFORE UPDATE", &another);
        }
        install.push(self.first_entry(first));
        let quoted: Vec<String> = names
            .iter()
            .map(|ending| format!("'{}{ending}'", self.log.table.name))
            .collect();
        let mut remove: Vec<String> = names
            .iter()
            .map(|ending| format!("DROP TRIGGER IF EXISTS {}", self.named(ending)))
            .collect();
        remove.push(format!("DROP TABLE IF EXISTS {table}"));
        Works {
            install,
            remove,
            count: format!(
                "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND name IN ({})",
                quoted.join(", ")
            ),
            triggers: u64::try_from(names.len()).unwrap_or(u64::MAX),
        }
    }

    /// The statements of SQLite that enter an updated row, and its old key where it has changed.
    fn updated(&self, into: &str) -> String {
        format!(
            "INSERT INTO {into} ({}) SELECT 'D', {} WHERE {}; {}",
            self.columns(),
            self.values("OLD"),
            self.moved("IS"),
            self.enter(into, 'U', "NEW")
        )
    }

    /// The statement of SQLite that enters the keys of rows with the new row's values of a unique key.
    fn pushed_aside(&self, unique: &[String], into: &str, source: &str) -> String {
        let same = unique.iter().map(|name| {
            let name = self.dialect.quote(name);
            format!("{name} = NEW.{name}")
        });
        let keys = self
            .log
            .key
            .iter()
            .map(|column| self.dialect.quote(&column.name));
        format!(
            "INSERT INTO {into} ({}) SELECT 'D', {} FROM {source} WHERE {}",
            self.columns(),
            keys.collect::<Vec<_>>().join(", "),
            same.collect::<Vec<_>>().join(" AND ")
        )
    }

    /// That a row is not the one that is updated.
    fn is_another(&self) -> String {
        let columns = self.log.key.iter().map(|column| {
            let name = self.dialect.quote(&column.name);
            format!("{name} IS OLD.{name}")
        });
        format!("NOT ({})", columns.collect::<Vec<_>>().join(" AND "))
    }

    /// The table's keys beside that of the log.
    fn other_keys<'i>(&self, info: &'i TableInfo) -> Vec<&'i Vec<String>> {
        let own: Vec<&String> = self.log.key.iter().map(|column| &column.name).collect();
        info.keys()
            .filter(|key| key.iter().collect::<Vec<_>>() != own)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use db::Kind;

    fn table() -> TableInfo {
        let column = |name: &str, kind, declared: &str| ColumnInfo {
            declared: declared.to_owned(),
            nullable: false,
            ..ColumnInfo::new(name, kind)
        };
        TableInfo {
            columns: vec![
                column("a", Kind::Integer, "bigint"),
                column("b \"x\"", Kind::Text, "varchar(9)"),
                column("u", Kind::Text, "text"),
            ],
            primary_key: vec!["a".to_owned(), "b \"x\"".to_owned()],
            uniques: vec![vec!["u".to_owned()]],
            view: false,
        }
    }

    fn log(job: &str, source: &str) -> Log {
        Log::of(
            job,
            &TableName::parse(source),
            table().columns[..2].to_vec(),
        )
    }

    #[test]
    fn names_are_short_and_of_their_job_and_table() {
        let long = "s.".to_owned() + &"Ä x".repeat(40);
        let names: Vec<String> = [("a", "t"), ("b", "t"), ("a", "s.t"), ("a", long.as_str())]
            .map(|(job, source)| log(job, source).table.name)
            .to_vec();
        for (at, name) in names.iter().enumerate() {
            assert!(
                name.len() <= 58 && name.starts_with("procctl_changes_"),
                "{name}"
            );
            assert!(!names[..at].contains(name), "{name}");
        }
        assert_eq!(log("a", "s.t").table.schema.as_deref(), Some("s"));
    }

    #[test]
    fn each_server_has_its_triggers() {
        let info = table();
        for (scheme, triggers) in [("postgres:", 2), ("mysql:", 3), ("sqlite:", 5)] {
            let dialect = db::dialect_of(scheme).unwrap();
            let works = log("job", "t").works(dialect, &info, "public", 7).unwrap();
            assert_eq!(works.triggers, triggers, "{scheme}");
            let made = works
                .install
                .iter()
                .filter(|sql| sql.starts_with("CREATE TRIGGER"))
                .count();
            assert_eq!(u64::try_from(made).unwrap(), triggers, "{scheme}");
            assert!(
                works.install[0].contains("procctl_1 bigint, procctl_2 varchar(9)"),
                "{}",
                works.install[0]
            );
        }
    }

    #[test]
    fn sqlite_enters_what_happens_and_what_is_pushed_aside() {
        let db = rusqlite::Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE t (a bigint, \"b \"\"x\"\"\" varchar(9), u text UNIQUE, PRIMARY KEY (a, \"b \"\"x\"\"\"))").unwrap();
        let works = log("job", "t")
            .works(db::dialect_of("sqlite:").unwrap(), &table(), "main", 7)
            .unwrap();
        for sql in &works.install {
            db.execute_batch(sql).unwrap();
        }
        let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count(&works.count), i64::try_from(works.triggers).unwrap());
        db.execute_batch(
            "INSERT INTO t VALUES (1, 'x', 'one'); UPDATE t SET u = 'two'; UPDATE t SET a = 2;
             INSERT OR REPLACE INTO t VALUES (3, 'y', 'two'); DELETE FROM t",
        )
        .unwrap();
        let mut statement = db
            .prepare(&format!(
                "SELECT op, procctl_1 FROM {} ORDER BY seq",
                log("job", "t").table.name
            ))
            .unwrap();
        let entries: Vec<(String, Option<i64>)> = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let entries: Vec<(&str, Option<i64>)> = entries
            .iter()
            .map(|(op, key)| (op.as_str(), *key))
            .collect();
        assert_eq!(
            entries,
            [
                ("S", None),
                ("I", Some(1)),
                ("U", Some(1)),
                ("D", Some(1)),
                ("U", Some(2)),
                ("D", Some(2)),
                ("I", Some(3)),
                ("D", Some(3))
            ]
        );
        drop(statement);
        for sql in &works.remove {
            db.execute_batch(sql).unwrap();
        }
        db.execute_batch("INSERT INTO t VALUES (4, 'z', 'four')")
            .unwrap();
        assert_eq!(count(&works.count), 0);
    }
}
