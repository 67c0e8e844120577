//! A file with bad rows of every sort among good ones: all good rows load, each bad one is told with its number, column and
//! reason, and once mended the reject file loads like any other.

use std::collections::BTreeMap;
use std::fs;

use crate::lab::Lab;
use crate::services;

/// Rows of the file; each fiftieth is bad, in one way after the other.
const ROWS: u64 = 21_000;
const EACH: u64 = 50;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    NoNumber,
    Doubled,
    NoDay,
    TooLong,
    Missing,
    TooLarge,
    Ragged,
}

const FLAWS: [Flaw; 7] = [
    Flaw::NoNumber,
    Flaw::Doubled,
    Flaw::NoDay,
    Flaw::TooLong,
    Flaw::Missing,
    Flaw::TooLarge,
    Flaw::Ragged,
];

impl Flaw {
    fn of(row: u64) -> Option<Flaw> {
        let which = usize::try_from(row / EACH).expect("it fits") % FLAWS.len();
        row.is_multiple_of(EACH).then(|| FLAWS[which])
    }

    /// The column that the reject names, where a server tells.
    fn column(self) -> &'static str {
        match self {
            Flaw::NoNumber | Flaw::Doubled => "id",
            Flaw::NoDay => "day",
            Flaw::TooLong | Flaw::Missing => "name",
            Flaw::TooLarge => "n",
            Flaw::Ragged => "",
        }
    }
}

/// The cells of a row: its key, a day, a name, a number.
fn cells(row: u64) -> [String; 4] {
    [
        row.to_string(),
        "2024-02-29".to_owned(),
        format!("n{row}"),
        format!("{}.25", row % 1000),
    ]
}

fn line(row: u64) -> String {
    let mut cells = cells(row);
    match Flaw::of(row) {
        Some(Flaw::NoNumber) => cells[0] = format!("x{row}"),
        Some(Flaw::Doubled) => cells[0] = "1".to_owned(),
        Some(Flaw::NoDay) => cells[1] = "2024-02-30".to_owned(),
        Some(Flaw::TooLong) => cells[2] = format!("much too long {row}"),
        Some(Flaw::Missing) => cells[2] = String::new(),
        Some(Flaw::TooLarge) => cells[3] = "12345678.25".to_owned(),
        Some(Flaw::Ragged) => return format!("{row},2024-02-29\n"),
        None => {}
    }
    cells.join(",") + "\n"
}

/// An attribute of a reject.
fn attribute<'r>(reject: &'r str, name: &str) -> &'r str {
    let found = reject.split(&format!(" {name}=\"")).nth(1);
    found
        .and_then(|rest| rest.split('"').next())
        .unwrap_or_default()
}

/// The reject file with every row mended.
fn mended(rejects: &str) -> String {
    let mut rows = rejects.split("<row ");
    let mut text = rows.next().unwrap_or_default().to_owned();
    for row in rows {
        let number: u64 = attribute(&format!(" {row}"), "number")
            .parse()
            .expect("a number");
        let names = ["id", "day", "name", "n"];
        let cells = cells(number);
        let cells = names
            .iter()
            .zip(&cells)
            .map(|(name, cell)| format!("<{name}>{cell}</{name}>"));
        let head = row
            .split('>')
            .next()
            .unwrap_or_default()
            .trim_end_matches('/');
        text.push_str(&format!(
            "<row {head}>{}</row>\n",
            cells.collect::<String>()
        ));
    }
    if !text.ends_with("</data>\n") {
        text.push_str("</data>\n");
    }
    text
}

fn rejects_are_exact(
    url: &str,
    ask: &dyn Fn(&str) -> String,
    ddl: &str,
    commit: &str,
    names_columns: bool,
) {
    let lab = Lab::new();
    ask(ddl);
    let mut text = String::from("id,day,name,n\n");
    (1..=ROWS).for_each(|row| text.push_str(&line(row)));
    lab.write("in/f.csv", text);
    let job = format!(
        r#"<ingest name="i"><target url="{url}"/><input dir="in"/><table match="*" name="t" max-bad="{}" commit="{commit}"/></ingest>"#,
        ROWS / EACH
    );
    lab.good("jobs", ["run", &job]);
    assert_eq!(
        ask("SELECT count(*) FROM t").trim(),
        (ROWS - ROWS / EACH).to_string()
    );
    let path = lab.path("in/rejects/f.csv.rejects.xml");
    let rejects = fs::read_to_string(&path).expect("the reject file");
    let mut told = BTreeMap::new();
    let mut before = 0;
    for reject in rejects.split("<row").skip(1) {
        let number: u64 = attribute(reject, "number").parse().expect("a number");
        assert!(before < number, "row {number} stands behind row {before}");
        before = number;
        let flaw = Flaw::of(number).unwrap_or_else(|| panic!("row {number} was good: {reject}"));
        if names_columns {
            assert_eq!(
                attribute(reject, "column"),
                flaw.column(),
                "{flaw:?}: {reject}"
            );
        }
        assert!(!attribute(reject, "reason").is_empty(), "{reject}");
        assert_eq!(told.insert(number, ()), None, "row {number} is told twice");
    }
    assert_eq!(told.len() as u64, ROWS / EACH);
    lab.write("in/f_mended.xml", mended(&rejects));
    lab.good("jobs", ["run", &job]);
    assert_eq!(ask("SELECT count(*) FROM t").trim(), ROWS.to_string());
    assert_eq!(
        ask("SELECT sum(id) FROM t").trim(),
        (ROWS * (ROWS + 1) / 2).to_string()
    );
    assert!(lab.path("in/done/f_mended.xml").exists());
}

const PLAIN: &str =
    "CREATE TABLE t (id integer PRIMARY KEY, day date, name varchar(10) NOT NULL, n decimal(8,2))";

fn on_server(server: &str, name: &str, commit: &str) {
    let url = services::database(server, name);
    rejects_are_exact(&url, &|sql| services::ask(&url, sql), PLAIN, commit, true);
}

#[test]
fn postgres_tells_each_bad_row() {
    on_server(services::postgres(), "rejects", "file");
    on_server(services::postgres(), "rejects_in_batches", "4000");
}

#[test]
fn mariadb_tells_each_bad_row() {
    on_server(services::mariadb(), "rejects", "file");
    on_server(services::mariadb(), "rejects_in_batches", "4000");
}

#[test]
fn sqlite_tells_each_bad_row() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("t.db");
    let ask = |sql: &str| {
        let db = rusqlite::Connection::open(&path).expect("the database");
        if !sql.starts_with("SELECT") {
            db.execute_batch(sql).expect("a statement");
            return String::new();
        }
        let number: i64 = db.query_row(sql, [], |row| row.get(0)).expect("a number");
        number.to_string()
    };
    // it keeps no lengths and no days by itself
    let ddl = "CREATE TABLE t (id INTEGER PRIMARY KEY, day DATE CHECK (day IS date(day)),
        name VARCHAR(10) NOT NULL CHECK (length(name) <= 10), n DECIMAL(8,2) CHECK (n < 1000000))";
    rejects_are_exact(
        &format!("sqlite:{}", path.display()),
        &ask,
        ddl,
        "file",
        false,
    );
}
