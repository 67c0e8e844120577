//! A full extract over several connections is of one moment: while money moves between accounts in one transaction after the other, the sum of
//! what lies in the files of one run is always the same, however unevenly the key is spread.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Stdio};

use crate::lab::Lab;
use crate::services;

const ACCOUNTS: u64 = 60_000;

/// Accounts: most of them crowded at the low end of the key, the rest far apart, some without any group.
fn make_accounts(url: &str) {
    let series = if url.starts_with("postgres:") {
        format!("generate_series(1, {ACCOUNTS}) AS s(seq)")
    } else {
        format!("seq_1_to_{ACCOUNTS}")
    };
    services::ask(
        url,
        "CREATE TABLE account (id BIGINT PRIMARY KEY, grp INTEGER, money BIGINT NOT NULL)",
    );
    services::ask(
        url,
        &format!(
            "INSERT INTO account SELECT CASE WHEN seq % 3 = 0 THEN seq * 1000000000000 ELSE seq END, \
             CASE WHEN seq % 10 = 0 THEN NULL ELSE seq % 4 END, 100 FROM {series}"
        ),
    );
    services::ask(url, "CREATE INDEX by_group ON account (grp)");
}

/// A client that moves money until it is killed.
fn mover(url: &str) -> [Child; 2] {
    let script = "i=0; while :; do i=$((i % 19000 + 1)); \
        echo \"BEGIN; UPDATE account SET money = money - 7 WHERE id = $((i * 3 + 1)); UPDATE account SET money = money + 7 WHERE id = $((i * 3000000000000)); COMMIT;\"; done";
    let mut shell = std::process::Command::new("sh")
        .args(["-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starting a shell");
    let pipe = shell.stdout.take().expect("its output is piped");
    let client = services::client(url)
        .stdin(pipe)
        .stdout(Stdio::null())
        .spawn()
        .expect("starting a client");
    [client, shell]
}

/// Of each run: files, rows, different accounts, money.
fn runs(lab: &Lab, folder: &str) -> Vec<(usize, usize, usize, i64)> {
    let mut found: BTreeMap<String, (usize, Vec<u64>, i64)> = BTreeMap::new();
    for entry in fs::read_dir(lab.path(folder)).expect("files").flatten() {
        let name = entry.file_name().into_string().expect("a plain name");
        let run = name
            .split('_')
            .nth(1)
            .expect("the time of the run")
            .to_owned();
        let run = found.entry(run).or_default();
        run.0 += 1;
        let text = fs::read_to_string(entry.path()).expect("a published file");
        for line in text.lines().skip(1) {
            let mut cells = line.split(',');
            let id = cells.next().and_then(|id| id.parse().ok());
            let money = cells.next_back().and_then(|money| money.parse().ok());
            run.1.push(id.expect("an id"));
            run.2 += money.unwrap_or(0);
        }
    }
    let tell = |(files, mut ids, money): (usize, Vec<u64>, i64)| {
        let rows = ids.len();
        ids.sort_unstable();
        ids.dedup();
        (files, rows, ids.len(), money)
    };
    found.into_values().map(tell).collect()
}

fn story(url: &str) {
    make_accounts(url);
    let lab = Lab::new();
    let job = |name: &str, source: &str| {
        lab.write(
            &format!("{name}.xml"),
            format!(
                r#"<extract name="{name}"><source url="{url}" {source}/><table name="account"/><output dir="{name}" file="A" format="csv"/></extract>"#
            ),
        )
    };
    let mut movers = mover(url);
    let by_key = job("by-key", r#"parts="4""#);
    // many rows with the same value, and some with none
    let by_group = job("by-group", r#"parts="2" key="grp""#);
    for file in [&by_key, &by_key, &by_group, &by_key] {
        lab.good("jobs", ["run".as_ref(), file.as_os_str()]);
    }
    for child in movers.iter_mut().rev() {
        child.kill().expect("killing a mover");
        child.wait().expect("reaping a mover");
    }
    let rows = usize::try_from(ACCOUNTS).expect("few");
    let money = i64::try_from(ACCOUNTS * 100).expect("little");
    for (folder, most) in [("by-key", 4), ("by-group", 2)] {
        let runs = runs(&lab, folder);
        assert!(!runs.is_empty());
        for (files, all, different, sum) in runs {
            assert_eq!((all, different, sum), (rows, rows, money), "{folder}");
            assert!((1..=most).contains(&files), "{folder}: {files} files");
        }
    }
    let moved = services::ask(url, "SELECT count(*) FROM account WHERE money <> 100");
    assert_ne!(moved.trim(), "0", "nothing moved meanwhile");
}

#[test]
fn parts_are_of_one_moment_on_postgres() {
    story(&services::database(services::postgres(), "extract_parts"));
}

/// PostgreSQL 15 knows no max(uuid): such a key divides nothing, and cannot be a cursor.
#[test]
fn a_key_without_a_highest_value_is_found_before_a_run() {
    let url = &services::database(services::postgres(), "extract_uuid");
    services::ask(url, "CREATE TABLE thing (u UUID PRIMARY KEY)");
    services::ask(
        url,
        "INSERT INTO thing SELECT gen_random_uuid() FROM generate_series(1, 9)",
    );
    let lab = Lab::new();
    let job = |name: &str, parts: &str, increment: &str| {
        lab.write(
            &format!("{name}.xml"),
            format!(
                r#"<extract name="{name}"><source url="{url}" {parts}/><table name="thing"/>{increment}<output dir="{name}" file="T" format="csv"/></extract>"#
            ),
        )
    };
    let parts = job("parts", r#"parts="4""#, "");
    let told = lab.good(
        "jobs",
        ["run".as_ref(), parts.as_os_str(), "--dry-run".as_ref()],
    );
    assert!(told.contains("over one connection"), "{told}");
    lab.good("jobs", ["run".as_ref(), parts.as_os_str()]);
    assert_eq!(fs::read_dir(lab.path("parts")).expect("files").count(), 1);
    let along = job("along", "", r#"<increment column="u"/>"#);
    let checked = lab.run("jobs", ["check".as_ref(), along.as_os_str()]);
    assert_eq!(checked.status.code(), Some(78), "{checked:?}");
}

#[test]
fn parts_are_of_one_moment_on_mariadb() {
    story(&services::database(services::mariadb(), "extract_parts"));
}
