//! Rows are found again by keys of any type, alone and beside a number, on either server.

use super::{capture, run};
use crate::lab::Lab;
use crate::place::{Engine, Place};

/// Types of keys with a value of each for every number `n`, on PostgreSQL.
const KEYS: [(&str, &str); 8] = [
    ("text", "'k ' || n"),
    ("varchar(9)", "'v' || n"),
    ("char(9)", "'c' || n"),
    ("bytea", "decode(md5(n::text), 'hex')"),
    ("numeric(20,4)", "n * 1.25 - 30"),
    ("uuid", "md5(n::text)::uuid"),
    (
        "timestamp(3)",
        "TIMESTAMP '2026-01-01' + n * INTERVAL '90.5 s'",
    ),
    ("date", "DATE '2026-01-01' + n"),
];

#[test]
fn deletes_find_keys_of_any_type() {
    let lab = Lab::new();
    let source = Place::new(&lab, Engine::Postgres, "capture_keys");
    for (at, (declared, value)) in KEYS.iter().enumerate() {
        source.run(&format!(
            "CREATE TABLE k{at} (k {declared}, n int, u int UNIQUE, v text, PRIMARY KEY (k, n)); \
             INSERT INTO k{at} SELECT {value}, n, n, 'v' || n FROM generate_series(1, 50) n"
        ));
    }
    for engine in [Engine::Postgres, Engine::Mariadb] {
        let target = Place::new(&lab, engine, "capture_keys_to");
        let table = |at: usize| {
            format!(
                r#"<table from="k{at}" to="c{at}" mode="capture" create="true" verify="true"/>"#
            )
        };
        let tables: String = (0..KEYS.len()).map(table).collect();
        let name = format!("keys_{engine:?}");
        let (from, to) = (&source.url, &target.url);
        let file = lab.write(
            &format!("{name}.xml"),
            format!(
                r#"<sync name="{name}"><source url="{from}"/><target url="{to}"/>{tables}</sync>"#
            ),
        );
        capture(&lab, "install", &file);
        run(&lab, &file);
        for (at, (_, value)) in KEYS.iter().enumerate() {
            source.run(&format!(
                "DELETE FROM k{at} WHERE n % 5 = 0; UPDATE k{at} SET v = 'new' WHERE n % 7 = 0; UPDATE k{at} SET n = n + 1000 WHERE n = 8; \
                 INSERT INTO k{at} SELECT {value}, n, n, 'more' FROM generate_series(5, 50, 10) n"
            ));
        }
        // each table is held against its copy
        run(&lab, &file);
        source.run(
            &(0..KEYS.len())
                .map(|at| format!("UPDATE k{at} SET n = 8 WHERE n = 1008; INSERT INTO k{at} SELECT k, n + 100, NULL, v FROM k{at} WHERE n = 1;"))
                .collect::<String>(),
        );
        run(&lab, &file);
        capture(&lab, "remove", &file);
        source.run(
            &(0..KEYS.len())
                .map(|at| format!("DELETE FROM k{at} WHERE n = 101;"))
                .collect::<String>(),
        );
    }
}
