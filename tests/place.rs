//! A fresh database that a story plays on, asked by other means than ours: a server's by its own client, SQLite's by its library.

use std::path::PathBuf;

use crate::lab::{Lab, PATIENCE};
use crate::services;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Engine {
    Postgres,
    Mariadb,
    Sqlite,
}

pub(crate) const ENGINES: [Engine; 3] = [Engine::Postgres, Engine::Mariadb, Engine::Sqlite];

impl Engine {
    /// A short name for tables and folders.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Engine::Postgres => "pg",
            Engine::Mariadb => "my",
            Engine::Sqlite => "lite",
        }
    }
}

/// A database; stories add what they do with its tables.
pub(crate) struct Place {
    pub(crate) engine: Engine,
    pub(crate) url: String,
    path: PathBuf,
}

impl Place {
    /// A new one of that name, which replaces an older one.
    pub(crate) fn new(lab: &Lab, engine: Engine, name: &str) -> Place {
        let path = lab.path(format!("{name}.db"));
        let url = match engine {
            Engine::Postgres => services::database(services::postgres(), name),
            Engine::Mariadb => services::database(services::mariadb(), name),
            Engine::Sqlite => format!("sqlite:{}", path.display()),
        };
        let place = Place { engine, url, path };
        if engine == Engine::Sqlite {
            place.run("PRAGMA journal_mode=WAL");
        }
        place
    }

    /// One of a server that is there already.
    pub(crate) fn at(engine: Engine, url: &str) -> Place {
        Place {
            engine,
            url: url.to_owned(),
            path: PathBuf::new(),
        }
    }

    fn sqlite(&self) -> rusqlite::Connection {
        let db = rusqlite::Connection::open(&self.path).expect("the database");
        db.busy_timeout(PATIENCE).expect("a time limit");
        db
    }

    /// What a server's client says to one query, or to several statements.
    fn ask(&self, sql: &str) -> String {
        // the client's own character set would take no letter of four bytes
        let names = match self.engine {
            Engine::Mariadb => "SET NAMES utf8mb4; ",
            Engine::Postgres | Engine::Sqlite => "",
        };
        services::ask(&self.url, &format!("{names}{sql}"))
    }

    /// Runs statements.
    pub(crate) fn run(&self, sql: &str) {
        if self.engine == Engine::Sqlite {
            self.sqlite().execute_batch(sql).expect("a statement");
        } else {
            self.ask(sql);
        }
    }

    /// The rows of a query of one text column.
    pub(crate) fn lines(&self, sql: &str) -> Vec<String> {
        if self.engine != Engine::Sqlite {
            return self.ask(sql).lines().map(str::to_owned).collect();
        }
        let db = self.sqlite();
        let mut statement = db.prepare(sql).expect("a query");
        let found = statement
            .query_map([], |row| row.get::<_, String>(0))
            .expect("rows");
        found.map(|line| line.expect("text")).collect()
    }
}
