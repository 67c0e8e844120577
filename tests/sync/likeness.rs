//! A table of every type is made in each database like it is in each other one, filled by a sync that verifies itself, and comes out equal, text
//! for text. And what a sync says of tables that are not alike.

use crate::lab::Lab;
use crate::place::{ENGINES, Engine, Place};
use crate::round_trip::{assert_equal, csv};
use crate::services;

/// A sync of one table, with what else is to be said of it.
fn sync(name: &str, source: &str, target: &str, table: &str) -> String {
    format!(
        r#"<sync name="{name}"><source url="{source}"/><target url="{target}"/><table {table}/></sync>"#
    )
}

/// Runs a job, or looks at it; its exit code and all that it says.
fn told(lab: &Lab, command: &str, job: &str) -> (Option<i32>, String) {
    let file = lab.write("told.xml", job);
    let output = lab.run("jobs", [command.as_ref(), file.as_os_str()]);
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn every_type_is_made_and_copied_between_all_pairs_of_databases() {
    let lab = Lab::new();
    let places = ENGINES.map(|engine| Place::new(&lab, engine, "likeness"));
    for place in &places {
        place.create("source");
        place.fill("source");
    }
    for source in &places {
        for target in &places {
            let (from, into) = (source.engine.name(), target.engine.name());
            let way = format!("{from}_{into}");
            let table = format!(r#"from="source" to="{way}" create="true" verify="true""#);
            let (code, text) = told(&lab, "run", &sync(&way, &source.url, &target.url, &table));
            assert_eq!(code, Some(0), "{way}: {text}");
            assert!(
                text.contains("verified, 5 rows with checksum"),
                "{way}: {text}"
            );
            let file = target.extract(&lab, &way, "id", "csv", &format!("back/{way}"));
            assert_equal(&csv(&file), &way);
            // once more: what is equal is written by nobody
            let (code, text) = told(&lab, "run", &sync(&way, &source.url, &target.url, &table));
            assert_eq!(code, Some(0), "{way} again: {text}");
            assert!(text.contains("written 0,"), "{way} again: {text}");
        }
    }
}

#[test]
fn a_copy_that_is_wrong_is_told() {
    let lab = Lab::new();
    let source = Place::new(&lab, Engine::Sqlite, "wrong");
    let target = Place::new(&lab, Engine::Postgres, "wrong");
    source.run("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b')");
    target.run(
        "CREATE TABLE t (id BIGINT PRIMARY KEY, name TEXT);
         CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name = upper(NEW.name); RETURN NEW; END $$;
         CREATE TRIGGER meddle BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION meddle()",
    );
    let job = sync("w", &source.url, &target.url, r#"from="t" verify="true""#);
    let (code, text) = told(&lab, "run", &job);
    assert_eq!(code, Some(65), "{text}");
    assert!(
        text.contains("t -> t: the two differ: the source has 2 rows with checksum"),
        "{text}"
    );
}

#[test]
fn a_look_tells_what_goes_where_and_what_does_not_fit() {
    let lab = Lab::new();
    let source = Place::new(&lab, Engine::Postgres, "look");
    let target = Place::new(&lab, Engine::Mariadb, "look");
    source
        .run("CREATE TABLE t (id BIGINT PRIMARY KEY, name TEXT, at TIMESTAMP(6), n NUMERIC(12,4))");
    target.run(
        "CREATE TABLE t (id INT PRIMARY KEY, label VARCHAR(20) CHARACTER SET latin1 NOT NULL, at DATETIME, n DECIMAL(10,2), must DATE NOT NULL)",
    );
    let columns = r#"from="t"><column from="name" to="label"/></table></sync>"#;
    let job = sync("l", &source.url, &target.url, "")
        .replace("<table /></sync>", &format!("<table {columns}"));
    let (code, text) = told(&lab, "check", &job);
    assert_eq!(code, Some(0), "{text}");
    for part in [
        "name text -> label varchar(20)",
        "id is int(11) and not all of bigint fits",
        "label is varchar(20) and not all of text (name) fits: it takes 20 characters",
        "label must not be NULL",
        "latin1",
        "at is datetime and not all of timestamp(6) without time zone fits: it keeps whole seconds",
        "n is decimal(10,2)",
        "must of the target must have a value",
    ] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
    // a table that is not there would be made, and still is not there
    let job = sync(
        "l",
        &source.url,
        &target.url,
        r#"from="t" to="new" create="true""#,
    );
    let (code, text) = told(&lab, "check", &job);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("would be made: CREATE TABLE `new` ( `id` BIGINT NOT NULL"),
        "{text}"
    );
    assert_eq!(services::ask(&target.url, "SHOW TABLES").trim(), "t");
    let job = sync("l", &source.url, &target.url, r#"from="t" to="new""#);
    assert_eq!(told(&lab, "check", &job).0, Some(78));
}

#[test]
fn rows_are_told_apart_by_keys_of_any_type() {
    let lab = Lab::new();
    let source = Place::new(&lab, Engine::Postgres, "key_types");
    let targets = ENGINES.map(|engine| Place::new(&lab, engine, "key_types_to"));
    let keys = [
        ("text", "md5(n::text)"),
        ("bytea", "decode(md5(n::text), 'hex')"),
        ("numeric(20,4)", "n * 1.25 - 30"),
        ("numeric", "n * 1.5"),
        ("uuid", "md5(n::text)::uuid"),
        (
            "timestamp",
            "TIMESTAMP '2026-01-01' + n * INTERVAL '90 minutes'",
        ),
    ];
    let tables: Vec<String> = (0..keys.len()).map(|at| format!("k{at}")).collect();
    for ((declared, value), table) in keys.iter().zip(&tables) {
        source.run(&format!(
            "CREATE TABLE {table} (k {declared} PRIMARY KEY, n int, v text); \
             INSERT INTO {table} SELECT {value}, n, 'v' || n FROM generate_series(1, 60) n"
        ));
    }
    let job = |target: &Place, mode: &str| {
        let one = |table: &String| {
            format!(
                r#"<table from="{table}" to="{table}_{mode}" mode="{mode}" create="true" verify="true" max-delete="50%" batch="7"/>"#
            )
        };
        let all: String = tables.iter().map(one).collect();
        let name = format!("{}_{mode}", target.engine.name());
        let (from, to) = (&source.url, &target.url);
        format!(r#"<sync name="{name}"><source url="{from}"/><target url="{to}"/>{all}</sync>"#)
    };
    let run_all = |written: &str| {
        for target in &targets {
            for mode in ["batch", "refresh"] {
                let (code, text) = told(&lab, "run", &job(target, mode));
                let way = format!("{} {mode}", target.engine.name());
                assert_eq!(code, Some(0), "{way}: {text}");
                assert!(text.contains(written), "{way}: {text}");
            }
        }
    };
    run_all("written 360,");
    for table in &tables {
        source.run(&format!(
            "UPDATE {table} SET v = 'new' WHERE n % 10 = 3; DELETE FROM {table} WHERE n % 10 = 5"
        ));
    }
    run_all("written 72,");
    run_all("written 0,");
}

#[test]
fn a_number_is_the_same_without_its_zeros() {
    let lab = Lab::new();
    let source = Place::new(&lab, Engine::Sqlite, "zeros");
    let target = Place::new(&lab, Engine::Postgres, "zeros");
    source.run("CREATE TABLE t (id INTEGER PRIMARY KEY, n NUMERIC(10,2)); INSERT INTO t VALUES (1, 1.5), (2, 3), (3, NULL)");
    let table = r#"from="t" create="true" verify="true""#;
    for _ in 0..2 {
        let (code, text) = told(&lab, "run", &sync("zeros", &source.url, &target.url, table));
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("verified, 3 rows"), "{text}");
    }
}
