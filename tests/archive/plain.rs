//! What users see without any misfortune: keys of several columns, what `check` and `--dry-run` tell, waiting for a server that suffers,
//! exit codes.

use std::process::{Child, Stdio};

use super::place::Place;
use super::{ROWS, each_where_it_belongs, rows};
use crate::lab::{Lab, PATIENCE, wait_for};
use crate::services;

const SITES: &str = "CREATE TABLE sites (site VARCHAR(20) NOT NULL, day DATE NOT NULL, n DECIMAL(20,0) NOT NULL, v TEXT, PRIMARY KEY (site, day, n))";

/// Rows whose keys are awkward: quotes, backslashes, letters beyond ASCII, equal in all but the last column.
fn make_sites(place: &Place) -> usize {
    place.ask(SITES);
    let mut count = 0;
    for site in ["", "a'b", "ä\\ö", "站", "null", "a b"] {
        let site = if place.url().starts_with("mysql:") {
            site.replace('\\', "\\\\")
        } else {
            site.to_owned()
        };
        let site = site.replace('\'', "''");
        for day in ["2013-01-01", "2013-12-31", "2016-02-29"] {
            let rows: Vec<String> = ["0", "7", "99999999999999999999"]
                .map(|n| format!("('{site}', '{day}', {n}, 'v{n}')"))
                .to_vec();
            place.ask(&format!("INSERT INTO sites VALUES {}", rows.join(", ")));
            count += rows.len();
        }
    }
    count
}

fn wide_keys(from: &Place, to: Option<&Place>) {
    let lab = Lab::new();
    let count = make_sites(from);
    let listed = |place: &Place, table: &str| {
        let mut found = place.ask(&format!("SELECT site, day, n, v FROM {table}"));
        // the client of MariaDB writes a backslash as two
        for cell in found.iter_mut().flatten() {
            *cell = cell.replace("\\\\", "\\");
        }
        found.sort();
        found
    };
    let before = listed(from, "sites");
    assert_eq!(before.len(), count);
    let target = to
        .map(|place| format!(r#"to-url="{}""#, place.url()))
        .unwrap_or_default();
    let xml = format!(
        r#"<archive><database url="{}"/><table name="sites" key="n,day,site" where="1=1" to="sites_old" create="true" batch="5" {target}/></archive>"#,
        from.url()
    );
    lab.good("jobs", ["run", xml.as_str()]);
    assert_eq!(listed(to.unwrap_or(from), "sites_old"), before);
    assert!(from.ask("SELECT 1 FROM sites").is_empty());
}

#[test]
fn archive_finds_rows_by_keys_of_several_columns_on_postgres() {
    wide_keys(
        &Place::Server(services::database(services::postgres(), "archive_wide")),
        None,
    );
}

#[test]
fn archive_finds_rows_by_keys_of_several_columns_on_mariadb() {
    wide_keys(
        &Place::Server(services::database(services::mariadb(), "archive_wide")),
        None,
    );
}

#[test]
fn archive_takes_keys_of_several_columns_to_another_engine() {
    let maria = Place::Server(services::database(
        services::mariadb(),
        "archive_wide_across",
    ));
    let postgres = Place::Server(services::database(
        services::postgres(),
        "archive_wide_across",
    ));
    wide_keys(&maria, Some(&postgres));
}

/// A client whose transaction stays open, with what it has locked.
struct Holder(Child);

impl Holder {
    fn start(url: &str, sql: &str) -> Holder {
        use std::io::Write;
        let mut child = services::client(url)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starting a client");
        let pipe = child.stdin.as_mut().expect("its input is piped");
        writeln!(pipe, "BEGIN; {sql};").expect("telling the client");
        Holder(child)
    }

    /// Lets all of them go; who waits for whom, nobody knows.
    fn end<const N: usize>(mut holders: [Holder; N]) {
        for Holder(client) in &mut holders {
            drop(client.stdin.take());
        }
        for Holder(mut client) in holders {
            client.wait().expect("reaping a client");
        }
    }
}

fn waits_for_locks(server: &services::Private) {
    let (lab, place) = (Lab::new(), Place::Server(server.url.clone()));
    place.make_table(ROWS);
    let url = place.url();
    let xml = format!(
        r#"<archive><database url="{url}"/><table name="t" where="hot = 0" to="his" create="true"/><throttle every="100ms" max-lock-waits="0"/></archive>"#
    );
    let file = lab.write("archive.xml", xml);
    let change = "UPDATE t SET v = v WHERE id = 10";
    let (first, second) = (Holder::start(&url, change), Holder::start(&url, change));
    wait_for("a session waits for a lock", PATIENCE, || {
        let told = lab.good(
            "jobs",
            ["check".as_ref(), "--verbose".as_ref(), file.as_os_str()],
        );
        told.contains("a run would wait now: sessions that wait for locks: 1, at most 0")
            .then_some(())
    });
    let mut child = super::start(&lab, &file);
    wait_for("the run waits", PATIENCE, || {
        lab.lines("archive.log")
            .iter()
            .any(|line| line.contains("waiting: sessions that wait"))
            .then_some(())
    });
    assert_eq!(rows(&place, "t").len() as u64, ROWS);
    Holder::end([first, second]);
    let ended = child.wait().expect("reaping jobs");
    assert!(ended.success(), "{}", lab.lines("archive.log").join("\n"));
    assert_eq!(rows(&place, "his").len() as u64, ROWS / 10 * 9);
}

// on servers of their own: the count of waits is that of the whole server

#[test]
fn archive_waits_while_sessions_wait_for_locks_on_postgres() {
    waits_for_locks(&services::Private::start("postgres"));
}

#[test]
fn archive_waits_while_sessions_wait_for_locks_on_mariadb() {
    waits_for_locks(&services::Private::start("mariadb"));
}

#[test]
fn archive_tells_what_it_would_do_and_does_it() {
    let lab = Lab::new();
    let place = Place::File(lab.path("a.db"));
    place.make_table(ROWS);
    let xml = r#"<archive><database url="sqlite:a.db"/><table name="t" where="hot = 0" to="his" create="true" batch="300"/></archive>"#;
    let told = lab.good("jobs", ["run", "--dry-run", xml]);
    assert!(told.contains("t: 1800 rows would leave"), "{told}");
    assert!(told.contains("would make his: CREATE TABLE"), "{told}");
    assert!(
        told.contains(r#"INSERT INTO "his""#) && told.contains(r#"DELETE FROM "t""#),
        "{told}"
    );
    assert_eq!(rows(&place, "t").len() as u64, ROWS);
    lab.good("jobs", ["run", xml]);
    each_where_it_belongs(&place, &rows(&place, "his"));
}

#[test]
fn archive_ends_by_itself_before_it_has_lasted_too_long() {
    let lab = Lab::new();
    let place = Place::File(lab.path("a.db"));
    place.make_table(ROWS);
    let xml = r#"<archive max-run="3s"><database url="sqlite:a.db"/><table name="t" where="hot = 0" to="his" create="true" batch="10" pause="200ms"/></archive>"#;
    lab.good("jobs", ["run", xml]);
    let archived = rows(&place, "his").len();
    assert!((10..1800).contains(&archived), "{archived} rows left");
    assert_eq!(rows(&place, "t").len() + archived, 2000);
}

#[test]
fn archive_refuses_a_table_whose_rows_cannot_be_told_apart() {
    let lab = Lab::new();
    let place = Place::File(lab.path("a.db"));
    place.ask("CREATE TABLE bare (a INTEGER)");
    let xml = r#"<archive><database url="sqlite:a.db"/><table name="bare" where="1=1" action="delete"/></archive>"#;
    let refused = lab.run("jobs", ["run", xml]);
    assert_eq!(refused.status.code(), Some(78));
    let why = String::from_utf8_lossy(&refused.stderr);
    assert!(why.contains("the table has no unique key"), "{why}");
}

/// A history of narrower columns: what would be rounded stays, whatever the server would have made of it.
fn narrow(from: &Place, to: Option<&Place>) {
    let lab = Lab::new();
    let postgres = |place: &Place| place.url().starts_with("postgres:");
    let time = |place: &Place, decimals: u8| match (postgres(place), decimals) {
        (true, _) => format!("TIMESTAMP({decimals})"),
        (false, _) => format!("DATETIME({decimals})"),
    };
    from.ask(&format!(
        "CREATE TABLE pay (id INT PRIMARY KEY, amount NUMERIC(12,4), at {})",
        time(from, 6)
    ));
    let there = to.unwrap_or(from);
    there.ask(&format!(
        "CREATE TABLE pay_his (id INT PRIMARY KEY, amount NUMERIC(12,2), at {})",
        time(there, 0)
    ));
    from.ask(
        "INSERT INTO pay VALUES (1, 12.3456, '2024-01-01 10:00:00'), (2, 12.34, '2024-01-01 10:00:00.123456'), (3, 12.34, '2024-01-01 10:00:00'), (4, NULL, NULL)",
    );
    let target = to
        .map(|place| format!(r#"to-url="{}""#, place.url()))
        .unwrap_or_default();
    let xml = format!(
        r#"<archive><database url="{}"/><table name="pay" where="1=1" to="pay_his" {target}/></archive>"#,
        from.url()
    );
    let output = lab.run("jobs", ["run", xml.as_str()]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(65), "{told}");
    assert!(told.contains("amount 12.3456 becomes 12.35"), "{told}");
    let ids =
        |place: &Place, table: &str| place.ask(&format!("SELECT id FROM {table} ORDER BY id"));
    assert_eq!(ids(from, "pay"), [["1"], ["2"]], "{told}");
    assert_eq!(ids(there, "pay_his"), [["3"], ["4"]], "{told}");
}

#[test]
fn archive_leaves_rows_that_a_narrower_history_would_round() {
    let server = |server, name| Place::Server(services::database(server, name));
    narrow(&server(services::postgres(), "archive_narrow"), None);
    narrow(&server(services::mariadb(), "archive_narrow"), None);
    let (postgres, mariadb) = (
        server(services::postgres(), "archive_narrow_out"),
        server(services::mariadb(), "archive_narrow_in"),
    );
    narrow(&postgres, Some(&mariadb));
    let (mariadb, postgres) = (
        server(services::mariadb(), "archive_narrow_out"),
        server(services::postgres(), "archive_narrow_in"),
    );
    narrow(&mariadb, Some(&postgres));
}
