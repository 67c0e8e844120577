//! Rows that are committed late: eight writers draw numbers in one order and commit in another, while a resident `extract` reads every 200 ms.
//!
//! Three jobs read the same table at the same time. One has what it needs to see open transactions, and no `settle`: every committed row has to be in its files exactly
//! once. One goes by the time of the rows, with the same rights. One is blind: its account may not see transactions, and its `settle` is a millisecond; it has to lose rows, at
//! least the one that comes late for certain, or the load would prove nothing. `FULL=1`: a minute of load with delays of up to 3 s.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{Child, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::chance::count;
use crate::lab::{Lab, PATIENCE, signal, wait_for};
use crate::{services, writers};

const WRITERS: u64 = 8;
const SEED: u64 = 20_261_121;

/// How long writers are busy, and their longest delay, in milliseconds.
fn load() -> (u64, u64) {
    (count(10_000, 60_000), count(1_200, 3_000))
}

/// A resident job that reads every 200 ms.
struct Reader {
    name: &'static str,
    child: Child,
}

impl Reader {
    fn start(lab: &Lab, name: &'static str, url: &str, increment: &str) -> Reader {
        let file = lab.write(
            &format!("{name}.xml"),
            format!(
                r#"<extract name="{name}" every="200ms" resident="true"><source url="{url}"/><table name="late"/><increment {increment}/><output dir="{name}" file="L" format="csv"/></extract>"#
            ),
        );
        let log = fs::File::create(lab.path(format!("{name}.log"))).expect("a log");
        let child = lab
            .command("jobs")
            .args(["run", "--resident"])
            .arg(file)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("starting jobs");
        Reader { name, child }
    }

    fn stop(&mut self, lab: &Lab) {
        signal(self.child.id(), Signal::SIGTERM);
        let ended = self.child.wait().expect("reaping jobs");
        let log = lab.lines(&format!("{}.log", self.name)).join("\n");
        assert_eq!(ended.code(), Some(143), "{}: {log}", self.name);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// How often each row is in the files of a job.
pub(crate) fn ids(lab: &Lab, folder: &str) -> BTreeMap<u64, u32> {
    let mut found = BTreeMap::new();
    let Ok(files) = fs::read_dir(lab.path(folder)) else {
        return found;
    };
    for entry in files.flatten() {
        let name = entry.file_name().into_string().expect("a plain name");
        if name.starts_with('.') {
            continue;
        }
        let text = fs::read_to_string(entry.path()).expect("a published file is there");
        for line in text.lines().skip(1) {
            let id = line.split(',').next().and_then(|id| id.parse().ok());
            *found.entry(id.expect("a number")).or_insert(0) += 1;
        }
    }
    found
}

/// The rows that are there in the end.
pub(crate) fn committed(url: &str) -> Vec<u64> {
    let told = services::ask(url, "SELECT id FROM late ORDER BY id");
    told.lines()
        .map(|id| id.parse().expect("a number"))
        .collect()
}

/// Waits until everything is there, and asserts that nothing is there twice and nothing else.
pub(crate) fn each_once(lab: &Lab, folder: &str, rows: &[u64]) {
    wait_for(&format!("all rows are in {folder}"), PATIENCE, || {
        let found = ids(lab, folder);
        let missing = rows.iter().filter(|id| !found.contains_key(id)).count();
        (missing == 0).then_some(())
    });
    let found = ids(lab, folder);
    let twice: Vec<_> = found.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{folder}: more than once: {twice:?}");
    assert_eq!(
        found.len(),
        rows.len(),
        "{folder}: rows that were never committed"
    );
}

/// Waits until a job waits for no gap.
fn no_gap(lab: &Lab, name: &str) {
    wait_for("no gap is waited for", PATIENCE, || {
        lab.good("jobs", ["state", name, "show"])
            .contains(r#""open":[]"#)
            .then_some(())
    });
}

fn story(url: &str, blind: &str) {
    let (length, delay) = load();
    let lab = Lab::new();
    writers::make_table(url);
    let grant = if url.starts_with("postgres:") {
        "GRANT SELECT ON late TO PUBLIC"
    } else {
        "DO 0"
    };
    services::ask(url, grant);
    let mut readers = [
        Reader::start(&lab, "seeing", url, r#"column="id""#),
        Reader::start(&lab, "timed", url, r#"column="at""#),
        Reader::start(&lab, "blind", blind, r#"column="id" settle="1ms""#),
    ];
    let busy: Vec<[Child; 2]> = (1..=WRITERS)
        .map(|number| writers::start(url, number, SEED, length, delay))
        .collect();
    for [mut client, mut shell] in busy {
        shell.wait().expect("reaping a shell");
        let ended = client.wait().expect("reaping a client");
        assert!(ended.success(), "a writer ended with {ended}, seed {SEED}");
    }
    // one that is late for certain, however slowly a busy machine lets the others write and read
    let late = writers::Late::draw(url, WRITERS + 1);
    services::ask(url, "INSERT INTO late (writer) VALUES (0)");
    let higher = *committed(url).last().expect("a row was inserted");
    wait_for("the blind one has passed the gap", PATIENCE, || {
        ids(&lab, "blind").contains_key(&higher).then_some(())
    });
    no_gap(&lab, "blind");
    late.commit();
    let rows = committed(url);
    let most = Duration::from_millis(length).as_secs();
    assert!(
        rows.len() as u64 > most,
        "only {} rows, seed {SEED}",
        rows.len()
    );
    each_once(&lab, "seeing", &rows);
    each_once(&lab, "timed", &rows);
    no_gap(&lab, "seeing");
    for reader in &mut readers {
        reader.stop(&lab);
    }
    let lost = rows.len() - ids(&lab, "blind").len();
    assert!(
        lost > 0,
        "{} rows: the load is too weak to lose any, seed {SEED}",
        rows.len()
    );
}

#[test]
fn rows_that_come_late_are_found_on_postgres() {
    let url = services::database(services::postgres(), "late_commits");
    let role = format!("blind{}", std::process::id());
    services::ask(&url, &format!("CREATE ROLE {role} LOGIN PASSWORD 'secret'"));
    // in this database alone
    services::ask(&url, "REVOKE SELECT ON pg_catalog.pg_locks FROM PUBLIC");
    let (_, place) = url.split_once('@').expect("an account");
    story(&url, &format!("postgres://{role}:secret@{place}"));
    services::ask(&url, &format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn rows_that_come_late_are_found_on_mariadb() {
    let url = services::database(services::mariadb(), "late_commits");
    let user = format!("blind{}@'127.0.0.1'", std::process::id());
    services::ask(&url, &format!("CREATE USER {user} IDENTIFIED BY 'secret'"));
    services::ask(&url, &format!("GRANT SELECT ON late_commits.* TO {user}"));
    let (_, place) = url.split_once('@').expect("an account");
    story(
        &url,
        &format!("mysql://blind{}:secret@{place}", std::process::id()),
    );
    services::ask(&url, &format!("DROP USER {user}"));
}

/// An account that may not see transactions has to say how late rows may come.
#[test]
fn where_the_server_tells_nothing_settle_is_required() {
    let url = services::database(services::mariadb(), "late_hidden");
    writers::make_table(&url);
    services::ask(&url, "INSERT INTO late (writer) VALUES (1)");
    let name = format!("hidden{}", std::process::id());
    let user = format!("{name}@'127.0.0.1'");
    services::ask(&url, &format!("CREATE USER {user} IDENTIFIED BY 'secret'"));
    services::ask(&url, &format!("GRANT SELECT ON late_hidden.* TO {user}"));
    let (_, place) = url.split_once('@').expect("an account");
    let lab = Lab::new();
    let job = |settle: &str| {
        format!(
            r#"<extract name="h"><source url="mysql://{name}:secret@{place}"/><table name="late"/><increment column="id"{settle}/><output dir="h" file="L" format="csv"/></extract>"#
        )
    };
    let file = lab.write("h.xml", job(""));
    for command in [vec!["run"], vec!["check"], vec!["run", "--dry-run"]] {
        let output = lab
            .command("jobs")
            .args(&command)
            .arg(&file)
            .output()
            .expect("jobs");
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8_lossy(&told);
        assert_eq!(output.status.code(), Some(78), "{command:?}: {told}");
        assert!(
            told.contains("PROCESS") && told.contains("settle"),
            "{command:?}: {told}"
        );
    }
    assert!(ids(&lab, "h").is_empty());
    let file = lab.write("h.xml", job(r#" settle="1s""#));
    lab.good("jobs", ["run".as_ref(), file.as_os_str()]);
    assert_eq!(ids(&lab, "h").len(), 1);
    services::ask(&url, &format!("DROP USER {user}"));
}

/// A number that was drawn by a sequence, in a transaction that has touched no table yet: no list of MariaDB's tells of it, so `settle` has to.
#[test]
fn what_no_server_tells_is_covered_by_settle() {
    let url = services::database(services::mariadb(), "late_settle");
    services::ask(
        &url,
        "CREATE TABLE late (id BIGINT PRIMARY KEY); CREATE SEQUENCE number NOCACHE",
    );
    let mut client = services::client(&url)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("starting a client");
    let mut session = client.stdin.take().expect("its input is piped");
    writeln!(session, "BEGIN; SET @drawn = NEXTVAL(number);").expect("a session that listens");
    wait_for("a number is drawn", PATIENCE, || {
        let next = services::ask(&url, "SELECT next_not_cached_value FROM number");
        (next.trim() == "2").then_some(())
    });
    services::ask(&url, "INSERT INTO late VALUES (NEXTVAL(number))");
    let lab = Lab::new();
    let file = lab.write(
        "s.xml",
        format!(
            r#"<extract name="s"><source url="{url}"/><table name="late"/><increment column="id" settle="10m"/><output dir="s" file="L" format="csv"/></extract>"#
        ),
    );
    let run = || lab.good("jobs", ["run".as_ref(), file.as_os_str()]);
    run();
    assert_eq!(ids(&lab, "s").into_keys().collect::<Vec<_>>(), [2]);
    run();
    writeln!(session, "INSERT INTO late VALUES (@drawn); COMMIT;").expect("a session that listens");
    drop(session);
    assert!(client.wait().expect("reaping a client").success());
    run();
    each_once(&lab, "s", &[1, 2]);
}
