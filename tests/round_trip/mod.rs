//! A table of every type and of nasty values goes from each database through files of each format into each database, and
//! comes out equal, text for text. What a target cannot hold comes as a reject that says why.
//!
//! The rows are put in by the databases' own clients, and what comes out is compared with the texts written here.

mod column;
mod refused;

use std::fs;
use std::path::Path;

use crate::lab::Lab;
use crate::place::{ENGINES, Engine, Place};
use column::{COLUMNS, expected};

const FORMATS: [&str; 3] = ["xml", "csv", "jsonl"];

impl Place {
    /// A table of all columns.
    pub(crate) fn create(&self, table: &str) {
        let lines: Vec<String> = COLUMNS
            .iter()
            .map(|column| column.declared(self.engine))
            .collect();
        self.run(&format!("CREATE TABLE {table} ({})", lines.join(", ")));
    }

    /// Its five rows.
    pub(crate) fn fill(&self, table: &str) {
        let mut sql = String::new();
        if self.engine == Engine::Mariadb {
            sql.push_str("SET time_zone = '+00:00'; ");
        }
        for row in 0..5 {
            let values: Vec<String> = COLUMNS
                .iter()
                .map(|column| column.literal(self.engine, row))
                .collect();
            sql.push_str(&format!(
                "INSERT INTO {table} VALUES ({}); ",
                values.join(", ")
            ));
        }
        self.run(&sql);
    }

    /// Writes a table into one file and gives its path.
    pub(crate) fn extract(
        &self,
        lab: &Lab,
        table: &str,
        order: &str,
        format: &str,
        dir: &str,
    ) -> std::path::PathBuf {
        let job = format!(
            r#"<extract name="out"><source url="{}"/><sql>SELECT * FROM {table} ORDER BY {order}</sql><output dir="{dir}" file="{table}" format="{format}"/></extract>"#,
            self.url
        );
        lab.good("jobs", ["run", &job]);
        let mut files = fs::read_dir(lab.path(dir))
            .expect("the folder of the file")
            .flatten();
        let file = files.next().expect("a file").path();
        assert!(files.next().is_none(), "more than one file in {dir}");
        file
    }
}

/// Rows of a CSV file: NULL is an unquoted empty field.
pub(crate) fn csv(path: &Path) -> Vec<Vec<Option<String>>> {
    let text = fs::read_to_string(path).expect("a file of text");
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut inside, mut quoted) = (false, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if inside && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => {
                inside = !inside;
                quoted = true;
            }
            ',' | '\n' if !inside => {
                let text = std::mem::take(&mut cell);
                row.push((quoted || !text.is_empty()).then_some(text));
                quoted = false;
                if c == '\n' {
                    rows.push(std::mem::take(&mut row));
                }
            }
            '\r' if !inside => {}
            c => cell.push(c),
        }
    }
    rows
}

/// That rows of a CSV file are those which were put in.
pub(crate) fn assert_equal(found: &[Vec<Option<String>>], way: &str) {
    let expected = expected();
    assert_eq!(found.len(), expected.len(), "{way}: rows");
    for (row, (found, expected)) in found.iter().zip(&expected).enumerate() {
        for (column, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert_eq!(
                found, expected,
                "{way}: row {row}, column {}",
                COLUMNS[column].name
            );
        }
        assert_eq!(found.len(), expected.len(), "{way}: columns of row {row}");
    }
}

#[test]
fn every_type_comes_through_every_format_into_every_database() {
    let lab = Lab::new();
    let places = ENGINES.map(|engine| Place::new(&lab, engine, "round_trip"));
    for place in &places {
        let source = place.engine.name();
        place.create("source");
        place.fill("source");
        for format in FORMATS {
            let dir = format!("out/{source}_{format}");
            let file = place.extract(&lab, "source", "id", format, &dir);
            if format == "csv" {
                assert_equal(&csv(&file), &format!("{source} -> csv"));
            }
            for target in &places {
                let name = format!("in_{}/{source}_{format}.{format}", target.engine.name());
                lab.write(&name, fs::read(&file).expect("the file"));
            }
        }
    }
    for target in &places {
        let into = target.engine.name();
        let mut tables = String::new();
        let mut ways = Vec::new();
        for source in ENGINES {
            for format in FORMATS {
                let way = format!("{}_{format}", source.name());
                target.create(&way);
                tables.push_str(&format!(r#"<table match="{way}.*" name="{way}"/>"#));
                ways.push(way);
            }
        }
        let job = format!(
            r#"<ingest name="into_{into}"><target url="{}"/><input dir="in_{into}"/>{tables}</ingest>"#,
            target.url
        );
        lab.good("jobs", ["run", &job]);
        for way in ways {
            let file = target.extract(&lab, &way, "id", "csv", &format!("back/{into}_{way}"));
            assert_equal(&csv(&file), &format!("{way} -> {into}"));
        }
    }
}
