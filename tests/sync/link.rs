//! A sync without a source: the target's server fetches rows from tables that it reaches by itself, PostgreSQL by a foreign table, MariaDB from another
//! database, and both from a table of their own.

use std::path::{Path, PathBuf};

use crate::lab::Lab;
use crate::services;

/// The job file of a sync from a linked table.
fn job(lab: &Lab, target: &str, from: &str, more: &str) -> PathBuf {
    lab.write(
        "link.xml",
        format!(
            r#"<sync name="link"><target url="{target}"/><table from="{from}" to="copy" key="id" batch="100" {more}><column from="name" to="label"/><column to="made" value="by us"/></table></sync>"#
        ),
    )
}

fn run(lab: &Lab, file: &Path) -> String {
    let output = lab.run("jobs", ["run".as_ref(), file.as_os_str()]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

/// Fills, changes and empties the linked table, and looks at the copy each time. `source` is where the table is changed.
fn story(lab: &Lab, source: &str, table: &str, target: &str, file: &Path) {
    let numbers = if source.starts_with("postgres:") {
        "generate_series(1, 1050) AS g(n)"
    } else {
        "(SELECT seq AS n FROM seq_1_to_1050) g"
    };
    services::ask(
        source,
        &format!("INSERT INTO {table} (id, name) SELECT n * 2, CONCAT('row ', n) FROM {numbers}"),
    );
    let equal = |what: &str| {
        let there = services::ask(
            source,
            &format!("SELECT id, name, 'by us' FROM {table} WHERE id < 2000 ORDER BY id"),
        );
        let here = services::ask(target, "SELECT id, label, made FROM copy ORDER BY id");
        assert!(
            there == here,
            "{what}: {} against {} rows",
            there.lines().count(),
            here.lines().count()
        );
    };
    assert!(run(lab, file).contains("verified, 999 rows"));
    equal("into an empty table");
    services::ask(
        source,
        &format!(
            "UPDATE {table} SET name = 'changed' WHERE id IN (2, 500, 1998); DELETE FROM {table} WHERE id = 4; INSERT INTO {table} (id, name) VALUES (-7, 'new')"
        ),
    );
    let told = run(lab, file);
    assert!(told.contains("1 inserted, 3 updated, 1 deleted"), "{told}");
    equal("changes");
    // an emptied source does not empty the target
    services::ask(source, &format!("DELETE FROM {table}"));
    let output = lab.run("jobs", ["run".as_ref(), file.as_os_str()]);
    assert_eq!(
        output.status.code(),
        Some(65),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        services::ask(target, "SELECT count(*) FROM copy").trim(),
        "999"
    );
}

#[test]
fn postgres_fetches_from_a_foreign_table() {
    let lab = Lab::new();
    let far = services::database(services::postgres(), "link_far");
    let near = services::database(services::postgres(), "link_near");
    services::ask(
        &far,
        "CREATE TABLE t_far (id BIGINT PRIMARY KEY, name TEXT)",
    );
    let (account, place) = far
        .strip_prefix("postgres://")
        .and_then(|rest| rest.split_once('@'))
        .expect("an account");
    let (user, password) = account.split_once(':').expect("a password");
    let (host, port) = place
        .split_once('/')
        .and_then(|(host, _)| host.split_once(':'))
        .expect("a port");
    services::ask(
        &near,
        &format!(
            "CREATE EXTENSION postgres_fdw;
             CREATE SERVER core FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{host}', port '{port}', dbname 'link_far');
             CREATE USER MAPPING FOR CURRENT_USER SERVER core OPTIONS (user '{user}', password '{password}');
             CREATE FOREIGN TABLE t_here (id BIGINT NOT NULL, name TEXT) SERVER core OPTIONS (table_name 't_far');
             CREATE TABLE copy (id BIGINT PRIMARY KEY, label TEXT, made TEXT)"
        ),
    );
    let file = job(
        &lab,
        &near,
        "t_far@core",
        r#"where="id &lt; 2000" verify="true""#,
    );
    story(&lab, &far, "t_far", &near, &file);
}

#[test]
fn mariadb_fetches_from_another_database() {
    let lab = Lab::new();
    let far = services::database(services::mariadb(), "link_far");
    let near = services::database(services::mariadb(), "link_near");
    services::ask(&far, "CREATE TABLE t (id BIGINT PRIMARY KEY, name TEXT)");
    services::ask(
        &near,
        "CREATE TABLE copy (id BIGINT PRIMARY KEY, label TEXT, made TEXT)",
    );
    let file = job(
        &lab,
        &near,
        "t@link_far",
        r#"where="id &lt; 2000" verify="true""#,
    );
    story(&lab, &far, "t", &near, &file);
}

#[test]
fn a_table_beside_its_copy_needs_no_link() {
    for server in [services::postgres(), services::mariadb()] {
        let lab = Lab::new();
        let url = services::database(server, "link_beside");
        services::ask(&url, "CREATE TABLE t (id BIGINT PRIMARY KEY, name TEXT)");
        services::ask(
            &url,
            "CREATE TABLE copy (id BIGINT PRIMARY KEY, label TEXT, made TEXT)",
        );
        let file = job(&lab, &url, "t", r#"where="id &lt; 2000" verify="true""#);
        story(&lab, &url, "t", &url, &file);
    }
    let lab = Lab::new();
    rusqlite::Connection::open(lab.path("x.db"))
        .and_then(|db| db.execute_batch("CREATE TABLE copy (id INTEGER PRIMARY KEY)"))
        .expect("a database");
    let file = job(&lab, "sqlite:x.db", "t@far", "");
    let output = lab.run("jobs", ["run".as_ref(), file.as_os_str()]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(told.contains("SQLite reaches no table by a link"), "{told}");
}
