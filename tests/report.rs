//! `report` is killed with SIGKILL at random moments while it catches up with windows; afterwards every window is there exactly once, in what its
//! steps wrote and in what its rows went into: beside the source, in another database, and in files; on SQLite, PostgreSQL and MariaDB.
//!
//! The moments come from a fixed seed and the measured length of a run; `FULL=1` makes it 200 kills a database instead of a few.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::chance::{Dice, count, kill_after};
use crate::lab::{Lab, PATIENCE};
use crate::services;

/// Windows before the first kill; as many come with each.
const WINDOWS: u64 = 4;

/// The first of January 2026, in seconds since 1970.
const FIRST: u64 = 1_767_225_600;

/// A database of the story, asked by other means than ours.
enum Place {
    Sqlite(std::path::PathBuf),
    Server(String),
}

impl Place {
    fn url(&self) -> String {
        match self {
            Place::Sqlite(path) => format!("sqlite:{}", path.display()),
            Place::Server(url) => url.clone(),
        }
    }

    /// Runs statements, or a query of one text column, whose rows come as lines.
    fn ask(&self, sql: &str) -> String {
        let path = match self {
            Place::Server(url) => return services::ask(url, sql),
            Place::Sqlite(path) => path,
        };
        let db = rusqlite::Connection::open(path).expect("the database");
        db.busy_timeout(PATIENCE).expect("patience");
        if !sql.starts_with("SELECT") {
            db.execute_batch(sql).expect("a statement");
            return String::new();
        }
        let mut query = db.prepare(sql).expect("a query");
        let rows = query
            .query_map([], |row| row.get::<_, String>(0))
            .expect("its rows");
        rows.map(|row| row.expect("a row") + "\n").collect()
    }

    /// How often each window is in a table: `2026-01-01 05:00:00` -> (rows, sum).
    fn windows(&self, table: &str) -> BTreeMap<String, (u64, u64)> {
        let text = match self {
            Place::Sqlite(_) => "hour || '|' || count(*) || '|' || sum(amount)",
            Place::Server(url) if url.starts_with("postgres") => {
                "hour || '|' || count(*) || '|' || sum(amount)"
            }
            Place::Server(_) => "concat(hour, '|', count(*), '|', sum(amount))",
        };
        let rows = self.ask(&format!("SELECT {text} FROM {table} GROUP BY hour"));
        rows.lines().map(window).collect()
    }
}

/// A line `hour|rows|sum`.
fn window(line: &str) -> (String, (u64, u64)) {
    let fields: Vec<&str> = line.split('|').collect();
    let number = |at: usize| fields[at].parse().expect("a number");
    (fields[0].to_owned(), (number(1), number(2)))
}

/// Where a story's rows go.
#[derive(Clone, Copy)]
enum Rows<'a> {
    Beside,
    Into(&'a Place),
    Files,
}

/// The hour of a number.
fn hour(number: u64) -> String {
    format!("2026-01-{:02} {:02}:00:00", 1 + number / 24, number % 24)
}

/// Adds the sales of some hours: three each, of the hour's number.
fn sell(place: &Place, hours: std::ops::Range<u64>) {
    let rows: Vec<String> = hours
        .flat_map(|n| (0..3).map(move |_| format!("('{}', {n})", hour(n))))
        .collect();
    place.ask(&format!("INSERT INTO sale VALUES {}", rows.join(", ")));
}

fn job(lab: &Lab, place: &Place, rows: Rows<'_>, upto: u64) -> std::path::PathBuf {
    // the first `upto` hours are over, by a delay that reaches from the last of them to now
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock that is right");
    let over = now.as_secs().saturating_sub(FIRST + upto * 3600);
    let target = match rows {
        Rows::Beside => r#"<into table="hourly"/>"#.to_owned(),
        Rows::Into(other) => format!(r#"<into table="hourly" url="{}"/>"#, other.url()),
        Rows::Files => r#"<output dir="out" file="H" format="csv"/>"#.to_owned(),
    };
    lab.write(
        "report.xml",
        format!(
            r#"<report name="hourly"><database url="{}"/><period size="hour" start="2026-01-01" delay="{over}s"/>
               <step>INSERT INTO seen SELECT :from, sum(amount) FROM sale WHERE hour >= :from AND hour &lt; :to</step>
               <select>SELECT hour, amount FROM sale WHERE hour >= :from AND hour &lt; :to</select>{target}</report>"#,
            place.url()
        ),
    )
}

/// Kills the report `kills` times while it catches up; then lets it, and compares.
fn survives(lab: &Lab, place: &Place, rows: Rows<'_>) {
    for table in ["sale", "seen", "hourly"] {
        for place in [
            Some(place),
            if let Rows::Into(other) = rows {
                Some(other)
            } else {
                None
            },
        ]
        .into_iter()
        .flatten()
        {
            place.ask(&format!("DROP TABLE IF EXISTS {table}"));
            place.ask(&format!(
                "CREATE TABLE {table} (hour {}, amount INT)",
                if matches!(place, Place::Server(url) if url.starts_with("mysql")) {
                    "DATETIME"
                } else {
                    "TIMESTAMP"
                }
            ));
        }
    }
    let mut upto = WINDOWS;
    sell(place, 0..upto);
    let file = job(lab, place, rows, upto);
    let begun = Instant::now();
    lab.good("jobs", [Path::new("run"), &file]);
    let usual = begun.elapsed();
    let mut dice = Dice::new(11);
    // there are three targets a database
    for _ in 0..count(10, 67) {
        sell(place, upto..upto + WINDOWS);
        upto += WINDOWS;
        job(lab, place, rows, upto);
        let child = lab
            .command("jobs")
            .arg("run")
            .arg(&file)
            .stderr(Stdio::null())
            .spawn()
            .expect("starting jobs");
        kill_after(child, dice.part_of(usual * 8 / 7));
    }
    lab.good("jobs", [Path::new("run"), &file]);
    let want: BTreeMap<String, (u64, u64)> = (0..upto).map(|n| (hour(n), (3, 3 * n))).collect();
    let steps: BTreeMap<String, (u64, u64)> = (0..upto).map(|n| (hour(n), (1, 3 * n))).collect();
    assert_eq!(place.windows("seen"), steps, "what the steps wrote");
    let found = match rows {
        Rows::Beside => place.windows("hourly"),
        Rows::Into(other) => other.windows("hourly"),
        Rows::Files => in_files(&lab.path("out")),
    };
    assert_eq!(found, want, "what the rows went into");
}

/// The windows in published files; there is nothing else in their folder.
fn in_files(folder: &Path) -> BTreeMap<String, (u64, u64)> {
    let mut found: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for entry in fs::read_dir(folder)
        .expect("the folder of the files")
        .flatten()
    {
        let text = fs::read_to_string(entry.path()).expect("a published file");
        assert!(
            text.starts_with("hour,amount\n"),
            "{}: {text}",
            entry.path().display()
        );
        for line in text.lines().skip(1) {
            let (hour, amount) = line.split_once(',').expect("two columns");
            let window = found.entry(hour.to_owned()).or_default();
            *window = (
                window.0 + 1,
                window.1 + amount.parse::<u64>().expect("a number"),
            );
        }
    }
    found
}

fn survives_everywhere(lab: &Lab, place: &Place, other: &Place) {
    for rows in [Rows::Beside, Rows::Into(other), Rows::Files] {
        // a report that writes elsewhere is another report
        let _absent = fs::remove_file(lab.path("state/hourly.db"));
        for place in [place, other] {
            place.ask("DROP TABLE IF EXISTS procctl_report");
        }
        survives(lab, place, rows);
    }
}

#[test]
fn windows_survive_kills_on_sqlite() {
    let lab = Lab::new();
    let place = |name: &str| Place::Sqlite(lab.path(name));
    survives_everywhere(&lab, &place("a.db"), &place("b.db"));
}

#[test]
fn windows_survive_kills_on_postgres() {
    let lab = Lab::new();
    let place = |name: &str| Place::Server(services::database(services::postgres(), name));
    survives_everywhere(&lab, &place("report_a"), &place("report_b"));
}

#[test]
fn windows_survive_kills_on_mariadb() {
    let lab = Lab::new();
    let place = |name: &str| Place::Server(services::database(services::mariadb(), name));
    survives_everywhere(&lab, &place("report_a"), &place("report_b"));
}

/// A window that was done with too little is run again alone; other windows and the cursor stay as they are.
#[test]
fn a_window_is_run_again_by_hand() {
    let lab = Lab::new();
    let place = Place::Sqlite(lab.path("a.db"));
    place.ask("CREATE TABLE sale (hour TIMESTAMP, amount INT); CREATE TABLE seen (hour TIMESTAMP, amount INT)");
    sell(&place, 0..6);
    let file = job(&lab, &place, Rows::Files, 6);
    lab.good("jobs", [Path::new("run"), &file]);
    sell(&place, 2..3);
    place.ask("DELETE FROM seen WHERE hour = '2026-01-01 02:00:00'");
    let file = file.to_string_lossy().into_owned();
    lab.good(
        "jobs",
        ["run", &file, "--set", "period.only=2026-01-01T02:30:00Z"],
    );
    assert_eq!(place.windows("seen")[&hour(2)], (1, 12));
    assert_eq!(in_files(&lab.path("out"))[&hour(2)], (6, 12));
    assert_eq!(in_files(&lab.path("out")).len(), 6);
    assert_eq!(
        lab.good("jobs", ["state", "hourly", "show"]),
        "after-reset = {\"from\":\"start\"}\nupto = \"2026-01-01T06:00:00Z\"\n"
    );
    let told = lab.good("jobs", ["run", &file, "--dry-run"]);
    assert!(told.contains("0 windows due"), "{told}");
}

/// The statements of a right report are found right, those of a wrong one wrong, and nothing is changed.
fn is_looked_at(lab: &Lab, place: &Place) {
    place.ask("CREATE TABLE daily (day DATE, amount INT)");
    place.ask("CREATE TABLE sale (day DATE, amount INT)");
    place.ask("INSERT INTO daily VALUES ('2026-01-01', 7)");
    let file = |steps: &str| {
        lab.write(
            "look.xml",
            format!(
                r#"<report name="look"><database url="{}"/><period size="day" start="2026-01-01" form="date" most="1"/>{steps}</report>"#,
                place.url()
            ),
        )
    };
    let delete = "<step>DELETE FROM daily WHERE day = :from</step>";
    let insert = "<step>INSERT INTO daily SELECT day, sum(amount) FROM sale WHERE day >= :from AND day &lt; :to GROUP BY day</step>";
    let select =
        r#"<select>SELECT * FROM daily WHERE day = :from</select><output dir="out" file="D"/>"#;
    let right = file(&format!("{delete}{insert}{select}"));
    lab.good("jobs", [Path::new("check"), &right]);
    let right = right.to_string_lossy().into_owned();
    let told = lab.good("jobs", ["run", &right, "--dry-run"]);
    assert!(
        told.contains("2 columns of <select>: day, amount"),
        "{told}"
    );
    let temporary = "<step>CREATE TEMPORARY TABLE made AS SELECT * FROM daily WHERE day = :from</step><step>DELETE FROM made WHERE amount = 3</step>";
    let right = file(&format!("{temporary}{select}"))
        .to_string_lossy()
        .into_owned();
    let told = lab.good("jobs", ["run", &right, "--dry-run"]);
    let later = "step[2]: cannot be looked at before step[1] has run";
    assert!(told.contains(later), "{told}");
    for wrong in [
        "<step>DELET FROM daily</step>".to_owned(),
        format!("{delete}<step>DELETE FROM dayly</step>"),
        format!("{delete}{insert}{}", select.replace('*', "price")),
    ] {
        let file = file(&wrong);
        let found = lab.run("jobs", [Path::new("check"), &file]);
        assert_eq!(found.status.code(), Some(78), "{wrong}: {found:?}");
    }
    let left = place.ask(if matches!(place, Place::Sqlite(_)) {
        "SELECT CAST(sum(amount) AS TEXT) FROM daily"
    } else {
        "SELECT CAST(sum(amount) AS CHAR(9)) FROM daily"
    });
    assert_eq!(left.trim(), "7");
}

#[test]
fn reports_are_looked_at_on_each_database() {
    let lab = Lab::new();
    is_looked_at(&lab, &Place::Sqlite(lab.path("look.db")));
    for server in [services::postgres(), services::mariadb()] {
        is_looked_at(
            &lab,
            &Place::Server(services::database(server, "report_look")),
        );
    }
}
