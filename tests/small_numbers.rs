//! MySQL's `tinyint(1)`, which it also calls a boolean, is a small number: all its values go everywhere, and booleans of others go into it.

use std::fs;

use crate::lab::Lab;
use crate::place::{Engine, Place};

/// The values of the table `t` in MySQL, in the order of their keys.
const VALUES: &str = "-1 0 1 5 127 NULL";

/// The column of a table of ours, whole, in the order of the keys.
fn values(place: &Place, table: &str) -> String {
    let cast = match place.engine {
        Engine::Mariadb => "CAST(st AS CHAR)",
        Engine::Postgres | Engine::Sqlite => "CAST(st AS text)",
    };
    place
        .lines(&format!(
            "SELECT COALESCE({cast}, 'NULL') FROM {table} ORDER BY id"
        ))
        .join(" ")
}

fn sync(from: &Place, to: &Place, table: &str) -> String {
    format!(
        r#"<sync name="n"><source url="{}"/><target url="{}"/><table {table}/></sync>"#,
        from.url, to.url
    )
}

#[test]
fn numbers_called_boolean_keep_their_values() {
    let lab = Lab::new();
    let places = [Engine::Mariadb, Engine::Postgres, Engine::Sqlite]
        .map(|engine| Place::new(&lab, engine, "small_numbers"));
    let [source, others @ ..] = &places;
    source.run(
        "CREATE TABLE t (id int PRIMARY KEY, st tinyint(1) DEFAULT 1); \
         INSERT INTO t VALUES (1, -1), (2, 0), (3, 1), (4, 5), (5, 127), (6, NULL); \
         CREATE TABLE there (id int PRIMARY KEY, st tinyint(1)); \
         CREATE TABLE leaving SELECT * FROM t; ALTER TABLE leaving ADD PRIMARY KEY (id)",
    );
    for mode in ["refresh", "batch"] {
        let table = format!(r#"from="t" to="there" mode="{mode}" verify="true""#);
        lab.good("jobs", ["run", &sync(source, source, &table)]);
        assert_eq!(values(source, "there"), VALUES, "{mode}");
        source.run("UPDATE there SET st = 0");
    }
    for other in others {
        let table = r#"from="t" to="made" create="true" verify="true""#;
        lab.good("jobs", ["run", &sync(source, other, table)]);
        assert_eq!(values(other, "made"), VALUES, "{:?}", other.engine);
    }
    let archive = format!(
        r#"<archive name="a"><database url="{}"/><table name="leaving" where="1=1" to="kept" to-url="{}" create="true"/></archive>"#,
        source.url, others[0].url
    );
    lab.good("jobs", ["run", &archive]);
    assert_eq!(values(&others[0], "kept"), VALUES);
    assert_eq!(values(source, "leaving"), "");
}

#[test]
fn files_bring_numbers_and_words_and_get_them_back() {
    let lab = Lab::new();
    let place = Place::new(&lab, Engine::Mariadb, "small_numbers_files");
    place.run("CREATE TABLE t (id int PRIMARY KEY, st tinyint(1))");
    lab.write(
        "in/T_1.csv",
        "id,st\n1,-1\n2,false\n3,t\n4,5\n5,127\n6,\n7,128\n8,maybe\n",
    );
    let ingest = format!(
        r#"<ingest name="i"><target url="{}"/><input dir="in"/><table match="T_*" name="t" max-bad="2"/></ingest>"#,
        place.url
    );
    lab.good("jobs", ["run", &ingest]);
    assert_eq!(values(&place, "t"), VALUES);
    let extract = format!(
        r#"<extract name="x"><source url="{}"/><table name="t"/><output dir="out" file="T" format="jsonl"/></extract>"#,
        place.url
    );
    lab.good("jobs", ["run", &extract]);
    let file = fs::read_dir(lab.path("out"))
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .expect("a file");
    let text = fs::read_to_string(file).expect("its text");
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    let told: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split_once("\"st\":"))
        .map(|(_, value)| value.trim_end_matches('}'))
        .collect();
    assert_eq!(told, ["-1", "false", "true", "5", "127", "null"], "{text}");
}

#[test]
fn booleans_go_there_and_back() {
    let lab = Lab::new();
    let [postgres, maria] = [Engine::Postgres, Engine::Mariadb]
        .map(|engine| Place::new(&lab, engine, "small_numbers_flags"));
    postgres.run(
        "CREATE TABLE t (id int PRIMARY KEY, st boolean DEFAULT true); \
         INSERT INTO t VALUES (1, true), (2, false), (3, NULL); \
         CREATE TABLE back (id int PRIMARY KEY, st boolean)",
    );
    let there = r#"from="t" to="made" create="true" verify="true""#;
    lab.good("jobs", ["run", &sync(&postgres, &maria, there)]);
    assert_eq!(values(&maria, "made"), "1 0 NULL");
    for mode in ["refresh", "batch"] {
        let back = format!(r#"from="made" to="back" mode="{mode}" verify="true""#);
        let job = sync(&maria, &postgres, &back);
        let file = lab.write("n.xml", &job);
        // the look finds nothing that would not fit
        let told = lab.good("jobs", ["check".as_ref(), file.as_os_str()]);
        assert!(!told.contains("not all of"), "{told}");
        lab.good("jobs", ["run".as_ref(), file.as_os_str()]);
        assert_eq!(values(&postgres, "back"), "true false NULL", "{mode}");
        postgres.run("UPDATE back SET st = NOT st");
    }
    // what is no boolean is told, and nothing is made of it
    maria.run("INSERT INTO made VALUES (4, 5)");
    let job = sync(&maria, &postgres, r#"from="made" to="back""#);
    assert_eq!(lab.run("jobs", ["run", &job]).status.code(), Some(65));
    assert_eq!(values(&postgres, "back"), "false true NULL");
}
