//! What a target cannot hold comes as a reject that says why.

use std::fs;
use std::path::Path;

use super::{FORMATS, csv};
use crate::lab::Lab;
use crate::place::{ENGINES, Place};
use crate::services;

/// Loads a CSV file with `max-bad` and gives the reject file's text; all rows but the bad ones are in the table then.
fn rejects(lab: &Lab, target: &Place, table: &str, ddl: &str, file: &Path, bad: u64) -> String {
    target.run(ddl);
    let (dir, name) = (
        format!("rejects_{}_{table}", target.engine.name()),
        file.extension(),
    );
    let input = format!(
        "{dir}/{table}.{}",
        name.and_then(|name| name.to_str()).expect("an ending")
    );
    lab.write(&input, fs::read(file).expect("the file"));
    let job = format!(
        r#"<ingest name="{dir}"><target url="{}"/><input dir="{dir}"/><table match="*" name="{table}" max-bad="{bad}"/></ingest>"#,
        target.url
    );
    lab.good("jobs", ["run", &job]);
    let rejects = lab.path(format!("{input}.rejects.xml"));
    let rejects = rejects
        .parent()
        .expect("a folder")
        .join("rejects")
        .join(rejects.file_name().expect("a name"));
    fs::read_to_string(rejects).unwrap_or_default()
}

/// Each row's number, column and reason, by number.
fn reasons(rejects: &str) -> Vec<(String, String, String)> {
    let attribute = |row: &str, name: &str| {
        let from = row.split(&format!("{name}=\"")).nth(1).unwrap_or_default();
        from.split('"').next().unwrap_or_default().to_owned()
    };
    let rows = rejects.split("<row ").skip(1);
    let mut rows: Vec<_> = rows
        .map(|row| {
            (
                attribute(row, "number"),
                attribute(row, "column"),
                attribute(row, "reason"),
            )
        })
        .collect();
    rows.sort();
    rows
}

#[test]
fn what_a_target_cannot_hold_is_a_reject_that_says_why() {
    let lab = Lab::new();
    let [postgres, mariadb, sqlite] = ENGINES.map(|engine| Place::new(&lab, engine, "cannot_hold"));
    let plain = "CREATE TABLE odd (id integer PRIMARY KEY, day date, text text)";

    // days that are none: MariaDB has them, SQLite keeps any text, PostgreSQL refuses
    mariadb.run(
        "SET sql_mode = ''; CREATE TABLE odd (id int PRIMARY KEY, day date, text longtext);
         INSERT INTO odd VALUES (1, '0000-00-00', 'a'), (2, '2024-00-00', 'b'), (3, '2024-02-29', 'c'), (4, NULL, concat('n', char(0), 'l'))",
    );
    for format in FORMATS {
        let file = mariadb.extract(&lab, "odd", "id", format, &format!("odd/{format}"));
        postgres.run("DROP TABLE IF EXISTS odd");
        let found = reasons(&rejects(&lab, &postgres, "odd", plain, &file, 3));
        let columns: Vec<(&str, &str)> = found
            .iter()
            .map(|(row, column, _)| (row.as_str(), column.as_str()))
            .collect();
        assert_eq!(
            columns,
            [("1", "day"), ("2", "day"), ("4", "text")],
            "{format}: {found:?}"
        );
        assert!(
            found
                .iter()
                .all(|(_, _, reason)| reason.starts_with("a value that the column cannot hold: ")),
            "{format}: {found:?}"
        );
        assert_eq!(
            services::ask(&postgres.url, "SELECT id FROM odd").trim(),
            "3",
            "{format}"
        );
        sqlite.run("DROP TABLE IF EXISTS odd");
        assert_eq!(
            rejects(&lab, &sqlite, "odd", plain, &file, 0),
            "",
            "{format}"
        );
    }
    let kept = sqlite.extract(&lab, "odd", "id", "csv", "odd/back");
    let days: Vec<Option<String>> = csv(&kept)
        .into_iter()
        .skip(1)
        .map(|row| row[1].clone())
        .collect();
    assert_eq!(
        days[..2],
        [Some("0000-00-00".to_owned()), Some("2024-00-00".to_owned())]
    );
    assert_eq!(csv(&kept)[4][2].as_deref(), Some("n\0l"));

    // what only PostgreSQL has
    postgres.run(
        "CREATE TABLE far (id int PRIMARY KEY, day date, at timestamptz, amount numeric, x float8);
         INSERT INTO far VALUES (1, 'infinity', NULL, NULL, NULL), (2, '0044-03-15 BC', NULL, NULL, NULL),
           (3, NULL, '3000-01-01 00:00:00+00', NULL, NULL), (4, NULL, NULL, 'NaN', NULL),
           (5, NULL, NULL, NULL, 'NaN'), (6, NULL, NULL, NULL, '-Infinity'), (7, '2024-02-29', '2024-02-29 12:00:00+00', 1.5, 1.5)",
    );
    let mut columns: Vec<(String, String)> = Vec::new();
    for format in FORMATS {
        let file = postgres.extract(&lab, "far", "id", format, &format!("far/{format}"));
        mariadb.run("DROP TABLE IF EXISTS far");
        let ddl = "CREATE TABLE far (id int PRIMARY KEY, day date, at timestamp(6) NULL, amount decimal(20,5), x double)";
        let found = reasons(&rejects(&lab, &mariadb, "far", ddl, &file, 6));
        columns = found
            .iter()
            .map(|(row, column, _)| (row.clone(), column.clone()))
            .collect();
        assert!(
            found
                .iter()
                .all(|(_, _, reason)| reason.starts_with("a value that the column cannot hold: ")),
            "{format}: {found:?}"
        );
        assert_eq!(
            services::ask(&mariadb.url, "SELECT id FROM far").trim(),
            "7",
            "{format}"
        );
    }
    let expected = [
        ("1", "day"),
        ("2", "day"),
        ("3", "at"),
        ("4", "amount"),
        ("5", "x"),
        ("6", "x"),
    ];
    let columns: Vec<(&str, &str)> = columns
        .iter()
        .map(|(row, column)| (row.as_str(), column.as_str()))
        .collect();
    assert_eq!(columns, expected);
}
